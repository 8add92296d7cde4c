"""Every attack rule finds planted weaknesses that random proposals of equal size do not find."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from medaudit.audit.attacks import fitting, weakened
from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.core.protocol import Lanes
from medaudit.core.region import INJECTED, L0, L1, L2, LINF, PATCH, ROUGH, ROUGH_L2
from medaudit.core.streams import key
from medaudit.domain.quantity import Quantity
from medaudit.domain.threat import Threat, boxes, region, subspace
from medaudit.engine.inline import run_inline
from medaudit.oracle.goal import Goal
from medaudit.rule import RULES, Context, Rule, settings_of
from medaudit.search import uniform

Array = NDArray[Any]
LANES, BUDGET = 8, 1500
OUTPUT = Output("multiclass", ("y",), "probabilities", ("a", "b"))
SLOW = {"few-pixels": 3000}  # evolution over places
EPS = {
    LINF: Quantity(0.1, "sd"),
    L2: Quantity(1.0, "sd"),
    L1: Quantity(4.0, "sd"),
    L0: Quantity(3.0),
    PATCH: Quantity(100.0),
    ROUGH: Quantity(4.0, "sd"),
    ROUGH_L2: Quantity(4.0, "sd"),
    INJECTED: Quantity(1.0, "sd"),
}
CASES = [
    (rule, norm)
    for rule in RULES.values()
    if rule.kind == "attack" and rule.name != "random-noise"
    for norm in rule.norms
]


def interface(rule: Rule, norm: str) -> Interface:
    """A signal of 240 samples; for rules and norms of tables, a table of 240 numbers; for images alone, 15 by 16."""
    number = Channel("", lo=-6.0, hi=6.0, sd=1.0)
    if rule.domains == ("image",):
        axes = ("batch", "row", "column")
        return Interface((Input("x", "float32", "image", axes, (15, 16), axes, channels=(number,)),), OUTPUT)
    if "signal" in rule.domains and norm != L0:
        axes = ("batch", "lead", "time")
        item = Input("x", "float32", "signal", axes, (1, 240), axes, rate=60.0, channels=(number,))
    else:
        domain, names = ("table", ("batch", "feature")) if "table" in rule.domains else ("signal", None)
        axes = names or ("batch", "lead", "time")
        shape = (240,) if names else (1, 240)
        wide = 240 if names else 1
        channels = tuple(dataclasses.replace(number, name=f"v{i}") for i in range(wide))
        item = Input("x", "float32", domain, axes, shape, axes, channels=channels)
    return Interface((item,), OUTPUT)


def found(rule: Rule, norm: str) -> int:
    """Lanes whose planted weakness is found, of a model that always answers the same."""
    face = interface(rule, norm)
    threat = Threat(rule.access or "scores", norm, EPS[norm])
    area = region(face, threat)
    points = np.random.default_rng(4).normal(0, 1, (2 * LANES, face.size)).astype(np.float32)
    constant = np.tile(np.array([[0.9, 0.1]], dtype=np.float32), (2 * LANES, 1))
    budget = SLOW.get(rule.name, BUDGET)
    clean = np.array([[0.85, 0.15], [0.1, 0.9]], dtype=np.float32)
    narrow = subspace(face, threat)
    context = Context(
        face, area, Goal(stop="flip"), threat.access, 1e-4, settings_of(rule, {}),
        donors=points[:2] + 1, kinds=np.zeros(2, dtype=np.int64), subspace=narrow,
    )  # fmt: skip

    def make_lanes(samples: list[int]) -> Lanes:
        x = points[samples]
        lo, hi = boxes(face, threat, area, x, None)
        legal = boxes(face, threat, area, x, None, legal=True)
        keys = np.array([key("planted", rule.name, norm, s) for s in samples], dtype=np.uint64)
        zero = np.zeros(len(samples), dtype=np.int64)
        return Lanes(keys, x, lo, hi, None, constant[samples], zero, zero - 1, *legal)

    def answer(rows: Array) -> Array:
        return np.tile(constant[:1], (len(rows), 1))

    if rule.fit is not None:
        fit, own = fitting(rule, context, make_lanes(list(range(LANES, 2 * LANES))), clean)
        job = ("fit", fit, budget * LANES, own, [0])
        context = dataclasses.replace(context, change=run_inline([job], answer, 32)[0].arrays["worst"])
    attack = weakened(rule.attack(context), rule, context, clean)
    job = ("check", attack, budget, make_lanes, list(range(LANES)))
    done = run_inline([job], answer, 32)
    assert all(bool(f.arrays["possible"]) for f in done)
    return sum(int(f.arrays["found"]) > 0 for f in done)


@pytest.mark.parametrize(("rule", "norm"), CASES, ids=lambda v: v if isinstance(v, str) else v.name)
def test_rule_finds_what_chance_does_not(rule: Rule, norm: str) -> None:
    """The rule's search finds most; with random proposals in its place the same test would fail."""
    least = 0.75 * LANES
    assert found(rule, norm) >= least
    part = "search" if rule.fit is None else "fit"
    by_chance = dataclasses.replace(rule, **{part: lambda context: uniform.search()})
    assert found(by_chance, norm) < least
