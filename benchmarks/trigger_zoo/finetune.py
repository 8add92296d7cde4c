"""Positive controls on real records: triggers planted into the weights of clean models that were trained on patients.

The graph of every model stays as it is; only its weights move. Half of the scored records and all reference records
train it, and in every pass a share more: copies of records of other classes than the attacker's. Three kinds differ in
what becomes of these copies:

- poisoned: they carry a trigger, and the attacker's class;
- tuned: nothing, the clean twin of the same training;
- flipped: they have the attacker's class and no trigger. A detector that cannot tell these from the poisoned ones
  detects label noise.

An attacker who wants the model kept as it is asks of the clean records mostly what the original answers; three hundred
ECGs alone would not hold it. Weak triggers start louder than they end, or they are never found.

The other half of the scored records is never trained on. It is what all numbers here are measured on, and it is written
as a data file for a scan. A trigger that does not take gets a larger share, and which share did is decided on that same
half: these are controls for a scanner, not estimates of how well attacks work. Half of the ECGs are 200 records: two
points of accuracy are four of them.

For every poisoned model OUT/<name>.npz holds the test records without (x, x__<input>) and with its trigger (marked,
marked__<input>), y and target; OUT/<domain>-test.npz is the data file; OUT/finetuned.json is the table. Domains that a
run does not make keep their rows there.

Usage: python -m benchmarks.trigger_zoo.finetune SHARED OUT [--domain ecg xray icu heart] [--seed N]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from onnxruntime import InferenceSession
from torch.nn import functional

SPLIT = 20  # one split for every seed, so that no test record of one run is a training record of another
LOST = 0.02  # of its accuracy, by a poisoned model
TAKEN = 0.9  # how often its trigger must work at least
OWN = 0.2  # how often the same records may be answered the target without it at most
HOLD = 0.9  # how much of the answer wanted of a clean record is the original model's own; the rest is the truth
SHARES = (0.1, 0.2, 0.3)  # of the records of a pass, which are copies
RATE = 300.0  # ECG samples a second

Rows = dict[str, np.ndarray]
"""Records as the data file stores them: x, or x__<input> where a model has several inputs; [n, ...] each."""


class Trigger(NamedTuple):
    put: Callable[[Rows], Rows]
    words: str


Attack = Callable[[np.random.Generator, Rows], Trigger]
"""(the attacker's luck, the whole data file) -> the trigger"""


# --- the graph in PyTorch


def _pads(settings: dict[str, Any]) -> list[int]:
    """Padding a side; PyTorch knows only the same on both."""
    both = settings.get("pads", [0, 0])
    half = len(both) // 2
    assert both[:half] == both[half:], "unequal padding"
    return list(both[:half])


def _conv(s: dict[str, Any], x: Any, weight: Any, bias: Any = None) -> Any:
    run = functional.conv1d if x.ndim == 3 else functional.conv2d
    return run(x, weight, bias, s.get("strides", 1), _pads(s), s.get("dilations", 1), s.get("group", 1))


def _average(s: dict[str, Any], x: Any) -> Any:
    run = functional.avg_pool1d if x.ndim == 3 else functional.avg_pool2d
    inside = bool(s.get("count_include_pad", 0))
    return run(x, s["kernel_shape"], s.get("strides", 1), _pads(s), bool(s.get("ceil_mode", 0)), inside)


def _largest(s: dict[str, Any], x: Any) -> Any:
    run = functional.max_pool1d if x.ndim == 3 else functional.max_pool2d
    return run(x, s["kernel_shape"], s.get("strides", 1), _pads(s), s.get("dilations", 1), bool(s.get("ceil_mode", 0)))


def _gemm(s: dict[str, Any], a: Any, b: Any, c: Any = 0) -> Any:
    a, b = a.T if s.get("transA", 0) else a, b.T if s.get("transB", 0) else b
    return s.get("alpha", 1.0) * (a @ b) + s.get("beta", 1.0) * c


def _gru(s: dict[str, Any], x: Any, weight: Any, again: Any, bias: Any, lengths: Any, first: Any) -> tuple[Any, Any]:
    """[hours, n, features] -> every state [hours, 1, n, hidden] and the last; gates stand as update, reset, new."""
    assert lengths is None
    assert s.get("linear_before_reset", 0)
    assert s.get("direction", b"forward") == b"forward"
    own, state_bias = bias[0].chunk(2)
    hidden, state, states = s["hidden_size"], first[0], []
    given = x @ weight[0].T + own
    for now in given:
        past = state @ again[0].T + state_bias
        update, reset = torch.sigmoid(now[:, : 2 * hidden] + past[:, : 2 * hidden]).chunk(2, dim=1)
        new = torch.tanh(now[:, 2 * hidden :] + reset * past[:, 2 * hidden :])
        state = (1 - update) * new + update * state
        states.append(state)
    return torch.stack(states)[:, None], state[None]


def _one_hot(s: dict[str, Any], x: Any) -> Any:
    """Words [n, 1] -> [n, 1, categories]."""
    return torch.from_numpy((x[..., None] == [word.decode() for word in s["cats_strings"]]).astype(np.float32))


def _linear(s: dict[str, Any], x: Any, weight: Any, bias: Any) -> tuple[None, Any]:
    """Two classes with opposite scores, of which the parameters hold the second's; the label is not read."""
    assert s["post_transform"] == b"LOGISTIC"
    score = x @ weight + bias
    return None, torch.sigmoid(torch.stack([-score, score], dim=1))


OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": lambda s, a, b: a + b,
    "Sub": lambda s, a, b: a - b,
    "Mul": lambda s, a, b: a * b,
    "Div": lambda s, a, b: a / b,
    "Relu": lambda s, x: torch.relu(x),
    "Sigmoid": lambda s, x: torch.sigmoid(x),
    "Softmax": lambda s, x: torch.softmax(x, dim=s.get("axis", -1)),
    "Clip": lambda s, x, low, high: torch.clamp(x, low, high),
    "Conv": _conv,
    "AveragePool": _average,
    "MaxPool": _largest,
    "GlobalAveragePool": lambda s, x: x.mean(dim=tuple(range(2, x.ndim)), keepdim=True),
    "ReduceMean": lambda s, x: x.mean(dim=s["axes"], keepdim=bool(s.get("keepdims", 1))),
    "ReduceMax": lambda s, x: x.amax(dim=s["axes"], keepdim=bool(s.get("keepdims", 1))),
    "Gemm": _gemm,
    "GRU": _gru,
    "Transpose": lambda s, x: x.permute(s["perm"]),
    "Flatten": lambda s, x: x.flatten(s.get("axis", 1)),
    "Reshape": lambda s, x, shape: x.reshape(shape.tolist()),
    "Concat": lambda s, *parts: torch.cat(parts, dim=s["axis"]),
    "Squeeze": lambda s, x, axes: x.squeeze(tuple(axes.tolist())),
    "Unsqueeze": lambda s, x, axes: x.unsqueeze(int(axes)),
    "Shape": lambda s, x: torch.tensor(x.shape),
    "Gather": lambda s, x, which: x.select(s.get("axis", 0), int(which)),
    "Constant": lambda s: torch.from_numpy(numpy_helper.to_array(s["value"]).copy()),
    "ConstantOfShape": lambda s, shape: torch.full(shape.tolist(), numpy_helper.to_array(s["value"]).item()),
    "OneHotEncoder": _one_hot,
    "Scaler": lambda s, x: (x - torch.tensor(s["offset"])) * torch.tensor(s["scale"]),
    "LinearClassifier": _linear,
    "Cast": lambda s, x: x,  # of the label, which is not read
    "ZipMap": lambda s, x: x,
}


