"""Overhead of the engine: wall / (rows x best bare per-row time), everything in one run.

The bare loop is the same session's, one thread, at the best of block sizes 1, 8, 32 and 128. The
search runs in slices of some tens of milliseconds, each followed by a slice of the bare loop, so that
both see the same neighbours on a shared machine: `overhead` is the search's time per row over the
bare loop's in the same run; rows exclude padding, wall includes it. `noise` is the bare loop's own
mean over its fastest call: against the fastest call, every figure would be that much larger, the
bare loop's own included. 1.0 is the limit.
Usage: python -m benchmarks.limit [--shared DIR] [--seconds S] [--attack A] [NAME...]
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np

from benchmarks.models import MODELS
from medaudit.core import streams
from medaudit.core.compose import compose
from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.core.protocol import Attack, Lanes
from medaudit.core.region import Part, Region
from medaudit.engine.loop import Cohort, room_for, tick
from medaudit.engine.memory import keep_heap
from medaudit.model.facts import Batching, block_size
from medaudit.model.graph import Model
from medaudit.model.pipeline import Pipeline
from medaudit.oracle.decision import decide
from medaudit.oracle.goal import Goal, oracle
from medaudit.search import hopskipjump, nes, square

BLOCKS = (1, 8, 32, 128)
LANES = 128  # patients of a usual scan; fewer for rows of 24 KB and more, to keep the run short
SLICE, SWEEP, RUNS = 0.03, 0.15, 3
DONORS = 16  # as many clean records as a scan lends to a walk


def interface_of(row: tuple[int, ...], domain: str, classes: int) -> Interface:
    axes = {
        "table": ("batch", "feature"),
        "sequence": ("batch", "hour", "variable"),
        "signal": ("batch", "time", "lead"),
        "image": ("batch", "channel", "row", "column"),
    }[domain]
    item = Input("x", "float32", domain, axes, row, axes, channels=(Channel("x"),))
    return Interface((item,), Output("multiclass", ("logits",), "logits", tuple("abcd"[:classes])))


def attacks(part: Part, output: Output, x: np.ndarray, label: np.ndarray) -> dict[str, tuple[Attack, Region]]:
    goal = Goal(stop="budget")
    scale = np.ones(part.size, dtype=np.float32)
    linf = Region("linf", 0.0201, scale, None, (part,))
    l2 = Region("l2", 0.02 * part.size**0.5, scale, None, (part,))
    guide, blind = oracle(output, goal, "scores"), oracle(output, goal, "labels")
    return {
        "square": (compose(square.search(), guide, linf, stop="budget"), linf),
        "square-l2": (compose(square.search(), guide, l2, stop="budget"), l2),
        "hopskipjump": (
            compose(hopskipjump.search(donors=x, kinds=label), blind, l2, stop="budget", smallest=True),
            l2,
        ),
        "nes": (compose(nes.search(), guide, linf, stop="budget"), linf),
    }


def lane_maker(x: np.ndarray, area: Region, answers: np.ndarray, label: np.ndarray) -> Callable[[list[int]], Lanes]:
    def make(samples: list[int]) -> Lanes:
        own = x[samples]
        reach = 0.02 if area.norm == "linf" else 3.0
        return Lanes(
            key=np.array([streams.key("bench", s) for s in samples], dtype=np.uint64),
            x=own, lo=own - np.float32(reach), hi=own + np.float32(reach), missing=None,
            ref=answers[samples], label=label[samples], target=np.full(len(samples), -1),
        )  # fmt: skip

    return make


class Bare:
    """The bare loop of a session at its best block size."""

    def __init__(self, model: Model, x: np.ndarray, shape: tuple[int, ...]) -> None:
        self.model, name = model, model.facts.inputs[0].name
        self.seconds, self.rows, self.best = 0.0, 0, np.inf
        blocks = [np.ascontiguousarray(np.resize(x, (block, x.shape[1])).reshape(block, *shape)) for block in BLOCKS]
        times = []
        for rows in blocks:
            self.feeds, self.block = {name: rows}, len(rows)
            self.run(0.02)  # warm
            self.seconds, self.rows, self.best = 0.0, 0, np.inf
            self.run(SWEEP)
            times.append(self.seconds / self.rows)
        self.block = BLOCKS[int(np.argmin(times))]
        self.feeds = {name: blocks[int(np.argmin(times))]}
        self.seconds, self.rows, self.best = 0.0, 0, np.inf

    def run(self, seconds: float) -> None:
        while seconds > 0:
            start = time.perf_counter()
            self.model.session.run(None, self.feeds)
            took = time.perf_counter() - start
            seconds -= took
            self.seconds += took
            self.rows += self.block
            self.best = min(self.best, took / self.block)


def measure(
    name: str,
    path: Path,
    row: tuple[int, ...],
    domain: str,
    classes: int,
    seconds: float,
    only: list[str],
    data: Path | None = None,
) -> None:
    interface = interface_of(row, domain, classes)
    item = interface.inputs[0]
    model = Model(path, Batching("free"))
    first = model.facts.inputs[0].name
    interface = dataclasses.replace(
        interface,
        inputs=(dataclasses.replace(item, name=first),),
        output=dataclasses.replace(interface.output, tensors=(model.outputs[0],)),
    )
    lanes = LANES if 4 * interface.size < 24 << 10 else 64
    block = block_size(4 * interface.size, Batching("free"), "cpu", lanes)
    pipeline = Pipeline(model, interface, block)
    if data is None:
        x = np.random.default_rng(0).standard_normal((lanes, interface.size)).astype(np.float32)
    else:
        with np.load(data) as stored:
            x = stored["x"][:lanes].reshape(lanes, -1)
            x = x.astype(np.float32) / np.float32(255 if x.dtype == np.uint8 else 1)
    answers = pipeline.answer_all(x)
    label = np.asarray(decide(interface.output, answers))
    bare = Bare(model, x, row)
    bare.run(SWEEP)
    budget = int(np.clip(seconds / (bare.seconds / bare.rows) / lanes, 150, 1500))
    for attack_name, (attack, area) in attacks(
        interface.parts[0], interface.output, x[:DONORS], label[:DONORS]
    ).items():
        if only and attack_name not in only:
            continue
        ratios = []
        for _ in range(RUNS):
            bare = Bare(model, x, row)
            cohort = Cohort("bench", attack, budget, lane_maker(x, area, answers, label))
            cohort.waiting.extend((sample, None) for sample in range(lanes))
            wall, rows = 0.0, 0
            while cohort.waiting or cohort.open:
                slice_ = 0.0
                while slice_ < SLICE and (cohort.waiting or cohort.open):
                    start = time.perf_counter()
                    rows += sum(f.rows for f in tick([cohort], block, pipeline.answer, room_for(block, interface.size)))
                    slice_ += time.perf_counter() - start
                wall += slice_
                bare.run(slice_)
            ratios.append(wall / rows / (bare.seconds / bare.rows))
        base = bare.seconds / bare.rows
        print(
            f"{name:16} {attack_name:12} {1e6 * base:9.1f} us/row  block {block:3}  rows {rows:7}  "
            f"overhead {np.median(ratios):5.2f}  (runs {', '.join(f'{r:.2f}' for r in ratios)})  "
            f"noise {base / bare.best:.2f}",
            flush=True,
        )


DOMAINS = {"mlp-714": ("table", 2), "small-cnn": ("image", 2), "lstm-48x76": ("sequence", 2),
           "ecg-cnn-9000": ("signal", 4), "image-cnn-224": ("image", 4)}  # fmt: skip


def main() -> None:
    keep_heap()
    parser = argparse.ArgumentParser()
    parser.add_argument("--shared", type=Path)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--attack", action="append", default=[])
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, make in MODELS.items():
            if options.names and name not in options.names:
                continue
            path = Path(folder) / f"{name}.onnx"
            row = make(path)
            measure(name, path, row, *DOMAINS[name], options.seconds, options.attack)
        if options.shared:
            for name, row, domain, classes, data in (
                ("cinc2017_resnet", (9000, 1), "signal", 4, "cinc2017.npz"),
                ("pneumonia_nchw", (1, 28, 28), "image", 2, "pneumonia.npz"),
            ):
                if not options.names or name in options.names:
                    measure(
                        name,
                        options.shared / "models" / f"{name}.onnx",
                        row,
                        domain,
                        classes,
                        options.seconds,
                        options.attack,
                        options.shared / "data" / data,
                    )


if __name__ == "__main__":
    main()
