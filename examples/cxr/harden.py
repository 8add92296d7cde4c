"""Train the chest phantom classifier, go on with attacked images, and write hardened.onnx beside this file.

Run: `python examples/cxr/harden.py [FAILING.npz ...]` (about five minutes on one core). Each step attacks its own
images first, with true gradients and within EPS (Madry, Makelov, Schmidt, Tsipras, Vladu 2018, "Towards deep learning
models resistant to adversarial attacks", section 2). Failing inputs of a scan, written by
`medaudit defend export-adversarial RUN --out FAILING.npz`, are learned from as well.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch
from generate import make_set
from torch import nn
from train import BATCH, HERE, TRAIN_IMAGES, ChestNet, export, report, to_input, train

EPS, STEPS, EPOCHS = 2 / 255, 3, 10  # 2 grey levels


def attacked(net: nn.Module, image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Images within EPS of these, [batch, 1, 64, 64], at which the loss is larger."""
    moved = image + EPS * (2 * torch.rand_like(image) - 1)
    for _ in range(STEPS):
        moved.requires_grad_(True)
        slope = torch.autograd.grad(nn.functional.cross_entropy(net(moved), target), moved)[0]
        moved = moved.detach() + 2.5 * EPS / STEPS * slope.sign()
        moved = torch.clamp(torch.maximum(torch.minimum(moved, image + EPS), image - EPS), 0, 1)
    return moved


def harden(net: ChestNet, x: np.ndarray, y: np.ndarray) -> ChestNet:
    """Go on with a trained network, on attacked images; the attack grows to its full size in the first half."""
    count = EPOCHS * (len(y) // BATCH)
    optim = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=2e-2)
    plan = torch.optim.lr_scheduler.OneCycleLR(optim, 2e-3, total_steps=count)
    data, target = torch.from_numpy(to_input(x)), torch.from_numpy(y)
    done = 0
    for epoch in range(EPOCHS):
        start, total = time.time(), 0.0
        order = torch.randperm(len(y))[: len(y) // BATCH * BATCH].view(-1, BATCH)
        for pick in order:
            image = torch.roll(data[pick], torch.randint(-3, 4, (2,)).tolist(), dims=(2, 3))
            share = min(1.0, 2 * done / count)
            net.eval()
            image = image + share * (attacked(net, image, target[pick]) - image)
            net.train()
            loss = nn.functional.cross_entropy(net(image), target[pick])
            optim.zero_grad()
            loss.backward()
            optim.step()
            plan.step()
            total, done = total + loss.item(), done + 1
        print(f"attacked epoch {epoch + 1:2d} loss {total / len(order):.3f} {time.time() - start:.0f} s", flush=True)
    return net.eval()


def main() -> None:
    """Generate, add what is given, train, export, check."""
    torch.set_num_threads(1)
    x, y = make_set(seed=3303, n_images=TRAIN_IMAGES)
    for path in sys.argv[1:]:
        with np.load(path, allow_pickle=False) as saved:
            x, y = np.concatenate([x, saved["x"]]), np.concatenate([y, saved["y"]])
    net = harden(train(x, y), x, y)
    export(net, HERE / "hardened.onnx")
    with np.load(HERE / "data.npz", allow_pickle=False) as saved:
        report(HERE / "hardened.onnx", {name: saved[name] for name in saved.files})


if __name__ == "__main__":
    main()
