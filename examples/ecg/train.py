"""Train the toy ECG rhythm classifier and write model.onnx and data.npz beside this file.

Run: `python examples/ecg/train.py` (about two minutes on one core).

Network: z-score over time, seven 1-D convolutions (strided, the last ones dilated so that the
receptive field spans several beats), mean / max / spread pooling over time, softmax.
ONNX input `ecg` float32 [batch, 9000, 1] in mV; output `probabilities` float32 [batch, 4], in the
order N, A, O, ~.
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
from generate import CLASSES, LIMIT_MV, N_SAMPLES, make_set
from torch import nn

HERE = Path(__file__).resolve().parent
TRAIN_RECORDS = 3000
EPOCHS = 18
BATCH = 32


class RhythmNet(nn.Module):
    """Small 1-D CNN; takes mV, returns logits (training) or probabilities (export)."""

    def __init__(self) -> None:
        """Lay out the layers."""
        super().__init__()
        layers: list[nn.Module] = []
        # (channels in, channels out, kernel, stride, dilation); 300 Hz -> 60, 30, 15, 7.5 Hz
        for cin, cout, k, stride, dil in (
            (1, 16, 21, 5, 1),
            (16, 32, 7, 2, 1),
            (32, 40, 5, 2, 1),
            (40, 40, 5, 1, 2),
            (40, 64, 5, 2, 1),
            (64, 64, 5, 1, 2),
            (64, 64, 5, 1, 4),
        ):
            pad = dil * (k - 1) // 2
            layers += [nn.Conv1d(cin, cout, k, stride, pad, dil, bias=False), nn.BatchNorm1d(cout)]
            layers += [nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(3 * 64, len(CLASSES))
        self.softmax = False

    def forward(self, ecg: torch.Tensor) -> torch.Tensor:
        """[batch, 9000, 1] mV -> [batch, 4]."""
        wave = ecg.transpose(1, 2)
        wave = wave - wave.mean(dim=2, keepdim=True)
        wave = wave / torch.sqrt((wave * wave).mean(dim=2, keepdim=True) + 1e-6)
        h = self.body(wave)
        mean = h.mean(dim=2)
        spread = torch.sqrt(((h - mean[:, :, None]) ** 2).mean(dim=2) + 1e-4)
        out = self.head(torch.cat([mean, spread, h.amax(dim=2)], dim=1))
        return torch.softmax(out, dim=1) if self.softmax else out


def train(x: np.ndarray, y: np.ndarray) -> RhythmNet:
    """Fit with AdamW and a one-cycle rate; augment by circular shift and 20 uV of noise."""
    torch.manual_seed(7)
    net = RhythmNet()
    steps = EPOCHS * (len(y) // BATCH)
    optim = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=2e-2)
    plan = torch.optim.lr_scheduler.OneCycleLR(optim, 4e-3, total_steps=steps)
    loss_fn = nn.CrossEntropyLoss(label_smoothing=0.05)
    data, target = torch.from_numpy(x), torch.from_numpy(y)
    for epoch in range(EPOCHS):
        start, total = time.time(), 0.0
        order = torch.randperm(len(y))[: len(y) // BATCH * BATCH].view(-1, BATCH)
        for pick in order:
            wave = torch.roll(data[pick], int(torch.randint(N_SAMPLES, (1,))), dims=1)
            wave = wave + 0.02 * torch.randn_like(wave)
            loss = loss_fn(net(wave), target[pick])
            optim.zero_grad()
            loss.backward()
            optim.step()
            plan.step()
            total += loss.item()
        print(f"epoch {epoch + 1:2d} loss {total / len(order):.3f} {time.time() - start:.0f} s")
    return net.eval()


def export(net: RhythmNet, path: Path) -> None:
    """Write the network with its softmax as ONNX, opset 17, IR version 8."""
    net.softmax = True
    torch.onnx.export(
        net,
        (torch.zeros(2, N_SAMPLES, 1),),
        str(path),
        dynamo=False,
        opset_version=17,
        input_names=["ecg"],
        output_names=["probabilities"],
        dynamic_axes={"ecg": {0: "batch"}, "probabilities": {0: "batch"}},
    )
    model = onnx.load(str(path))
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def write_data(path: Path) -> dict[str, np.ndarray]:
    """Write 120 scored and 60 reference records (other patients) and return the content."""
    x, y, group = make_set(seed=1001, n_records=120, share_double=0.25)
    ref_x, ref_y, _ = make_set(seed=2002, n_records=60, share_double=0.25)
    content = {
        "x": x,
        "y": y,
        "ids": np.array([f"S{i + 1:04d}" for i in range(len(y))]),
        "groups": np.array([f"P{g + 1:04d}" for g in group]),
        "classes": np.array(CLASSES),
        "names": np.array(["ECG, 300 Hz"]),
        "units": np.array(["mV"]),
        "lo": np.array([-LIMIT_MV], np.float32),
        "hi": np.array([LIMIT_MV], np.float32),
        "ref_x": ref_x,
        "ref_y": ref_y,
    }
    np.savez_compressed(path, **content)
    return content


def report(model: Path, data: dict[str, np.ndarray]) -> None:
    """Print the clean accuracy of the written file, measured with onnxruntime."""
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    for part, x, y in (("scored", data["x"], data["y"]), ("ref", data["ref_x"], data["ref_y"])):
        guess = session.run(["probabilities"], {"ecg": x})[0].argmax(axis=1)
        table = np.zeros((4, 4), int)
        np.add.at(table, (y, guess), 1)
        print(f"{part}: accuracy {np.mean(guess == y):.3f} on {len(y)} records")
        print("rows = truth, columns = model,", " ".join(CLASSES), "\n", table)


def main() -> None:
    """Generate, train, export, check."""
    torch.set_num_threads(1)
    x, y, _ = make_set(seed=3003, n_records=TRAIN_RECORDS)
    net = train(x, y)
    export(net, HERE / "model.onnx")
    report(HERE / "model.onnx", write_data(HERE / "data.npz"))


if __name__ == "__main__":
    main()
