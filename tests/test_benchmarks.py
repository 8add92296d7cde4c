"""Benchmarks and proofs are run by hand: here only that they still fit the package."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("name", NAMES)
def test_imports(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name that a benchmark takes from the package exists; all but those for PyTorch are loaded too."""
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    taken, torch = 0, False
    for node in ast.walk(ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))):
        torch = torch or (isinstance(node, ast.Import) and any(alias.name == "torch" for alias in node.names))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("medaudit"):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                taken += 1
                assert hasattr(module, alias.name) or importlib.import_module(f"{node.module}.{alias.name}")
    assert taken or name in ("models", "prove_real", "lawful", "exhaustive", "ehr")
    if not torch:
        importlib.import_module(f"benchmarks.{name}")


def test_the_models_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fast models of the benchmarks load and answer both classes."""
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    peers = importlib.import_module("benchmarks.peers")
    peers.make_small_cnn(tmp_path)
    spec = peers.SPECS["small-cnn"]
    victim = peers.Victim("small-cnn", spec, tmp_path, 20)
    assert set(victim.label.tolist()) == {0, 1}
