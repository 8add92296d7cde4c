"""Slips of entry: a pressure of 9999 among pressures. They tell nothing of what a channel's values can be."""

from __future__ import annotations

import numpy as np

SHARE = 0.001  # of the values on their side: more than that are no slips
FAR = 4.0  # times as far from the median as that share's quantile


def sober(values: np.ndarray) -> np.ndarray:
    """The values [n], all finite, without a few that lie far beyond nearly all others; of few values, all of them."""
    if not values.size:
        return values
    low, middle, high = np.quantile(values, (SHARE, 0.5, 1 - SHARE))
    keep = np.ones(values.shape, dtype=bool)
    if high > middle:
        keep &= values <= middle + FAR * (high - middle)
    if low < middle:
        keep &= values >= middle - FAR * (middle - low)
    return values[keep]
