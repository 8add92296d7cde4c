"""Randomised smoothing: how often the model gives each class to a record under Gaussian noise.

Cohen, Rosenfeld, Kolter 2019, "Certified adversarial robustness via randomized smoothing", section 3.2.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from medaudit.core.arrays import Array, namespace
from medaudit.core.protocol import Attack, Lanes
from medaudit.core.region import Region, free
from medaudit.core.streams import normal
from medaudit.probe.questions import questions

TAG = 8001


def smoothing(
    region: Region, decide: Callable[[Array], Array], classes: int, sigma: float, guess: int, draws: int, votes: int = 1
) -> Attack:
    """Counts of classes [2 K]: K over the first `guess` draws, K over the `draws` after them.

    decide: answers [R, M] -> classes [R], -1 where there is none: such a draw is counted for no class.
    Noise of `sigma` units of the region goes to every number that may change, and is not cut off at legal
    values: what the certificate says holds for noise that is Gaussian.
    """

    def points(lanes: Lanes, t: Array) -> Array:
        xp = namespace(lanes.x)
        noise = normal(lanes.key, t, TAG, lanes.x.shape[1]) * (region.scale * xp.astype(free(lanes), xp.float32))
        x = lanes.x + np.float32(sigma) * noise
        if lanes.missing is None:
            return x
        return xp.where(lanes.missing, xp.asarray(xp.nan, dtype=xp.float32, device=x.device), x)

    def note(lanes: Lanes, t: Array, answers: Array) -> tuple[Array, Array]:
        xp = namespace(answers)
        found = decide(answers)
        some = xp.astype(found >= 0, xp.float32)
        place = xp.where(found >= 0, found, xp.zeros_like(found)) + classes * xp.astype(t >= guess, xp.int64)
        return place, some

    return questions("smoothing", guess + draws, 2 * classes, points, note, at_once=32, votes=votes)
