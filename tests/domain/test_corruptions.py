"""Corruptions: drawn by the record's key alone, worse with severity, of the strength that they name."""

from __future__ import annotations

import numpy as np
import pytest

from medaudit.core import streams
from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.domain import corrupt_image, corrupt_record, corrupt_signal
from medaudit.domain.corruption import SEVERITIES, Corruption
from medaudit.domain.corruptions import BY_DOMAIN, applicable, corrupted, typical

RATE, TIME = 250.0, 2500
KEYS = np.array([streams.key("record", i) for i in range(4)], dtype=np.uint64)


def channels(count: int, **more: object) -> tuple[Channel, ...]:
    return tuple(Channel(f"c{i}", **more) for i in range(count))  # type: ignore[arg-type]


ITEMS = {
    "signal": Input("s", "float32", "signal", ("batch", "lead", "time"), (3, TIME), ("batch", "lead", "time"),
                    rate=RATE, channels=channels(3)),
    "image": Input("i", "float32", "image", ("batch", "channel", "row", "column"), (1, 40, 48),
                   ("batch", "channel", "row", "column"), channels=channels(1, lo=0.0, hi=255.0, step=1.0)),
    "table": Input("t", "float32", "table", ("batch", "feature"), (12,), ("batch", "feature"),
                   channels=(*channels(10, sd=2.0), Channel("age", fixed=True), Channel("sex", kind="binary"))),
    "sequence": Input("q", "float32", "sequence", ("batch", "variable", "hour"), (6, 24),
                      ("batch", "variable", "hour"), channels=channels(6, sd=2.0)),
}  # fmt: skip
EVERY = [(domain, kind) for domain, kinds in BY_DOMAIN.items() for kind in kinds if not kind.needs(ITEMS[domain])]
IDS = [f"{domain}-{kind.name}" for domain, kind in EVERY]


def face(domain: str) -> Interface:
    return Interface((ITEMS[domain],), Output("binary", ("y",), classes=("a", "b"), thresholds=(0.5,)))


def records(domain: str) -> np.ndarray:
    rng = np.random.default_rng(5)
    part = ITEMS[domain].part
    x = rng.normal(20, 2, (len(KEYS), part.size)).astype(np.float32)
    if domain == "image":
        rows, columns = np.mgrid[0 : part.rows, 0 : part.columns]
        x = np.round(120 + 60 * np.sin(rows / 5 + columns / 9 + rng.uniform(0, 6, (len(KEYS), 1, 1)))).reshape(
            len(KEYS), -1
        )
    if domain == "signal":
        x += np.tile(10 * (np.arange(TIME) % 200 < 10), 3)
    if domain == "table":
        x[:, -1] = [0, 1, 0, 1]
    return x.astype(np.float32)


def at(domain: str, kind: Corruption, severity: int, x: np.ndarray, keys: np.ndarray = KEYS) -> np.ndarray:
    closed = np.zeros(x.shape, dtype=bool)
    if domain == "signal":
        closed.reshape(len(x), 3, TIME)[:, :, 2200:] = True
    return corrupted(face(domain), kind, severity, x, keys, np.full(x.shape[1], 7.0, np.float32), closed)


@pytest.mark.parametrize(("domain", "kind"), EVERY, ids=IDS)
def test_every_corruption(domain: str, kind: Corruption) -> None:
    """It changes records, the severest most; each one alike whoever is beside it; never what may not change."""
    x = records(domain)
    x[0, 3] = np.nan
    before = x.copy()
    moved = []
    for severity in range(1, SEVERITIES + 1):
        changed = at(domain, kind, severity, x)
        assert changed.dtype == np.float32
        assert changed.shape == x.shape
        np.testing.assert_array_equal(np.isnan(changed), np.isnan(x))
        np.testing.assert_array_equal(at(domain, kind, severity, x[2:3], KEYS[2:3]), changed[2:3])
        if domain == "signal":
            shape = (len(x), 3, TIME)
            np.testing.assert_array_equal(changed.reshape(shape)[:, :, 2200:], x.reshape(shape)[:, :, 2200:])
        if domain == "table":
            np.testing.assert_array_equal(changed[:, 10], x[:, 10])
        if domain == "image":
            known = changed[np.isfinite(changed)]
            assert ((known >= 0) & (known <= 255) & (known == np.round(known))).all()
        moved.append(float(np.nanmean(np.abs(changed - x))))
    np.testing.assert_array_equal(x, before)
    assert moved[-1] > 0
    assert moved[-1] >= 0.95 * max(moved)
    assert moved[0] <= moved[-1]
    drawn = kind.name not in ("blur", "jpeg", "contrast", "rounding", "shifted-rows")
    other = at(domain, kind, 1, x, KEYS + np.uint64(1))
    assert drawn != np.array_equal(other, at(domain, kind, 1, x), equal_nan=True)


