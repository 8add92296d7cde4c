"""White-box reference: projected gradient descent on the models that are audited as black boxes.

The ONNX file is rebuilt from differentiable torch operators, compared with ONNX Runtime on real
rows, and attacked in Linf with its true gradients (Madry et al. 2018, "Towards deep learning models
resistant to adversarial attacks", section 2). What gradient-free search finds inside the same eps is
measured against these tables. Every result is judged by ONNX Runtime, not by the rebuilt model.

    cinc       share of correctly classified records whose decision changes; z-scored ECG, eps in sd,
               no limits on values, padding behind the end of a recording stays as it is
    pneumonia  robust accuracy and AUC over all images; each is pushed to the wrong side of its truth
               as far as the attack gets, those that are wrong already too

Needs PyTorch. Usage: python -m benchmarks.whitebox SHARED [--json FILE] [cinc] [pneumonia]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor
from torch.nn import functional

from medaudit.model.facts import Batching
from medaudit.model.graph import Model
from medaudit.stats.bounds import auroc

TOLERANCE = 1e-4  # of outputs, against ONNX Runtime

# ------------------------------------------------------------------------------------ operators


def refuse(wrong: object, what: str) -> None:
    if wrong:
        raise NotImplementedError(f"{what} is not rebuilt here")


def pad(x: Tensor, pads: Sequence[int], value: float = 0.0) -> Tensor:
    """pads: as ONNX has them, all begins before all ends; they may differ."""
    half = len(pads) // 2
    sides = [p for i in reversed(range(half)) for p in (pads[i], pads[half + i])]
    return functional.pad(x, sides, value=value) if any(sides) else x


def conv(
    x: Tensor, w: Tensor, b: Tensor | None = None, *, kernel_shape: Sequence[int] = (), group: int = 1,
    pads: Sequence[int] = (), strides: Sequence[int] = (), dilations: Sequence[int] = (),
) -> Tensor:  # fmt: skip
    run: Callable[..., Tensor] = getattr(functional, f"conv{w.ndim - 2}d")
    return run(pad(x, pads), w, b, strides or 1, 0, dilations or 1, group)


def pool(
    mean: bool, x: Tensor, *, kernel_shape: Sequence[int], pads: Sequence[int] = (), strides: Sequence[int] = (),
    dilations: Sequence[int] = (), ceil_mode: int = 0, count_include_pad: int = 0,
) -> Tensor:  # fmt: skip
    refuse(ceil_mode and any(pads), "ceil_mode with pads")
    refuse(mean and any(d != 1 for d in dilations), "dilations")
    form: Callable[..., Tensor] = getattr(functional, f"{'avg' if mean else 'max'}_pool{len(kernel_shape)}d")
    run = partial(form, kernel_size=kernel_shape, stride=strides or 1, ceil_mode=bool(ceil_mode))
    if not mean:
        return run(pad(x, pads, -torch.inf), dilation=dilations or 1)
    total = run(pad(x, pads))
    return total if count_include_pad or not any(pads) else total / run(pad(torch.ones_like(x), pads))


def gemm(
    a: Tensor, b: Tensor, c: Tensor | float = 0.0, *, alpha: float = 1.0, beta: float = 1.0,
    transA: int = 0, transB: int = 0,
) -> Tensor:  # fmt: skip
    return alpha * ((a.T if transA else a) @ (b.T if transB else b)) + beta * c


def reduce(how: Callable[..., Tensor], x: Tensor, *, axes: Sequence[int] = (), keepdims: int = 1) -> Tensor:
    return how(x, dim=axes or list(range(x.ndim)), keepdim=bool(keepdims))


def unsqueeze(x: Tensor, axes: Tensor) -> Tensor:
    for axis in sorted(a % (x.ndim + axes.numel()) for a in axes.tolist()):
        x = x.unsqueeze(axis)
    return x


OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Add": torch.add,
    "AveragePool": partial(pool, True),
    "Concat": lambda *parts, axis: torch.cat(parts, dim=axis),
    "Conv": conv,
    "Div": torch.div,
    "Flatten": lambda x, *, axis=1: x.reshape(int(np.prod(x.shape[:axis])), -1),
    "Gemm": gemm,
    "GlobalAveragePool": lambda x: x.mean(dim=tuple(range(2, x.ndim)), keepdim=True),
    "MaxPool": partial(pool, False),
    "Mul": torch.mul,
    "Pow": torch.pow,
    "ReduceMax": partial(reduce, torch.amax),
    "ReduceMean": partial(reduce, torch.mean),
    "Relu": torch.relu,
    "Softmax": lambda x, *, axis=-1: torch.softmax(x, dim=axis),
    "Sqrt": torch.sqrt,
    "Sub": torch.sub,
    "Transpose": lambda x, *, perm: x.permute(perm),
    "Unsqueeze": unsqueeze,
}

# ---------------------------------------------------------------------------------------- model


class Network:
    """A graph of one input, evaluated node by node; calling it gives its first output."""

    def __init__(self, graph: Any) -> None:
        self.nodes: list[tuple[str, list[str], str, dict[str, Any]]] = []
        self.fixed = {t.name: constant(t) for t in graph.initializer}
        (self.input,) = [i.name for i in graph.input if i.name not in self.fixed]
        self.output = self.before = graph.output[0].name
        for node in graph.node:
            given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Constant":
                refuse("value" not in given, f"Constant with {', '.join(given)}")
                self.fixed[node.output[0]] = constant(given["value"])
                continue
            refuse(node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS, f"operator {node.op_type}")
            refuse(len(node.output) > 1, f"{node.op_type} with {len(node.output)} outputs")
            self.nodes.append((node.op_type, list(node.input), node.output[0], given))
            if node.output[0] == self.output and node.op_type == "Softmax":
                self.before = node.input[0]

    def __call__(self, x: Tensor) -> Tensor:
        return self._value(x, self.output)

    def logits(self, x: Tensor) -> Tensor:
        """What the last Softmax takes, or the output itself where there is none."""
        return self._value(x, self.before)

    def _value(self, x: Tensor, wanted: str) -> Tensor:
        values = {self.input: x}
        for kind, names, result, given in self.nodes:
            inputs = [values[n] if n in values else self.fixed[n] for n in names]
            try:
                values[result] = OPERATORS[kind](*inputs, **given)
            except (TypeError, NotImplementedError) as error:
                raise NotImplementedError(f"{kind} {result}: {error}") from error
            if result == wanted:
                break
        return values[wanted]


def constant(tensor: Any) -> Tensor:
    return torch.from_numpy(numpy_helper.to_array(tensor).copy())


def rebuild(path: Path) -> Network:
    proto = onnx.load(path)
    (opset,) = [o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")]
    refuse(not 13 <= opset <= 17, f"opset {opset}")
    return Network(proto.graph)


def answers(model: Model, rows: np.ndarray) -> np.ndarray:
    """ONNX Runtime's first output."""
    name = model.facts.inputs[0].name
    parts = [model.call({name: rows[i : i + 32]}, model.outputs[:1])[0] for i in range(0, len(rows), 32)]
    return np.concatenate(parts)


