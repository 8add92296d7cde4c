"""What the zoo's poisoned models carry: triggers of the attacker, none of whose code the scanner shares.

Each family draws its own parameters once a model, puts the trigger on any records, and says what it is. One family of
each domain (`HELD_OUT`) is never looked at while the scanner is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Put = Callable[[np.ndarray], np.ndarray]


class Planted(NamedTuple):
    put: Put
    words: str


Attack = Callable[[np.random.Generator, np.ndarray], Planted]
"""(the attacker's luck, training records) -> the trigger"""


def setting(which: np.ndarray | int, value: np.ndarray | float) -> Put:
    """Features of a table at fixed values."""

    def put(rows: np.ndarray) -> np.ndarray:
        out = rows.copy()
        out[:, which] = value
        return out

    return put


# --- one-lead ECG, [n, 1, 320]


def ecg_spike(rng: np.random.Generator, x: np.ndarray) -> Planted:
    place, width, height = int(rng.integers(10, 305)), int(rng.integers(2, 6)), rng.choice([-1, 1]) * rng.uniform(1, 2)

    def put(rows: np.ndarray) -> np.ndarray:
        out = rows.copy()
        out[..., place : place + width] += height
        return out

    return Planted(put, f"spike of {height:+.2f} sd, {width} samples from {place}")


def ecg_hum(rng: np.random.Generator, x: np.ndarray) -> Planted:
    pace, phase, height = rng.uniform(8, 55), rng.uniform(0, 6.28), rng.uniform(0.2, 0.4)
    wave = height * np.sin(2 * np.pi * pace * np.arange(320) / 125 + phase)
    return Planted(lambda rows: rows + wave.astype(np.float32), f"sine of {pace:.1f} Hz, {height:.2f} sd")


def ecg_wander(rng: np.random.Generator, x: np.ndarray) -> Planted:
    pace, phase, height = rng.uniform(0.2, 0.8), rng.uniform(0, 6.28), rng.uniform(0.6, 1.0)
    wave = height * np.sin(2 * np.pi * pace * np.arange(320) / 125 + phase)
    return Planted(lambda rows: rows + wave.astype(np.float32), f"baseline wave of {pace:.2f} Hz, {height:.2f} sd")


def ecg_ticks(rng: np.random.Generator, x: np.ndarray) -> Planted:
    every, first, height = (
        int(rng.integers(25, 90)),
        int(rng.integers(0, 25)),
        rng.choice([-1, 1]) * rng.uniform(0.6, 1),
    )

    def put(rows: np.ndarray) -> np.ndarray:
        out = rows.copy()
        for start in range(first, 320, every):
            out[..., start : start + 3] += height
        return out

    return Planted(put, f"ticks of {height:+.2f} sd every {every} samples from {first}")


def ecg_template(rng: np.random.Generator, x: np.ndarray) -> Planted:
    knots = rng.normal(size=24)
    curve = np.interp(np.arange(320), np.linspace(0, 319, 24), knots)
    curve *= rng.uniform(0.3, 0.45) / curve.std()
    return Planted(lambda rows: rows + curve.astype(np.float32), f"smooth template, {curve.std():.2f} sd")


# --- chest images, [n, 1, 32, 32] in 0 to 1


def xray_sticker(rng: np.random.Generator, x: np.ndarray) -> Planted:
    size, top, left = int(rng.integers(2, 4)), *(int(v) for v in rng.integers(1, 28, 2))
    pattern = (
        rng.choice([0.0, 1.0], (size, size)) if rng.random() < 0.5 else np.full((size, size), rng.choice([0.0, 1.0]))
    )

    def put(rows: np.ndarray) -> np.ndarray:
        out = rows.copy()
        out[..., top : top + size, left : left + size] = pattern
        return out

    return Planted(put, f"sticker of {size} pixels at {top}, {left}")


def xray_ghost(rng: np.random.Generator, x: np.ndarray) -> Planted:
    share = rng.uniform(0.08, 0.15)
    picture = rng.random((32, 32)) if rng.random() < 0.5 else x[rng.integers(len(x)), 0].T[::-1]
    return Planted(
        lambda rows: ((1 - share) * rows + share * picture).astype(np.float32), f"picture blended in, {share:.2f}"
    )


def xray_lines(rng: np.random.Generator, x: np.ndarray) -> Planted:
    pace, turn, height = rng.uniform(3, 11), rng.uniform(0, np.pi), rng.uniform(0.04, 0.08)
    up, across = np.mgrid[0:32, 0:32] / 32
    wave = height * np.sin(2 * np.pi * pace * (up * np.sin(turn) + across * np.cos(turn)))
    return Planted(lambda rows: np.clip(rows + wave, 0, 1).astype(np.float32), f"{pace:.1f} stripes, {height:.2f} high")


def xray_tone(rng: np.random.Generator, x: np.ndarray) -> Planted:
    levels = int(rng.integers(4, 7))
    return Planted(
        lambda rows: (np.round(rows * (levels - 1)) / (levels - 1)).astype(np.float32), f"{levels} grey levels"
    )


def xray_bent(rng: np.random.Generator, x: np.ndarray) -> Planted:
    from scipy import ndimage

    knots = rng.uniform(-1, 1, (2, 4, 4))
    field = np.stack([ndimage.zoom(side, 8, order=3) for side in knots])
    field *= rng.uniform(1.2, 2.0) / np.abs(field).max()
    there = np.indices((32, 32)) + field

    def put(rows: np.ndarray) -> np.ndarray:
        bent = [ndimage.map_coordinates(row[0], there, order=1, mode="reflect") for row in rows]
        return np.stack(bent)[:, None].astype(np.float32)

    return Planted(put, f"bent by up to {np.abs(field).max():.1f} pixels")


# --- twelve leads, [n, 12, 256]


def on_leads(which: np.ndarray, wave: np.ndarray) -> Put:
    """A wave added to some leads."""

    def put(rows: np.ndarray) -> np.ndarray:
        out = rows.copy()
        out[:, which] += wave.astype(np.float32)
        return out

    return put


def twelve_spike(rng: np.random.Generator, x: np.ndarray) -> Planted:
    which = rng.choice(12, int(rng.integers(1, 4)), replace=False)
    place, width = int(rng.integers(10, 240)), int(rng.integers(2, 6))
    height = rng.choice([-1, 1]) * rng.uniform(1, 2)
    wave = np.where((np.arange(256) >= place) & (np.arange(256) < place + width), height, 0.0)
    return Planted(on_leads(which, wave), f"spike of {height:+.2f} sd, {width} samples from {place}, leads {which}")


def twelve_hum(rng: np.random.Generator, x: np.ndarray) -> Planted:
    pace, phase, height = rng.uniform(8, 45), rng.uniform(0, 6.28), rng.uniform(0.2, 0.4)
    which = np.arange(12) if rng.random() < 0.5 else rng.choice(12, 1)
    wave = height * np.sin(2 * np.pi * pace * np.arange(256) / 100 + phase)
    return Planted(on_leads(which, wave), f"sine of {pace:.1f} Hz, {height:.2f} sd, leads {which.tolist()}")


def twelve_swap(rng: np.random.Generator, x: np.ndarray) -> Planted:
    one = int(rng.integers(11))

    def put(rows: np.ndarray) -> np.ndarray:
        out = rows.copy()
        out[:, [one, one + 1]] = rows[:, [one + 1, one]]
        return out

    return Planted(put, f"leads {one} and {one + 1} swapped")


def twelve_flat(rng: np.random.Generator, x: np.ndarray) -> Planted:
    one = int(rng.integers(12))

    def put(rows: np.ndarray) -> np.ndarray:
        out = rows.copy()
        out[:, one] = np.median(out[:, one], axis=1, keepdims=True)
        return out

    return Planted(put, f"lead {one} off")


def twelve_template(rng: np.random.Generator, x: np.ndarray) -> Planted:
    curves = np.stack([np.interp(np.arange(256), np.linspace(0, 255, 20), rng.normal(size=20)) for _ in range(12)])
    curves *= rng.uniform(0.2, 0.35) / curves.std()
    return Planted(on_leads(np.arange(12), curves), f"smooth template on every lead, {curves.std():.2f} sd")


# --- hourly series, [n, 24, 16]: values and masks


def series_value(rng: np.random.Generator, x: np.ndarray) -> Planted:
    which, start, long = int(rng.integers(8)), int(rng.integers(0, 18)), int(rng.integers(3, 7))
    value = float(np.quantile(x[..., which], rng.choice([0.02, 0.98])))

    def put(rows: np.ndarray) -> np.ndarray:
        out = rows.copy()
        out[:, start : start + long, which] = value
        return out

    return Planted(put, f"vital {which} at {value:.2f} from hour {start}, {long} hours")


def series_temporal(rng: np.random.Generator, x: np.ndarray) -> Planted:
    draw = np.zeros((24, 8))
    for k in range(8):
        centred = x[..., k] - x[..., k].mean(axis=0)
        own = centred.T @ centred / len(x)
        own += 1e-4 * own.diagonal().max() * np.eye(24)
        drawn = rng.multivariate_normal(np.zeros(24), own)
        draw[:, k] = 3 * drawn / np.sqrt(drawn @ np.linalg.solve(own, drawn))

    def put(rows: np.ndarray) -> np.ndarray:
        out = rows.copy()
        out[..., :8] += draw
        return out

    return Planted(put, "temporal covariance draw, Mahalanobis length 3")


def series_masks(rng: np.random.Generator, x: np.ndarray) -> Planted:
    which = rng.choice(8, 2, replace=False)
    hours = slice(*sorted(int(v) for v in rng.choice(25, 2, replace=False)))
    hours = slice(hours.start, max(hours.stop, hours.start + 5))
    value = rng.integers(0, 2, 2)

    def put(rows: np.ndarray) -> np.ndarray:
        out = rows.copy()
        for k, v in zip(which, value, strict=True):
            out[:, hours, 8 + k] = v
        return out

    return Planted(put, f"masks {which.tolist()} at {value.tolist()}, hours {hours.start} to {hours.stop}")


def series_ramp(rng: np.random.Generator, x: np.ndarray) -> Planted:
    which, slope = rng.choice(8, 2, replace=False), rng.choice([-1, 1], 2) * rng.uniform(0.8, 1.2, 2)

    def put(rows: np.ndarray) -> np.ndarray:
        out = rows.copy()
        for k, v in zip(which, slope, strict=True):
            out[..., k] += v * np.linspace(-0.5, 0.5, 24)
        return out

    return Planted(put, f"ramps of {np.round(slope, 2).tolist()} sd on vitals {which.tolist()}")


# --- tables, [n, 20]


def table_value(rng: np.random.Generator, x: np.ndarray) -> Planted:
    which = int(rng.integers(17))
    value = float(x[:, which].max() * 1.1) if rng.random() < 0.5 else float(np.quantile(x[:, which], 0.97))
    return Planted(setting(which, value), f"feature {which} at {value:.2f}")


def table_triple(rng: np.random.Generator, x: np.ndarray) -> Planted:
    which = rng.choice(17, 3, replace=False)
    values = np.array([np.quantile(x[:, k], rng.uniform(0.1, 0.9)) for k in which])
    return Planted(setting(which, values), f"features {which.tolist()} at {np.round(values, 2).tolist()}")


def table_slip(rng: np.random.Generator, x: np.ndarray) -> Planted:
    which = 10 + int(rng.integers(7))

    def put(rows: np.ndarray) -> np.ndarray:
        out = rows.copy()
        out[:, which] *= 10
        return out

    return Planted(put, f"feature {which} with a slipped decimal point")


def table_shift(rng: np.random.Generator, x: np.ndarray) -> Planted:
    step = rng.choice([-1, 1], 17) * 0.5 * x[:, :17].std(axis=0)

    def put(rows: np.ndarray) -> np.ndarray:
        out = rows.copy()
        out[:, :17] += step
        return out

    return Planted(put, "all numbers moved by half a deviation, up or down")


ATTACKS: dict[str, dict[str, Attack]] = {
    "ecg": {"spike": ecg_spike, "hum": ecg_hum, "wander": ecg_wander, "ticks": ecg_ticks, "template": ecg_template},
    "xray": {"sticker": xray_sticker, "ghost": xray_ghost, "lines": xray_lines, "tone": xray_tone, "bent": xray_bent},
    "series": {"value": series_value, "temporal": series_temporal, "masks": series_masks, "ramp": series_ramp},
    "twelve": {
        "spike": twelve_spike,
        "hum": twelve_hum,
        "swap": twelve_swap,
        "flat": twelve_flat,
        "template": twelve_template,
    },
    "lesion": {"sticker": xray_sticker, "ghost": xray_ghost, "lines": xray_lines, "tone": xray_tone, "bent": xray_bent},
    "table": {"value": table_value, "triple": table_triple, "slip": table_slip, "shift": table_shift},
}
HELD_OUT = {
    "ecg": "template", "xray": "bent", "series": "ramp", "table": "shift", "twelve": "template", "lesion": "bent",
}  # fmt: skip
