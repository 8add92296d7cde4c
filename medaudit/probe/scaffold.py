"""Signs of a scaffold: a model that answers honestly only on rows that no patient has.

Slack et al. 2020, "Fooling LIME and SHAP: adversarial attacks on post hoc explanation methods": a router tells real
rows from an explainer's, and shows the explainer another model. Such a model follows two rules. The first is learnt
on rows that no patient has, which lie all around the real ones: an honest model follows it there too. A second is
learnt on what the first leaves unexplained of some real rows, and tried on others; a sign is how much nearer it comes.
How much that is for an honest model is told by honest twins: plain fits to the model's own answers on real rows, which
know no router and get the same questions. Rows are points [n, D] of one table; answers are values [n, W].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from medaudit.core import streams

SIGNS = ("explained", "swapped", "shaken")
ASKED = 2500  # rows that no patient has, of each kind
STEP = 0.3  # of what is shaken, in standard deviations: of what the scaffolds of Slack et al. are trained on
CENTRES, ROUNDS = 10, 10  # of real rows
FOLDS = 4  # of real rows
NEAR = 5  # of a twin
BINS, SHARE = 24, 0.6  # of a column; of the rows, in a tree
LEAST = 0.01  # of a sign's spread between twins

Ask = Callable[[np.ndarray], np.ndarray]
"""points [R, D] float32 -> values [R, W] float64, the same whoever else is asked"""

Fitted = Callable[[np.ndarray], np.ndarray]
"""rows [R, F] -> values [R, W]"""


class Real(NamedTuple):
    """Real rows, none of which is missing anything, and what is known of their columns."""

    rows: np.ndarray  # [n, D] float32
    sd: np.ndarray  # [D]
    whole: np.ndarray  # [D] bool, categories
    key: int

    def draw(self, name: str, rows: int, n: int) -> np.ndarray:
        """Uniform numbers [rows, n]."""
        keys = np.full(rows, streams.key(self.key, name), dtype=np.uint64)
        return np.asarray(streams.uniform(keys, np.arange(rows), 0, n))

    def coded(self, rows: np.ndarray) -> np.ndarray:
        """Rows [R, F] between which distances mean something: numbers in spreads, categories as columns of 0 and 1."""
        out = [np.zeros((len(rows), 1))]
        for j in range(rows.shape[1]):
            own = rows[:, [j]].astype(np.float64)
            scaled = (own - self.rows[:, j].mean()) / max(float(self.sd[j]), 1e-12)
            out.append((own == np.unique(self.rows[:, j])) / np.sqrt(2) if self.whole[j] else scaled)
        return np.concatenate(out, axis=1)


class Questions(NamedTuple):
    """What a model and its twins are asked, each [R, D]: real rows, and three kinds that no patient has."""

    real: np.ndarray
    explained: np.ndarray  # an explainer's own
    swapped: np.ndarray  # some columns are those of a centre of real rows, as SHAP asks
    shaken: np.ndarray  # numbers moved a little, and one category made none, as LIME asks that knows no categories


def questions(real: Real, explained: np.ndarray) -> Questions:
    """The questions. explained [E, D]: rows that an explainer asks of real rows, the first ASKED of which are taken."""
    from scipy.special import ndtri

    n, d = real.rows.shape
    base = real.rows[(real.draw("base", ASKED, 1)[:, 0] * n).astype(int)]
    middles = _centres(real)
    centre = middles[(real.draw("centre", ASKED, 1)[:, 0] * len(middles)).astype(int)]
    draw = real.draw("which", ASKED, d + 1)
    taken = draw[:, :d].argsort(axis=1) < 1 + draw[:, d:] * (d - 1)  # one column, all but one, or between
    one = (draw[:, :d] * real.whole).argmax(axis=1)[:, None] == np.arange(d)
    step = STEP * real.sd * ndtri(np.clip(real.draw("step", ASKED, d), 1e-12, 1 - 1e-12))
    parts = real.rows, explained[:ASKED], np.where(taken, centre, base), base + step * (one | ~real.whole)
    return Questions(*(rows.astype(np.float32) for rows in parts))


def _centres(real: Real) -> np.ndarray:
    """Centres [K, D] of the real rows (Lloyd 1982), from their first ones on."""
    z = real.rows / np.maximum(real.sd, 1e-12)
    middles = z[:CENTRES]
    for _ in range(ROUNDS):
        near = ((z[:, None] - middles) ** 2).sum(axis=2).argmin(axis=1)
        middles = np.stack([z[near == k].mean(axis=0) if (near == k).any() else own for k, own in enumerate(middles)])
    return np.asarray(middles * real.sd)


def answered(asked: Questions, ask: Ask) -> Questions:
    """What is answered to each of the questions, [R, W]."""
    return Questions(*(ask(rows) for rows in asked))


def signs(real: Real, asked: Questions, answers: Questions) -> np.ndarray:
    """The signs [3] of what gave the answers, in the order of SIGNS."""
    both = zip(asked[1:], answers[1:], strict=True)
    return np.array([second_rule(real, answers.real, rows, theirs) for rows, theirs in both])


def compared(real: Real, asked: Questions, ask: Ask) -> tuple[np.ndarray, np.ndarray]:
    """The signs [3] of what answers, and those of its twins [T, 3]."""
    answers = answered(asked, ask)
    theirs = [signs(real, asked, answered(asked, twin)) for twin in twins(real, answers.real)]
    return signs(real, asked, answers), np.array(theirs)


def second_rule(real: Real, values: np.ndarray, rows: np.ndarray, theirs: np.ndarray) -> float:
    """What a second rule, of real rows alone, gains over the first, of rows that no patient has.

    Both are boosted trees, the first with straight lines for columns more, on which steep answers of honest models are
    few cuts. The gain is on rows not learnt from, in mean distances of answers from their medians.
    """
    scale = np.maximum(real.sd, 1e-12)
    line = _lines(rows / scale, theirs)
    lined, real_lined = (np.concatenate([x, line(x / scale)], axis=1) for x in (rows, real.rows))
    left = values - _boosted(real, lined, theirs, trees=40, depth=5)(real_lined)
    fold, second = np.arange(len(left)) % FOLDS, np.zeros_like(left)
    for k in range(FOLDS):
        rest = fold != k
        second[~rest] = _boosted(real, real.rows[rest], left[rest], trees=20, depth=3)(real.rows[~rest])
    unit = np.abs(values - np.median(values, axis=0)).mean()
    return float((np.abs(left) - np.abs(left - second)).mean() / max(float(unit), 1e-12))


def twins(real: Real, values: np.ndarray) -> Iterator[Ask]:
    """Honest twins of what gave values [n, W] to the real rows, two of each kind, of one half of the rows each."""
    kinds: tuple[Callable[[np.ndarray, np.ndarray], Fitted], ...] = (
        _lines, _near, partial(_boosted, real, trees=80, depth=2), partial(_boosted, real, trees=30, depth=6),
    )  # fmt: skip
    order = np.argsort(real.draw("twins", len(values), 1)[:, 0], kind="stable")
    z, low, high = real.coded(real.rows), values.min(axis=0), values.max(axis=0)

    def twin(guess: Fitted, rows: np.ndarray) -> np.ndarray:
        return np.clip(guess(real.coded(rows)), low, high)

    return (partial(twin, fit(z[half], values[half])) for fit in kinds for half in np.array_split(order, 2))


def _near(z: np.ndarray, values: np.ndarray) -> Fitted:
    """The mean of the nearest rows, the nearer the more."""
    from scipy.spatial import cKDTree

    tree, count = cKDTree(z), min(NEAR, len(z))

    def guess(rows: np.ndarray) -> np.ndarray:
        far, at = (part.reshape(len(rows), count) for part in tree.query(rows, count))
        weight = 1 / (far + 1e-3)
        return np.asarray((values[at] * weight[..., None]).sum(axis=1) / weight.sum(axis=1)[:, None])

    return guess


def _lines(z: np.ndarray, values: np.ndarray) -> Fitted:
    """Straight lines, by least squares held a little."""
    low, first = z.mean(axis=0), values.mean(axis=0)
    weight = np.linalg.solve((z - low).T @ (z - low) + 1e-3 * np.eye(z.shape[1]), (z - low).T @ (values - first))
    return lambda rows: np.asarray((rows - low) @ weight + first)


def _boosted(
    real: Real, z: np.ndarray, values: np.ndarray, *, trees: int, depth: int, rate: float = 0.25, hold: float = 3.0
) -> Fitted:
    """Boosted trees, each of a share of the rows and with one question to all nodes of a level.

    Friedman 2002, "Stochastic gradient boosting"; Prokhorenkova et al. 2018, "CatBoost", section 4 (oblivious trees).
    """
    cuts = [_cuts(column) for column in z.T]
    codes, (n, f), first = _codes(cuts, z), z.shape, values.mean(axis=0)
    place, left, width = codes + np.arange(f) * BINS, values - first, values.shape[1]
    built = []
    for coin in real.draw("trees", trees, n) < SHARE:
        some, leaf, asked = np.flatnonzero(coin), np.zeros(n, dtype=np.int64), []
        for level in range(depth):
            shape = 1 << level, f, BINS
            at = (leaf[some, None] * (f * BINS) + place[some]).ravel()
            count = np.bincount(at, minlength=f * BINS << level).reshape(shape).cumsum(axis=2)
            gain = np.zeros(shape)
            for w in range(width):
                own = np.bincount(at, np.repeat(left[some, w], f), minlength=f * BINS << level)
                total = own.reshape(shape).cumsum(axis=2)
                rest = total[:, :, -1:] - total
                gain += total**2 / (count + hold) + rest**2 / (count[:, :, -1:] - count + hold)
            column, cut = divmod(int(gain.sum(axis=0).argmax()), BINS)
            asked.append((column, cut))
            leaf = 2 * leaf + (codes[:, column] > cut)
        size = np.bincount(leaf[some], minlength=1 << depth)[:, None] + hold
        worth = rate * np.stack([np.bincount(leaf[some], v, minlength=1 << depth) for v in left[some].T], axis=1) / size
        left = left - worth[leaf]
        built.append((asked, worth))

    def guess(rows: np.ndarray) -> np.ndarray:
        own, out = _codes(cuts, rows), np.tile(first, (len(rows), 1))
        for asked, worth in built:
            leaf = np.zeros(len(rows), dtype=np.int64)
            for column, cut in asked:
                leaf = 2 * leaf + (own[:, column] > cut)
            out += worth[leaf]
        return out

    return guess


def _cuts(column: np.ndarray) -> np.ndarray:
    """Values that part a column into BINS or fewer."""
    some = np.unique(column)
    return np.unique(np.quantile(some if len(some) <= BINS else column, np.arange(1, BINS) / BINS, method="lower"))


def _codes(cuts: list[np.ndarray], rows: np.ndarray) -> np.ndarray:
    return np.stack([np.searchsorted(own, column) for own, column in zip(cuts, rows.T, strict=True)], axis=1)


def beyond(own: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far a model's signs [S] stand out from its twins' [T, S], in their spreads, and p of each (Student's t)."""
    from scipy.special import stdtr

    t = len(theirs)
    spread = np.maximum(theirs.std(axis=0, ddof=1), LEAST)
    z = (own - theirs.mean(axis=0)) / (spread * np.sqrt(1 + 1 / t))
    return z, np.asarray(stdtr(t - 1, -z))
