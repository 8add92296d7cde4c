"""Credit cell by cell: what each cell gains is kept, another record lends, and the answer stays in balance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from medaudit.core.compose import compose
from medaudit.core.protocol import Explained, Lanes, Loss, Oracle, Search
from medaudit.core.region import LINF, Part, Region
from medaudit.engine.inline import run_inline
from medaudit.search import credit

Answer = Callable[[np.ndarray], np.ndarray]
Score = Callable[[Lanes, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
CELLS, EACH, LANES = 40, 3, 4
RNG = np.random.default_rng(8)
X, OTHER = (RNG.normal(size=(LANES, CELLS * EACH)).astype(np.float32) for _ in range(2))
OTHER += np.float32(0.25)
OF = np.repeat(np.arange(CELLS), EACH)


def cells(points: np.ndarray) -> np.ndarray:
    """A cell's number: the mean of its entries."""
    return np.asarray(points, dtype=np.float64).reshape(len(points), CELLS, EACH).mean(axis=2)


def model(points: np.ndarray) -> np.ndarray:
    """Answers: what the cells add up to, and each of them."""
    own = cells(points)
    return np.concatenate([own.sum(axis=1, keepdims=True), own], axis=1).astype(np.float32)


WANTED = cells(OTHER)


def losses(lanes: Lanes, lane: np.ndarray, answers: np.ndarray) -> Loss:
    """Distance of each cell from the other record's; the sum may move by 1."""
    clean = cells(X)[lane]
    own = np.asarray(answers, dtype=np.float64)
    return Loss(np.abs(own[:, 1:] - WANTED[lane]), own[:, 1:] - clean, own[:, 0] - clean.sum(axis=1))


def score(lanes: Lanes, lane: np.ndarray, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean distance, in shares of the clean one's; where the sum left its place it is worse than any."""
    own, clean = np.asarray(answers, dtype=np.float64), cells(X)[lane]
    far = np.abs(own[:, 0] - clean.sum(axis=1))
    led = np.abs(own[:, 1:] - WANTED[lane]).mean(axis=1) / np.abs(clean - WANTED[lane]).mean(axis=1) / 2
    return np.where(far <= 1, led, 1 + far).astype(np.float32), np.zeros(len(own), dtype=bool)


def best_of(
    search: Search, answers: Answer, scored: Score, rows: int, eps: float = 3.0, ask: Answer | None = None
) -> np.ndarray:
    """Best scores [LANES] of so many rows a lane, in a box of eps. ask: what the engine asks, if not `answers`."""
    parts = (Part("table", 1, 1, CELLS * EACH),)
    area = Region(LINF, eps, np.ones(CELLS * EACH, dtype=np.float32), None, parts)

    def lanes(samples: list[int]) -> Lanes:
        own = X[samples]
        keys, zero, edge = np.array(samples, dtype=np.uint64), np.zeros(len(samples), dtype=np.int64), np.float32(eps)
        return Lanes(keys, own, own - edge, own + edge, None, answers(own), zero, np.array(samples))

    attack = compose(search, Oracle("led", scored), area, stop="budget", keep_worst=True)
    done = run_inline([("c", attack, rows, lanes, list(range(LANES)))], ask or answers, 512, 512)
    best = np.stack([f.arrays["worst"] for f in sorted(done, key=lambda f: f.sample)])
    every = np.arange(LANES)
    return scored(lanes(every.tolist()), every, answers(best))[0]


def run(donors: bool, rows: int, eps: float = 3.0) -> tuple[np.ndarray, list[np.ndarray]]:
    """Best scores [LANES], and the first rows that were asked of each lane."""
    first: list[np.ndarray] = []

    def answer(points: np.ndarray) -> np.ndarray:
        first.append(points)
        return model(points)

    lent = (lambda lanes: OTHER[lanes.target]) if donors else None
    return best_of(credit.search(Explained(OF, CELLS, losses, lent)), model, score, rows, eps, answer), first


def test_cells_that_gain_are_kept_while_the_sum_stays() -> None:
    """From .5 to near the least that can be: the whole way would move the sum too far, so part of it is left."""
    gap = np.abs(cells(OTHER).sum(axis=1) - cells(X).sum(axis=1))
    assert (gap > 1).all()
    least = (gap - 1) / np.abs(cells(OTHER) - cells(X)).sum(axis=1) / 2
    for donors, rows in ((False, 800), (True, 160)):
        found = run(donors, rows)[0]
        assert (found >= least - 1e-6).all()
        assert (found < least + 0.05).all()


def test_the_first_rows_lead_to_the_other_record() -> None:
    """The record itself, and a sixth more of the other one in each."""
    _, asked = run(donors=True, rows=credit.ROWS, eps=100)
    rows = np.concatenate(asked).reshape(LANES, credit.ROWS, -1)
    for k in range(credit.ROWS - 2):
        share = (k + 1) / (credit.ROWS - 2)
        assert np.abs(rows[:, 2 + k] - (X + share * (OTHER - X))).max() < 1e-4


TEXTURE = np.random.default_rng(4).choice([-1.0, 1.0], size=CELLS * EACH)


def test_ends_of_boxes_lead_further_away() -> None:
    """Cells that follow textures: patterns of ends and flips of runs find them sooner than stretches of one height."""

    def textured(points: np.ndarray) -> np.ndarray:
        own = cells(np.asarray(points, dtype=np.float64) * TEXTURE)
        return np.concatenate([own.sum(axis=1, keepdims=True), own], axis=1).astype(np.float32)

    def away(ends: bool) -> float:
        clean = textured(X).astype(np.float64)

        def lost(lanes: Lanes, lane: np.ndarray, answers: np.ndarray) -> Loss:
            off = np.asarray(answers, dtype=np.float64) - clean[lanes.target[lane]]
            return Loss(-np.abs(off[:, 1:]), off[:, 1:], off[:, 0])

        def scored(lanes: Lanes, lane: np.ndarray, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            off = np.asarray(answers, dtype=np.float64) - clean[lanes.target[lane]]
            far = np.abs(off[:, 1:]).mean(axis=1)
            led = np.where(np.abs(off[:, 0]) <= 1, -far, 1 + np.abs(off[:, 0]))
            return led.astype(np.float32), np.zeros(len(led), dtype=bool)

        search = credit.search(Explained(OF, CELLS, lost), ends)
        return float(best_of(search, textured, scored, 160).mean())

    assert away(True) < 1.15 * away(False) < 0
