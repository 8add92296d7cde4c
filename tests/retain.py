"""RETAIN as an ONNX graph, and the same in NumPy: what exported contributions are compared with.

Choi et al. 2016, "RETAIN: an interpretable predictive model for healthcare using reverse time attention mechanism",
eq. 1 to 5: two recurrent networks read a stay backwards and give its hours (alpha) and its hours' parts (beta) weights.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import helper

from tests.graphs import graph

Weights = dict[str, np.ndarray]
GATES = ("update", "reset", "new")  # in ONNX's order


def drawn(variables: int, hidden: int, seed: int) -> Weights:
    """Random weights: embedding [H, K], two recurrent networks, their readings, out [2, H] and its bias."""
    rng = np.random.default_rng(seed)

    def some(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) / np.sqrt(shape[-1])).astype(np.float32)

    held = {"embedding": some(hidden, variables), "out": some(2, hidden), "bias": some(2)}
    for name in ("alpha", "beta"):
        held |= {
            f"{name}_w": some(3, hidden, hidden), f"{name}_r": some(3, hidden, hidden), f"{name}_b": some(2, 3, hidden),
        }  # fmt: skip
    return held | {"alpha_read": 3 * some(1, hidden), "beta_read": some(hidden, hidden), "beta_bias": some(hidden)}


def save(path: Path, weights: Weights, hours: int) -> None:
    """The graph: x [n, hours, K] -> y [n, 2], with tensors `alpha` [n, hours, 1] and `beta` [n, hours, H] inside."""
    hidden, variables = weights["embedding"].shape
    given = {"embedding": weights["embedding"], "out": weights["out"], "bias": weights["bias"]}
    nodes = [
        helper.make_node("Transpose", ["embedding"], ["embedding_t"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "embedding_t"], ["v"]),
        helper.make_node("Transpose", ["v"], ["steps"], perm=[1, 0, 2]),
    ]
    for name in ("alpha", "beta"):
        given |= {
            f"{name}_w": weights[f"{name}_w"].reshape(1, 3 * hidden, hidden),
            f"{name}_r": weights[f"{name}_r"].reshape(1, 3 * hidden, hidden),
            f"{name}_b": weights[f"{name}_b"].reshape(1, 6 * hidden),
            f"{name}_read": weights[f"{name}_read"].T,
        }
        own = [f"{name}_{part}" for part in "wrb"]
        nodes += [
            helper.make_node(
                "GRU", ["steps", *own], [f"{name}_all"], hidden_size=hidden, linear_before_reset=1, direction="reverse"
            ),
            helper.make_node("Squeeze", [f"{name}_all", "one"], [f"{name}_states"]),
            helper.make_node("MatMul", [f"{name}_states", f"{name}_read"], [f"{name}_raw"]),
        ]
    given |= {"one": np.array([1]), "beta_bias": weights["beta_bias"]}
    nodes += [
        helper.make_node("Transpose", ["alpha_raw"], ["alpha_own"], perm=[1, 0, 2]),
        helper.make_node("Softmax", ["alpha_own"], ["alpha"], axis=1),
        helper.make_node("Add", ["beta_raw", "beta_bias"], ["beta_sum"]),
        helper.make_node("Transpose", ["beta_sum"], ["beta_own"], perm=[1, 0, 2]),
        helper.make_node("Tanh", ["beta_own"], ["beta"]),
        helper.make_node("Mul", ["beta", "v"], ["gated"]),
        helper.make_node("Mul", ["alpha", "gated"], ["weighed"]),
        helper.make_node("ReduceSum", ["weighed", "one"], ["context"], keepdims=0),
        helper.make_node("Transpose", ["out"], ["out_t"], perm=[1, 0]),
        helper.make_node("MatMul", ["context", "out_t"], ["bare"]),
        helper.make_node("Add", ["bare", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"], axis=-1),
    ]
    graph(path, nodes, (hours, variables), ["n", 2], **given)


def contributions(weights: Weights, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits [n, 2] and what every variable of every hour adds to them, [n, 2, hours, K], of stays x [n, hours, K]."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    v = x.astype(np.float64) @ w["embedding"].T
    alpha = np.exp(_states(w, "alpha", v) @ w["alpha_read"].T)
    alpha /= alpha.sum(axis=1, keepdims=True)
    beta = np.tanh(_states(w, "beta", v) @ w["beta_read"].T + w["beta_bias"])
    logits = (alpha * beta * v).sum(axis=1) @ w["out"].T + w["bias"]
    parts = np.einsum("nt,nth,ch,hk,ntk->nctk", alpha[..., 0], beta, w["out"], w["embedding"], x.astype(np.float64))
    return logits, parts


def _states(w: Weights, name: str, v: np.ndarray) -> np.ndarray:
    """States [n, hours, H] of the recurrent network that reads from the last hour to the first."""
    h, out = np.zeros((len(v), v.shape[2])), np.zeros_like(v)
    for t in range(v.shape[1] - 1, -1, -1):
        given = [v[:, t] @ w[f"{name}_w"][k].T + w[f"{name}_b"][0, k] for k in range(3)]
        own = [h @ w[f"{name}_r"][k].T + w[f"{name}_b"][1, k] for k in range(3)]
        update, reset = (1 / (1 + np.exp(-(given[k] + own[k]))) for k in (0, 1))
        h = (1 - update) * np.tanh(given[2] + reset * own[2]) + update * h
        out[:, t] = h
    return out
