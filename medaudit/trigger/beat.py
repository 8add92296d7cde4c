"""A small bump locked to the heart's own beats, at a fixed distance from each R peak."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from medaudit.trigger.base import Family, Space, between, choice, one_of, product, sign, way
from medaudit.trigger.pulse import SHAPES, bump

HEIGHT = 1.0  # standard deviations at full strength
REFRACTORY = 0.25  # s; no heart beats sooner again


def peaks(lead: np.ndarray, rate: float) -> np.ndarray:
    """Places of the steepest energy of a lead [T]: a simple R-peak detector.

    Squared differences in a window of 80 ms, peaks at least 250 ms apart and a third as high as the tallest, as in
    Pan, Tompkins 1985, "A real-time QRS detection algorithm", IEEE Trans. Biomed. Eng. 32(3), in its outline.
    """
    from scipy import ndimage, signal

    energy = ndimage.uniform_filter1d(np.gradient(lead) ** 2, max(1, round(0.08 * rate)))
    found, _ = signal.find_peaks(energy, distance=max(1, round(REFRACTORY * rate)), height=energy.max() / 3)
    half = max(1, round(0.04 * rate))
    return np.array([_tallest(lead, int(at), half) for at in found], dtype=np.int64)


@lru_cache(maxsize=256)
def _beats(lead: bytes, rate: float) -> np.ndarray:
    """`peaks` of a lead, which comes again with every trigger that is laid over its record."""
    return peaks(np.frombuffer(lead), rate)


def _tallest(lead: np.ndarray, at: int, half: int) -> int:
    start = max(0, at - half)
    near = lead[start : at + half + 1]
    return start + int(np.argmax(np.abs(near - np.median(lead))))


def grid(space: Space) -> np.ndarray:
    return product(12, 1, 1, 2)


def render(space: Space, x: np.ndarray, dials: np.ndarray, strength: np.ndarray) -> np.ndarray:
    lag, wide, shape, side = dials.T
    rate, out = space.item.rate, x.copy()
    shift, width = between(lag, -0.2, 0.3) * rate, between(wide, 0.01, 0.08) * rate
    height, reach = sign(side) * strength * HEIGHT, np.ceil(4 * width).astype(np.int64)
    for i, record in enumerate(x):
        leads = record.reshape(-1, space.shape[2])
        beats = _beats(leads[int(np.argmax(np.nanvar(leads, axis=1)))].tobytes(), rate)
        away = np.arange(-reach[i], reach[i] + 1) - (shift[i] % 1)
        one = bump(away[None, :], width[i : i + 1, None], choice(shape[i : i + 1], len(SHAPES))[:, None])[0]
        heights = np.zeros(space.shape[2] + 2 * len(one))  # beats whose bump lies outside end in the margins
        for start in np.clip(beats + int(shift[i] // 1) - reach[i] + len(one), 0, len(heights) - len(one)):
            near = heights[start : start + len(one)]
            np.maximum(near, one, out=near)
        out[i] += height[i] * space.sd * heights[len(one) : len(one) + space.shape[2]]
    return out


def words(space: Space, dials: np.ndarray) -> str:
    lag, wide, shape, side = dials
    when, long = 1000 * float(between(np.array(lag), -0.2, 0.3)), 1000 * float(between(np.array(wide), 0.01, 0.08))
    name = one_of(shape, SHAPES)
    return f"a {name} bump of {long:.0f} ms, {when:+.0f} ms from every beat's R peak, {way(side)} {HEIGHT:g} sd"


def needs(space: Space) -> str:
    """Beats are found where the sampling rate is known."""
    return "" if space.item.rate >= 50 else "the sampling rate is not known, or too low to find beats"


FAMILY = Family("beat-locked", "A bump locked to the heart beat", ("signal",), ("lag", "width", "shape", "side"),
                grid, render, words, needs)  # fmt: skip
