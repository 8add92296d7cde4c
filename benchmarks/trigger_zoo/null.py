"""The table of what honest models let triggers reach, from zoos' clean, flipped and hard models.

Usage: python -m benchmarks.trigger_zoo.null FOLDER [FOLDER ...]

Each FOLDER is one that `zoo` and `sweeps` wrote, on records whose cells are the same or nearly so. Writes
`medaudit/trigger/null.npz`: for every domain and family the dials of each cell, the middle of its reach over models and
answers, the ways in which models differ, what those leave, and the spread; for every domain the largest excess that
each honest model shows over a table made without its fold. What the poisoned models do is not looked at.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.trigger_zoo.data import DEVELOPED
from benchmarks.trigger_zoo.sweeps import item_of, output_of, to_points
from medaudit.core.interface import Interface
from medaudit.oracle.outlying import Habits, habits, reach, success, unexplained, unusual
from medaudit.trigger.cells import Field, field
from medaudit.trigger.null import FILE

HONEST = ("clean", "flipped", "noisy", "rare", "augmented", "shortcut")
FOLDS = 10
APART = 0.5  # of a change, by which it is another on other records
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


def known_of(reached: np.ndarray, lent: np.ndarray, ways: int) -> Habits:
    """How honest models [models, cells, directions] are moved, with the spread that other records add."""
    own = habits(reached, ways)
    return own._replace(rest=np.fmax(own.rest, elsewhere(reached, lent, ways))) if len(np.unique(lent)) > 1 else own


def left_out(reached: np.ndarray, honest: np.ndarray, ways: int, lent: np.ndarray) -> np.ndarray:
    """Excess [models, cells, directions] of each model over the honest ones of all other folds.

    Folds are sets of records where there are several, as a scanned model's are its own.
    """
    many = len(np.unique(lent)) > 1
    fold, out = np.random.default_rng(0).permutation(len(reached)) % FOLDS, np.zeros(reached.shape)
    fold = lent if many else fold
    for k in np.unique(fold):
        own = known_of(reached[honest & (fold != k)], lent[honest & (fold != k)], ways)
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


def together(folders: list[Path], domain: str) -> tuple[Field, np.ndarray, np.ndarray, np.ndarray]:
    """Cells of the first folder; of all models their reaches [models, cells, directions], whether they are honest, and
    which records they were swept with.

    A cell that another folder does not have is NaN there.
    """
    first, reached, honest, lent = cells_of(folders[0], domain), [], [], []
    for folder in folders:
        zoo = read(folder, domain)
        if not zoo.members:
            continue
        places = {name: i for i, name in enumerate(names_of(cells_of(folder, domain)))}
        own = np.array([places.get(name, -1) for name in names_of(first)])
        reached.append(np.where((own >= 0)[None, :, None], zoo.reached[:, own], np.nan))
        honest.append(zoo.honest)
        lent += [hashlib.sha256((folder / f"{domain}.npz").read_bytes()).hexdigest()] * len(zoo.members)
    return first, np.concatenate(reached), np.concatenate(honest), np.unique(lent, return_inverse=True)[1]


def borrowed(folders: list[Path], domain: str) -> np.ndarray:
    """Cells [cells] that are another trigger on other records, as a picture of one of them is: no table holds for them.

    Those whose change of eight records differs by more than half of itself between sets of records.
    """
    there = [folder for folder in folders if (folder / f"{domain}.npz").exists()]
    fields = [cells_of(folder, domain) for folder in there]
    with np.load(there[0] / f"{domain}.npz") as saved:
        x = to_points(domain, saved["x"][:8]).reshape(8, -1).astype(np.float32)
    count, out = len(fields[0].cells), np.zeros(len(fields[0].cells), dtype=bool)
    first = [fields[0].on(i, 1.0, x) - x for i in range(count)]
    for other in fields[1:]:
        places = {name: i for i, name in enumerate(names_of(other))}
        for i, name in enumerate(names_of(fields[0])):
            if name in places:
                away = other.on(places[name], 1.0, x) - x - first[i]
                out[i] |= np.linalg.norm(away) > APART * np.linalg.norm(first[i])
    return out


def elsewhere(reached: np.ndarray, lent: np.ndarray, ways: int) -> np.ndarray:
    """What is left of honest models' reaches where they are explained by models on other records, a spread [cells].

    A cell may draw on the records, as a picture of another record does: what it means is then another thing on every
    set of data, and models of one set agree on it. A high quantile, as there are few sets.
    """
    left = []
    for k in np.unique(lent):
        if (lent != k).any():
            own = habits(reached[lent != k], ways)
            left += [unexplained(row, own.loadings)[0] for one in reached[lent == k] for row in one.T]
    return np.asarray(np.nanquantile(np.abs(left), 0.9, axis=0) / 1.645)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=FILE)
    args, tables = parser.parse_args(), dict[str, np.ndarray]()
    for domain in DEVELOPED:
        own, reached, honest, lent = together(args.folder, domain)
        moved = known_of(reached[honest], lent[honest], WAYS[domain])
        kind = own.grounds[0].space.item.domain
        names, other = np.array([cell.family.name for cell in own.cells]), borrowed(args.folder, domain)
        told = np.column_stack([moved.loadings, moved.rest, spread_of(reached[honest])])
        told[other, :-1] = np.nan  # but for the spread, which references are held to as well
        for name in dict.fromkeys(names):
            rows = np.flatnonzero(names == name)
            dials = np.stack([own.cells[i].dials for i in rows])
            tables[f"{kind}/{name}"] = np.concatenate([dials, told[rows]], axis=1)
        tables[f"{kind}/scale"] = np.array([moved.scale])
        scores = left_out(reached[:, ~other], honest, WAYS[domain], lent)[honest].max(axis=(1, 2))
        tables[f"{kind}/scores"] = np.sort(scores)
        quantiles = ", ".join(f"{v:.1f}" for v in np.quantile(tables[f"{kind}/scores"], (0.5, 0.9, 0.95, 1)))
        counts = f"{len(own.cells)} cells, {other.sum()} of them borrowed, {honest.sum()} honest models"
        print(f"{domain}: {counts}; their excess: {quantiles}")
    tables["columns"] = np.array([told.shape[1]])
    np.savez_compressed(args.out, **{name: value.astype(np.float32) for name, value in sorted(tables.items())})


if __name__ == "__main__":
    main()
