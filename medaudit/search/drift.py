"""A step of the boundary attack: sideways through smoothed noise, then a little inwards (L2).

Brendel, Rauber, Bethge 2018, "Decision-based adversarial attacks", algorithm 1 and section 2.2: noise
without its part along the way to the clean point, then back to equal distance, then inwards. Noise of
signals and sequences is smoothed along time by a Hann window (Lam et al. 2020), so that changes stay
free of sharp edges.
"""

from __future__ import annotations

import numpy as np

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace
from medaudit.core.protocol import Lanes
from medaudit.core.region import Part, Region, clip, snap

NOISE = 2


def drift(
    region: Region, lanes: Lanes, who: Array, far: Array, t: Array, sideways: Array, inwards: Array, window: int
) -> Array:
    """The next points [P, D] of lanes `who` [P] from `far` [P, D]; t [P]: address of noise; sideways, inwards [P]:
    lengths relative to the distance; window: samples of the Hann window."""
    xp = namespace(lanes.x)
    x = xp.take(lanes.x, who, axis=0)
    delta = (far - x) / region.scale
    wide = xp.sqrt(xp.sum(delta * delta, axis=1))[:, None]
    words = streams.bits(xp.take(lanes.key, who), t, NOISE, streams.word_count(x.shape[1]))
    noise = 2 * xp.astype(streams.coins(words, x.shape[1]), xp.float32) - 1
    noise = smoothed(region.parts, noise, window)
    tiny = xp.full_like(wide, 1e-30)
    noise = noise - delta * (xp.sum(noise * delta, axis=1)[:, None] / xp.maximum(wide * wide, tiny))
    length = xp.sqrt(xp.sum(noise * noise, axis=1))[:, None]
    aside = delta + noise * (sideways[:, None] * wide / xp.maximum(length, tiny))
    again = xp.sqrt(xp.sum(aside * aside, axis=1))[:, None]
    inward = wide * (1 - inwards[:, None])
    points = clip(lanes, who, x + aside * (inward / xp.maximum(again, tiny)) * region.scale)
    return points if region.step is None else clip(lanes, who, snap(region, points))


def smoothed(parts: tuple[Part, ...], noise: Array, window: int) -> Array:
    """Noise [P, D] convolved along the columns of signals and sequences with a Hann window."""
    xp = namespace(noise)
    out, begin = [], 0
    for part in parts:
        own = noise[:, begin : begin + part.size]
        begin += part.size
        wide = min(window, part.columns) // 2
        if part.domain not in ("signal", "sequence") or wide == 0:
            out.append(own)
            continue
        grid = xp.reshape(own, (own.shape[0], part.planes * part.rows, part.columns))
        edge = xp.zeros((*grid.shape[:2], wide), dtype=grid.dtype, device=grid.device)
        padded = xp.concat([edge, grid, edge], axis=2)
        weights = xp.asarray(_hann(wide), device=noise.device)
        total = xp.zeros_like(grid)
        for k in range(2 * wide + 1):
            total += weights[k] * padded[:, :, k : k + part.columns]
        out.append(xp.reshape(total, own.shape))
    return out[0] if len(out) == 1 else xp.concat(out, axis=1)


def _hann(wide: int) -> np.ndarray:
    """A window of `wide` samples to both sides of its middle; its zeros at the ends are left out."""
    return np.hanning(2 * wide + 3)[1:-1].astype(np.float32)
