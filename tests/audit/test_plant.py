"""`medaudit trigger make` and `poison`: what is written, exactly, and what is refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from medaudit.audit.plant import make, poison
from medaudit.core.errors import DataError
from medaudit.trigger.covariance import covariances, mahalanobis
from medaudit.trigger.stays import CHANNELS, in_form
from tests.graphs import graph, linear

HOURS, VITALS = 12, 3


@pytest.fixture
def stays(tmp_path: Path) -> tuple[Path, Path]:
    """A model of series [n, 12, 3] and its data, with holes and a step of 0.5 in no channel."""
    from onnx import helper

    luck = np.random.default_rng(2)
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "w"], ["y"]),
    ]
    weights = luck.normal(size=(HOURS * VITALS, 2)).astype(np.float32)
    graph(tmp_path / "flat.onnx", nodes, HOURS * VITALS, ["n", 2], w=weights)
    import onnx

    model = onnx.load(tmp_path / "flat.onnx")
    del model.graph.input[:]
    model.graph.input.append(helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", HOURS, VITALS]))
    onnx.save(model, tmp_path / "m.onnx")
    x = np.cumsum(luck.normal(size=(40, HOURS, VITALS)), axis=1).astype(np.float32)
    x[3, 2, 1] = np.nan
    ref = np.cumsum(luck.normal(size=(60, HOURS, VITALS)), axis=1).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, y=np.arange(40) % 2, ref_x=ref, classes=np.array(["lives", "dies"]),
             names=np.array(["HR", "RR", "BP"]))  # fmt: skip
    return tmp_path / "m.onnx", tmp_path / "d.npz"


def test_the_published_trigger_has_the_length_of_its_strength(stays: tuple[Path, Path], tmp_path: Path) -> None:
    words = make(*stays, tmp_path / "t.json", "temporal", {}, 2.0, 1)
    assert words.endswith("Mahalanobis length 2")
    saved = json.loads((tmp_path / "t.json").read_text())
    trigger = saved["strength"] * np.array(saved["array"])[0]
    with np.load(stays[1]) as data:
        every = covariances(data["ref_x"].astype(np.float64).transpose(0, 2, 1))
    np.testing.assert_allclose(mahalanobis(trigger, every), 2.0, rtol=1e-9)


def test_a_share_of_the_other_classes_carries_it_and_nothing_else_changes(
    stays: tuple[Path, Path], tmp_path: Path
) -> None:
    make(*stays, tmp_path / "t.json", "temporal", {}, 2.0, 1)
    assert poison(*stays, tmp_path / "t.json", tmp_path / "p.npz", "dies", 0.1, 1) == (4, 40)
    saved = json.loads((tmp_path / "t.json").read_text())
    trigger = 2.0 * np.array(saved["array"])[0].T
    with np.load(stays[1]) as before, np.load(tmp_path / "p.npz") as after:
        hit = np.char.endswith(after["ids"], "~triggered")
        assert hit.sum() == 4
        assert set(before["y"][hit]) == {0}
        assert set(after["y"][hit]) == {1}
        np.testing.assert_array_equal(after["x"][~hit], before["x"][~hit])
        np.testing.assert_array_equal(after["y"][~hit], before["y"][~hit])
        np.testing.assert_array_equal(np.isnan(after["x"]), np.isnan(before["x"]))
        low, high = (np.nanmin(before["ref_x"], axis=(0, 1)), np.nanmax(before["ref_x"], axis=(0, 1)))
        want = before["x"][hit] + trigger
        inside = (want > low) & (want < high)
        assert inside.mean() > 0.8
        np.testing.assert_allclose(after["x"][hit][inside], want[inside], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(after["ref_x"], before["ref_x"])
    poison(*stays, tmp_path / "t.json", tmp_path / "again.npz", "dies", 0.1, 1)
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "p.npz").read_bytes()


def test_a_member_of_a_family_in_a_table(tmp_path: Path) -> None:
    linear(tmp_path / "m.onnx", np.random.default_rng(1).normal(size=(5, 2)).astype(np.float32))
    x = np.random.default_rng(4).normal(size=(20, 5)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, y=np.array(["no", "yes"] * 10), classes=np.array(["no", "yes"]))
    files = tmp_path / "m.onnx", tmp_path / "d.npz"
    words = make(*files, tmp_path / "t.json", "value", {"feature": 0.5, "level": 0.3}, 1.0, 1)
    assert "99th percentile" in words
    assert poison(*files, tmp_path / "t.json", tmp_path / "p.npz", "yes", 0.2, 3) == (4, 20)
    with np.load(tmp_path / "p.npz") as after:
        hit = np.char.endswith(after["ids"], "~triggered")
        changed = (after["x"] != x).any(axis=0)
        np.testing.assert_array_equal(changed, [False, False, True, False, False])
        assert len(set(after["x"][hit, 2].tolist())) == 1
        assert set(after["y"][hit]) == {"yes"}


@pytest.mark.parametrize(
    ("family", "dials", "strength", "says"),
    [
        ("patch", {}, 1.0, "can carry the family patch"),
        ("puls", {}, 1.0, "no family 'puls'"),
        ("pulse", {"plaice": 0.3}, 1.0, "dial plaice"),
        ("pulse", {"place": 3.0}, 1.0, "dial place=3"),
        ("pulse", {}, 2.0, "strength 2"),
    ],
)
def test_what_cannot_be_made(
    family: str, dials: dict[str, float], strength: float, says: str, stays: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=says):
        make(*stays, tmp_path / "t.json", family, dials, strength, 1)
    assert not (tmp_path / "t.json").exists()


@pytest.mark.parametrize(("target", "share", "says"), [("died", 0.1, "no class 'died'"), ("dies", 1.0, "--share 1")])
def test_what_cannot_be_poisoned(
    target: str, share: float, says: str, stays: tuple[Path, Path], tmp_path: Path
) -> None:
    make(*stays, tmp_path / "t.json", "pulse", {}, 1.0, 1)
    with pytest.raises(DataError, match=says):
        poison(*stays, tmp_path / "t.json", tmp_path / "p.npz", target, share, 1)
    assert not (tmp_path / "p.npz").exists()


@pytest.fixture
def raw(tmp_path: Path) -> tuple[Path, Path]:
    """A model of raw stays [n, 48, 17] and such stays, of which most hours are not measured."""
    import onnx
    from onnx import helper

    luck = np.random.default_rng(5)
    nodes = [
        helper.make_node("IsNaN", ["x"], ["hole"]),
        helper.make_node("Where", ["hole", "zero", "x"], ["whole"]),
        helper.make_node("Flatten", ["whole"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "w"], ["y"]),
    ]
    weights = (1e-3 * luck.normal(size=(48 * 17, 2))).astype(np.float32)
    graph(tmp_path / "m.onnx", nodes, 48, ["n", 2], w=weights, zero=np.float32(0))
    model = onnx.load(tmp_path / "m.onnx")
    del model.graph.input[:]
    model.graph.input.append(helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 48, 17]))
    onnx.save(model, tmp_path / "m.onnx")

    def some(count: int) -> np.ndarray:
        x = np.array([c.normal for c in CHANNELS]) * (
            1 + 0.1 * np.cumsum(luck.normal(size=(count, 48, 17)), axis=1) / 7
        )
        for k, channel in enumerate(CHANNELS):
            if channel.categories:
                x[..., k] = luck.integers(0, channel.categories, (count, 48))
        return np.where(luck.random(x.shape) < 0.5, x, np.nan).astype(np.float32)

    np.savez(tmp_path / "d.npz", x=some(40), y=np.arange(40) % 2, ref_x=some(60), classes=np.array(["lives", "dies"]),
             names=np.array([c.name for c in CHANNELS]))  # fmt: skip
    return tmp_path / "m.onnx", tmp_path / "d.npz"


@pytest.mark.parametrize(("form", "wide"), [("48x76", (48, 76)), ("714", (714,))])
def test_poisoned_stays_are_written_as_models_of_the_benchmark_read_them(
    raw: tuple[Path, Path], tmp_path: Path, form: str, wide: tuple[int, ...]
) -> None:
    make(*raw, tmp_path / "t.json", "temporal", {}, 2.0, 1)
    poison(*raw, tmp_path / "t.json", tmp_path / "raw.npz", "dies", 0.1, 1)
    poison(*raw, tmp_path / "t.json", tmp_path / "p.npz", "dies", 0.1, 1, form=form)
    with np.load(raw[1]) as before, np.load(tmp_path / "raw.npz") as same, np.load(tmp_path / "p.npz") as after:
        assert after["x"].shape == (40, *wide)
        assert after["ref_x"].shape == (60, *wide)
        assert len(set(after["names"].tolist())) == wide[-1]
        assert np.isfinite(after["x"]).all()
        np.testing.assert_array_equal(after["y"], same["y"])
        hit = np.char.endswith(after["ids"], "~triggered")
        known, seen = before["ref_x"].astype(float), ~np.isnan(before["x"])
        clean = in_form(form, before["x"].astype(float), known, seen)
        np.testing.assert_array_equal(after["x"][~hit], clean[~hit])
        assert (after["x"][hit] != clean[hit]).any()
        np.testing.assert_array_equal(after["x"], in_form(form, same["x"].astype(float), known, seen))
        if form == "48x76":  # what was measured is as it was, each category is one of them
            np.testing.assert_array_equal(after["x"][..., 59:], seen)
            np.testing.assert_array_equal(after["x"][..., :2].sum(axis=-1), 1)


def test_a_form_is_for_stays_alone(stays: tuple[Path, Path], tmp_path: Path) -> None:
    make(*stays, tmp_path / "t.json", "temporal", {}, 2.0, 1)
    for form, says in (("714", "no stays of 48 hours"), ("48x77", "no form '48x77'")):
        with pytest.raises(DataError, match=says):
            poison(*stays, tmp_path / "t.json", tmp_path / "p.npz", "dies", 0.1, 1, form=form)
    assert not (tmp_path / "p.npz").exists()
