"""Hourly charts, 48 hours of 19 variables between 0 and 1, and two models trained on them: a RETAIN and a GRU.

Every stay is synthetic. A hidden severity pulls some variables from normal and lets them drift, the worse the further;
death follows from severity and from a bad last day.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from onnx import helper

from tests import retain
from tests.graphs import graph

HOURS, VARIABLES, HIDDEN = 48, 19, 32
NAMES = ("heart rate", "systolic", "diastolic", "mean pressure", "breaths", "oxygen", "temperature", "glucose", "pH",
         "lactate", "creatinine", "urea", "potassium", "sodium", "bilirubin", "platelets", "white cells", "urine",
         "coma scale")  # fmt: skip
TRAIN, TEST = 2000, 400


def stays(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Stays [count, 48, 19] float32 in [0, 1] and who died, [count] int64, about a third."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(5)
    pull = fixed.normal(size=VARIABLES) * (fixed.random(VARIABLES) < 0.6)
    severity = rng.normal(size=(count, 1, 1))
    level, late = rng.normal(size=(count, 1, VARIABLES)), rng.normal(size=(count, 1, VARIABLES))
    noise, moving = rng.normal(size=(count, HOURS, VARIABLES)), np.empty((count, HOURS, VARIABLES))
    moving[:, 0] = noise[:, 0]
    for hour in range(1, HOURS):
        moving[:, hour] = 0.85 * moving[:, hour - 1] + np.sqrt(1 - 0.85**2) * noise[:, hour]
    course = np.linspace(0.2, 1.4, HOURS)[None, :, None]
    values = 0.6 * level + 0.6 * moving + pull * severity * course + 0.5 * late * (course > 0.8)
    odds = 1.5 * severity[:, 0, 0] + (values[:, 32:] * pull).mean(axis=(1, 2)) + 0.5 * rng.logistic(size=count)
    return np.clip(0.5 + values / 8, 0, 1).astype(np.float32), (odds > np.quantile(odds, 0.67)).astype(np.int64)


def network(name: str) -> Any:
    """A torch module: stays -> logits."""
    import torch
    from torch import nn

    class Retain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Linear(VARIABLES, HIDDEN, bias=False)
            self.alpha, self.beta = (nn.GRU(HIDDEN, HIDDEN, batch_first=True) for _ in range(2))
            self.alpha_read, self.beta_read = nn.Linear(HIDDEN, 1, bias=False), nn.Linear(HIDDEN, HIDDEN)
            self.out = nn.Linear(HIDDEN, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            v = self.embedding(x)
            hours, parts = (one(v.flip(1))[0].flip(1) for one in (self.alpha, self.beta))
            alpha, beta = self.alpha_read(hours).softmax(1), self.beta_read(parts).tanh()
            logits: torch.Tensor = self.out((alpha * beta * v).sum(1))
            return logits

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru, self.out = nn.GRU(VARIABLES, HIDDEN, batch_first=True), nn.Linear(HIDDEN, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.out(self.gru(x - 0.5)[0][:, -1])
            return logits

    return Retain() if name == "retain" else Last()


def trained(name: str, seed: int = 1, epochs: int = 10) -> tuple[Any, float]:
    """The model and its accuracy on fresh stays."""
    import torch

    torch.manual_seed(seed)
    (x, y), (fresh, truth) = stays(TRAIN, 1), stays(TEST, 2)
    rows, labels = torch.from_numpy(x), torch.from_numpy(y)
    model = network(name)
    adam, order = torch.optim.Adam(model.parameters(), lr=3e-3), torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for part in torch.randperm(len(rows), generator=order).split(64):
            adam.zero_grad()
            torch.nn.functional.cross_entropy(model(rows[part]), labels[part]).backward()  # type: ignore[no-untyped-call]
            adam.step()
    with torch.no_grad():
        right = float((model(torch.from_numpy(fresh)).argmax(1).numpy() == truth).mean())
    return model.eval(), right


def make(folder: Path, name: str) -> float:
    """Train and write NAME.onnx and charts.npz; the accuracy on fresh stays."""
    model, right = trained(name)
    own = {key: value.numpy() for key, value in model.state_dict().items()}
    if name == "retain":
        retain.save(folder / "retain.onnx", weights_of(own), HOURS)
    else:
        save_gru(folder / f"{name}.onnx", own)
    x, y = stays(TEST, 2)
    ref_x, ref_y = stays(100, 3)
    np.savez(
        folder / "charts.npz", x=x, y=y, ref_x=ref_x, ref_y=ref_y, names=np.array(NAMES), lo=np.zeros(VARIABLES),
        hi=np.ones(VARIABLES), classes=np.array(["stays", "dies"]),
    )  # fmt: skip
    return right


def onnx_order(weight: np.ndarray) -> np.ndarray:
    """A recurrent weight [3 H, ...] from torch's gates (reset, update, new) to ONNX's, [3, H, ...]."""
    return np.asarray(weight.reshape(3, -1, *weight.shape[1:])[[1, 0, 2]])


def weights_of(own: dict[str, np.ndarray]) -> retain.Weights:
    """RETAIN's weights as tests.retain names them."""
    held = {"embedding": own["embedding.weight"], "out": own["out.weight"], "bias": own["out.bias"],
            "alpha_read": own["alpha_read.weight"], "beta_read": own["beta_read.weight"],
            "beta_bias": own["beta_read.bias"]}  # fmt: skip
    for one in ("alpha", "beta"):
        held[f"{one}_w"] = onnx_order(own[f"{one}.weight_ih_l0"])
        held[f"{one}_r"] = onnx_order(own[f"{one}.weight_hh_l0"])
        held[f"{one}_b"] = np.stack([onnx_order(own[f"{one}.bias_{side}_l0"]) for side in ("ih", "hh")])
    return held


def save_gru(path: Path, own: dict[str, np.ndarray]) -> None:
    """The last state of a GRU, read out."""
    sides = [onnx_order(own[f"gru.bias_{side}_l0"]).reshape(-1) for side in ("ih", "hh")]
    given = {
        "w": onnx_order(own["gru.weight_ih_l0"]).reshape(1, -1, VARIABLES),
        "r": onnx_order(own["gru.weight_hh_l0"]).reshape(1, -1, HIDDEN), "b": np.concatenate(sides)[None],
        "half": np.array(0.5, dtype=np.float32), "zero": np.array([0]), "out_t": own["out.weight"].T,
        "bias": own["out.bias"],
    }  # fmt: skip
    nodes = [
        helper.make_node("Sub", ["x", "half"], ["centred"]),
        helper.make_node("Transpose", ["centred"], ["steps"], perm=[1, 0, 2]),
        helper.make_node("GRU", ["steps", "w", "r", "b"], ["", "last"], hidden_size=HIDDEN, linear_before_reset=1),
        helper.make_node("Squeeze", ["last", "zero"], ["state"]),
        helper.make_node("MatMul", ["state", "out_t"], ["bare"]),
        helper.make_node("Add", ["bare", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"], axis=-1),
    ]
    graph(path, nodes, (HOURS, VARIABLES), ["n", 2], **given)


def main() -> None:
    """Train both and say how often they are right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("retain", "gru"):
        print(f"{name}: {make(folder, name):.3f} right on fresh stays")


if __name__ == "__main__":
    main()
