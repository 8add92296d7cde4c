"""What every reader gives: named arrays with labels, patients, names and units."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Dataset:
    """One data file as stored. With one unnamed input the key of `x` and `ref` is ""."""

    path: str
    sha256: str
    x: dict[str, np.ndarray]
    y: np.ndarray | None
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    ref: dict[str, np.ndarray] = field(default_factory=dict)
    ref_y: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    units: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lo: dict[str, np.ndarray] = field(default_factory=dict)
    hi: dict[str, np.ndarray] = field(default_factory=dict)
    length: np.ndarray | None = None
    masks: dict[str, np.ndarray] = field(default_factory=dict)  # NAME or NAME__INPUT -> bool, shape of x
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return len(self.ids)

    def key(self, name: str) -> str:
        """Where `x` and `ref` hold the graph's input `name`."""
        return name if name in self.x else ""

    def take(self, index: np.ndarray) -> dict[str, np.ndarray]:
        return {k: v[index] for k, v in self.x.items()}
