"""Filters that a device may apply to what it records, before the model sees it.

Each takes an input, records [R, planes, rows, columns] float64 without holes, and an amount; a row's answer depends
on that row alone. Median filtering and fewer bits as defences: Xu, Evans, Qi 2018, "Feature squeezing: detecting
adversarial examples in deep neural networks", NDSS; JPEG: Dziugaite, Ghahramani, Roy 2016, "A study of the effect of
JPG compression on adversarial images".
"""

from __future__ import annotations

import numpy as np

from medaudit.core.interface import Input
from medaudit.domain import corrupt_image


def _sides(item: Input, width: float) -> tuple[float, float, float, float]:
    """The same width along rows and columns of an image, and along time elsewhere."""
    return (0, 0, width if item.domain == "image" else 0, width)


def median(item: Input, x: np.ndarray, amount: tuple[float, ...]) -> np.ndarray:
    """The median of a window: pixels a side, samples, or hours."""
    from scipy import ndimage

    return np.asarray(ndimage.median_filter(x, tuple(int(max(1, w)) for w in _sides(item, amount[0])), mode="nearest"))


def blur(item: Input, x: np.ndarray, amount: tuple[float, ...]) -> np.ndarray:
    """A Gaussian of so many pixels, samples or hours (standard deviation)."""
    from scipy import ndimage

    return np.asarray(ndimage.gaussian_filter(x, _sides(item, amount[0]), mode="nearest"))


def jpeg(item: Input, x: np.ndarray, amount: tuple[float, ...]) -> np.ndarray:
    """Each plane through a JPEG of eight bits and that quality."""
    return corrupt_image.jpeg(item, x, np.zeros(len(x), dtype=np.uint64), amount[0])


def bits(item: Input, x: np.ndarray, amount: tuple[float, ...]) -> np.ndarray:
    """So many bits over each channel's legal range, or over what the record holds."""
    low, high = np.min(x, axis=3, keepdims=True), np.max(x, axis=3, keepdims=True)
    if item.domain == "image":
        low, high = (edge * np.ones_like(low) for edge in corrupt_image.limits(item, x))
    else:
        for i, channel in enumerate(item.channels[: x.shape[2]]):
            low[:, :, i] = low[:, :, i] if channel.lo is None else channel.lo
            high[:, :, i] = high[:, :, i] if channel.hi is None else channel.hi
    levels = 2 ** amount[0] - 1
    span = np.maximum(high - low, 1e-12)
    return np.asarray(low + np.round(np.clip((x - low) / span, 0, 1) * levels) / levels * span)


def band_pass(item: Input, x: np.ndarray, amount: tuple[float, ...]) -> np.ndarray:
    """A Butterworth filter of third order, forwards and backwards, that keeps amount[0] to amount[1] Hz."""
    from scipy import signal

    low, high = amount
    kind, edges = ("bandpass", [low, high]) if low > 0 else ("lowpass", [high])
    form = signal.butter(3, edges, kind, fs=item.rate, output="sos")
    return np.asarray(signal.sosfiltfilt(form, x, axis=3))


def z_score(item: Input, x: np.ndarray, amount: tuple[float, ...]) -> np.ndarray:
    """Mean 0 and standard deviation 1 over each recording's lead, variable or plane."""
    axes = (2, 3) if item.domain == "image" else (3,)
    sd = np.std(x, axis=axes, keepdims=True)
    return np.asarray((x - np.mean(x, axis=axes, keepdims=True)) / np.where(sd > 0, sd, 1))
