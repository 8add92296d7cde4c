"""Synthetic intensive-care stays, 48 hours of 17 channels: no patient is in them.

Means, spreads and how often a channel is measured are the published ones of the MIMIC-III benchmark's in-hospital
mortality task. Five of its spreads (blood pressures, saturation, temperature, pH) are swollen by raw slips of entry;
here a plausible spread and a few slips (9999 for a pressure, Fahrenheit, a slipped point) make the same. A stay has a
hidden severity; the worse it is, the further its channels lie from normal and drift from it, and the likelier death is.
"""

from __future__ import annotations

import numpy as np

from medaudit.trigger.stays import CHANNELS, HOURS

# mean, spread, share of hours that are measured, where severity pulls (in spreads)
SHAPE = {
    "capillary refill rate": (0.1, 0.3, 0.003, 0.5), "diastolic blood pressure": (61.2, 14.0, 0.90, -0.3),
    "FiO2": (0.40, 0.17, 0.06, 0.5), "GCS eye opening": (2.9, 1.0, 0.31, -0.6), "GCS motor": (4.8, 1.2, 0.31, -0.6),
    "GCS total": (10.5, 3.0, 0.18, -0.7), "GCS verbal": (3.2, 1.6, 0.31, -0.6), "glucose": (137.0, 57.0, 0.26, 0.3),
    "heart rate": (86.3, 19.4, 0.93, 0.4), "height": (169.8, 6.0, 0.004, 0.0),
    "mean blood pressure": (78.8, 15.0, 0.90, -0.4), "oxygen saturation": (97.0, 3.0, 0.89, -0.3),
    "respiratory rate": (19.3, 6.7, 0.91, 0.4), "systolic blood pressure": (120.3, 21.9, 0.90, -0.4),
    "temperature": (36.9, 0.7, 0.33, -0.2), "weight": (81.9, 20.5, 0.03, 0.0), "pH": (7.37, 0.08, 0.13, -0.4),
}  # fmt: skip
DEATHS = 0.13
# Slips of entry: what stands there instead, and in what share of the values.
SLIPS = {
    "diastolic blood pressure": (9999.0, 4.5e-4), "mean blood pressure": (9999.0, 3.1e-4),
    "oxygen saturation": (99999.0, 1.4e-4), "temperature": (98.4, 0.024), "pH": (74.0, 8e-4),
}  # fmt: skip


def stays(count: int, seed: int, slips: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Stays [count, 48, 17], NaN where nothing was measured, and who died, [count] int64."""
    rng = np.random.default_rng(seed)
    mean, spread, seen, pull = (np.array([SHAPE[c.name][i] for c in CHANNELS]) for i in range(4))
    severity = rng.normal(size=count)
    level = rng.normal(size=(count, 1, len(CHANNELS))) * 0.75
    noise, moving = rng.normal(size=(count, HOURS, len(CHANNELS))), np.empty((count, HOURS, len(CHANNELS)))
    moving[:, 0] = noise[:, 0]
    for hour in range(1, HOURS):
        moving[:, hour] = 0.85 * moving[:, hour - 1] + np.sqrt(1 - 0.85**2) * noise[:, hour]
    course = np.linspace(0.6, 1.2, HOURS)[None, :, None]
    values = mean + spread * (level + 0.55 * moving + pull * severity[:, None, None] * course)
    for k, channel in enumerate(CHANNELS):
        if channel.categories:
            values[..., k] = np.clip(np.round(values[..., k]), 0, channel.categories - 1)
        elif channel.digits is not None:
            values[..., k] = np.round(values[..., k], channel.digits)
        else:
            values[..., k] = np.round(np.maximum(values[..., k], 0), 2 if channel.name == "FiO2" else 0)
        if slips and channel.name in SLIPS:
            wrong, share = SLIPS[channel.name]
            values[..., k] = np.where(rng.random(values.shape[:2]) < share, wrong, values[..., k])
    values[rng.random(values.shape) >= seen] = np.nan
    odds = 1.4 * severity + rng.logistic(size=count)
    return values, (odds > np.quantile(odds, 1 - DEATHS)).astype(np.int64)
