"""Overhead of the engine: wall / (rows x best bare per-row time), everything in one run.

The best bare time is the fastest loop over block sizes 1, 8, 32, 128 of the same session, one
thread, interleaved with the attack's repeats; rows exclude padding, wall includes it. 1.0 is the
limit. Usage: python -m benchmarks.limit [--shared DIR] [--seconds S] [NAME...]
"""

from __future__ import annotations

import argparse
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
from medaudit.engine.inline import run_inline
from medaudit.engine.memory import keep_heap
from medaudit.model.facts import Batching, block_size
from medaudit.model.pipeline import Model, Pipeline
from medaudit.oracle.decision import decide
from medaudit.oracle.goal import Goal, oracle
from medaudit.search import hopskipjump, nes, square

BLOCKS = (1, 8, 32, 128)
LANES = 128  # patients of a usual scan; fewer for rows of 24 KB and more, to keep the run short


def interface_of(row: tuple[int, ...], domain: str, classes: int) -> Interface:
    axes = {
        "table": ("batch", "feature"),
        "sequence": ("batch", "hour", "variable"),
        "signal": ("batch", "time", "lead"),
        "image": ("batch", "channel", "row", "column"),
    }[domain]
    item = Input("x", "float32", domain, axes, row, axes, channels=(Channel("x"),))
    return Interface((item,), Output("multiclass", ("logits",), "logits", tuple("abcd"[:classes])))


def attacks(part: Part, goal: Goal, output: Output) -> dict[str, tuple[Attack, Region]]:
    scale = np.ones(part.size, dtype=np.float32)
    linf = Region("linf", 0.02, scale, None, (part,))
    l2 = Region("l2", 0.02 * part.size**0.5, scale, None, (part,))
    guide, blind = oracle(output, goal, "scores"), oracle(output, goal, "labels")
    return {
        "square": (compose(square.search(), guide, linf, stop="budget"), linf),
        "square-l2": (compose(square.search(), guide, l2, stop="budget"), l2),
        "hopskipjump": (compose(hopskipjump.search(), blind, l2, stop="budget", smallest=True), l2),
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


def bare(model: Model, x: np.ndarray, shape: tuple[int, ...], seconds: float) -> float:
    """Best seconds per row of a bare loop, over block sizes."""
    best = np.inf
    name = model.facts.inputs[0].name
    for block in BLOCKS:
        feeds = {name: np.ascontiguousarray(np.resize(x, (block, x.shape[1])).reshape(block, *shape))}
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            start, n = time.perf_counter(), max(1, 64 // block)
            for _ in range(n):
                model.session.run(None, feeds)
            best = min(best, (time.perf_counter() - start) / (n * block))
    return best


def measure(
    name: str,
    path: Path,
    row: tuple[int, ...],
    domain: str,
    classes: int,
    seconds: float,
    only: list[str],
) -> None:
    interface = interface_of(row, domain, classes)
    if "heart" not in name:
        item = interface.inputs[0]
    model = Model(path, Batching("free"))
    first = model.facts.inputs[0].name
    import dataclasses

    interface = dataclasses.replace(
        interface,
        inputs=(dataclasses.replace(item, name=first),),
        output=dataclasses.replace(interface.output, tensors=(model.outputs[0],)),
    )
    block = block_size(4 * interface.size, Batching("free"), "cpu")
    pipeline = Pipeline(model, interface, block)
    lanes = LANES if 4 * interface.size < 24 << 10 else 32
    x = np.random.default_rng(0).standard_normal((lanes, interface.size)).astype(np.float32)
    answers = pipeline.answer_all(x)
    label = np.asarray(decide(interface.output, answers))
    goal = Goal(stop="budget")
    quick = bare(model, x, row, seconds / 20)
    budget = int(np.clip(seconds / quick / lanes, 60, 1500))
    for attack_name, (attack, area) in attacks(interface.parts[0], goal, interface.output).items():
        if only and attack_name not in only:
            continue
        ratios = []
        for _ in range(3):
            base = bare(model, x, row, seconds / 20)
            make = lane_maker(x, area, answers, label)
            start = time.perf_counter()
            done = run_inline([("bench", attack, budget, make, list(range(lanes)))], pipeline.answer, block)
            wall = time.perf_counter() - start
            base = min(base, bare(model, x, row, seconds / 20))
            ratios.append(wall / (sum(f.rows for f in done) * base))
        rows = sum(f.rows for f in done)
        print(
            f"{name:16} {attack_name:12} {1e6 * base:9.1f} us/row  block {block:3}  rows {rows:7}  "
            f"overhead {min(ratios):5.2f}  (runs {', '.join(f'{r:.2f}' for r in ratios)})",
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
            for name, row, domain, classes in (
                ("cinc2017_resnet", (9000, 1), "signal", 4), ("pneumonia_nchw", (1, 28, 28), "image", 2)
            ):  # fmt: skip
                if not options.names or name in options.names:
                    measure(
                        name,
                        options.shared / "models" / f"{name}.onnx",
                        row,
                        domain,
                        classes,
                        options.seconds,
                        options.attack,
                    )


if __name__ == "__main__":
    main()
