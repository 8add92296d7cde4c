"""Corruptions of images: how they are taken, stored, placed and marked.

Kinds and severities follow Hendrycks, Dietterich 2019, "Benchmarking neural network robustness to common corruptions
and perturbations", ICLR, as far as they happen to grey medical images; burned-in markers are those that Zech et al.
2018, "Variable generalization performance of a deep learning model to detect pneumonia in chest radiographs", PLoS
Medicine 15(11), found models to look at. Amounts are shares of the grey range, or of a side.
"""

from __future__ import annotations

import io

import numpy as np

from medaudit.core.interface import Input
from medaudit.domain.corruption import Corruption, either_way, normal, uniform

SIZE, SIDE, PLACE = 1, 2, 3


def limits(item: Input, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest grey value of each plane, [L, planes, 1, 1]: what is legal, else what the record holds."""
    low, high = np.nanmin(x, axis=(2, 3), keepdims=True), np.nanmax(x, axis=(2, 3), keepdims=True)
    for i, channel in enumerate(item.channels[: x.shape[1]]):
        low[:, i] = low[:, i] if channel.lo is None else channel.lo
        high[:, i] = high[:, i] if channel.hi is None else channel.hi
    return low, np.maximum(high, low + 1e-12)


def _in_shares(item: Input, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    low, high = limits(item, x)
    return np.clip((x - low) / (high - low), 0, 1), low, high - low


def noise(item: Input, x: np.ndarray, keys: np.ndarray, sd: float) -> np.ndarray:
    """Quantum and electronic noise: independent in every pixel."""
    share, low, span = _in_shares(item, x)
    return np.asarray(low + span * np.clip(share + sd * normal(keys, SIZE, x[0].size).reshape(x.shape), 0, 1))


def blur(item: Input, x: np.ndarray, keys: np.ndarray, width: float) -> np.ndarray:
    """Out of focus, or moved: a Gaussian of that share of the shorter side."""
    from scipy import ndimage

    sigma = width * min(x.shape[2:])
    return np.asarray(ndimage.gaussian_filter(x, (0, 0, sigma, sigma), mode="nearest"))


def jpeg(item: Input, x: np.ndarray, keys: np.ndarray, quality: float) -> np.ndarray:
    """Stored with loss: each plane through a JPEG of eight bits."""
    from PIL import Image

    share, low, span = _in_shares(item, x)
    out = np.empty_like(share)
    for at in np.ndindex(x.shape[:2]):
        stored = io.BytesIO()
        Image.fromarray(np.round(255 * share[at]).astype(np.uint8)).save(stored, "JPEG", quality=int(quality))
        out[at] = np.asarray(Image.open(stored), dtype=np.float64) / 255
    return np.asarray(low + span * out)


def contrast(item: Input, x: np.ndarray, keys: np.ndarray, share: float) -> np.ndarray:
    """Washed out: values lie nearer to the image's mean, by that share of their distance."""
    mean = np.nanmean(x, axis=(2, 3), keepdims=True)
    return np.asarray(mean + (x - mean) * (1 - share))


def gamma(item: Input, x: np.ndarray, keys: np.ndarray, power: float) -> np.ndarray:
    """Another display curve, brighter or darker."""
    share, low, span = _in_shares(item, x)
    return np.asarray(low + span * share ** (power ** either_way(keys, SIDE)[:, None, None, None]))


def rotation(item: Input, x: np.ndarray, keys: np.ndarray, degrees: float) -> np.ndarray:
    """The patient lies askew."""
    from scipy import ndimage

    turn = degrees * either_way(keys, SIDE)
    return np.stack([ndimage.rotate(x[i], turn[i], (1, 2), False, order=1, mode="nearest") for i in range(len(x))])


def crop(item: Input, x: np.ndarray, keys: np.ndarray, share: float) -> np.ndarray:
    """Cut off at the edges and enlarged again; where, is drawn."""
    from scipy import ndimage

    place, keep = uniform(keys, PLACE, 2), 1 - share
    rows, columns = (np.arange(n) for n in x.shape[2:])
    out = np.empty_like(x)
    for i, (a, b) in enumerate(place):
        grid = np.meshgrid(
            a * share * (len(rows) - 1) + keep * rows, b * share * (len(columns) - 1) + keep * columns, indexing="ij"
        )
        for plane in range(x.shape[1]):
            out[i, plane] = ndimage.map_coordinates(x[i, plane], grid, order=1, mode="nearest")
    return out


def marker(item: Input, x: np.ndarray, keys: np.ndarray, side: float) -> np.ndarray:
    """A letter burned into a corner, as large as that share of the shorter side: an L of full brightness."""
    _, high = limits(item, x)
    n = max(2, round(side * min(x.shape[2:])))
    letter = np.zeros((n, n), dtype=bool)
    stroke = max(1, n // 4)
    letter[:, :stroke] = letter[-stroke:, :] = True
    gap = max(1, min(x.shape[2:]) // 20)
    rows, columns = x.shape[2:]
    corner = np.floor(uniform(keys, PLACE, 2) * 2).astype(int)
    out = x.copy()
    for i, (down, right) in enumerate(corner):
        top = rows - gap - n if down else gap
        left = columns - gap - n if right else gap
        window = out[i, :, top : top + n, left : left + n]
        window[:, letter] = np.broadcast_to(high[i, :, 0], (x.shape[1], int(letter.sum())))
    return out


CORRUPTIONS = (
    Corruption("noise", "Noise", "of the grey range (sd)", (0.02, 0.04, 0.08, 0.12, 0.2), noise),
    Corruption("blur", "Blur", "of the side (sd)", (0.005, 0.01, 0.02, 0.03, 0.05), blur),
    Corruption("jpeg", "JPEG", "quality", (80.0, 50.0, 30.0, 15.0, 7.0), jpeg),
    Corruption("contrast", "Less contrast", "of it lost", (0.2, 0.4, 0.5, 0.65, 0.8), contrast),
    Corruption("gamma", "Another display curve", "power", (1.25, 1.5, 2.0, 2.5, 3.0), gamma),
    Corruption("rotation", "Rotated", "degrees", (3.0, 6.0, 10.0, 15.0, 25.0), rotation),
    Corruption("crop", "Cropped", "of each side", (0.05, 0.1, 0.2, 0.3, 0.4), crop),
    Corruption("marker", "A burned-in marker", "of the side", (0.05, 0.08, 0.12, 0.16, 0.25), marker),
)
