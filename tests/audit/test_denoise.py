"""`defend fit-denoiser`: what it refuses before it needs PyTorch. What it learns: tests/train."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from medaudit.audit.denoise import fit_denoiser
from medaudit.core.errors import MedauditError


@pytest.mark.parametrize(
    ("given", "words"),
    [({"kind": "gan"}, "autoencoder, vae"), ({"noise": -1.0}, "above zero"), ({"steps": 0}, "above zero")],
)
def test_what_is_refused(given: dict[str, Any], words: str, tmp_path: Path) -> None:
    """One sentence with the remedy, before any file is opened."""
    with pytest.raises(MedauditError, match=words):
        fit_denoiser(tmp_path / "m.onnx", tmp_path / "d.npz", tmp_path / "out.onnx", **given)


def test_without_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MedauditError, match=r"medaudit\[train\]"):
        fit_denoiser(tmp_path / "m.onnx", tmp_path / "d.npz", tmp_path / "out.onnx")
