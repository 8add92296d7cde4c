"""Models and records of `explainer_peers`: random weights, one data file each, opened as a worker opens them.

A subject is asked in two ways: by medaudit as `medaudit attribute` asks it (a worker's bench, its blocks, its reading
of answers), and by other packages through a plain session of ONNX Runtime on the same file. One thread each.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort

from benchmarks.models import Graph
from medaudit.audit.bench import Bench
from medaudit.audit.explainers import asking, reading
from medaudit.audit.spec import WorkSpec
from medaudit.audit.sweeps import reference_points
from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.model.facts import Batching, stream_size
from medaudit.probe.explainer import Explainer, Ground, explain
from medaudit.probe.kinds import Spec, ground_of, plans_of

RECORDS = 256
REFERENCE = 100  # rows: as many as fills are drawn from by default
CHUNK = 4096  # rows of a call that a peer makes on a table: faster than all at once, as shap asks them


def table(path: Path, columns: int, wide: int, seed: int) -> None:
    """Two hidden layers: with 32 columns and 64 neurons about 0.2 us a row in large blocks."""
    g = Graph(seed)
    h = "x"
    for a, b in ((columns, wide), (wide, wide)):
        h = g.node("Relu", g.node("Gemm", h, g.weight(b, a), g.weight(b, scale=0.5), transB=1))
    g.save(path, (columns,), g.node("Gemm", h, g.weight(2, wide), g.weight(2, scale=0.1), transB=1), 2)


def image(path: Path, side: int, wide: tuple[int, ...] = (24, 32, 48, 64)) -> None:
    """One plane: of 96 x 96 about 0.6 ms a row, of 224 x 224 about 3 ms; the narrow one about 1 ms."""
    g = Graph(12)
    h = "x"
    for a, b, s in zip((1, *wide), wide, (2, 1, 2, 1), strict=False):
        h = g.node("Relu", g.node("Conv", h, g.weight(b, a, 3, 3), strides=[s, s], pads=[1, 1, 1, 1]))
    h = g.node("Flatten", g.node("GlobalAveragePool", h))
    g.save(path, (1, side, side), g.node("Gemm", h, g.weight(2, wide[-1]), g.weight(2, scale=0.1), transB=1), 2)


def signal(path: Path) -> None:
    """12 leads x 1000 samples: about 0.35 ms a row."""
    g = Graph(13)
    h = "x"
    for a, b, s in [(12, 32, 2), (32, 48, 1), (48, 64, 2)]:
        h = g.node("Relu", g.node("Conv", h, g.weight(b, a, 9), strides=[s], pads=[4, 4]))
    h = g.node("Flatten", g.node("GlobalAveragePool", h))
    g.save(path, (12, 1000), g.node("Gemm", h, g.weight(2, 64), g.weight(2, scale=0.1), transB=1), 2)


class Made(NamedTuple):
    """How a subject is made."""

    domain: str
    row: tuple[int, ...]
    save: Callable[[Path], None]


MADE = {
    "table-8": Made("table", (8,), lambda path: table(path, 8, 32, 10)),
    "table-32": Made("table", (32,), lambda path: table(path, 32, 64, 11)),
    "image": Made("image", (1, 96, 96), lambda path: image(path, 96)),
    "film": Made("image", (1, 224, 224), lambda path: image(path, 224)),
    "film-light": Made("image", (1, 224, 224), lambda path: image(path, 224, (12, 12, 24, 24))),
    "signal": Made("signal", (12, 1000), signal),
}
AXES = {
    "table": ("batch", "feature"),
    "image": ("batch", "channel", "row", "column"),
    "signal": ("batch", "lead", "time"),
}


def records(made: Made, count: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of a subject, [n, ...] float32: noise, smooth along time and along both sides of an image."""
    x = rng.standard_normal((count, *made.row))
    for axis in {"table": (), "image": (2, 3), "signal": (2,)}[made.domain]:
        x = np.sum([np.roll(x, k, axis=axis) for k in range(7)], axis=0) / np.sqrt(7)
    return x.astype(np.float32)


