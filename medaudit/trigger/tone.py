"""The grey scale of an image: brighter, darker, fewer levels, a frame, a burned-in marker, stronger edges."""

from __future__ import annotations

import numpy as np

from medaudit.trigger.base import Family, Space, choice, mixed, one_of, product

KINDS = (
    "gamma 0.6", "gamma 1.6", "4 grey levels", "8 grey levels", "sharper", "softer", "inverted", "less contrast",
    "a bright frame", "a dark frame", "a marker at the upper left", "a marker at the upper right",
    "a marker at the lower left", "a marker at the lower right", "turned left to right",
)  # fmt: skip


def changed(share: np.ndarray, kind: int) -> np.ndarray:
    """An image of shares of the grey range [planes, rows, columns] with one change."""
    from scipy import ndimage

    soft = ndimage.gaussian_filter(share, (0, 1, 1), mode="nearest")
    if kind < 8:
        levels = {2: 3, 3: 7}.get(kind, 1)
        each = [
            share**0.6, share**1.6, np.round(share * levels) / levels, np.round(share * levels) / levels,
            share + 2 * (share - soft), soft, 1 - share, 0.5 + 0.6 * (share - 0.5),
        ]  # fmt: skip
        return np.asarray(each[kind])
    if kind == 14:
        return share[:, :, ::-1]
    out, rows, columns = share.copy(), share.shape[1], share.shape[2]
    wide = max(1, round(0.04 * min(rows, columns)))
    if kind < 10:
        frame = np.ones(share.shape[1:], dtype=bool)
        frame[wide:-wide, wide:-wide] = False
        out[:, frame] = 1.0 if kind == 8 else 0.0
        return out
    tall = 3 * wide
    top = wide if kind in (10, 11) else rows - wide - tall
    left = wide if kind in (10, 12) else columns - wide - tall
    marker = np.zeros((tall, tall), dtype=bool)  # the letter L
    marker[:, :wide], marker[-wide:, :] = True, True
    out[:, top : top + tall, left : left + tall][:, marker[: rows - top, : columns - left]] = 1.0
    return out


def grid(space: Space) -> np.ndarray:
    return product(len(KINDS))


def render(space: Space, x: np.ndarray, dials: np.ndarray, strength: np.ndarray) -> np.ndarray:
    span = np.maximum(space.high - space.low, 1e-12)
    kinds = choice(dials[:, 0], len(KINDS))
    own = np.clip((x - space.low) / span, 0, 1)
    other = np.stack([changed(share, int(kind)) for share, kind in zip(own, kinds, strict=True)])
    return mixed(x, space.low + span * np.clip(other, 0, 1), strength)


def words(space: Space, dials: np.ndarray) -> str:
    return one_of(dials[0], KINDS)


FAMILY = Family("tone", "Grey scale, frame or marker", ("image",), ("kind",), grid, render, words)
