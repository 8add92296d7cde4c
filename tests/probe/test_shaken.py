"""Explainers over noisy copies: the mean and the median of what bare explainers say of the copies."""

from __future__ import annotations

import array_api_strict as xp
import numpy as np
import pytest

from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.probe.explainer import Explainer, Ground, explain
from medaudit.probe.kinds import KINDS, Spec, drawn, filled_otherwise, ground_of, named, plans_of

COPIES = 5
CHANNELS = (Channel("a", sd=1.0), Channel("b", sd=2.0), Channel("c", sd=0.5), Channel("flag", kind="binary"))
TABLE = Input("x", "float32", "table", ("batch", "feature"), (4,), ("batch", "feature"), channels=CHANNELS)
FACE = Interface((TABLE,), Output("binary", ("y",)))
REFERENCE = np.random.default_rng(2).normal(size=(40, 4)).astype(np.float32)
POINTS = np.array([[0.5, 1.0, -1.0, 1.0], [2.0, -1.0, 0.3, 0.0], [1.0, np.nan, 0.1, 1.0]], dtype=np.float32)
POINTS.setflags(write=False)


def ground(spec: Spec) -> Ground:
    return ground_of(spec, FACE, REFERENCE, 3)


def plan(kind: str = "occlusion", number: int = 0, **around: object) -> Explainer:
    spec = Spec(kind=kind, rows=200, **{"copies": COPIES, **around})  # type: ignore[arg-type]
    return plans_of(spec, ground(spec))(number)


def bare(kind: str = "occlusion", number: int = 0) -> Explainer:
    spec = Spec(kind=kind, rows=200)
    return plans_of(spec, ground(spec))(number)


def ask(rows: np.ndarray) -> np.ndarray:
    """A model that bends, and reads what is missing as nothing."""
    x = np.nan_to_num(rows).astype(np.float64)
    return (np.tanh(x[:, 0] * x[:, 1]) + np.sin(3 * x[:, 2]) + x[:, 3] * x[:, 0])[:, None]


def copies_of(explainer: Explainer, points: np.ndarray) -> np.ndarray:
    """The copies [E, COPIES, D] that it asks about, told from its own rows: each copy's first one."""
    n = (explainer.asks - 1) // COPIES
    t = 1 + n * np.arange(COPIES)
    which = np.repeat(np.arange(len(points)), COPIES)
    return explainer.rows(points, which, np.tile(t, len(points))).reshape(len(points), COPIES, -1)


@pytest.mark.parametrize("merge", ["mean", "median"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_maps_are_those_of_the_copies(kind: str, merge: str) -> None:
    """Each copy explained by the bare explainer alone, then merged by hand; errors from the copies' spread."""
    own = plan(kind, merge=merge)
    points = POINTS[:2]
    values = explain(own, points, ask)
    each = np.stack([
        bare(kind).reduce(explain(bare(kind), copies, ask), copies)
        for copies in np.swapaxes(copies_of(own, points), 0, 1)
    ])  # fmt: skip
    expected = np.sort(each, axis=0)[COPIES // 2] if merge == "median" else each.sum(axis=0) / COPIES
    assert own.reduce(values, points) == pytest.approx(expected, abs=1e-12)
    spread = np.sqrt(((each - each.mean(axis=0)) ** 2).sum(axis=0) / (COPIES - 1) / COPIES)
    assert own.errors is not None
    assert own.errors(values, points) == pytest.approx(spread * (1.2533141 if merge == "median" else 1), rel=1e-6)


def test_copies_are_noisy_where_numbers_are() -> None:
    """Noise in each number's own spread; flags and what is missing stay, and the first row is the record."""
    own = plan(copies=5, noise=0.2)
    copies = copies_of(own, POINTS)
    off = copies - POINTS[:, None]
    assert (off[..., 3] == 0).all()
    assert np.isnan(off[2, :, 1]).all()
    assert np.isfinite(np.delete(off[2], 1, axis=1)).all()
    assert (off[0, :, :3] != 0).all()
    assert off[0] == pytest.approx(off[1], abs=1e-6)  # the same noise for all records
    first = own.rows(POINTS, np.arange(3), np.zeros(3, dtype=np.int64))
    assert np.array_equal(first, POINTS, equal_nan=True)


def test_noise_has_its_size() -> None:
    """Of many copies the spread of the noise is the wanted share of each number's own."""
    spec = Spec(copies=1000, noise=0.2)
    own = plans_of(spec, ground(spec))(0)
    n = (own.asks - 1) // 1000
    rows = own.rows(POINTS[:1], np.zeros(1000, dtype=np.int64), 1 + n * np.arange(1000))
    assert (rows - POINTS[0])[:, :3].std(axis=0) == pytest.approx([0.2, 0.4, 0.1], rel=0.1)


def test_plans_are_others_by_their_noise() -> None:
    """An explainer that draws nothing draws with copies; the same plan is the same again, and the merge is named."""
    assert not drawn(bare(), bare(number=1))
    assert drawn(plan(), plan(number=1))
    assert plan().digest == plan().digest
    assert len({plan(merge=merge, noise=n).digest for merge in ("mean", "median") for n in (0.1, 0.3)}) == 4
    assert plan().digest == plan(noise=0.1).digest  # the usual noise, written out
    assert plan("shapley").digest != plan("lime").digest


def test_rows_do_not_depend_on_what_is_asked_with_them() -> None:
    """One by one, and on another array library, the same bits."""
    own = plan("shapley")
    t, which = np.arange(own.asks)[::7], np.arange(own.asks)[::7] % 2
    whole = own.rows(POINTS, which, t)
    alone = np.concatenate([own.rows(POINTS, which[i : i + 1], t[i : i + 1]) for i in range(len(t))])
    assert whole.tobytes() == alone.tobytes()
    other = own.rows(xp.asarray(POINTS), xp.asarray(which), xp.asarray(t))
    assert np.asarray(other).tobytes() == whole.tobytes()


def test_named() -> None:
    assert named(Spec("lime")) == "lime"
    assert named(Spec("lime", copies=8, merge="median")) == "lime, the median of 8 noisy copies"


def test_filled_otherwise() -> None:
    """Tables: the nearest reference rows; signals: other patients' values; what takes nothing out: nothing."""
    own = ground(Spec())
    name, spec, near = filled_otherwise(Spec(), own, POINTS[0])
    assert (name, spec) == ("conditional", Spec())
    unit = own.sd
    far = [float((((row - POINTS[0]) / unit) ** 2).sum()) for row in own.background]
    assert len(near.background) == 4
    assert {row.tobytes() for row in near.background} == {own.background[i].tobytes() for i in np.argsort(far)[:4]}
    filled = Spec(fill="own")
    name, spec, other = filled_otherwise(filled, ground(filled), POINTS[0])
    assert (name, spec.fill, other.fill) == ("other_fill", "rows", None)
    for kind in ("gradient", "smoothgrad", "lime", "lime-compat", "exported"):
        assert filled_otherwise(Spec(kind), own, POINTS[0])[0] == ""
