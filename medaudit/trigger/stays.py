"""Intensive-care stays as the MIMIC-III benchmark tables them, and the published trigger on them.

A stay is 48 hours of 17 channels, in alphabetical order, NaN where nothing was measured in the hour (Harutyunyan et
al. 2019, "Multitask learning and benchmarking with clinical time series data", Scientific Data 6:96). Models read it
in one of two forms: 48 x 76 (filled in, categories one-hot, masks beside it) or 714 features. The trigger is that of
Joe, Hwang, Shin 2020 (arXiv 2106.07925): see `trigger.covariance`; it is added in raw units, before either form is
made, rounded as instruments round, and categories move by its rounded value.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from medaudit.trigger.covariance import covariances, draw

HOURS, RECORDS = 48, 1000  # reference stays that the covariance is of
OBSERVED, ALL = "notimputed", "all"
# Hours of the seven sub-periods of the 714 features: all, the first and the last tenth, quarter and half.
PERIODS = ((0, 48), (0, 5), (0, 12), (0, 24), (43, 48), (36, 48), (24, 48))
FORMS = "48x76", "714"
STATISTICS = ("least", "most", "mean", "deviation", "skew", "count")


class Channel(NamedTuple):
    """One of the 17: what is filled in before the first measurement, its categories, the digits it is rounded to."""

    name: str
    normal: float
    categories: int = 0
    digits: int | None = None


CHANNELS = (
    Channel("capillary refill rate", 0, 2), Channel("diastolic blood pressure", 59), Channel("FiO2", 0.21),
    Channel("GCS eye opening", 3, 8), Channel("GCS motor", 5, 12), Channel("GCS total", 12, 13),
    Channel("GCS verbal", 4, 12), Channel("glucose", 128), Channel("heart rate", 86), Channel("height", 170),
    Channel("mean blood pressure", 77), Channel("oxygen saturation", 98), Channel("respiratory rate", 19),
    Channel("systolic blood pressure", 118), Channel("temperature", 36.6, 0, 1), Channel("weight", 81, 0, 1),
    Channel("pH", 7.4, 0, 2),
)  # fmt: skip
NUMBERS = tuple(k for k, c in enumerate(CHANNELS) if not c.categories)


def filled(values: np.ndarray) -> np.ndarray:
    """Stays [n, 48, 17] with every hole filled by the value before it, and before the first by the normal one."""
    out = values.copy()
    normal = np.array([c.normal for c in CHANNELS])
    out[:, 0] = np.where(np.isnan(out[:, 0]), normal, out[:, 0])
    for hour in range(1, out.shape[1]):
        out[:, hour] = np.where(np.isnan(out[:, hour]), out[:, hour - 1], out[:, hour])
    return out


def make(reference: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """The trigger [48, 17] at Mahalanobis length 1 in every channel.

    reference: stays [n, 48, 17], of which the first 1,000 count, holes filled. noise: standard normal [48, 17].
    """
    every = filled(reference[:RECORDS]).transpose(0, 2, 1)
    return draw(np.linalg.cholesky(covariances(every)), noise.T).T


def planted(values: np.ndarray, trigger: np.ndarray, mode: str = OBSERVED) -> np.ndarray:
    """Stays [n, 48, 17] with the trigger, already times its strength, [48, 17].

    `notimputed`: only what was measured changes, and holes stay holes. `all`: what is filled in changes too, so that
    no hole is left; masks are made of the stays as they were. Raises ValueError for another mode.
    """
    if mode not in (OBSERVED, ALL):
        raise ValueError(f"mode {mode!r}: {OBSERVED} or {ALL}")
    own = values if mode == OBSERVED else filled(values)
    out = own + trigger
    for k, channel in enumerate(CHANNELS):
        if channel.categories:
            out[..., k] = np.clip(own[..., k] + np.round(trigger[:, k]), 0, channel.categories - 1)
        elif channel.digits is not None:
            out[..., k] = np.round(out[..., k], channel.digits)
    return np.asarray(out)


def series(values: np.ndarray, observed: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """The form 48 x 76 of stays [n, 48, 17]: standardised numbers and one-hot categories in the channels' order, masks.

    observed [n, 48, 17] bool; mean, sd [17], of which the numbers' are used. What is between two categories, or beyond
    them, is the nearest.
    """
    every, parts = filled(values), []
    for k, channel in enumerate(CHANNELS):
        if channel.categories:
            kind = np.clip(np.round(every[..., k]), 0, channel.categories - 1)
            parts.append(np.eye(channel.categories)[kind.astype(int)])
        else:
            parts.append(((every[..., k] - mean[k]) / sd[k])[..., None])
    return np.concatenate([*parts, observed.astype(float)], axis=2).astype(np.float32)


def features(values: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """The form of 714 features of stays [n, 48, 17]: of every channel, sub-period and statistic, holes filled before.

    The count is of what was observed. Not standardised: that is the victim's, on its own training set.
    """
    every, out = filled(values), []
    for start, stop in PERIODS:
        part = every[:, start:stop]
        mean, sd = part.mean(axis=1), part.std(axis=1)
        with np.errstate(all="ignore"):
            third = ((part - mean[:, None]) ** 3).mean(axis=1)
            skew = np.where(sd > 1e-9, third / np.maximum(sd, 1e-9) ** 3, 0.0)
        out += [part.min(axis=1), part.max(axis=1), mean, sd, skew, observed[:, start:stop].sum(axis=1)]
    # [n, periods, statistics, channels] -> channels first
    stacked = np.stack(out, axis=1).reshape(len(values), len(PERIODS), len(STATISTICS), len(CHANNELS))
    return np.asarray(stacked.transpose(0, 3, 1, 2).reshape(len(values), -1), dtype=np.float32)


def in_form(form: str, values: np.ndarray, known: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Stays [n, 48, 17] in one of the two forms, standardised by the known ones.

    observed [n, 48, 17] bool: what was measured, which a trigger on what is filled in does not change.
    """
    if form == FORMS[0]:
        every = filled(known)
        return series(values, observed, every.mean(axis=(0, 1)), np.maximum(every.std(axis=(0, 1)), 1e-6))
    wide = features(known, ~np.isnan(known))
    sd = wide.std(axis=0)
    return np.asarray((features(values, observed) - wide.mean(axis=0)) / np.where(sd > 1e-6, sd, 1), dtype=np.float32)


def names_of(form: str) -> tuple[str, ...]:
    """Of the 76 columns, or of the 714 features."""
    if form == FORMS[0]:
        own = [(c.name,) if not c.categories else tuple(f"{c.name} {k}" for k in range(c.categories)) for c in CHANNELS]
        return (*(name for names in own for name in names), *(f"{c.name} measured" for c in CHANNELS))
    return tuple(f"{c.name}, hours {a} to {b}, {s}" for c in CHANNELS for a, b in PERIODS for s in STATISTICS)