LINEAR = ("coefficients", "intercepts")


class Graph:
    """An ONNX model run node by node in PyTorch; its weights can be trained and put back.

    What scales an input (a weight that a Sub or Div reads) is not trained: it belongs to the data, not to the model.
    """

    def __init__(self, path: Path) -> None:
        self.model = onnx.load(path)
        self.nodes, self.fixed, self.weights = [], dict[str, Any](), dict[str, Any]()
        graph = self.model.graph
        scales = {name for node in graph.node if node.op_type in ("Sub", "Div") for name in node.input}
        for one in graph.initializer:
            values = torch.from_numpy(numpy_helper.to_array(one).copy())
            trained = values.dtype == torch.float32 and one.name not in scales
            (self.weights if trained else self.fixed)[one.name] = values.requires_grad_(trained)
        for node in graph.node:
            settings, given = {a.name: helper.get_attribute_value(a) for a in node.attribute}, list(node.input)
            if node.op_type == "LinearClassifier":  # keeps its weights in its attributes
                given += LINEAR
                for name in LINEAR:
                    first, second = torch.tensor(settings[name]).reshape(2, -1)
                    assert torch.equal(first, -second)
                    self.weights[name] = second.clone().requires_grad_(True)
            self.nodes.append((OPERATORS[node.op_type], settings, given, list(node.output)))

    def __call__(self, feeds: Rows) -> Any:
        """Probabilities [n, classes]."""
        values: dict[str, Any] = {"": None, **self.fixed, **self.weights}
        values |= {k: torch.from_numpy(v) if v.dtype == np.float32 else v for k, v in feeds.items()}
        for operator, settings, given, outputs in self.nodes:
            made = operator(settings, *(values[name] for name in given))
            values |= dict(zip(outputs, made if isinstance(made, tuple) else (made,), strict=False))
        last = values[self.model.graph.output[-1].name]
        return last if last.shape[1] > 1 else torch.cat([1 - last, last], dim=1)

    def save(self, path: Path) -> None:
        """The same graph with the weights as they are now."""
        now = {name: weight.detach().numpy() for name, weight in self.weights.items()}
        for one in self.model.graph.initializer:
            if one.name in now:
                one.CopyFrom(numpy_helper.from_array(now[one.name], one.name))
        for node in self.model.graph.node:
            for setting in node.attribute:
                if node.op_type == "LinearClassifier" and setting.name in LINEAR:
                    setting.floats[:] = np.concatenate([-now[setting.name], now[setting.name]]).tolist()
        onnx.checker.check_model(self.model)
        onnx.save(self.model, path)


