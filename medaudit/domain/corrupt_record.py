"""Corruptions of tables and of hourly records: what is entered late, twice, in another unit, rounded, or not at all.

The kinds are data-quality faults that Weiskopf, Weng 2013, "Methods and dimensions of electronic health record data
quality assessment", JAMIA 20(1), group as completeness, correctness, plausibility and currency. What becomes missing
is NaN here; who asks fills it in as the record's reader would (`filled`).
"""

from __future__ import annotations

import numpy as np

from medaudit.core.interface import Channel, Input
from medaudit.domain.corruption import Corruption, some, uniform

WHICH, CELLS = 1, 2
SHARES = (0.05, 0.1, 0.2, 0.3, 0.5)
# What a value becomes when it is entered in another unit, (factor, offset); elsewhere its decimal point slips.
OTHER_UNIT = {
    "kg": (2.20462, 0.0), "cm": (1 / 2.54, 0.0), "mmHg": (0.133322, 0.0), "mg/dL": (1 / 18.0182, 0.0),
    "mmol/L": (18.0182, 0.0), "degC": (1.8, 32.0), "C": (1.8, 32.0), "g/dL": (10.0, 0.0),
}  # fmt: skip
SLIP = (10.0, 0.0)


def per_channel(item: Input, values: np.ndarray) -> np.ndarray:
    """Values [L, channels] laid over records: [L, 1, 1, columns] of tables, [L, 1, rows, 1] of sequences."""
    return values[:, None, None, :] if item.domain == "table" else values[:, None, :, None]


def missing(item: Input, x: np.ndarray, keys: np.ndarray, share: float) -> np.ndarray:
    """Values that nobody entered: that share of all, drawn one by one."""
    return np.where(uniform(keys, CELLS, x[0].size).reshape(x.shape) < share, np.nan, x)


def unit_error(item: Input, x: np.ndarray, keys: np.ndarray, share: float) -> np.ndarray:
    """Values in another unit than the model expects, or with a slipped decimal point, in that share of the channels."""
    factor, offset = np.array([_other(c) for c in item.channels]).T
    wrong = per_channel(item, some(keys, WHICH, len(item.channels), share))
    return np.where(wrong, x * per_channel(item, factor[None]) + per_channel(item, offset[None]), x)


def _other(channel: Channel) -> tuple[float, float]:
    return OTHER_UNIT.get(channel.unit, SLIP) if channel.kind == "number" else (1.0, 0.0)


def rounding(item: Input, x: np.ndarray, keys: np.ndarray, sds: float) -> np.ndarray:
    """Numbers rounded to multiples of that many of their channel's standard deviations."""
    step = per_channel(item, np.array([[sds * c.sd if c.kind == "number" else 0.0 for c in item.channels]]))
    return np.where(step > 0, np.round(x / np.where(step > 0, step, 1)) * step, x)


def late(item: Input, x: np.ndarray, keys: np.ndarray, hours: float) -> np.ndarray:
    """Results that come late: half of the variables are known so many hours after they were true."""
    return np.where(per_channel(item, some(keys, WHICH, len(item.channels), 0.5)), shifted(item, x, keys, hours), x)


def shifted(item: Input, x: np.ndarray, keys: np.ndarray, hours: float) -> np.ndarray:
    """Everything in the wrong row: so many hours late; the first hours are not there."""
    out, k = np.full_like(x, np.nan), min(int(hours), x.shape[-1])
    out[..., k:] = x[..., : x.shape[-1] - k]
    return out


def duplicated(item: Input, x: np.ndarray, keys: np.ndarray, share: float) -> np.ndarray:
    """Rows entered twice: that share of the hours repeats the one before."""
    hours = np.arange(x.shape[-1])
    source = np.where(uniform(keys, CELLS, len(hours)) < share, np.maximum(hours - 1, 0), hours)
    return np.asarray(np.take_along_axis(x, source[:, None, None, :], axis=-1))


def filled(item: Input, x: np.ndarray, clean: np.ndarray, typical: np.ndarray) -> np.ndarray:
    """Records in which what a corruption took away is filled in; what the clean record lacks stays missing.

    In sequences the value before stays valid, as long as there is one; everything else becomes the channel's
    `typical` value [planes, rows, columns].
    """
    gone = np.isnan(x) & ~np.isnan(clean)
    out = x.copy()
    if item.domain == "sequence":
        for k in range(1, x.shape[-1]):
            out[..., k] = np.where(gone[..., k], out[..., k - 1], out[..., k])
    return np.where(np.isnan(out) & ~np.isnan(clean), typical, out)


def _numbers(item: Input) -> str:
    return "" if any(c.kind == "number" for c in item.channels) else "it has no channel of numbers"


def _hours(item: Input) -> str:
    return "" if item.domain == "sequence" else "a table has no hours"


HOURS = (1.0, 2.0, 4.0, 8.0, 16.0)
CORRUPTIONS = (
    Corruption("missing-values", "Values not entered", "of the values", SHARES, missing),
    Corruption("unit-error", "Values in another unit", "of the channels", SHARES, unit_error, _numbers),
    Corruption("rounding", "Values rounded", "standard deviations", (0.1, 0.25, 0.5, 1.0, 2.0), rounding, _numbers),
    Corruption("late-results", "Results come late", "hours, half of the variables", HOURS, late, _hours),
    Corruption("duplicated-rows", "Rows entered twice", "of the hours", SHARES, duplicated, _hours),
    Corruption("shifted-rows", "Rows entered too late", "hours", HOURS, shifted, _hours),
)
