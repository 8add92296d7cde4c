"""All corruptions by domain, and how one of them is laid over a model's points."""

from __future__ import annotations

import numpy as np

from medaudit.core.interface import Input, Interface
from medaudit.domain import corrupt_image, corrupt_record, corrupt_signal
from medaudit.domain.corruption import Corruption
from medaudit.domain.threat import spread

BY_DOMAIN = {
    "signal": corrupt_signal.CORRUPTIONS,
    "image": corrupt_image.CORRUPTIONS,
    "table": corrupt_record.CORRUPTIONS,
    "sequence": corrupt_record.CORRUPTIONS,
}
NAMES = tuple(dict.fromkeys(one.name for every in BY_DOMAIN.values() for one in every))


def applicable(interface: Interface) -> tuple[list[Corruption], dict[str, str]]:
    """The corruptions that can happen to at least one input; and of the others, by name, why they cannot."""
    out: dict[str, Corruption] = {}
    why: dict[str, str] = {}
    for item in interface.inputs:
        for one in BY_DOMAIN[item.domain]:
            reason = one.needs(item)
            if reason:
                why.setdefault(one.name, reason)
            else:
                out.setdefault(one.name, one)
    return list(out.values()), {name: text for name, text in why.items() if name not in out}


def typical(points: np.ndarray) -> np.ndarray:
    """The median of what was measured of every number, [D]; 0 where nothing ever was. points: [n, D]."""
    some = ~np.isnan(points).all(axis=0)
    out = np.zeros(points.shape[1])
    out[some] = np.nanmedian(points[:, some], axis=0)
    return out


def corrupted(
    interface: Interface,
    kind: Corruption,
    severity: int,
    points: np.ndarray,
    keys: np.ndarray,
    typical: np.ndarray,
    closed: np.ndarray,
) -> np.ndarray:
    """points [R, D] float32 (NaN: missing) under one corruption at severity 1 to 5, float32 [R, D].

    typical [D]: what is filled in where a value is taken away; closed [R, D]: padding, which stays as it is. Fixed
    channels, such as age, and what is missing stay too; whole numbers and steps of an instrument stay such.
    """
    out, start = points.copy(), 0
    for item in interface.inputs:
        part = item.part
        own = slice(start, start + part.size)
        start += part.size
        if not any(one.name == kind.name for one in BY_DOMAIN[item.domain]) or kind.needs(item):
            continue
        shape = (part.planes, part.rows, part.columns)
        clean = points[:, own].astype(np.float64)
        if item.domain in ("signal", "image"):  # a hole would spread to its neighbours; it is one again in the end
            clean = np.where(np.isnan(clean), typical[own], clean)
        clean = np.where(closed[:, own], np.nan, clean).reshape(-1, *shape)
        changed = kind.change(item, clean, keys, kind.levels[severity - 1])
        if item.domain in ("table", "sequence"):
            changed = corrupt_record.filled(item, changed, clean, typical[own].reshape(shape))
        flat = as_stored(item, changed.reshape(len(points), -1))
        fixed = spread(item, np.array([c.fixed for c in item.channels] or [False])).astype(bool)
        keep = closed[:, own] | fixed[None, :] | np.isnan(points[:, own])
        out[:, own] = np.where(keep, points[:, own], flat)
    return out


def as_stored(item: Input, values: np.ndarray) -> np.ndarray:
    """Values [R, size] on the steps of their instrument; numbers that are whole stay whole, and categories exist."""
    whole = [1.0 if c.kind != "number" else c.step for c in item.channels] or [0.0]
    step = spread(item, np.array(whole))[None, :]
    return np.where(step > 0, np.round(values / np.where(step > 0, step, 1)) * step, values)
