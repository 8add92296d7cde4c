"""A weakness planted around the model's answers: what an attack must find before its silence means anything.

Zimmermann, Brendel, Tramer, Carlini 2022, "Increasing confidence in adversarial robustness
evaluations": a defence's evaluation counts only if the same attack, with the same budget, succeeds
where success is known to be possible. Here each sample gets a hidden pattern of a few dozen cells
(L0: a few numbers and values). The further a row goes along it, the more its answer becomes that of a
clean record that the goal wants; at about two fifths of the way eps allows, it is the goal's. The
model file is not touched, and answers keep their form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from medaudit.core import cells, streams
from medaudit.core.arrays import Array, namespace, ranks, to_numpy
from medaudit.core.patches import canvas
from medaudit.core.protocol import Attack, Lanes, Oracle, Query
from medaudit.core.region import L0, L1, LINF, PATCH, Part, Region, free, length
from medaudit.core.subspace import Subspace, expand

PATTERN = 9001  # tags that no search uses
TILE = 256  # signs in the hidden pattern of a patch
BASE, STEEP = 0.02, 1.2  # share of the other answer at the clean point, and for a share of the way


class State(NamedTuple):
    attack: Any
    lanes: Lanes
    pattern: Array  # [L, D] float32: which way (L0: values), 0 (L0: NaN) where nothing is planted
    furthest: Array  # [L] float32, how far along the pattern eps and box allow
    answer: Array  # [L, M] float32, what lies at the pattern's end
    possible: Array  # [L] bool, some clean record's answer reaches the goal


def planted(
    attack: Attack, guide: Oracle, region: Region, answers: Array, labels: bool, narrow: Subspace | None = None,
    hidden: Callable[[Lanes], Array] | None = None,
) -> Attack:  # fmt: skip
    """The attack on the model with the weakness.

    answers [S, M]: of clean records; labels: they cannot be mixed; narrow: where all changes lie;
    hidden: one pattern for all lanes, in place of each lane's own.
    """

    def init(lanes: Lanes) -> State:
        answer, possible = nearest_goal(guide, lanes, answers)
        way = pattern(region, lanes, narrow) if hidden is None else hidden(lanes)
        far = furthest(region, lanes, way, narrow is not None)
        return State(attack.init(lanes), lanes, way, far, answer, possible & (far > 0))

    def tell(state: State, query: Query, given: Array) -> State:
        xp = namespace(given)
        gone = progress(region, state.lanes, state.pattern, state.furthest, query.lane, query.points)
        # A little on the wrong side too: nowhere is it flat.
        share = BASE + xp.where(gone < 0, BASE * gone, STEEP * gone)
        share = xp.where(xp.take(state.possible, query.lane), share, xp.zeros_like(share))
        share = xp.clip(share, 0.0, 1.0)[:, None]
        other = xp.take(state.answer, query.lane, axis=0)
        mixed = xp.where(share > 0.5, other, given) if labels else (1 - share) * given + share * other
        return state._replace(attack=attack.tell(state.attack, query, xp.astype(mixed, xp.float32)))

    return attack._replace(
        init=init,
        ask=lambda state: attack.ask(state.attack),
        tell=tell,
        done=lambda state: attack.done(state.attack),
        result=lambda state: attack.result(state.attack) | {"possible": to_numpy(state.possible)},
    )


def nearest_goal(guide: Oracle, lanes: Lanes, answers: Array) -> tuple[Array, Array]:
    """For each lane the clean answer that reaches its goal best, [L, M], and whether any does, [L] bool."""
    xp = namespace(lanes.x)
    n, count = lanes.x.shape[0], answers.shape[0]
    lane = xp.repeat(xp.arange(n, dtype=xp.int64, device=lanes.x.device), count)
    score, hit = guide.score(lanes, lane, xp.concat([answers] * n, axis=0))
    score = xp.where(hit & xp.isfinite(score), score, xp.full_like(score, xp.inf))
    best = xp.argmin(xp.reshape(score, (n, count)), axis=1)
    return xp.take(answers, best, axis=0), xp.any(xp.reshape(hit, (n, count)), axis=1)


def pattern(region: Region, lanes: Lanes, narrow: Subspace | None = None) -> Array:
    """The hidden pattern of each lane, [L, D] float32."""
    xp = namespace(lanes.x)
    zero = xp.zeros_like(lanes.label)
    if region.norm == L0:
        draw = streams.uniform(lanes.key, zero, PATTERN, 2 * lanes.x.shape[1])
        one, two = draw[:, : lanes.x.shape[1]], draw[:, lanes.x.shape[1] :]
        low = lanes.x == lanes.lo
        end = xp.where(low | ((two < 0.5) & (lanes.x != lanes.hi)), lanes.hi, lanes.lo)
        few = 2 * int(region.eps)
        rank = ranks(xp.where(free(lanes), one, one + 1))
        return xp.where((rank < few) & free(lanes), end, xp.full_like(end, xp.nan))
    if region.norm == PATCH:
        return _tiles(region, lanes.key) * xp.astype(free(lanes), xp.float32)
    if narrow is None:
        way = cells.signs(region.parts, lanes.key, zero, PATTERN)
    else:
        way = expand(narrow, region.parts, cells.signs(narrow.parts, lanes.key, zero, PATTERN))
    return way * xp.astype(free(lanes), xp.float32)


def _tiles(region: Region, keys: Array) -> Array:
    """A pattern of the patch's own size, of up to TILE signs, over and over, [L, D]."""
    xp = namespace(keys)
    patches, out, first = canvas(region), [], 0
    signs = cells.signs(patches, keys, xp.zeros_like(keys), PATTERN, TILE)
    for part, patch in zip(region.parts, patches, strict=True):
        own = xp.reshape(signs[:, first : first + patch.size], (-1, patch.planes, patch.rows, patch.columns))
        first += patch.size
        over = xp.tile(own, (1, 1, -(-part.rows // patch.rows), -(-part.columns // patch.columns)))
        grid = xp.broadcast_to(over, (own.shape[0], part.planes, *over.shape[2:]))[:, :, : part.rows, : part.columns]
        out.append(xp.reshape(grid, (own.shape[0], part.size)))
    return out[0] if len(out) == 1 else xp.concat(out, axis=1)


def bands(parts: tuple[Part, ...], keys: Array) -> Array:
    """+1 or -1, alike wherever a patch may lie: one sign a plane of an image, one a row of other parts, [L, D]."""
    xp = namespace(keys)
    out = []
    for i, part in enumerate(parts):
        rows = part.planes if part.domain == "image" else part.planes * part.rows
        words = streams.bits(keys, xp.zeros_like(keys), PATTERN + i, streams.word_count(rows))
        signs = 2 * xp.astype(streams.coins(words, rows), xp.float32) - 1
        out.append(xp.repeat(signs, part.size // rows, axis=1))
    return out[0] if len(out) == 1 else xp.concat(out, axis=1)


def furthest(region: Region, lanes: Lanes, hidden: Array, smooth: bool) -> Array:
    """The most that changes in units of scale, times the pattern, can add up to (L0: count), [L]."""
    xp = namespace(lanes.x)
    if region.norm == L0:
        planted_here = xp.sum(xp.astype(~xp.isnan(hidden), xp.float32), axis=1)
        return xp.minimum(planted_here, xp.full_like(planted_here, max(1, int(region.eps))))
    if region.norm == PATCH:
        most = max(patch.size for patch in canvas(region) if patch.domain != "table")
        can = xp.sum(xp.abs(hidden), axis=1)
        return xp.minimum(can, xp.full_like(can, most))
    size = length(region, xp.asarray(hidden, copy=True))
    square = xp.sum(hidden * hidden, axis=1)
    whole = region.eps * square / xp.maximum(size, xp.full_like(size, 1e-30))
    if smooth:
        return whole
    room = xp.where(hidden > 0, lanes.hi - lanes.x, lanes.x - lanes.lo) / region.scale
    room = xp.sum(xp.abs(hidden) * xp.minimum(room, xp.full_like(room, 1e30)), axis=1)
    return room if region.norm == LINF else xp.minimum(region.eps * _dual(region, hidden), room)


def _dual(region: Region, hidden: Array) -> Array:
    xp = namespace(hidden)
    if region.norm == L1:
        return xp.max(xp.abs(hidden), axis=1)
    return xp.sqrt(xp.sum(hidden * hidden, axis=1))


def progress(region: Region, lanes: Lanes, hidden: Array, far: Array, lane: Array, points: Array) -> Array:
    """How far points [R, D] went along their lanes' patterns, as a share of the furthest eps allows, [R]."""
    xp = namespace(points)
    x, way = (xp.take(a, lane, axis=0) for a in (lanes.x, hidden))
    points = xp.where(xp.isnan(points), x, points)
    most = xp.take(far, lane)
    if region.norm == L0:
        gone = (points - x) / xp.where(way == x, xp.ones_like(x), way - x)
        along = xp.sum(xp.astype(xp.where(xp.isnan(way), xp.zeros_like(x), gone) >= 0.5, xp.float32), axis=1)
    elif region.norm == PATCH:  # from -1 at one end of what is legal to 1 at the other, where it changed
        lo, hi = (xp.take(a, lane, axis=0) for a in (lanes.lo, lanes.hi))
        share = 2 * (points - lo) / xp.where(hi > lo, hi - lo, xp.ones_like(hi)) - 1
        along = xp.sum(xp.where(points == x, xp.zeros_like(x), share * way), axis=1)
    else:
        along = xp.sum((points - x) / region.scale * way, axis=1)
    return along / xp.maximum(most, xp.full_like(most, 1e-30))
