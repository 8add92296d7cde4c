"""Readers: one file per format, all of them give a `Dataset`."""

from __future__ import annotations

from pathlib import Path

from medaudit.core.errors import DataError
from medaudit.data.dataset import Dataset

__all__ = ["Dataset", "read"]


def read(path: Path) -> Dataset:
    """Read a data file by its suffix."""
    if path.suffix.lower() != ".npz":
        raise DataError(f"{path}: {path.suffix or 'no'} files cannot be read", "give an .npz file")
    from medaudit.data import npz

    return npz.read(path)
