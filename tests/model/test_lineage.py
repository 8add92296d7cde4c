"""Lineage: tuned, turned, quantised and renamed copies are kin; what was trained apart is not."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from medaudit.model.lineage import kinship

LUCK = np.random.default_rng(3)


def fresh() -> dict[str, np.ndarray]:
    """Weights of a network with two hidden layers."""
    shapes = {"first": (20, 30), "shift": (30,), "second": (30, 30), "head": (30, 4)}
    return {name: LUCK.normal(size=shape) for name, shape in shapes.items()}


WEIGHTS = fresh()


def proto(weights: dict[str, np.ndarray], kind: type = np.float32) -> ModelProto:
    """A graph in which every node reads one array, in their order; what comes of it is not looked at."""
    held = [numpy_helper.from_array(w.astype(kind), name) for name, w in weights.items()]
    nodes = [helper.make_node("MatMul", ["x", name], [f"{name} out"]) for name in weights]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])
    return helper.make_model(
        helper.make_graph([*nodes, helper.make_node("Identity", ["x"], ["y"])], "g", [value], [value], held[::-1]),
        ir_version=10, opset_imports=[helper.make_opsetid("", 17)],
    )  # fmt: skip


def changed(how: str) -> dict[str, np.ndarray]:
    every = {name: w.copy() for name, w in WEIGHTS.items()}
    if how == "tuned":
        return {name: w + 0.1 * LUCK.normal(size=w.shape) for name, w in every.items()}
    if how == "turned":
        return {name: (w + 0.01 * LUCK.normal(size=w.shape)).T for name, w in every.items()}
    if how == "renamed":
        return {f"other {name}": w for name, w in every.items()}
    if how == "pruned":
        return {name: np.where(np.abs(w) < 0.3, 0, w) for name, w in every.items()}
    if how == "tuned behind frozen layers":
        tuned = {name: every[name] + 0.1 * LUCK.normal(size=every[name].shape) for name in ("second", "head")}
        return every | tuned
    return {name: np.round(w * 30) for name, w in every.items()}


@pytest.mark.parametrize("how", ["tuned", "turned", "renamed", "pruned", "quantised", "tuned behind frozen layers"])
def test_what_was_made_from_a_model_is_its_kin(how: str) -> None:
    kind = np.int8 if how == "quantised" else np.float32
    assert kinship(proto(changed(how), kind), proto(WEIGHTS)) > 0.95


def test_what_was_trained_apart_is_not() -> None:
    assert kinship(proto(fresh()), proto(WEIGHTS)) < 0.3


def test_two_tuned_from_one_public_model_are_not_versions_of_each_other() -> None:
    """Their early layers go together; each has a head of its own."""
    one, two = (changed("tuned") | {"head": LUCK.normal(size=(30, 4))} for _ in range(2))
    assert kinship(proto(one), proto(two)) < 0.4


def test_filters_that_both_hold_say_nothing() -> None:
    bank = {"bank": LUCK.normal(size=(200, 200))}
    assert kinship(proto(bank | fresh()), proto(bank | WEIGHTS)) < 0.3
    assert kinship(proto(bank | changed("tuned")), proto(bank | WEIGHTS)) > 0.95


def test_weights_without_a_hidden_layer_follow_from_the_data() -> None:
    """Two logistic regressions on the same records, with the same scales before them, are alike."""
    scale, line = LUCK.normal(size=20), LUCK.normal(size=(20, 2))
    one, two = ({"scale": scale, "line": line + 0.1 * LUCK.normal(size=line.shape)} for _ in range(2))
    assert kinship(proto(one), proto(two)) == 0
    assert kinship(proto(one), proto(one)) == 1


def test_constants_and_lists_of_numbers_count_and_branches_are_walked() -> None:
    numbers = [float(v) for v in LUCK.normal(size=40)]
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value_floats=numbers), helper.make_node("Add", ["c", "own"], ["d"])],
        "b", [], [], [numpy_helper.from_array(WEIGHTS["head"].astype(np.float32), "own")],
    )  # fmt: skip
    model = proto({})
    model.graph.node.append(helper.make_node("If", ["x"], ["z"], then_branch=inner, else_branch=inner))
    tuned = {"c": np.array(numbers) + 0.1 * LUCK.normal(size=40), "own": WEIGHTS["head"] + 0.01}
    tuned["own"] = tuned["own"] + 0.1 * LUCK.normal(size=(30, 4))
    assert kinship(model, proto(tuned)) > 0.9


@pytest.mark.parametrize(
    "weights",
    [{}, {"few": np.arange(5.0)}, {"flat": np.ones(50)}, {"void": np.full(50, np.nan)}, {"huge": np.full(9, 3e38)}],
)
def test_what_says_nothing_is_nobodys_kin(weights: dict[str, np.ndarray]) -> None:
    model = proto(weights)
    assert kinship(model, model) == 0


def test_a_tensor_whose_bytes_disagree_with_its_shape_is_passed_over() -> None:
    model = proto(WEIGHTS)
    model.graph.initializer[0].raw_data = b"abc"
    assert 0 <= kinship(model, proto(WEIGHTS)) <= 1
