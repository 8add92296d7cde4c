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
    """Of several models' reaches [models, cells, directions], each direction by itself; robust from five models on."""
    if len(reached) >= 5:
        middle = np.nanmedian(reached, axis=0)
        return Usual(middle, 1.4826 * np.nanmedian(np.abs(reached - middle), axis=0))
    middle = np.nanmean(reached, axis=0)
    return Usual(middle, np.nanstd(reached, axis=0, ddof=1) if len(reached) > 1 else np.zeros_like(middle))


def outlying(found: np.ndarray, own: Usual) -> np.ndarray:
    """By how many spreads each cell's reach [cells, directions] is above the usual; NaN counts as nothing, 0.

    A cell's spread is estimated from few models: to it the middle spread of all cells is added, and so is that of
    this model about them, as two models of one kind differ a little everywhere.
    """
    gap = found - own.middle
    about = 1.4826 * np.nanmedian(np.abs(gap - np.nanmedian(gap, axis=0)), axis=0)
    floor = np.nanmedian(own.spread) + (about if not own.spread.any() else 0.0)
    return np.asarray(np.nan_to_num(gap / (own.spread + floor + LEAST), nan=0.0))
