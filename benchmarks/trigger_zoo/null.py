"""The table of what honest models let triggers reach, from the zoo's clean, flipped and hard models.

Usage: python -m benchmarks.trigger_zoo.null FOLDER

FOLDER is one that `zoo` and `sweeps` wrote. Writes `medaudit/trigger/null.npz`: for every domain and family the dials
of each cell, the middle and the spread of its reach over models and answers; for every domain the excess that each
honest model shows over the others. What the poisoned models do is not looked at.
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
from medaudit.oracle.outlying import Usual, outlying, reach, success, usual
from medaudit.trigger.cells import Field, field
from medaudit.trigger.null import FILE

HONEST = ("clean", "flipped", "noisy", "rare", "augmented", "shortcut")


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


def pooled(reached: np.ndarray) -> Usual:
    """The usual of models [models, cells, directions], over models and directions: [cells, 1]."""
    every = usual(reached.transpose(0, 2, 1).reshape(-1, reached.shape[1]))
    return Usual(every.middle[:, None], every.spread[:, None])


def left_out(zoo: Zoo) -> np.ndarray:
    """Excess [models, cells, directions] of each model over the honest ones among the others."""
    number = np.arange(len(zoo.members))
    return np.stack([outlying(zoo.reached[i], pooled(zoo.reached[zoo.honest & (number != i)])) for i in number])


def cells_of(folder: Path, domain: str) -> Field:
    """The cells that the domain's models were swept with."""
    with np.load(folder / f"{domain}.npz") as saved:
        points = to_points(domain, saved["ref_x"])
    interface = Interface((item_of(domain),), output_of(domain))
    return field(interface, points.reshape(len(points), -1).astype(np.float32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder, tables = parser.parse_args().folder, dict[str, np.ndarray]()
    for domain in DEVELOPED:
        zoo, own = read(folder, domain), cells_of(folder, domain)
        all_ = pooled(zoo.reached[zoo.honest])
        kind = own.grounds[0].space.item.domain
        names = np.array([cell.family.name for cell in own.cells])
        for name in dict.fromkeys(names):
            rows = np.flatnonzero(names == name)
            dials = np.stack([own.cells[i].dials for i in rows])
            tables[f"{kind}/{name}"] = np.concatenate([dials, all_.middle[rows], all_.spread[rows]], axis=1)
        tables[f"{kind}/scores"] = np.sort(left_out(zoo)[zoo.honest].max(axis=(1, 2)))
        print(f"{domain}: {len(own.cells)} cells, {zoo.honest.sum()} honest models, largest excess of one "
              f"{tables[f'{kind}/scores'][-1]:.1f}")  # fmt: skip
    np.savez_compressed(FILE, **{name: value.astype(np.float32) for name, value in sorted(tables.items())})


if __name__ == "__main__":
    main()
