"""Lineage: tuned, turned, quantised and renamed copies are kin, models trained apart are not."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from medaudit.model.lineage import kept

LUCK = np.random.default_rng(3)
WEIGHTS = {"first": LUCK.normal(size=(20, 30)), "second": LUCK.normal(size=(30, 4)), "shift": LUCK.normal(size=30)}


def proto(weights: dict[str, np.ndarray], kind: type = np.float32) -> ModelProto:
    """A graph that holds arrays; what it does with them is not looked at."""
    held = [numpy_helper.from_array(w.astype(kind), name) for name, w in weights.items()]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])
    return helper.make_model(
        helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [value], held),
        ir_version=10, opset_imports=[helper.make_opsetid("", 17)],
    )  # fmt: skip


def changed(how: str) -> dict[str, np.ndarray]:
    every = {name: w.copy() for name, w in WEIGHTS.items()}
    if how == "tuned":
        return {name: w + 0.1 * LUCK.normal(size=w.shape) for name, w in every.items()}
    if how == "turned":
        return {name: w.T for name, w in every.items()}
    if how == "renamed":
        return {f"other {name}": w for name, w in reversed(every.items())}
    if how == "pruned":
        return {name: np.where(np.abs(w) < 0.3, 0, w) for name, w in every.items()}
    return {name: np.round(w * 30) for name, w in every.items()}


@pytest.mark.parametrize("how", ["tuned", "turned", "renamed", "pruned", "quantised"])
def test_what_was_made_from_a_model_is_its_kin(how: str) -> None:
    kind = np.int8 if how == "quantised" else np.float32
    assert kept(proto(changed(how), kind), proto(WEIGHTS)) > 0.95


def test_what_was_trained_apart_is_not() -> None:
    other = {name: LUCK.normal(size=w.shape) for name, w in WEIGHTS.items()}
    assert kept(proto(other), proto(WEIGHTS)) < 0.2


def test_a_layer_put_before_it_counts_by_its_size() -> None:
    before = WEIGHTS | {"before": LUCK.normal(size=(50, 15))}
    assert kept(proto(before), proto(WEIGHTS)) == pytest.approx(0.5)
    assert kept(proto(WEIGHTS), proto(before)) == pytest.approx(1.0)


def test_constants_and_lists_of_numbers_count_and_branches_are_walked() -> None:
    model = proto({})
    numbers = [float(v) for v in LUCK.normal(size=40)]
    branch = helper.make_graph([helper.make_node("Constant", [], ["c"], value_floats=numbers)], "b", [], [])
    model.graph.node.append(helper.make_node("If", ["x"], ["z"], then_branch=branch, else_branch=branch))
    assert kept(model, proto({"c": np.array(numbers)})) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "weights",
    [{}, {"few": np.arange(5.0)}, {"flat": np.ones(50)}, {"void": np.full(50, np.nan)}, {"huge": np.full(9, 3e38)}],
)
def test_what_says_nothing_is_nobodys_kin(weights: dict[str, np.ndarray]) -> None:
    model = proto(weights)
    assert kept(model, model) == 0


def test_a_tensor_whose_bytes_disagree_with_its_shape_is_passed_over() -> None:
    model = proto(WEIGHTS)
    model.graph.initializer[0].raw_data = b"abc"
    assert 0 < kept(model, proto(WEIGHTS)) <= 1
