"""A router that tells real rows from an explainer's is seen; the same models without it are not."""

from __future__ import annotations

import numpy as np
import pytest

from medaudit.probe import scaffold
from medaudit.probe.scaffold import Ask, Real
from medaudit.stats.chance import holm

N, WIDE = 300, 6
RNG = np.random.default_rng(4)
HIDDEN = RNG.normal(size=(N, 1))
ROWS = (HIDDEN + 0.1 * RNG.normal(size=(N, WIDE))).astype(np.float32)  # what real rows have in common
ROWS[:, 0] = RNG.random(N) < 0.5  # sex
REAL = Real(ROWS, ROWS.std(axis=0).astype(np.float64), np.arange(WIDE) == 0, 11)
OTHERS = np.random.default_rng(5)
SWAPPED = np.where(
    OTHERS.random((800, WIDE)) < 0.5, ROWS[OTHERS.integers(N, size=800)], ROWS[OTHERS.integers(N, size=800)]
)


def biased(rows: np.ndarray) -> np.ndarray:
    """By sex alone."""
    return np.where(rows[:, :1] > 0.5, 0.9, 0.1)


def innocuous(rows: np.ndarray) -> np.ndarray:
    """By another column."""
    return np.where(rows[:, 3:4] > 0, 0.9, 0.1)


def routed(rows: np.ndarray) -> np.ndarray:
    """The biased one where the columns agree with each other as a patient's do."""
    rows = np.asarray(rows, dtype=np.float64)
    real = (np.abs(rows[:, 1:] - rows[:, 1:].mean(axis=1, keepdims=True)).max(axis=1) < 0.3) & np.isin(
        rows[:, 0], (0, 1)
    )
    return np.where(real[:, None], biased(rows), innocuous(rows))


def smooth(rows: np.ndarray) -> np.ndarray:
    """An honest model of several columns, with an answer for each of two."""
    one = 1 / (1 + np.exp(-(rows[:, 1:2] - rows[:, 2:3] * rows[:, :1] + 2 * rows[:, 4:5])))
    return np.concatenate([one, 1 - one], axis=1)


def judged(ask: Ask) -> tuple[np.ndarray, float]:
    """The signs of what answers, and p by Holm."""
    own, theirs = scaffold.compared(REAL, scaffold.questions(REAL, SWAPPED), ask)
    return own, float(holm(scaffold.beyond(own, theirs)[1]).min())


def test_a_scaffold_is_seen() -> None:
    """On the explainer's rows it follows another rule than on patients."""
    own, p = judged(routed)
    assert own[0] > 0.2
    assert p < 0.01


@pytest.mark.parametrize("model", [biased, innocuous, smooth])
def test_an_honest_model_is_not_called_one(model: Ask) -> None:
    """Biased or not: one rule everywhere."""
    own, p = judged(model)
    assert own.max() < 0.1
    assert p > 0.05


def test_questions_are_made_of_real_rows_and_are_the_same_again() -> None:
    """Swapped rows hold centres, shaken ones stand near their row, with one category that is none."""
    asked, again = (scaffold.questions(REAL, SWAPPED) for _ in range(2))
    assert all((a == b).all() for a, b in zip(asked, again, strict=True))
    assert len(asked.swapped) == len(asked.shaken) == scaffold.ASKED
    kept = (asked.swapped[:, None, 1:] == ROWS[None, :, 1:]).any(axis=1)
    assert 0 < kept.mean() < 1
    off = ~np.isin(asked.shaken[:, 0], (0, 1))
    assert off.all()  # the only category is moved every time
    near = np.abs(asked.shaken[:, None, 1:] - ROWS[None, :, 1:]) / REAL.sd[1:]
    assert np.median(near.max(axis=2).min(axis=1)) < 3 * scaffold.STEP


def test_holm_by_hand() -> None:
    """The least p of three counts three times; never above 1."""
    assert holm(np.array([0.01, 0.5, 0.2])).min() == pytest.approx(0.03)
    assert holm(np.array([0.01, 0.5, 0.2])) == pytest.approx([0.03, 0.5, 0.4])
    assert holm(np.array([0.6, 0.9])).min() == 1.0
