"""A small network that learns to give back what a tensor was before noise: a stage to put before a model.

autoencoder: Vincent, Larochelle, Bengio, Manzagol 2008, "Extracting and composing robust features with denoising
autoencoders", section 2.3. vae: Kingma, Welling 2014, "Auto-encoding variational Bayes", equation 10; the graph
gives back the decoder's answer to the code's mean, so that it answers the same when asked again.
Convolutions along whatever sides a tensor has, a code of a quarter of its numbers.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from medaudit.core.errors import MedauditError

WIDTH, HIDDEN = 24, 128  # channels of convolutions; units where a tensor has no sides
NUMBERS = 1 << 18  # of a batch, at most
HELD = 0.2  # share of the rows that measure and are not learned from
OBSERVED = 0.1  # variance of what the decoder of a VAE gives back, in standard deviations squared
OPSET = 17


class Settings(NamedTuple):
    kind: str = "autoencoder"  # autoencoder | vae
    noise: float = 0.3  # standard deviation of the largest noise, in those of each channel
    steps: int = 1000
    seed: int = 1


class Fitted(NamedTuple):
    """A graph and what it is worth on rows that were held back, as shares of their variance."""

    graph: bytes
    error: float  # of the clean rows given back
    denoised: float  # of the rows with noise given back
    noisy: float  # of the noise itself
    learned: int  # rows
    held: int


class Denoiser(nn.Module):
    """Tensor [batch, ...] in the model's own form -> the same form."""

    mean: torch.Tensor
    sd: torch.Tensor

    def __init__(self, x: torch.Tensor, channel: int, kind: str) -> None:
        """x: rows to take sizes and scales from, NaN where missing; channel: its axis of channels; 0: there is none;
        -1: every number is a channel."""
        super().__init__()
        self.kind, self.channel = kind, channel
        grid = self._to_grid(x)
        self.sides = tuple(grid.shape[2:])
        over = (0, *range(2, grid.ndim)) if self.sides else (0,)
        known = ~torch.isnan(grid)
        count = known.sum(over, keepdim=True).clamp(min=1)
        mean = torch.nan_to_num(grid).sum(over, keepdim=True) / count
        sd = ((torch.nan_to_num(grid - mean) ** 2).sum(over, keepdim=True) / count).sqrt()
        self.register_buffer("mean", mean)
        self.register_buffer("sd", torch.where(sd > 0, sd, torch.ones_like(sd)))
        c, twice = grid.shape[1], 2 if kind == "vae" else 1
        if not self.sides:
            code = max(2, c // 4)
            self.down = nn.Sequential(nn.Linear(c, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, twice * code))
            self.up = nn.Sequential(nn.Linear(code, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, c))
            return
        conv = nn.Conv2d if len(self.sides) == 2 else nn.Conv1d
        back = nn.ConvTranspose2d if len(self.sides) == 2 else nn.ConvTranspose1d
        code = max(1, c * 4 ** len(self.sides) // 4)
        self.down = nn.Sequential(
            conv(c, WIDTH, 5, 2, 2), nn.ReLU(), conv(WIDTH, WIDTH, 5, 2, 2), nn.ReLU(),
            conv(WIDTH, twice * code, 3, 1, 1),
        )  # fmt: skip
        self.up = nn.Sequential(
            conv(code, WIDTH, 3, 1, 1), nn.ReLU(), back(WIDTH, WIDTH, 4, 2, 1), nn.ReLU(), back(WIDTH, c, 4, 2, 1)
        )
        self.room = [side for n in reversed(self.sides) for side in (0, -n % 4)]

    def _to_grid(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, channels, sides...]; without sides [batch, numbers]."""
        if self.channel < 0:
            return x.flatten(1)
        return x.movedim(self.channel, 1) if self.channel else x[:, None]

    def standard(self, x: torch.Tensor) -> torch.Tensor:
        """The grid in standard deviations, 0 where missing."""
        grid = (self._to_grid(x) - self.mean) / self.sd
        return torch.where(torch.isnan(grid), torch.zeros_like(grid), grid)

    def code(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and logarithm of the variance of the code of a standard grid; an autoencoder's has no variance."""
        wide = self.down(functional.pad(z, self.room) if self.sides else z)
        if self.kind == "vae":
            mean, spread = wide.chunk(2, dim=1)
            return mean, spread.clamp(-10, 10)
        return wide, wide

    def decode(self, code: torch.Tensor) -> torch.Tensor:
        out = self.up(code)
        for axis, n in enumerate(self.sides):
            out = out.narrow(2 + axis, 0, n)
        return torch.as_tensor(out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        grid = self.decode(self.code(self.standard(x))[0]) * self.sd + self.mean
        if self.channel < 0:
            back = grid.reshape(x.shape)
        else:
            back = grid.movedim(1, self.channel) if self.channel else grid[:, 0]
        return torch.where(torch.isnan(x), x, back)


def fit(x: np.ndarray, channel: int, name: str, settings: Settings = Settings()) -> Fitted:
    """Train on rows x [n, ...] float32 in the model's own form; the graph takes and gives tensor `name`.

    channel: the axis of x that tells channels apart; 0: none does; -1: every number is a channel. Raises
    MedauditError for fewer than ten rows, and for volumes.
    """
    if len(x) < 10:
        raise MedauditError(f"{len(x)} rows are too few to learn from and to measure on", "give at least ten")
    if x.ndim - 1 - (channel != 0) > 2 and channel >= 0:
        raise MedauditError("denoisers are made for tables, signals, sequences and images, not for volumes")
    torch.set_num_threads(1)  # so that the same seed gives the same bits
    torch.manual_seed(settings.seed)
    rows = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))[torch.randperm(len(x))]
    held = max(2, round(HELD * len(x)))
    net = Denoiser(rows[held:], channel, settings.kind)
    clean, apart = net.standard(rows[held:]), net.standard(rows[:held])
    batch = int(min(64, len(clean), max(4, NUMBERS // clean[0].numel())))
    adam = torch.optim.Adam(net.parameters(), lr=2e-3)
    plan = torch.optim.lr_scheduler.OneCycleLR(adam, 2e-3, total_steps=settings.steps)
    for _ in range(settings.steps):
        own = clean[torch.randint(len(clean), (batch,))]
        loud = settings.noise * torch.rand((batch, *[1] * (own.ndim - 1)))
        mean, spread = net.code(own + loud * torch.randn_like(own))
        code = mean + torch.randn_like(mean) * (spread / 2).exp() if settings.kind == "vae" else mean
        loss = ((net.decode(code) - own) ** 2).flatten(1).sum(1) / (2 * OBSERVED)
        if settings.kind == "vae":
            loss = loss + 0.5 * (mean**2 + spread.exp() - spread - 1).flatten(1).sum(1)
        adam.zero_grad()
        torch.autograd.backward(loss.mean() / own[0].numel())
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
        plan.step()
    net.eval()
    with torch.no_grad():
        loud = apart + settings.noise * torch.randn_like(apart)
        answers = [net.decode(net.code(z)[0]) for z in (apart, loud)]
        whole = float(((apart - apart.mean(0)) ** 2).mean()) or 1.0
        errors = [float(((z - apart) ** 2).mean()) / whole for z in (*answers, loud)]
    return Fitted(_graph(net, rows[:2], name), errors[0], errors[1], errors[2], len(clean), held)


def _graph(net: Denoiser, example: torch.Tensor, name: str) -> bytes:
    """The network as ONNX, any number of rows."""
    answer = f"{name}_denoised"
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder, "denoiser.onnx")
        # Its newer exporter needs a library of its own; this one traces, and every size here is fixed but the batch.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net, (example,), str(path), dynamo=False, opset_version=OPSET, input_names=[name], output_names=[answer],
            dynamic_axes={name: {0: "batch"}, answer: {0: "batch"}},
        )  # fmt: skip
        return path.read_bytes()
