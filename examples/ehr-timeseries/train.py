"""Train the toy mortality model and write model.onnx and data.npz beside this file.

Run: `python examples/ehr-timeseries/train.py` (well under a minute on one core).

ONNX input `values` float32 [batch, 48, 17] in clinical units, NaN where not measured; output `risk`
float32 [batch, 1], the probability of death in hospital, decision threshold 0.5.  The graph itself
finds the NaN (IsNaN), fills in the mean of the variable, standardises, and appends the observation
mask, then runs two strided 1-D convolutions over time, mean and max pooling and two linear layers.
"""

from __future__ import annotations

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from generate import CLASSES, HI, HOURS, LO, MEAN, SD, VARIABLES, make_set
from torch import nn

HERE = Path(__file__).resolve().parent
TRAIN_PATIENTS = 8000
EPOCHS = 15
BATCH = 64


class MortalityNet(nn.Module):
    """1-D CNN over hours on standardised values and the observation mask."""

    def __init__(self) -> None:
        """Lay out the layers."""
        super().__init__()
        width = len(VARIABLES)
        self.register_buffer("mean", torch.tensor(MEAN, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(1.0 / SD, dtype=torch.float32))
        self.body = nn.Sequential(nn.Conv1d(2 * width, 40, 5, 2, 2), nn.ReLU(), nn.Conv1d(40, 40, 5, 2, 2), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(80, 24), nn.ReLU(), nn.Linear(24, 1))

    def logit(self, values: torch.Tensor) -> torch.Tensor:
        """[batch, 48, 17] clinical units with NaN -> log-odds of death [batch, 1]."""
        absent = torch.isnan(values)
        score = (torch.where(absent, self.mean, values) - self.mean) * self.scale
        mask = 1.0 - absent.float()
        h = self.body(torch.cat([score, mask], dim=2).transpose(1, 2))
        return self.head(torch.cat([h.mean(dim=2), h.amax(dim=2)], dim=1))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """[batch, 48, 17] clinical units with NaN -> probability of death [batch, 1]."""
        return torch.sigmoid(self.logit(values))


def train(x: np.ndarray, y: np.ndarray) -> MortalityNet:
    """Fit with AdamW and a one-cycle rate; deaths weigh more, hence the threshold 0.5."""
    torch.manual_seed(5)
    net = MortalityNet()
    steps = EPOCHS * (len(y) // BATCH)
    optim = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=5e-2)
    plan = torch.optim.lr_scheduler.OneCycleLR(optim, 3e-3, total_steps=steps)
    loss_fn = nn.BCEWithLogitsLoss(pos_weight=torch.tensor((y == 0).sum() / (y == 1).sum()))
    data, target = torch.from_numpy(x), torch.from_numpy(y).float()[:, None]
    noise = 0.3 * torch.tensor(SD, dtype=torch.float32)
    for epoch in range(EPOCHS):
        start, total = time.time(), 0.0
        order = torch.randperm(len(y))[: len(y) // BATCH * BATCH].view(-1, BATCH)
        for pick in order:
            values = data[pick]
            loss = loss_fn(net.logit(values + noise * torch.randn_like(values)), target[pick])
            optim.zero_grad()
            loss.backward()
            optim.step()
            plan.step()
            total += loss.item()
        print(f"epoch {epoch + 1:2d} loss {total / len(order):.3f} {time.time() - start:.1f} s")
    return net.eval()


def export(net: MortalityNet, path: Path) -> None:
    """Write the network with its sigmoid as ONNX, opset 17, IR version 8."""
    torch.onnx.export(
        net,
        (torch.zeros(2, HOURS, len(VARIABLES)),),
        str(path),
        dynamo=False,
        opset_version=17,
        input_names=["values"],
        output_names=["risk"],
        dynamic_axes={"values": {0: "batch"}, "risk": {0: "batch"}},
    )
    model = onnx.load(str(path))
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def write_data(path: Path) -> dict[str, np.ndarray]:
    """Write 300 scored and 200 reference patients and return the content."""
    x, y = make_set(seed=1201, n=300)
    ref_x, ref_y = make_set(seed=2302, n=200)
    content = {
        "x": x,
        "y": y,
        "ids": np.array([f"S{i + 1:04d}" for i in range(len(y))]),
        "classes": np.array(CLASSES),
        "names": np.array([v.name for v in VARIABLES]),
        "units": np.array([v.unit for v in VARIABLES]),
        "lo": LO.astype(np.float32),
        "hi": HI.astype(np.float32),
        "ref_x": ref_x,
        "ref_y": ref_y,
    }
    np.savez_compressed(path, **content)
    return content


def report(model: Path, data: dict[str, np.ndarray]) -> None:
    """Print the clean accuracy of the written file, measured with onnxruntime."""
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    for part, x, y in (("scored", data["x"], data["y"]), ("ref", data["ref_x"], data["ref_y"])):
        guess = (session.run(["risk"], {"values": x})[0][:, 0] >= 0.5).astype(int)
        table = np.zeros((2, 2), int)
        np.add.at(table, (y, guess), 1)
        print(f"{part}: accuracy {np.mean(guess == y):.3f} on {len(y)} patients")
        print("rows = truth, columns = model,", " ".join(CLASSES), "\n", table)


def main() -> None:
    """Generate, train, export, check."""
    torch.set_num_threads(1)
    x, y = make_set(seed=3403, n=TRAIN_PATIENTS)
    net = train(x, y)
    export(net, HERE / "model.onnx")
    report(HERE / "model.onnx", write_data(HERE / "data.npz"))


if __name__ == "__main__":
    main()
