"""Square: random search over windows at the corners of the box (score-based, Linf and L2).

Andriushchenko, Croce, Flammarion, Hein 2020, "Square Attack", algorithms 1 to 3. A window is a
square of an image, a stretch of time and neighbouring leads of a signal, or a run of a table's
columns. Differences from the paper: the window's share of the input is a power of the absolute
step instead of a table over the budget, so that a run is a prefix of a longer one; positions and
signs are drawn per lane; missing and fixed numbers do not count towards the window's area.
"""

from __future__ import annotations

import math
from functools import partial
from types import ModuleType
from typing import NamedTuple

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace, overlay, put, put_where
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import L2, Part, Region, free, shrink, snap_inward

WINDOW, AWAY = 1, 2


class Settings(NamedTuple):
    """share: part of the input a first window covers; decay, knee: share * (1 + t/knee)^-decay."""

    share: float = 0.1
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
            xp.mean(xp.astype(free(lanes), xp.float32), axis=1),
            xp.asarray(1e-6, dtype=xp.float32, **on),
        ),
    )


def ask(settings: Settings, region: Region, lanes: Lanes, state: State) -> Query:
    xp = namespace(lanes.x)
    share = settings.share * (1 + xp.astype(state.t, xp.float64) / settings.knee) ** -settings.decay
    share = xp.minimum(share / state.free, 1.0)
    first = state.t == 0
    begin = bool(xp.any(first))
    plan = _Draw(xp, region.parts, lanes.key, state.t, WINDOW)
    other = _Draw(xp, region.parts, lanes.key, state.t, AWAY) if region.norm == L2 else None
    raised, lowered, aways = [], [], []
    for i, part in enumerate(region.parts):
        window = plan.window(i, share, first if begin else None)
        up = plan.signs(i, first if begin else None)
        raised.append(_flat(xp, part, window & up))
        lowered.append(_flat(xp, part, window & ~up))
        if other is not None:
            aways.append(_flat(xp, part, other.window(i, share, None)))
    up, down = _join(xp, raised), _join(xp, lowered)
    if region.norm == L2:
        sign = xp.astype(up, xp.float32) - xp.astype(down, xp.float32)
        points = _move_mass(xp, region, lanes, state, up | down, _join(xp, aways), sign)
        if region.step is not None:  # a number of the grid may round to just outside the box
            points = snap_inward(region, lanes.x, points)
            points = xp.minimum(xp.maximum(points, lanes.lo), lanes.hi)
    else:
        points = overlay(state.best, (up, lanes.hi), (down, lanes.lo))
    return Query(points, xp.arange(points.shape[0], dtype=xp.int64, device=points.device))


def _flat(xp: ModuleType, part: Part, grid: Array) -> Array:
    """[L, planes or 1, rows, columns] over the part's numbers, [L, part.size]."""
    whole = xp.broadcast_to(grid, (grid.shape[0], part.planes, part.rows, part.columns))
    return xp.reshape(whole, (grid.shape[0], part.size))


def _join(xp: ModuleType, parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else xp.concat(parts, axis=1)


def tell(region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array) -> State:
    xp = namespace(score)
    before = xp.take(state.score, query.lane)
    better = score < before
    return State(
        t=put(state.t, query.lane, xp.take(state.t, query.lane) + 1),
        best=put_where(state.best, query.lane, query.points, better),
        score=put_where(state.score, query.lane, score, better),
        free=state.free,
    )


class _Draw:
    """All that is random in one step: which part, where the window lies, and the signs."""

    def __init__(self, xp: ModuleType, parts: tuple[Part, ...], key: Array, t: Array, tag: int) -> None:
        self.xp, self.parts = xp, parts
        self.shapes = [_sign_shape(part) for part in parts]
        self.starts = [0]
        for shape, stripes in self.shapes:
            self.starts.append(self.starts[-1] + streams.word_count(max(math.prod(shape), math.prod(stripes))))
        words = streams.bits(key, t, tag, 3 + self.starts[-1])
        self.draw, self.words = streams.unit(words[:, :3]), words[:, 3:]
        self.total = sum(part.size for part in parts)

    def window(self, i: int, share: Array, first: Array | None) -> Array:
        """The window in part i, [L, 1, rows, columns] bool; images get squares, others stretches."""
        xp, part, draw = self.xp, self.parts[i], self.draw
        rows, columns = part.rows, part.columns
        share = xp.minimum(share * (self.total / part.size), 1.0)
        if first is not None:
            share = xp.where(first, xp.ones_like(share), share)
        # Both sides shrink alike until the shorter is one cell; then only the longer shrinks.
        tall = xp.maximum(xp.round(rows * xp.sqrt(share)), 1.0)
        wide = xp.minimum(xp.maximum(xp.round(share * (rows * columns) / tall), 1.0), columns)
        in_rows = _run(xp, rows, draw[:, 1], tall)
        if len(self.parts) > 1:
            before = sum(p.size for p in self.parts[:i]) / self.total
            here = (draw[:, 0] >= before) & (draw[:, 0] < before + part.size / self.total)
            in_rows = in_rows & (here if first is None else here | first)[:, None]
        return in_rows[:, None, :, None] & _run(xp, columns, draw[:, 2], wide)[:, None, None, :]

    def signs(self, i: int, first: Array | None) -> Array:
        """Up or down in part i, bool of [L, planes, rows, columns] or with ones for what is alike.

        Alike where one change should look like one change. Images: per channel; signals and
        sequences: per row; tables: per number. The first step lays stripes over the whole input
        (paper, section 3.3).
        """
        xp, part = self.xp, self.parts[i]
        words = self.words[:, self.starts[i] : self.starts[i + 1]]
        shape, stripes = self.shapes[i]
        lanes = words.shape[0]
        up = xp.reshape(streams.coins(words, math.prod(shape)), (lanes, *shape))
        if first is None:
            return up
        wide = xp.reshape(streams.coins(words, math.prod(stripes)), (lanes, *stripes))
        wide = xp.repeat(wide, -(-part.columns // stripes[2]), axis=3)[:, :, :, : part.columns]
        return xp.where(first[:, None, None, None], wide, up)


def _sign_shape(part: Part) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """[planes, rows, columns] of the signs of a window, and of the stripes of the first step."""
    rows = 1 if part.domain == "image" else part.rows
    stripe = max(1, part.columns // 64) if part.domain == "signal" else 1
    columns = part.columns if part.domain == "table" else 1
    return (part.planes, rows, columns), (part.planes, rows, -(-part.columns // stripe))


def _run(xp: ModuleType, length: int, place: Array, width: Array) -> Array:
    """A run of `width` [L] cells at a random place, [L, length] bool."""
    start = xp.astype(xp.floor(place * (length - width + 1)), xp.int32)[:, None]
    cell = xp.arange(length, dtype=xp.int32, device=place.device)[None, :]
    return (cell >= start) & (cell < start + xp.astype(width, xp.int32)[:, None])


def _move_mass(
    xp: ModuleType,
    region: Region,
    lanes: Lanes,
    state: State,
    window: Array,
    away: Array,
    sign: Array,
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
