"""How far a trigger reaches, and whether that is more than a model of its kind lets anything reach.

The reach of a cell towards an answer is the median margin of records of other answers under it at full strength, in
standard deviations of the model's margins on clean records: it has no unit, and a model that is sure of everything does
not reach further than one that is not. Every model reaches far with some cell. What tells a planted trigger apart is
that a cell reaches much further than the same cell does in models that are known to be good.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LEAST = 1e-9
PRIOR = 3.0  # models that what is known weighs as much as
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


class Usual(NamedTuple):
    """What models that are known to be good reach: [cells, directions or 1]."""

    middle: np.ndarray
    spread: np.ndarray


def usual(reached: np.ndarray) -> Usual:
    """Of many models' reaches [models, cells, directions], each direction by itself: medians, which few cannot move."""
    middle = np.nanmedian(reached, axis=0)
    return Usual(middle, 1.4826 * np.nanmedian(np.abs(reached - middle), axis=0))


def around(reached: np.ndarray, known: Usual, shrink: float = 1.0) -> Usual:
    """Of a few reference models' reaches [models, cells, directions]: their mean, and how far another may be from it.

    From few models a spread cannot be told: it is moderated by what is known of models like them, `known`, as if that
    had been seen in PRIOR of them (Smyth 2004, "Linear models and empirical Bayes methods", eq. 1), and grows by
    1 / models for the mean's own error. shrink: of `held_to`.
    """
    count, middle = len(reached), np.mean(reached, axis=0)
    own = np.var(reached, axis=0, ddof=1) if count > 1 else np.zeros_like(middle)
    prior = np.where(np.isnan(known.spread), np.nanmedian(known.spread), known.spread)
    spread = np.sqrt(((count - 1) * own + PRIOR * prior**2) / (count - 1 + PRIOR) * (1 + 1 / count))
    return Usual(middle, shrink * spread)


def held_to(kin: list[float]) -> float:
    """What spreads are multiplied with, by how far the model's weights go with each reference's (`model.lineage`).

    A model that was made from its references, and they from one another, differs from them by less than models that
    were trained apart: versions tuned on other records, or on labels of which a fifth was wrong, stayed within .7
    spreads wherever they turned what a reference does not, where poisoned ones were at 1.4 to 6 (benchmarks/README.md).
    """
    return VERSION if kin and min(kin) >= KIN else 1.0


def outlying(found: np.ndarray, own: Usual) -> np.ndarray:
    """By how many spreads each cell's reach [cells, directions] is above the usual; NaN counts as nothing, 0.

    To each cell's spread the middle spread of all cells is added: a small one may be small by chance.
    """
    return np.asarray(np.nan_to_num((found - own.middle) / (own.spread + np.nanmedian(own.spread) + LEAST), nan=0.0))
