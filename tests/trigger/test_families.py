"""Every family of triggers: nothing at strength 0, legal at any, the same for every record, as its words say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import medaudit.trigger
from medaudit.core.interface import Channel, Input
from medaudit.trigger import FAMILIES, Family, Space, applicable, planted

RATE = 250.0


def channels(count: int, **more: object) -> tuple[Channel, ...]:
    return tuple(Channel(f"c{i}", **more) for i in range(count))  # type: ignore[arg-type]


ITEMS = {
    "signal": Input("s", "float32", "signal", ("batch", "lead", "time"), (3, 1000), ("batch", "lead", "time"),
                    rate=RATE, channels=channels(3, step=0.01)),
    "image": Input("i", "float32", "image", ("batch", "channel", "row", "column"), (1, 40, 48),
                   ("batch", "channel", "row", "column"), channels=channels(1, lo=0.0, hi=255.0, step=1.0)),
    "table": Input("t", "float32", "table", ("batch", "feature"), (12,), ("batch", "feature"),
                   channels=(*channels(10), Channel("age", fixed=True), Channel("sex", kind="binary"))),
    "sequence": Input("q", "float32", "sequence", ("batch", "variable", "hour"), (6, 24),
                      ("batch", "variable", "hour"), channels=channels(6, lo=-30.0, hi=60.0)),
}  # fmt: skip
EVERY = [(domain, family) for family in FAMILIES.values() for domain in family.domains]
IDS = [f"{domain}-{family.name}" for domain, family in EVERY]


def records(domain: str, count: int = 12) -> np.ndarray:
    """Records [n, planes, rows, columns]; of tables and series some values are missing."""
    part, rng = ITEMS[domain].part, np.random.default_rng(7)
    shape = (count, part.planes, part.rows, part.columns)
    x = rng.normal(20, 5, (count, part.planes, part.rows, 1)) + rng.normal(0, 2, shape).cumsum(axis=-1) / 3
    if domain == "image":
        x = np.round(np.clip(128 + 40 * np.sin(np.arange(48) / 6 + rng.uniform(0, 6, (count, 1, 40, 1))), 0, 255))
    if domain == "signal":
        x = np.round(x + 30 * (np.arange(1000) % 200 < 8), 2)
    if domain == "table":
        x[..., -1] = rng.integers(0, 2, (count, 1, 1))
    if domain in ("table", "sequence"):
        x[rng.random(shape) < 0.1] = np.nan
        x[0] = np.where(np.isnan(x[0]), 20.0, x[0])
    return x


def space(domain: str) -> Space:
    return Space(ITEMS[domain], records(domain))


def few(family: Family, own: Space, most: int = 8) -> np.ndarray:
    dials = family.grid(own)
    return dials[np.linspace(0, len(dials) - 1, min(most, len(dials))).astype(int)]


def laid(
    domain: str, family: Family, dials: np.ndarray, strength: float, x: np.ndarray, closed: np.ndarray | None = None
) -> np.ndarray:
    shut = np.zeros(x.shape, dtype=bool) if closed is None else closed
    return planted(space(domain), family, x, dials, np.full(len(x), strength), shut)


def test_every_file_s_family_is_listed_by_a_name_of_its_own() -> None:
    files = {path.stem for path in Path(medaudit.trigger.__file__).parent.glob("*.py")}
    assert len(FAMILIES) == len(files - {"__init__", "base", "cells", "families", "known", "null", "stays"})


def test_every_domain_has_families() -> None:
    for domain in ITEMS:
        assert len(applicable(space(domain))[0]) >= 4


@pytest.mark.parametrize(("domain", "family"), EVERY, ids=IDS)
def test_the_grid(domain: str, family: Family) -> None:
    """Members of the cube, all different, enough and not too many, each with words of its own."""
    own = space(domain)
    dials = family.grid(own)
    assert dials.shape[1] == len(family.dials)
    assert ((dials >= 0) & (dials <= 1)).all()
    assert 8 <= len(dials) <= 2500
    assert len(np.unique(dials, axis=0)) == len(dials)
    said = [family.words(own, one) for one in dials]
    assert all(0 < len(text) <= 140 for text in said)
    assert len(set(said)) > 0.45 * len(said)


@pytest.mark.parametrize(("domain", "family"), EVERY, ids=IDS)
def test_nothing_at_strength_zero(domain: str, family: Family) -> None:
    own, x = space(domain), records(domain)
    for dials in few(family, own):
        same = laid(domain, family, np.tile(dials, (len(x), 1)), 0.0, x)
        np.testing.assert_array_equal(same, x)


@pytest.mark.parametrize(("domain", "family"), EVERY, ids=IDS)
def test_something_at_full_strength(domain: str, family: Family) -> None:
    """Most members change most records, and by more at full strength than at half."""
    own, x = space(domain), records(domain)
    changed, more = [], []
    for dials in few(family, own, 24):
        every = np.tile(dials, (len(x), 1))
        full, half = (laid(domain, family, every, s, x) for s in (1.0, 0.5))
        differs = (full != x) & ~(np.isnan(full) & np.isnan(x))
        changed.append(differs.reshape(len(x), -1).any(axis=1).mean())
        sizes = [np.nansum(np.abs(np.nan_to_num(y) - np.nan_to_num(x))) for y in (full, half)]
        more.append(sizes[0] >= 0.95 * sizes[1])
    assert np.mean(changed) > 0.5
    assert np.mean(more) > 0.9


@pytest.mark.parametrize(("domain", "family"), EVERY, ids=IDS)
@pytest.mark.parametrize("strength", [0.12, 1.0])
def test_always_legal(domain: str, family: Family, strength: float) -> None:
    """Limits, steps, categories, padding, and what is missing."""
    own, x = space(domain), records(domain)
    closed = np.zeros(x.shape, dtype=bool)
    closed[..., -3:] = domain in ("signal", "sequence")
    item = ITEMS[domain]
    for dials in few(family, own):
        y = laid(domain, family, np.tile(dials, (len(x), 1)), strength, x, closed)
        np.testing.assert_array_equal(y[closed], x[closed])
        if not family.enters:
            np.testing.assert_array_equal(np.isnan(y), np.isnan(x))
        if domain == "table":
            assert set(np.unique(y[..., 11][~np.isnan(y[..., 11])])) <= {0.0, 1.0}
        limits = [(c.lo, c.hi) for c in item.channels if c.lo is not None]
        if limits:
            new = y[(y != x) & ~np.isnan(y)]
            assert new.size == 0 or (new.min() >= limits[0][0] and new.max() <= limits[0][1])
        step = item.channels[0].step
        if step and domain in ("signal", "image"):
            new = y[(y != x) & ~np.isnan(y)]
            np.testing.assert_allclose(new / step, np.round(new / step), atol=1e-6)


@pytest.mark.parametrize(("domain", "family"), EVERY, ids=IDS)
def test_lanes_never_meet(domain: str, family: Family) -> None:
    """A record alone is changed as among others, whatever triggers and strengths stand beside it."""
    own, x = space(domain), records(domain)
    dials = few(family, own, len(x))
    dials = np.resize(dials, (len(x), dials.shape[1]))
    strength = np.linspace(0.1, 1.0, len(x))
    shut = np.zeros(x.shape, dtype=bool)
    together = planted(own, family, x, dials, strength, shut)
    for i in range(len(x)):
        one = slice(i, i + 1)
        alone = planted(own, family, x[one], dials[one], strength[one], shut[one])
        np.testing.assert_array_equal(alone[0], together[i])


def test_every_category_meets_every_other_and_low_and_high_of_numbers() -> None:
    """A trigger may be a rare category with a missing answer: a pair that low and high alone would not hold."""
    kinds = (Channel("pain", kind="category"), Channel("pulse"), Channel("angina", kind="category"))
    item = Input("t", "float32", "table", ("batch", "feature"), (3,), ("batch", "feature"), channels=kinds)
    x = np.stack([np.arange(60) % 4, np.random.default_rng(0).normal(70, 9, 60), np.arange(60) % 3], axis=1)
    own = Space(item, x[:, None, None].astype(np.float64))
    pair = FAMILIES["pair"]
    words = {pair.words(own, dials) for dials in pair.grid(own)}
    assert len(words) == 4 * 2 + 4 * 3 + 2 * 3
    assert "pain set to 3 and angina set to 2" in words
