"""What happens to records without an attacker: what a corruption is, and what all of them share.

A corruption has five severities, mild to severe, as in Hendrycks, Dietterich 2019, "Benchmarking neural network
robustness to common corruptions and perturbations", ICLR, section 3. What is random in it depends on the record's
key only: a record is changed in the same way at every severity, only by more, and whoever else is changed with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from medaudit.core import streams
from medaudit.core.interface import Input

SEVERITIES = 5
Change = Callable[[Input, np.ndarray, np.ndarray, float], np.ndarray]
"""input, records [L, planes, rows, columns] float64 (NaN: missing), keys [L] uint64, amount -> changed records"""


class Corruption(NamedTuple):
    """One kind of trouble; `levels` are its amounts at severities 1 to 5."""

    name: str
    title: str
    unit: str  # of the amounts
    levels: tuple[float, float, float, float, float]
    change: Change
    needs: Callable[[Input], str] = lambda item: ""  # why it cannot happen to this input; "" where it can


def uniform(keys: np.ndarray, tag: int, n: int) -> np.ndarray:
    """Numbers in [0, 1) of each record, float64 [L, n]."""
    return np.asarray(streams.uniform(keys, np.zeros(len(keys), dtype=np.int64), tag, n))


def normal(keys: np.ndarray, tag: int, n: int) -> np.ndarray:
    """Standard normal numbers of each record, float64 [L, n]."""
    return np.asarray(streams.normal(keys, np.zeros(len(keys), dtype=np.int64), tag, n), dtype=np.float64)


def some(keys: np.ndarray, tag: int, n: int, share: float, least: int = 1) -> np.ndarray:
    """Which of n things it hits in each record, [L, n] bool: `share` of them rounded up; more at a larger share."""
    count = min(n, max(least, math.ceil(share * n - 1e-9)))
    order = np.argsort(uniform(keys, tag, n), axis=1, kind="stable")
    hit = np.zeros(order.shape, dtype=bool)
    np.put_along_axis(hit, order[:, :count], True, axis=1)
    return hit


def either_way(keys: np.ndarray, tag: int) -> np.ndarray:
    """+1 or -1 for each record, [L]."""
    return np.where(uniform(keys, tag, 1)[:, 0] < 0.5, -1.0, 1.0)
