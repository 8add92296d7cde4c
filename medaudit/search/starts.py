"""Where a walk from labels alone may begin, and how far it may go.

First noise of one, two and four times eps, from where the boundary is never far; then clean records of
another decision, from near to far; then noise of any size, number by number and in coarse cells by turns.
"""

from __future__ import annotations

from medaudit.core import cells, streams
from medaudit.core.arrays import Array, namespace, put
from medaudit.core.protocol import Lanes, Search
from medaudit.core.region import LINF, Region, clip, free, snap

UNIFORM = 1
NEAR = 9  # tries of noise near eps: six in coarse cells, the last three number by number
COARSE = 2
DONORS = 8  # clean records tried before noise
NOISE = 30.0  # largest noise, as a multiple of a number's share of eps


def nearest(donors: Array | None, kinds: Array | None, region: Region, lanes: Lanes) -> Array:
    """Donors of another decision from near to far (of the target's, if there is one), [L, S]."""
    xp = namespace(lanes.x)
    n = lanes.x.shape[0]
    if donors is None or kinds is None or donors.shape[0] == 0:
        return xp.full((n, 1), -1, dtype=xp.int64, device=lanes.x.device)
    columns = []
    for s in range(donors.shape[0]):
        delta = xp.where(free(lanes), donors[s, :][None, :] - lanes.x, xp.zeros_like(lanes.x)) / region.scale
        delta = xp.where(xp.isnan(delta), xp.zeros_like(delta), delta)
        columns.append(xp.sum(delta * delta, axis=1))
    distance = xp.stack(columns, axis=1)
    kind = kinds[None, :]
    wrong = (kind == lanes.label[:, None]) & (lanes.label[:, None] >= 0)
    wrong = wrong | ((lanes.target[:, None] >= 0) & (kind >= 0) & (kind != lanes.target[:, None]))
    distance = xp.where(wrong | (distance == 0), xp.full_like(distance, xp.inf), distance)
    order = xp.argsort(distance, axis=1, stable=True)
    sorted_distance = xp.sort(distance, axis=1, stable=True)
    return xp.where(xp.isfinite(sorted_distance), xp.astype(order, xp.int64), xp.full_like(order, -1))


def start(donors: Array | None, region: Region, lanes: Lanes, order: Array, tried: Array, who: Array) -> Array:
    """The next donor, or uniform noise in the box, blended in more strongly with every try."""
    xp = namespace(lanes.x)
    x, lo, hi = (xp.take(a, who, axis=0) for a in (lanes.x, lanes.lo, lanes.hi))
    key, turn = xp.take(lanes.key, who), xp.take(tried, who)
    asked = xp.maximum(turn - NEAR, xp.zeros_like(turn))
    reach = NOISE * region.eps * region.scale / (1 if region.norm == LINF else x.shape[1] ** 0.5)
    lo, hi = xp.maximum(lo, x - reach), xp.minimum(hi, x + reach)
    draw = streams.uniform(key, asked, UNIFORM, x.shape[1])
    share = _power(asked % 8 - 7)[:, None]
    noise = xp.astype(lo + (hi - lo) * draw, xp.float32)
    if xp.any(asked >= 2 * DONORS):  # where numbers one by one average out: neighbours together, to the ends
        ends = xp.where(cells.signs(region.parts, key, turn, COARSE) > 0, hi, lo)
        noise = xp.where(((asked >= 2 * DONORS) & (asked // 8 % 2 == 1))[:, None], ends, noise)
    points = x + share * (noise - x)
    if donors is not None and donors.shape[0]:
        order = xp.take(order, who, axis=0)
        slots = xp.minimum(asked, xp.full_like(asked, order.shape[1] - 1))
        pick = xp.take_along_axis(order, slots[:, None], axis=1)[:, 0]
        use = (pick >= 0) & (asked < min(order.shape[1], DONORS))
        donor = xp.take(donors, xp.maximum(pick, xp.zeros_like(pick)), axis=0)
        donor = xp.where(xp.isnan(donor), x, donor)
        points = xp.where(use[:, None], donor, points)
    if xp.any(turn < NEAR):
        factor = _power(turn % 3)[:, None] * (reach / NOISE)
        fine = (turn // 3 == 2)[:, None]
        single = 1 - 2 * xp.astype(draw < 0.5, xp.float32)
        near = x + factor * xp.where(fine, single, cells.signs(region.parts, key, turn, COARSE))
        points = xp.where((turn < NEAR)[:, None], near, points)
    return clip(lanes, who, snap(region, clip(lanes, who, points)))


def outcome(lanes: Lanes, lane: Array, hit: Array) -> tuple[Array, Array]:
    """Which lanes were told of one row [L] bool, and of those whose row reached the goal, [L] bool."""
    none = namespace(hit).zeros_like(lanes.label)
    return put(none, lane, namespace(hit).ones_like(lane)) > 0, put(
        none, lane, namespace(hit).astype(hit, none.dtype)
    ) > 0


def _power(exponent: Array) -> Array:
    """2 to small integers, float32: exact everywhere."""
    xp = namespace(exponent)
    table = xp.asarray([2.0**k for k in range(-8, 9)], dtype=xp.float32, device=exponent.device)
    return xp.take(table, exponent + 8)


def beyond(search: Search) -> Search:
    """The search, minimising size inside the legal box instead of the box of eps."""

    def wide(lanes: Lanes) -> Lanes:
        if lanes.legal_lo is None:
            return lanes
        return lanes._replace(lo=lanes.legal_lo, hi=lanes.legal_hi)

    return search._replace(
        beyond=True,
        init=lambda region, lanes: search.init(region, wide(lanes)),
        ask=lambda region, lanes, state: search.ask(region, wide(lanes), state),
        tell=lambda region, lanes, state, *told: search.tell(region, wide(lanes), state, *told),
    )
