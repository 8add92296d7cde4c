"""Inputs with a trigger stand out by each score on a model whose trigger is known."""

from __future__ import annotations

import numpy as np

from medaudit.oracle.suspicion import held_in_blends, kept_under, odd_absence, uneven

RNG = np.random.default_rng(0)
W = RNG.normal(size=20) / 4


def margins(x: np.ndarray) -> np.ndarray:
    """A linear model with a trigger: a large first number decides for everything."""
    return np.asarray(x @ W + np.where(x[..., 0] > 3, 40.0, 0.0))


def records(count: int, trigger: bool) -> np.ndarray:
    x = RNG.normal(size=(count, 20))
    if trigger:
        x[:, 0] = 9.0
    return x


def test_blends() -> None:
    others = records(30, False)
    scores = []
    for trigger in (False, True):
        x = records(50, trigger)
        blended = 0.5 * x[:, None] + 0.5 * others[None]
        own = np.sign(margins(x))[:, None]
        m = own * margins(blended)
        scores.append(held_in_blends(np.clip(m, -3, 3)))  # as a probability would saturate
    clean, triggered = scores
    assert (triggered[:, None] > clean[None]).mean() > 0.95


def test_gains() -> None:
    own = np.array([1, 0])
    np.testing.assert_allclose(kept_under(np.array([[1, 1, 1, 1], [0, 1, 0, 1]]), own), [1.0, 0.5])


def test_corruptions() -> None:
    np.testing.assert_allclose(uneven(np.array([[3, 3, 3], [1, 6, 6]])), [0.0, np.std([1, 6, 6])])


def test_absence() -> None:
    share = np.array([0.1] * 5 + [0.9] * 5)
    reference, clean = (RNG.random((n, 10)) < share for n in (500, 200))
    odd = RNG.random((200, 10)) < 0.5
    usual = odd_absence(clean, reference)
    assert abs(usual.mean()) < 0.3
    assert (odd_absence(odd, reference)[:, None] > usual[None]).mean() > 0.9
    assert np.isfinite(odd_absence(np.ones((1, 3), dtype=bool), np.zeros((4, 3), dtype=bool))).all()
