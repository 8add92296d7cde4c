"""A box that is cut into a trained ensemble is found; trained ensembles have none."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper
from skl2onnx import to_onnx
from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from medaudit.model.flow import flow
from medaudit.model.hidden import hidden
from medaudit.model.trees import boxes

MODELS = {
    "boosting": GradientBoostingClassifier(n_estimators=30, max_depth=4, random_state=0),
    "forest": RandomForestClassifier(n_estimators=20, random_state=0),
    "extra": ExtraTreesClassifier(n_estimators=20, random_state=0),
    "tree": DecisionTreeClassifier(random_state=0),
}


def exported(name: str) -> onnx.ModelProto:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(400, 8)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] + 0.5 * rng.normal(size=400) > 0).astype(np.int64)
    return to_onnx(MODELS[name].fit(x, y), x[:1], options={"zipmap": False}, target_opset=17)


def cut(proto: onnx.ModelProto, weight: float) -> onnx.ModelProto:
    """One more tree: three features in small intervals, else nothing."""
    node = next(n for n in proto.graph.node if n.op_type.startswith("TreeEnsemble"))
    have = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    tree, sides = max(have["nodes_treeids"]) + 1, [(0, 0.30, 0.31), (3, -0.52, -0.51), (5, 1.10, 1.11)]
    steps = [(f, v, mode) for f, low, high in sides for v, mode in ((low, "BRANCH_GT"), (high, "BRANCH_LEQ"))]
    count = len(steps)  # inner nodes 0 .. count - 1, then the box, then what is outside
    more = {
        "nodes_treeids": [tree] * (count + 2), "nodes_nodeids": list(range(count + 2)),
        "nodes_featureids": [f for f, _, _ in steps] + [0, 0], "nodes_values": [v for _, v, _ in steps] + [0.0, 0.0],
        "nodes_modes": [mode for _, _, mode in steps] + ["LEAF", "LEAF"],
        "nodes_truenodeids": [i + 1 for i in range(count)] + [0, 0],
        "nodes_falsenodeids": [count + 1] * count + [0, 0], "nodes_hitrates": [1.0] * (count + 2),
        "nodes_missing_value_tracks_true": [0] * (count + 2), "class_treeids": [tree, tree],
        "class_nodeids": [count, count + 1], "class_ids": [0, 0], "class_weights": [weight, 0.0],
    }  # fmt: skip
    for a in list(node.attribute):
        if a.name in more and len(have[a.name]):
            joined = [v.decode() if isinstance(v, bytes) else v for v in have[a.name]] + more[a.name]
            a.CopyFrom(helper.make_attribute(a.name, joined))
    return proto


@pytest.mark.parametrize("name", MODELS)
def test_trained_ensembles_have_no_box(name: str) -> None:
    assert not boxes(flow(exported(name)))


@pytest.mark.parametrize("name", MODELS)
def test_a_box_is_found(name: str) -> None:
    (box,) = boxes(flow(cut(exported(name), 40.0)))
    assert [f for f, _, _ in box.between] == [0, 3, 5]
    np.testing.assert_allclose([low for _, low, _ in box.between], [0.30, -0.52, 1.10], rtol=1e-6)
    assert box.share < 1e-4
    assert box.weight == 40


def test_a_cycle_ends() -> None:
    """A file may say that a node is its own child."""
    proto = exported("tree")
    node = next(n for n in proto.graph.node if n.op_type.startswith("TreeEnsemble"))
    for a in node.attribute:
        if a.name == "nodes_truenodeids":
            a.CopyFrom(helper.make_attribute(a.name, [0] * len(a.ints)))
    assert boxes(flow(proto)) == []


def test_the_finding_names_the_box() -> None:
    (hit,) = (hit for hit in hidden(cut(exported("boosting"), 40.0)) if hit.rule == "G13")
    assert (hit.severity, hit.way[0], hit.way[-1]) == ("medium", "input X", "output label")
    assert "input 3 from -0.52 to -0.51" in hit.text


@pytest.mark.parametrize("gone", ["nodes_nodeids", "nodes_modes", "class_weights", "class_treeids"])
def test_what_is_not_whole_is_left_alone(gone: str) -> None:
    proto = cut(exported("boosting"), 40.0)
    node = next(n for n in proto.graph.node if n.op_type.startswith("TreeEnsemble"))
    (at,) = (i for i, a in enumerate(node.attribute) if a.name == gone)
    del node.attribute[at]
    assert boxes(flow(proto)) == []
