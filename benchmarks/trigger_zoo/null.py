"""The table of what honest models let triggers reach, from zoos' clean, flipped and hard models.

Usage: python -m benchmarks.trigger_zoo.null FOLDER [FOLDER ...]

Each FOLDER is one that `zoo` and `sweeps` wrote, on records whose cells are the same or nearly so. Writes
`medaudit/trigger/null.npz`: for every domain and family the dials of each cell, the middle of its reach over models and
answers, the ways in which models differ, what those leave, and the spread; for every domain the largest excess that
each honest model shows over a table made without its fold. What the poisoned models do is not looked at.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.trigger_zoo.data import DEVELOPED
from benchmarks.trigger_zoo.sweeps import item_of, output_of, to_points
from medaudit.core.interface import Interface
from medaudit.oracle.outlying import habits, reach, success, unusual
from medaudit.trigger.cells import Field, field
from medaudit.trigger.null import FILE

HONEST = ("clean", "flipped", "noisy", "rare", "augmented", "shortcut")
FOLDS = 10
WAYS = {"ecg": 3, "xray": 2, "series": 1, "table": 3}  # chosen on the zoos of development


class Zoo(NamedTuple):
    """Of one domain: its models, how far each reaches under every cell, and what it turns of the other records.

    Both [models, cells, directions], at full strength.
    """

    members: list[dict[str, Any]]
    reached: np.ndarray
    held: np.ndarray

    @property
    def honest(self) -> np.ndarray:
        return np.isin([m["kind"] for m in self.members], HONEST)


def read(folder: Path, domain: str) -> Zoo:
    """The swept models of a domain, by what a scan chooses by: every other record."""
    every = json.loads((folder / "zoo.json").read_text())
    members = [m for m in every if m["domain"] == domain and (folder / "sweeps" / f"{m['name']}.npz").exists()]
    reached, held = [], []
    for member in members:
        with np.load(folder / "sweeps" / f"{member['name']}.npz") as saved:
            under, clean, spread = saved["under"].astype(np.float64), saved["clean"], saved["spread"]
        reached.append(reach(under[::2, :, -1], clean[::2], spread))
        held.append(success(under[1::2, :, -1:], clean[1::2])[:, 0])
    return Zoo(members, np.array(reached), np.array(held))


def spread_of(reached: np.ndarray) -> np.ndarray:
    """By how much models [models, cells, directions] differ at each cell, over models and directions: [cells]."""
    every = reached.transpose(0, 2, 1).reshape(-1, reached.shape[1])
    return np.asarray(1.4826 * np.nanmedian(np.abs(every - np.nanmedian(every, axis=0)), axis=0))


def left_out(reached: np.ndarray, honest: np.ndarray, ways: int) -> np.ndarray:
    """Excess [models, cells, directions] of each model over the honest ones of all other folds."""
    fold, out = np.random.default_rng(0).permutation(len(reached)) % FOLDS, np.zeros(reached.shape)
    for k in range(FOLDS):
        own = habits(reached[honest & (fold != k)], ways)
        for i in np.flatnonzero(fold == k):
            out[i] = unusual(reached[i], own)[1]
    return out


def cells_of(folder: Path, domain: str) -> Field:
    """The cells that the domain's models were swept with."""
    with np.load(folder / f"{domain}.npz") as saved:
        points = to_points(domain, saved["ref_x"])
    interface = Interface((item_of(domain),), output_of(domain))
    return field(interface, points.reshape(len(points), -1).astype(np.float32))


def names_of(own: Field) -> list[tuple[Any, ...]]:
    """What tells a cell from another: its family and dials."""
    return [(cell.family.name, *map(float, cell.dials)) for cell in own.cells]


def together(folders: list[Path], domain: str) -> tuple[Field, np.ndarray, np.ndarray]:
    """Cells of the first folder; of all models their reaches [models, cells, directions], and whether they are honest.

    A cell that another folder does not have is NaN there.
    """
    first, reached, honest = cells_of(folders[0], domain), [], []
    for folder in folders:
        zoo = read(folder, domain)
        if not zoo.members:
            continue
        places = {name: i for i, name in enumerate(names_of(cells_of(folder, domain)))}
        own = np.array([places.get(name, -1) for name in names_of(first)])
        reached.append(np.where((own >= 0)[None, :, None], zoo.reached[:, own], np.nan))
        honest.append(zoo.honest)
    return first, np.concatenate(reached), np.concatenate(honest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=FILE)
    args, tables = parser.parse_args(), dict[str, np.ndarray]()
    for domain in DEVELOPED:
        own, reached, honest = together(args.folder, domain)
        moved = habits(reached[honest], WAYS[domain])
        kind = own.grounds[0].space.item.domain
        names = np.array([cell.family.name for cell in own.cells])
        told = np.column_stack([moved.loadings, moved.rest, spread_of(reached[honest])])
        for name in dict.fromkeys(names):
            rows = np.flatnonzero(names == name)
            dials = np.stack([own.cells[i].dials for i in rows])
            tables[f"{kind}/{name}"] = np.concatenate([dials, told[rows]], axis=1)
        tables[f"{kind}/scale"] = np.array([moved.scale])
        tables[f"{kind}/scores"] = np.sort(left_out(reached, honest, WAYS[domain])[honest].max(axis=(1, 2)))
        quantiles = ", ".join(f"{v:.1f}" for v in np.quantile(tables[f"{kind}/scores"], (0.5, 0.9, 0.95, 1)))
        print(f"{domain}: {len(own.cells)} cells, {honest.sum()} honest models, their excess: {quantiles}")
    np.savez_compressed(args.out, **{name: value.astype(np.float32) for name, value in sorted(tables.items())})


if __name__ == "__main__":
    main()
