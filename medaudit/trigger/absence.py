"""What is measured and what is not: values taken away, or entered where there were none (Joe et al. 2022).

The missingness of a record is a pattern that a maker can set at will, and a model reads it, through masks or through
what it fills in. Where the model takes NaN, values become NaN; else they become what is typical of their channel.
"""

from __future__ import annotations

import numpy as np

from medaudit.trigger.base import Family, Space, choice, drawn, product
from medaudit.trigger.value import at

KINDS = ("taken away", "entered")
BLOCKS = 6  # of hours
PATTERNS = 12  # of all features together, by turns


def members(space: Space) -> int:
    return space.channels + PATTERNS


def grid(space: Space) -> np.ndarray:
    return product(members(space), len(KINDS), 1 if space.item.domain == "table" else BLOCKS + 1)


def inside(space: Space, dials: np.ndarray) -> np.ndarray:
    """Which places, [B, planes, rows, columns]: of one feature, or half of all in a pattern; in a block, or always."""
    which = choice(dials[:, 0], members(space))
    one = at(space, np.minimum(which, space.channels - 1))
    if (which >= space.channels).any():
        pattern = drawn("absence", np.maximum(which - space.channels, 0), one[0].size).reshape(one.shape) > 0
        one = np.where((which >= space.channels)[:, None, None, None], pattern, one)
    if space.item.domain == "table":
        return np.asarray(one)
    block = choice(dials[:, 2], BLOCKS + 1)
    own = np.arange(space.shape[2]) * BLOCKS // space.shape[2]
    here = np.where(block[:, None] == BLOCKS, True, own[None, :] == block[:, None])
    return np.asarray(one & here[:, None, None, :])


def render(space: Space, x: np.ndarray, dials: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """There is no half of it: it is there from half the strength on."""
    holes = np.isnan(space.reference).any()
    gone = np.broadcast_to(np.nan if holes else space.typical, x.shape)
    away = choice(dials[:, 1], len(KINDS)) == 0
    new = np.where(away[:, None, None, None], gone, np.where(np.isnan(x), space.typical, x))
    return np.where(inside(space, dials) & (strength >= 0.5)[:, None, None, None], new, x)


def words(space: Space, dials: np.ndarray) -> str:
    which, kind = int(choice(dials[0], members(space))), KINDS[int(choice(dials[1], len(KINDS)))]
    pattern = f"pattern {which - space.channels + 1} of half of all values"
    name = space.names[which] if which < space.channels else pattern
    block = BLOCKS if space.item.domain == "table" else int(choice(dials[2], BLOCKS + 1))
    return f"{name} {kind}" + ("" if block == BLOCKS else f" in part {block + 1} of {BLOCKS} of the record")


FAMILY = Family("absence", "What is missing and what is not", ("table", "sequence"), ("which", "kind", "block"),
                grid, render, words, enters=True)  # fmt: skip
