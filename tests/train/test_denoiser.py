"""Denoisers: what their graphs take and give, what they learn, and what is refused. Needs PyTorch (make test-train)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from graphs import linear

from medaudit.audit.denoise import fit_denoiser
from medaudit.core.errors import MedauditError

torch = pytest.importorskip("torch")

from medaudit.train.denoiser import Settings, fit  # noqa: E402

# shape of a row, axis of channels: tables, signals in both orders and without leads, images of odd sizes
LAYOUTS = [((6,), -1), ((3, 50), 1), ((50, 3), 2), ((47,), 0), ((1, 13, 18), 1), ((13, 18, 2), 3), ((13, 18), 0)]
FEW = Settings(steps=20)


def rows(shape: tuple[int, ...], n: int = 40) -> np.ndarray:
    """Smooth rows of few kinds, so that there is something to learn."""
    rng = np.random.default_rng(1)
    size = int(np.prod(shape))
    waves = np.stack([np.sin(2 * np.pi * (k + 1) * np.arange(size) / size + k) for k in range(3)])
    return (5 + rng.normal(0, 2, (n, 3)) @ waves).reshape(n, *shape).astype(np.float32)


def answers(graph: bytes, x: np.ndarray) -> np.ndarray:
    (out,) = onnxruntime.InferenceSession(graph).run(None, {"x": x})
    return np.asarray(out)


@pytest.mark.parametrize("kind", ["autoencoder", "vae"])
@pytest.mark.parametrize(("shape", "channel"), LAYOUTS)
def test_gives_back_what_it_takes(shape: tuple[int, ...], channel: int, kind: str) -> None:
    """Any number of rows of the same shape, each by itself; what is missing stays so."""
    x = rows(shape)
    x.reshape(40, -1)[::3, 2] = np.nan
    got = fit(x, channel, "x", FEW._replace(kind=kind))
    assert got.learned == 32
    assert got.held == 8
    for n in (1, 5):
        out = answers(got.graph, x[:n])
        assert out.shape == (n, *shape)
        assert np.array_equal(np.isnan(out), np.isnan(x[:n]))
        assert out == pytest.approx(answers(got.graph, x)[:n], abs=1e-4, nan_ok=True)


@pytest.mark.parametrize("kind", ["autoencoder", "vae"])
def test_takes_noise_out(kind: str) -> None:
    """Less of it is left than there was, on rows that it did not learn from; more steps leave less."""
    x = rows((2, 64), 200)
    few, many = (fit(x, 1, "x", Settings(kind, 0.5, steps)) for steps in (20, 400))
    assert many.denoised < 0.5 * many.noisy
    assert many.denoised < few.denoised
    fresh = rows((2, 64), 260)[200:]
    loud = fresh + np.random.default_rng(2).normal(0, 0.5, fresh.shape).astype(np.float32) * fresh.std()
    assert np.mean((answers(many.graph, loud) - fresh) ** 2) < 0.5 * np.mean((loud - fresh) ** 2)


def test_the_same_seed_gives_the_same_graph() -> None:
    """And another one another."""
    x = rows((30,))
    assert fit(x, 0, "x", FEW).graph == fit(x, 0, "x", FEW).graph
    assert fit(x, 0, "x", FEW).graph != fit(x, 0, "x", FEW._replace(seed=2)).graph


def setting(folder: Path) -> tuple[Path, Path]:
    """A model of tables, and rows of which most are reference."""
    linear(folder / "m.onnx", np.array([[1, -1], [0, 0], [0, 0]], dtype=np.float32))
    x = np.random.default_rng(1).normal(0, 1, (12, 3)).astype(np.float32)
    y = (x[:, 0] < 0).astype(int)
    np.savez(folder / "d.npz", x=x, y=y, classes=np.array(["a", "b"]), ref_x=np.tile(x, (3, 1)))
    return folder / "m.onnx", folder / "d.npz"


def test_for_a_model(tmp_path: Path) -> None:
    """Its reference rows are learned from; the graph loads and is for the model's input."""
    model, data = setting(tmp_path)
    found, name = fit_denoiser(model, data, tmp_path / "out.onnx", steps=20)
    assert name == "x"
    assert found.learned + found.held == 36
    assert answers((tmp_path / "out.onnx").read_bytes(), np.zeros((4, 3), dtype=np.float32)).shape == (4, 3)


def test_an_input_that_is_not_there(tmp_path: Path) -> None:
    """One sentence with what there is; nothing is written."""
    model, data = setting(tmp_path)
    with pytest.raises(MedauditError, match="it has: x"):
        fit_denoiser(model, data, tmp_path / "out.onnx", name="z")
    assert not (tmp_path / "out.onnx").exists()


def test_what_cannot_be_learned_from() -> None:
    """Said before anything is done."""
    with pytest.raises(MedauditError, match="too few"):
        fit(rows((5,), 9), -1, "x", FEW)
    with pytest.raises(MedauditError, match="not for volumes"):
        fit(rows((2, 3, 4, 5), 12), 1, "x", FEW)
