"""Benchmarks and proofs are run by hand: here only that they still fit the package."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("name", NAMES)
def test_imports(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name that a benchmark takes from the package exists."""
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    importlib.import_module(f"benchmarks.{name}")


def test_the_models_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fast models of the benchmarks load and answer both classes."""
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    peers = importlib.import_module("benchmarks.peers")
    peers.make_small_cnn(tmp_path)
    spec = peers.SPECS["small-cnn"]
    victim = peers.Victim("small-cnn", spec, tmp_path, 20)
    assert set(victim.label.tolist()) == {0, 1}
