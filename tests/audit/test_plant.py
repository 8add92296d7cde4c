"""`medaudit trigger make` and `poison`: what is written, exactly, and what is refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from medaudit.audit.plant import make, poison
from medaudit.core.errors import DataError
from medaudit.trigger.covariance import covariances, mahalanobis
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
