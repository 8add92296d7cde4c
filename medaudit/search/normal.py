"""The boundary's normal from labels: eight noisy copies of a point at a time, and a sum of outcomes.

Chen, Jordan, Wainwright 2020, "HopSkipJumpAttack", section 3.2, eqs. 9 and 16. Differences: sign
noise in place of Gaussian; its mean is taken out through running sums, which are integers and so
exact in any order; a lane's estimate is normalised by itself. Noise may be alike inside small cells
of signals and images (`noise.octets`).
"""

from __future__ import annotations

from typing import NamedTuple

from medaudit.core.arrays import Array, namespace, put
from medaudit.core.protocol import Lanes
from medaudit.core.region import LINF, Region, project
from medaudit.search.noise import ROWS, agreement, balance, either


class Normal(NamedTuple):
    """Sums of the estimate that is being made; `direction` [L, D] is the last one that was."""

    t: Array  # [L] int64, the address of noise
    asked: Array  # [L] int64, probes so far
    hits: Array  # [L] float32, sum of +-1 outcomes
    noise: Array  # [L, D] float32, sum of noise
    direction: Array  # [L, D] float32, sum of outcome * noise; once ready: the unit direction


def begin(lanes: Lanes) -> Normal:
    xp = namespace(lanes.x)
    zero = xp.zeros(lanes.x.shape[0], dtype=xp.int64, device=lanes.x.device)
    flat, none = xp.astype(zero, xp.float32), xp.zeros_like(lanes.x)
    return Normal(zero, zero, flat, none, none)


def probes(region: Region, lanes: Lanes, who: Array, at: Array, reach: Array, noise: Array, out: Array) -> None:
    """Fill `out` [P * 8, D] with noisy copies of points `at` [P, D]; reach [P]: a number's move, in scale."""
    amplitude = reach[:, None] * region.scale
    if region.step is not None:
        # A probe below one step of the grid would be rounded away.
        amplitude = namespace(at).maximum(amplitude, region.step)
    box = region._replace(norm=LINF)
    either(noise, project(box, lanes, who, at + amplitude), project(box, lanes, who, at - amplitude), out)


def add(
    region: Region, lanes: Lanes, normal: Normal, who: Array, noise: Array, hit: Array, want: Array
) -> tuple[Normal, Array]:
    """Add outcomes `hit` [P, 8] to the sums. Returns them, and which of `who` have the `want` [P] probes:
    [P] bool. Theirs is turned into a direction, and the count begins again."""
    xp = namespace(lanes.x)
    asked = xp.take(normal.asked, who)
    old = xp.astype(asked > 0, xp.float32)  # sums of an earlier estimate are dropped
    product = xp.take(normal.direction, who, axis=0) * old[:, None] + agreement(noise, hit)  # integers: exact
    total = xp.take(normal.noise, who, axis=0) * old[:, None] + balance(noise)
    hits = xp.take(normal.hits, who) * old + xp.sum(2 * xp.astype(hit, xp.float32) - 1, axis=1)
    asked = asked + ROWS
    done = xp.astype(asked, xp.float32) >= want
    ready = xp.nonzero(done)[0]
    if ready.shape[0]:
        mean = (xp.take(hits, ready) / xp.astype(xp.take(asked, ready), xp.float32))[:, None]
        # eq. 16, with the baseline taken out; all outcomes alike: follow (or leave) their mean.
        level = xp.where(xp.abs(mean) < 1, mean, xp.zeros_like(mean))
        raw = xp.take(product, ready, axis=0) - level * xp.take(total, ready, axis=0)
        product = put(product, ready, _unit(region, lanes, xp.take(who, ready), raw))
        asked = xp.where(done, xp.zeros_like(asked), asked)
    after = normal._replace(
        asked=put(normal.asked, who, asked),
        hits=put(normal.hits, who, hits),
        noise=put(normal.noise, who, total),
        direction=put(normal.direction, who, product),
    )
    return after, done


def _unit(region: Region, lanes: Lanes, who: Array, direction: Array) -> Array:
    xp = namespace(direction)
    lo, hi = xp.take(lanes.lo, who, axis=0), xp.take(lanes.hi, who, axis=0)
    direction = direction * xp.astype(hi > lo, xp.float32)
    if region.norm == LINF:
        return xp.sign(direction)
    far = xp.sqrt(xp.sum(direction * direction, axis=1))[:, None]
    return direction / xp.maximum(far, xp.full_like(far, 1e-30))
