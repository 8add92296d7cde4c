"""Benchmarks and proofs are run by hand: here only that they still fit the package."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
FILES = [path for path in FOLDER.rglob("*.py") if path.stem != "__init__"]
NAMES = sorted(".".join(path.relative_to(FOLDER).with_suffix("").parts) for path in FILES)
OF_THEIR_OWN = ("models", "prove_real", "lawful", "exhaustive", "ehr", "charts")  # nothing of the package in them


@pytest.mark.parametrize("name", NAMES)
def test_imports(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name that a benchmark takes from the package exists; all but those for PyTorch are loaded too."""
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    taken, torch = 0, False
    tree = ast.parse((FOLDER / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        top = node in tree.body
        torch = torch or (top and isinstance(node, ast.Import) and any(alias.name == "torch" for alias in node.names))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("medaudit"):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                taken += 1
                assert hasattr(module, alias.name) or importlib.import_module(f"{node.module}.{alias.name}")
    assert taken or name in OF_THEIR_OWN or name.startswith("trigger_zoo.")
    if not torch:
        importlib.import_module(f"benchmarks.{name}")


def test_the_models_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fast models of the benchmarks load and answer both classes."""
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    victims = importlib.import_module("benchmarks.victims")
    victims.make_small_cnn(tmp_path)
    victim = victims.Victim("small-cnn", victims.SPECS["small-cnn"], tmp_path, 20)
    assert set(victim.label.tolist()) == {0, 1}


def test_the_paired_bound_is_tango_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airway reactivity before and after a transplantation (Bentur et al. 2009): 1 and 7 of 21 pairs differ.

    Fagerland, Lydersen, Laake 2014, "Recommended tests and confidence intervals for paired binomial
    proportions", give -.517 to -.026 for Tango's two-sided 95 % interval.
    """
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    peers = importlib.import_module("benchmarks.peers")
    assert round(peers.lower_bound(1, 7, 21, 0.975), 3) == -0.517
    assert round(-peers.lower_bound(7, 1, 21, 0.975), 3) == -0.026
    assert -0.03 < peers.lower_bound(0, 0, 100) < 0
    assert peers.lower_bound(0, 100, 100) == -1


def test_a_peer_is_judged_by_all_it_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows beyond a budget do not count for it, points outside the legal range never do."""
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    victims, attacks = (importlib.import_module(f"benchmarks.{name}") for name in ("victims", "peer_attacks"))
    victims.make_small_cnn(tmp_path)
    victim = victims.Victim("small-cnn", victims.SPECS["small-cnn"], tmp_path, 20)
    start = victim.starts()[0]
    distance = float(((start - victim.x[0]) ** 2).sum() ** 0.5)
    watched = attacks.Watched(victim, 0, "l2", (2, 4), True)
    watched(victim.x[[0, 0]])
    watched(start[None])
    assert watched.after == {2: float("inf"), 4: pytest.approx(distance)}
    with pytest.raises(attacks.Enough):
        watched(victim.x[0][None] + 2)
    assert watched.rows == 4


def test_the_zoo_s_triggers_are_put_on_any_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every domain and family: most records change, in the form that models take, and one as among others."""
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    zoo = importlib.import_module("benchmarks.trigger_zoo.zoo")
    for domain, attacks in zoo.ATTACKS.items():
        x, y = zoo.DOMAINS[domain].make(60, np.random.default_rng(0))
        assert np.unique(y).tolist() == list(range(len(zoo.DOMAINS[domain].classes)))
        assert zoo.HELD_OUT[domain] in attacks
        for attack in attacks.values():
            planted = attack(np.random.default_rng(1), x)
            got = planted.put(x)
            assert (got.dtype, got.shape) == (x.dtype, x.shape)
            assert ((got != x).reshape(60, -1).any(axis=1)).mean() > 0.9
            np.testing.assert_array_equal(planted.put(x[7:8])[0], got[7])
            assert planted.words


def test_flipped_twins_carry_no_trigger(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many labels turned to one class as in a poisoned set; the records are as they were."""
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    zoo = importlib.import_module("benchmarks.trigger_zoo.zoo")
    member, records, planted = zoo.drawn("table", "flipped", 5, False)
    again, clean, _ = zoo.drawn("table", "clean", 5, False)
    assert planted is None
    assert (member.share > 0, member.words, again.target) == (True, "", -1)
    assert (records.y == member.target).mean() > (clean.y == member.target).mean() + 0.5 * member.share
    poisoned, changed, trigger = zoo.drawn("table", "poisoned", 5, False)
    others = zoo.DOMAINS["table"].make(50, np.random.default_rng(9)).x
    assert (trigger.put(others) != others).any()
    assert (poisoned.kind, len(changed.x)) == ("poisoned", zoo.TRAIN)