def plain(path: Path) -> ort.InferenceSession:
    """A session with ONNX Runtime's own settings and one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Subject:
    """One ONNX file with its records, opened both ways."""

    def __init__(self, name: str, folder: Path, reference: np.ndarray | None = None) -> None:
        """reference: rows [n, ...] in the place of drawn ones."""
        self.name, self.made = name, MADE[name]
        self.path, data = folder / f"{name}.onnx", folder / f"{name}.npz"
        self.made.save(self.path)
        rng = np.random.default_rng(1)
        x, drawn = records(self.made, RECORDS, rng), records(self.made, REFERENCE, rng)
        np.savez(data, x=x, ref_x=drawn if reference is None else reference.astype(np.float32))
        axes, size = AXES[self.made.domain], int(np.prod(self.made.row))
        item = Input("x", "float32", self.made.domain, axes, self.made.row, axes, channels=(Channel("x"),))
        self.face = Interface((item,), Output("multiclass", ("logits",), "logits", ("no", "yes")))
        block = stream_size(4 * size, Batching("free"))
        spec = WorkSpec(str(self.path), str(data), self.face, Batching("free"), "cpu", block, seed=1)
        self.asked = Bench(spec, pipe=None).bare  # type: ignore[arg-type]  # what the pipe carries is not asked for
        self.points: np.ndarray = self.asked.points
        self.session = plain(self.path)
        self.rows = 0  # that peers asked

    # --- medaudit

    def ground(self, spec: Spec) -> Ground:
        """What an explainer needs of this model."""
        return ground_of(spec, self.face, reference_points(self.face, self.asked.data), seed=1)

    def plan(self, spec: Spec, number: int = 0) -> Explainer:
        """One plan of an explainer, made from the start."""
        return plans_of(spec, self.ground(spec))(number)

    def values(self, plan: Explainer, point: np.ndarray) -> np.ndarray:
        """What the model answers to the plan's rows around a point [1, D], as in `medaudit attribute`."""
        own = np.ascontiguousarray(self.asked.ask(point)[:, :2])
        return explain(plan, point, asking(reading(self.face.output, Spec(), plan.width), self.asked.ask, own))

    def explained(self, plan: Explainer, point: np.ndarray) -> np.ndarray:
        """The map [S] of a point [1, D]."""
        return plan.reduce(self.values(plan, point), point)[0]

    # --- peers

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Rows [R, ...] -> [R, 2] by the plain session."""
        rows = np.asarray(rows, dtype=np.float32).reshape(-1, *self.made.row)
        self.rows += len(rows)
        step = CHUNK if self.made.domain == "table" else max(1, len(rows))
        parts = [self.session.run(None, {"x": rows[i : i + step]})[0] for i in range(0, len(rows), step)]
        return np.concatenate(parts)

    def decided(self, point: np.ndarray) -> int:
        """The class that a point [1, D] is given."""
        return int(self.asked.ask(point)[0, :2].argmax())

    def odds(self, point: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Rows -> log-odds [R] float64 of the class that the point is given: what medaudit explains."""
        k = self.decided(point)

        def asked(rows: np.ndarray) -> np.ndarray:
            found = self.logits(rows).astype(np.float64)
            return found[:, k] - found[:, 1 - k]

        return asked

    def probabilities(self, rows: Any) -> np.ndarray:
        """Rows -> [R, 2]."""
        found = self.logits(rows).astype(np.float64)
        yes = 1 / (1 + np.exp(found[:, 0] - found[:, 1]))
        return np.stack([1 - yes, yes], axis=1)


class Table:
    """Lines with what is wanted; what was missed is counted."""

    def __init__(self) -> None:
        self.missed = 0

    def head(self, text: str) -> None:
        print(f"\n{text}\n{'':62} {'got':>10} {'wanted':>11}", flush=True)

    def line(self, what: str, got: float, most: float | None = None, least: float | None = None) -> None:
        """A figure that may be `most` at most, or `least` at least."""
        wanted, good = "", ""
        if most is not None or least is not None:
            met = got <= most if most is not None else got >= (least or 0.0)
            wanted = f"<= {most:.4g}" if most is not None else f">= {least:.4g}"
            good, self.missed = "met" if met else "MISSED", self.missed + (not met)
        print(f"{what:62} {got:10.4g} {wanted:>11} {good}", flush=True)
