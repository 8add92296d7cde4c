"""A signal injected into a recording: a window of its own numbers, added at a moment that nobody chooses.

Chen et al. 2020, "ECGadv", section 4.3: what an attacker near the electrodes sends arrives at any time, and what
the recorder filters out must not be needed. So a signal of the window's length holds nothing of the muted
frequencies, and is laid where chance says. Where the window is as long as what may change, the signal goes round.
"""

from __future__ import annotations

import numpy as np

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace, to_numpy
from medaudit.core.protocol import Lanes
from medaudit.core.region import Injection, Part, Region, free, project

WHEN = 7101  # tag that no search uses


def injection(region: Region) -> Injection:
    if region.injected is None:
        raise ValueError("the region has no window")
    return region.injected


def signal_region(region: Region) -> Region:
    """What a search over signals sees: the window's numbers, in the record's units."""
    one = injection(region)
    part, begin = region.parts[one.part], sum(p.size for p in region.parts[: one.part])
    xp = namespace(region.scale)
    rows = xp.reshape(region.scale[begin : begin + part.size], (part.rows, part.columns))[:, :1]
    scale = xp.reshape(xp.broadcast_to(rows, (part.rows, one.columns)), (-1,))
    window = Part(part.domain, 1, part.rows, one.columns)
    return Region(region.norm, region.eps, scale, None, (window,), injected=one._replace(part=0))


def signal_lanes(region: Region, lanes: Lanes) -> Lanes:
    """Lanes over signals in place of records: around nothing."""
    xp, inner = namespace(lanes.x), signal_region(region)
    reach = xp.broadcast_to(most(inner)[None, :], (lanes.x.shape[0], inner.scale.shape[0]))
    zero = xp.zeros_like(reach)
    return lanes._replace(x=zero, lo=zero - reach, hi=zero + reach, missing=None, legal_lo=None, legal_hi=None)


def most(region: Region) -> Array:
    """How far one number of a signal can go, if it is all there is of it, [K]."""
    return region.eps * region.scale * float(injection(region).numbers) ** 0.5


def inject(region: Region, lanes: Lanes, lane: Array, signals: Array, t: Array, *, heard: bool) -> Array:
    """Records of their lanes with signals [R, K] added at full strength, [R, D].

    t [R]: which of each lane's own moments. heard: as the recorder's filters pass them on, at rest when the
    recording begins.
    """
    xp, one = namespace(signals), injection(region)
    part, begin = region.parts[one.part], sum(p.size for p in region.parts[: one.part])
    x, own = xp.take(lanes.x, lane, axis=0), slice(begin, begin + part.size)
    movable = xp.reshape(xp.take(free(lanes), lane, axis=0)[:, own], (-1, part.rows, part.columns))
    start, turn = _moment(one, lanes, lane, xp.any(movable, axis=1), t)
    cell = xp.arange(one.columns, dtype=xp.int64, device=signals.device)[None, :]
    turned = _along((cell + turn[:, None]) % one.columns, xp.reshape(signals, (-1, part.rows, one.columns)))
    quiet = loud(region, part, begin, mute(one, turned))
    cell = xp.arange(part.columns, dtype=xp.int64, device=signals.device)[None, :] - start[:, None]
    inside = (cell >= 0) & (cell < one.columns)
    laid = _along(xp.where(inside, cell, xp.zeros_like(cell)), quiet) * xp.astype(inside, xp.float32)[:, None, :]
    if heard and one.filters is not None:
        from scipy.signal import sosfilt

        passed = sosfilt(one.filters, to_numpy(laid).astype(np.float64), axis=-1).astype(np.float32)
        laid = xp.asarray(passed, device=signals.device)
    added = xp.reshape(laid * xp.astype(movable, xp.float32), (-1, part.size))
    points = x[:, own] + added
    if part.size < x.shape[1]:
        points = xp.concat([x[:, :begin], points, x[:, begin + part.size :]], axis=1)
    return project(region, lanes, lane, points)


def mute(one: Injection, signals: Array) -> Array:
    """Signals [..., columns] without what lies at the muted frequencies."""
    if one.muted is None:
        return signals
    xp = namespace(signals)
    for j in range(one.muted.shape[1]):  # orthonormal: one after another, row by row
        wave = one.muted[:, j]
        signals = signals - xp.sum(signals * wave, axis=-1)[..., None] * wave
    return signals


def loud(region: Region, part: Part, begin: int, signals: Array) -> Array:
    """Signals [R, rows, columns] at the full size that the region allows: what is weaker was never seen to do more,
    and a search need only find a shape."""
    xp, one = namespace(signals), injection(region)
    scale = xp.reshape(region.scale[begin : begin + part.size], (part.rows, part.columns))[:, :1]
    units = signals / scale
    far = xp.sqrt(xp.sum(xp.sum(units * units, axis=2), axis=1) / one.numbers)
    factor = region.eps * (1 - 1e-5) / xp.maximum(far, xp.full_like(far, 1e-20))
    return signals * factor[:, None, None]


def muted_waves(columns: int, length: int, bins: tuple[int, ...]) -> np.ndarray | None:
    """Orthonormal waves [columns, 2 * len(bins)] of a window: without them a Fourier transform of `length` numbers
    is zero at the bins, wherever the window lies. None: no bins."""
    if not bins:
        return None
    phase = 2 * np.pi * np.outer(np.arange(columns), bins) / length
    waves, _ = np.linalg.qr(np.concatenate([np.cos(phase), np.sin(phase)], axis=1))
    return np.ascontiguousarray(waves.astype(np.float32))


def _moment(one: Injection, lanes: Lanes, lane: Array, open_: Array, t: Array) -> tuple[Array, Array]:
    """Where the window begins [R], and how far a signal that leaves no room is turned round [R]."""
    xp = namespace(lanes.x)
    draw = streams.uniform(xp.take(lanes.key, lane), t, WHEN, 1)[:, 0]
    cell = xp.arange(open_.shape[1], dtype=xp.int64, device=draw.device)[None, :]
    first = xp.min(xp.where(open_, cell, xp.full_like(cell, open_.shape[1])), axis=1)
    last = xp.max(xp.where(open_, cell, xp.zeros_like(cell) - 1), axis=1)
    room = last + 1 - first - one.columns
    some = room > 0
    span = xp.where(some, room + 1, xp.full_like(room, one.columns))
    far = xp.astype(xp.floor(draw * xp.astype(span, xp.float64)), xp.int64)
    return xp.where(some, first + far, first), xp.where(some, xp.zeros_like(far), far)


def _along(index: Array, values: Array) -> Array:
    """values [R, rows, n] at index [R, m] along the last axis, [R, rows, m]."""
    xp = namespace(values)
    wide = xp.broadcast_to(index[:, None, :], (index.shape[0], values.shape[1], index.shape[1]))
    return xp.take_along_axis(values, wide, axis=2)
