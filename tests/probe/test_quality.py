"""What a map is worth: known answers from additive models, and maps that are as good as lots."""

from __future__ import annotations

import numpy as np
import pytest

from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.probe.explainer import Explainer, Ground, explain
from medaudit.probe.kinds import Spec, ground_of
from medaudit.probe.quality import ORDERS, complete, removal, sparse, stability

COLUMNS = 12
CHANNELS = tuple(Channel(f"c{k}", sd=1.0) for k in range(COLUMNS))
AXES = ("batch", "feature")
FACE = Interface(
    (Input("x", "float32", "table", AXES, (COLUMNS,), AXES, channels=CHANNELS),), Output("binary", ("y",))
)  # fmt: skip
RNG = np.random.default_rng(8)
REFERENCE = RNG.normal(size=(40, COLUMNS)).astype(np.float32)
WEIGHTS = np.array([5, -4, 3, 2.5, -2, 1.5, 1, -0.8, 0.6, 0.4, -0.2, 0.1])
POINT = np.ones((1, COLUMNS), dtype=np.float32) * 2


def ground(**more: object) -> Ground:
    return ground_of(Spec(background=10, **more), FACE, REFERENCE, 1)  # type: ignore[arg-type]


def ask(rows: np.ndarray) -> np.ndarray:
    return (rows.astype(np.float64) @ WEIGHTS)[:, None]


def told(own: np.ndarray, plan: int = 0, **more: object) -> np.ndarray:
    out: Explainer = removal(ground(**more), own, plan)
    return out.reduce(explain(out, POINT, ask), POINT)[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize("fill", ["rows", "own"])
def test_the_true_order_beats_every_lot_and_its_reverse_none(fill: str) -> None:
    """Of an additive model; taking out begins with what speaks for the answer most."""
    own = WEIGHTS * (POINT[0] - ground().background.mean(axis=0))
    assert told(own, fill=fill)[:2].tolist() == [1, 1]
    assert told(-own, fill=fill)[:2].tolist() == [0, 0]


def test_any_order_is_as_good_as_another() -> None:
    """Maps drawn by lot beat half of the lots, over many."""
    every = np.stack([told(RNG.normal(size=COLUMNS), plan)[:2] for plan in range(60)])
    assert every.mean(axis=0) == pytest.approx([0.5, 0.5], abs=0.13)


def test_ties_are_half() -> None:
    """A model that does not look at its input tells nobody apart."""
    out = removal(ground(), WEIGHTS)
    values = np.ones((1, out.asks, 1))
    assert out.reduce(values, POINT)[0].tolist() == [0.5, 0.5, 1.0]


def test_one_cell_has_one_order() -> None:
    """Nothing can be told of a map of one cell."""
    channels = (Channel("c0", sd=1.0),)
    face = Interface((Input("x", "float32", "table", AXES, (1,), AXES, channels=channels),), Output("binary", ("y",)))
    one = ground_of(Spec(), face, REFERENCE[:, :1], 1)
    out = removal(one, np.array([3.0]))
    values = explain(out, POINT[:, :1], lambda rows: rows.astype(np.float64))
    assert out.reduce(values, POINT[:, :1])[0] == pytest.approx([0.5, 0.5, one.background.mean()], abs=1e-6)


def test_nothing_is_the_mean_of_the_background() -> None:
    own = ground()
    assert told(WEIGHTS)[2] == pytest.approx(float((own.background @ WEIGHTS).mean()), abs=1e-5)


def test_masks_are_nested_and_paired() -> None:
    """What deletion keeps and insertion keeps are complements, step by step, of all orders."""
    out = removal(ground(fill="own"), WEIGHTS)
    rows = out.rows(POINT, np.zeros(out.asks, dtype=np.int64), np.arange(out.asks))
    kept = (rows == POINT)[1:-1].reshape(2, 1 + ORDERS, -1, COLUMNS)
    assert (kept[0] != kept[1]).all()
    assert (np.diff(kept[0].sum(axis=2), axis=1) < 0).all()
    assert ((kept[0][:, 1:] & ~kept[0][:, :-1]).sum()) == 0  # what is gone stays gone
    first = np.flatnonzero(~kept[0][0, 0])
    assert first.tolist() == [0]  # the largest weight of the map leaves first


def test_complete_by_hand() -> None:
    assert complete(np.array([1.0, 2.0, -0.5]), 3.0, 0.5) == 0
    assert complete(np.array([1.0, 0.0]), 3.0, 1.0) == pytest.approx(0.5)


def test_sparse_by_hand() -> None:
    alike, alone = sparse(np.ones(8)), sparse(np.eye(8)[2])
    assert (alike["gini"], alike["entropy"]) == pytest.approx((0, 1))
    assert (alone["gini"], alone["entropy"]) == pytest.approx((7 / 8, 0))


def test_stability_by_hand() -> None:
    """Three changes of a map [3, 4]: by nothing, by its own length, by half of it."""
    own = np.array([3.0, 4.0])
    others = np.array([[3.0, 4.0], [8.0, 4.0], [3.0, 6.5]])
    found = stability(own, others, np.array([0.1, 0.5, 0.1]), 2.0, np.array([2.0, 3.0, 2.5]))
    assert found["max_sensitivity"] == pytest.approx(1)
    assert found["input_stability"] == pytest.approx(5)  # .5 / .1, more than 1 / .5
    assert found["output_stability"] == pytest.approx(2)  # 1 / (1 / 2), and .5 / (.5 / 2)
    assert found["follows"] == pytest.approx(1)
    assert np.isnan(found["representation_stability"])
    seen = stability(own, others, np.full(3, 0.1), 2.0, np.array([2.0, 3.0, 2.5]), np.array([0.0, 0.25, 0.25]))
    assert seen["representation_stability"] == pytest.approx(4)  # 1 / .25
    still = stability(own, others, np.array([0.1, 0.5, 0.1]), 2.0, np.full(3, 2.0))
    assert np.isnan(still["follows"])
    assert still["output_stability"] == pytest.approx(1000)  # the answer did not move: its least
