"""The zoo holds what it says: every specimen builds, loads, runs and scores as expected."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime as ort
from zoo import BROKEN, SPECIMENS, Built

Array = NDArray[Any]
KINDS = {
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(uint8)": np.uint8,
    "tensor(string)": np.object_,
}


def open_session(model: Path | bytes) -> Any:
    """Open a model on the CPU, quietly."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    source = model if isinstance(model, bytes) else str(model)
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


class Bench:
    """One specimen, built and opened."""

    def __init__(self, built: Built) -> None:
        """Open the model and read the data."""
        self.expect: dict[str, Any] = dict(built.expect)
        self.session = open_session(built.model)
        with np.load(built.data, allow_pickle=False) as file:
            self.data = {key: file[key] for key in file.files}

    @property
    def batch(self) -> int:
        """Return the only batch size the model takes, 0 if any."""
        return int(self.expect.get("fixed_batch", self.expect.get("runs_only_batch", 0)))

    def feed(self, prefix: str = "x") -> dict[str, Array]:
        """Return all stored rows as the graph takes them."""
        inputs, feed = self.session.get_inputs(), {}
        for item in inputs:
            key = prefix if len(inputs) == 1 else f"{prefix}__{item.name}"
            feed[item.name] = self.prepare(self.data[key], KINDS.get(item.type, np.float32))
        return feed

    def prepare(self, x: Array, kind: Any) -> Array:
        """Apply the expected scale, row shape and type."""
        if "scale" in self.expect:
            x = x.astype(np.float32) / np.float32(self.expect["scale"])
        return x.reshape(len(x), *self.expect.get("reshape", x.shape[1:])).astype(kind)

    def run(self, feed: dict[str, Array]) -> dict[str, Any]:
        """Return all outputs by name, asking in batches of the fixed size where there is one."""
        names = [item.name for item in self.session.get_outputs()]
        n = len(next(iter(feed.values())))
        if not self.batch:
            return dict(zip(names, self.session.run(None, feed), strict=True))
        parts = []
        for at in range(0, n, self.batch):
            rows = np.minimum(np.arange(at, at + self.batch), n - 1)
            parts.append(self.session.run(None, {key: x[rows] for key, x in feed.items()}))
        joined = [np.concatenate(column)[:n] for column in zip(*parts, strict=True)]
        return dict(zip(names, joined, strict=True))

    def decide(self, answer: dict[str, Any]) -> Array:
        """Turn an answer into decisions by the expected reading."""
        output = self.expect["output"]
        if self.expect["read"] == "columns":
            return np.asarray(np.stack([answer[name] for name in output], 1).argmax(1))
        reader = READERS[self.expect["read"]]
        return reader(answer[output], self.expect)


def read_threshold(raw: Array, expect: dict[str, Any]) -> Array:
    """Decide by a threshold; drop an axis of one."""
    found = raw > expect["threshold"]
    return np.asarray(found[:, 0] if found.ndim > 1 and found.shape[1] == 1 else found)


def read_label(raw: Array, expect: dict[str, Any]) -> Array:
    """Turn labels into class indices."""
    if raw.dtype == np.object_:
        return np.array([expect["classes"].index(str(label)) for label in raw])
    return raw


def read_zipmap(raw: Sequence[dict[Any, float]], expect: dict[str, Any]) -> Array:
    """Take the most probable key of each row."""
    keys = list(expect.get("classes", range(len(raw[0]))))
    return np.array([keys.index(max(row, key=lambda key: row[key])) for row in raw])


READERS: dict[str, Callable[[Any, dict[str, Any]], Array]] = {
    "argmax": lambda raw, expect: np.asarray(raw).argmax(expect.get("class_axis", -1)),
    "threshold": read_threshold,
    "label": read_label,
    "zipmap": read_zipmap,
    "value": lambda raw, expect: np.asarray(raw),
}


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Bench]:
    """Return a function that builds and opens each specimen once."""

    @cache
    def make(name: str) -> Bench:
        return Bench(SPECIMENS[name].build(tmp_path_factory.mktemp(name)))

    return make


