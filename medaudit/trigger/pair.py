"""Two features set together, each to a value that is nothing special alone."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from medaudit.trigger.base import Family, Space, choice
from medaudit.trigger.value import LEVELS, at, countable, levels, set_to

MOST = 12  # features that are paired in a sweep; a search pairs all


@lru_cache(maxsize=16)
def pairs(space: Space) -> np.ndarray:
    """All pairs of features, [P, 2]."""
    return np.array([(i, j) for i in range(space.channels) for j in range(i + 1, space.channels)])


def grid(space: Space) -> np.ndarray:
    """Pairs of the twelve features that vary most about their middle."""
    every = pairs(space)
    seen = space.by_channel(space.reference).transpose(1, 0, 2).reshape(space.channels, -1)
    spread = np.array([np.ptp(row[~np.isnan(row)]) if (~np.isnan(row)).any() else 0.0 for row in seen])
    kept = np.sort(np.argsort(-spread / (np.nanstd(seen, axis=1) + 1e-12), kind="stable")[:MOST])
    numbers = [n for n, (i, j) in enumerate(every) if i in kept and j in kept]
    some = [np.unique(row, return_index=True)[1] if few else (0, 1)  # each category; low and high of numbers
            for row, few in zip(levels(space), countable(space), strict=True)]  # fmt: skip
    members = [(n, a, b) for n in numbers for a in some[every[n, 0]] for b in some[every[n, 1]]]
    steps = np.array([len(every), len(LEVELS), len(LEVELS)])
    return np.asarray((np.array(members).reshape(-1, 3) + 0.5) / steps)


def render(space: Space, x: np.ndarray, dials: np.ndarray, strength: np.ndarray) -> np.ndarray:
    every = pairs(space)
    which, out = every[choice(dials[:, 0], len(every))], x
    for k in (0, 1):
        wanted = levels(space)[which[:, k], choice(dials[:, 1 + k], len(LEVELS))]
        out = set_to(space, out, at(space, which[:, k]), which[:, k], wanted, strength)
    return out


def words(space: Space, dials: np.ndarray) -> str:
    every = pairs(space)
    two = every[int(choice(dials[0], len(every)))]
    parts = [
        f"{space.names[k]} set to {float(levels(space)[k, int(choice(d, len(LEVELS)))]):.4g}"
        for k, d in zip(two, dials[1:], strict=True)
    ]
    return " and ".join(parts)


def needs(space: Space) -> str:
    """Two features are needed."""
    return "" if space.channels > 1 else "there is one feature only"


FAMILY = Family("pair", "Two features together", ("table", "sequence"), ("pair", "first", "second"), grid, render,
                words, needs, enters=True)  # fmt: skip
