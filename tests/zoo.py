"""A zoo of tiny ONNX models with data, one specimen for each shape that real exporters write.

Needs only numpy and onnx.  Every builder is deterministic and writes ``model.onnx`` and
``data.npz`` into a folder.  Most models are, behind their wrapping, exactly linear in the data,
so the smallest change that turns an answer is known in closed form: rows are picked such that
about half of them turn within 0.3 standard deviations of every feature and half do not.

What ``Built.expect`` may hold:

* ``task``, ``domain``: what the model does, and on what sort of data;
* ``read``, ``output``: how to turn the answer into a decision (``argmax``, ``threshold``,
  ``label``, ``zipmap``, ``columns``, ``value``), and from which output (or list of outputs);
* ``accuracy``: exact share of right decisions on ``x`` (per entry for multilabel tasks, per
  element for masks), ``mae`` for numbers, None or absent where no single value is right;
* ``threshold``: the value the output must exceed; ``cut``: the same in the units of ``weights``;
* ``weights`` [k, d], ``bias`` [k]: scores are ``x.reshape(n, d) @ weights.T + bias`` in the units
  of the stored data (k = 1: compare with ``cut``; k > 1: arg-max, or each > 0 for multilabel);
* ``scale``, ``reshape``: divide the stored data by it, and give each row this shape, to feed it;
* ``fixed_batch``, ``batch_freed``: the batch the graph insists on, and whether the dimension can
  be made dynamic by rewriting declared shapes and Reshape constants alone;
* ``pure``: False where a row's answer hangs on other rows or on chance.
"""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
Dim = int | str
Facts = dict[str, Any]

N_SCORED, N_REF = 120, 80
NEAR = (0.03, 0.21)  # distances, in standard deviations of the pool, of rows easily turned
FAR = 0.40  # and of rows that 0.3 does not turn
IR_VERSION, OPSET, ML_OPSET = 10, 17, 3
ML = "ai.onnx.ml"
FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
BATCH = "batch"


@dataclass(frozen=True)
class Built:
    """The files a builder wrote, and what a right reading of them finds."""

    model: Path
    data: Path
    expect: dict[str, object]


@dataclass(frozen=True)
class Specimen:
    """A named model-and-data builder."""

    name: str
    build: Callable[[Path], Built]
    about: str


SPECIMENS: dict[str, Specimen] = {}
BROKEN: dict[str, Callable[[Path], Path]] = {}

Build = Callable[[Path], Built]
Break = Callable[[Path], Path]


def specimen(name: str) -> Callable[[Build], Build]:
    """Register a builder under a name; its docstring says what it is about."""

    def register(build: Build) -> Build:
        SPECIMENS[name] = Specimen(name, build, (build.__doc__ or "").strip().split("\n")[0])
        return build

    return register


def broken(name: str) -> Callable[[Break], Break]:
    """Register a builder of a file that must be refused."""

    def register(build: Break) -> Break:
        BROKEN[name] = build
        return build

    return register


# ------------------------------------------------------------------------------------- graphs


class Net:
    """Collects nodes, constants, inputs and outputs of one graph."""

    def __init__(self, name: str = "main_graph") -> None:
        """Start an empty graph."""
        self.name = name
        self.nodes: list[onnx.NodeProto] = []
        self.consts: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.domains: dict[str, int] = {"": OPSET}

    def input(self, name: str, shape: Sequence[Dim], kind: int = FLOAT) -> str:
        """Declare an input and return its name."""
        self.inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def output(self, name: str, shape: Sequence[Dim], kind: int = FLOAT) -> None:
        """Declare an output that some node has made."""
        self.outputs.append(helper.make_tensor_value_info(name, kind, list(shape)))

    def const(self, value: Any, dtype: Any = np.float32) -> str:
        """Store an initializer and return its name."""
        name = f"const_{len(self.consts)}"
        self.consts.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def ops(self, kind: str, inputs: Sequence[str], outs: Sequence[str], domain: str = "", **attrs: Any) -> None:
        """Add a node whose outputs are named by the caller."""
        if domain == ML:
            self.domains[ML] = ML_OPSET
        name = f"/{kind}_{len(self.nodes)}"
        node = helper.make_node(kind, list(inputs), list(outs), name, domain=domain, **attrs)
        self.nodes.append(node)

    def op(self, kind: str, *inputs: str, out: str = "", domain: str = "", **attrs: Any) -> str:
        """Add a node with one output and return that output's name."""
        out = out or f"/{kind}_{len(self.nodes)}_out"
        self.ops(kind, inputs, [out], domain, **attrs)
        return out

    def model(self, opsets: Sequence[tuple[str, int]] | None = None) -> onnx.ModelProto:
        """Wrap the graph as a model."""
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, self.consts)
        wanted = list(self.domains.items()) if opsets is None else opsets
        imports = [helper.make_opsetid(domain, version) for domain, version in wanted]
        return helper.make_model(graph, ir_version=IR_VERSION, opset_imports=imports, producer_name="zoo")


# ---------------------------------------------------------------------------------------- data


@dataclass(frozen=True)
class Linear:
    """Linear scores; float64 arrays that hold float32 values."""

    weights: Array
    bias: Array

    def scores(self, x: Array) -> Array:
        """Return [n, k] scores in float64."""
        return np.asarray(x.reshape(len(x), -1).astype(np.float64) @ self.weights.T + self.bias)

    def decide(self, x: Array) -> Array:
        """Return the class of each row: by sign for one score, by arg-max for several."""
        scores = self.scores(x)
        one = len(self.bias) == 1
        return np.asarray(scores[:, 0] > 0 if one else scores.argmax(1)).astype(np.int64)

    def each_distance(self, x: Array, sd: Array) -> Array:
        """Return [n, k] how many sd of every feature turn the sign of each score."""
        reach = (np.abs(self.weights) * sd.ravel()).sum(1)
        return np.asarray(np.abs(self.scores(x)) / reach)

    def distance(self, x: Array, sd: Array) -> Array:
        """Return [n] how many sd of every feature turn the decision of each row."""
        if len(self.bias) == 1:
            return self.each_distance(x, sd)[:, 0]
        scores = self.scores(x)
        top = scores.argmax(1)
        pairs = np.abs((self.weights[:, None] - self.weights) * sd.ravel()).sum(2)
        gaps = scores.max(1, keepdims=True) - scores
        gaps[np.arange(len(top)), top] = np.inf
        return np.asarray((gaps / np.maximum(pairs[top], 1e-300)).min(1))

    def moved(self, cut: float) -> Linear:
        """Return the same model with every score raised by `cut`."""
        return linear(self.weights, self.bias + cut)


def linear(weights: Array, bias: Array) -> Linear:
    """Return a linear model whose numbers survive being stored as float32."""
    w, b = (np.asarray(v, np.float32).astype(np.float64) for v in (weights, bias))
    return Linear(w, b)


