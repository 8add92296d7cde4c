"""Fixed lists of questions: every one asked once, of every lane, whoever else is there."""

from __future__ import annotations

import numpy as np
import pytest

from medaudit.core.arrays import Array
from medaudit.core.protocol import Attack, Lanes
from medaudit.engine.inline import run_inline
from medaudit.probe.questions import questions

COUNT = 11


def lanes(samples: list[int]) -> Lanes:
    n = len(samples)
    x = np.asarray(samples, dtype=np.float32)[:, None] * np.ones((1, 3), np.float32)
    zero = np.zeros(n, dtype=np.int64)
    return Lanes(np.asarray(samples, dtype=np.uint64), x, x, x, None, np.zeros((n, 1), np.float32), zero, zero - 1)


def probe(at_once: int, votes: int = 1) -> Attack:
    """Question t of a record adds t to it; sums of its even and odd answers are kept."""

    def points(own: Lanes, t: Array) -> Array:
        return own.x + t[:, None].astype(np.float32)

    def note(own: Lanes, t: Array, answers: Array) -> tuple[Array, Array]:
        return t % 2, answers[:, 0]

    return questions("sums", COUNT, 2, points, note, at_once=at_once, votes=votes)


@pytest.mark.parametrize("at_once", [1, 4, 100])
@pytest.mark.parametrize("block", [1, 3, 64])
def test_every_question_is_asked_once(at_once: int, block: int) -> None:
    asked: list[float] = []

    def answer(points: np.ndarray) -> np.ndarray:
        asked.extend(points[:, 0].tolist())
        return points[:, :1]

    samples = [0, 100, 200, 300, 400]
    done = run_inline([("p", probe(at_once), COUNT, lanes, samples)], answer, block)
    assert sorted(asked) == sorted(s + t for s in samples for t in range(COUNT))
    for one in done:
        assert one.rows == COUNT
        assert not one.exhausted
        assert one.arrays["kept"].tolist() == [
            sum(one.sample + t for t in range(0, COUNT, 2)), sum(one.sample + t for t in range(1, COUNT, 2))
        ]  # fmt: skip


def test_answers_that_are_not_finite_are_counted_and_not_kept() -> None:
    def answer(points: np.ndarray) -> np.ndarray:
        return np.where(points[:, :1] == 4, np.nan, points[:, :1]).astype(np.float32)

    (one,) = run_inline([("p", probe(4, votes=3), 3 * COUNT, lanes, [0])], answer, 8)
    assert one.rows == 3 * COUNT
    assert one.arrays["invalid"] == 3
    assert one.arrays["kept"].tolist() == [2 + 6 + 8 + 10, 1 + 3 + 5 + 7 + 9]
