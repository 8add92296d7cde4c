"""Inputs with a trigger stand out by each score on a model whose trigger is known."""

from __future__ import annotations

import numpy as np

from medaudit.oracle.suspicion import discoveries, held_in_blends, kept_under, larger, odd_absence, strange, uneven

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


def test_what_is_alone_is_strange() -> None:
    clean = RNG.normal(size=(80, 5)) * [1, 10, 0.1, 1, 1]
    clean[:, 4] = 1.0  # a response that never differs
    far = clean[:4] + np.array([0, 0, 2.0, 0, 0])
    found, usual = strange(np.concatenate([clean[:4] + 1e-9, far]), clean)
    assert usual.shape == (80,)
    assert found[4:].min() > np.quantile(usual, 0.95)
    assert found[:4].max() <= usual.max()
    assert larger(found[4:], usual) < 0.01 < larger(usual[:40], usual[40:])


def test_false_discoveries_are_few() -> None:
    """Of named ones, over many draws, at most the share asked for is honest; all-honest sets are rarely named."""
    wrong, named = 0.0, 0
    for _ in range(400):
        p = RNG.random(50)
        p[:10] = RNG.random(10) * 1e-3
        picked = discoveries(p, 0.1)
        named += int(picked.sum())
        wrong += picked[10:].sum() / max(1, picked.sum())
    assert wrong / 400 <= 0.1
    assert named / 400 > 9
    np.testing.assert_array_equal(discoveries(np.array([0.04, 0.9, 0.02]), 0.1), [True, False, True])
    assert discoveries(np.zeros(0), 0.1).size == 0
