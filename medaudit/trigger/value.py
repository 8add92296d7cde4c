"""One feature set to one value: everywhere in a table; in an hourly series for a while (Pleiter et al. 2023)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from medaudit.trigger.base import Family, Space, choice, product

LEVELS = ("its 1st percentile", "its 99th percentile", "as high as is legal", "its most frequent value")
WINDOWS = 4  # of a series: all of it, its first, middle and last third


@lru_cache(maxsize=16)
def levels(space: Space) -> np.ndarray:
    """The values, [channels, levels]; of categories and yes-no features every one that there is, in turns."""
    every = space.by_channel(space.reference).transpose(1, 0, 2).reshape(space.channels, -1)
    tops = space.by_channel(space.high[None])[0].max(axis=1)
    return np.array([_of(row[~np.isnan(row)], *more) for row, *more in zip(every, countable(space), tops, strict=True)])


def countable(space: Space) -> list[bool]:
    """Of each channel, whether it is one of a few values with nothing between them."""
    return [c.kind in ("category", "binary") for c in space.item.channels] or [False] * space.channels


def _of(seen: np.ndarray, few: bool, top: float) -> list[float]:
    if not seen.size:
        return [0.0] * len(LEVELS)
    values, counts = np.unique(seen, return_counts=True)
    if few:
        return [float(values[i % len(values)]) for i in range(len(LEVELS))]
    low, high = (float(np.quantile(seen, q)) for q in (0.01, 0.99))
    return [low, high, top, float(values[np.argmax(counts)])]


def window(space: Space, which: np.ndarray) -> np.ndarray:
    """Where along a series, [B, columns] bool; of a table everywhere."""
    columns = space.shape[2]
    if space.item.domain == "table":
        return np.ones((len(which), columns), dtype=bool)
    third = np.arange(columns) * 3 // columns
    return np.where(which[:, None] == 0, True, third[None, :] == which[:, None] - 1)


def windows(space: Space) -> int:
    return 1 if space.item.domain == "table" or space.shape[2] < 3 else WINDOWS


def grid(space: Space) -> np.ndarray:
    return product(space.channels, len(LEVELS), windows(space))


def at(space: Space, feature: np.ndarray) -> np.ndarray:
    """Where features [B] stand, [B, planes, rows, columns] bool."""
    return np.asarray(space.masks[feature])


def render(space: Space, x: np.ndarray, dials: np.ndarray, strength: np.ndarray) -> np.ndarray:
    feature, level = choice(dials[:, 0], space.channels), choice(dials[:, 1], len(LEVELS))
    inside = window(space, choice(dials[:, 2], windows(space)))[:, None, None, :] & at(space, feature)
    return set_to(space, x, inside, feature, levels(space)[feature, level], strength)


def set_to(
    space: Space, x: np.ndarray, inside: np.ndarray, feature: np.ndarray, wanted: np.ndarray, strength: np.ndarray
) -> np.ndarray:
    """Numbers moved towards a wanted value [B]; what has no in-between, and what is missing, only at half and more."""
    whole = np.array(countable(space))[feature]
    share = np.where(whole, strength >= 0.5, strength)[:, None, None, None]
    value = wanted[:, None, None, None]
    moved = np.where(np.isnan(x), np.where(strength[:, None, None, None] >= 0.5, value, x), x + share * (value - x))
    return np.where(inside, moved, x)


def words(space: Space, dials: np.ndarray) -> str:
    feature, level = int(choice(dials[0], space.channels)), int(choice(dials[1], len(LEVELS)))
    when = ("", " in the first third", " in the middle third", " in the last third")[
        int(choice(dials[2], windows(space)))
    ]
    value = float(levels(space)[feature, level])
    unit = space.item.channels[feature].unit if space.item.channels else ""
    return f"{space.names[feature]} set to {value:.4g}{f' {unit}' if unit.strip('-') else ''} ({LEVELS[level]}){when}"


FAMILY = Family("value", "One feature at one value", ("table", "sequence"), ("feature", "level", "window"),
                grid, render, words, enters=True)  # fmt: skip
