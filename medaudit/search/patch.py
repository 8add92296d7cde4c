"""Random search for a patch: what stands in it and where it lies (score-based).

Croce, Andriushchenko, Singh, Flammarion, Hein 2022, "Sparse-RS", section 4 (image-specific patches): values
at the ends of the legal range; most steps turn a window of the patch over, every fifth moves the patch,
both less far with every step. Differences: steps shrink with the absolute step, so that a run is a
prefix of a longer one; the first steps try whole random patches anywhere.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace, put, put_where
from medaudit.core.canvas import canvas, random_canvas
from medaudit.core.patches import Spot, anywhere, place
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import Region
from medaudit.search.windows import Draw, flat, join

CONTENT, PLACE, WINDOW, MOVE = 10, 1, 2, 3


class Settings(NamedTuple):
    """fresh: steps that try a whole new patch; move: every so manieth step moves it; knee: steps after which both
    moves and windows begin to shrink; patience: steps without a better one after which all begins again."""

    fresh: int = 20
    move: int = 5
    knee: int = 20
    patience: int = 100


class State(NamedTuple):
    t: Array  # [L] int64
    age: Array  # [L] int64, steps since it began, or began again
    stuck: Array  # [L] int64, steps since the last better one
    shares: Array  # [L, K] float32, the best canvas
    spot: Spot  # [L] each, the best place
    score: Array  # [L] float32, theirs


def search(settings: Settings = Settings()) -> Search:
    return Search("patch", 1, init, partial(ask, settings), partial(tell, settings))


def init(region: Region, lanes: Lanes) -> State:
    xp = namespace(lanes.x)
    t = xp.zeros_like(lanes.label)
    lane = xp.arange(t.shape[0], dtype=xp.int64, device=t.device)
    return State(
        t=t,
        age=t,
        stuck=t,
        shares=xp.astype(random_canvas(region, lanes.key, t, CONTENT), xp.float32),
        spot=anywhere(region, lanes, lane, t, PLACE),
        score=xp.full(t.shape[0], xp.inf, dtype=xp.float32, device=t.device),
    )


def ask(settings: Settings, region: Region, lanes: Lanes, state: State) -> Query:
    shares, spot = _next(settings, region, lanes, state)
    lane = namespace(lanes.x).arange(state.t.shape[0], dtype=state.t.dtype, device=state.t.device)
    return Query(place(region, lanes, lane, shares, spot), lane)


def tell(
    settings: Settings, region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array
) -> State:
    xp = namespace(score)
    who = query.lane
    shares, spot = _next(settings, region, lanes, state)
    before = xp.take(state.score, who)
    better = score < before
    stuck = xp.where(better, xp.zeros_like(who), xp.take(state.stuck, who) + 1)
    over = stuck >= settings.patience
    return State(
        t=put(state.t, who, xp.take(state.t, who) + 1),
        age=put(state.age, who, xp.where(over, xp.zeros_like(who), xp.take(state.age, who) + 1)),
        stuck=put(state.stuck, who, xp.where(over, xp.zeros_like(who), stuck)),
        shares=put_where(state.shares, who, xp.take(shares, who, axis=0), better),
        spot=Spot(*(put_where(old, who, xp.take(new, who), better) for old, new in zip(state.spot, spot, strict=True))),
        score=put(state.score, who, xp.where(over, xp.full_like(score, xp.inf), xp.where(better, score, before))),
    )


def _next(settings: Settings, region: Region, lanes: Lanes, state: State) -> tuple[Array, Spot]:
    """The canvas and place that each lane asks next."""
    xp = namespace(lanes.x)
    t = state.t
    fresh = state.age < settings.fresh
    shift = (t % settings.move == settings.move - 1) & ~fresh
    less = 1 / (1 + xp.astype(state.age, xp.float64) / settings.knee)
    draw = Draw(xp, canvas(region), lanes.key, t, WINDOW)
    windows = [flat(xp, part, draw.window(i, 0.3 * less, None)) for i, part in enumerate(draw.parts)]
    turned = join(xp, windows) & ~(fresh | shift)[:, None]
    shares = xp.where(turned, 1 - state.shares, state.shares)
    new = xp.astype(random_canvas(region, lanes.key, t, CONTENT), xp.float32)
    lane = xp.arange(t.shape[0], dtype=xp.int64, device=t.device)
    there, away = anywhere(region, lanes, lane, t, PLACE), streams.uniform(lanes.key, t, MOVE, 2) * 2 - 1
    spot = Spot(*(xp.where(fresh, a, b) for a, b in zip(there, state.spot, strict=True)))
    return xp.where(fresh[:, None], new, shares), _moved(region, spot, shift, away * less[:, None])


def _moved(region: Region, spot: Spot, shift: Array, away: Array) -> Spot:
    """Patches shifted by up to their part's sides (away [L, 2] of -1 to 1), kept inside it."""
    xp = namespace(away)
    row, column = spot.row, spot.column
    for i, part in enumerate(region.parts):
        here = shift & (spot.part == i)
        for at, cells_of_side, length, k in ((row, part.rows, spot.tall, 0), (column, part.columns, spot.wide, 1)):
            room = cells_of_side - length
            far = xp.astype(xp.round(0.5 * away[:, k] * xp.astype(room, xp.float64)), xp.int64)
            to = xp.maximum(xp.minimum(at + far, room), xp.zeros_like(room))
            if k == 0:
                row = xp.where(here, to, row)
            else:
                column = xp.where(here, to, column)
    return spot._replace(row=row, column=column)
