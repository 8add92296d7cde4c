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
from medaudit.core.region import Injection, Part, Region, ends, free, project, unit

WHEN = 7101  # tag that no search uses
FAINT = 1e-4  # of a unit of scale: what moves less is flat


def injection(region: Region) -> Injection:
    if region.injected is None:
        raise ValueError("the region has no window")
    return region.injected


def sent_into(region: Region) -> tuple[Injection, Part, slice]:
    """The window, the part that it is sent into, and where that part's numbers lie in a point."""
    one = injection(region)
    part, begin = region.parts[one.part], sum(p.size for p in region.parts[: one.part])
    return one, part, slice(begin, begin + part.size)


def signal_region(region: Region) -> Region:
    """What a search over signals sees: the window's numbers, in the record's units."""
    one, part, own = sent_into(region)
    xp = namespace(region.scale)
    rows = xp.reshape(region.scale[own], (part.rows, part.columns))[:, :1]
    scale = xp.reshape(xp.broadcast_to(rows, (part.rows, one.columns)), (-1,))
    window = Part(part.domain, 1, part.rows, one.columns)
    return Region(region.norm, region.eps, scale, None, (window,), injected=one._replace(part=0))


def signal_lanes(region: Region, lanes: Lanes) -> Lanes:
    """Lanes over signals in place of records: around nothing."""
    xp, inner = namespace(lanes.x), signal_region(region)
    most = inner.eps * inner.scale * float(injection(inner).numbers) ** 0.5  # one number, if it is all there is
    reach = xp.broadcast_to(most[None, :], (lanes.x.shape[0], most.shape[0]))
    zero = xp.zeros_like(reach)
    return lanes._replace(x=zero, lo=zero - reach, hi=zero + reach, missing=None, legal_lo=None, legal_hi=None)


def inject(region: Region, lanes: Lanes, lane: Array, signals: Array, t: Array, *, heard: bool) -> Array:
    """Records of their lanes with signals [R, K] added at full strength, [R, D].

    t [R]: which of each lane's own moments. heard: as the recorder's filters pass them on, at rest when the
    recording begins.
    """
    xp, (one, part, own) = namespace(signals), sent_into(region)
    x = xp.take(lanes.x, lane, axis=0)
    movable = xp.reshape(xp.take(free(lanes), lane, axis=0)[:, own], (-1, part.rows, part.columns))
    start, turn = _moment(one, lanes, lane, xp.any(movable, axis=1), t)
    cell = xp.arange(one.columns, dtype=xp.int64, device=signals.device)[None, :]
    turned = along((cell + turn[:, None]) % one.columns, xp.reshape(signals, (-1, part.rows, one.columns)))
    quiet = xp.reshape(loud(region, xp.reshape(mute(one, turned), signals.shape)), turned.shape)
    cell = xp.arange(part.columns, dtype=xp.int64, device=signals.device)[None, :] - start[:, None]
    inside = (cell >= 0) & (cell < one.columns)
    laid = along(xp.where(inside, cell, xp.zeros_like(cell)), quiet) * xp.astype(inside, xp.float32)[:, None, :]
    if heard and one.filters is not None:
        from scipy.signal import sosfilt

        passed = sosfilt(one.filters, to_numpy(laid).astype(np.float64), axis=-1).astype(np.float32)
        laid = xp.asarray(passed, device=signals.device)
    added = xp.reshape(laid * xp.astype(movable, xp.float32), (-1, part.size))
    points = x[:, own] + added
    if part.size < x.shape[1]:
        points = xp.concat([x[:, : own.start], points, x[:, own.stop :]], axis=1)
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


def recordings(region: Region, points: Array) -> Array:
    """What points [S, D] hold where the signal is sent, each of size 1 around zero, [S, rows, N]; what is flat is
    zero."""
    xp, (_, part, own) = namespace(points), sent_into(region)
    grid = xp.reshape(points[:, own] / region.scale[own], (-1, part.rows, part.columns))
    known = ~xp.isnan(grid)
    grid = xp.where(known, grid, xp.zeros_like(grid))
    count = xp.sum(xp.astype(known, xp.float32), axis=2)
    mean = xp.sum(grid, axis=2) / xp.maximum(count, xp.ones_like(count))
    grid = (grid - mean[:, :, None]) * xp.astype(known, xp.float32)
    far = xp.sqrt(xp.mean(xp.mean(grid * grid, axis=2), axis=1))[:, None, None]
    some = far > FAINT
    return xp.where(some, grid / xp.where(some, far, xp.ones_like(far)), xp.zeros_like(grid))


def loud(region: Region, signals: Array) -> Array:
    """Signals [R, K] at the full size that the region allows, so that a search need only find a shape."""
    inner = signal_region(region)
    return unit(inner, signals / inner.scale) * (region.eps * (1 - 1e-5)) * inner.scale


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
    first, last = ends(open_)
    room = last + 1 - first - one.columns
    some = room > 0
    span = xp.where(some, room + 1, xp.full_like(room, one.columns))
    far = xp.astype(xp.floor(draw * xp.astype(span, xp.float64)), xp.int64)
    return xp.where(some, first + far, first), xp.where(some, xp.zeros_like(far), far)


def along(index: Array, values: Array) -> Array:
    """values [R, rows, n] at index [R, m] along the last axis, [R, rows, m]."""
    xp = namespace(values)
    wide = xp.broadcast_to(index[:, None, :], (index.shape[0], values.shape[1], index.shape[1]))
    return xp.take_along_axis(values, wide, axis=2)