@pytest.mark.parametrize("decibels", corrupt_signal.SNR)
@pytest.mark.parametrize("name", ["baseline-wander", "mains-hum", "muscle-noise", "electrode-motion"])
def test_noise_has_the_strength_that_it_names(name: str, decibels: float) -> None:
    (kind,) = (k for k in corrupt_signal.CORRUPTIONS if k.name == name)
    x = records("signal").astype(np.float64).reshape(len(KEYS), 1, 3, TIME)
    noise = kind.change(ITEMS["signal"], x, KEYS, decibels) - x
    np.testing.assert_allclose(10 * np.log10(x.var(axis=-1) / noise.var(axis=-1)), decibels, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "low", "high"), [("baseline-wander", 0.0, 0.7), ("mains-hum", 49, 51), ("muscle-noise", 10, 120)]
)
def test_noise_has_the_pitch_that_it_names(name: str, low: float, high: float) -> None:
    (kind,) = (k for k in corrupt_signal.CORRUPTIONS if k.name == name)
    x = records("signal").astype(np.float64).reshape(len(KEYS), 1, 3, TIME)
    noise = kind.change(ITEMS["signal"], x, KEYS, 0.0) - x
    power = np.abs(np.fft.rfft(noise, axis=-1)) ** 2
    pitch = np.fft.rfftfreq(TIME, 1 / RATE)
    inside = power[..., (pitch >= low) & (pitch <= high)].sum() / power.sum()
    assert inside > 0.95


def test_known_answers_of_records() -> None:
    """Units by their factor; rounding by its step; late hours take the value before, or the typical one."""
    item = ITEMS["sequence"]
    x = np.arange(6 * 24, dtype=np.float64).reshape(1, 1, 6, 24)
    key = KEYS[:1]
    wrong = corrupt_record.unit_error(item, x + 1, key, 0.5) / (x + 1)
    assert sorted(wrong[0, 0, :, 0].tolist()) == [1, 1, 1, 10, 10, 10]
    np.testing.assert_array_equal(corrupt_record.rounding(item, x, key, 2.0) % 4, 0)
    shifted = corrupt_record.shifted(item, x, key, 3)
    np.testing.assert_array_equal(shifted[..., 3:], x[..., :-3])
    filled = corrupt_record.filled(item, shifted, x, np.full((1, 6, 24), 7.0))
    np.testing.assert_array_equal(filled[..., :3], 7)
    gap = x.copy()
    gap[..., 5:8] = np.nan
    np.testing.assert_array_equal(corrupt_record.filled(item, gap, x, x[0])[..., 5:8], x[..., 4:5] + np.zeros(3))


def test_jpeg_and_marker() -> None:
    """The worst JPEG moves grey values little on the whole; a marker is bright, in one corner, and of its size."""
    item = ITEMS["image"]
    x = records("image").astype(np.float64).reshape(len(KEYS), 1, 40, 48)
    stored = corrupt_image.jpeg(item, x, KEYS, 80)
    assert 0 < np.abs(stored - x).mean() < 5
    marked = corrupt_image.marker(item, x, KEYS, 0.25) != x
    rows, columns = (np.flatnonzero(marked[0, 0].any(axis=axis)) for axis in (1, 0))
    assert np.ptp(rows) == np.ptp(columns) == 9
    assert (corrupt_image.marker(item, x, KEYS, 0.25)[marked] == 255).all()


def test_what_cannot_happen_says_why() -> None:
    slow = Input("s", "float32", "signal", ("batch", "time", "one"), (900, 1), ("batch", "time"), rate=100.0)
    names, why = applicable(Interface((slow,), face("signal").output))
    assert "mains-hum" in why
    assert why["lead-swap"] == "there is one lead only"
    assert "baseline-wander" in {kind.name for kind in names}


def test_typical_values() -> None:
    """Medians of what was measured; a number that never was is 0, without a warning."""
    points = np.array([[1, np.nan, 5], [3, np.nan, np.nan], [8, np.nan, 7]], dtype=np.float32)
    assert typical(points).tolist() == [3, 0, 6]
