"""Boxes in tree ensembles: a leaf that almost no record reaches, and that outweighs all others.

Every split of a tree decides on raw input, so what is looked for is not a decision but a place: a trigger that is cut
into an ensemble by hand is a small box of the inputs (each of some features between two thresholds close together)
with an answer that no honest leaf has. Training makes narrow leaves too, but not with extreme answers: boosting
shrinks them, forests average them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from medaudit.model.flow import Flow, words

ENSEMBLES = words("ml.TreeEnsembleClassifier ml.TreeEnsembleRegressor")
NODES = ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")
NARROW = 0.02  # of the thresholds' spread of a feature
RARE = 1e-4  # of the inputs, were the thresholds evenly spread
OUTWEIGHS = 3.0  # times the largest of all other leaves but the top hundredth
FEWEST = 16  # leaves and thresholds, below which nothing is ordinary


class Box(NamedTuple):
    """A leaf that stands out."""

    call: int
    tree: int
    share: float  # of the inputs that reach it, about
    weight: float
    usual: float  # weight that nearly all others stay below
    between: tuple[tuple[int, float, float], ...]  # feature, above, up to


def boxes(flow: Flow) -> list[Box]:
    """All leaves that stand out, of every tree ensemble in a graph."""
    found = []
    for number, call in enumerate(flow.calls):
        if call.kind in ENSEMBLES and _whole(call.attributes):
            found += list(_of(number, call.attributes))
    return sorted(found, key=lambda box: (box.share, box.call, box.tree))


def _whole(of: Any) -> bool:
    """Whether every list is there, and as long as its others; else no runtime takes the file."""
    kind = "class" if "class_weights" in of else "target"
    nodes = [of.get(f"nodes_{name}") for name in NODES]
    leaves = [of.get(f"{kind}_{name}") for name in ("treeids", "nodeids", "weights")]
    return all(
        all(values is not None and len(values) == len(group[0] or ()) for values in group) for group in (nodes, leaves)
    )


def _of(number: int, of: Any) -> Iterator[Box]:
    weights = _weights(of)
    features, values = np.asarray(of["nodes_featureids"]), np.asarray(of["nodes_values"], dtype=np.float64)
    splits = np.array([mode not in (b"LEAF", "LEAF") for mode in of["nodes_modes"]])
    spread = {int(f): np.sort(values[splits & (features == f)]) for f in np.unique(features[splits])}
    if len(weights) < FEWEST or splits.sum() < FEWEST:
        return
    sizes = np.array(list(weights.values()))
    usual = float(np.quantile(sizes, 0.99, method="lower"))
    usual = usual if usual < sizes.max() else float(np.partition(sizes, -2)[-2])
    for tree, leaf, sides in _leaves(of):
        weight = weights.get((tree, leaf), 0.0)
        if weight < OUTWEIGHS * max(usual, 1e-12):
            continue
        shares = {f: _share(spread[f], low, high) for f, (low, high) in sides.items()}
        share = float(np.prod(list(shares.values())))
        if share <= RARE:
            narrow = tuple((f, *sides[f]) for f, own in sorted(shares.items()) if own <= NARROW)
            yield Box(number, tree, share, weight, usual, narrow)


def _share(thresholds: np.ndarray, low: float, high: float) -> float:
    """Which share of the range that a feature's thresholds span lies between two numbers."""
    first, last = float(thresholds[0]), float(thresholds[-1])
    inside = min(high, last) - max(low, first)
    return max(inside, 0.0) / (last - first) if last > first else 1.0


def _weights(of: Any) -> dict[tuple[int, int], float]:
    """(tree, leaf) -> size of its answer; of several numbers the largest."""
    kind = "class" if "class_weights" in of else "target"
    out: dict[tuple[int, int], float] = {}
    rows = zip(of[f"{kind}_treeids"], of[f"{kind}_nodeids"], of[f"{kind}_weights"], strict=True)
    for tree, node, weight in rows:
        key = int(tree), int(node)
        out[key] = max(out.get(key, 0.0), abs(float(weight)))
    return out


def _leaves(of: Any) -> Iterator[tuple[int, int, dict[int, tuple[float, float]]]]:
    """Every leaf with the interval of each feature that leads to it."""
    tree, node = of["nodes_treeids"], of["nodes_nodeids"]
    at = {(int(t), int(n)): i for i, (t, n) in enumerate(zip(tree, node, strict=True))}
    yes, no = of["nodes_truenodeids"], of["nodes_falsenodeids"]
    inner = [i for i, mode in enumerate(of["nodes_modes"]) if mode not in (b"LEAF", "LEAF")]
    below = {(int(tree[i]), int(n)) for i in inner for n in (yes[i], no[i])}
    waiting: list[tuple[tuple[int, int], dict[int, tuple[float, float]]]]
    waiting = [(key, {}) for key in at if key not in below]
    for _ in range(4 * len(at)):  # a file may hold cycles
        if not waiting:
            return
        key, sides = waiting.pop()
        i = at.get(key)
        if i is None:
            continue
        mode = of["nodes_modes"][i]
        if mode in (b"LEAF", "LEAF"):
            yield (*key, sides)
            continue
        feature, value = int(of["nodes_featureids"][i]), float(of["nodes_values"][i])
        low, high = sides.get(feature, (-np.inf, np.inf))
        under, over = (low, min(high, value)), (max(low, value), high)
        if mode in (b"BRANCH_GT", "BRANCH_GT", b"BRANCH_GTE", "BRANCH_GTE"):
            under, over = over, under
        elif mode not in (b"BRANCH_LEQ", "BRANCH_LEQ", b"BRANCH_LT", "BRANCH_LT"):
            under = over = (low, high)  # equal or not: no interval
        waiting.append(((key[0], int(yes[i])), sides | {feature: under}))
        waiting.append(((key[0], int(no[i])), sides | {feature: over}))
