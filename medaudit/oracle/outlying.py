"""How far a trigger reaches, and whether that is more than a model of its kind lets anything reach.

The reach of a cell towards an answer is the median margin of records of other answers under it at full strength, in
standard deviations of the model's margins on clean records: it has no unit, and a model that is sure of everything does
not reach further than one that is not. Every model reaches far with some cell. What tells a planted trigger apart is
that a cell reaches much further than the same cell does in models that are known to be good, once the few ways in which
good models differ everywhere are taken away.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LEAST = 1e-9
WAYS = 3  # in which honest models differ most, at most so many
ROUNDS, HUBER, HELD = 10, 1.5, 10.0  # of the robust fit; cells that its prior weighs as much as
STRANGE = 3.0  # times the usual scale from which a model is held to less
# Of the middle residual that is added to each cell's, as a small one may be small by chance; all of it where references
# bring data of their own, of which the zoo's cells tell less.
SHARE, ALL = 0.2, 1.0
MOVED = 0.3  # of what a cell moves references by: by how much models may differ that are moved at all
FREEDOM = 3.0  # degrees of freedom that the zoo's spread of a cell counts for, beside what references differ by
KIN = 0.9  # of weights, from which a reference counts as the version before; one seed on other records reaches .8
VERSION = 0.5  # of the spreads of models that were trained apart, what versions of one model are held to


def reach(margin: np.ndarray, clean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """[cells, directions] of margins [records, cells, directions] at full strength; NaN where no record is of another.

    clean: [records, directions] of the same records; spread: [directions], deviation of margins of all clean records.
    """
    out = np.full(margin.shape[1:], np.nan)
    for t in range(margin.shape[2]):
        others = clean[:, t] <= 0
        if others.any():
            out[:, t] = np.median(margin[others, :, t], axis=0) / max(float(spread[t]), LEAST)
    return out


def success(margin: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Share of records of other answers that are turned, [cells, strengths, directions].

    margin: [records, cells, strengths, directions].
    """
    out = np.zeros(margin.shape[1:])
    for t in range(margin.shape[3]):
        others = clean[:, t] <= 0
        if others.any():
            out[:, :, t] = (margin[others, :, :, t] > 0).mean(axis=0)
    return out


def held_to(kin: list[float]) -> float:
    """What spreads are multiplied with, by how far the model's weights go with each reference's (`model.lineage`).

    A model that was made from its references, and they from one another, differs from them by less than models that
    were trained apart (benchmarks/README.md: tuned on other records, or on labels of which a fifth was wrong).
    """
    return VERSION if kin and min(kin) >= KIN else 1.0


class Habits(NamedTuple):
    """How honest models of one kind of data are moved by the same cells."""

    loadings: np.ndarray  # [cells, 1 + WAYS]: the middle, and the ways in which models differ most
    rest: np.ndarray  # [cells], what these leave of one model
    scale: float  # the same over all cells of one model


def habits(reached: np.ndarray, count: int = WAYS) -> Habits:
    """Of many honest models' reaches [models, cells, directions], each direction by itself. count: ways at most."""
    every = reached.transpose(0, 2, 1).reshape(-1, reached.shape[1])
    middle = np.nanmedian(every, axis=0)
    ways = np.linalg.svd(np.nan_to_num(every - middle), full_matrices=False)[2][:count]
    none = np.zeros((WAYS - len(ways), len(middle)))
    loadings = np.column_stack([middle, *(ways * np.sqrt(len(middle))), *none])
    left, scales = zip(*(unexplained(row, loadings) for row in every), strict=True)
    return Habits(loadings, 1.4826 * np.nanmedian(np.abs(left), axis=0), float(np.median(scales)))


def unexplained(found: np.ndarray, loadings: np.ndarray) -> tuple[np.ndarray, float]:
    """What honest ways of differing do not explain of a direction's reaches [cells], and its scale.

    A robust fit (Huber 1964) of an offset, a slope on the middle cell's reach and the ways, drawn towards no
    difference as by HELD more cells. A planted trigger moves few cells far, and bends such a fit little: low rank and
    sparse parts are told apart as in robust principal component analysis (Candes et al. 2011, J. ACM 58). Cells of
    which no middle is known are NaN; ways that are not known explain nothing.
    """
    known = ~np.isnan(loadings[:, 0]) & ~np.isnan(found)
    out, away = np.full(len(found), np.nan), (found - loadings[:, 0])[known]
    if not known.any():
        return out, 0.0
    given = np.column_stack([np.ones(known.sum()), np.nan_to_num(loadings[known])])
    weight, left, scale = np.ones(len(away)), away, 0.0
    for _ in range(ROUNDS):
        seen = given * weight[:, None]
        fit = np.linalg.solve(seen.T @ given + HELD * np.eye(given.shape[1]), seen.T @ away)
        left = away - given @ fit
        scale = 1.4826 * float(np.median(np.abs(left))) + LEAST
        weight = 1 / np.maximum(1, np.abs(left) / (HUBER * scale))
    out[known] = left
    return out, scale


def among(middle: np.ndarray, left: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """By how much one more model may differ from references' mean [cells], in each cell.

    spread [cells], of the zoo, is the prior of a moderated variance (Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3,
    section 3), with what is left [models, cells] of each reference where its mean and the ways are taken away. Models
    that a cell moves far differ by more, in proportion. All with the error of a mean of so many.
    """
    variance = (FREEDOM * spread**2 + (left**2).sum(axis=0)) / (FREEDOM + len(left) - 1)
    still = np.nanmedian(middle) if np.isfinite(middle).any() else 0.0
    variance = variance + (MOVED * (middle - still)) ** 2
    return np.asarray(np.sqrt(variance * (1 + 1 / len(left))))


def unusual(
    found: np.ndarray, own: Habits, reached: np.ndarray | None = None, shrink: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """What is usual for such a model, and by how many spreads its reaches lie above; both [cells, directions].

    reached: [models, cells, directions] of reference models; None: there are none. Then a model that differs from
    honest ones everywhere, as one of other data does, is held to less. shrink: of `held_to`. NaN counts as 0.
    """
    middle, excess = np.full(found.shape, np.nan), np.zeros(found.shape)
    for t in range(found.shape[1]):
        loadings = own.loadings
        if reached is not None:  # their mean in the place of the zoo's middle
            loadings = np.column_stack([reached[:, :, t].mean(axis=0), own.loadings[:, 1:]])
        left, scale = unexplained(found[:, t], loadings)
        rest = np.where(np.isnan(own.rest), scale, own.rest)
        if reached is None:
            spread = (rest + SHARE * np.median(rest) + LEAST) * max(1.0, scale / (STRANGE * own.scale + LEAST))
        else:
            each = np.stack([unexplained(row, loadings)[0] for row in reached[:, :, t]])
            spread = shrink * among(loadings[:, 0], each, rest + ALL * np.median(rest) + LEAST)
        middle[:, t] = found[:, t] - left
        excess[:, t] = np.nan_to_num(left / spread)
    return middle, excess
