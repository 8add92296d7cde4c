"""Filters: what they must do, row by row, and the same in any company."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from medaudit.core.errors import MedauditError
from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.domain.quantity import Quantity
from medaudit.stage.stage import KINDS, Stage, fitting, keys_of, steps

GREY = Input(
    "x", "float32", "image", ("batch", "channel", "row", "column"), (1, 12, 10), ("batch", "row", "column"),
    channels=(Channel("grey", lo=0.0, hi=1.0, sd=0.2),),
)  # fmt: skip
WAVE = Input(
    "x", "float32", "signal", ("batch", "lead", "time"), (2, 400), ("batch", "lead", "time"), rate=100.0,
    channels=(Channel("I", "mV", sd=0.5), Channel("II", "mV", sd=2.0)),
)  # fmt: skip
ROW = Input(
    "x", "float32", "table", ("batch", "feature"), (3,), ("batch", "feature"),
    channels=(Channel("a", sd=2.0), Channel("b", kind="integer", sd=3.0), Channel("c", kind="category")),
)  # fmt: skip
OUT = Output("multiclass", ("y",), classes=("a", "b"))
EVERY = {
    "median": Stage("median", (3.0,)), "blur": Stage("blur", (1.5,)), "jpeg": Stage("jpeg", (20.0,)),
    "bits": Stage("bits", (3.0,)), "band_pass": Stage("band_pass", (0.5, 20.0)), "z_score": Stage("z_score"),
    "noise": Stage("noise", noise=Quantity(0.3, "sd")),
}  # fmt: skip


def face(item: Input) -> Interface:
    return Interface((item,), OUT)


def points(item: Input, rows: int = 5) -> np.ndarray:
    return np.random.default_rng(4).random((rows, item.part.size)).astype(np.float32)


def changed(stage: Stage, item: Input, x: np.ndarray, salt: int = 0) -> np.ndarray:
    out = x
    for step in steps((stage,), face(item)):
        out = step(out, keys_of(out, salt, 0))
    return out


CASES = [(name, item) for name, stage in EVERY.items() for item in (GREY, WAVE, ROW) if item.domain in KINDS[name][1]]


@pytest.mark.parametrize(("name", "item"), CASES, ids=lambda v: v if isinstance(v, str) else v.domain)
def test_a_row_does_not_see_its_neighbours(name: str, item: Input) -> None:
    """Alone, in company, in another order: the same bits; and it does something."""
    x = points(item)
    together = changed(EVERY[name], item, x)
    assert together.dtype == np.float32
    assert together.shape == x.shape
    assert not np.array_equal(together, x)
    for i in range(len(x)):
        np.testing.assert_array_equal(changed(EVERY[name], item, x[i : i + 1])[0], together[i])
    np.testing.assert_array_equal(changed(EVERY[name], item, x[::-1])[::-1], together)


def test_every_kind_is_tried() -> None:
    assert set(EVERY) | {"denoiser", "detector", "confidence"} == set(KINDS)


def test_median_is_scipys() -> None:
    x = points(GREY)
    want = np.stack([ndimage.median_filter(one.reshape(12, 10), 3, mode="nearest").ravel() for one in x])
    np.testing.assert_array_equal(changed(EVERY["median"], GREY, x), want)


def test_bits_are_levels() -> None:
    out = changed(EVERY["bits"], GREY, points(GREY))
    np.testing.assert_allclose(out * 7, np.round(out * 7), atol=1e-5)
    assert len(np.unique(np.round(out * 7))) == 8


def test_jpeg_is_near_and_not_the_same() -> None:
    x = ndimage.gaussian_filter(points(GREY).reshape(-1, 12, 10), (0, 2, 2)).reshape(5, -1).astype(np.float32)
    out = changed(Stage("jpeg", (90.0,)), GREY, x)
    assert 0 < np.abs(out - x).max() < 0.05


def test_band_pass_keeps_and_removes() -> None:
    t = np.arange(400) / 100
    x = np.stack([np.concatenate([np.sin(2 * np.pi * f * t)] * 2) for f in (0.05, 5.0, 45.0)]).astype(np.float32)
    kept = changed(EVERY["band_pass"], WAVE, x)
    middle = slice(100, 300)
    share = [kept[i, middle].std() / x[i, middle].std() for i in range(3)]
    assert share[1] > 0.95
    assert share[2] < 0.05
    assert share[0] < 0.2


def test_z_score_is_of_each_lead() -> None:
    out = changed(EVERY["z_score"], WAVE, points(WAVE) * 7 + 3).reshape(-1, 2, 400)
    np.testing.assert_allclose(out.mean(axis=2), 0, atol=1e-5)
    np.testing.assert_allclose(out.std(axis=2), 1, atol=1e-5)
    flat = np.ones((1, 800), dtype=np.float32)
    assert np.all(changed(EVERY["z_score"], WAVE, flat) == 0)


def test_noise_is_in_units_and_anew_with_each_salt() -> None:
    x = np.zeros((1, 800), dtype=np.float32)
    one, other = (changed(EVERY["noise"], WAVE, x, salt) for salt in (0, 1))
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(one.reshape(2, 400).std(axis=1), [0.15, 0.6], rtol=0.15)
    table = changed(EVERY["noise"], ROW, np.ones((1, 3), dtype=np.float32))
    assert table[0, 0] != 1
    assert table[0, 1:].tolist() == [1, 1]  # whole numbers and categories stay


def test_what_is_missing_stays_missing() -> None:
    x = points(WAVE)
    x[2, 100:150] = np.nan
    for name in ("median", "blur", "band_pass", "z_score", "noise", "bits"):
        out = changed(EVERY[name], WAVE, x)
        np.testing.assert_array_equal(np.isnan(out), np.isnan(x))


@pytest.mark.parametrize(
    ("stage", "item", "words"),
    [
        (EVERY["jpeg"], WAVE, "jpeg needs image data"),
        (EVERY["median"], ROW, "median needs signal or image data"),
        (Stage("band_pass", (0.5, 60.0)), WAVE, "holds nothing from 50 Hz on"),
        (Stage("noise", noise=Quantity(1.0, "mV")), GREY, "stored without a unit"),
    ],
)
def test_what_does_not_fit_is_refused(stage: Stage, item: Input, words: str) -> None:
    with pytest.raises(MedauditError, match=words):
        fitting(stage, face(item))


def test_in_words() -> None:
    assert EVERY["jpeg"].text == "JPEG of quality 20"
    assert Stage("band_pass", (0.5, 40.0)).text == "0.5 to 40 Hz kept"
    assert Stage("noise", noise=Quantity(0.1, "sd"), votes=9).text == "noise of 0.1 sd, 9 askings"
    assert Stage("denoiser", file="/somewhere/secret/vae.onnx").text == "denoiser vae.onnx"