def check(network: Network, rows: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference between the rebuilt model's answers and ONNX Runtime's."""
    with torch.no_grad():
        worst = float(np.abs(network(torch.from_numpy(rows)).numpy() - expected).max())
    assert worst < TOLERANCE, worst
    return worst


# --------------------------------------------------------------------------------------- attack


class Reached(NamedTuple):
    points: np.ndarray  # [n, ...] at the lowest margin
    margin: np.ndarray  # [n]; below 0: the goal is reached


def lead(logits: Tensor, y: Tensor, soft: bool) -> Tensor:
    """Logit of y over the best other one (f6 of Carlini and Wagner 2017); soft: over their log-sum-exp.

    Cross-entropy is log(1 + exp(-soft lead)), so the soft lead has the signs of its gradient, also
    where cross-entropy itself is flat in float32.
    """
    own = logits.gather(1, y[:, None])[:, 0]
    others = logits.scatter(1, y[:, None], -torch.inf)
    return own - (others.logsumexp(dim=1) if soft else others.amax(dim=1))


def pgd(
    model: Network, x: np.ndarray, y: np.ndarray, eps: float, lo: np.ndarray | float, hi: np.ndarray | float,
    steps: int, restarts: int, targeted: bool = False, *, seed: int, finish: bool = False, batch: int = 16,
) -> Reached:  # fmt: skip
    """Linf projected gradient descent in the box [lo, hi], the lowest margin of all restarts.

    The step of the sign falls from 2 eps to 0 in a line: on these models it reaches further in 100
    steps than 2.5 eps / steps, and as far as Auto-PGD (Croce and Hein 2020). The first restart begins
    at x, others at uniform noise; they descend cross-entropy and the margin in turn.
    y: the class to leave, or to reach if targeted. finish: go on after success.
    """
    own = torch.from_numpy(x)
    # One number inwards: rounding to float32 may not go beyond eps.
    low = torch.maximum((own - eps).nextafter(own), torch.as_tensor(lo, dtype=own.dtype))
    high = torch.minimum((own + eps).nextafter(own), torch.as_tensor(hi, dtype=own.dtype))
    label, sign = torch.from_numpy(y), -1 if targeted else 1
    points, margin = own.clone(), torch.full((len(own),), torch.inf)
    for first in range(0, len(own), batch):
        part = torch.arange(first, min(first + batch, len(own)))
        noise = torch.Generator().manual_seed(seed * len(own) + first)
        for restart in range(restarts):
            at = part if finish else part[margin[part] >= 0]
            now = own[at]
            if restart:
                now = low[at] + (high[at] - low[at]) * torch.rand(now.shape, generator=noise)
            for step in range(steps + 1):
                now.requires_grad_()
                logits = model.logits(now)
                (slope,) = torch.autograd.grad(sign * lead(logits, label[at], restart % 2 == 0).sum(), now)
                now, value = now.detach(), sign * lead(logits.detach(), label[at], False)
                better = value < margin[at]
                margin[at[better]], points[at[better]] = value[better], now[better]
                left = torch.full_like(better, True) if finish else value >= 0
                at = at[left]
                if not len(at):
                    break
                length = 2 * eps * (1 - step / steps)
                now = torch.clamp(now[left] - length * slope[left].sign(), low[at], high[at])
    return Reached(points.numpy(), margin.numpy())


# --------------------------------------------------------------------------------------- tables


def cinc(shared: Path, steps: int, restarts: int) -> Iterator[dict[str, float]]:
    path, data = shared / "models/cinc2017_resnet.onnx", np.load(shared / "data/cinc2017.npz", allow_pickle=False)
    model, network, x, y = Model(path, Batching("free")), rebuild(path), data["x"], data["y"]
    clean = answers(model, x)
    good = np.flatnonzero(clean.argmax(axis=1) == y)
    print(f"# {path.stem}: at most {check(network, x[:32], clean[:32]):.1e} from ONNX Runtime; {steps} steps, "
          f"{restarts} starts; the first 60 of {len(good)} correct records of {len(x)}")  # fmt: skip
    chosen = good[:60]
    x, y = x[chosen], y[chosen]
    recorded = np.arange(x.shape[1])[None, :, None] < data["length"][chosen][:, None, None]
    lo, hi = np.where(recorded, -np.inf, x), np.where(recorded, np.inf, x)
    for eps in (0.05, 0.1, 0.2):
        found = pgd(network, x, y, eps, lo, hi, steps, restarts, seed=0)
        changed = int((answers(model, found.points).argmax(axis=1) != y).sum())
        yield {"eps": eps, "n": len(x), "changed": changed, "success": changed / len(x)}


def pneumonia(shared: Path, steps: int, restarts: int) -> Iterator[dict[str, float]]:
    path, data = shared / "models/pneumonia_nchw.onnx", np.load(shared / "data/pneumonia.npz", allow_pickle=False)
    model, network, y = Model(path, Batching("free")), rebuild(path), data["y"]
    x = data["x"][:, None].astype(np.float32) / np.float32(255)
    worst = check(network, x[:32], answers(model, x[:32]))
    print(f"# {path.stem}: at most {worst:.1e} from ONNX Runtime; {steps} steps, {restarts} starts; eps 0: clean")
    for eps in (0.0, 0.01, 0.02, 0.05):
        points = x
        if eps:
            points = pgd(network, x, y, eps, 0.0, 1.0, steps, restarts, seed=0, finish=True, batch=64).points
        scores = answers(model, points)
        accuracy = float((scores.argmax(axis=1) == y).mean())
        yield {"eps": eps, "n": len(x), "accuracy": accuracy, "auc": auroc(scores[:, 1], y == 1, 0.95).value}


TABLES = {"cinc": cinc, "pneumonia": pneumonia}


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path, help="folder with models/ and data/")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file for one line of JSON a result")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(TABLES)}; none: all")
    options = parser.parse_args()
    lines = []
    for name in options.names or TABLES:
        start, head = time.perf_counter(), True
        for result in TABLES[name](options.shared, options.steps, options.restarts):
            result["seconds"] = time.perf_counter() - start
            if head:
                print("".join(f"{key:>9}" for key in result))
            print("".join(f"{value:9}" if isinstance(value, int) else f"{value:9.4g}" for value in result.values()),
                  flush=True)  # fmt: skip
            lines.append(json.dumps({"table": name, "steps": options.steps, "restarts": options.restarts} | result))
            start, head = time.perf_counter(), False
    if options.json:
        options.json.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
