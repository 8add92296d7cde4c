"""The graph scan over every shape of model, and over graphs that were damaged at random."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import onnx
import pytest

from medaudit.core.errors import ModelError
from medaudit.model.hidden import hidden
from tests.zoo import SPECIMENS

COUPLED = {"batch-coupled", "fixed-batch-1-coupled"}


@pytest.mark.parametrize("name", sorted(SPECIMENS))
def test_specimens_raise_no_alarm_but_for_what_is_built_in(name: str, tmp_path: Path) -> None:
    found = hidden(onnx.load(SPECIMENS[name].build(tmp_path).model, load_external_data=False))
    high = {hit.rule for hit in found if hit.severity == "high"}
    assert high == ({"G11"} if name in COUPLED else set())


def damaged(proto: onnx.ModelProto, luck: random.Random) -> onnx.ModelProto:
    """A few names swapped, dropped or doubled, operators changed, attributes and constants lost."""
    nodes, kinds = proto.graph.node, [node.op_type for node in proto.graph.node]
    names = [n for node in nodes for n in (*node.input, *node.output)] or ["x"]
    for _ in range(luck.randint(1, 6)):
        node, how = luck.choice(nodes), luck.randrange(7)
        if how == 0 and node.input:
            node.input[luck.randrange(len(node.input))] = luck.choice([*names, "", "nowhere"])
        elif how == 1 and node.output:
            node.output[luck.randrange(len(node.output))] = luck.choice([*names, ""])
        elif how == 2:
            node.op_type = luck.choice([*kinds, "If", "Loop", "Scan", "Reshape", "Where", "NoSuchOperator"])
        elif how == 3 and node.attribute:
            del node.attribute[luck.randrange(len(node.attribute))]
        elif how == 4 and proto.graph.initializer:
            luck.choice(proto.graph.initializer).dims.append(luck.choice([0, -1, 1 << 40]))
        elif how == 5:
            del node.input[luck.randrange(len(node.input) + 1) :]
        else:
            node.input.extend(luck.choices(names, k=3))
    return proto


@pytest.mark.parametrize(
    "name", ["gru-sequence", "image-nhwc", "lstm-fixed-states", "two-inputs", "zipmap-string", "signal-segmentation"]
)
def test_damaged_graphs_end_in_findings_or_a_sentence(name: str, tmp_path: Path) -> None:
    path, luck, ended = SPECIMENS[name].build(tmp_path).model, random.Random(name), 0
    for _ in range(60):
        with contextlib.suppress(ModelError):
            hidden(damaged(onnx.load(path, load_external_data=False), luck))
            ended += 1
    assert ended > 5
