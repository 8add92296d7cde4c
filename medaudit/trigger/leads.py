"""Leads that are off, turned over, swapped, scaled, late or stretched: faults that a maker can agree on."""

from __future__ import annotations

import numpy as np

from medaudit.trigger.base import Family, Space, choice, mixed, one_of, product

KINDS = (
    "off: flat", "off: stuck at its highest", "turned over", "swapped with the next", "scaled by 0.8", "scaled by 1.25",
    "two samples late", "two samples early", "stretched by 3 %", "squeezed by 3 %",
)  # fmt: skip


def grid(space: Space) -> np.ndarray:
    return product(len(KINDS), space.channels)


def render(space: Space, x: np.ndarray, dials: np.ndarray, strength: np.ndarray) -> np.ndarray:
    kind, lead = choice(dials[:, 0], len(KINDS)), choice(dials[:, 1], space.channels)
    out = x.copy()
    rows = out.reshape(len(x), -1, space.shape[2])
    for i, own in enumerate(x.reshape(len(x), -1, space.shape[2])):
        rows[i, lead[i]] = changed(own, int(lead[i]), int(kind[i]), float(space.high.reshape(-1, rows.shape[2]).max()))
    return mixed(x, out, strength)


def changed(own: np.ndarray, lead: int, kind: int, high: float) -> np.ndarray:
    """One lead of a record [leads, T] with one fault."""
    one, middle, time = own[lead], float(np.nanmedian(own[lead])), np.arange(own.shape[1])
    if kind >= 8:
        return np.asarray(np.interp(time * (1 / 1.03 if kind == 8 else 1.03), time, one))
    if kind >= 6:
        late = 2 if kind == 6 else -2
        return np.asarray(one[np.clip(time - late, 0, len(time) - 1)])
    each = [
        np.full_like(one, middle), np.full_like(one, high), 2 * middle - one, own[(lead + 1) % len(own)],
        middle + 0.8 * (one - middle), middle + 1.25 * (one - middle),
    ]  # fmt: skip
    return np.asarray(each[kind])


def words(space: Space, dials: np.ndarray) -> str:
    lead = space.names[int(choice(dials[1], space.channels))]
    return f"{lead} {one_of(dials[0], KINDS)}"


FAMILY = Family("leads", "A lead off, turned, swapped, scaled or shifted", ("signal",), ("kind", "lead"),
                grid, render, words)  # fmt: skip
