"""The models that medaudit and its peers attack: same ONNX files, same samples, same counted session.

Every model takes numbers in [0, 1], because Foolbox and torchattacks clip to that range whatever they
are told: where the trained model wants other units, a Mul and an Add stand in front of it in the file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.limit import Bare, interface_of
from benchmarks.models import small_cnn
from medaudit.model.facts import Batching, block_size
from medaudit.model.graph import Model

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
DONORS = 16


class Spec(NamedTuple):
    """What of a model is compared: eps by norm (linf and l2 in units of the whole range, l0 a count)."""

    row: tuple[int, ...]  # shape of one row
    image: tuple[int, int, int]  # as peers that take images only see it
    domain: str
    meaning: str
    eps: dict[str, float]
    make: Callable[[Path, Path | None], None]  # folder to write model.onnx and data.npz to, shared folder
    shared: bool = False  # needs the shared folder


class Counted:
    """A session that counts its rows and calls."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.reset()

    def reset(self) -> None:
        self.rows = self.calls = 0

    def run(self, names: Any, feeds: dict[str, np.ndarray], *rest: Any) -> Any:
        self.calls += 1
        self.rows += len(next(iter(feeds.values())))
        return self.session.run(names, feeds, *rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)


class Victim:
    """A trained model with samples it decides correctly, and clean points to start from."""

    def __init__(self, name: str, spec: Spec, folder: Path, samples: int) -> None:
        self.name, self.spec = name, spec
        data = np.load(folder / "data.npz", allow_pickle=False)
        self.model = Model(folder / "model.onnx", Batching("free"))
        self.counted = self.model.session = Counted(self.model.session)
        self.input = self.model.facts.inputs[0].name
        self.classes = int(data["classes"])
        face = interface_of(spec.row, spec.domain, self.classes)
        self.interface = dataclasses.replace(
            face,
            inputs=(dataclasses.replace(face.inputs[0], name=self.input),),
            output=dataclasses.replace(face.output, tensors=(self.model.outputs[0],), meaning=spec.meaning),
        )
        x, label = self._correct(data["x"], data["y"], 0)
        self.x, self.label = x[:samples], label[:samples]
        self.block = block_size(4 * self.interface.size, Batching("free"), "cpu", len(self.x))
        donors, kinds = self._correct(data["ref_x"], data["ref_y"], 1)
        each = [np.flatnonzero(kinds == k)[: DONORS // self.classes] for k in range(self.classes)]
        self.donors, self.kinds = donors[np.concatenate(each)], kinds[np.concatenate(each)]
        # medaudit lays a sequence out variable by variable; everyone else gets the tensor's own order.
        grid = np.arange(self.interface.size)
        self.order = grid.reshape(spec.row).T.ravel() if spec.domain == "sequence" else grid
        self.uncounted = SimpleNamespace(facts=self.model.facts, session=self.counted.session)

    def bare(self, seconds: float) -> float:
        """Seconds a row without any tool, at the best block size."""
        loop = Bare(self.uncounted, self.x, self.spec.row)
        loop.run(seconds)
        return loop.seconds / loop.rows

    def _correct(self, x: np.ndarray, y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows the model decides correctly, shuffled, and their decisions."""
        order = np.random.default_rng(seed).permutation(len(x))[:600]
        rows = x[order].astype(np.float32).reshape(len(order), -1)
        label = self.labels(rows)
        good = np.flatnonzero(label == y[order])
        return np.ascontiguousarray(rows[good]), label[good]

    def labels(self, points: np.ndarray) -> np.ndarray:
        """Decisions outside the count."""
        parts = [self.scores(points[i : i + 64], self.counted.session) for i in range(0, len(points), 64)]
        return np.concatenate(parts).argmax(axis=1)

    def scores(self, points: np.ndarray, session: Any = None) -> np.ndarray:
        """Points of any shape in [0, 1] -> [n, classes]; counted where no other session is given."""
        feed = np.ascontiguousarray(points, dtype=np.float32).reshape(-1, *self.spec.row)
        answers: np.ndarray = (session or self.counted).run(self.model.outputs[:1], {self.input: feed})[0]
        return answers

    def starts(self) -> np.ndarray:
        """The nearest donor of another decision, for each sample."""
        distance = np.linalg.norm(self.x[:, None, :] - self.donors[None], axis=2)
        distance[self.label[:, None] == self.kinds[None]] = np.inf
        return self.donors[distance.argmin(axis=1)]


# ------------------------------------------------------------------------------------ the models


def save(folder: Path, proto: Any, x: np.ndarray, y: np.ndarray, ref_x: np.ndarray, ref_y: np.ndarray) -> None:
    onnx.checker.check_model(proto)
    onnx.save(proto, str(folder / "model.onnx"))
    np.savez(folder / "data.npz", x=x, y=y, ref_x=ref_x, ref_y=ref_y, classes=len(np.unique(y)))


def in_units(proto: Any, name: str, low: np.ndarray, wide: np.ndarray) -> None:
    """The graph's input `name` now holds (value - low) / wide."""
    raw = f"{name}_in_own_units"
    for node in proto.graph.node:
        node.input[:] = [raw if given == name else given for given in node.input]
    for label, values in (("wide", wide), ("low", low)):
        proto.graph.initializer.append(numpy_helper.from_array(np.asarray(values, dtype=np.float32), f"unit_{label}"))
    proto.graph.node.insert(0, helper.make_node("Add", ["unit_scaled", "unit_low"], [raw]))
    proto.graph.node.insert(0, helper.make_node("Mul", [name, "unit_wide"], ["unit_scaled"]))


def within(values: np.ndarray, low: np.ndarray, wide: np.ndarray) -> np.ndarray:
    return np.clip((values - low) / wide, 0, 1).astype(np.float32)


def make_pneumonia(folder: Path, shared: Path | None) -> None:
    assert shared is not None
    data = np.load(shared / "data/pneumonia.npz", allow_pickle=False)
    x, ref_x = (data[k][:, None].astype(np.float32) / 255 for k in ("x", "ref_x"))
    save(folder, onnx.load(shared / "models/pneumonia_nchw.onnx"), x, data["y"], ref_x, data["ref_y"])


def make_cinc(folder: Path, shared: Path | None) -> None:
    """z-scored; the file's own limits are -20 and 20 sd."""
    assert shared is not None
    data = np.load(shared / "data/cinc2017.npz", allow_pickle=False)
    proto, low, wide = onnx.load(shared / "models/cinc2017_resnet.onnx"), np.float32(-20), np.float32(40)
    in_units(proto, "ecg", low, wide)
    save(folder, proto, within(data["x"], low, wide), data["y"], within(data["ref_x"], low, wide), data["ref_y"])


def spread(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """low, wide: five standard deviations to both sides of the mean of each last axis' entry."""
    flat = values.reshape(-1, values.shape[-1])
    sd = np.maximum(flat.std(axis=0), 1e-6)
    return flat.mean(axis=0) - 5 * sd, 10 * sd


def make_gru(folder: Path, shared: Path | None) -> None:
    """The series alone: the static numbers are the cohort's medians, and death is the second of two classes."""
    assert shared is not None
    data = np.load(shared / "data/icu_mortality.npz", allow_pickle=False)
    proto = onnx.load(shared / "models/icu_mortality_gru.onnx")
    low, wide = spread(data["ref__series"])
    in_units(proto, "series", low, wide)
    graph = proto.graph
    static = next(i for i in graph.input if i.name == "static")
    graph.input.remove(static)
    middle = np.median(data["ref__static"], axis=0).astype(np.float32)[None]
    graph.initializer.append(numpy_helper.from_array(middle, "static_row"))
    graph.initializer.append(numpy_helper.from_array(np.array([8], dtype=np.int64), "static_wide"))
    graph.initializer.append(numpy_helper.from_array(np.array([0], dtype=np.int64), "axis_rows"))
    graph.node.insert(0, helper.make_node("Expand", ["static_row", "static_shape"], ["static"]))
    graph.node.insert(0, helper.make_node("Concat", ["rows", "static_wide"], ["static_shape"], axis=0))
    graph.node.insert(0, helper.make_node("Shape", ["series"], ["rows"], start=0, end=1))
    risk = graph.output[0].name
    graph.initializer.append(numpy_helper.from_array(np.ones(1, dtype=np.float32), "one"))
    graph.node.append(helper.make_node("Sub", ["one", risk], ["alive"]))
    graph.node.append(helper.make_node("Concat", ["alive", risk], ["probabilities"], axis=1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2]))
    x, ref_x = within(data["x__series"], low, wide), within(data["ref__series"], low, wide)
    save(folder, proto, x, data["y"], ref_x, data["ref_y"])


def make_table(folder: Path, shared: Path | None) -> None:
    """104 first-day numbers of intensive care: an MLP of scikit-learn's for the most even of four labels."""
    from sklearn.neural_network import MLPClassifier

    assert shared is not None
    data = np.load(shared / "data/icu_multilabel.npz", allow_pickle=False)
    ref_x, ref_y = data["ref_x"], data["ref_y"]
    task = int(np.abs(ref_y.mean(axis=0) - 0.5).argmin())
    low, wide = spread(ref_x)
    unit, answer = within(ref_x, low, wide), ref_y[:, task]
    net = MLPClassifier((64, 32), alpha=0.1, early_stopping=True, max_iter=300, random_state=0)
    net.fit(10 * (unit - 0.5), answer)
    (w1, w2, w3), (b1, b2, b3) = net.coefs_, net.intercepts_
    weights = {"w1": 10 * w1, "b1": b1 - 5 * w1.sum(axis=0), "w2": w2, "b2": b2,
               "w3": np.concatenate([-w3, w3], axis=1) / 2, "b3": np.concatenate([-b3, b3]) / 2}  # fmt: skip
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["g1"]), helper.make_node("Relu", ["g1"], ["h1"]),
        helper.make_node("Gemm", ["h1", "w2", "b2"], ["g2"]), helper.make_node("Relu", ["g2"], ["h2"]),
        helper.make_node("Gemm", ["h2", "w3", "b3"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "icu",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", unit.shape[1]])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()],
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    save(folder, proto, within(data["x"], low, wide), data["y"][:, task], unit, answer)


def make_small_cnn(folder: Path, shared: Path | None = None) -> None:
    """A fast model with random weights, for walls only; levelled to split random images in halves."""
    path = folder / "model.onnx"
    small_cnn(path)
    tiles = np.random.default_rng(0).random((400, 1, 16, 16), dtype=np.float32)
    x = np.repeat(np.repeat(tiles, 4, axis=2), 4, axis=3)
    proto = onnx.load(path)
    mean, deviation = proto.graph.initializer[-2:]  # what `Graph.save` levels by
    scores = Model(path, Batching("free")).call({"x": x})[0]
    shift = np.array([np.median(scores[:, 0] - scores[:, 1]), 0]) * numpy_helper.to_array(deviation)
    level = (numpy_helper.to_array(mean) + shift).astype(np.float32)
    mean.CopyFrom(numpy_helper.from_array(level, mean.name))
    onnx.save(proto, str(path))
    y = Model(path, Batching("free")).call({"x": x})[0].argmax(axis=1)
    save(folder, proto, x[:200], y[:200], x[200:], y[200:])


def make_example_ecg(folder: Path, shared: Path | None) -> None:
    """The example's legal range is -5 to 5 mV."""
    data = np.load(EXAMPLES / "ecg/data.npz", allow_pickle=False)
    proto, low, wide = onnx.load(EXAMPLES / "ecg/model.onnx"), np.float32(-5), np.float32(10)
    in_units(proto, proto.graph.input[0].name, low, wide)
    save(folder, proto, within(data["x"], low, wide), data["y"], within(data["ref_x"], low, wide), data["ref_y"])


def make_cxr(folder: Path, shared: Path | None) -> None:
    data = np.load(EXAMPLES / "cxr/data.npz", allow_pickle=False)
    x, ref_x = (data[k].astype(np.float32) / 255 for k in ("x", "ref_x"))
    save(folder, onnx.load(EXAMPLES / "cxr/model.onnx"), x, data["y"], ref_x, data["ref_y"])


SPECS = {
    "image": Spec((1, 28, 28), (1, 28, 28), "image", "probabilities",
                  {"linf": 0.02, "l2": 0.4, "l0": 3}, make_pneumonia, True),
    "table": Spec((104,), (1, 8, 13), "table", "probabilities",
                  {"linf": 0.012, "l2": 0.1, "l0": 1}, make_table, True),
    "sequence": Spec((48, 24), (1, 48, 24), "sequence", "probabilities",
                     {"linf": 0.015, "l2": 0.5, "l0": 8}, make_gru, True),
    "signal": Spec((9000, 1), (1, 90, 100), "signal", "probabilities",
                   {"linf": 0.0025, "l2": 0.075, "l0": 30}, make_cinc, True),
    "small-cnn": Spec((1, 64, 64), (1, 64, 64), "image", "logits",
                      {"linf": 2 / 255, "l2": 0.5, "l0": 10}, make_small_cnn),
}  # fmt: skip