def few(feed: dict[str, Array], n: int) -> dict[str, Array]:
    """Return the first rows of a feed."""
    return {key: x[:n] for key, x in feed.items()}


@pytest.mark.parametrize("name", SPECIMENS)
def test_runs(name: str, bench: Callable[[str], Bench]) -> None:
    """A specimen answers one row, three rows where it can, and its reference rows."""
    one = bench(name)
    for n in (1, 3):
        answer = one.run(few(one.feed(), n))
        if name != "lstm-batch-lie":
            assert all(len(value) == n for value in answer.values())
    one.run(few(one.feed("ref" if "x" not in one.data else "ref_x"), 2))
    assert SPECIMENS[name].about


@pytest.mark.parametrize("name", SPECIMENS)
def test_data_is_whole(name: str, bench: Callable[[str], Bench]) -> None:
    """Rows, labels and ids have one length, and there is a reference part."""
    data = bench(name).data
    n, m = len(data["y"]), len(data["ref_y"])
    assert 115 <= n <= 125
    assert m == 80
    assert all(len(data[key]) == n for key in data if key in {"x", "ids", "groups"} or "x__" in key)
    assert all(len(data[key]) == m for key in data if key == "ref_x" or "ref__" in key)
    assert len(set(data["ids"].tolist())) >= n


@pytest.mark.parametrize("name", SPECIMENS)
def test_scores_as_expected(name: str, bench: Callable[[str], Bench]) -> None:
    """A direct evaluation reproduces the expected accuracy, or mean absolute error."""
    one = bench(name)
    y, answer = one.data["y"], one.run(one.feed())
    if "mae" in one.expect:
        got = np.asarray(answer[one.expect["output"]], np.float64).reshape(y.shape)
        assert np.abs(got - y).mean() == pytest.approx(one.expect["mae"], rel=1e-4)
        return
    hits = float((one.decide(answer) == y).mean())
    if one.expect["accuracy"] is None:
        wanted = one.expect.get("accuracy_whole_batch")
        assert hits == wanted if wanted else 0.6 < hits < 1
        return
    assert hits == pytest.approx(one.expect["accuracy"], abs=1e-12)
    assert 0.85 <= hits <= 0.97


def smallest_turn(expect: dict[str, Any], x: Array, sd: Array) -> Array:
    """Return the exact number of sd of every feature that turns each row's decision."""
    weights, scores = expect["weights"], x @ expect["weights"].T + expect["bias"]
    if expect["task"] == "multilabel":
        return np.asarray((np.abs(scores) / (np.abs(weights) * sd).sum(1)).min(1))
    if len(weights) == 1:
        return np.asarray(np.abs(scores - expect["cut"])[:, 0] / (np.abs(weights) * sd).sum())
    top = scores.argmax(1)
    reach = np.abs((weights[top][:, None] - weights) * sd).sum(2)
    gap = scores.max(1, keepdims=True) - scores
    gap[np.arange(len(top)), top] = np.inf
    return np.asarray((gap / np.maximum(reach, 1e-12)).min(1))


@pytest.mark.parametrize("name", SPECIMENS)
def test_half_can_be_turned(name: str, bench: Callable[[str], Bench]) -> None:
    """Where weights are known, about half of the right rows turn within 0.3 sd."""
    one = bench(name)
    if "weights" not in one.expect or name in {"constant", "regression-scalar", "regression-2"}:
        pytest.skip("no exact distance")
    parts = [one.data["x"]] if "x" in one.data else [one.data["x__static"], one.data["x__series"]]
    x = np.concatenate([part.reshape(len(part), -1) for part in parts], 1).astype(np.float64)
    right = one.decide(one.run(one.feed())) == one.data["y"]
    right = right.all(1) if right.ndim > 1 else right
    turned = smallest_turn(one.expect, x, x.std(0))[right] < 0.3
    assert 0.35 < turned.mean() < 0.65


