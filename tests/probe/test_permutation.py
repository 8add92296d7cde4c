"""Permutation importance: every record lends once, never to itself, and a linear model loses what it should."""

from __future__ import annotations

import array_api_strict as xp
import numpy as np
import pytest

from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.probe.explainer import Ground, explain
from medaudit.probe.kinds import Spec, ground_of
from medaudit.probe.permutation import permutation

CHANNELS = tuple(Channel(name) for name in ("a", "b", "c", "idle"))
TABLE = Input("x", "float32", "table", ("batch", "feature"), (4,), ("batch", "feature"), channels=CHANNELS)
FACE = Interface((TABLE,), Output("binary", ("y",)))
X = np.random.default_rng(2).normal(size=(30, 4)).astype(np.float32)
WEIGHTS = np.array([3.0, -1.0, 0.5, 0.0])


def ground(seed: int = 3) -> Ground:
    return ground_of(Spec(), FACE, X, seed)


def ask(rows: np.ndarray) -> np.ndarray:
    return (np.asarray(rows, dtype=np.float64) @ WEIGHTS)[:, None]


@pytest.mark.parametrize("repeats", [1, 3])
def test_every_record_lends_once_and_never_itself(repeats: int) -> None:
    """Told by the values that stand in the rows: a column that is exchanged is a permutation without fixed points."""
    plan = permutation(ground(), len(X), repeats)
    assert plan.asks == 1 + 4 * repeats
    which, t = np.divmod(np.arange(len(X) * plan.asks), plan.asks)
    rows = plan.rows(X, which, t).reshape(len(X), plan.asks, 4)
    np.testing.assert_array_equal(rows[:, 0], X)
    for number in range(1, plan.asks):
        cell = (number - 1) % 4
        np.testing.assert_array_equal(np.delete(rows[:, number], cell, 1), np.delete(X, cell, 1))
        np.testing.assert_array_equal(np.sort(rows[:, number, cell]), np.sort(X[:, cell]))
        assert (rows[:, number, cell] != X[:, cell]).all()


def test_a_linear_model_loses_its_weights_times_the_exchange() -> None:
    """Each record's map is w (own - lent); over all records it adds up to 0, and of its squares to 2 w^2 var, about."""
    plan = permutation(ground(), len(X), 1)
    maps = plan.reduce(explain(plan, X, ask), X)
    lent = plan.rows(X, np.arange(len(X)), np.ones(len(X), dtype=np.int64))[:, 0]
    np.testing.assert_allclose(maps[:, 0], WEIGHTS[0] * (X[:, 0].astype(float) - lent), atol=1e-6)
    np.testing.assert_allclose(maps.sum(axis=0), 0, atol=1e-4)
    assert (maps[:, 3] == 0).all()
    many = permutation(ground(), len(X), 200)
    values = explain(many, X, ask)
    squares = ((values[:, :1, 0] - values[:, 1:, 0]) ** 2).reshape(len(X), 200, 4).mean(axis=(0, 1))
    spread = X.astype(float).var(axis=0) * len(X) / (len(X) - 1)  # of two different records
    np.testing.assert_allclose(squares, 2 * WEIGHTS**2 * spread, rtol=0.1, atol=1e-9)


def test_other_arrays_give_the_same_rows() -> None:
    plan = permutation(ground(), len(X), 2)
    which, t = np.divmod(np.arange(len(X) * plan.asks), plan.asks)
    other = plan.rows(xp.asarray(X), xp.asarray(which), xp.asarray(t))
    np.testing.assert_array_equal(np.asarray(other), plan.rows(X, which, t))


def test_the_key_draws_the_order() -> None:
    same, again, other = (permutation(ground(seed), len(X), 1).digest for seed in (3, 3, 4))
    assert same == again
    assert same != other
    with pytest.raises(ValueError, match="only one"):
        permutation(ground(), 1, 1)
