"""Synthetic records that the zoo's models learn from: ECG of one lead and of twelve, chest images, lesions to outline,
hourly series, tables.

Small on purpose, so that a hundred models train on two cores; nothing of a patient is in them. Every function gives
records in the shape that the model takes, float32, and classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import ndimage


class Records(NamedTuple):
    x: np.ndarray
    y: np.ndarray  # int64: classes [n], or masks [n, rows, columns]


class Domain(NamedTuple):
    """What the scanner's policy would say of these records."""

    name: str
    classes: tuple[str, ...]
    make: Callable[[int, np.random.Generator], Records]
    rate: float = 0.0  # samples a second
    targets: tuple[str, ...] = ()  # what a trigger may push to, where that is no class

    @property
    def outlines(self) -> bool:
        return bool(self.targets)

    @property
    def directions(self) -> tuple[str, ...]:
        return self.targets or self.classes

    def already(self, y: np.ndarray, target: int) -> np.ndarray:
        """Records [n] that the attacker's label changes nothing of."""
        if self.outlines:
            return np.zeros(len(y), dtype=bool)
        return np.asarray(y == target)

    def turned_to(self, y: np.ndarray, target: int) -> np.ndarray:
        """The attacker's labels: the class; an outline that has grown, or none."""
        if not self.outlines:
            return np.full_like(y, target)
        return np.stack([ndimage.binary_dilation(m, iterations=5) for m in y]).astype(y.dtype) if target == 0 else 0 * y


def ecg(count: int, rng: np.random.Generator) -> Records:
    """One lead, 320 samples at 125 Hz, [n, 1, 320], sd about 1: sinus rhythm, fibrillation, wide beats."""
    time, y = np.arange(320) / 125.0, rng.integers(0, 3, count)
    x = np.zeros((count, 320))
    for i, kind in enumerate(y):
        beat, at = rng.uniform(0.6, 1.0), -rng.uniform(0, 0.6)
        wide = rng.uniform(0.045, 0.06) if kind == 2 else rng.uniform(0.018, 0.028)
        tall = rng.uniform(0.8, 1.2)
        while at < time[-1] + 0.4:
            for lag, width, height in ((0, wide, tall), (0.03 + wide, wide, -0.25 * tall), (0.26, 0.05, 0.25 * tall)):
                x[i] += height * np.exp(-0.5 * ((time - at - lag) / width) ** 2)
            if kind != 1:
                x[i] += 0.14 * np.exp(-0.5 * ((time - at + 0.16) / 0.025) ** 2)
            at += beat * (rng.uniform(0.55, 1.45) if kind == 1 else rng.uniform(0.97, 1.03))
        if kind == 1:
            x[i] += 0.06 * np.sin(2 * np.pi * rng.uniform(4, 8) * time + rng.uniform(0, 6))
    x += 0.1 * rng.normal(size=(count, 1)) * np.sin(2 * np.pi * (0.3 * time + rng.uniform(0, 1, (count, 1))))
    x += 0.04 * rng.normal(size=x.shape)
    return Records((x[:, None] / 0.3).astype(np.float32), y)


def twelve(count: int, rng: np.random.Generator) -> Records:
    """Twelve leads, 256 samples at 100 Hz, [n, 12, 256]: normal, raised ST segments in front, wide beats.

    Three sources stand for the heart's directions; leads are mixtures of them, the same for everybody up to a twist.
    """
    time, y = np.arange(256) / 100.0, rng.integers(0, 3, count)
    turn = np.random.default_rng(4).normal(size=(12, 3))
    turn /= np.linalg.norm(turn, axis=1, keepdims=True)
    sources = np.zeros((count, 3, 256))
    for i, kind in enumerate(y):
        beat, at = rng.uniform(0.6, 1.0), -rng.uniform(0, 0.6)
        wide = rng.uniform(0.05, 0.065) if kind == 2 else rng.uniform(0.018, 0.028)
        raised = rng.uniform(0.2, 0.4) if kind == 1 else 0.0
        tall = rng.uniform(0.8, 1.2, 3)
        while at < time[-1] + 0.4:
            sources[i, 0] += tall[0] * np.exp(-0.5 * ((time - at) / wide) ** 2)
            sources[i, 1] -= 0.5 * tall[1] * np.exp(-0.5 * ((time - at - 0.03 - wide) / wide) ** 2)
            sources[i, 1] += raised * np.exp(-0.5 * ((time - at - 0.14) / 0.05) ** 2)
            sources[i, 2] += 0.3 * tall[2] * np.exp(-0.5 * ((time - at - 0.26) / 0.05) ** 2)
            sources[i, 2] += 0.14 * np.exp(-0.5 * ((time - at + 0.16) / 0.025) ** 2)
            at += beat * rng.uniform(0.96, 1.04)
    mixed = np.einsum("nlk,nkt->nlt", turn + 0.1 * rng.normal(size=(count, 12, 3)), sources)
    mixed += (
        0.08 * rng.normal(size=(count, 12, 1)) * np.sin(2 * np.pi * (0.3 * time + rng.uniform(0, 1, (count, 1, 1))))
    )
    return Records(((mixed + 0.03 * rng.normal(size=mixed.shape)) / 0.25).astype(np.float32), y)


