"""Sweeps over the zoo's models: of every model the statistics of every family and direction, in one table.

Usage: python -m benchmarks.trigger_zoo.sweeps FOLDER [--records 32] [--workers N]

Writes FOLDER/sweeps.npz, from which `judge` makes tables.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np

from benchmarks.trigger_zoo.data import DOMAINS
from medaudit.core.interface import Channel, Input
from medaudit.oracle.trigger import all_to_all, margins, natural, peaks, swept, transitions
from medaudit.trigger import Space, applicable, planted

STRENGTHS = (0.06, 0.12, 0.25, 0.5, 1.0)
STATISTICS = ("area", "gap", "full", "beyond", "shift", "moved")


def item_of(domain: str) -> Input:
    """What discovery would find of a domain's input."""
    if domain == "ecg":
        return Input("x", "float32", "signal", ("batch", "lead", "time"), (1, 320), ("batch", "lead", "time"),
                     rate=125.0, channels=(Channel("lead"),))  # fmt: skip
    if domain == "xray":
        return Input("x", "float32", "image", ("batch", "channel", "row", "column"), (1, 32, 32),
                     ("batch", "channel", "row", "column"), channels=(Channel("grey", lo=0.0, hi=1.0),))  # fmt: skip
    kind = ["number"] * 8 + ["binary"] * 8 if domain == "series" else ["number"] * 17 + ["binary"] * 3
    channels = tuple(Channel(f"{k} {i}", kind=k) for i, k in enumerate(kind))
    if domain == "series":
        return Input("x", "float32", "sequence", ("batch", "hour", "variable"), (24, 16),
                     ("batch", "hour", "variable"), channels=channels)  # fmt: skip
    return Input("x", "float32", "table", ("batch", "feature"), (20,), ("batch", "feature"), channels=channels)


def to_points(domain: str, x: np.ndarray) -> np.ndarray:
    """Records as [n, planes, rows, columns]."""
    shaped = {"ecg": lambda: x[:, None], "xray": lambda: x, "series": lambda: x.transpose(0, 2, 1)[:, None],
              "table": lambda: x[:, None, None]}  # fmt: skip
    return np.asarray(shaped[domain](), dtype=np.float64)


def to_rows(domain: str, points: np.ndarray) -> np.ndarray:
    """And back, float32."""
    shaped = {"ecg": lambda: points[:, 0], "xray": lambda: points, "series": lambda: points[:, 0].transpose(0, 2, 1),
              "table": lambda: points[:, 0, 0]}  # fmt: skip
    return np.ascontiguousarray(shaped[domain](), dtype=np.float32)


class Model:
    """A model's file, asked for margins."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options)
        self.name, self.rows = self.session.get_inputs()[0].name, 0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.rows += len(x)
        found = [np.asarray(self.session.run(None, {self.name: part})[-1])
                 for part in np.array_split(x, max(1, len(x) // 512))]  # fmt: skip
        answers = np.concatenate(found)
        return margins("multiclass", "probabilities" if answers.min() >= 0 else "logits", answers)


def sweep(task: tuple[str, str, str, int]) -> dict[str, Any]:
    """(folder, name, domain, records) -> statistics [families, directions] of one model."""
    folder, name, domain, count = task
    began, model = time.monotonic(), Model(Path(folder) / f"{name}.onnx")
    with np.load(Path(folder) / f"{domain}.npz") as saved:
        x, ref = to_points(domain, saved["x"]), to_points(domain, saved["ref_x"])
    space = Space(item_of(domain), ref)
    everything = model(to_rows(domain, ref))
    own = natural(everything)
    clean = model(to_rows(domain, x))
    some = balanced(clean, count)
    x, clean = x[some], clean[some]
    shut, out = np.zeros(x.shape, dtype=bool), {}
    for family in applicable(space)[0]:
        cells = family.grid(space)
        margin = np.empty((len(cells), len(STRENGTHS), len(x), clean.shape[1]))
        for g, dials in enumerate(cells):
            every = np.tile(dials, (len(x), 1))
            rows = [planted(space, family, x, every, np.full(len(x), s), shut) for s in STRENGTHS]
            margin[g] = model(to_rows(domain, np.concatenate(rows))).reshape(len(STRENGTHS), len(x), -1)
        found = swept(margin, clean)
        moved = all_to_all(transitions(margin[:, -1], clean))
        shift = found.shift[:, -1].max(axis=0)
        out[family.name] = [
            [p.area, p.gap, p.full, p.beyond, float(shift[t]), moved] for t, p in enumerate(peaks(found, own))
        ]
    return {"name": name, "families": list(out), "found": np.array(list(out.values())), "rows": model.rows,
            "seconds": time.monotonic() - began}  # fmt: skip


def balanced(clean: np.ndarray, count: int) -> np.ndarray:
    """Records to plant on: as many of each decided class as there are, `count` in all."""
    decided = clean.argmax(axis=1)
    order = [np.flatnonzero(decided == k) for k in range(clean.shape[1])]
    turns = [i for at in range(len(clean)) for i in (rows[at] for rows in order if at < len(rows))]
    return np.sort(np.array(turns[:count]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--records", type=int, default=32)
    parser.add_argument("--domain", nargs="+", default=list(DOMAINS))
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    members = [m for m in json.loads((args.folder / "zoo.json").read_text()) if m["domain"] in args.domain]
    tasks = [(str(args.folder), m["name"], m["domain"], args.records) for m in members]
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool:
        done = {}
        for one in pool.imap_unordered(sweep, tasks):
            done[one["name"]] = one
            print(f"{one['name']}: {one['rows']:,} rows, {one['seconds']:.0f} s", flush=True)
    arrays = {f"{name}/found": one["found"] for name, one in done.items()}
    arrays |= {f"{name}/families": np.array(one["families"]) for name, one in done.items()}
    np.savez(args.folder / "sweeps.npz", **arrays)


if __name__ == "__main__":
    main()
