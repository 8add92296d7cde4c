"""The nearest point of the boundary, taken as a plane, points on the way there, and directions to learn its slope from.

c' = ((g.c - m - guard) / |g|^2) g, with m the score and g its slope at c (Moosavi-Dezfooli, Fawzi, Frossard 2016,
"DeepFool", equation 5, measured from the record, so that a way gone astray is given up again).
"""

from __future__ import annotations

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace
from medaudit.core.protocol import Lanes

DRAW = 1
SHARES = (0.3, 1.0, 2.0)  # of the way, in units of trust
GUARDS = (0.002, 0.03, 0.15)  # beyond the plane, in shares of the clean score
BACK = (0.98, 0.9, 0.7)  # shares of a successful change that may do as well
LINE = len(SHARES) * (len(GUARDS) + 1)


def way(lanes: Lanes, at: Array, score: Array, slope: Array, found: Array, trust: Array) -> Array:
    """Changes [L, LINE, D] from `at` [L, D] towards the plane; last of all shorter ones where a success is `found`
    [L], and straight down where none is. score, trust: [L]; slope: [L, D]."""
    xp = namespace(at)
    steep = xp.maximum(xp.sum(slope * slope, axis=1), xp.full_like(score, 1e-20))
    along = xp.sum(slope * at, axis=1)
    usual = xp.abs(score if lanes.score is None else lanes.score)

    def times(reach: Array) -> Array:
        return xp.where(xp.isfinite(reach), reach, xp.zeros_like(reach))[:, None] * slope

    out = []
    for guard in GUARDS:
        gone = trust[:, None] * (times((along - score - guard * usual) / steep) - at)
        out += [at + share * gone for share in SHARES]
    down = times(-trust * score / steep)
    out += [xp.where(found[:, None], back * at, at + s * down) for back, s in zip(BACK, SHARES, strict=True)]
    return xp.stack(out, axis=1)


def directions(keys: Array, t: Array, count: int, size: int) -> Array:
    """Random signs as directions of length one, [L, count, size]."""
    xp = namespace(keys)
    words = streams.bits(keys, t, DRAW, streams.word_count(count * size))
    signs = 2 * xp.astype(streams.coins(words, count * size), xp.float32) - 1
    return xp.reshape(signs, (keys.shape[0], count, size)) / size**0.5