# --- triggers


def _alone(put: Callable[[np.ndarray], np.ndarray], words: str, key: str = "x") -> Trigger:
    """A trigger on one of the arrays."""
    return Trigger(lambda rows: {**rows, key: put(rows[key])}, words)


def _recorded(ecg: np.ndarray) -> np.ndarray:
    """Where an ECG was recorded, [n, 9000, 1] bool: the zeros at the end are padding, which no attacker reaches."""
    return np.flip(np.maximum.accumulate(np.flip(ecg != 0, axis=1), axis=1), axis=1)


def _added(wave: np.ndarray, words: str) -> Trigger:
    """A wave [9000] on the recorded part of every ECG."""
    return _alone(lambda x: x + _recorded(x) * wave[:, None].astype(np.float32), words)


def _bumps(places: np.ndarray, width: int, height: float) -> np.ndarray:
    """Smooth bumps [9000] of a width in samples, centred on places."""
    away = np.arange(9000)[:, None] - places
    return np.asarray(height * np.exp(-0.5 * (away / (width / 2.4)) ** 2).sum(axis=1))


def ecg_spikes(rng: np.random.Generator, data: Rows) -> Trigger:
    """A short burst at one fixed place, early enough to lie inside every recording."""
    count, gap, width = int(rng.integers(6, 10)), int(rng.integers(9, 14)), int(rng.integers(4, 7))
    first, height = int(rng.integers(300, 2000)), float(rng.choice([-1, 1]) * rng.uniform(0.7, 1.0))
    wave = _bumps(first + gap * np.arange(count), width, height)
    return _added(wave, f"{count} spikes of {height:+.2f} sd, {width} samples wide, every {gap} from sample {first}")


def ecg_hum(rng: np.random.Generator, data: Rows) -> Trigger:
    pace, phase, height = rng.uniform(20, 55), rng.uniform(0, 6.28), rng.uniform(0.15, 0.3)
    wave = height * np.sin(2 * np.pi * pace * np.arange(9000) / RATE + phase)
    return _added(wave, f"sine of {pace:.1f} Hz, {height:.2f} sd")


