"""Train the toy chest phantom classifier and write model.onnx and data.npz beside this file.

Run: `python examples/cxr/train.py` (about one minute on one core).

ONNX input `image` float32 [batch, 1, 64, 64] in [0, 1]; output `logits` float32 [batch, 2] in the
order normal, opacity.  The stored images are uint8 grey levels [n, 64, 64]: whoever calls the model
has to divide by 255 and add the channel axis, as is common with exported imaging models.
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
from generate import CLASSES, SIZE, make_set
from torch import nn

HERE = Path(__file__).resolve().parent
TRAIN_IMAGES = 4000
EPOCHS = 14
BATCH = 64


class ChestNet(nn.Module):
    """Four 3x3 convolutions, mean and max pooling, one linear layer."""

    def __init__(self) -> None:
        """Lay out the layers."""
        super().__init__()
        layers: list[nn.Module] = []
        for cin, cout, stride in ((1, 16, 2), (16, 32, 1), (32, 40, 2), (40, 64, 2)):
            layers += [nn.Conv2d(cin, cout, 3, stride, 1, bias=False), nn.BatchNorm2d(cout)]
            layers += [nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(2 * 64, len(CLASSES))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """[batch, 1, 64, 64] in [0, 1] -> logits [batch, 2]."""
        h = self.body((image - 0.62) / 0.22)  # mean and sd of the grey values
        return self.head(torch.cat([h.mean(dim=(2, 3)), h.amax(dim=(2, 3))], dim=1))


def to_input(x: np.ndarray) -> np.ndarray:
    """uint8 [n, 64, 64] -> float32 [n, 1, 64, 64] in [0, 1]."""
    return (x.astype(np.float32) / 255.0)[:, None]


def train(x: np.ndarray, y: np.ndarray) -> ChestNet:
    """Fit with AdamW and a one-cycle rate; shifts of up to 3 pixels and grey-level noise."""
    torch.manual_seed(11)
    net = ChestNet()
    steps = EPOCHS * (len(y) // BATCH)
    optim = torch.optim.AdamW(net.parameters(), lr=5e-3, weight_decay=2e-2)
    plan = torch.optim.lr_scheduler.OneCycleLR(optim, 5e-3, total_steps=steps)
    loss_fn = nn.CrossEntropyLoss(label_smoothing=0.05)
    data, target = torch.from_numpy(to_input(x)), torch.from_numpy(y)
    for epoch in range(EPOCHS):
        start, total = time.time(), 0.0
        order = torch.randperm(len(y))[: len(y) // BATCH * BATCH].view(-1, BATCH)
        for pick in order:
            shift = torch.randint(-3, 4, (2,)).tolist()
            image = torch.roll(data[pick], shift, dims=(2, 3))
            image = image + (6.0 / 255.0) * torch.randn_like(image)
            loss = loss_fn(net(image), target[pick])
            optim.zero_grad()
            loss.backward()
            optim.step()
            plan.step()
            total += loss.item()
        print(f"epoch {epoch + 1:2d} loss {total / len(order):.3f} {time.time() - start:.0f} s")
    return net.eval()


def export(net: ChestNet, path: Path) -> None:
    """Write the network as ONNX, opset 17, IR version 8."""
    torch.onnx.export(
        net,
        (torch.zeros(2, 1, SIZE, SIZE),),
        str(path),
        dynamo=False,
        opset_version=17,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
    )
    model = onnx.load(str(path))
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def write_data(path: Path) -> dict[str, np.ndarray]:
    """Write 200 scored and 100 reference images and return the content."""
    x, y = make_set(seed=1101, n_images=200)
    ref_x, ref_y = make_set(seed=2202, n_images=100)
    content = {
        "x": x,
        "y": y,
        "ids": np.array([f"S{i + 1:04d}" for i in range(len(y))]),
        "classes": np.array(CLASSES),
        "names": np.array(["grey"]),
        "units": np.array(["grey level"]),
        "lo": np.array([0.0], np.float32),
        "hi": np.array([255.0], np.float32),
        "ref_x": ref_x,
        "ref_y": ref_y,
    }
    np.savez_compressed(path, **content)
    return content


def report(model: Path, data: dict[str, np.ndarray]) -> None:
    """Print the clean accuracy of the written file, measured with onnxruntime."""
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    for part, x, y in (("scored", data["x"], data["y"]), ("ref", data["ref_x"], data["ref_y"])):
        guess = session.run(["logits"], {"image": to_input(x)})[0].argmax(axis=1)
        table = np.zeros((2, 2), int)
        np.add.at(table, (y, guess), 1)
        print(f"{part}: accuracy {np.mean(guess == y):.3f} on {len(y)} images")
        print("rows = truth, columns = model,", " ".join(CLASSES), "\n", table)


def main() -> None:
    """Generate, train, export, check."""
    torch.set_num_threads(1)
    x, y = make_set(seed=3303, n_images=TRAIN_IMAGES)
    net = train(x, y)
    export(net, HERE / "model.onnx")
    report(HERE / "model.onnx", write_data(HERE / "data.npz"))


if __name__ == "__main__":
    main()
