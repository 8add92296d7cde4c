"""Whether what was searched goes further than what was drawn at random."""

from __future__ import annotations

import numpy as np

from medaudit.core import streams

DRAWS, PLACES = 4999, 72  # of changed places, and where they are drawn


def holm(p: np.ndarray) -> np.ndarray:
    """p [S] adjusted for being several, each in its place: Holm 1979, "A simple sequentially rejective multiple test
    procedure"."""
    order = np.argsort(p, kind="stable")
    out = np.empty(len(p))
    out[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return out


def exchanged(found: np.ndarray, chance: list[np.ndarray], seed: int = 0) -> float:
    """p of the mean excess of found [n] over each record's random values, if found were one more random value.

    Under that hypothesis each record's value and its random ones can change places. One-sided, never below
    1 / (DRAWS + 1), and 1 where a value is not finite; the permutation test of Phipson, Smyth 2010, eq. 2, over one
    choice a record.
    """
    if not len(found) or not all(np.isfinite(np.append(own, f)).all() for own, f in zip(chance, found, strict=True)):
        return 1.0
    size = max(float(np.abs(v).max(initial=0.0)) for v in (found, *chance))
    excess, drawn = 0.0, np.zeros(DRAWS)
    keys = np.full(1, seed, dtype=np.uint64)
    for i, (own, others) in enumerate(zip(found, chance, strict=True)):
        every = np.append(others, own)
        # Each value's excess over the mean of all others of its record.
        each = (every - every.mean()) * (len(every) / max(1, len(every) - 1))
        excess += float(each[-1])
        drawn += each[(streams.uniform(keys, np.array([i]), PLACES, DRAWS)[0] * len(every)).astype(np.int64)]
    return float((1 + np.count_nonzero(drawn >= excess - 1e-9 * size)) / (1 + DRAWS))
