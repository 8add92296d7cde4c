"""Synthetic chest X-ray phantoms, normal or with an opacity.

No patient image is involved.  A phantom is built from thickness, as a radiograph is: by the
Beer-Lambert law a detector pixel receives I = I0 exp(-sum_m mu_m d_m), and the displayed grey value
rises with the line integral p = sum_m mu_m d_m (bone and fluid white, air black).  Each structure
adds its own smooth term to p:

    body       wide super-ellipse
    lungs      two ellipses of air, which take away from p; lower edge cut by the diaphragm
    ribs       seven pairs of sloping parabolic arcs, Gaussian cross-section
    spine      vertical Gaussian band with vertebral ripple; clavicles: two short arcs
    heart      ellipse, mostly on the patient's left (right side of the image)
    vessels    low-pass noise inside the lungs, stronger near the hilum
    opacity    one to three Gaussian blobs multiplied by low-pass texture, inside a lung

Edges are logistic steps.  The detector adds Gaussian blur, and noise whose variance grows with the
number of photons (Poisson in the normal limit).

Shapes and units: uint8 [n, 64, 64] grey levels, 0 (black) to 255 (white).
Classes: 0 "normal", 1 "opacity".
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

SIZE = 64
CLASSES = ("normal", "opacity")


def step(value: np.ndarray, soft: float) -> np.ndarray:
    """Logistic edge: near 1 where value > 0."""
    return 1.0 / (1.0 + np.exp(-np.clip(value / soft, -40, 40)))


def ellipse(
    xx: np.ndarray,
    yy: np.ndarray,
    centre: tuple[float, float],
    radius: tuple[float, float],
    tilt: float = 0.0,
    soft: float = 0.08,
) -> np.ndarray:
    """Soft ellipse in the frame [-1, 1] x [-1, 1]; tilt in radians."""
    u, v = xx - centre[0], yy - centre[1]
    c, s = np.cos(tilt), np.sin(tilt)
    a, b = (c * u + s * v) / radius[0], (-s * u + c * v) / radius[1]
    return step(1.0 - np.sqrt(a**2 + b**2 + 1e-9), soft)


def texture(rng: np.random.Generator, sigma: float) -> np.ndarray:
    """Low-pass Gaussian field [64, 64] of unit standard deviation."""
    field = gaussian_filter(rng.standard_normal((SIZE, SIZE)), sigma, mode="wrap")
    return field / field.std()


def lung_fields(
    rng: np.random.Generator, xx: np.ndarray, yy: np.ndarray
) -> tuple[np.ndarray, list[tuple[float, float, float, float]]]:
    """Air mask of both lungs [64, 64], and centre and radii of each lung."""
    width, tall = rng.uniform(0.27, 0.34), rng.uniform(0.58, 0.70)
    mid = rng.uniform(-0.05, 0.05)
    air = np.zeros_like(xx)
    boxes = []
    for side in (-1, 1):
        cx = mid + side * rng.uniform(0.40, 0.46)
        cy = rng.uniform(-0.12, -0.02)
        lung = ellipse(xx, yy, (cx, cy), (width, tall), tilt=side * rng.uniform(0.05, 0.16))
        dome = rng.uniform(0.38, 0.56) + (0.06 if side > 0 else 0.0)
        diaphragm = dome + rng.uniform(0.3, 0.7) * (xx - cx) ** 2 / width
        air = np.maximum(air, lung * step(diaphragm - yy, 0.03))
        boxes.append((cx, cy, width, min(tall, dome - cy)))
    return air, boxes


def bones(rng: np.random.Generator, xx: np.ndarray, yy: np.ndarray) -> np.ndarray:
    """Ribs, clavicles and spine, line integral [64, 64]."""
    out = np.zeros_like(xx)
    gap, first, thick = rng.uniform(0.19, 0.23), rng.uniform(-0.85, -0.72), rng.uniform(0.025, 0.04)
    slope, bend = rng.uniform(0.1, 0.4), rng.uniform(0.3, 0.7)
    strength = rng.uniform(0.10, 0.24)
    far = np.abs(xx)
    for k in range(7):
        line = first + k * gap + slope * far + bend * (far - 0.45) ** 2
        line = line + rng.normal(0, 0.01) + rng.normal(0, 0.02) * xx
        out += strength * np.exp(-((yy - line) ** 2) / (2 * thick**2)) * step(0.85 - far, 0.05)
    collar = rng.uniform(-0.78, -0.66) - rng.uniform(0.1, 0.3) * (far - 0.1)
    out += 0.22 * np.exp(-((yy - collar) ** 2) / (2 * 0.035**2)) * step(0.75 - far, 0.05)
    ripple = 1 + 0.12 * np.sin(2 * np.pi * yy / rng.uniform(0.16, 0.22) + rng.uniform(0, 6.28))
    out += rng.uniform(0.30, 0.45) * np.exp(-(xx**2) / (2 * 0.09**2)) * ripple
    return out


def opacity(
    rng: np.random.Generator,
    xx: np.ndarray,
    yy: np.ndarray,
    air: np.ndarray,
    boxes: list[tuple[float, float, float, float]],
) -> np.ndarray:
    """Fluid in the airspace: one to three textured Gaussian blobs in one lung, at times in both."""
    out = np.zeros_like(xx)
    peak = float(np.exp(rng.uniform(np.log(0.13), np.log(0.50))))
    home = int(rng.integers(2))
    for k in range(int(rng.integers(1, 4))):
        cx, cy, rx, ry = boxes[home if k < 2 else 1 - home]
        px = cx + rng.uniform(-0.5, 0.5) * rx
        py = cy + rng.uniform(-0.5, 0.75) * ry
        sx, sy = rng.uniform(0.10, 0.20, 2)
        blob = np.exp(-((xx - px) ** 2) / (2 * sx**2) - (yy - py) ** 2 / (2 * sy**2))
        out = np.maximum(out, rng.uniform(0.7, 1.0) * blob)
    patchy = np.clip(1 + 0.30 * texture(rng, 1.6), 0.2, None)
    return peak * out * patchy * (0.25 + 0.75 * air)


def make_image(rng: np.random.Generator, label: int) -> np.ndarray:
    """One phantom, uint8 [64, 64]."""
    axis = (np.arange(SIZE) + 0.5) / SIZE * 2 - 1
    xx, yy = np.meshgrid(axis, axis)
    zoom = rng.uniform(0.92, 1.08)
    xx, yy = zoom * xx + rng.normal(0, 0.04), zoom * yy + rng.normal(0, 0.04)
    air, boxes = lung_fields(rng, xx, yy)
    body = step(1.05 - (np.abs(xx) ** 3 + (np.abs(yy) / 1.25) ** 3), 0.08)
    path = 0.85 * body - rng.uniform(0.45, 0.60) * air
    path += bones(rng, xx, yy) * body
    heart_at = (rng.uniform(0.08, 0.18), rng.uniform(0.18, 0.32))
    size = (rng.uniform(0.22, 0.34), rng.uniform(0.26, 0.34))
    path += rng.uniform(0.25, 0.40) * ellipse(xx, yy, heart_at, size, 0.5, 0.10) * (0.2 + air)
    hilum = np.exp(-(((np.abs(xx) - 0.22) / 0.16) ** 2) - ((yy - 0.02) / 0.25) ** 2)
    path += air * (0.025 + 0.06 * hilum) * texture(rng, 1.0) + rng.uniform(0.02, 0.14) * hilum * air
    path += rng.uniform(0.0, 0.14) * step(yy - rng.uniform(0.05, 0.3), 0.12) * body  # soft tissue
    if rng.random() < 0.25:  # an innocent shadow: skin fold or badly placed shoulder blade
        side = rng.choice([-1, 1])
        edge = side * xx - rng.uniform(0.55, 0.68) + rng.uniform(0.0, 0.3) * yy
        path += rng.uniform(0.06, 0.16) * step(edge, 0.04) * body
    if label == 1:
        path += opacity(rng, xx, yy, air, boxes)
    path = gaussian_filter(path, rng.uniform(0.4, 0.9))
    grey = 255 * (rng.uniform(0.05, 0.14) + rng.uniform(0.62, 0.78) * path)
    photons = np.exp(-path)  # noise of log-signal falls with the number of photons
    grey += rng.uniform(3.0, 8.0) * rng.standard_normal(grey.shape) / np.sqrt(photons / 0.5)
    return np.clip(np.round(grey), 0, 255).astype(np.uint8)


def make_set(seed: int, n_images: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw images: x uint8 [n, 64, 64], y [n] class index, half of each class on average."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n_images).astype(np.int64)
    return np.stack([make_image(rng, int(label)) for label in y]), y
