"""Square: random search over windows at the corners of the box (score-based, Linf and L2).

Andriushchenko, Croce, Flammarion, Hein 2020, "Square Attack", algorithms 1 to 3. A window is a
square of an image, a stretch of time and neighbouring leads of a signal, or a run of a table's
columns. Differences from the paper: the window's share of the input is a power of the absolute
step instead of a table over the budget, so that a run is a prefix of a longer one; positions and
signs are drawn per lane; missing and fixed numbers do not count towards the window's area.
"""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import NamedTuple

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace, put_where
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import L2, Part, Region, free, shrink, snap_inward

PLACE, SIGN, AWAY = 1, 2, 3


class Settings(NamedTuple):
    """share: part of the input a first window covers; decay, knee: share * (1 + t/knee)^-decay."""

    share: float = 0.5
    decay: float = 0.7
    knee: float = 8.0


class State(NamedTuple):
    t: Array  # [L] int64, absolute step
    best: Array  # [L, D] float32
    score: Array  # [L] float32
    free: Array  # [L] float32, share of numbers that may change


def search(settings: Settings = Settings()) -> Search:
    return Search("square", 1, init, partial(ask, settings), tell)


def init(region: Region, lanes: Lanes) -> State:
    xp = namespace(lanes.x)
    n = lanes.x.shape[0]
    on = {"device": lanes.x.device}
    return State(
        t=xp.zeros(n, dtype=xp.int64, **on),
        best=lanes.x,
        score=xp.full(n, xp.inf, dtype=xp.float32, **on),
        free=xp.maximum(
            xp.mean(xp.astype(free(lanes), xp.float32), axis=1), xp.asarray(1e-6, dtype=xp.float32, **on)
        ),
    )


def ask(settings: Settings, region: Region, lanes: Lanes, state: State) -> Query:
    xp = namespace(lanes.x)
    share = settings.share * (1 + xp.astype(state.t, xp.float64) / settings.knee) ** -settings.decay
    share = xp.clip(share / state.free, 0.0, 1.0)
    first = state.t == 0
    share = xp.where(first, xp.ones_like(share), share)
    window, sign = _windows(xp, region.parts, lanes.key, state.t, share, first, PLACE)
    if region.norm == L2:
        away, _ = _windows(xp, region.parts, lanes.key, state.t, share, first, AWAY)
        points = _move_mass(xp, region, lanes, state, window, away, sign)
        points = snap_inward(region, lanes.x, points)
    else:
        points = xp.where(window, xp.where(sign > 0, lanes.hi, lanes.lo), state.best)
    return Query(points, xp.arange(points.shape[0], dtype=xp.int64, device=points.device))


def tell(region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array) -> State:
    xp = namespace(score)
    before = xp.take(state.score, query.lane)
    better = score < before
    return State(
        t=state.t + 1,
        best=put_where(state.best, query.lane, query.points, better),
        score=put_where(state.score, query.lane, score, better),
        free=state.free,
    )


def _windows(
    xp: ModuleType, parts: tuple[Part, ...], key: Array, t: Array, share: Array, first: Array, tag: int
) -> tuple[Array, Array]:
    """One window per lane, [L, D] bool, and the sign of each number, [L, D] float32."""
    draw = streams.uniform(key, t, tag, 3)
    total = sum(part.size for part in parts)
    start, masks, sign_parts = 0, [], []
    for i, part in enumerate(parts):
        end = start + part.size
        here = (draw[:, 0] * total >= start) & (draw[:, 0] * total < end) | first
        masks.append(_window(xp, part, draw, here, xp.clip(share * total / part.size, 0.0, 1.0)))
        sign_parts.append(_signs(xp, part, key, t, first, tag * 64 + 16 + i))
        start = end
    if len(parts) == 1:
        return masks[0], sign_parts[0]
    return xp.concat(masks, axis=1), xp.concat(sign_parts, axis=1)


def _window(xp: ModuleType, part: Part, draw: Array, here: Array, share: Array) -> Array:
    """A window of one part, [L, part.size] bool; images get squares, the rest stretches."""
    rows, columns = part.rows, part.columns
    # Both sides shrink alike until the shorter is one cell; then only the longer shrinks.
    tall = xp.clip(xp.round(rows * xp.sqrt(share)), 1, rows)
    wide = xp.clip(xp.round(share * rows * columns / tall), 1, columns)
    top = xp.floor(draw[:, 1] * (rows - tall + 1))
    left = xp.floor(draw[:, 2] * (columns - wide + 1))
    r = xp.arange(rows, dtype=xp.float64, device=draw.device)[None, :]
    c = xp.arange(columns, dtype=xp.float64, device=draw.device)[None, :]
    in_rows = (r >= top[:, None]) & (r < (top + tall)[:, None]) & here[:, None]
    in_columns = (c >= left[:, None]) & (c < (left + wide)[:, None])
    window = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    shape = (draw.shape[0], part.planes, rows, columns)
    return xp.reshape(xp.broadcast_to(window, shape), (shape[0], part.size))


def _signs(xp: ModuleType, part: Part, key: Array, t: Array, first: Array, tag: int) -> Array:
    """Signs of one part, [L, part.size]: alike where one change should look like one change.

    Images: one sign per channel and window; signals and sequences: one per row; tables: one per
    number. The first step lays stripes over the whole input (paper, section 3.3).
    """
    n = t.shape[0]
    shape = (n, part.planes, part.rows, part.columns)
    stripe = max(1, part.columns // 64) if part.domain == "signal" else 1
    stripes = -(-part.columns // stripe)
    per_row = 1 if part.domain == "image" else part.rows
    per_column = part.columns if part.domain == "table" else 1
    plain = xp.reshape(
        streams.signs(key, t, tag, part.planes * per_row * per_column), (n, part.planes, per_row, per_column)
    )
    if not bool(xp.any(first)):
        return xp.reshape(xp.broadcast_to(plain, shape), (n, part.size))
    wide = xp.reshape(
        streams.signs(key, t, tag + 8, part.planes * per_row * stripes), (n, part.planes, per_row, stripes)
    )
    wide = xp.repeat(wide, stripe, axis=3)[:, :, :, : part.columns]
    both = xp.where(first[:, None, None, None], wide, plain)
    return xp.reshape(xp.broadcast_to(both, shape), (n, part.size))


def _move_mass(
    xp: ModuleType, region: Region, lanes: Lanes, state: State, window: Array, away: Array, sign: Array
) -> Array:
    """L2: empty window `away`, and put its mass and what is unused of eps into `window`."""
    delta = (state.best - lanes.x) / region.scale
    movable = xp.astype(free(lanes), xp.float32)
    inside = xp.astype(window, xp.float32) * movable
    both = xp.where(window | away, delta, xp.zeros_like(delta))
    used = xp.sum(delta * delta, axis=1)
    mass = xp.sum(both * both, axis=1) + xp.maximum(region.eps**2 - used, xp.zeros_like(used))
    old = delta * inside
    old = old / (xp.sqrt(xp.sum(old * old, axis=1)) + 1e-12)[:, None]
    count = xp.maximum(xp.sum(inside, axis=1), xp.ones_like(used))
    fresh = sign * inside / xp.sqrt(count)[:, None] + old
    length = xp.sqrt(xp.sum(fresh * fresh, axis=1)) + 1e-12
    fresh = fresh * (xp.sqrt(mass) / length)[:, None]
    delta = xp.where(window, fresh, xp.where(away, xp.zeros_like(delta), delta))
    return shrink(region, lanes, lanes.x + delta * region.scale)
