"""Changed copies of single inputs: blended with other records, made stronger and weaker, corrupted.

What carries a trigger keeps its answer in blends and gains that turn other inputs, and loses it where a corruption
happens to spoil the trigger. Inputs are points [n, D] float32, NaN where nothing was measured; copies are [n, C, D].
"""

from __future__ import annotations

import numpy as np

from medaudit.core import streams
from medaudit.core.interface import Input, Interface
from medaudit.domain.corruption import SEVERITIES, Corruption, uniform
from medaudit.domain.corruptions import as_stored, corrupted
from medaudit.domain.threat import spread

GAINS = (0.5, 1.5, 2.0, 3.0)  # what the distance from a usual record is multiplied by
SHARE = 0.5  # of the input in a blend with another record
TAG = 71


def blends(interface: Interface, points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Each input with each of the other records [C, D] in it; missing values stay missing.

    Images and signals are laid over each other. In tables and series a copy takes every other variable, chosen by
    lot, from the other record: half of a category is none, and half of a value may be nobody's.
    """
    out = np.repeat(points[:, None], len(others), axis=1)
    for item, own in _parts(interface):
        x, y = points[:, None, own].astype(np.float64), others[None, :, own].astype(np.float64)
        if item.domain in ("signal", "image"):
            mixed = as_stored(item, (SHARE * x + (1 - SHARE) * y).reshape(-1, item.part.size))
        else:
            mixed = np.where(_taken(item, len(others))[None], y, x).reshape(-1, item.part.size)
        mixed = mixed.reshape(len(points), len(others), item.part.size)
        out[:, :, own] = np.where(np.isnan(x) | np.isnan(mixed), x, mixed)
    return out


def _taken(item: Input, count: int) -> np.ndarray:
    """Which numbers each blend takes from the other record, [C, size] bool: whole variables."""
    channels = max(1, len(item.channels))
    keys = np.array([streams.key("blend", item.name, i) for i in range(count)], dtype=np.uint64)
    drawn = uniform(keys, TAG, channels) < SHARE
    return np.stack([spread(item, row.astype(np.float64)) > 0 for row in drawn])


def gains(
    interface: Interface, points: np.ndarray, usual: np.ndarray, factors: tuple[float, ...] = GAINS
) -> np.ndarray:  # fmt: skip
    """Each input at each gain around a usual record [D], within the channels' legal values; categories stay."""
    out = np.repeat(points[:, None], len(factors), axis=1)
    factor = np.array(factors)[None, :, None]
    for item, own in _parts(interface):
        moves = spread(item, np.array([float(c.kind == "number") for c in item.channels] or [1.0])) > 0
        x, middle = points[:, None, own].astype(np.float64), usual[None, None, own]
        low, high = (
            spread(item, np.array([far if (v := getattr(c, side)) is None else v for c in item.channels] or [far]))
            for side, far in (("lo", -np.inf), ("hi", np.inf))
        )
        moved = np.clip(middle + factor * (x - middle), low, high).reshape(-1, item.part.size)
        moved = as_stored(item, moved).reshape(len(points), len(factors), item.part.size)
        out[:, :, own] = np.where(moves & ~np.isnan(x), moved, x)
    return out


def corruptions(interface: Interface, points: np.ndarray, kinds: list[Corruption], usual: np.ndarray) -> np.ndarray:
    """Each input under each kind at each severity, mild to severe: [n, kinds x SEVERITIES, D]."""
    shut = np.zeros(points.shape, dtype=bool)
    out = []
    for kind in kinds:
        keys = np.array([streams.key("copy", kind.name, i) for i in range(len(points))], dtype=np.uint64)
        out += [corrupted(interface, kind, s, points, keys, usual, shut) for s in range(1, SEVERITIES + 1)]
    return np.stack(out, axis=1) if out else np.zeros((len(points), 0, points.shape[1]), dtype=np.float32)


def _parts(interface: Interface) -> list[tuple[Input, slice]]:
    """Inputs and their numbers in a point."""
    out, start = [], 0
    for item in interface.inputs:
        out.append((item, slice(start, start + item.part.size)))
        start += item.part.size
    return out
