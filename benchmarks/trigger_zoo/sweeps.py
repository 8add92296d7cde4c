"""Sweeps over the zoo's models: of every model the margins of its records under every cell, as a scan keeps them.

Usage: python -m benchmarks.trigger_zoo.sweeps FOLDER [--records 32] [--all-strengths] [--workers N]

Writes FOLDER/sweeps/NAME.npz, from which `judge` makes tables and `null` the table that is shipped.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from dataclasses import replace
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np

from benchmarks.trigger_zoo.data import DOMAINS
from medaudit.audit.sweeps import STRENGTHS
from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.oracle.trigger import limits, pushed
from medaudit.trigger.cells import field


def item_of(domain: str) -> Input:
    """What discovery would find of a domain's input."""
    if domain == "ecg":
        return Input("x", "float32", "signal", ("batch", "lead", "time"), (1, 320), ("batch", "lead", "time"),
                     rate=125.0, channels=(Channel("lead"),))  # fmt: skip
    if domain == "twelve":
        return Input("x", "float32", "signal", ("batch", "lead", "time"), (12, 256), ("batch", "lead", "time"),
                     rate=100.0, channels=tuple(Channel(f"lead {i + 1}") for i in range(12)))  # fmt: skip
    if domain in ("xray", "lesion"):
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
    shaped = {"series": lambda: x.transpose(0, 2, 1)[:, None], "table": lambda: x[:, None, None],
              "xray": lambda: x, "lesion": lambda: x}  # fmt: skip
    return np.asarray(shaped.get(domain, lambda: x[:, None])(), dtype=np.float64)


def to_rows(domain: str, points: np.ndarray) -> np.ndarray:
    """And back, float32."""
    shaped = {"series": lambda: points[:, 0].transpose(0, 2, 1), "table": lambda: points[:, 0, 0],
              "xray": lambda: points, "lesion": lambda: points}  # fmt: skip
    return np.ascontiguousarray(shaped.get(domain, lambda: points[:, 0])(), dtype=np.float32)


def output_of(domain: str) -> Output:
    """What discovery would find of a domain's answers."""
    about = DOMAINS[domain]
    if about.outlines:
        return Output("segmentation", ("y",), "logits", about.classes, thresholds=(0.0,), class_axis=0, positions=1024)
    return Output("multiclass", ("y",), "logits", about.classes)


class Model:
    """A model's file, asked for margins; outlines are measured against those of clean records."""

    def __init__(self, path: Path, output: Output, clean: np.ndarray) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options)
        self.name, self.rows, self.output = self.session.get_inputs()[0].name, 0, output
        self.limit = limits(output, self.answers(clean))

    def answers(self, x: np.ndarray) -> np.ndarray:
        self.rows += len(x)
        found = [np.asarray(self.session.run(None, {self.name: part})[-1])
                 for part in np.array_split(x, max(1, len(x) // 512))]  # fmt: skip
        answers = np.concatenate(found)
        return answers.reshape(len(answers), -1)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        answers = self.answers(x)
        meaning = "probabilities" if answers.min() >= 0 else "logits"
        return pushed(replace(self.output, meaning=meaning), answers, self.limit)


def sweep(task: tuple[str, str, str, int, tuple[float, ...]]) -> str:
    """(folder, name, domain, records, strengths): margins of one model's records, into a file of its own."""
    folder, name, domain, count, strengths = task
    began = time.monotonic()
    with np.load(Path(folder) / f"{domain}.npz") as saved:
        x, ref = to_points(domain, saved["x"]), to_points(domain, saved["ref_x"])
    output = output_of(domain)
    interface, model = (
        Interface((item_of(domain),), output),
        Model(Path(folder) / f"{name}.onnx", output, to_rows(domain, x)),
    )
    own = field(interface, ref.reshape(len(ref), -1).astype(np.float32))
    everything = model(to_rows(domain, x))
    some = balanced(everything, count)
    points = x[some].reshape(count, -1).astype(np.float32)
    shut = np.zeros(points.shape, dtype=bool)
    under = np.empty((count, len(own.cells), len(strengths), everything.shape[1]), dtype=np.float16)
    for cell in range(len(own.cells)):
        for s, strength in enumerate(strengths):
            laid = own.laid(np.full(count, cell), np.full(count, strength), points, shut)
            under[:, cell, s] = model(to_rows(domain, laid.reshape(x[some].shape)))
    clean, spread = everything[some], everything.std(axis=0)
    np.savez(Path(folder) / "sweeps" / f"{name}.npz", under=under, clean=clean, spread=spread)
    return f"{name}: {model.rows:,} rows, {time.monotonic() - began:.0f} s"


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
    parser.add_argument("--all-strengths", action="store_true", help="the verdict needs them; scores only the largest")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    members = [m for m in json.loads((args.folder / "zoo.json").read_text()) if m["domain"] in args.domain]
    strengths = STRENGTHS if args.all_strengths else STRENGTHS[-1:]
    (args.folder / "sweeps").mkdir(exist_ok=True)
    tasks = [(str(args.folder), m["name"], m["domain"], args.records, strengths) for m in members]
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool:
        for line in pool.imap_unordered(sweep, tasks):
            print(line, flush=True)


if __name__ == "__main__":
    main()
