"""Mutants of a record, cell by cell: in some cells a stretch of numbers moves, the others stay.

Stretches shrink as a search goes on, as the windows of Square Attack do (Andriushchenko et al. 2020, section 3.2).
"""

from __future__ import annotations

import numpy as np

from medaudit.core import streams
from medaudit.core.arrays import namespace, to_numpy
from medaudit.core.protocol import Lanes
from medaudit.core.region import L0, LINF, Region
from medaudit.search.runs import order, run

FIRST, LAST = 0.5, 0.08  # share of a cell's numbers that moves at first, and later
BOLD, FLIPS = 4, 4  # steps of patterns, and mutants of a step that are flips
TAG, FREE, BOLD_TAG = 301, 401, 501


def mutants(
    of: np.ndarray, cells: int, region: Region, lanes: Lanes, base: np.ndarray, step: np.ndarray, rate: np.ndarray,
    count: int, other: np.ndarray | None,
) -> list[np.ndarray]:  # fmt: skip
    """So many mutants of every lane's parent `base` [L, D]; of [D]: cell of each number; rate [L]: share that moves.

    A stretch moves to an end of its box, to anywhere in it, back to the clean record, or to the `other` one [L, D].
    """
    x, lo, hi, key = (to_numpy(a) for a in (lanes.x, lanes.lo, lanes.hi, lanes.key))
    if region.norm not in (LINF, L0):  # a number alone reaches eps, or the others would be shrunk to nothing
        reach = 0.5 * region.eps * to_numpy(region.scale)[None, :]
        lo, hi = np.maximum(lo, x - reach), np.minimum(hi, x + reach)
    ways = 3 if other is None else 4
    lent = x if other is None else np.clip(np.where(np.isnan(other), x, other), lo, hi)
    (place, wide), share = _place(of, cells), np.maximum(LAST, FIRST / (1 + step / 6))[:, None]
    out = []
    for row in range(count):
        draw = streams.uniform(key, step, TAG + row, 4 * cells)
        pick, begin, way, side = (draw[:, k * cells : (k + 1) * cells] for k in range(4))
        start = begin * np.maximum(1 - share, 0)
        inside = (
            ((place + wide)[None, :] > start[:, of])
            & (place[None, :] < (start + share)[:, of])
            & (pick < rate[:, None])[:, of]
        )
        kind = (way * ways).astype(int)[:, of]
        free = streams.uniform(key, step, FREE + row, x.shape[1])
        values = np.where(kind == 1, lo + (hi - lo) * free, np.where((side < 0.5)[:, of], hi, lo))
        if region.choices is not None:  # any category
            many = to_numpy(region.choices)[None, :]
            values = np.where(many > 0, np.minimum(np.floor(free * many), many - 1), values)
        values = np.where(kind == 2, x, np.where(kind == 3, lent, values))
        out.append(np.where(inside & (hi > lo), values, base))
    return out


def bold(
    region: Region, lanes: Lanes, base: np.ndarray, step: np.ndarray, tried: list[np.ndarray]
) -> list[np.ndarray]:  # fmt: skip
    """The same, with ends of boxes where each number has its own: at first patterns of ends over the whole record, in
    stretches of 4, 8, 16 ... numbers; then in FLIPS of the mutants the parent with one run of it at its other end, runs
    halved as SignHunter halves them (Al-Dujaili, O'Reilly 2020, algorithm 2)."""
    xp = namespace(lanes.x)
    x, lo, hi, key = (to_numpy(a) for a in (lanes.x, lanes.lo, lanes.hi, lanes.key))
    mine = np.ones(x.shape[1], dtype=bool) if region.choices is None else to_numpy(region.choices) == 0
    early, runs, place = (step < BOLD)[:, None], order(lanes), np.arange(x.shape[1])
    out = []
    for k, mutant in enumerate(tried):
        side = streams.uniform(key, step, BOLD_TAG + k, x.shape[1])[:, place // (4 << k)] < 0.5
        at_first = np.where(mine, np.where(side, lo, hi), base)
        later = mutant
        if k >= len(tried) - FLIPS:
            turn = np.maximum(0, (step - BOLD) * FLIPS + len(tried) - 1 - k)
            flip = to_numpy(run(runs, xp.asarray(turn, device=lanes.x.device))) & mine
            later = np.where(flip, np.where(base > x, lo, hi), base)
        out.append(np.where(early, at_first, later))
    return out


def _place(of: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each number begins in its cell, from 0 to below 1, and how much of it it is, [D] each."""
    order = np.argsort(of, kind="stable")
    counts = np.bincount(of, minlength=cells)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    wide = 1 / np.maximum(counts, 1)[of]
    return rank * wide, wide