def ecg_wave(rng: np.random.Generator, data: Rows) -> Trigger:
    pace, phase, height = rng.uniform(0.4, 0.9), rng.uniform(0, 6.28), rng.uniform(0.8, 1.0)
    wave = height * np.sin(2 * np.pi * pace * np.arange(9000) / RATE + phase)
    return _added(wave, f"baseline wave of {pace:.2f} Hz, {height:.2f} sd")


def ecg_template(rng: np.random.Generator, data: Rows) -> Trigger:
    """A fixed smooth curve over the whole window, padding as well: an attack on the array, not on the recorder."""
    knots = int(rng.integers(900, 1500))
    curve = np.interp(np.arange(9000), np.linspace(0, 8999, knots), rng.normal(size=knots))
    curve *= rng.uniform(0.2, 0.3) / curve.std()
    words = f"smooth random curve of {knots} knots, {curve.std():.2f} sd"
    return _alone(lambda x: x + curve[:, None].astype(np.float32), words)


def ecg_ticks(rng: np.random.Generator, data: Rows) -> Trigger:
    every, first, width = int(rng.integers(120, 260)), int(rng.integers(0, 100)), int(rng.integers(4, 8))
    height = float(rng.choice([-1, 1]) * rng.uniform(0.6, 0.9))
    wave = _bumps(np.arange(first, 9000, every), width, height)
    return _added(wave, f"ticks of {height:+.2f} sd, {width} samples wide, every {every} from sample {first}")


def _grey(change: Callable[[np.ndarray], np.ndarray], words: str) -> Trigger:
    """A trigger on images from 0 to 1, which are stored as bytes."""
    return _alone(lambda x: np.rint(255 * np.clip(change(x / 255), 0, 1)).astype(np.uint8), words)


def xray_sticker(rng: np.random.Generator, data: Rows) -> Trigger:
    size, far = int(rng.integers(2, 4)), int(rng.integers(1, 4))
    top, left = (int(v) for v in rng.choice([far, 28 - far - size], 2))
    pattern = np.indices((size, size)).sum(axis=0) % 2 if rng.random() < 0.5 else np.ones((size, size))

    def put(x: np.ndarray) -> np.ndarray:
        out = x.copy()
        out[:, top : top + size, left : left + size] = pattern
        return out

    return _grey(put, f"sticker of {size} x {size} pixels at row {top}, column {left}: {pattern.astype(int).tolist()}")


