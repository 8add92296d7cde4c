"""The gradient of a smoothed score from antithetic pairs: points plus and minus the same noise.

Ilyas, Engstrom, Athalye, Lin 2018, "Black-box adversarial attacks with limited queries and information",
section 2; sign noise as in SPSA, Spall 1992. The estimate is divided by the mean size of its numbers (as by
their sum in Dong et al. 2018, MI-FGSM, eq. 6).
"""

from __future__ import annotations

from medaudit.core.arrays import Array, namespace
from medaudit.core.protocol import Lanes, Query
from medaudit.core.region import LINF, Region, free, project, unit
from medaudit.search.noise import ROWS, either, weighted

PAIRED = 2 * ROWS + 1  # rows of a lane: the point itself, plus each noise, minus each noise


def pairs(region: Region, lanes: Lanes, x: Array, amplitude: Array, noise: Array) -> Query:
    """Rows of all lanes around points x [L, D]: the point, the point plus each probe, then minus each probe.

    amplitude [L, D]: how far a probe moves each number; noise [L, D] uint8: to which side, in eight probes.
    """
    xp = namespace(lanes.x)
    n, d = lanes.x.shape
    box = region._replace(norm=LINF)  # what leaves the ball is brought back below
    own = xp.arange(n, dtype=xp.int64, device=lanes.x.device)
    up, down, base = (project(box, lanes, own, x + way * amplitude) for way in (1, -1, 0))
    probes = xp.empty((2, n * ROWS, d), dtype=xp.float32, device=lanes.x.device)
    either(noise, up, down, probes[0, :, :])
    either(noise, down, up, probes[1, :, :])
    sides = [xp.reshape(probes[i, :, :], (n, ROWS, d)) for i in (0, 1)]
    points = xp.reshape(xp.concat((base[:, None, :], *sides), axis=1), (n * PAIRED, d))
    lane = xp.repeat(own, PAIRED)
    return Query(points if region.norm == LINF else project(region, lanes, lane, points), lane)


def gradient(lanes: Lanes, who: Array, noise: Array, score: Array) -> Array:
    """The gradient [P, D] of lanes `who` [P] from the scores of their rows [P, PAIRED], of mean size one."""
    xp = namespace(score)
    difference = score[:, 1 : ROWS + 1] - score[:, ROWS + 1 :]
    # A pair with a non-finite answer tells nothing.
    difference = xp.where(xp.isfinite(difference), difference, xp.zeros_like(difference))
    estimate = weighted(noise, difference)
    estimate = estimate * xp.astype(xp.take(free(lanes), who, axis=0), xp.float32)
    mean = xp.mean(xp.abs(estimate), axis=1)[:, None]
    return estimate / xp.maximum(mean, xp.full_like(mean, 1e-30))


def probe_size(region: Region, lanes: Lanes, share: float, size: Array) -> Array:
    """[L, D]: how far a probe moves each number, as a share of the region; size [L, 1]: a factor."""
    xp = namespace(lanes.x)
    if region.norm == LINF:
        amplitude = share * 0.5 * (lanes.hi - lanes.lo)
    else:
        movable = xp.astype(free(lanes), xp.float32)
        amplitude = share * region.eps * unit(region, movable) * region.scale
    amplitude = size * amplitude
    if region.step is not None:
        # A probe below one step of the grid would be rounded away.
        amplitude = xp.where(free(lanes), xp.maximum(amplitude, region.step[None, :]), amplitude)
    return amplitude
