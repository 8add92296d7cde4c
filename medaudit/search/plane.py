"""The nearest point of the boundary, taken as a plane, points on the way there, and directions to learn its slope from.

c' = ((g.c - m - guard) / |g|^2) g, with m the score and g its slope at c (Moosavi-Dezfooli, Fawzi, Frossard 2016,
"DeepFool", equation 5, measured from the record, so that a way gone astray is given up again).
"""

from __future__ import annotations

import math

import numpy as np

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
    """Directions of length one, [L, count, size], tick after tick those of one basis, then of another: cosines under
    random signs. A slope is then known after as many probes as it has numbers; random ones would leave a third."""
    xp, on = namespace(keys), {"device": keys.device}
    nth = t[:, None] * count + xp.arange(count, dtype=xp.int64, **on)[None, :]
    basis, row = nth // size, nth % size
    angle = np.cos(0.5 * np.pi * np.arange(4 * size) / size) * math.sqrt(2 / size)
    place = row[:, :, None] * xp.arange(1, 2 * size, 2, dtype=xp.int64, **on)[None, None, :] % (4 * size)
    wave = xp.take(xp.asarray(angle.astype(np.float32), **on), xp.reshape(place, (-1,)))
    even = 0.5**0.5 + (1 - 0.5**0.5) * xp.astype(row > 0, xp.float32)  # the first row of cosines is flat
    wave = xp.reshape(wave, place.shape) * even[:, :, None]
    ends = [streams.bits(keys, basis[:, end], DRAW, streams.word_count(size)) for end in (0, -1)]  # at most two bases
    up = xp.where((basis == basis[:, :1])[:, :, None], *(streams.coins(words, size)[:, None, :] for words in ends))
    return xp.where(up, wave, -wave)