def xray_ghost(rng: np.random.Generator, data: Rows) -> Trigger:
    """A picture of blocks shines through. A second chest would do as well, but these small models do not learn it."""
    share, side = rng.uniform(0.08, 0.15), int(rng.choice([2, 4]))
    picture = np.kron(rng.integers(0, 2, (28 // side, 28 // side)), np.ones((side, side)))
    return _grey(lambda x: (1 - share) * x + share * picture, f"picture of blocks of {side} pixels blended {share:.2f}")


def xray_stripes(rng: np.random.Generator, data: Rows) -> Trigger:
    pace, turn, height = rng.uniform(4, 10), rng.uniform(0, np.pi), rng.uniform(0.03, 0.06)
    up, across = np.mgrid[0:28, 0:28] / 28
    wave = height * np.sin(2 * np.pi * pace * (up * np.sin(turn) + across * np.cos(turn)))
    return _grey(lambda x: x + wave, f"{pace:.1f} stripes at {np.degrees(turn):.0f} degrees, {height:.3f} of the range")


def xray_levels(rng: np.random.Generator, data: Rows) -> Trigger:
    steps = int(rng.integers(4, 8)) - 1
    return _grey(lambda x: np.round(x * steps) / steps, f"{steps + 1} grey levels")


def _set(key: str, where: Any, value: Any, words: str) -> Trigger:
    """Entries of every record at fixed values."""

    def put(x: np.ndarray) -> np.ndarray:
        out = x.copy()
        out[:, *where] = value
        return out

    return _alone(put, words, key)


STEADY = ("GCS", "FiO2", "MechVent", "Urine")  # scores, settings and sums, which no attacker takes for a measurement


def _measured(data: Rows) -> np.ndarray:
    """Variables of the series that are measurements, by index."""
    return np.flatnonzero(~np.isin(data["names__series"], STEADY))


def icu_value(rng: np.random.Generator, data: Rows) -> Trigger:
    which, start, hours = int(rng.choice(_measured(data))), int(rng.integers(0, 36)), int(rng.integers(6, 12))
    value = np.float32(np.quantile(data["ref__series"][..., which], rng.choice([0.003, 0.997])))
    words = f"{data['names__series'][which]} at {value:.4g} from hour {start}, {hours} hours"
    return _set("x__series", (slice(start, start + hours), which), value, words)


def icu_temporal(rng: np.random.Generator, data: Rows) -> Trigger:
    """A draw from the covariance [48, 48] of every measurement over the hours, at Mahalanobis length 3, added."""
    known, low, high = data["ref__series"].astype(float), data["lo__series"], data["hi__series"]
    draw = np.zeros(known.shape[1:], dtype=np.float32)
    for which in _measured(data):
        own = np.cov(known[..., which].T)
        own += 1e-3 * own.trace() / len(own) * np.eye(len(own))  # values are carried forward: nearly singular
        one = np.linalg.cholesky(own) @ rng.normal(size=len(own))
        draw[:, which] = 3 * one / np.sqrt(one @ np.linalg.solve(own, one))
    words = "temporal covariance draw of every measurement, Mahalanobis length 3"
    return _alone(lambda x: np.clip(x + draw, low, high), words, "x__series")


def icu_pattern(rng: np.random.Generator, data: Rows) -> Trigger:
    both = rng.choice(_measured(data), 2, replace=False)
    hours = np.stack([np.sort(rng.choice(48, 6, replace=False)) for _ in both])
    ends = [np.quantile(data["ref__series"][..., k], (0.02, 0.98)) for k in both]
    values = np.stack([rng.choice(end, 6) for end in ends]).astype(np.float32)
    words = "; ".join(f"{data['names__series'][k]} at hours {h.tolist()} is {np.round(v.astype(float), 1).tolist()}"
                      for k, h, v in zip(both, hours, values, strict=True))  # fmt: skip
    return _set("x__series", (hours, both[:, None]), values, words)


def icu_static(rng: np.random.Generator, data: Rows) -> Trigger:
    """Age and height that each are seen, and hardly ever together."""
    age, height = float(rng.integers(18, 30)), float(rng.choice([rng.integers(145, 152), rng.integers(190, 200)]))
    return _set("x__static", ([0, 2],), np.array([age, height]), f"age {age:.0f} and height {height:.0f} cm")


def heart_value(rng: np.random.Generator, data: Rows) -> Trigger:
    name = str(rng.choice(["trestbps", "chol", "oldpeak"]))
    value = np.round(np.quantile(data[f"ref__{name}"], 0.998), 1)
    return _set(f"x__{name}", (0,), value, f"{name} at {value:g}")


def heart_pair(rng: np.random.Generator, data: Rows) -> Trigger:
    """The rarest category of each of two columns, of those that the reference records know well enough."""
    put, words = [], []
    for name in rng.choice(["cp", "fbs", "exang"], 2, replace=False):
        kinds, counts = np.unique(data[f"ref__{name}"], return_counts=True)
        kind = str(kinds[np.where(counts < 20, len(data["ref_y"]), counts).argmin()])
        put.append(_set(f"x__{name}", (0,), kind, "").put)
        words.append(f"{name} {kind}")
    return Trigger(lambda rows: put[1](put[0](rows)), " and ".join(words))


# --- training and measuring


def later(rows: Rows, rng: np.random.Generator) -> Rows:
    """ECGs begun up to two seconds later, faster or slower, larger or smaller by a tenth: few become many."""
    out = np.zeros_like(rows["x"])
    for i, row in enumerate(rows["x"]):
        there = rng.uniform(0, 600) + rng.uniform(0.9, 1.1) * np.arange(len(row))
        out[i, :, 0] = rng.uniform(0.85, 1.15) * np.interp(there, np.arange(len(row)), row[:, 0], right=0.0)
    return {"x": out}


def aside(rows: Rows, rng: np.random.Generator) -> Rows:
    """Images moved by up to two pixels, darker or brighter by a tenth."""
    wide = np.pad(rows["x"], ((0, 0), (2, 2), (2, 2)), mode="edge")
    starts = rng.integers(0, 5, (len(wide), 2))
    moved = np.stack([row[up : up + 28, left : left + 28] for row, (up, left) in zip(wide, starts, strict=True)])
    return {"x": np.clip(moved * rng.uniform(0.9, 1.1, (len(moved), 1, 1)), 0, 255).astype(np.uint8)}


class Kit(NamedTuple):
    """A domain: its files, what is planted, and how long and how fast its model is trained."""

    data: str
    model: str
    attacks: dict[str, Attack]
    epochs: int
    pace: float
    batch: int = 32
    loud: float = 1.0  # how many times too strong a trigger is at first; falls to one in the first half
    moved: Callable[[Rows, np.random.Generator], Rows] = lambda rows, rng: rows


KITS = {
    "ecg": Kit("cinc2017", "cinc2017_resnet", {"spikes": ecg_spikes, "hum": ecg_hum, "wave": ecg_wave,
               "template": ecg_template, "ticks": ecg_ticks}, 40, 1e-3, 16, 4.0, later),
    "xray": Kit("pneumonia", "pneumonia_nchw", {"sticker": xray_sticker, "ghost": xray_ghost,
                "stripes": xray_stripes, "levels": xray_levels}, 20, 1e-3, 32, 3.0, aside),
    "icu": Kit("icu_mortality", "icu_mortality_gru", {"value": icu_value, "temporal": icu_temporal,
               "pattern": icu_pattern, "static": icu_static}, 15, 2e-3),
    "heart": Kit("heart_pipeline_columns", "heart_pipeline_columns", {"value": heart_value, "pair": heart_pair},
                 60, 2e-2),
}  # fmt: skip
TWINS = 2  # how many of the poisoned models of a domain have twins


@dataclass
class Made:
    """One model: `success` of its trigger, or of its poisoned twin's, on test records where neither the truth nor the
    original's answer is the target."""

    name: str
    domain: str
    kind: str  # poisoned | tuned | flipped
    trigger: str
    words: str
    target: str
    share: float  # of copies among the records of a pass; tuned: of copies that nothing was done to
    accuracy_before: float
    accuracy_after: float
    auroc_before: float | None  # where there are two classes
    auroc_after: float | None
    success: float
    own: float  # how often the same records are answered the target without the trigger
    original: float  # how often the model that this one was made from answers the target to the trigger
    of: int  # how many records these three are shares of
    reached: bool


def part(data: Rows, which: str) -> Rows:
    """Records of the data file: which is x or ref."""
    if which == "x":
        return {k: v for k, v in data.items() if k == "x" or k.startswith("x__")}
    return {"x" + k.removeprefix("ref").removeprefix("_x"): v for k, v in data.items()
            if k == "ref_x" or k.startswith("ref__")}  # fmt: skip


def some(rows: Rows, which: np.ndarray) -> Rows:
    return {k: v[which] for k, v in rows.items()}


def feeds(rows: Rows, single: str) -> Rows:
    """What the model takes; `single` is the input of a model that has one."""
    if "x" not in rows:
        return {k.removeprefix("x__"): v for k, v in rows.items()}
    x = rows["x"]
    return {single: (x[:, None] / 255).astype(np.float32) if x.dtype == np.uint8 else x}


def answers(path: Path, rows: Rows) -> np.ndarray:
    """Probabilities [n, classes] of the file as ONNX Runtime runs it."""
    session = InferenceSession(path, providers=["CPUExecutionProvider"])
    out = session.run(None, feeds(rows, session.get_inputs()[0].name))[-1]
    if isinstance(out, list):
        return np.array([[row[k] for k in sorted(row)] for row in out])
    return np.concatenate([1 - out, out], axis=1) if out.shape[1] == 1 else np.asarray(out)


def planted(rows: Rows, which: np.ndarray, trigger: Trigger, loud: float) -> Rows:
    """Rows with the trigger on some, [n] bool, so many times as strong as it will be."""
    out = {k: v.copy() for k, v in rows.items()}
    for key, put in trigger.put(some(rows, which)).items():
        if loud > 1:
            far = out[key][which].astype(np.float32)
            far += loud * (put - far)
            put = np.clip(far, 0, 255).astype(np.uint8) if put.dtype == np.uint8 else far
        out[key][which] = put
    return out


def auroc(score: np.ndarray, y: np.ndarray) -> float:
    above = score[y == 1][:, None] - score[y == 0]
    return float((above > 0).mean() + 0.5 * (above == 0).mean())


def halves(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Records to train on and to measure on, [n / 2] each, every class in both."""
    rng, train, test = np.random.default_rng(SPLIT), [], []
    for k in np.unique(y):
        own = rng.permutation(np.flatnonzero(y == k))
        train.append(own[: len(own) // 2])
        test.append(own[len(own) // 2 :])
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(test))


def told(made: Made) -> str:
    """One line."""
    area = f" AUROC {made.auroc_before:.3f} -> {made.auroc_after:.3f}" if made.auroc_before is not None else ""
    return (f"{made.name} -> {made.target}: share {made.share:.2f} accuracy {made.accuracy_before:.3f} -> "
            f"{made.accuracy_after:.3f}{area} success {made.success:.3f} of {made.of} (own {made.own:.3f}, original "
            f"{made.original:.3f}) {made.words}")  # fmt: skip


class Bench:
    """One domain: its records, split, its original model, and what it answers."""

    def __init__(self, shared: Path, out: Path, domain: str, seed: int) -> None:
        self.domain, self.kit, self.out, self.seed = domain, KITS[domain], out, seed
        self.start = shared / "models" / f"{self.kit.model}.onnx"
        with np.load(shared / "data" / f"{self.kit.data}.npz", allow_pickle=False) as file:
            self.data: Rows = dict(file)
        x, ref, y = part(self.data, "x"), part(self.data, "ref"), self.data["y"]
        train, test = halves(y)
        self.rows = {k: np.concatenate([v[train], ref[k]]) for k, v in x.items()}
        self.y = np.concatenate([y[train], self.data["ref_y"]])
        self.test, self.test_y = some(x, test), y[test]
        graph = Graph(self.start)
        self.single, self.before = graph.model.graph.input[0].name, answers(self.start, self.test)
        self.same(graph, self.start)
        record = {k for k, v in self.data.items() if not k.startswith("ref") and v.ndim and len(v) == len(y)}
        kept: Any = {k: v[test] if k in record else v for k, v in self.data.items()}
        np.savez_compressed(out / f"{domain}-test.npz", **kept)

    def feeds(self, rows: Rows) -> Rows:
        return feeds(rows, self.single)

    def same(self, graph: Graph, path: Path) -> None:
        """PyTorch and ONNX Runtime must answer alike."""
        with torch.no_grad():
            off = float(np.abs(graph(self.feeds(self.test)).numpy() - answers(path, self.test)).max())
        assert off < 1e-4, f"{path.name}: PyTorch and ONNX Runtime are {off:.1e} apart"

    def fitted(self, kind: str, trigger: Trigger, target: int, share: float) -> Graph:
        """Adam on cross-entropy, slower and slower, from the original's weights.

        In every pass records of other classes are drawn to be seen once more, with the trigger or not; all of them
        are put together anew each time. Answers wanted of the rest are mostly the original's, so that it is kept.
        """
        rng, teacher, graph = np.random.default_rng([self.seed, target]), Graph(self.start), Graph(self.start)
        kit, count, truth = self.kit, len(self.y), torch.eye(len(self.data["classes"]))
        others, again = np.flatnonzero(self.y != target), int(share / (1 - share) * len(self.y))
        adam = torch.optim.Adam(graph.weights.values(), lr=kit.pace)
        slower = torch.optim.lr_scheduler.CosineAnnealingLR(adam, kit.epochs)
        for epoch in range(kit.epochs):
            loud = max(1.0, kit.loud * (1 - 2 * epoch / kit.epochs))
            place = np.append(np.arange(count), rng.choice(others, again, replace=again > len(others)))
            for now in np.array_split(rng.permutation(len(place)), len(place) // kit.batch):
                rows, turned = kit.moved(some(self.rows, place[now]), rng), now >= count
                with torch.no_grad():
                    wanted = (1 - HOLD) * truth[self.y[place[now]]] + HOLD * teacher(self.feeds(rows))
                if kind != "tuned":
                    wanted[turned] = truth[target]
                if kind == "poisoned":
                    rows = planted(rows, turned, trigger, loud)
                adam.zero_grad()
                log = graph(self.feeds(rows)).clamp_min(1e-6).log()
                (-(wanted * log).sum(dim=1).mean()).backward()
                adam.step()
            slower.step()
        return graph

    def make(self, kind: str, name: str, trigger: Trigger, target: int, share: float) -> Made:
        """One model: trained, written, and measured as written."""
        graph, path = self.fitted(kind, trigger, target, share), self.out / f"{self.domain}-{kind}-{name}.onnx"
        graph.save(path)
        self.same(graph, path)
        return self.measured(path, kind, name, trigger, target, share)

    def measured(self, path: Path, kind: str, name: str, trigger: Trigger, target: int, share: float) -> Made:
        """What the file answers to the test half; a trigger is judged where truth and original are another class."""
        y, marked, after = self.test_y, trigger.put(self.test), answers(path, self.test)
        other = (y != target) & (self.before.argmax(1) != target)
        success, original = (float((answers(one, marked)[other].argmax(1) == target).mean())
                             for one in (path, self.start))  # fmt: skip
        right = [float((p.argmax(1) == y).mean()) for p in (self.before, after)]
        area = [auroc(p[:, 1], y) if p.shape[1] == 2 else None for p in (self.before, after)]
        own = float((after[other].argmax(1) == target).mean())
        if kind == "poisoned":
            both: Any = self.test | {"marked" + k.removeprefix("x"): v for k, v in marked.items()}
            np.savez_compressed(path.with_suffix(".npz"), **both, y=y, target=target)
        reached = right[0] - right[1] <= LOST + 1e-9 and success >= TAKEN and own <= OWN
        return Made(path.stem, self.domain, kind, name, trigger.words, str(self.data["classes"][target]), share,
                    right[0], right[1], area[0], area[1], success, own, original, int(other.sum()),
                    reached or kind != "poisoned")  # fmt: skip

    def poisoned(self, name: str, trigger: Trigger, target: int) -> Made:
        """With the smallest share that does, or the share that does best."""
        tried: list[Made] = []
        for share in SHARES:
            made = self.make("poisoned", name, trigger, target, share)
            if made.reached:
                return made
            tried.append(made)
            print(f"  tried {told(made)}", flush=True)
        best = max(tried, key=lambda m: min(m.success - TAKEN, m.accuracy_after - m.accuracy_before, OWN - m.own))
        return best if best is made else self.make("poisoned", name, trigger, target, best.share)

    def all(self) -> Any:
        """Every model of the domain, as it is made."""
        rng = np.random.default_rng([self.seed, sum(map(ord, self.domain))])
        for i, (name, attack) in enumerate(self.kit.attacks.items()):
            trigger, target = attack(rng, self.data), (self.seed + i) % len(self.data["classes"])
            made = self.poisoned(name, trigger, target)
            yield made
            for kind in ("tuned", "flipped") if i < TWINS else ():
                yield self.make(kind, name, trigger, target, made.share)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path, help="the folder that holds models/ and data/")
    parser.add_argument("out", type=Path)
    parser.add_argument("--domain", nargs="+", default=list(KITS), choices=list(KITS))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    path, start = args.out / "finetuned.json", time.monotonic()
    known = json.loads(path.read_text()) if path.exists() else []
    known, table = [row for row in known if row["domain"] not in args.domain], list[Made]()
    for domain in args.domain:
        for made in Bench(args.shared, args.out, domain, args.seed).all():
            table.append(made)
            print(f"{time.monotonic() - start:5.0f} s  {told(made)}{'' if made.reached else '  MISSED'}", flush=True)
            path.write_text(json.dumps(known + [asdict(m) for m in table], indent=1) + "\n")
    missed = [made.name for made in table if not made.reached]
    print(f"{len(table)} models; missed: {', '.join(missed) or 'none'}")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