@pytest.mark.parametrize("name", ["linear-sigmoid", "external-data", "string-inputs"])
def test_builds_alike(name: str, tmp_path: Path) -> None:
    """Building twice gives the same bytes."""
    first, second = (SPECIMENS[name].build(tmp_path / part) for part in "ab")
    assert first.model.read_bytes() == second.model.read_bytes()
    assert first.data.read_bytes() == second.data.read_bytes()


def freed(built: Built, constants: bool) -> Any:
    """Open a fixed-batch model with a dynamic batch, Reshape constants rewritten if wanted."""
    model = onnx.load_model(str(built.model))
    for item in [*model.graph.input, *model.graph.output]:
        item.type.tensor_type.shape.dim[0].dim_param = "batch"
    shapes = {node.input[1] for node in model.graph.node if node.op_type == "Reshape"}
    for const in model.graph.initializer:
        if constants and const.name in shapes:
            values = onnx.numpy_helper.to_array(const).copy()
            values[0] = -1
            const.CopyFrom(onnx.numpy_helper.from_array(values, const.name))
    return open_session(model.SerializeToString())


@pytest.mark.parametrize("name", [n for n in SPECIMENS if n.startswith(("fixed-", "lstm-"))])
def test_batch_frees_or_not(name: str, tmp_path: Path) -> None:
    """Rewriting declared shapes and Reshape constants frees what it should, and only that."""
    built = SPECIMENS[name].build(tmp_path)
    one = Bench(built)
    feed = few(one.feed(), 3)
    wanted, output = one.run(feed), str(one.expect["output"])
    try:
        got = freed(built, True).run([output], feed)[0]
        same = np.allclose(got, wanted[output], atol=1e-4)
    except Exception as error:  # noqa: BLE001 - onnxruntime has many types
        print(name, str(error)[:300])
        same = False
    assert same == one.expect["batch_freed"]


def test_freeable_needs_its_constant(tmp_path: Path) -> None:
    """Changing the declared dimension alone is not enough."""
    built = SPECIMENS["fixed-batch-1-freeable"].build(tmp_path)
    feed = few(Bench(built).feed(), 3)
    with pytest.raises(Exception, match="(?i)reshape"):
        freed(built, False).run(None, feed)


def test_nan_answer_only_when_pushed(bench: Callable[[str], Bench]) -> None:
    """The stored rows have numbers for answers; a push of 0.3 sd does not."""
    one = bench("nan-answer")
    feed = one.feed()
    assert not np.isnan(one.run(feed)["logits"]).any()
    x = feed["features"] + 0.3 * feed["features"].std(0)
    assert 0.2 < np.isnan(one.run({"features": x})["logits"]).any(1).mean() < 0.8


def test_impure_answers(bench: Callable[[str], Bench]) -> None:
    """Random and coupled specimens answer one row differently by time and by company."""
    noisy, coupled = bench("random-output"), bench("batch-coupled")
    feed = noisy.feed()
    assert not np.array_equal(noisy.run(feed)["logits"], noisy.run(feed)["logits"])
    alone, among = coupled.run(few(coupled.feed(), 2)), coupled.run(coupled.feed())
    assert not np.allclose(alone["logits"], among["logits"][:2], atol=0.01)


def test_saturated_is_exact(bench: Callable[[str], Bench]) -> None:
    """Every probability is exactly 0 or 1."""
    one = bench("two-class-saturated")
    assert set(np.unique(one.run(one.feed())["probabilities"])) == {0.0, 1.0}


def test_svc_columns_mislead(bench: Callable[[str], Bench]) -> None:
    """The arg-max of the reversed columns is always the other class than the label."""
    one = bench("svc-binary-reversed")
    answer = one.run(one.feed())
    assert (answer["probabilities"].argmax(1) != answer["label"]).all()


@pytest.mark.parametrize("name", BROKEN)
def test_broken_is_refused(name: str, tmp_path: Path) -> None:
    """ONNX Runtime refuses each broken file; its words are shown."""
    path = BROKEN[name](tmp_path)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - onnxruntime has many types
        open_session(path)
    print(f"{name}: {type(caught.value).__name__}: {str(caught.value)[:300]}")