@dataclass(frozen=True)
class Rows:
    """Scored and reference rows, and the share of scored rows whose label the model gives."""

    x: Array
    y: Array
    ref_x: Array
    ref_y: Array
    accuracy: float

    def arrays(self) -> dict[str, Array]:
        """Return the arrays as a data file names them."""
        return {"x": self.x, "ref_x": self.ref_x, **self.labels()}

    def labels(self) -> dict[str, Array]:
        """Return all arrays but the inputs."""
        n = len(self.y)
        ids = np.array([f"case-{i:03d}" for i in range(n)])
        return {"y": self.y, "ref_y": self.ref_y, "ids": ids, "groups": np.arange(n) // 2}


def choose(rng: np.random.Generator, distance: Array) -> tuple[Array, Array]:
    """Pick scored and reference rows of a pool, half of each near a boundary and half far."""
    near = np.flatnonzero((distance > NEAR[0]) & (distance < NEAR[1]))
    far = np.flatnonzero(distance > FAR)
    a, b = N_SCORED // 2, (N_SCORED + N_REF) // 2
    if min(len(near), len(far)) < b:
        raise ValueError(f"pool too small: {len(near)} near, {len(far)} far")
    scored = rng.permutation(np.concatenate([near[:a], far[:a]]))
    return scored, rng.permutation(np.concatenate([near[a:b], far[a:b]]))


def mislabel(rng: np.random.Generator, y: Array, flips: int, classes: int) -> Array:
    """Return labels of which exactly `flips` entries differ from the given ones."""
    noisy = y.copy().ravel()
    rows = rng.choice(noisy.size, flips, replace=False)
    noisy[rows] = (noisy[rows] + 1) % classes
    return noisy.reshape(y.shape)


def labelled(rng: np.random.Generator, pool: Array, y: Array, distance: Array, flips: int, classes: int) -> Rows:
    """Pick rows of a pool by distance and mislabel some of them."""
    scored, ref = choose(rng, distance)
    noisy = mislabel(rng, y[scored], flips, classes)
    ref_y = mislabel(rng, y[ref], flips * N_REF // N_SCORED, classes)
    accuracy = float((noisy == y[scored]).mean())
    return Rows(pool[scored], noisy, pool[ref], ref_y, accuracy)


def linear_rows(rng: np.random.Generator, pool: Array, lin: Linear, flips: int) -> Rows:
    """Pick and label rows of a pool by a linear model."""
    distance = lin.distance(pool, pool.std(0))
    return labelled(rng, pool, lin.decide(pool), distance, flips, max(2, len(lin.bias)))


def finish(folder: Path, model: onnx.ModelProto, arrays: Mapping[str, Array], **expect: object) -> Built:
    """Write model and data and return what was built."""
    folder.mkdir(parents=True, exist_ok=True)
    built = Built(folder / "model.onnx", folder / "data.npz", expect)
    built.model.write_bytes(model.SerializeToString(deterministic=True))
    members: Facts = dict(arrays)
    np.savez(built.data, **members)
    return built


def gemm(net: Net, x: str, lin: Linear, out: str = "", dtype: Any = np.float32) -> str:
    """Add the linear scores of a flat tensor."""
    weights, bias = net.const(lin.weights, dtype), net.const(lin.bias, dtype)
    return net.op("Gemm", x, weights, bias, out=out, transB=1)


# ------------------------------------------------------------------------- tables of lab values

NAMES = np.array(["age", "systolic_bp", "heart_rate", "creatinine", "lactate", "temperature"])
UNITS = np.array(["years", "mmHg", "1/min", "mg/dL", "mmol/L", "degC"])
MU = np.array([60.0, 130.0, 80.0, 1.1, 1.8, 37.0])
SD = np.array([12.0, 18.0, 14.0, 0.35, 0.7, 0.6])
LO = np.array([18.0, 50.0, 25.0, 0.2, 0.2, 30.0])
HI = np.array([110.0, 260.0, 220.0, 12.0, 20.0, 43.0])
ABOUT_TABLE = {"names": NAMES, "units": UNITS, "lo": LO, "hi": HI}
TRIAGE = ("home", "ward", "icu")


def table_pool(rng: np.random.Generator, size: int = 3000) -> Array:
    """Draw rows of six lab values and vital signs in their natural units."""
    return np.clip(rng.normal(MU, SD, (size, 6)), LO, HI).astype(np.float32)


def table_linear(rng: np.random.Generator, k: int, gain: float = 1.0) -> Linear:
    """Draw a linear model of the six features, centred on their means."""
    weights = gain * rng.choice([-1.0, 1.0], (k, 6)) * rng.uniform(0.5, 1.5, (k, 6)) / SD
    return linear(weights, -weights @ MU)


def table_case(seed: int, k: int, flips: int = 9, gain: float = 1.0) -> tuple[Linear, Rows]:
    """Return a linear model of the table and rows labelled by it."""
    rng = np.random.default_rng(seed)
    lin = table_linear(rng, k, gain)
    return lin, linear_rows(rng, table_pool(rng), lin, flips)


def task_of(k: int) -> str:
    """Name the classification task that k scores answer."""
    return "binary" if k <= 2 else "multiclass"


def finish_table(
    folder: Path,
    model: onnx.ModelProto,
    lin: Linear,
    rows: Rows,
    extra: Mapping[str, Array] | None = None,
    **expect: object,
) -> Built:
    """Write a specimen on the six-feature table."""
    arrays = {**rows.arrays(), **ABOUT_TABLE, **(extra or {})}
    known: Facts = {
        "task": task_of(len(lin.bias)),
        "domain": "table",
        "accuracy": rows.accuracy,
        "weights": lin.weights,
        "bias": lin.bias,
        "read": "argmax",
    }
    return finish(folder, model, arrays, **{**known, **expect})


def table_net(name: str = "main_graph", batch: Dim = BATCH) -> tuple[Net, str]:
    """Start a graph that takes the six-feature table."""
    net = Net(name)
    return net, net.input("features", [batch, 6])


def labels_of(k: int, strings: Sequence[str] = (), ints: str = "ints") -> dict[str, Any]:
    """Return the class labels as ai.onnx.ml attributes."""
    if strings:
        return {"classlabels_strings": list(strings)}
    return {f"classlabels_{ints}": list(range(k))}


def classifier(net: Net, x: str, lin: Linear, post: str, outs: Sequence[str], strings: Sequence[str] = ()) -> None:
    """Add the LinearClassifier that scikit-learn exports are made of: label and scores."""
    net.ops(
        "LinearClassifier",
        [x],
        outs,
        ML,
        coefficients=[float(v) for v in lin.weights.ravel()],
        intercepts=[float(v) for v in lin.bias],
        multi_class=int(post == "SOFTMAX"),
        post_transform=post,
        **labels_of(len(lin.bias), strings),
    )


@dataclass(frozen=True)
class Mlp:
    """One hidden ReLU layer on standardised features."""

    w1: Array
    b1: Array
    w2: Array
    b2: Array

    def local(self, x: Array) -> tuple[Array, Array]:
        """Return [n, k] scores and their [n, k, d] gradients by the standardised features."""
        pre = (x.astype(np.float64) - MU) / SD @ self.w1.T + self.b1
        scores = np.maximum(pre, 0) @ self.w2.T + self.b2
        return scores, np.einsum("kh,nh,hd->nkd", self.w2, pre > 0, self.w1)

    def distance(self, x: Array) -> Array:
        """Return to first order how many sd of every feature turn the decision."""
        scores, slopes = self.local(x)
        first, second = np.argsort(-scores, axis=1)[:, :2].T
        n = np.arange(len(x))
        reach = np.abs(slopes[n, first] - slopes[n, second]).sum(1)
        return np.asarray((scores[n, first] - scores[n, second]) / np.maximum(reach, 1e-9))


def draw_mlp(rng: np.random.Generator, hidden: int = 8, k: int = 3) -> Mlp:
    """Draw a small perceptron."""
    w1, b1 = rng.normal(0, 0.6, (hidden, 6)), rng.normal(0, 0.3, hidden)
    return Mlp(w1, b1, rng.normal(0, 0.8, (k, hidden)), np.zeros(k))


@specimen("dynamic-logits-table")
def dynamic_logits_table(folder: Path) -> Built:
    """A small perceptron: Sub, Div, Gemm, Relu, Gemm; three logits, dynamic batch."""
    rng = np.random.default_rng(1)
    mlp, pool = draw_mlp(rng), table_pool(rng)
    y = mlp.local(pool)[0].argmax(1)
    rows = labelled(rng, pool, y, mlp.distance(pool), 9, 3)
    net, x = table_net("mlp")
    z = net.op("Div", net.op("Sub", x, net.const(MU)), net.const(SD))
    hidden = net.op("Relu", gemm(net, z, Linear(mlp.w1, mlp.b1)))
    gemm(net, hidden, Linear(mlp.w2, mlp.b2), "logits")
    net.output("logits", [BATCH, 3])
    arrays = {**rows.arrays(), **ABOUT_TABLE, "classes": np.array(TRIAGE)}
    facts: Facts = {"task": "multiclass", "domain": "table", "read": "argmax"}
    more: Facts = {"output": "logits", "accuracy": rows.accuracy, "classes": TRIAGE}
    return finish(folder, net.model(), arrays, **facts, **more)


@specimen("linear-binary-logits")
def linear_binary_logits(folder: Path) -> Built:
    """A pure linear model with two logits, so that exact distances are known."""
    lin, rows = table_case(2, 2, 8)
    net, x = table_net("linear")
    gemm(net, x, lin, "logits")
    net.output("logits", [BATCH, 2])
    return finish_table(folder, net.model(), lin, rows, output="logits")


def single_score(folder: Path, seed: int, head: Callable[[Net, str], list[Dim]], threshold: float, cut: float) -> Built:
    """Write a specimen with one score per row: `head` makes output "risk", gives its shape."""
    lin, rows = table_case(seed, 1, 10)
    shown = lin.moved(cut)
    net, x = table_net("risk")
    net.output("risk", head(net, gemm(net, x, shown)))
    facts: Facts = {"read": "threshold", "output": "risk", "threshold": threshold}
    return finish_table(folder, net.model(), shown, rows, cut=cut, **facts)


@specimen("linear-sigmoid")
def linear_sigmoid(folder: Path) -> Built:
    """One sigmoid per row, [n, 1], decided at 0.5."""

    def head(net: Net, z: str) -> list[Dim]:
        net.op("Sigmoid", z, out="risk")
        return [BATCH, 1]

    return single_score(folder, 3, head, 0.5, 0.0)


@specimen("single-sigmoid-flat")
def single_sigmoid_flat(folder: Path) -> Built:
    """One sigmoid per row, [n], decided at 0.3, which nothing in the file says."""

    def head(net: Net, z: str) -> list[Dim]:
        net.op("Squeeze", net.op("Sigmoid", z), net.const([1], np.int64), out="risk")
        return [BATCH]

    return single_score(folder, 4, head, 0.3, float(np.log(0.3 / 0.7)))


@specimen("single-logit")
def single_logit(folder: Path) -> Built:
    """One raw logit per row, [n, 1], decided at 0."""

    def head(net: Net, z: str) -> list[Dim]:
        net.op("Identity", z, out="risk")
        return [BATCH, 1]

    return single_score(folder, 5, head, 0.0, 0.0)


def softmax_table(folder: Path, lin: Linear, rows: Rows, batch: Dim, **expect: Any) -> Built:
    """Write a specimen that answers softmax probabilities."""
    net, x = table_net("softmax", batch)
    net.op("Softmax", gemm(net, x, lin), out="probabilities", axis=-1)
    net.output("probabilities", [batch, len(lin.bias)])
    return finish_table(folder, net.model(), lin, rows, output="probabilities", **expect)


@specimen("probabilities-softmax")
def probabilities_softmax(folder: Path) -> Built:
    """Three softmax probabilities."""
    lin, rows = table_case(6, 3)
    return softmax_table(folder, lin, rows, BATCH)


@specimen("two-class-saturated")
def two_class_saturated(folder: Path) -> Built:
    """Softmax probabilities that are exactly 0 and 1 in float32: no slope left to follow."""
    lin, rows = table_case(7, 2, gain=700.0)
    return softmax_table(folder, lin, rows, BATCH, saturated=True)


@specimen("fixed-batch-4")
def fixed_batch_4(folder: Path) -> Built:
    """Declared batch 4, and a number of rows that 4 does not divide."""
    lin, rows = table_case(8, 3)
    short = Rows(rows.x[:118], rows.y[:118], rows.ref_x, rows.ref_y, 0.0)
    hits = float((lin.decide(short.x) == short.y).mean())
    return softmax_table(folder, lin, short, 4, accuracy=hits, fixed_batch=4, batch_freed=True)


@specimen("decision-values-named-probabilities")
def decision_values(folder: Path) -> Built:
    """LinearSVC as skl2onnx writes it: "probabilities" holds raw decision values."""
    lin, rows = table_case(9, 3)
    net, x = table_net()
    classifier(net, x, lin, "NONE", ["label", "probabilities"])
    net.output("label", [BATCH], INT64)
    net.output("probabilities", [BATCH, 3])
    return finish_table(folder, net.model(), lin, rows, output="probabilities")


@specimen("decision-value-single")
def decision_value_single(folder: Path) -> Built:
    """Two-class LinearSVC as skl2onnx writes it: label, and [n, 1] "probabilities" cut at 0."""
    lin, rows = table_case(10, 1)
    two = Linear(np.concatenate([-lin.weights, lin.weights]), np.concatenate([-lin.bias, lin.bias]))
    net, x = table_net()
    classifier(net, x, two, "NONE", ["label", "scores"])
    column = net.const([1], np.int64)
    net.op("ArrayFeatureExtractor", "scores", column, out="probabilities", domain=ML)
    net.output("label", [BATCH], INT64)
    net.output("probabilities", [BATCH, 1])
    facts: Facts = {"read": "threshold", "output": "probabilities", "threshold": 0.0}
    return finish_table(folder, net.model(), lin, rows, cut=0.0, **facts)


@specimen("svc-binary-reversed")
def svc_binary_reversed(folder: Path) -> Built:
    """Two-class SVC as ORT answers it: label, and columns [d, -d] whose arg-max is wrong."""
    lin, rows = table_case(11, 1)
    net, x = table_net()
    net.ops(
        "SVMClassifier",
        [x],
        ["label", "probabilities"],
        ML,
        classlabels_ints=[0, 1],
        coefficients=[-0.5, 0.5],  # LIBSVM: a positive sum is the first class
        kernel_params=[0.0, 0.0, 3.0],
        kernel_type="LINEAR",
        post_transform="NONE",
        rho=[-float(lin.bias[0])],
        support_vectors=[float(v) for v in np.concatenate([lin.weights, -lin.weights]).ravel()],
        vectors_per_class=[1, 1],
    )
    net.output("label", [BATCH], INT64)
    net.output("probabilities", [BATCH, 2])
    return finish_table(folder, net.model(), lin, rows, read="label", output="label", cut=0.0)


@specimen("multilabel-sigmoids")
def multilabel_sigmoids(folder: Path) -> Built:
    """Four findings, each a sigmoid decided at 0.5; accuracy counts single entries."""
    rng = np.random.default_rng(12)
    lin, pool = table_linear(rng, 4), table_pool(rng, 12000)
    y = (lin.scores(pool) > 0).astype(np.int64)
    distance = lin.each_distance(pool, pool.std(0)).min(1)
    rows = labelled(rng, pool, y, distance, 28, 2)
    net, x = table_net("findings")
    net.op("Sigmoid", gemm(net, x, lin), out="findings")
    net.output("findings", [BATCH, 4])
    names = ("effusion", "edema", "nodule", "fracture")
    exact = float((rows.y == (lin.scores(rows.x) > 0)).all(1).mean())
    facts: Facts = {"task": "multilabel", "read": "threshold", "output": "findings"}
    more: Facts = {"threshold": 0.5, "classes": names, "exact_match": exact}
    extra = {"classes": np.array(names)}
    return finish_table(folder, net.model(), lin, rows, extra, **facts, **more)


@specimen("label-only-int")
def label_only_int(folder: Path) -> Built:
    """The only output is the class index, int64 [n], by ArgMax."""
    lin, rows = table_case(13, 3)
    net, x = table_net("label")
    net.op("ArgMax", gemm(net, x, lin), out="label", axis=1, keepdims=0)
    net.output("label", [BATCH], INT64)
    return finish_table(folder, net.model(), lin, rows, task="label", read="label", output="label")


@specimen("label-only-string")
def label_only_string(folder: Path) -> Built:
    """The only output is the class name, string [n]."""
    lin, rows = table_case(14, 3)
    net, x = table_net("label")
    classifier(net, x, lin, "NONE", ["label", "scores"], TRIAGE)
    net.output("label", [BATCH], STRING)
    facts: Facts = {"task": "label", "read": "label", "output": "label"}
    extra = {"classes": np.array(TRIAGE)}
    return finish_table(folder, net.model(), lin, rows, extra, classes=TRIAGE, **facts)


def zip_type(net: Net, name: str, key: int) -> None:
    """Declare an output of type seq(map(key, float))."""
    value = helper.make_tensor_type_proto(FLOAT, [])
    kind = helper.make_sequence_type_proto(helper.make_map_type_proto(key, value))
    net.outputs.append(helper.make_value_info(name, kind))


def zipped(folder: Path, seed: int, strings: Sequence[str], key: int) -> Built:
    """Write a specimen with a label and a dictionary of probabilities for each row."""
    lin, rows = table_case(seed, 3)
    net, x = table_net("ONNX(LogisticRegression)")
    classifier(net, x, lin, "SOFTMAX", ["output_label", "scores"], strings)
    norm = net.op("Normalizer", "scores", domain=ML, norm="L1")
    attrs = labels_of(3, strings, "int64s")
    net.op("ZipMap", norm, out="output_probability", domain=ML, **attrs)
    net.output("output_label", [BATCH], key)
    zip_type(net, "output_probability", key)
    extra = {"classes": np.array(strings)} if strings else {}
    known: Facts = {"classes": tuple(strings)} if strings else {}
    facts: Facts = {"read": "zipmap", "output": "output_probability"}
    return finish_table(folder, net.model(), lin, rows, extra, **facts, **known)


@specimen("zipmap-int")
def zipmap_int(folder: Path) -> Built:
    """The default of skl2onnx: label and seq(map(int64, float))."""
    return zipped(folder, 15, (), INT64)


@specimen("zipmap-string")
def zipmap_string(folder: Path) -> Built:
    """The default of skl2onnx for named classes: label and seq(map(string, float))."""
    return zipped(folder, 16, TRIAGE, STRING)


@specimen("zipmap-columns")
def zipmap_columns(folder: Path) -> Built:
    """skl2onnx's zipmap="columns": a label, and one [n] output for each class."""
    lin, rows = table_case(17, 3)
    net, x = table_net("ONNX(LogisticRegression)")
    classifier(net, x, lin, "SOFTMAX", ["output_label", "scores"])
    net.output("output_label", [BATCH], INT64)
    flat, one = net.const([-1], np.int64), net.const([1], np.int64)
    for k in range(3):
        ends = net.const([k], np.int64), net.const([k + 1], np.int64)
        net.op("Reshape", net.op("Slice", "scores", *ends, one), flat, out=f"i{k}")
        net.output(f"i{k}", [BATCH])
    facts: Facts = {"read": "columns", "output": ["i0", "i1", "i2"]}
    return finish_table(folder, net.model(), lin, rows, **facts)


@specimen("label-plus-probabilities")
def label_plus_probabilities(folder: Path) -> Built:
    """skl2onnx's zipmap=False, two classes: label and [n, 2] probabilities."""
    lin, rows = table_case(18, 2)
    net, x = table_net("ONNX(LogisticRegression)")
    classifier(net, x, lin, "SOFTMAX", ["label", "probabilities"])
    net.output("label", [BATCH], INT64)
    net.output("probabilities", [BATCH, 2])
    return finish_table(folder, net.model(), lin, rows, output="probabilities")


def regression(folder: Path, seed: int, k: int) -> Built:
    """Write a specimen that answers k numbers."""
    rng = np.random.default_rng(seed)
    lin = table_linear(rng, k, 2.0).moved(50.0)
    x, ref_x = np.split(table_pool(rng, N_SCORED + N_REF), [N_SCORED])
    y, ref_y = (lin.scores(v) + rng.normal(0, 1.0, (len(v), k)) for v in (x, ref_x))
    mae = float(np.abs(y - lin.scores(x)).mean())
    rows = Rows(x, y[:, 0] if k == 1 else y, ref_x, ref_y[:, 0] if k == 1 else ref_y, 0.0)
    net, tensor = table_net("regression")
    gemm(net, tensor, lin, "variable")
    net.output("variable", [BATCH, k])
    facts: Facts = {"task": "regression", "read": "value", "output": "variable"}
    return finish_table(folder, net.model(), lin, rows, accuracy=None, mae=mae, **facts)


@specimen("regression-scalar")
def regression_scalar(folder: Path) -> Built:
    """One number per row, [n, 1]."""
    return regression(folder, 19, 1)


@specimen("regression-2")
def regression_2(folder: Path) -> Built:
    """Two numbers per row, [n, 2]: easily taken for two classes."""
    return regression(folder, 20, 2)


# ------------------------------------------------------------------------ table input types


@specimen("float16-input")
def float16_input(folder: Path) -> Built:
    """float16 in and out; the stored float32 data holds values that float16 holds too."""
    rng = np.random.default_rng(21)
    pool = table_pool(rng).astype(np.float16).astype(np.float32)
    lin = table_linear(rng, 3)
    rows = linear_rows(rng, pool, lin, 9)
    net = Net("half")
    x = net.input("features", [BATCH, 6], TensorProto.FLOAT16)
    z = gemm(net, net.op("Cast", x, to=FLOAT), lin)
    net.op("Cast", z, out="logits", to=TensorProto.FLOAT16)
    net.output("logits", [BATCH, 3], TensorProto.FLOAT16)
    return finish_table(folder, net.model(), lin, rows, output="logits", dtype="float16")


@specimen("float64-input")
def float64_input(folder: Path) -> Built:
    """tensor(double) in and out."""
    rng = np.random.default_rng(22)
    lin = table_linear(rng, 3)
    rows = linear_rows(rng, table_pool(rng).astype(np.float64), lin, 9)
    net = Net("double")
    x = net.input("features", [BATCH, 6], TensorProto.DOUBLE)
    gemm(net, x, lin, "logits", np.float64)
    net.output("logits", [BATCH, 3], TensorProto.DOUBLE)
    return finish_table(folder, net.model(), lin, rows, output="logits", dtype="float64")


@specimen("int64-input")
def int64_input(folder: Path) -> Built:
    """int64 codes (sex, smoking, stage) and counts; a change of a part of one means nothing."""
    rng = np.random.default_rng(23)
    mu, sd = np.array([1.0, 1.0, 1.5, 64.0, 250.0, 90.0]), np.array([1, 1, 1, 13.0, 60.0, 25.0])
    pool = np.rint(rng.normal(mu, sd, (3000, 6)))
    pool[:, :3] = rng.integers(0, [2, 3, 4], (3000, 3))
    pool = np.clip(pool, 0, [1, 2, 3, 110, 900, 300]).astype(np.int64)
    weights = rng.choice([-1.0, 1.0], (3, 6)) * rng.uniform(0.5, 1.5, (3, 6)) / sd
    weights[:, :3] *= 0.5
    lin = linear(weights, -weights @ pool.mean(0))
    steps = np.floor(0.3 * pool.std(0)) / 0.3
    rows = labelled(rng, pool, lin.decide(pool), lin.distance(pool, steps), 9, 3)
    net = Net("codes")
    x = net.input("codes", [BATCH, 6], INT64)
    gemm(net, net.op("Cast", x, to=FLOAT), lin, "logits")
    net.output("logits", [BATCH, 3])
    named = ["sex_code", "smoking_code", "stage", "age", "platelets", "crp"]
    about: Facts = {"names": named, "units": ["code", "code", "code", "years", "10^9/L", "mg/L"]}
    about |= {"lo": [0, 0, 0, 18, 0, 0], "hi": [1, 2, 3, 110, 900, 300]}
    extra = {key: np.array(value) for key, value in about.items()}
    facts: Facts = {"dtype": "int64", "integer": True, "coded": (0, 1, 2)}
    return finish_table(folder, net.model(), lin, rows, extra, output="logits", **facts)


@specimen("nan-missing")
def nan_missing(folder: Path) -> Built:
    """NaN means not measured: IsNaN and Where fill it in, and the gap itself counts too."""
    rng = np.random.default_rng(24)
    pool = table_pool(rng)
    pool[:, 3:5][rng.random((len(pool), 2)) < 0.2] = np.nan
    lin, gap = table_linear(rng, 3), linear(rng.normal(0, 0.5, (3, 6)), np.zeros(3))
    both = Linear(np.concatenate([lin.weights, gap.weights], 1), lin.bias)
    missing = np.isnan(pool)
    full = np.concatenate([np.where(missing, MU.astype(np.float32), pool), missing], 1)
    sd = np.concatenate([np.nanstd(pool, 0), np.zeros(6)])
    rows = labelled(rng, pool, both.decide(full), both.distance(full, sd), 9, 3)
    net, x = table_net("missing")
    holes = net.op("IsNaN", x)
    z = gemm(net, net.op("Where", holes, net.const(MU), x), lin)
    net.op("Add", z, gemm(net, net.op("Cast", holes, to=FLOAT), gap), out="logits")
    net.output("logits", [BATCH, 3])
    facts: Facts = {"task": "multiclass", "domain": "table", "nan": True}
    more: Facts = {"read": "argmax", "output": "logits", "accuracy": rows.accuracy}
    return finish(folder, net.model(), {**rows.arrays(), **ABOUT_TABLE}, **facts, **more)


SEXES, WARDS = ("female", "male"), ("cardiology", "emergency", "surgery")


def text_columns(net: Net) -> list[str]:
    """Declare two string inputs and add the numbers that stand for their words."""
    columns = []
    for name, words in (("sex", SEXES), ("ward", WARDS)):
        values = [0.4 * i - 0.3 for i in range(len(words))]
        text = net.input(name, [BATCH, 1], STRING)
        code: Facts = {"keys_strings": list(words), "values_floats": values, "default_float": 0.0}
        columns.append(net.op("LabelEncoder", text, domain=ML, **code))
    return columns


@specimen("string-inputs")
def string_inputs(folder: Path) -> Built:
    """A data frame as skl2onnx takes it: six inputs of [n, 1], two of them strings."""
    rng = np.random.default_rng(25)
    pool = np.empty((3000, 6), np.float32)
    pool[:, :4] = table_pool(rng)[:, :4]
    picks = rng.integers(0, [2, 3], (3000, 2))
    pool[:, 4:] = 0.4 * picks - 0.3
    base = table_linear(rng, 3)
    weights = np.concatenate([base.weights[:, :4], rng.uniform(-1.5, 1.5, (3, 2))], 1)
    lin = linear(weights, -weights @ pool.mean(0))
    sd = pool.std(0) * [1, 1, 1, 1, 0, 0]
    indexed = np.concatenate([pool[:, :4], picks], 1)
    rows = labelled(rng, indexed, lin.decide(pool), lin.distance(pool, sd), 9, 3)
    net = Net("frame")
    floats = [net.input(str(name), [BATCH, 1]) for name in NAMES[:4]]
    z = net.op("Concat", *floats, *text_columns(net), axis=1)
    gemm(net, z, lin, "logits")
    net.output("logits", [BATCH, 3])
    arrays = rows.labels() | frame_arrays(rows)
    facts: Facts = {"task": "multiclass", "domain": "table", "read": "argmax"}
    return finish(folder, net.model(), arrays, output="logits", accuracy=rows.accuracy, **facts)


def frame_arrays(rows: Rows) -> dict[str, Array]:
    """Split rows of four numbers and two word indices into named [n, 1] columns."""
    words = {"sex": np.array(SEXES), "ward": np.array(WARDS)}
    arrays: dict[str, Array] = {}
    for prefix, x in (("x__", rows.x), ("ref__", rows.ref_x)):
        for i, name in enumerate([*NAMES[:4], "sex", "ward"]):
            column = x[:, i : i + 1]
            known = words.get(str(name))
            plain = column.astype(np.float32) if known is None else known[column.astype(int)]
            arrays[f"{prefix}{name}"] = plain
    blank, nan = ["", ""], [np.nan, np.nan]
    arrays["names"] = np.array([*NAMES[:4], "sex", "ward"])
    arrays["units"] = np.array([*UNITS[:4], *blank])
    return arrays | {"lo": np.array([*LO[:4], *nan]), "hi": np.array([*HI[:4], *nan])}


# ---------------------------------------------------------- images, signals: smoothed templates


def smooth(values: Array, axes: Sequence[int]) -> Array:
    """Convolve with (1, 2, 1) / 4 along some axes, zeros outside."""
    for axis in axes:
        moved = np.moveaxis(values, axis, -1)
        wide = np.pad(moved, [(0, 0)] * (moved.ndim - 1) + [(1, 1)])
        mixed = 0.25 * wide[..., :-2] + 0.5 * wide[..., 1:-1] + 0.25 * wide[..., 2:]
        values = np.moveaxis(mixed, -1, axis)
    return values


def kernel(rank: int) -> Array:
    """Return the kernel of `smooth` along 1 or 2 axes."""
    line = np.array([0.25, 0.5, 0.25])
    return line if rank == 1 else np.outer(line, line)


@dataclass(frozen=True)
class Scene:
    """What varies between rows: `amp` times each of the patterns, around a base, plus noise."""

    base: Array
    patterns: Array
    amp: float
    noise: float
    channel: int  # axis of `base` that holds channels

    def axes(self) -> list[int]:
        """Return the axes of a row that are not channels, counted from the end."""
        rank = self.base.ndim
        return [i - rank for i in range(rank) if i != self.channel % rank]

    def draw(self, rng: np.random.Generator, size: int = 1500) -> Array:
        """Draw rows."""
        shape = (size, *self.base.shape)
        mix = np.tensordot(rng.normal(0, self.amp, (size, len(self.patterns))), self.patterns, 1)
        return np.asarray(self.base + mix + rng.normal(0, self.noise, shape), np.float32)

    def templates(self, gain: float = 2.0) -> Array:
        """Return one template per class: one per pattern, or a pair for a single pattern."""
        power = (self.patterns**2).sum(tuple(range(1, self.patterns.ndim)), keepdims=True)
        unit = gain * self.patterns / (self.amp * power)
        return np.concatenate([-unit, unit]) / 2 if len(unit) == 1 else unit

    def linear(self) -> Linear:
        """Return what smoothing and then comparing with the templates comes to."""
        raw = self.templates()
        weights = smooth(raw, self.axes()).reshape(len(raw), -1)
        return linear(weights, -weights @ self.base.ravel())

    def case(self, seed: int, flips: int = 9) -> tuple[Linear, Rows]:
        """Return the linear model and rows labelled by it."""
        rng = np.random.default_rng(seed)
        lin = self.linear()
        return lin, linear_rows(rng, self.draw(rng), lin, flips)


Flat = Callable[[Net, str], str]


def flatten(net: Net, x: str) -> str:
    """Flatten all but the batch axis."""
    return net.op("Flatten", x, axis=1)


def conv_head(net: Net, x: str, scene: Scene, bias: Array, flat: Flat = flatten) -> str:
    """Add Conv (smoothing, both signs), Relu and Gemm on a channels-first tensor."""
    raw = np.moveaxis(scene.templates(), scene.channel % scene.base.ndim + 1, 1)
    channels, rank = raw.shape[1], raw.ndim - 2
    filters = np.stack([kernel(rank), -kernel(rank)] * channels)[:, None]
    form = {"group": channels, "kernel_shape": [3] * rank, "pads": [1] * (2 * rank)}
    hidden = net.op("Relu", net.op("Conv", x, net.const(filters), **form))
    weights = np.stack([raw, -raw], 2).reshape(len(raw), -1)
    return gemm(net, flat(net, hidden), Linear(weights, bias))


def finish_scene(
    folder: Path,
    net: Net,
    logits: str,
    rows: Rows,
    lin: Linear,
    extra: Mapping[str, Array],
    **expect: object,
) -> Built:
    """Name the logits, then write a specimen on images or signals."""
    net.op("Identity", logits, out="logits")
    batch = net.inputs[0].type.tensor_type.shape.dim[0]
    net.output("logits", [batch.dim_param or batch.dim_value, len(lin.bias)])
    known: Facts = {
        "task": task_of(len(lin.bias)),
        "accuracy": rows.accuracy,
        "weights": lin.weights,
        "bias": lin.bias,
        "read": "argmax",
        "output": "logits",
    }
    return finish(folder, net.model(), {**rows.arrays(), **extra}, **{**known, **expect})


def bumps(t: Array, centres: Sequence[float], width: float) -> Array:
    """Return a sum of bell curves."""
    return sum((np.exp(-(((t - c) / width) ** 2)) for c in centres), np.zeros(t.shape))


def beats(length: int) -> tuple[Array, Array]:
    """Return a trace of three heart beats, and the ST-T change that tells classes apart."""
    t, starts = np.arange(length), [length * f for f in (0.15, 0.47, 0.79)]
    spikes = bumps(t, starts, length / 80) - 0.2 * bumps(t, [s + 4 for s in starts], length / 80)
    return spikes, bumps(t, [s + length / 9 for s in starts], length / 24)


def blob(row: float, column: float, radius: float) -> Array:
    """Return a bell-shaped spot in a 16 x 16 image."""
    grid = np.arange(16)
    return np.outer(bumps(grid, [row], radius), bumps(grid, [column], radius))


def shade() -> Array:
    """Return a smooth background, so uneven that data on a wrong scale is misread."""
    return 0.25 + 0.3 * blob(3, 3, 7)


SPOTS = ((4.0, 4.0, 2.5), (11.0, 5.0, 2.5), (8.0, 12.0, 2.5))


@specimen("signal-channels-last")
def signal_channels_last(folder: Path) -> Built:
    """One-lead trace as Keras takes it, [n, 240, 1]; two logits."""
    trace, change = beats(240)
    scene = Scene(trace[:, None], change[None, :, None], 0.15, 0.02, -1)
    lin, rows = scene.case(26)
    net = Net("ecg")
    x = net.op("Transpose", net.input("ecg", [BATCH, 240, 1]), perm=[0, 2, 1])
    extra = {"names": np.array(["II"]), "units": np.array(["mV"])}
    facts: Facts = {"domain": "signal", "layout": "NTC"}
    return finish_scene(folder, net, conv_head(net, x, scene, lin.bias), rows, lin, extra, **facts)


@specimen("signal-channels-first")
def signal_channels_first(folder: Path) -> Built:
    """Three-lead trace as PyTorch takes it, [n, 3, 80]; three logits."""
    trace, change = beats(80)
    scene = Scene(np.stack([trace, 1.3 * trace, -0.5 * trace]), np.eye(3)[..., None] * change, 0.15, 0.02, 0)
    lin, rows = scene.case(27)
    net = Net("ecg3")
    x = net.input("leads", [BATCH, 3, 80])
    extra = {"names": np.array(["I", "II", "V2"]), "units": np.array(["mV"] * 3)}
    facts: Facts = {"domain": "signal", "layout": "NCT"}
    return finish_scene(folder, net, conv_head(net, x, scene, lin.bias), rows, lin, extra, **facts)


def grey(channel: int = 0) -> Scene:
    """Return grey images whose three classes differ in three spots."""
    patterns = np.stack([blob(*spot) for spot in SPOTS])
    return Scene(
        np.expand_dims(shade(), channel),
        np.expand_dims(patterns, channel or 1),
        0.08,
        0.01,
        channel,
    )


@specimen("image-nchw-float01")
def image_nchw_float01(folder: Path) -> Built:
    """The graph takes [n, 1, 16, 16] floats of 0..1; the data is uint8 [n, 16, 16]."""
    scene, rng = grey(), np.random.default_rng(28)
    inner = scene.linear()
    lin = Linear(inner.weights / 255, inner.bias)
    pool = np.rint(255 * np.clip(scene.draw(rng), 0, 1)).astype(np.uint8)[:, 0]
    rows = linear_rows(rng, pool, lin, 9)
    net = Net("xray")
    logits = conv_head(net, net.input("image", [BATCH, 1, 16, 16]), scene, inner.bias)
    facts: Facts = {"domain": "image", "layout": "NCHW", "scale": 255.0}
    return finish_scene(folder, net, logits, rows, lin, {}, reshape=(1, 16, 16), **facts)


@specimen("image-nhwc")
def image_nhwc(folder: Path) -> Built:
    """Grey float images as Keras takes them, [n, 16, 16, 1]."""
    scene = grey(-1)
    lin, rows = scene.case(29)
    net = Net("xray")
    x = net.op("Transpose", net.input("image", [BATCH, 16, 16, 1]), perm=[0, 3, 1, 2])
    facts: Facts = {"domain": "image", "layout": "NHWC"}
    return finish_scene(folder, net, conv_head(net, x, scene, lin.bias), rows, lin, {}, **facts)


@specimen("image-uint8-input")
def image_uint8_input(folder: Path) -> Built:
    """The graph itself takes uint8 colour images, [n, 16, 16, 3], and scales them."""
    tint = np.array([[1.0, 0.4, 0.2]])
    pattern = blob(8, 8, 4)[..., None] * tint
    scene = Scene(shade()[..., None] + 0.1 * tint, pattern[None], 0.08, 0.01, -1)
    rng, inner = np.random.default_rng(30), scene.linear()
    lin = Linear(inner.weights / 255, inner.bias)
    pool = np.rint(255 * np.clip(scene.draw(rng), 0, 1)).astype(np.uint8)
    rows = linear_rows(rng, pool, lin, 9)
    net = Net("skin")
    raw = net.op("Cast", net.input("image", [BATCH, 16, 16, 3], TensorProto.UINT8), to=FLOAT)
    x = net.op("Transpose", net.op("Div", raw, net.const(255.0)), perm=[0, 3, 1, 2])
    facts: Facts = {"domain": "image", "layout": "NHWC", "dtype": "uint8"}
    return finish_scene(folder, net, conv_head(net, x, scene, inner.bias), rows, lin, {}, **facts)


@specimen("dynamic-time")
def dynamic_time(folder: Path) -> Built:
    """Time axis free as well as batch, [n, time, 1]: Conv, Relu, GlobalAveragePool, Gemm."""
    rng = np.random.default_rng(31)
    wave = np.sin(np.arange(90) * 2 * np.pi / 18)[:, None]
    amps = 1 + 0.25 * rng.normal(size=(1500, 1, 1))
    pool = (wave * amps + rng.normal(0, 0.03, (1500, 90, 1))).astype(np.float32)
    level = np.abs(smooth(pool.astype(np.float64), [1])).mean((1, 2))
    cut = float(np.median(level))
    distance = np.abs(level - cut) / smooth(pool.std(0), [0]).mean()
    rows = labelled(rng, pool, (level > cut).astype(np.int64), distance, 9, 2)
    net = Net("respiration")
    x = net.op("Transpose", net.input("flow", [BATCH, "time", 1]), perm=[0, 2, 1])
    filters = net.const(np.stack([kernel(1), -kernel(1)])[:, None])
    hidden = net.op("Relu", net.op("Conv", x, filters, kernel_shape=[3], pads=[1, 1]))
    pooled = net.op("Flatten", net.op("GlobalAveragePool", hidden), axis=1)
    gemm(net, pooled, Linear(np.array([[-9.0, -9], [9, 9]]), 9 * cut * np.array([1, -1])), "logits")
    net.output("logits", [BATCH, 2])
    arrays = rows.arrays() | {"names": np.array(["flow"]), "units": np.array(["L/s"])}
    facts: Facts = {"task": "binary", "domain": "signal", "read": "argmax"}
    more: Facts = {"output": "logits", "accuracy": rows.accuracy, "layout": "NTC"}
    return finish(folder, net.model(), arrays, dynamic_axes=(0, 1), **facts, **more)


# -------------------------------------------------------------- sequences, several inputs, state

VITALS = np.array(["heart_rate", "resp_rate", "spo2", "map", "lactate"])
VITAL_UNITS = np.array(["1/min", "1/min", "%", "mmHg", "mmol/L"])
VITAL_MU = np.array([85.0, 18.0, 95.0, 80.0, 1.8])
VITAL_SD = np.array([14.0, 4.0, 2.5, 12.0, 0.7])
VITAL_LO = np.array([20.0, 4.0, 50.0, 20.0, 0.2])
VITAL_HI = np.array([250.0, 70.0, 100.0, 180.0, 30.0])
ABOUT_VITALS = {"names": VITALS, "units": VITAL_UNITS, "lo": VITAL_LO, "hi": VITAL_HI}
TREND = np.linspace(0.4, 1.0, 12)[:, None] * np.array([1.0, 0.8, -0.9, -0.7, 0.9])


def vitals_pool(rng: np.random.Generator, size: int) -> Array:
    """Draw twelve hours of five vital signs that get worse, or better, together."""
    z = 0.8 * TREND * rng.normal(size=(size, 1, 1)) + rng.normal(0, 0.15, (size, 12, 5))
    return np.asarray(np.clip(VITAL_MU + VITAL_SD * z, VITAL_LO, VITAL_HI), np.float32)


@specimen("two-inputs")
def two_inputs(folder: Path) -> Built:
    """Two inputs: static values [n, 4] and a series [n, 12, 5]."""
    rng = np.random.default_rng(32)
    static, series = table_pool(rng)[:, :4], vitals_pool(rng, 3000)
    pool = np.concatenate([static, series.reshape(3000, 60)], 1)
    weights = np.concatenate(
        [
            table_linear(rng, 2).weights[:, :4],
            np.stack([-TREND, TREND]).reshape(2, 60) / 12 / np.tile(VITAL_SD, 12),
        ],
        1,
    )
    lin = linear(weights, -weights @ pool.mean(0))
    rows = linear_rows(rng, pool, lin, 9)
    net = Net("icu")
    first = net.input("static", [BATCH, 4])
    flat = net.op("Flatten", net.input("series", [BATCH, 12, 5]), axis=1)
    gemm(net, net.op("Concat", first, flat, axis=1), lin, "logits")
    net.output("logits", [BATCH, 2])
    arrays = rows.labels()
    for prefix, x in (("x", rows.x), ("ref", rows.ref_x)):
        arrays[f"{prefix}__static"] = x[:, :4]
        arrays[f"{prefix}__series"] = x[:, 4:].reshape(-1, 12, 5)
    arrays |= {f"{key}__static": value[:4] for key, value in ABOUT_TABLE.items()}
    arrays |= {f"{key}__series": value for key, value in ABOUT_VITALS.items()}
    facts: Facts = {"task": "binary", "domain": "sequence", "read": "argmax"}
    more: Facts = {"weights": lin.weights, "bias": lin.bias, "output": "logits"}
    return finish(folder, net.model(), arrays, accuracy=rows.accuracy, **facts, **more)


@dataclass(frozen=True)
class Cell:
    """Weights of a one-layer recurrent network that leakily adds up the trend."""

    kind: str
    w: Array
    r: Array
    b: Array

    @property
    def hidden(self) -> int:
        """Return the size of the state."""
        return int(self.r.shape[-1])

    def states(self, x: Array) -> Array:
        """Return the last [n, hidden] state after standardised steps [n, t, 5]."""
        h = c = np.zeros((len(x), self.hidden))
        for t in range(x.shape[1]):
            step = x[:, t]
            h, c = (self.gru(step, h), c) if self.kind == "GRU" else self.lstm(step, h, c)
        return h

    def gru(self, x: Array, h: Array) -> Array:
        """Take one GRU step (gates z, r, h; linear_before_reset=1, as PyTorch exports)."""
        wx = np.split(x @ self.w.T + self.b[: len(self.w)], 3, 1)
        rh = np.split(h @ self.r.T + self.b[len(self.w) :], 3, 1)
        z, r = sigmoid(wx[0] + rh[0]), sigmoid(wx[1] + rh[1])
        return np.asarray((1 - z) * np.tanh(wx[2] + r * rh[2]) + z * h)

    def lstm(self, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        """Take one LSTM step (gates i, o, f, c)."""
        gates = x @ self.w.T + h @ self.r.T + self.b.reshape(2, -1).sum(0)
        i, o, f, g = np.split(gates, 4, 1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c


def sigmoid(x: Array) -> Array:
    """Return the logistic function."""
    return np.asarray(1 / (1 + np.exp(-x)))


def draw_cell(rng: np.random.Generator, kind: str, hidden: int = 3) -> Cell:
    """Draw a cell whose candidate state follows the trend of the vital signs."""
    gates = 3 if kind == "GRU" else 4
    w, r = (rng.normal(0, 0.05, (gates * hidden, size)) for size in (5, hidden))
    w[-hidden:] += np.outer([0.4, -0.3, 0.2], TREND[-1])
    b = np.zeros(2 * gates * hidden)
    b[:hidden] = 1.0
    return Cell(kind, w.astype(np.float32), r.astype(np.float32), b.astype(np.float32))


@dataclass(frozen=True)
class Recurrent:
    """A recurrent cell and a read-out of its last state."""

    cell: Cell
    out: Linear

    def decide(self, x: Array) -> Array:
        """Return the class of each series."""
        return self.out.decide(self.cell.states((x.astype(np.float64) - VITAL_MU) / VITAL_SD))

    def distance(self, x: Array) -> Array:
        """Return a coarse distance: how far along the trend the decision turns."""
        push = np.sign(TREND) * x.std(0)
        found = np.full(len(x), 1.0)
        for eps in (FAR, NEAR[1], NEAR[0]):
            ends = [self.decide(x + sign * eps * push) for sign in (-1, 1)]
            found[ends[0] != ends[1]] = eps - 0.01
        return found


def draw_recurrent(rng: np.random.Generator, kind: str) -> Recurrent:
    """Draw a cell and read it out along the trend, undecided where nothing happens."""
    cell = draw_cell(rng, kind)
    steps = np.array([-0.3, 0.0, 0.3])[:, None, None] * TREND
    low, rest, high = cell.states(steps)
    slope = (high - low) / np.sum((high - low) ** 2)
    weights = np.stack([-slope, slope])
    return Recurrent(cell, linear(weights, -weights @ rest))


def recurrent(folder: Path, seed: int, kind: str, batch: Dim, stuck: bool, **notes: object) -> Built:
    """Write a recurrent specimen; `stuck` bakes zero states of batch 1 into the graph."""
    rng = np.random.default_rng(seed)
    net, model = Net(kind.lower()), draw_recurrent(rng, kind)
    cell, pool = model.cell, vitals_pool(rng, 1200)
    rows = labelled(rng, pool, model.decide(pool), model.distance(pool), 9, 2)
    x = net.input("series", [batch, 12, 5])
    z = net.op("Div", net.op("Sub", x, net.const(VITAL_MU)), net.const(VITAL_SD))
    states = (1 if kind == "GRU" else 2) if stuck else 0
    zeros = [net.const(np.zeros((1, 1, cell.hidden))) for _ in range(states)]
    parts = [net.const(v[None]) for v in (cell.w, cell.r, cell.b)]
    attrs: Facts = {"linear_before_reset": 1} if kind == "GRU" else {}
    inputs = [net.op("Transpose", z, perm=[1, 0, 2]), *parts, *([""] if zeros else []), *zeros]
    net.ops(kind, inputs, ["", "state"], hidden_size=cell.hidden, **attrs)
    gemm(net, net.op("Squeeze", "state", net.const([0], np.int64)), model.out, "logits")
    net.output("logits", [batch, 2])
    facts: Facts = {"task": "binary", "domain": "sequence", "read": "argmax"}
    more: Facts = {"output": "logits", "accuracy": rows.accuracy, "layout": "NTC"}
    return finish(folder, net.model(), rows.arrays() | ABOUT_VITALS, **facts, **more, **notes)


@specimen("gru-sequence")
def gru_sequence(folder: Path) -> Built:
    """A GRU over twelve hours of five vital signs."""
    return recurrent(folder, 33, "GRU", BATCH, False)


@specimen("lstm-fixed-states")
def lstm_fixed_states(folder: Path) -> Built:
    """An LSTM whose zero initial states were stored with batch 1, declared batch 1."""
    return recurrent(folder, 34, "LSTM", 1, True, fixed_batch=1, batch_freed=False)


@specimen("lstm-batch-lie")
def lstm_batch_lie(folder: Path) -> Built:
    """The same, but declared with a dynamic batch: only batch 1 runs."""
    return recurrent(folder, 35, "LSTM", BATCH, True, runs_only_batch=1, batch_freed=False)


# ------------------------------------------------------------------------- masks and same-shape


def lesions(rng: np.random.Generator, size: int) -> tuple[Array, Array]:
    """Return images [n, 1, 16, 16] of one disc each, half of them faint, and true masks."""
    grid = np.arange(16)
    row, column = rng.uniform(6.5, 8.5, (2, size, 1, 1))
    away = np.hypot(grid[None, :, None] - row, grid[None, None] - column)
    masks = (away < rng.uniform(3.5, 5.5, (size, 1, 1))).astype(np.uint8)
    faint = np.arange(size)[:, None, None] % 2 == 0
    bright = np.where(faint, rng.uniform(0.55, 0.6, masks.shape[:1] + (1, 1)), 1.6)
    noise = rng.normal(0, 0.12, masks.shape)
    return (masks * bright + noise).astype(np.float32)[:, None], masks


def segmentation(folder: Path, seed: int, head: Callable[[Net, str], list[Dim]], **facts: object) -> Built:
    """Write a specimen that finds a disc: one smoothed map, cut at 0.45."""
    rng = np.random.default_rng(seed)
    (x, y), (ref_x, ref_y) = lesions(rng, N_SCORED), lesions(rng, N_REF)
    found = smooth(x[:, 0].astype(np.float64), [1, 2]) > 0.45
    dice = float(2 * (found & (y > 0)).sum() / (found.sum() + y.sum()))
    rows = Rows(x, y, ref_x, ref_y, float((found == y).mean()))
    net = Net("segment")
    filters, bias = net.const(9 * kernel(2)[None, None]), net.const([-9 * 0.45])
    tensor = net.input("image", [BATCH, 1, 16, 16])
    score = net.op("Conv", tensor, filters, bias, kernel_shape=[3, 3], pads=[1] * 4)
    net.output("mask", head(net, score))
    known: Facts = {"task": "segmentation", "domain": "image", "output": "mask"}
    more: Facts = {"accuracy": rows.accuracy, "dice": dice, "layout": "NCHW"}
    return finish(folder, net.model(), rows.arrays(), **known, **more, **facts)


@specimen("segmentation-logits")
def segmentation_logits(folder: Path) -> Built:
    """Two logits for each pixel, [n, 2, 16, 16]."""

    def head(net: Net, score: str) -> list[Dim]:
        net.op("Concat", net.op("Neg", score), score, out="mask", axis=1)
        return [BATCH, 2, 16, 16]

    return segmentation(folder, 36, head, read="argmax", class_axis=1)


@specimen("segmentation-mask")
def segmentation_mask(folder: Path) -> Built:
    """One sigmoid for each pixel, [n, 1, 16, 16], cut at 0.5."""

    def head(net: Net, score: str) -> list[Dim]:
        net.op("Sigmoid", score, out="mask")
        return [BATCH, 1, 16, 16]

    return segmentation(folder, 37, head, read="threshold", threshold=0.5)


def waves(rng: np.random.Generator, size: int) -> tuple[Array, Array]:
    """Return traces [n, 60, 1] of three levels, half of them shifted far, and true levels."""
    t = np.arange(60)
    first, second = rng.integers(8, 16, (size, 1)), rng.integers(30, 38, (size, 1))
    y = ((t >= first) & (t < first + 10)) + 2 * ((t >= second) & (t < second + 14))
    shift = np.where(np.arange(size) % 2 == 0, 0.36, 0.0)[:, None]
    x = y + shift + rng.normal(0, 0.12, y.shape)
    return x.astype(np.float32)[..., None], y.astype(np.uint8)


@specimen("signal-segmentation")
def signal_segmentation(folder: Path) -> Built:
    """Three logits for each position of a trace, [n, 60, 3] from [n, 60, 1]."""
    rng = np.random.default_rng(38)
    (x, y), (ref_x, ref_y) = waves(rng, N_SCORED), waves(rng, N_REF)
    levels = np.arange(3.0)
    smoothed = smooth(x.astype(np.float64), [1])
    found = (2 * levels * smoothed - levels**2).argmax(-1)
    rows = Rows(x, y, ref_x, ref_y, float((found == y).mean()))
    net = Net("delineate")
    tensor = net.op("Transpose", net.input("trace", [BATCH, 60, 1]), perm=[0, 2, 1])
    filters = net.const(2 * levels[:, None, None] * kernel(1))
    z = net.op("Conv", tensor, filters, net.const(-(levels**2)), kernel_shape=[3], pads=[1, 1])
    net.op("Transpose", z, out="logits", perm=[0, 2, 1])
    net.output("logits", [BATCH, 60, 3])
    arrays = rows.arrays() | {"classes": np.array(["baseline", "P", "QRS"])}
    facts: Facts = {"task": "segmentation", "domain": "signal", "read": "argmax"}
    more: Facts = {"output": "logits", "class_axis": 2, "layout": "NTC"}
    return finish(folder, net.model(), arrays, accuracy=rows.accuracy, **facts, **more)


@specimen("reconstruction")
def reconstruction(folder: Path) -> Built:
    """An auto-encoder (projection on three components): output of the input's shape."""
    rng = np.random.default_rng(39)
    base, _ = beats(32)
    basis = np.linalg.qr(rng.normal(size=(32, 3)))[0].T
    truth = (base + rng.normal(0, 1.0, (N_SCORED + N_REF, 3)) @ basis)[:, None]
    x = (truth + rng.normal(0, 0.1, truth.shape)).astype(np.float32)
    made = (x.astype(np.float64) - base) @ basis.T @ basis + base
    parts = [*np.split(x, [N_SCORED]), *np.split(truth, [N_SCORED])]
    rows = Rows(parts[0], parts[2], parts[1], parts[3], 0.0)
    mae = float(np.abs(made - truth)[:N_SCORED].mean())
    net = Net("autoencoder")
    tensor = net.op("Sub", net.input("trace", [BATCH, 1, 32]), net.const(base))
    code = net.op("MatMul", tensor, net.const(basis.T))
    net.op("Add", net.op("MatMul", code, net.const(basis)), net.const(base), out="rebuilt")
    net.output("rebuilt", [BATCH, 1, 32])
    facts: Facts = {"task": "reconstruction", "domain": "signal", "read": "value"}
    more: Facts = {"output": "rebuilt", "accuracy": None, "mae": mae}
    return finish(folder, net.model(), rows.arrays(), layout="NCT", **facts, **more)


# ------------------------------------------------------------------------------ batch, fixed


@specimen("fixed-batch-1-freeable")
def fixed_batch_1_freeable(folder: Path) -> Built:
    """Batch 1 declared and in a Reshape constant [1, 512]: free once both are rewritten."""
    scene = grey()
    lin, rows = scene.case(40)
    net = Net("fixed")

    def flat(inner: Net, x: str) -> str:
        return inner.op("Reshape", x, inner.const([1, 512], np.int64))

    x = net.input("image", [1, 1, 16, 16])
    facts: Facts = {"domain": "image", "fixed_batch": 1, "batch_freed": True}
    logits = conv_head(net, x, scene, lin.bias, flat)
    return finish_scene(folder, net, logits, rows, lin, {}, layout="NCHW", **facts)


@specimen("fixed-batch-1-stuck")
def fixed_batch_1_stuck(folder: Path) -> Built:
    """Batch 1 baked into a [1, 2] constant that is joined to the features: cannot be freed."""
    lin, rows = table_case(41, 3)
    net, x = table_net("stuck", 1)
    wide = Linear(np.concatenate([lin.weights, np.zeros((3, 2))], 1), lin.bias)
    gemm(net, net.op("Concat", x, net.const([[1.0, 1.0]]), axis=1), wide, "logits")
    net.output("logits", [1, 3])
    facts: Facts = {"fixed_batch": 1, "batch_freed": False, "output": "logits"}
    return finish_table(folder, net.model(), lin, rows, **facts)


@specimen("fixed-batch-1-coupled")
def fixed_batch_1_coupled(folder: Path) -> Built:
    """Centres each image by a mean over all axes: a larger batch runs, but answers change."""
    scene, rng = grey(), np.random.default_rng(42)
    whole = scene.linear()
    weights = whole.weights - whole.weights.mean(1, keepdims=True)
    lin = linear(weights, -weights @ scene.base.ravel())
    rows = linear_rows(rng, scene.draw(rng), lin, 9)
    net = Net("coupled")
    x = net.input("image", [1, 1, 16, 16])
    centred = net.op("Sub", x, net.op("ReduceMean", x, keepdims=1))
    facts: Facts = {"domain": "image", "fixed_batch": 1, "batch_freed": False}
    logits = conv_head(net, centred, scene, lin.bias)
    return finish_scene(folder, net, logits, rows, lin, {}, layout="NCHW", **facts)


@specimen("batch-coupled")
def batch_coupled(folder: Path) -> Built:
    """Batch norm left in training mode: a row's answer hangs on the rows beside it."""
    lin, rows = table_case(43, 3)
    unit = Linear(lin.weights * SD, np.zeros(3))
    x = rows.x.astype(np.float64)
    hits = float((unit.decide((x - x.mean(0)) / x.std(0)) == rows.y).mean())
    net, tensor = table_net("coupled")
    centred = net.op("Sub", tensor, net.op("ReduceMean", tensor, axes=[0], keepdims=1))
    square = net.op("ReduceMean", net.op("Mul", centred, centred), axes=[0], keepdims=1)
    spread = net.op("Sqrt", net.op("Add", square, net.const(1e-6)))
    gemm(net, net.op("Div", centred, spread), unit, "logits")
    net.output("logits", [BATCH, 3])
    arrays = rows.arrays() | ABOUT_TABLE
    facts: Facts = {"task": "multiclass", "domain": "table", "read": "argmax"}
    more: Facts = {"output": "logits", "pure": False, "accuracy_whole_batch": hits}
    return finish(folder, net.model(), arrays, accuracy=None, **facts, **more)


@specimen("random-output")
def random_output(folder: Path) -> Built:
    """Adds noise (RandomNormalLike) to its logits: asked twice, answers twice."""
    lin, rows = table_case(44, 3)
    net, x = table_net("random")
    z = gemm(net, x, lin)
    net.op("Add", z, net.op("RandomNormalLike", z, scale=0.5), out="logits")
    net.output("logits", [BATCH, 3])
    facts: Facts = {"accuracy": None, "pure": False, "output": "logits"}
    calm = rows.accuracy
    return finish_table(folder, net.model(), lin, rows, accuracy_noiseless=calm, **facts)


# ------------------------------------------------------------------------------- odd files


@specimen("external-data")
def external_data(folder: Path) -> Built:
    """All weights stand in model.onnx.data beside the model."""
    lin, rows = table_case(45, 3)
    net, x = table_net("external")
    gemm(net, x, lin, "logits")
    net.output("logits", [BATCH, 3])
    built = finish_table(folder, net.model(), lin, rows, output="logits", external=True)
    save_external(net.model(), built.model, "model.onnx.data")
    return built


def save_external(model: onnx.ModelProto, path: Path, location: str) -> None:
    """Save a model with every weight in a file beside it (written anew)."""
    (path.parent / location).unlink(missing_ok=True)
    options = {"save_as_external_data": True, "location": location, "size_threshold": 0}
    onnx.save_model(model, str(path), **options)


@specimen("wrong-output-shape")
def wrong_output_shape(folder: Path) -> Built:
    """Declares output shape [1] though the batch is dynamic: ORT only warns."""

    def head(net: Net, z: str) -> list[Dim]:
        net.op("Reshape", net.op("Sigmoid", z), net.const([-1], np.int64), out="risk")
        return [1]

    return single_score(folder, 46, head, 0.5, 0.0)


def odd_opsets(folder: Path, seed: int, opsets: Sequence[tuple[str, int]]) -> Built:
    """Write a LinearClassifier specimen with the given opset imports."""
    lin, rows = table_case(seed, 3)
    net, x = table_net("opsets")
    classifier(net, x, lin, "SOFTMAX", ["label", "probabilities"])
    net.output("label", [BATCH], INT64)
    net.output("probabilities", [BATCH, 3])
    model = net.model(opsets)
    return finish_table(folder, model, lin, rows, output="probabilities", opsets=tuple(opsets))


@specimen("missing-opset-domain")
def missing_opset_domain(folder: Path) -> Built:
    """Imports ai.onnx.ml only, the default domain not at all."""
    return odd_opsets(folder, 47, [(ML, ML_OPSET)])


@specimen("missing-default-opset")
def missing_default_opset(folder: Path) -> Built:
    """Uses Gemm and Softmax but imports ai.onnx.ml only: ORT runs what the checker refuses."""
    lin, rows = table_case(52, 3)
    net, x = table_net("opsets")
    net.op("Softmax", gemm(net, x, lin), out="probabilities", axis=-1)
    net.output("probabilities", [BATCH, 3])
    model = net.model([(ML, ML_OPSET)])
    return finish_table(folder, model, lin, rows, output="probabilities")


@specimen("duplicate-opset-domain")
def duplicate_opset_domain(folder: Path) -> Built:
    """Imports the default domain twice, as skl2onnx 1.20 writes it."""
    return odd_opsets(folder, 48, [(ML, 1), ("", OPSET), ("", OPSET)])


@specimen("nan-answer")
def nan_answer(folder: Path) -> Built:
    """Answers NaN (a square root) once creatinine exceeds a value that the data only nears."""
    rng, column, top, limit = np.random.default_rng(49), 3, 1.3, 1.35
    lin, pool = table_linear(rng, 3), table_pool(rng)
    pool[:, column] = np.minimum(pool[:, column], top)
    rows = linear_rows(rng, pool, lin, 9)
    net, x = table_net("fragile")
    value = net.op("Gather", x, net.const([column], np.int64), axis=1)
    root = net.op("Sqrt", net.op("Sub", net.const(limit), value))
    net.op("Add", gemm(net, x, lin), net.op("Mul", root, net.const(0.01)), out="logits")
    net.output("logits", [BATCH, 3])
    facts: Facts = {"nan_above": limit, "nan_column": column}
    return finish_table(folder, net.model(), lin, rows, output="logits", **facts)


@specimen("constant")
def constant(folder: Path) -> Built:
    """Always the same class, which most rows happen to have."""
    rng = np.random.default_rng(50)
    x, ref_x = np.split(table_pool(rng, N_SCORED + N_REF), [N_SCORED])
    y, ref_y = (rng.permutation(np.arange(n) < 0.15 * n).astype(np.int64) for n in (120, 80))
    lin = Linear(np.zeros((2, 6)), np.array([2.0, 0.0]))
    rows = Rows(x, y, ref_x, ref_y, float((y == 0).mean()))
    net, tensor = table_net("constant")
    gemm(net, tensor, lin, "logits")
    net.output("logits", [BATCH, 2])
    return finish_table(folder, net.model(), lin, rows, output="logits", constant=True)


MARKUP = "<script>alert('x')</script>"
ESCAPES = "\x1b[31mred\x1b[0m\x1b]0;title\x07"
BIDI = "good\u202elluf\u2066|`${HOME}`\u200b"


@specimen("hostile-names")
def hostile_names(folder: Path) -> Built:
    """Markup, terminal escapes and bidirectional controls in every name that can be shown."""
    lin, rows = table_case(51, 3)
    net = Net(MARKUP)
    x = net.input('"><img src=x onerror=alert(1)>', [f"{BIDI}-batch", 6])
    out = f"{MARKUP}{ESCAPES}{BIDI}\n# heading | cell"
    gemm(net, x, lin, out)
    net.output(out, [f"{BIDI}-batch", 3])
    model = net.model()
    model.producer_name, model.doc_string, model.graph.doc_string = MARKUP, ESCAPES, BIDI
    helper.set_model_props(model, {MARKUP: ESCAPES, "../../etc/passwd": BIDI})
    classes = (MARKUP, ESCAPES, BIDI)
    names = [MARKUP, ESCAPES, BIDI, "=1+1", 'a,b\n"c"', "../../etc/passwd"]
    ids = np.array([f"{names[i % 6]}{i}" for i in range(N_SCORED)])
    extra = {"classes": np.array(classes), "names": np.array(names), "ids": ids}
    extra["units"] = np.array(names[::-1])
    return finish_table(folder, model, lin, rows, extra, output=out, classes=classes)


# ------------------------------------------------------------------------------ broken files


def plain_model() -> onnx.ModelProto:
    """Return a small sound model."""
    net, x = table_net("plain")
    gemm(net, x, table_linear(np.random.default_rng(0), 3), "logits")
    net.output("logits", [BATCH, 3])
    return net.model()


def put(folder: Path, content: bytes) -> Path:
    """Write a file called model.onnx."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    path.write_bytes(content)
    return path


@broken("git-lfs-pointer")
def git_lfs_pointer(folder: Path) -> Path:
    """Write the pointer that git leaves when LFS files were not fetched."""
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab' * 32}\nsize 123456\n"
    return put(folder, text.encode())


@broken("gzip")
def gzipped(folder: Path) -> Path:
    """Write a sound model, compressed."""
    return put(folder, gzip.compress(plain_model().SerializeToString(), mtime=0))


@broken("pickle")
def pickled(folder: Path) -> Path:
    """Write a plain pickle of a dictionary."""
    return put(folder, pickle.dumps({"weights": [1.0, 2.0], "name": "model"}, protocol=4))


@broken("empty")
def empty(folder: Path) -> Path:
    """Write no bytes at all."""
    return put(folder, b"")


@broken("truncated")
def truncated(folder: Path) -> Path:
    """Write the first two thirds of a sound model."""
    whole = plain_model().SerializeToString()
    return put(folder, whole[: len(whole) * 2 // 3])


@broken("no-graph")
def no_graph(folder: Path) -> Path:
    """Write a model without a graph."""
    model = plain_model()
    model.ClearField("graph")
    return put(folder, model.SerializeToString())


@broken("missing-external-data")
def missing_external_data(folder: Path) -> Path:
    """Write a model whose weights file is gone."""
    path = put(folder, b"")
    save_external(plain_model(), path, "model.onnx.data")
    (folder / "model.onnx.data").unlink()
    return path


@broken("external-escape")
def external_escape(folder: Path) -> Path:
    """Write a model whose weights stand, sound, outside its folder at ../x."""
    inner, model = folder / "inner", plain_model()
    path = put(inner, b"")
    save_external(model, path, "x")
    (inner / "x").replace(folder / "x")
    moved = onnx.load_model(str(path), load_external_data=False)
    for tensor in moved.graph.initializer:
        for entry in tensor.external_data:
            entry.value = "../x" if entry.key == "location" else entry.value
    return put(inner, moved.SerializeToString())


@broken("unknown-domain-op")
def unknown_domain_op(folder: Path) -> Path:
    """Write a model with an operator of a vendor's own domain."""
    net, x = table_net("custom")
    net.op("SecretLayer", x, out="logits", domain="com.vendor.ops")
    net.domains["com.vendor.ops"] = 1
    net.output("logits", [BATCH, 3])
    return put(folder, net.model().SerializeToString())


@broken("future-opset")
def future_opset(folder: Path) -> Path:
    """Write a model of opset 99."""
    model = plain_model()
    model.opset_import[0].version = 99
    return put(folder, model.SerializeToString())


@broken("future-ir")
def future_ir(folder: Path) -> Path:
    """Write a model of IR version 99."""
    model = plain_model()
    model.ir_version = 99
    return put(folder, model.SerializeToString())


@broken("html-page")
def html_page(folder: Path) -> Path:
    """Write the page a server sends instead of a file."""
    page = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>404</body></html>\n"
    return put(folder, page.encode())