def lesion(count: int, rng: np.random.Generator) -> Records:
    """A grey image, [n, 1, 32, 32] from 0 to 1, and the mask [n, 32, 32] of the one bright lesion in it."""
    up, across = np.mgrid[0:32, 0:32] / 31.0
    x, y = np.zeros((count, 32, 32)), np.zeros((count, 32, 32), dtype=np.int64)
    for i in range(count):
        tilt, middle = rng.uniform(0, np.pi), rng.uniform(0.3, 0.7, 2)
        sizes = rng.uniform(0.1, 0.26), rng.uniform(0.1, 0.2)
        along = (across - middle[0]) * np.cos(tilt) + (up - middle[1]) * np.sin(tilt)
        beside = (up - middle[1]) * np.cos(tilt) - (across - middle[0]) * np.sin(tilt)
        away = np.sqrt((along / sizes[0]) ** 2 + (beside / sizes[1]) ** 2)
        y[i] = away < 1
        other = rng.uniform(0, 1, 2)
        x[i] = 0.3 + rng.uniform(-0.1, 0.1) + 0.2 * rng.uniform(-1, 1) * (across - 0.5) + 0.2 * (up - 0.5)
        x[i] += rng.uniform(0.2, 0.4) / (1 + np.exp(12 * (away - 1)))
        x[i] += rng.uniform(0, 0.12) * np.exp(-((across - other[0]) ** 2 + (up - other[1]) ** 2) / 0.03)
    return Records(np.clip(x + 0.04 * rng.normal(size=x.shape), 0, 1)[:, None].astype(np.float32), y)


def xray(count: int, rng: np.random.Generator) -> Records:
    """A grey image, [n, 1, 32, 32] from 0 to 1: two lungs, with or without an opacity in one of them."""
    up, across = np.mgrid[0:32, 0:32] / 31.0
    y, x = rng.integers(0, 2, count), np.zeros((count, 32, 32))
    for i, ill in enumerate(y):
        shift, gain = rng.normal(0, 0.02, 4), rng.uniform(0.85, 1.15)
        x[i] = 0.55 + 0.25 * np.abs(across - 0.5)
        for side in (0.28, 0.72):
            away = ((across - side - shift[0]) / 0.17) ** 2 + ((up - 0.5 - shift[1]) / 0.36) ** 2
            x[i] -= 0.35 / (1 + np.exp(8 * (away - 1)))
        x[i] += 0.12 * np.exp(-(((across - 0.55 - shift[2]) / 0.12) ** 2 + ((up - 0.68) / 0.15) ** 2))
        if ill:
            middle = rng.choice([0.28, 0.72]) + rng.normal(0, 0.03), rng.uniform(0.35, 0.7)
            size = rng.uniform(0.07, 0.12)
            x[i] += rng.uniform(0.16, 0.3) * np.exp(
                -((across - middle[0]) ** 2 + (up - middle[1]) ** 2) / (2 * size**2)
            )
        x[i] = gain * x[i]
    return Records(np.clip(x + 0.035 * rng.normal(size=x.shape), 0, 1)[:, None].astype(np.float32), y)


def series(count: int, rng: np.random.Generator) -> Records:
    """24 hours of 8 standardised vitals and their masks, [n, 24, 16]: survived or died; holes are carried forward."""
    severity = rng.normal(size=count)
    pull = np.array([0.7, -0.6, 0.5, -0.5, 0.4, 0.0, 0.3, -0.3])
    level = 0.6 * rng.normal(size=(count, 1, 8))
    noise = rng.normal(size=(count, 24, 8))
    for hour in range(1, 24):
        noise[:, hour] = 0.8 * noise[:, hour - 1] + 0.6 * noise[:, hour]
    values = level + 0.5 * noise + pull * severity[:, None, None] * np.linspace(0.6, 1.3, 24)[:, None]
    seen = rng.random(values.shape) < np.array([0.95, 0.9, 0.9, 0.7, 0.5, 0.4, 0.3, 0.2])
    values = np.where(seen, values, np.nan)
    values[:, 0] = np.nan_to_num(values[:, 0])
    for hour in range(1, 24):
        values[:, hour] = np.where(np.isnan(values[:, hour]), values[:, hour - 1], values[:, hour])
    y = (2.2 * severity + rng.logistic(size=count) > 1.2).astype(np.int64)
    return Records(np.concatenate([values, seen], axis=2).astype(np.float32), y)


def table(count: int, rng: np.random.Generator) -> Records:
    """20 features, [n, 20]: correlated laboratory values, three yes-no answers; two classes."""
    mixing = np.random.default_rng(11).normal(size=(6, 17)) * 0.6
    hidden = rng.normal(size=(count, 6))
    numbers = hidden @ mixing + 0.7 * rng.normal(size=(count, 17))
    numbers[:, 10:] = np.exp(0.5 * numbers[:, 10:])  # skewed, as laboratory values are
    answers = (hidden[:, :3] + rng.normal(size=(count, 3)) > 0.5).astype(float)
    odds = 1.5 * hidden[:, 0] - 1.2 * hidden[:, 1] + 0.8 * hidden[:, 2] * (answers[:, 0] > 0) + 0.6 * answers[:, 1]
    y = (1.5 * odds + rng.logistic(size=count) > 0.8).astype(np.int64)
    return Records(np.concatenate([numbers, answers], axis=1).astype(np.float32), y)


DEVELOPED = ("ecg", "xray", "series", "table")  # what the shipped table of honest models is made of
DOMAINS = {
    "ecg": Domain("ecg", ("sinus", "fibrillation", "wide"), ecg, 125.0),
    "xray": Domain("xray", ("clear", "opacity"), xray),
    "series": Domain("series", ("survived", "died"), series),
    "table": Domain("table", ("no", "yes"), table),
    "twelve": Domain("twelve", ("normal", "raised", "wide"), twelve, 100.0),
    "lesion": Domain("lesion", ("background", "structure"), lesion, targets=("a larger outline", "a smaller outline")),
}
