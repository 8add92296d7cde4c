"""How many planted triggers of the zoo a sweep would have noticed: what a sweep that finds nothing is worth.

Usage: python -m benchmarks.trigger_zoo.power FOLDER [FOLDER ...]

After `null`, on the same folders. Adds to `medaudit/trigger/null.npz`, for each domain, counts of poisoned models whose
trigger works: noticed and all, without references (an excess that at most one in twenty honest models shows; each set
of records judged by the others) and with one reference, a clean model of the same build (suspected or confirmed).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.trigger_zoo.data import DEVELOPED
from benchmarks.trigger_zoo.judge import Judged
from benchmarks.trigger_zoo.null import WAYS, borrowed, left_out, together
from medaudit.audit.triggers import UNUSUAL
from medaudit.stats.conformal import p_values
from medaudit.trigger.null import FILE


def alone(folders: list[Path], domain: str, poisoned: np.ndarray) -> tuple[int, int]:
    """Noticed, and all, without references. poisoned: [models], of all folders one after another."""
    _, reached, honest, lent = together(folders, domain)
    score = left_out(reached[:, ~borrowed(folders, domain)], honest, WAYS[domain], lent).max(axis=(1, 2))
    p = p_values(score[poisoned], score[honest])
    return int((p <= UNUSUAL).sum()), int(poisoned.sum())


def compared(own: Judged) -> tuple[int, int]:
    """Noticed, and all, of one folder's, with one reference."""
    rng, noticed, count = np.random.default_rng(0), 0, 0
    for i in np.flatnonzero(own.kinds == "poisoned"):
        pool = np.flatnonzero((own.kinds == "clean") & (own.builds == own.builds[i]))
        if len(pool):
            some = rng.choice(pool, 1)
            noticed += own.told(i, own.excess(i, some), some) != ""
            count += 1
    return noticed, count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=FILE)
    args = parser.parse_args()
    with np.load(args.out) as saved:
        tables = {name: saved[name] for name in saved.files}
    for domain in DEVELOPED:
        there = [Judged(folder, domain) for folder in args.folder if (folder / f"{domain}.npz").exists()]
        kind = there[0].cells.grounds[0].space.item.domain
        poisoned = np.concatenate([own.kinds == "poisoned" for own in there])
        beside = np.array([compared(own) for own in there]).sum(axis=0)
        tables[f"{kind}/power"] = np.array([alone(args.folder, domain, poisoned), beside], dtype=np.float32)
        (a, n), (b, m) = tables[f"{kind}/power"].astype(int)
        print(f"{domain}: {a} of {n} noticed without references, {b} of {m} with one")
    np.savez_compressed(args.out, **dict(sorted(tables.items())))


if __name__ == "__main__":
    main()
