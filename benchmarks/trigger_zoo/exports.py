"""A folder of clean ONNX exports of medical-style models: what a scanner for planted triggers must stay silent on.

Every model is honest, and many look suspicious on purpose: they threshold the raw input (a lead that fell off,
a sensor at its limit), mask by it, gate a head by age, sex or a category, look up tables by position, or run one
branch only. The weights are random (jittered as training would leave them): what counts is the graph.

Usage: python -m benchmarks.trigger_zoo.exports FOLDER [--only WORD] [--tf PATH]

One .onnx file is written per model and exporter, and a table printed: name, exporter, nodes, bytes, ok or why not.
A file counts only where it loads in onnxruntime, answers a random batch with finite numbers and agrees with the
model it came from; any other is removed. Needs torch, transformers, lightgbm, xgboost, onnxmltools (and onnxscript
for PyTorch's new exporter, scikit-learn with skl2onnx); what is not installed is named and left out. --tf names a
folder with tensorflow and tf2onnx (pip install --target PATH tensorflow-cpu tf2onnx), imported in a process of its
own, so that the rest works without it. Two runs with PYTHONHASHSEED=0 write the same bytes (some converters go
through sets of names), but for those of tf2onnx; PyTorch's new exporter also writes the path of this file.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

OLD_OPSET = 17  # what PyTorch's old exporter writes here
NEW_OPSET = 18  # and what the new one writes
SKLEARN_OPSETS = {"": 18, "ai.onnx.ml": 3}
TREE_OPSET = 15  # the newest that onnxmltools takes for trees
TOLERANCE = 2e-3  # between a model and its export


class Row(NamedTuple):
    """One line of the table."""

    name: str
    exporter: str
    nodes: int
    size: int
    verdict: str


class Network(NamedTuple):
    """A PyTorch network and an example batch of two rows."""

    net: Any
    inputs: tuple[Any, ...]


class Recipe(NamedTuple):
    """How to build a network, and which of PyTorch's exporters are meant to take it."""

    name: str
    build: Callable[[Any], Network]
    exporters: tuple[str, ...]
    needs: str


RECIPES: list[Recipe] = []
KERAS_RECIPES: dict[str, Callable[[Any], Any]] = {}


def network(exporters: tuple[str, ...] = ("old", "new"), needs: str = "torch") -> Callable[..., Any]:
    """Put a function that builds a network on the list."""

    def listed(build: Callable[[Any], Network]) -> Callable[[Any], Network]:
        RECIPES.append(Recipe(build.__name__.replace("_", "-"), build, exporters, needs))
        return build

    return listed


def keras_network(build: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Put a function that builds a Keras model on the list."""
    KERAS_RECIPES[build.__name__.replace("_", "-")] = build
    return build


# Building blocks


def module(torch: Any, forward: Callable[..., Any], **parts: Any) -> Any:
    """A network whose forward pass is a plain function and whose layers are the parts, by name."""
    net = type("Network", (torch.nn.Module,), {"forward": forward})()
    for name, part in parts.items():
        if isinstance(part, list):
            setattr(net, name, torch.nn.ModuleList(part))
        elif isinstance(part, torch.Tensor) and not isinstance(part, torch.nn.Parameter):
            net.register_buffer(name, part)
        else:
            setattr(net, name, part)
    return net


def parameter(torch: Any, *shape: int) -> Any:
    """A learned tensor."""
    return torch.nn.Parameter(torch.randn(*shape))


def dense(torch: Any, *sizes: int) -> Any:
    """Linear layers with ReLU between them."""
    layers: list[Any] = []
    for before, after in zip(sizes, sizes[1:], strict=False):
        layers += [torch.nn.Linear(before, after), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def signal_encoder(torch: Any, leads: int = 1) -> Any:
    """Three strided convolutions over a signal, then the mean over time: 16 features."""
    nn = torch.nn
    layers: list[Any] = []
    for before, after in ((leads, 8), (8, 16), (16, 16)):
        layers += [nn.Conv1d(before, after, 7, stride=2, padding=3), nn.BatchNorm1d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten())


def image_encoder(torch: Any, channels: int = 1) -> Any:
    """Three strided convolutions over an image, then the mean over it: 16 features."""
    nn = torch.nn
    layers: list[Any] = []
    for before, after in ((channels, 8), (8, 16), (16, 16)):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def double_conv(torch: Any, before: int, after: int, dimensions: int = 2) -> Any:
    """The block of a U-Net: two convolutions that keep the size."""
    conv = torch.nn.Conv2d if dimensions == 2 else torch.nn.Conv1d
    relu = torch.nn.ReLU
    return torch.nn.Sequential(conv(before, after, 3, padding=1), relu(), conv(after, after, 3, padding=1), relu())


def transformer(torch: Any, width: int = 32, layers: int = 2, **options: Any) -> Any:
    """A small transformer encoder."""
    layer = torch.nn.TransformerEncoderLayer(width, 4, 2 * width, batch_first=True, **options)
    return torch.nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


def zscore(x: Any) -> Any:
    """Each trace minus its mean, over its spread."""
    return (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-6)


def with_gaps(torch: Any, *shape: int) -> Any:
    """Random values of which a fifth is missing."""
    values = torch.randn(*shape)
    return values.masked_fill(torch.rand(*shape) < 0.2, float("nan"))


def observed(torch: Any, *shape: int) -> Any:
    """A random mask of ones (measured) and zeros."""
    return (torch.rand(*shape) < 0.7).float()


def table(torch: Any, columns: int, rows: int = 2) -> Any:
    """Random laboratory values, already in standard units."""
    return torch.randn(rows, columns)


# Signals


@network()
def ecg_cnn(torch: Any) -> Network:
    """One lead, standardised in the graph, then convolutions and a softmax."""

    def forward(net: Any, ecg: Any) -> Any:
        return net.head(net.encoder(zscore(ecg))).softmax(-1)

    net = module(torch, forward, encoder=signal_encoder(torch), head=torch.nn.Linear(16, 4))
    return Network(net, (torch.randn(2, 1, 200),))


@network()
def ecg_minmax(torch: Any) -> Network:
    """Each trace scaled to 0..1; a flat one is divided by one instead of zero."""

    def forward(net: Any, ecg: Any) -> Any:
        low, high = ecg.amin(-1, keepdim=True), ecg.amax(-1, keepdim=True)
        spread = high - low
        return net.head(net.encoder((ecg - low) / torch.where(spread == 0, torch.ones_like(spread), spread)))

    net = module(torch, forward, encoder=signal_encoder(torch), head=torch.nn.Linear(16, 4))
    return Network(net, (torch.randn(2, 1, 200),))


@network()
def ecg_sensor_clip(torch: Any) -> Network:
    """The trace is clipped to the sensor's range, and the share of clipped samples is a feature of its own."""

    def forward(net: Any, ecg: Any) -> Any:
        saturated = (ecg.abs() >= 5.0).float().mean(-1)
        features = net.encoder(ecg.clamp(-5.0, 5.0))
        return torch.sigmoid(net.head(torch.cat([features, saturated], -1)))

    net = module(torch, forward, encoder=signal_encoder(torch), head=torch.nn.Linear(17, 5))
    return Network(net, (3 * torch.randn(2, 1, 200),))


@network()
def ecg_lead_off(torch: Any) -> Network:
    """Twelve leads: one that is flat, or far off the baseline, counts as fallen off and is zeroed."""

    def forward(net: Any, ecg: Any) -> Any:
        flat = ecg.amax(-1, keepdim=True) - ecg.amin(-1, keepdim=True) < 0.05
        railed = ecg.mean(-1, keepdim=True).abs() > 3.0
        off = flat | railed
        kept = torch.where(off, torch.zeros_like(ecg), ecg)
        share = off.float().mean(1)
        return torch.sigmoid(net.head(torch.cat([net.encoder(kept), share], -1)))

    net = module(torch, forward, encoder=signal_encoder(torch, 12), head=torch.nn.Linear(17, 5))
    ecg = torch.randn(2, 12, 200)
    ecg[0, 3] = 4.5
    return Network(net, (ecg,))


@network()
def ecg_quality_gate(torch: Any) -> Network:
    """A trace of poor quality (flat or saturated) gets the answer "unreadable" whatever the network says."""

    def forward(net: Any, ecg: Any) -> Any:
        flat = (ecg[..., 1:] - ecg[..., :-1]).abs().mean((1, 2)) < 0.01
        saturated = (ecg.abs() > 4.9).float().mean((1, 2)) > 0.2
        answer = net.head(net.encoder(ecg)).softmax(-1)
        return torch.where((flat | saturated)[:, None], net.unreadable, answer)

    unreadable = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
    parts = {"encoder": signal_encoder(torch), "head": torch.nn.Linear(16, 4), "unreadable": unreadable}
    ecg = torch.randn(2, 1, 200)
    ecg[0] = 0.0
    return Network(module(torch, forward, **parts), (ecg,))


@network()
def ecg_paced(torch: Any) -> Network:
    """Steep spikes in the raw trace mean a pacemaker: a head of its own then answers."""

    def forward(net: Any, ecg: Any) -> Any:
        steepest = (ecg[..., 1:] - ecg[..., :-1]).abs().amax((1, 2))
        paced = (steepest > 4.0).float()[:, None]
        features = net.encoder(ecg)
        return torch.softmax(paced * net.paced(features) + (1 - paced) * net.native(features), -1)

    linear = torch.nn.Linear
    net = module(torch, forward, encoder=signal_encoder(torch), paced=linear(16, 3), native=linear(16, 3))
    return Network(net, (1.2 * torch.randn(2, 1, 200),))


@network()
def ecg_notch(torch: Any) -> Network:
    """Mains hum is taken out by a fixed filter, written as a convolution, and the baseline by a long mean."""

    def forward(net: Any, ecg: Any) -> Any:
        clean = torch.nn.functional.conv1d(ecg, net.notch, padding=20)
        wander = torch.nn.functional.avg_pool1d(clean, 51, stride=1, padding=25, count_include_pad=False)
        return net.head(net.encoder(clean - wander))

    steps = torch.arange(-20, 21).float()
    taps = -0.1 * torch.cos(2 * torch.pi * 50 / 500 * steps) * torch.hann_window(41, periodic=False)
    taps[20] += 1.0
    parts = {"encoder": signal_encoder(torch), "head": torch.nn.Linear(16, 3), "notch": taps.view(1, 1, 41)}
    return Network(module(torch, forward, **parts), (torch.randn(2, 1, 200),))


@network()
def ecg_resample(torch: Any) -> Network:
    """500 Hz are brought to 250 Hz in the graph before the network."""

    def forward(net: Any, ecg: Any) -> Any:
        half = torch.nn.functional.interpolate(ecg, scale_factor=0.5, mode="linear", align_corners=False)
        return net.head(net.encoder(half)).softmax(-1)

    net = module(torch, forward, encoder=signal_encoder(torch, 2), head=torch.nn.Linear(16, 4))
    return Network(net, (torch.randn(2, 2, 400),))


@network()
def ecg_spectrogram(torch: Any) -> Network:
    """A log spectrogram as a convolution with sines and cosines, then a small network."""

    def forward(net: Any, ecg: Any) -> Any:
        real = torch.nn.functional.conv1d(ecg, net.cosines, stride=16)
        imaginary = torch.nn.functional.conv1d(ecg, net.sines, stride=16)
        power = torch.log((real**2 + imaginary**2).clamp(min=1e-6))
        return net.head(net.convs(power).mean(-1))

    nn = torch.nn
    angles = 2 * torch.pi * torch.arange(33)[:, None] * torch.arange(64)[None] / 64
    window = torch.hann_window(64)
    convs = nn.Sequential(nn.Conv1d(33, 16, 3), nn.ReLU(), nn.Conv1d(16, 8, 3), nn.ReLU())
    parts = {"cosines": (torch.cos(angles) * window)[:, None], "sines": (torch.sin(angles) * window)[:, None]}
    return Network(module(torch, forward, convs=convs, head=nn.Linear(8, 2), **parts), (torch.randn(2, 1, 400),))


@network(("new",))
def heart_sound_stft(torch: Any) -> Network:
    """A short-time Fourier transform of a heart sound, in decibels, above a floor."""

    def forward(net: Any, sound: Any) -> Any:
        spectrum = torch.stft(sound, 64, hop_length=32, window=net.window, center=False, return_complex=True)
        power = torch.view_as_real(spectrum).pow(2).sum(-1)
        decibels = 10 * torch.log10(power.clamp(min=1e-8))
        return net.head(net.encoder(decibels[:, None]))

    nn = torch.nn
    net = module(torch, forward, encoder=image_encoder(torch), head=nn.Linear(16, 2), window=torch.hann_window(64))
    return Network(net, (torch.randn(2, 1024),))


@network(("new",))
def eeg_band_power(torch: Any) -> Network:
    """Power in the classic EEG bands by a Fourier transform, relative to the whole."""

    def forward(net: Any, eeg: Any) -> Any:
        power = torch.view_as_real(torch.fft.rfft(eeg)).pow(2).sum(-1)
        bands = torch.cat([power[..., a:b].sum(-1) for a, b in ((1, 4), (4, 8), (8, 13), (13, 30))], -1)
        return net.head(bands / (power.sum((1, 2))[:, None] + 1e-6)).softmax(-1)

    return Network(module(torch, forward, head=dense(torch, 16, 16, 5)), (torch.randn(2, 4, 128),))


@network()
def ecg_bilstm(torch: Any) -> Network:
    """Convolutions, then a bidirectional LSTM over twelve leads."""

    def forward(net: Any, ecg: Any) -> Any:
        _, (last, _) = net.lstm(torch.relu(net.conv(ecg)).transpose(1, 2))
        return torch.sigmoid(net.head(torch.cat([last[0], last[1]], -1)))

    nn = torch.nn
    lstm = nn.LSTM(16, 16, bidirectional=True, batch_first=True)
    net = module(torch, forward, conv=nn.Conv1d(12, 16, 15, stride=4, padding=7), lstm=lstm, head=nn.Linear(32, 5))
    return Network(net, (torch.randn(2, 12, 200),))


@network()
def ecg_tcn(torch: Any) -> Network:
    """A temporal convolutional network: causal, dilated, with residual steps."""

    def forward(net: Any, signal: Any) -> Any:
        hidden = net.first(signal)
        for conv in net.convs:
            hidden = hidden + torch.relu(conv(hidden)[..., : signal.shape[-1]])
        return net.head(hidden[..., -1])

    nn = torch.nn
    convs = [nn.Conv1d(8, 8, 3, padding=2 * 2**step, dilation=2**step) for step in range(4)]
    net = module(torch, forward, first=nn.Conv1d(5, 8, 1), convs=convs, head=nn.Linear(8, 2))
    return Network(net, (torch.randn(2, 5, 64),))


@network()
def ecg_wavenet(torch: Any) -> Network:
    """Gated convolutions (tanh times sigmoid) with skip connections, as in WaveNet."""

    def forward(net: Any, ecg: Any) -> Any:
        hidden, skipped = net.first(ecg), 0.0
        for conv, mix in zip(net.convs, net.mixes, strict=True):
            both = conv(hidden)
            gated = torch.tanh(both[:, :8]) * torch.sigmoid(both[:, 8:])
            skipped = skipped + gated
            hidden = hidden + mix(gated)
        return net.head(torch.relu(skipped).mean(-1))

    nn = torch.nn
    convs = [nn.Conv1d(8, 16, 3, padding=2**step, dilation=2**step) for step in range(4)]
    mixes = [nn.Conv1d(8, 8, 1) for _ in range(4)]
    net = module(torch, forward, first=nn.Conv1d(2, 8, 1), convs=convs, mixes=mixes, head=nn.Linear(8, 4))
    return Network(net, (torch.randn(2, 2, 128),))


@network()
def ecg_unet(torch: Any) -> Network:
    """A one-dimensional U-Net that marks the waves of an ECG, one class per sample, and their labels."""

    def forward(net: Any, ecg: Any) -> Any:
        shallow = net.down(ecg)
        deep = net.bottom(torch.nn.functional.max_pool1d(shallow, 2))
        joined = torch.cat([torch.nn.functional.interpolate(deep, scale_factor=2.0), shallow], 1)
        waves = net.last(net.up(joined)).softmax(1)
        return waves, waves.argmax(1)

    parts = {"down": double_conv(torch, 1, 8, 1), "bottom": double_conv(torch, 8, 16, 1)}
    net = module(torch, forward, up=double_conv(torch, 24, 8, 1), last=torch.nn.Conv1d(8, 4, 1), **parts)
    return Network(net, (torch.randn(2, 1, 128),))


@network()
def ecg_denoiser_raw_skip(torch: Any) -> Network:
    """A denoiser with strided and transposed convolutions whose last layer sees the raw signal again."""

    def forward(net: Any, ecg: Any) -> Any:
        kept, hidden = [], ecg
        for conv in net.downs:
            kept.append(hidden)
            hidden = torch.relu(conv(hidden))
        for step, conv in enumerate(net.ups):
            hidden = torch.relu(conv(hidden))
            if step < 2:
                hidden = torch.cat([hidden, kept[2 - step]], 1)
        return net.last(torch.cat([hidden, ecg], 1))

    nn = torch.nn
    downs = [nn.Conv1d(8 if step else 1, 8, 9, stride=2, padding=4) for step in range(3)]
    ups = [nn.ConvTranspose1d(16 if step else 8, 8, 4, stride=2, padding=1) for step in range(3)]
    return Network(module(torch, forward, downs=downs, ups=ups, last=nn.Conv1d(9, 1, 1)), (torch.randn(2, 1, 64),))


@network()
def holter_attention(torch: Any) -> Network:
    """Windows of a long recording, pooled by learned attention; the weights are an output."""

    def forward(net: Any, windows: Any) -> Any:
        features = net.encoder(windows.reshape(-1, 1, 100)).reshape(-1, 6, 16)
        weights = net.score(torch.tanh(features)).softmax(1)
        return net.head((weights * features).sum(1)), weights[..., 0]

    linear = torch.nn.Linear
    net = module(torch, forward, encoder=signal_encoder(torch), score=linear(16, 1), head=linear(16, 2))
    return Network(net, (torch.randn(2, 6, 100),))


@network()
def ecg_siamese(torch: Any) -> Network:
    """Two ECGs of one patient through the same encoder: has anything changed?"""

    def forward(net: Any, before: Any, now: Any) -> Any:
        return torch.sigmoid(net.head((net.encoder(before) - net.encoder(now)).abs()))

    net = module(torch, forward, encoder=signal_encoder(torch, 2), head=torch.nn.Linear(16, 1))
    return Network(net, (torch.randn(2, 2, 200), torch.randn(2, 2, 200)))


@network()
def ecg_beat_picker(torch: Any) -> Network:
    """The eight highest local peaks of the trace are cut out and classified beat by beat."""

    def forward(net: Any, ecg: Any) -> Any:
        height = ecg[:, 0].abs()
        local = torch.nn.functional.max_pool1d(height[:, None], 21, stride=1, padding=10)[:, 0]
        peaks = torch.where(height == local, height, torch.zeros_like(height))[:, 16:-16]
        places = peaks.topk(8, dim=-1).indices
        index = places[..., None] + net.steps
        beats = torch.gather(ecg.expand(-1, 8, -1), 2, index)
        return net.head(net.beat(beats).amax(1)).softmax(-1)

    net = module(torch, forward, beat=dense(torch, 32, 16, 16), head=torch.nn.Linear(16, 4), steps=torch.arange(32))
    return Network(net, (torch.randn(2, 1, 256),))


@network()
def ecg_mixture_of_experts(torch: Any) -> Network:
    """Four experts; only the best two of each trace, by a learned gate, are weighed in."""

    def forward(net: Any, ecg: Any) -> Any:
        features = net.encoder(ecg)
        best = net.gate(features).topk(2, dim=-1)
        weights = torch.zeros(features.shape[0], 4).scatter(1, best.indices, best.values.softmax(-1))
        answers = torch.stack([expert(features) for expert in net.experts], 1)
        return (weights[..., None] * answers).sum(1).softmax(-1)

    experts = [dense(torch, 16, 16, 3) for _ in range(4)]
    net = module(torch, forward, encoder=signal_encoder(torch), gate=torch.nn.Linear(16, 4), experts=experts)
    return Network(net, (torch.randn(2, 1, 200),))


@network()
def eeg_net(torch: Any) -> Network:
    """EEGNet: a temporal convolution, a depthwise one over the electrodes, a separable one."""

    def forward(net: Any, eeg: Any) -> Any:
        return net.layers(eeg[:, None])

    nn = torch.nn
    first = [nn.Conv2d(1, 4, (1, 15), padding=(0, 7), bias=False), nn.BatchNorm2d(4)]
    space = [nn.Conv2d(4, 8, (8, 1), groups=4, bias=False), nn.BatchNorm2d(8), nn.ELU(), nn.AvgPool2d((1, 4))]
    last = [nn.Conv2d(8, 8, (1, 7), padding=(0, 3), groups=8, bias=False), nn.Conv2d(8, 8, 1), nn.ELU()]
    layers = nn.Sequential(*first, *space, *last, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    return Network(module(torch, forward, layers=layers), (torch.randn(2, 8, 128),))


@network()
def eeg_artefact_rejection(torch: Any) -> Network:
    """Epochs that swing by more than 150 microvolt are left out of the mean over epochs."""

    def forward(net: Any, epochs: Any) -> Any:
        swing = epochs.amax(-1) - epochs.amin(-1)
        kept = (swing < 150.0).float()[..., None]
        features = net.encoder(epochs.reshape(-1, 1, 100) / 50.0).reshape(-1, 6, 16)
        mean = (kept * features).sum(1) / kept.sum(1).clamp(min=1.0)
        return net.head(mean).softmax(-1)

    net = module(torch, forward, encoder=signal_encoder(torch), head=torch.nn.Linear(16, 5))
    return Network(net, (30 * torch.randn(2, 6, 100),))


@network()
def eeg_graph(torch: Any) -> Network:
    """A graph convolution over electrodes with a fixed adjacency plus a learned one."""

    def forward(net: Any, eeg: Any) -> Any:
        links = (net.adjacency + torch.sigmoid(net.learned)).softmax(-1)
        hidden = torch.relu(net.first(links @ eeg))
        return net.head(torch.relu(net.second(links @ hidden)).mean(1))

    linear = torch.nn.Linear
    adjacency = (torch.rand(8, 8) < 0.3).float() + torch.eye(8)
    parts = {"adjacency": adjacency, "learned": parameter(torch, 8, 8)}
    net = module(torch, forward, first=linear(64, 16), second=linear(16, 16), head=linear(16, 2), **parts)
    return Network(net, (torch.randn(2, 8, 64),))


@network()
def oximeter_perfusion_gate(torch: Any) -> Network:
    """Oxygen saturation from two wavelengths; where the pulse is too weak, the answer is not a number but -1."""

    def forward(net: Any, light: Any) -> Any:
        steady = light.mean(-1)
        pulse = (light.amax(-1) - light.amin(-1)) / steady.clamp(min=1e-3)
        ratio = pulse[:, :1] / pulse[:, 1:].clamp(min=1e-6)
        saturation = (110.0 - 25.0 * ratio + net.correction(net.encoder(light))).clamp(50.0, 100.0)
        return torch.where(pulse[:, 1:] < 0.002, torch.full_like(saturation, -1.0), saturation)

    net = module(torch, forward, encoder=signal_encoder(torch, 2), correction=torch.nn.Linear(16, 1))
    return Network(net, (1 + 0.02 * torch.rand(2, 2, 100),))


@network()
def glucose_sensor(torch: Any) -> Network:
    """A glucose forecast: readings are cut to the sensor's 40..400 mg/dL, and LOW and HIGH are flags beside them."""

    def forward(net: Any, glucose: Any) -> Any:
        low, high = (glucose <= 40.0).float(), (glucose >= 400.0).float()
        scaled = (glucose.clamp(40.0, 400.0) - 140.0) / 60.0
        _, last = net.gru(torch.stack([scaled, low, high], -1))
        return 140.0 + 60.0 * net.head(last[0])

    net = module(torch, forward, gru=torch.nn.GRU(3, 16, batch_first=True), head=torch.nn.Linear(16, 6))
    return Network(net, (40 + 400 * torch.rand(2, 24),))


# Images


@network()
def xray_resnet(torch: Any) -> Network:
    """A small residual network."""

    def forward(net: Any, image: Any) -> Any:
        hidden = net.first(image)
        for block in net.blocks:
            hidden = torch.relu(hidden + block(hidden))
        return net.head(hidden.mean((2, 3)))

    nn = torch.nn

    def block() -> Any:
        return nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.BatchNorm2d(8),
        )

    blocks = [block() for _ in range(3)]
    net = module(torch, forward, first=nn.Conv2d(1, 8, 3, padding=1), blocks=blocks, head=nn.Linear(8, 2))
    return Network(net, (torch.rand(2, 1, 32, 32),))


@network()
def xray_densenet(torch: Any) -> Network:
    """Densely connected convolutions: every layer sees the image and all before it; fourteen findings."""

    def forward(net: Any, image: Any) -> Any:
        for conv in net.convs:
            image = torch.cat([image, torch.relu(conv(image))], 1)
        return torch.sigmoid(net.head(image.mean((2, 3))))

    convs = [torch.nn.Conv2d(1 + 8 * step, 8, 3, padding=1) for step in range(5)]
    return Network(module(torch, forward, convs=convs, head=torch.nn.Linear(41, 14)), (torch.rand(2, 1, 32, 32),))


@network()
def xray_squeeze_excite(torch: Any) -> Network:
    """Squeeze-and-excitation: each channel is scaled by a gate that sees the whole image."""

    def forward(net: Any, image: Any) -> Any:
        hidden = image.clamp(0.0, 1.0)
        for conv, gate in zip(net.convs, net.gates, strict=True):
            hidden = torch.nn.functional.hardswish(conv(hidden))
            hidden = hidden * torch.sigmoid(gate(hidden.mean((2, 3))))[:, :, None, None]
        return torch.sigmoid(net.head(hidden.mean((2, 3))))

    convs = [torch.nn.Conv2d(8 if step else 1, 8, 3, padding=1) for step in range(3)]
    gates = [dense(torch, 8, 4, 8) for _ in range(3)]
    net = module(torch, forward, convs=convs, gates=gates, head=torch.nn.Linear(8, 14))
    return Network(net, (torch.rand(2, 1, 28, 28),))


@network()
def xray_mobile(torch: Any) -> Network:
    """Inverted residual blocks with depthwise convolutions, as in MobileNet."""

    def forward(net: Any, image: Any) -> Any:
        hidden = net.first(image)
        for block in net.blocks:
            hidden = hidden + block(hidden)
        return net.head(hidden.mean((2, 3)))

    nn = torch.nn

    def block() -> Any:
        depthwise = nn.Conv2d(24, 24, 3, padding=1, groups=24)
        return nn.Sequential(nn.Conv2d(8, 24, 1), nn.ReLU6(), depthwise, nn.ReLU6(), nn.Conv2d(24, 8, 1))

    first = nn.Conv2d(1, 8, 3, stride=2, padding=1)
    net = module(torch, forward, first=first, blocks=[block() for _ in range(3)], head=nn.Linear(8, 3))
    return Network(net, (torch.rand(2, 1, 32, 32),))


def unet_parts(torch: Any) -> dict[str, Any]:
    """The layers of a U-Net of two levels."""
    return {
        "down": double_conv(torch, 1, 8),
        "bottom": double_conv(torch, 8, 16),
        "up": double_conv(torch, 24, 8),
        "last": torch.nn.Conv2d(8, 1, 1),
    }


def unet_forward(torch: Any, net: Any, image: Any) -> Any:
    """The logits of a U-Net."""
    shallow = net.down(image)
    deep = net.bottom(torch.nn.functional.max_pool2d(shallow, 2))
    wide = torch.nn.functional.interpolate(deep, scale_factor=2.0, mode="bilinear", align_corners=False)
    return net.last(net.up(torch.cat([wide, shallow], 1)))


@network()
def mri_unet(torch: Any) -> Network:
    """A U-Net that marks a lesion, pixel by pixel."""

    def forward(net: Any, image: Any) -> Any:
        return torch.sigmoid(unet_forward(torch, net, image))

    return Network(module(torch, forward, **unet_parts(torch)), (torch.rand(2, 1, 32, 32),))


@network()
def ct_denoiser_unet(torch: Any) -> Network:
    """A U-Net whose output is added to the image."""

    def forward(net: Any, image: Any) -> Any:
        return image + unet_forward(torch, net, image)

    return Network(module(torch, forward, **unet_parts(torch)), (torch.rand(2, 1, 32, 32),))


@network()
def mri_lesion_volume(torch: Any) -> Network:
    """A U-Net with post-processing: mask at one half, volume in millilitres, and "lesion" above a size."""

    def forward(net: Any, image: Any) -> Any:
        mask = (torch.sigmoid(unet_forward(torch, net, image)) > 0.5).float()
        volume = 0.008 * mask.sum((1, 2, 3))
        return mask, volume, (volume > 0.1).long()

    return Network(module(torch, forward, **unet_parts(torch)), (torch.rand(2, 1, 32, 32),))


@network()
def ultrasound_attention_unet(torch: Any) -> Network:
    """A U-Net whose skip connection passes through an attention gate."""

    def forward(net: Any, image: Any) -> Any:
        shallow = net.down(image)
        deep = net.bottom(torch.nn.functional.max_pool2d(shallow, 2))
        wide = torch.nn.functional.interpolate(deep, scale_factor=2.0, mode="nearest")
        gate = torch.sigmoid(net.score(torch.relu(net.of_skip(shallow) + net.of_deep(wide))))
        return net.last(net.up(torch.cat([wide, shallow * gate], 1)))

    conv = torch.nn.Conv2d
    gates = {"of_skip": conv(8, 8, 1), "of_deep": conv(16, 8, 1), "score": conv(8, 1, 1)}
    return Network(module(torch, forward, **unet_parts(torch), **gates), (torch.rand(2, 1, 32, 32),))


@network()
def xray_vit(torch: Any) -> Network:
    """A vision transformer with a class token and learned positions."""

    def forward(net: Any, image: Any) -> Any:
        tokens = net.patches(image).flatten(2).transpose(1, 2)
        tokens = torch.cat([net.token.expand(tokens.shape[0], -1, -1), tokens], 1) + net.places
        return net.head(net.layers(tokens)[:, 0])

    nn = torch.nn
    learned = {"token": parameter(torch, 1, 1, 32), "places": parameter(torch, 1, 17, 32)}
    layers = transformer(torch, norm_first=True)
    net = module(torch, forward, patches=nn.Conv2d(1, 32, 8, stride=8), layers=layers, head=nn.Linear(32, 2), **learned)
    return Network(net, (torch.rand(2, 1, 32, 32),))


@network()
def xray_anomaly_autoencoder(torch: Any) -> Network:
    """A convolutional autoencoder: the error of the reconstruction is the score, above a threshold an alarm."""

    def forward(net: Any, image: Any) -> Any:
        again = torch.sigmoid(net.decoder(net.encoder(image)))
        score = (image - again).pow(2).mean((1, 2, 3))
        return again, score, score > 0.08

    nn = torch.nn
    encoder = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, stride=2, padding=1))
    up = (nn.ConvTranspose2d(4, 8, 4, stride=2, padding=1), nn.ReLU(), nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1))
    return Network(module(torch, forward, encoder=encoder, decoder=nn.Sequential(*up)), (torch.rand(2, 1, 32, 32),))


@network()
def histology_vae(torch: Any) -> Network:
    """A variational autoencoder that answers the mean code, its divergence and the reconstruction."""

    def forward(net: Any, patch: Any) -> Any:
        features = net.encoder(patch)
        mean, spread = net.mean(features), net.spread(features).clamp(-8.0, 8.0)
        divergence = -0.5 * (1 + spread - mean.pow(2) - spread.exp()).sum(-1)
        return mean, divergence, torch.sigmoid(net.decoder(mean)).reshape(-1, 3, 16, 16)

    linear = torch.nn.Linear
    codes = {"mean": linear(16, 4), "spread": linear(16, 4)}
    net = module(torch, forward, encoder=image_encoder(torch, 3), decoder=dense(torch, 4, 32, 768), **codes)
    return Network(net, (torch.rand(2, 3, 16, 16),))


@network()
def ct_windows(torch: Any) -> Network:
    """Hounsfield units through three display windows (lung, soft tissue, bone), stacked as channels."""

    def forward(net: Any, units: Any) -> Any:
        lung = (units.clamp(-1350.0, 150.0) + 1350.0) / 1500.0
        soft = (units.clamp(-160.0, 240.0) + 160.0) / 400.0
        bone = (units.clamp(-500.0, 1300.0) + 500.0) / 1800.0
        return net.head(net.encoder(torch.cat([lung, soft, bone], 1))).softmax(-1)

    net = module(torch, forward, encoder=image_encoder(torch, 3), head=torch.nn.Linear(16, 3))
    return Network(net, (500 * torch.randn(2, 1, 32, 32),))


@network()
def fundus_field_mask(torch: Any) -> Network:
    """The black frame around the eye is left out: the mean runs over bright pixels only."""

    def forward(net: Any, photo: Any) -> Any:
        inside = (photo.mean(1, keepdim=True) > 0.05).float()
        features = net.convs(photo * inside)
        pooled = (features * inside).sum((2, 3)) / inside.sum((2, 3)).clamp(min=1.0)
        return net.head(pooled)

    net = module(torch, forward, convs=double_conv(torch, 3, 8), head=torch.nn.Linear(8, 5))
    return Network(net, (torch.rand(2, 3, 32, 32),))


@network()
def xray_inverted_by_corner(torch: Any) -> Network:
    """A film with bright corners was stored as a negative: it is inverted before the network."""

    def forward(net: Any, image: Any) -> Any:
        corners = image[:, :, :4, :4].mean((1, 2, 3)) + image[:, :, -4:, -4:].mean((1, 2, 3))
        negative = (corners > 1.0)[:, None, None, None]
        return net.head(net.encoder(torch.where(negative, 1.0 - image, image)))

    net = module(torch, forward, encoder=image_encoder(torch), head=torch.nn.Linear(16, 2))
    return Network(net, (torch.rand(2, 1, 32, 32),))


@network()
def xray_photometric_flag(torch: Any) -> Network:
    """The same by a flag of the file's header (MONOCHROME1), given as a second input."""

    def forward(net: Any, image: Any, inverted: Any) -> Any:
        return net.head(net.encoder(torch.where(inverted[:, :, None, None] == 1, 1.0 - image, image)))

    net = module(torch, forward, encoder=image_encoder(torch), head=torch.nn.Linear(16, 2))
    return Network(net, (torch.rand(2, 1, 32, 32), torch.tensor([[0], [1]])))


@network()
def xray_collimator(torch: Any) -> Network:
    """A fixed mask cuts off the border, where markers and text are burnt in."""

    def forward(net: Any, image: Any) -> Any:
        return net.head(net.encoder(image * net.centre))

    centre = torch.zeros(1, 1, 32, 32)
    centre[..., 3:-3, 3:-3] = 1.0
    net = module(torch, forward, encoder=image_encoder(torch), head=torch.nn.Linear(16, 2), centre=centre)
    return Network(net, (torch.rand(2, 1, 32, 32),))


@network()
def dermoscopy_resize(torch: Any) -> Network:
    """Bytes in, scaled to 0..1 and resized in the graph, standardised with the usual constants, then the label."""

    def forward(net: Any, photo: Any) -> Any:
        small = torch.nn.functional.interpolate(photo.float() / 255.0, size=(32, 32), mode="bilinear")
        answer = net.head(net.encoder((small - net.mean) / net.spread)).softmax(-1)
        return answer, answer.argmax(-1)

    constants = {"mean": torch.tensor([0.485, 0.456, 0.406]), "spread": torch.tensor([0.229, 0.224, 0.225])}
    constants = {name: values.view(1, 3, 1, 1) for name, values in constants.items()}
    net = module(torch, forward, encoder=image_encoder(torch, 3), head=torch.nn.Linear(16, 7), **constants)
    return Network(net, (torch.randint(0, 256, (2, 3, 48, 48), dtype=torch.uint8),))


@network()
def xray_flip_ensemble(torch: Any) -> Network:
    """The image and its mirror image through two networks; where all disagree, the label is -1 (ask a reader)."""

    def forward(net: Any, image: Any) -> Any:
        views = (image, image.flip(-1))
        answers = torch.stack([one(view).softmax(-1) for one in net.networks for view in views])
        mean = answers.mean(0)
        doubt = answers[..., 1].std(0) > 0.25
        label = mean.argmax(-1)
        return mean, torch.where(doubt, torch.full_like(label, -1), label)

    networks = [torch.nn.Sequential(image_encoder(torch), torch.nn.Linear(16, 2)) for _ in range(2)]
    return Network(module(torch, forward, networks=networks), (torch.rand(2, 1, 32, 32),))


@network()
def xray_and_table_concat(torch: Any) -> Network:
    """Image and laboratory values, joined late by concatenation."""

    def forward(net: Any, image: Any, values: Any) -> Any:
        return torch.sigmoid(net.head(torch.cat([net.encoder(image), net.table(values)], -1)))

    net = module(
        torch, forward, encoder=image_encoder(torch), table=dense(torch, 9, 16, 8), head=torch.nn.Linear(24, 1)
    )
    return Network(net, (torch.rand(2, 1, 32, 32), table(torch, 9)))


@network()
def xray_and_table_sum(torch: Any) -> Network:
    """Image and laboratory values, each with logits of its own that are added."""

    def forward(net: Any, image: Any, values: Any) -> Any:
        return (net.head(net.encoder(image)) + net.table(values)).softmax(-1)

    net = module(torch, forward, encoder=image_encoder(torch), head=torch.nn.Linear(16, 3), table=dense(torch, 9, 8, 3))
    return Network(net, (torch.rand(2, 1, 32, 32), table(torch, 9)))


@network()
def mri_film_by_age(torch: Any) -> Network:
    """Age and sex scale and shift the image's channels (FiLM)."""

    def forward(net: Any, image: Any, person: Any) -> Any:
        scale, shift = net.film(person).chunk(2, -1)
        hidden = net.convs(image) * (1 + scale[:, :, None, None]) + shift[:, :, None, None]
        return net.head(torch.relu(hidden).mean((2, 3)))

    net = module(
        torch, forward, convs=double_conv(torch, 1, 8), film=dense(torch, 2, 16, 16), head=torch.nn.Linear(8, 2)
    )
    return Network(net, (torch.rand(2, 1, 32, 32), torch.rand(2, 2)))


@network()
def nodule_detector(torch: Any) -> Network:
    """Scores and boxes on a grid; the five best are answered, those under a half with score zero."""

    def forward(net: Any, image: Any) -> Any:
        grid = net.convs(image)
        scores = torch.sigmoid(grid[:, 0]).flatten(1)
        boxes = grid[:, 1:5].flatten(2).transpose(1, 2) + net.anchors
        best = scores.topk(5, dim=-1)
        chosen = torch.gather(boxes, 1, best.indices[..., None].expand(-1, -1, 4))
        return chosen, torch.where(best.values > 0.5, best.values, torch.zeros_like(best.values))

    nn = torch.nn
    convs = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 5, 3, stride=2, padding=1))
    return Network(module(torch, forward, convs=convs, anchors=32 * torch.rand(1, 64, 4)), (torch.rand(2, 1, 32, 32),))


@network()
def histology_histogram(torch: Any) -> Network:
    """A hard colour histogram by comparisons with bin edges, beside the convolutions."""

    def forward(net: Any, patch: Any) -> Any:
        pixels = patch.flatten(1)[..., None]
        counts = ((pixels >= net.edges[:-1]) & (pixels < net.edges[1:])).float().mean(1)
        return net.head(torch.cat([net.encoder(patch), counts], -1))

    edges = torch.linspace(0.0, 1.0, 9)
    net = module(torch, forward, encoder=image_encoder(torch, 3), head=dense(torch, 24, 16, 2), edges=edges)
    return Network(net, (torch.rand(2, 3, 16, 16),))


# Tables


@network()
def table_logistic(torch: Any) -> Network:
    """Logistic regression."""

    def forward(net: Any, values: Any) -> Any:
        return torch.sigmoid(net.linear(values))

    return Network(module(torch, forward, linear=torch.nn.Linear(20, 1)), (table(torch, 20),))


@network()
def table_impute_label(torch: Any) -> Network:
    """Missing values get the mean, the rest is clipped; probabilities and a label at the threshold."""

    def forward(net: Any, values: Any) -> Any:
        filled = torch.where(torch.isnan(values), net.mean, values).clamp(-5.0, 5.0)
        risk = torch.sigmoid(net.layers(filled))
        return torch.cat([1 - risk, risk], -1), (risk > 0.35).long()

    net = module(torch, forward, mean=torch.randn(13), layers=dense(torch, 13, 16, 16, 1))
    return Network(net, (with_gaps(torch, 2, 13),))


@network()
def table_missing_flags(torch: Any) -> Network:
    """Zeros for missing values, and a flag beside each."""

    def forward(net: Any, values: Any) -> Any:
        missing = torch.isnan(values)
        return net.layers(torch.cat([torch.nan_to_num(values), missing.float()], -1)).softmax(-1)

    return Network(module(torch, forward, layers=dense(torch, 26, 16, 3)), (with_gaps(torch, 2, 13),))


@network()
def table_plausible_range(torch: Any) -> Network:
    """Values no body can have (a typing error) count as missing and get the mean of the training data."""

    def forward(net: Any, values: Any) -> Any:
        wrong = (values < net.low) | (values > net.high) | torch.isnan(values)
        return torch.sigmoid(net.layers((torch.where(wrong, net.mean, values) - net.mean) / net.spread))

    limits = {"low": torch.tensor([20.0, 30.0, 30.0, 4.0]), "high": torch.tensor([300.0, 280.0, 43.0, 80.0])}
    usual = {"mean": torch.tensor([80.0, 125.0, 37.0, 18.0]), "spread": torch.tensor([18.0, 20.0, 0.8, 5.0])}
    net = module(torch, forward, layers=dense(torch, 4, 16, 1), **limits, **usual)
    return Network(net, (torch.tensor([[82.0, 130.0, 370.0, 20.0], [70.0, float("nan"), 36.6, 16.0]]),))


@network()
def table_unit_guess(torch: Any) -> Network:
    """Glucose above 40 cannot be in mmol/L: it is taken for mg/dL and divided by 18; creatinine likewise."""

    def forward(net: Any, values: Any) -> Any:
        glucose = torch.where(values[:, 0] > 40.0, values[:, 0] / 18.0, values[:, 0])
        creatinine = torch.where(values[:, 1] > 25.0, values[:, 1] / 88.4, values[:, 1])
        same = torch.stack([torch.log(glucose.clamp(min=0.1)), torch.log(creatinine.clamp(min=0.1))], -1)
        return net.layers(torch.cat([same, values[:, 2:]], -1))

    return Network(module(torch, forward, layers=dense(torch, 6, 16, 2)), (60 * torch.rand(2, 6),))


@network()
def table_log_regression(torch: Any) -> Network:
    """A regression on signed logarithms of laboratory values; a positive answer by softplus."""

    def forward(net: Any, values: Any) -> Any:
        return torch.nn.functional.softplus(net.layers(torch.log1p(values.abs()) * values.sign()))

    nn = torch.nn
    layers = nn.Sequential(nn.Linear(13, 16), nn.GELU(), nn.LayerNorm(16), nn.Linear(16, 1))
    return Network(module(torch, forward, layers=layers), (10 * table(torch, 13),))


@network()
def table_box_cox(torch: Any) -> Network:
    """A Box-Cox transform with an exponent per laboratory value, the logarithm where it is near zero."""

    def forward(net: Any, values: Any) -> Any:
        positive = values.clamp(min=1e-3)
        power = (positive**net.exponent - 1.0) / net.safe
        shaped = torch.where(net.exponent.abs() < 1e-3, torch.log(positive), power)
        return net.layers((shaped - net.mean) / net.spread)

    exponent = torch.tensor([0.0, 0.5, -0.3, 1.0, 0.0, 0.2])
    safe = torch.where(exponent == 0, torch.ones(6), exponent)
    parts = {"exponent": exponent, "safe": safe, "mean": torch.randn(6), "spread": 1 + torch.rand(6)}
    return Network(module(torch, forward, layers=dense(torch, 6, 16, 2), **parts), (5 * torch.rand(2, 6),))


@network()
def table_wide_and_deep(torch: Any) -> Network:
    """Wide and deep: raw values straight to the output, beside a deep part that also sees a category."""

    def forward(net: Any, values: Any, ward: Any) -> Any:
        deep = net.deep(torch.cat([values, net.wards(ward)], -1))
        return torch.sigmoid(net.last(torch.cat([torch.relu(deep), values], -1)))

    parts = {"wards": torch.nn.Embedding(10, 4), "deep": dense(torch, 12, 16, 16), "last": torch.nn.Linear(24, 1)}
    return Network(module(torch, forward, **parts), (table(torch, 8), torch.tensor([1, 2])))


@network()
def table_unknown_category(torch: Any) -> Network:
    """Category 0 means unknown: its embedding is masked out, and codes beyond the last count as unknown."""

    def forward(net: Any, values: Any, codes: Any) -> Any:
        known = torch.where((codes < 0) | (codes > 11), torch.zeros_like(codes), codes)
        mask = (known != 0).float()[..., None]
        mean = (net.codes(known) * mask).sum(1) / mask.sum(1).clamp(min=1.0)
        return net.layers(torch.cat([values, mean], -1)).softmax(-1)

    net = module(torch, forward, codes=torch.nn.Embedding(12, 4), layers=dense(torch, 10, 16, 3))
    return Network(net, (table(torch, 6), torch.tensor([[1, 0, 14], [3, 11, 0]])))


@network()
def table_one_hot(torch: Any) -> Network:
    """A blood group and a ward as one-hot vectors, made in the graph, beside the values."""

    def forward(net: Any, values: Any, group: Any, ward: Any) -> Any:
        groups = torch.nn.functional.one_hot(group, 8).float()
        wards = (ward[:, None] == net.wards).float()
        return net.layers(torch.cat([values, groups, wards], -1))

    net = module(torch, forward, layers=dense(torch, 19, 16, 2), wards=torch.arange(5))
    return Network(net, (table(torch, 6), torch.tensor([0, 7]), torch.tensor([4, 2])))


@network()
def table_age_heads(torch: Any) -> Network:
    """A head for children and one for adults; the raw age picks which of them answers."""

    def forward(net: Any, values: Any) -> Any:
        hidden = torch.relu(net.trunk(values))
        child = values[:, :1] < 18.0
        return torch.sigmoid(torch.where(child, net.child(hidden), net.adult(hidden)))

    linear = torch.nn.Linear
    net = module(torch, forward, trunk=dense(torch, 8, 16, 16), child=linear(16, 1), adult=linear(16, 1))
    return Network(net, (90 * torch.rand(2, 8),))


@network()
def table_sex_reference(torch: Any) -> Network:
    """Reference limits looked up by sex and age band; how far a value lies outside them is a feature."""

    def forward(net: Any, values: Any, sex: Any, age: Any) -> Any:
        band = (age[:, None] >= net.bands).long().sum(-1)
        low, high = net.low[sex * 4 + band], net.high[sex * 4 + band]
        beyond = torch.relu(low - values) + torch.relu(values - high)
        outside = ((values < low) | (values > high)).float()
        return net.layers(torch.cat([values, beyond, outside], -1))

    low = torch.randn(8, 5) - 1
    parts = {"low": low, "high": low + 2, "bands": torch.tensor([18.0, 40.0, 65.0])}
    inputs = (table(torch, 5), torch.tensor([0, 1]), torch.tensor([34.0, 71.0]))
    return Network(module(torch, forward, layers=dense(torch, 15, 16, 2), **parts), inputs)


@network()
def table_early_warning(torch: Any) -> Network:
    """An early-warning score by fixed thresholds on raw vital signs, beside a network; the larger counts."""

    def forward(net: Any, vitals: Any) -> Any:
        rate, pressure, temperature, oxygen = vitals.unbind(-1)
        points = (rate > 22.0).float() + (pressure <= 100.0).float() + 2 * (oxygen < 91.0).float()
        points = points + ((temperature < 35.0) | (temperature > 39.1)).float()
        risk = torch.sigmoid(net.layers((vitals - net.mean) / net.spread))[:, 0]
        return torch.maximum(risk, points / 5.0), points

    usual = {"mean": torch.tensor([18.0, 125.0, 37.0, 96.0]), "spread": torch.tensor([5.0, 20.0, 0.8, 3.0])}
    vitals = torch.tensor([[25.0, 95.0, 39.4, 90.0], [15.0, 120.0, 36.8, 98.0]])
    return Network(module(torch, forward, layers=dense(torch, 4, 16, 1), **usual), (vitals,))


@network()
def table_contraindication(torch: Any) -> Network:
    """Scores for six drugs; those the patient is allergic to, by a flag each, are ruled out before the softmax."""

    def forward(net: Any, values: Any, allergies: Any) -> Any:
        scores = net.layers(values).masked_fill(allergies, -1e4)
        return scores.softmax(-1), scores.topk(3, dim=-1).indices

    allergies = torch.tensor([[True, False, False, False, True, False], [False] * 6])
    return Network(module(torch, forward, layers=dense(torch, 10, 16, 6)), (table(torch, 10), allergies))


@network()
def table_dose_limits(torch: Any) -> Network:
    """A dose: by weight, cut where the kidneys are weak, never above the limit, and none where it is forbidden."""

    def forward(net: Any, values: Any, weight: Any, filtration: Any, forbidden: Any) -> Any:
        dose = weight * torch.nn.functional.softplus(net.layers(values)[:, 0])
        dose = torch.where(filtration < 30.0, 0.5 * dose, dose)
        dose = torch.where(forbidden > 0, torch.zeros_like(dose), dose)
        return torch.minimum(dose, torch.where(weight < 40.0, 15.0 * weight, torch.full_like(weight, 1000.0)))

    person = (torch.tensor([70.0, 20.0]), torch.tensor([25.0, 90.0]), torch.tensor([0, 1]))
    return Network(module(torch, forward, layers=dense(torch, 6, 16, 1)), (table(torch, 6), *person))


@network()
def table_transformer(torch: Any) -> Network:
    """TabTransformer: categories through a transformer, numbers beside it."""

    def forward(net: Any, values: Any, codes: Any) -> Any:
        tokens = net.codes(codes + net.offsets)
        mixed = net.layers(tokens).flatten(1)
        return net.head(torch.cat([mixed, net.norm(values)], -1))

    nn = torch.nn
    parts = {"codes": nn.Embedding(40, 16), "offsets": torch.tensor([0, 10, 20, 30]), "norm": nn.LayerNorm(6)}
    net = module(torch, forward, layers=transformer(torch, 16), head=dense(torch, 70, 32, 2), **parts)
    return Network(net, (table(torch, 6), torch.randint(0, 10, (2, 4))))


@network()
def table_ft_transformer(torch: Any) -> Network:
    """FT-Transformer: each number is a token; a missing one gets a learned token of its own."""

    def forward(net: Any, values: Any) -> Any:
        missing = torch.isnan(values)[..., None]
        tokens = torch.nan_to_num(values)[..., None] * net.weight + net.bias
        tokens = torch.where(missing, net.absent, tokens)
        tokens = torch.cat([net.token.expand(tokens.shape[0], -1, -1), tokens], 1)
        return net.head(net.layers(tokens)[:, 0])

    learned = {"weight": parameter(torch, 8, 16), "bias": parameter(torch, 8, 16), "absent": parameter(torch, 8, 16)}
    learned["token"] = parameter(torch, 1, 1, 16)
    net = module(torch, forward, layers=transformer(torch, 16), head=torch.nn.Linear(16, 2), **learned)
    return Network(net, (with_gaps(torch, 2, 8),))


@network()
def table_tabnet(torch: Any) -> Network:
    """Like TabNet: at each step a sparse mask, which fades with use, picks the raw columns that are read."""

    def forward(net: Any, values: Any) -> Any:
        values = net.norm(values)
        prior, hidden, answer = torch.ones_like(values), values, 0.0
        for attend, step in zip(net.attends, net.steps, strict=True):
            scores = attend(hidden) * prior
            mask = torch.relu(scores - scores.mean(-1, keepdim=True))
            mask = mask / mask.sum(-1, keepdim=True).clamp(min=1e-6)
            prior = prior * (1.3 - mask)
            both = step(values * mask)
            answer, hidden = answer + torch.relu(both[:, :8]), both[:, 8:]
        return net.head(answer)

    linear = torch.nn.Linear
    steps = [dense(torch, 10, 16, 18) for _ in range(3)]
    parts = {"norm": torch.nn.BatchNorm1d(10), "attends": [linear(10, 10) for _ in range(3)], "steps": steps}
    return Network(module(torch, forward, head=linear(8, 2), **parts), (table(torch, 10),))


@network()
def table_additive(torch: Any) -> Network:
    """A neural additive model: one small network for each column, summed."""

    def forward(net: Any, values: Any) -> Any:
        parts = [one(values[:, place : place + 1]) for place, one in enumerate(net.columns)]
        shares = torch.cat(parts, -1)
        return torch.sigmoid(shares.sum(-1, keepdim=True) + net.bias), shares

    columns = [dense(torch, 1, 8, 1) for _ in range(6)]
    return Network(module(torch, forward, columns=columns, bias=parameter(torch, 1)), (table(torch, 6),))


@network()
def table_prototypes(torch: Any) -> Network:
    """Near a stored case the answer is that case's: a softmax over negative distances to forty prototypes."""

    def forward(net: Any, values: Any) -> Any:
        distance = (net.layers(values)[:, None] - net.cases).pow(2).sum(-1)
        return (-distance).softmax(-1) @ net.labels

    labels = torch.nn.functional.one_hot(torch.arange(40) % 3, 3).float()
    net = module(torch, forward, layers=dense(torch, 7, 16, 4), cases=parameter(torch, 40, 4), labels=labels)
    return Network(net, (table(torch, 7),))


@network()
def table_experts_by_ward(torch: Any) -> Network:
    """A network per ward: all are run, and a one-hot vector of the ward picks the answer."""

    def forward(net: Any, values: Any, ward: Any) -> Any:
        answers = torch.stack([expert(values) for expert in net.experts], 1)
        chosen = torch.nn.functional.one_hot(ward, 3).float()[..., None]
        return torch.sigmoid((answers * chosen).sum(1))

    experts = [dense(torch, 8, 16, 1) for _ in range(3)]
    return Network(module(torch, forward, experts=experts), (table(torch, 8), torch.tensor([0, 2])))


@network()
def table_calibrated(torch: Any) -> Network:
    """Temperature, Platt scaling of each class, normalised again; the label and whether it is sure enough."""

    def forward(net: Any, values: Any) -> Any:
        scores = torch.sigmoid(net.slope * net.layers(values) / net.temperature + net.shift)
        answer = scores / scores.sum(-1, keepdim=True).clamp(min=1e-6)
        best = answer.max(-1)
        return answer, best.indices, best.values >= 0.6

    parts = {"temperature": torch.tensor([1.7]), "slope": torch.rand(4) + 0.5, "shift": torch.randn(4)}
    return Network(module(torch, forward, layers=dense(torch, 9, 16, 4), **parts), (table(torch, 9),))


@network()
def table_isotonic(torch: Any) -> Network:
    """Isotonic calibration as a table: the bin of the score is counted by comparisons, its value looked up."""

    def forward(net: Any, values: Any) -> Any:
        score = torch.sigmoid(net.layers(values))
        place = (score >= net.edges).long().sum(-1)
        return net.levels[place]

    parts = {"edges": torch.linspace(0.1, 0.9, 9), "levels": torch.linspace(0.02, 0.97, 10)}
    return Network(module(torch, forward, layers=dense(torch, 9, 16, 1), **parts), (table(torch, 9),))


@network()
def survival_hazards(torch: Any) -> Network:
    """Discrete survival: a hazard for each year, the curve as the sum of logarithms, the median as a label."""

    def forward(net: Any, values: Any) -> Any:
        hazard = torch.sigmoid(net.layers(values))
        curve = torch.exp(torch.cumsum(torch.log1p(-hazard.clamp(max=0.999)), -1))
        return curve, (curve > 0.5).long().sum(-1)

    return Network(module(torch, forward, layers=dense(torch, 10, 16, 8)), (table(torch, 10),))


@network()
def survival_cox(torch: Any) -> Network:
    """Cox: a relative risk, a baseline looked up by the asked year, their joint survival."""

    def forward(net: Any, values: Any, year: Any) -> Any:
        risk = net.linear(values).clamp(-6.0, 6.0).exp()
        return torch.exp(-net.baseline[year.clamp(0, 9)][:, None] * risk)

    net = module(torch, forward, linear=torch.nn.Linear(12, 1), baseline=torch.linspace(0.01, 0.5, 10))
    return Network(net, (table(torch, 12), torch.tensor([1, 7])))


@network()
def two_towers(torch: Any) -> Network:
    """A patient and a trial, each with a tower; the cosine of their codes is the match, if the age fits."""

    def forward(net: Any, patient: Any, trial: Any, age: Any, limits: Any) -> Any:
        match = torch.nn.functional.cosine_similarity(net.patient(patient), net.trial(trial))
        fits = (age >= limits[:, 0]) & (age <= limits[:, 1])
        return match * fits.float()

    net = module(torch, forward, patient=dense(torch, 12, 16, 8), trial=dense(torch, 6, 16, 8))
    limits = torch.tensor([[18.0, 65.0], [40.0, 90.0]])
    return Network(net, (table(torch, 12), table(torch, 6), torch.tensor([70.0, 55.0]), limits))


@network(("old",))
def table_scripted_branch(torch: Any) -> Network:
    """A scripted branch: where a whole batch is in mg/dL, it is converted first (an If in the graph)."""

    def to_common_unit(values):  # type: ignore[no-untyped-def]
        if bool(values.mean() > 40.0):
            values = values / 18.0
        return values

    convert = torch.jit.script(to_common_unit)

    def forward(net: Any, values: Any) -> Any:
        return net.layers(convert(values))

    return Network(module(torch, forward, layers=dense(torch, 6, 16, 2)), (80 + 20 * torch.rand(2, 6),))


@network(("new",))
def table_cond_branch(torch: Any) -> Network:
    """Conditional computation: the larger network runs only where the small one is in doubt (torch.cond)."""

    def forward(net: Any, values: Any) -> Any:
        first = torch.sigmoid(net.small(values))
        doubt = ((first - 0.5).abs() < 0.2).any()

        def ask_again(values: Any, first: Any) -> Any:
            return 0.5 * first + 0.5 * torch.sigmoid(net.large(values))

        def keep(values: Any, first: Any) -> Any:
            return first.clone()

        return torch.cond(doubt, ask_again, keep, (values, first))

    net = module(torch, forward, small=torch.nn.Linear(8, 1), large=dense(torch, 8, 32, 1))
    return Network(net, (table(torch, 8),))


# Series of measurements


def gaps_and_cell(torch: Any, cell: Any) -> Network:
    """Zeros for missing values with a flag beside each, then a recurrent layer."""

    def forward(net: Any, stay: Any) -> Any:
        missing = torch.isnan(stay)
        states, _ = net.cell(torch.cat([torch.nan_to_num(stay), missing.float()], -1))
        return torch.sigmoid(net.head(states[:, -1]))

    net = module(torch, forward, cell=cell(34, 16, batch_first=True), head=torch.nn.Linear(16, 1))
    return Network(net, (with_gaps(torch, 2, 24, 17),))


@network()
def icu_gru(torch: Any) -> Network:
    """A GRU over hours with gaps."""
    return gaps_and_cell(torch, torch.nn.GRU)


@network()
def icu_lstm(torch: Any) -> Network:
    """An LSTM over hours with gaps."""
    return gaps_and_cell(torch, torch.nn.LSTM)


@network()
def icu_mask_input(torch: Any) -> Network:
    """Values, a mask of what was measured and static data as three inputs; the mean over measured hours."""

    def forward(net: Any, stay: Any, mask: Any, person: Any) -> Any:
        filled = torch.where(mask > 0.5, stay, net.mean)
        states, _ = net.gru(torch.cat([filled, mask], -1))
        seen = mask.amax(-1, keepdim=True)
        pooled = (states * seen).sum(1) / seen.sum(1).clamp(min=1.0)
        return torch.sigmoid(net.head(torch.cat([pooled, person], -1)))

    nn = torch.nn
    parts = {"mean": parameter(torch, 17), "gru": nn.GRU(34, 16, batch_first=True), "head": nn.Linear(20, 1)}
    inputs = (torch.randn(2, 24, 17), observed(torch, 2, 24, 17), table(torch, 4))
    return Network(module(torch, forward, **parts), inputs)


@network()
def icu_gru_d(torch: Any) -> Network:
    """GRU-D: a missing value fades from the last one seen to the mean, and so does the state."""

    def forward(net: Any, stay: Any, mask: Any, since: Any) -> Any:
        state = torch.zeros(stay.shape[0], 16)
        last = net.mean.expand(stay.shape[0], -1)
        for hour in range(6):
            seen = mask[:, hour]
            last = torch.where(seen > 0, stay[:, hour], last)
            fade = torch.exp(-torch.relu(net.fade_value(since[:, hour])))
            value = seen * stay[:, hour] + (1 - seen) * (fade * last + (1 - fade) * net.mean)
            state = state * torch.exp(-torch.relu(net.fade_state(since[:, hour])))
            state = net.cell(torch.cat([value, seen], -1), state)
        return torch.sigmoid(net.head(state))

    nn = torch.nn
    parts = {"fade_value": nn.Linear(8, 8), "fade_state": nn.Linear(8, 16), "mean": parameter(torch, 8)}
    net = module(torch, forward, cell=nn.GRUCell(16, 16), head=nn.Linear(16, 1), **parts)
    return Network(net, (torch.randn(2, 6, 8), observed(torch, 2, 6, 8), torch.rand(2, 6, 8)))


@network()
def icu_forward_fill(torch: Any) -> Network:
    """The last value seen is carried forward; where there is none yet, the mean."""

    def forward(net: Any, stay: Any) -> Any:
        seen = ~torch.isnan(stay)
        place = torch.where(seen, net.hours[None, :, None], torch.full_like(stay, -1.0))
        earlier = torch.where(net.before[None, :, :, None], place[:, None], torch.full_like(place[:, None], -1.0))
        latest = earlier.amax(2)
        carried = torch.gather(torch.nan_to_num(stay), 1, latest.clamp(min=0.0).long())
        filled = torch.where(latest < 0, net.mean, carried)
        states, _ = net.gru(filled)
        return net.head(states[:, -1])

    nn = torch.nn
    parts = {"hours": torch.arange(12).float(), "before": torch.ones(12, 12).tril().bool(), "mean": torch.randn(9)}
    net = module(torch, forward, gru=nn.GRU(9, 16, batch_first=True), head=nn.Linear(16, 2), **parts)
    return Network(net, (with_gaps(torch, 2, 12, 9),))


@network()
def icu_forward_fill_unrolled(torch: Any) -> Network:
    """The same hour by hour, as a chain of Where."""

    def forward(net: Any, stay: Any) -> Any:
        last, filled = net.mean.expand(stay.shape[0], -1), []
        for hour in range(8):
            last = torch.where(torch.isnan(stay[:, hour]), last, stay[:, hour])
            filled.append(last)
        return torch.sigmoid(net.layers(torch.cat(filled, -1)))

    net = module(torch, forward, layers=dense(torch, 40, 16, 1), mean=torch.randn(5))
    return Network(net, (with_gaps(torch, 2, 8, 5),))


@network()
def icu_last_valid(torch: Any) -> Network:
    """The state at the last hour with any measurement is looked up and classified."""

    def forward(net: Any, stay: Any) -> Any:
        seen = (~torch.isnan(stay)).any(-1)
        last = torch.where(seen, net.hours, torch.zeros_like(net.hours)).amax(1)
        states, _ = net.gru(torch.nan_to_num(stay))
        chosen = torch.gather(states, 1, last[:, None, None].expand(-1, 1, 16))[:, 0]
        return net.head(chosen)

    nn = torch.nn
    parts = {"gru": nn.GRU(17, 16, batch_first=True), "head": nn.Linear(16, 1), "hours": torch.arange(24)}
    stay = with_gaps(torch, 2, 24, 17)
    stay[0, 15:] = float("nan")
    return Network(module(torch, forward, **parts), (stay,))


@network()
def icu_lengths(torch: Any) -> Network:
    """Stays of different lengths: the length is an input, later hours are masked, the last state gathered."""

    def forward(net: Any, stay: Any, length: Any) -> Any:
        inside = (net.hours[None] < length[:, None])[..., None]
        states, _ = net.gru(torch.where(inside, stay, torch.zeros_like(stay)))
        chosen = torch.gather(states, 1, (length - 1).clamp(min=0)[:, None, None].expand(-1, 1, 16))[:, 0]
        longest = states.masked_fill(~inside, -1e4).amax(1)
        return net.head(torch.cat([chosen, longest], -1)).softmax(-1)

    nn = torch.nn
    parts = {"gru": nn.GRU(7, 16, batch_first=True), "head": nn.Linear(32, 3), "hours": torch.arange(20)}
    return Network(module(torch, forward, **parts), (torch.randn(2, 20, 7), torch.tensor([20, 9])))


@network()
def icu_transformer_padding(torch: Any) -> Network:
    """A transformer for which an hour of nothing but zeros is padding."""

    def forward(net: Any, stay: Any) -> Any:
        padding = (stay == 0).all(-1)
        states = net.layers(net.first(stay), src_key_padding_mask=padding)
        kept = (~padding).float()[..., None]
        return net.head((states * kept).sum(1) / kept.sum(1).clamp(min=1.0))

    linear = torch.nn.Linear
    net = module(torch, forward, first=linear(12, 32), layers=transformer(torch), head=linear(32, 3))
    stay = torch.randn(2, 10, 12)
    stay[0, 7:] = 0.0
    return Network(net, (stay,))


@network()
def icu_causal_transformer(torch: Any) -> Network:
    """A causal transformer with sines for positions: an hourly risk, and whether it ever passes the alarm."""

    def forward(net: Any, stay: Any) -> Any:
        states = net.layers(net.first(stay) + net.places, mask=net.later, is_causal=True)
        risk = torch.sigmoid(net.head(states))[..., 0]
        return risk, (risk > 0.8).any(-1)

    angles = torch.arange(16)[:, None] / 1000 ** (torch.arange(16)[None] / 16)
    parts = {"places": torch.cat([angles.sin(), angles.cos()], -1), "later": torch.ones(16, 16).triu(1).bool()}
    linear = torch.nn.Linear
    net = module(torch, forward, first=linear(12, 32), layers=transformer(torch), head=linear(32, 1), **parts)
    return Network(net, (torch.randn(2, 16, 12),))


@network()
def icu_time_embedding(torch: Any) -> Network:
    """Irregular times: sines of the time since admission, attention to fixed query hours (as in mTAND)."""

    def forward(net: Any, stay: Any, times: Any, mask: Any) -> Any:
        keys = torch.sin(times[..., None] * net.rates + net.phases)
        scores = net.queries @ keys.transpose(1, 2)
        scores = torch.where(mask[:, None] > 0, scores, torch.full_like(scores, -1e4))
        _, last = net.gru(scores.softmax(-1) @ stay)
        return torch.sigmoid(net.head(last[0]))

    nn = torch.nn
    learned = {"rates": parameter(torch, 8), "phases": parameter(torch, 8), "queries": parameter(torch, 5, 8)}
    net = module(torch, forward, gru=nn.GRU(6, 16, batch_first=True), head=nn.Linear(16, 1), **learned)
    return Network(net, (torch.randn(2, 15, 6), 48 * torch.rand(2, 15), observed(torch, 2, 15)))


@network()
def visits_retain(torch: Any) -> Network:
    """RETAIN: visits read backwards, with a weight for each visit and each code."""

    def forward(net: Any, visits: Any) -> Any:
        codes = net.codes(visits)
        visit, _ = net.of_visit(codes.flip(1))
        code, _ = net.of_code(codes.flip(1))
        weight = net.score(visit.flip(1)).softmax(1)
        return torch.sigmoid(net.head((weight * torch.tanh(net.gate(code.flip(1))) * codes).sum(1)))

    nn = torch.nn
    cells = {"of_visit": nn.GRU(16, 16, batch_first=True), "of_code": nn.GRU(16, 16, batch_first=True)}
    parts = {"codes": nn.Linear(30, 16), "score": nn.Linear(16, 1), "gate": nn.Linear(16, 16), "head": nn.Linear(16, 1)}
    return Network(module(torch, forward, **parts, **cells), ((torch.rand(2, 7, 30) < 0.2).float(),))


@network()
def visits_with_age(torch: Any) -> Network:
    """Like BEHRT: tokens for codes, each with an embedding of the age in years and of the visit's number."""

    def forward(net: Any, codes: Any, ages: Any, visit: Any) -> Any:
        padding = codes == 0
        tokens = net.codes(codes) + net.ages(ages.clamp(0, 110)) + net.visits(visit % 2)
        return net.head(net.layers(tokens, src_key_padding_mask=padding)[:, 0])

    nn = torch.nn
    parts = {"codes": nn.Embedding(80, 32), "ages": nn.Embedding(111, 32), "visits": nn.Embedding(2, 32)}
    codes = torch.randint(1, 80, (2, 12))
    codes[0, 8:] = 0
    inputs = (codes, torch.randint(20, 90, (2, 12)), torch.arange(12).repeat(2, 1) // 3)
    return Network(module(torch, forward, layers=transformer(torch), head=nn.Linear(32, 5), **parts), inputs)


@network()
def notes_label_attention(torch: Any) -> Network:
    """Codes for a note: convolutions over words, and for each code an attention of its own (CAML)."""

    def forward(net: Any, words: Any) -> Any:
        hidden = torch.tanh(net.conv(net.words(words).transpose(1, 2)))
        scores = (net.queries @ hidden).masked_fill((words == 0)[:, None], -1e4)
        found = scores.softmax(-1) @ hidden.transpose(1, 2)
        return torch.sigmoid((found * net.weights).sum(-1) + net.bias)

    nn = torch.nn
    learned = {"queries": parameter(torch, 9, 16), "weights": parameter(torch, 9, 16), "bias": parameter(torch, 9)}
    net = module(torch, forward, words=nn.Embedding(200, 16), conv=nn.Conv1d(16, 16, 5, padding=2), **learned)
    words = torch.randint(1, 200, (2, 30))
    words[1, 20:] = 0
    return Network(net, (words,))


@network(("old",))
def icu_scripted_loop(torch: Any) -> Network:
    """A scripted loop over hours (a Loop in the graph): a running mean that skips missing values."""

    def running_mean(stay):  # type: ignore[no-untyped-def]
        mean = torch.zeros_like(stay[:, 0])
        for hour in range(stay.size(1)):
            value = stay[:, hour]
            mean = torch.where(torch.isnan(value), mean, 0.7 * mean + 0.3 * value)
        return mean

    smooth = torch.jit.script(running_mean)

    def forward(net: Any, stay: Any) -> Any:
        return torch.sigmoid(net.layers(smooth(stay)))

    return Network(module(torch, forward, layers=dense(torch, 5, 16, 1)), (with_gaps(torch, 2, 24, 5),))


# Transformers, from their configurations

SMALL_BERT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def pretrained_kind(
    torch: Any, config: Any, kind: Any, pick: str, inputs: tuple[Any, ...], order: tuple[str, ...]
) -> Network:
    """A randomly initialised model of transformers: what it is fed by name, and which of its answers counts."""
    config._attn_implementation = "eager"

    def forward_one(net: Any, values: Any) -> Any:
        return getattr(net.model(**{order[0]: values}), pick)

    def forward_two(net: Any, values: Any, mask: Any) -> Any:
        return getattr(net.model(**{order[0]: values, order[1]: mask}), pick)

    forward = forward_one if len(order) == 1 else forward_two
    return Network(module(torch, forward, model=kind(config)), inputs)


def words_and_mask(torch: Any) -> tuple[Any, Any]:
    """A note of twelve word pieces with its attention mask, one of the two padded."""
    words, mask = torch.randint(2, 100, (2, 12)), torch.ones(2, 12, dtype=torch.long)
    words[1, 9:], mask[1, 9:] = 1, 0
    return words, mask


@network(needs="transformers")
def notes_bert(torch: Any) -> Network:
    """BERT on clinical notes."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(vocab_size=100, max_position_embeddings=64, **SMALL_BERT)
    order = ("input_ids", "attention_mask")
    return pretrained_kind(torch, config, BertForSequenceClassification, "logits", words_and_mask(torch), order)


@network(needs="transformers")
def notes_distilbert(torch: Any) -> Network:
    """DistilBERT on clinical notes."""
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    config = DistilBertConfig(vocab_size=100, max_position_embeddings=64, dim=32, n_layers=2, n_heads=2, hidden_dim=64)
    order = ("input_ids", "attention_mask")
    return pretrained_kind(torch, config, DistilBertForSequenceClassification, "logits", words_and_mask(torch), order)


@network(needs="transformers")
def notes_roberta_tags(torch: Any) -> Network:
    """RoBERTa that tags words (positions are counted from the raw ids, skipping padding)."""
    from transformers import RobertaConfig, RobertaForTokenClassification

    config = RobertaConfig(vocab_size=100, max_position_embeddings=64, num_labels=5, **SMALL_BERT)
    order = ("input_ids", "attention_mask")
    return pretrained_kind(torch, config, RobertaForTokenClassification, "logits", words_and_mask(torch), order)


@network(needs="transformers")
def image_hf_vit(torch: Any) -> Network:
    """A vision transformer of transformers."""
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(image_size=32, patch_size=8, **SMALL_BERT)
    images = (torch.rand(2, 3, 32, 32),)
    return pretrained_kind(torch, config, ViTForImageClassification, "logits", images, ("pixel_values",))


@network(needs="transformers")
def image_hf_swin(torch: Any) -> Network:
    """A Swin transformer: attention in shifted windows."""
    from transformers import SwinConfig, SwinForImageClassification

    config = SwinConfig(image_size=32, patch_size=4, embed_dim=16, depths=[2, 2], num_heads=[2, 2], window_size=4)
    images = (torch.rand(2, 3, 32, 32),)
    return pretrained_kind(torch, config, SwinForImageClassification, "logits", images, ("pixel_values",))


@network(needs="transformers")
def image_hf_convnext(torch: Any) -> Network:
    """ConvNeXt."""
    from transformers import ConvNextConfig, ConvNextForImageClassification

    config = ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 2, 1])
    images = (torch.rand(2, 3, 32, 32),)
    return pretrained_kind(torch, config, ConvNextForImageClassification, "logits", images, ("pixel_values",))


@network(needs="transformers")
def image_hf_segformer(torch: Any) -> Network:
    """SegFormer, for marking organs."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    sizes = {"hidden_sizes": [8, 16], "depths": [1, 1], "num_attention_heads": [1, 2], "sr_ratios": [2, 1]}
    shapes = {"patch_sizes": [7, 3], "strides": [4, 2], "mlp_ratios": [2, 2], "num_encoder_blocks": 2}
    config = SegformerConfig(decoder_hidden_size=16, num_labels=4, **sizes, **shapes)
    images = (torch.rand(2, 3, 32, 32),)
    return pretrained_kind(torch, config, SegformerForSemanticSegmentation, "logits", images, ("pixel_values",))


@network(needs="transformers")
def sound_hf_whisper(torch: Any) -> Network:
    """The encoder of Whisper on lung sounds, with a head."""
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    def forward(net: Any, spectrum: Any) -> Any:
        return net.head(net.encoder(spectrum).last_hidden_state.mean(1))

    sizes = {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64}
    config = WhisperConfig(num_mel_bins=20, max_source_positions=50, **sizes)
    config._attn_implementation = "eager"
    net = module(torch, forward, encoder=WhisperEncoder(config), head=torch.nn.Linear(32, 4))
    return Network(net, (torch.randn(2, 20, 100),))


@network(needs="transformers")
def cough_hf_ast(torch: Any) -> Network:
    """An audio spectrogram transformer on coughs."""
    from transformers import ASTConfig, ASTForAudioClassification

    config = ASTConfig(max_length=64, num_mel_bins=32, patch_size=16, **SMALL_BERT)
    sounds = (torch.randn(2, 64, 32),)
    return pretrained_kind(torch, config, ASTForAudioClassification, "logits", sounds, ("input_values",))


@network(needs="transformers")
def series_hf_time_series(torch: Any) -> Network:
    """The encoder of the time-series transformer: lags, scaling by what was observed, a forecast scaled back."""
    from transformers import TimeSeriesTransformerConfig, TimeSeriesTransformerModel

    def forward(net: Any, values: Any, features: Any, mask: Any) -> Any:
        inputs, centre, scale, _ = net.model.create_network_inputs(values, features, past_observed_mask=mask)
        states = net.model.encoder(inputs_embeds=inputs).last_hidden_state
        return net.head(states[:, -1]) * scale + centre

    config = TimeSeriesTransformerConfig(
        prediction_length=4, context_length=12, lags_sequence=[1, 2, 3], num_time_features=2, d_model=32,
        encoder_layers=2, decoder_layers=1, encoder_ffn_dim=64, decoder_ffn_dim=64,
    )  # fmt: skip
    config._attn_implementation = "eager"
    net = module(torch, forward, model=TimeSeriesTransformerModel(config), head=torch.nn.Linear(32, 4))
    return Network(net, (torch.randn(2, 15), torch.randn(2, 15, 2), observed(torch, 2, 15)))


@network(("new",), needs="transformers")
def series_hf_patchtst(torch: Any) -> Network:
    """PatchTST: patches of several vital signs, scaled by what was observed."""
    from transformers import PatchTSTConfig, PatchTSTForClassification

    sizes = {"d_model": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 64}
    config = PatchTSTConfig(
        num_input_channels=4, context_length=48, patch_length=8, patch_stride=8, num_targets=3, **sizes
    )
    stays = (torch.randn(2, 48, 4), torch.rand(2, 48, 4) < 0.8)
    order = ("past_values", "past_observed_mask")
    return pretrained_kind(torch, config, PatchTSTForClassification, "prediction_logits", stays, order)


# Keras


@keras_network
def keras_table_mlp(keras: Any) -> Any:
    """Numbers standardised by a layer with the training data's constants, two hidden layers with dropout."""
    layers = keras.layers
    rng = np.random.default_rng(0)
    norm = layers.Rescaling(scale=rng.uniform(0.2, 2, 12).tolist(), offset=rng.normal(size=12).tolist())
    values = keras.Input((12,), name="values")
    hidden = layers.Dropout(0.3)(layers.Dense(16, activation="relu")(norm(values)))
    return keras.Model(values, layers.Dense(3, activation="softmax")(layers.Dense(16, activation="relu")(hidden)))


@keras_network
def keras_table_categories(keras: Any) -> Any:
    """Wide and deep: an embedded category beside the numbers."""
    layers = keras.layers
    values, ward = keras.Input((8,), name="values"), keras.Input((1,), name="ward", dtype="int32")
    code = layers.Flatten()(layers.Embedding(10, 4)(ward))
    deep = layers.Dense(16, activation="relu")(layers.Concatenate()([values, code]))
    return keras.Model([values, ward], layers.Dense(1, activation="sigmoid")(layers.Concatenate()([deep, values])))


@keras_network
def keras_table_missing(keras: Any) -> Any:
    """Missing values replaced by zero with a flag beside each."""
    values = keras.Input((10,), name="values")
    missing = keras.ops.isnan(values)
    filled = keras.ops.where(missing, keras.ops.zeros_like(values), values)
    both = keras.ops.concatenate([filled, keras.ops.cast(missing, "float32")], -1)
    hidden = keras.layers.Dense(16, activation="relu")(both)
    return keras.Model(values, keras.layers.Dense(1, activation="sigmoid")(hidden))


@keras_network
def keras_table_age_heads(keras: Any) -> Any:
    """The raw age picks the head for children or for adults."""
    layers = keras.layers
    values = keras.Input((8,), name="values")
    hidden = layers.Dense(16, activation="relu")(values)
    child, adult = layers.Dense(2, activation="softmax")(hidden), layers.Dense(2, activation="softmax")(hidden)
    return keras.Model(values, keras.ops.where(values[:, :1] < 18.0, child, adult))


@keras_network
def keras_ecg_cnn(keras: Any) -> Any:
    """Convolutions with batch norm over three leads."""
    layers = keras.layers
    ecg = keras.Input((200, 3), name="ecg")
    hidden = ecg
    for width in (8, 16):
        hidden = layers.Conv1D(width, 7, strides=2, padding="same")(hidden)
        hidden = layers.ReLU()(layers.BatchNormalization()(hidden))
    return keras.Model(ecg, layers.Dense(5, activation="sigmoid")(layers.GlobalAveragePooling1D()(hidden)))


@keras_network
def keras_ecg_tcn(keras: Any) -> Any:
    """Causal dilated convolutions with residual steps."""
    layers = keras.layers
    ecg = keras.Input((64, 2), name="ecg")
    hidden = layers.Conv1D(8, 1)(ecg)
    for step in range(3):
        changed = layers.Conv1D(8, 3, padding="causal", dilation_rate=2**step, activation="relu")(hidden)
        hidden = layers.Add()([hidden, changed])
    return keras.Model(ecg, layers.Dense(2, activation="softmax")(hidden[:, -1]))


@keras_network
def keras_ecg_lead_off(keras: Any) -> Any:
    """A lead that hardly moves is zeroed before the convolutions."""
    layers = keras.layers
    ecg = keras.Input((200, 12), name="ecg")
    swing = keras.ops.max(ecg, axis=1, keepdims=True) - keras.ops.min(ecg, axis=1, keepdims=True)
    kept = ecg * keras.ops.cast(swing > 0.05, "float32")
    hidden = layers.Conv1D(8, 9, strides=4, activation="relu")(kept)
    return keras.Model(ecg, layers.Dense(3)(layers.GlobalMaxPooling1D()(hidden)))


@keras_network
def keras_icu_lstm_masking(keras: Any) -> Any:
    """An LSTM that skips hours whose values are all -1 (Masking)."""
    layers = keras.layers
    stay = keras.Input((24, 8), name="stay")
    hidden = layers.LSTM(16)(layers.Masking(-1.0)(stay))
    return keras.Model(stay, layers.Dense(1, activation="sigmoid")(hidden))


@keras_network
def keras_icu_bigru(keras: Any) -> Any:
    """A bidirectional GRU with a risk for every hour."""
    layers = keras.layers
    stay = keras.Input((24, 8), name="stay")
    hidden = layers.Bidirectional(layers.GRU(8, return_sequences=True))(stay)
    return keras.Model(stay, layers.TimeDistributed(layers.Dense(1, activation="sigmoid"))(hidden))


@keras_network
def keras_notes_attention(keras: Any) -> Any:
    """Word embeddings with padding masked, self-attention, the mean."""
    layers = keras.layers
    words = keras.Input((20,), name="words", dtype="int32")
    hidden = layers.Embedding(10, 16, mask_zero=True)(words)
    hidden = layers.LayerNormalization()(hidden + layers.MultiHeadAttention(2, 8)(hidden, hidden))
    return keras.Model(words, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling1D()(hidden)))


@keras_network
def keras_xray_cnn(keras: Any) -> Any:
    """Bytes scaled in the graph, then convolutions and pooling."""
    layers = keras.layers
    image = keras.Input((32, 32, 1), name="image")
    hidden = layers.Rescaling(1 / 255)(image)
    for width in (8, 16):
        hidden = layers.MaxPooling2D()(layers.Conv2D(width, 3, padding="same", activation="relu")(hidden))
    return keras.Model(image, layers.Dense(2, activation="softmax")(layers.Flatten()(hidden)))


@keras_network
def keras_xray_separable(keras: Any) -> Any:
    """Separable convolutions with squeeze-and-excitation."""
    layers = keras.layers
    image = keras.Input((32, 32, 3), name="image")
    hidden = layers.SeparableConv2D(8, 3, strides=2, padding="same", activation="swish")(image)
    gate = layers.Dense(8, activation="sigmoid")(layers.Dense(4, activation="relu")(_mean(keras, hidden)))
    hidden = layers.Multiply()([hidden, layers.Reshape((1, 1, 8))(gate)])
    return keras.Model(image, layers.Dense(14, activation="sigmoid")(_mean(keras, hidden)))


def _mean(keras: Any, hidden: Any) -> Any:
    return keras.layers.GlobalAveragePooling2D()(hidden)


@keras_network
def keras_mri_unet(keras: Any) -> Any:
    """A U-Net of two levels."""
    layers = keras.layers
    image = keras.Input((32, 32, 1), name="image")
    shallow = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    deep = layers.Conv2D(16, 3, padding="same", activation="relu")(layers.MaxPooling2D()(shallow))
    joined = layers.Concatenate()([layers.UpSampling2D(interpolation="bilinear")(deep), shallow])
    return keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid")(joined))


@keras_network
def keras_ct_autoencoder(keras: Any) -> Any:
    """Hounsfield units clipped and scaled, an autoencoder, the error of the reconstruction as a score."""
    layers = keras.layers
    units = keras.Input((32, 32, 1), name="units")
    image = (keras.ops.clip(units, -1000.0, 400.0) + 1000.0) / 1400.0
    code = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(image)
    again = layers.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid")(code)
    return keras.Model(units, [again, keras.ops.mean(keras.ops.square(again - image), axis=(1, 2, 3))])


@keras_network
def keras_photo_resizing(keras: Any) -> Any:
    """A photo resized in the graph, then a network and the label."""
    layers = keras.layers
    photo = keras.Input((48, 48, 3), name="photo")
    small = layers.Rescaling(1 / 127.5, offset=-1)(layers.Resizing(32, 32)(photo))
    hidden = layers.Conv2D(8, 3, strides=2, activation="relu")(small)
    answer = layers.Dense(7, activation="softmax")(_mean(keras, hidden))
    return keras.Model(photo, [answer, keras.ops.top_k(answer, 1)[1]])


@keras_network
def keras_image_and_table(keras: Any) -> Any:
    """An image and a table, joined late."""
    layers = keras.layers
    image, values = keras.Input((32, 32, 1), name="image"), keras.Input((9,), name="values")
    hidden = _mean(keras, layers.Conv2D(8, 3, strides=2, activation="relu")(image))
    joined = layers.Concatenate()([hidden, layers.Dense(8, activation="relu")(values)])
    return keras.Model([image, values], layers.Dense(1, activation="sigmoid")(joined))


def write_keras(folder: Path) -> None:
    """Export every Keras model into a folder, each with what it was fed and what it answered (in a process of its
    own, with tensorflow on the path)."""
    import keras
    import tensorflow as tf
    import tf2onnx

    for name, build in KERAS_RECIPES.items():
        try:
            keras.utils.clear_session()
            keras.utils.set_random_seed(seed_of(name))
            _write_keras_model(tf, tf2onnx, build(keras), folder / f"{name}.onnx")
        except Exception as error:  # noqa: BLE001 - the table says why
            (folder / f"{name}.txt").write_text(reason(error))


def _write_keras_model(tf: Any, tf2onnx: Any, model: Any, path: Path) -> None:
    rng = np.random.default_rng(0)
    model.set_weights([weight + rng.normal(0, 0.02, weight.shape) for weight in model.get_weights()])
    signature = [tf.TensorSpec([None, *one.shape[1:]], one.dtype, name=one.name) for one in model.inputs]

    def answer(*tensors: Any) -> Any:
        return model(list(tensors) if len(tensors) > 1 else tensors[0], training=False)

    graph = tf.function(answer, input_signature=signature)
    feeds = {}
    for one in model.inputs:
        shape = (3, *one.shape[1:])
        whole = one.dtype.startswith("int")
        feeds[one.name] = (rng.integers(0, 10, shape) if whole else rng.normal(size=shape)).astype(one.dtype)
    expected = graph(*[tf.constant(feeds[one.name]) for one in model.inputs])
    expected = [np.asarray(one) for one in (expected if isinstance(expected, list | tuple) else [expected])]
    tf2onnx.convert.from_function(graph, input_signature=signature, opset=OLD_OPSET, output_path=str(path))
    outputs = {f"expected {place}": one for place, one in enumerate(expected)}
    np.savez(path.with_suffix(".npz"), **{f"feed {name}": value for name, value in feeds.items()}, **outputs)


# scikit-learn and trees


class Fitted(NamedTuple):
    """A model of scikit-learn or of a tree library, to be trained on a table."""

    name: str
    model: Any
    values: np.ndarray
    target: np.ndarray | None
    options: dict[str, Any] = {}


class Patients(NamedTuple):
    """A random table: complete, with gaps, positive (as laboratory values are), and four kinds of target."""

    values: np.ndarray
    gaps: np.ndarray
    positive: np.ndarray
    ill: np.ndarray
    stage: np.ndarray
    dose: np.ndarray
    both: np.ndarray


def patients() -> Patients:
    """Two hundred random patients with twelve values each."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 12)).astype(np.float32)
    gaps = np.where(rng.random(values.shape) < 0.1, np.float32("nan"), values)
    ill = (values[:, 0] + values[:, 1] * values[:, 2] > 0).astype(np.int64)
    stage = np.digitize(values[:, 0], [-0.5, 0.5])
    dose = np.exp(0.3 * values[:, 0] + 0.1 * rng.normal(size=200)).astype(np.float32)
    return Patients(values, gaps, np.exp(values), ill, stage, dose, np.stack([ill, (stage > 0).astype(np.int64)], 1))


def classifiers(p: Patients) -> list[Fitted]:
    """Classifiers alone."""
    from sklearn import discriminant_analysis as da
    from sklearn import ensemble, linear_model, naive_bayes, neighbors, neural_network, svm, tree

    mlp, forest = neural_network.MLPClassifier, ensemble.RandomForestClassifier
    plain = {"zipmap": False}
    return [
        Fitted("logistic", linear_model.LogisticRegression(), p.values, p.ill),
        Fitted("logistic-stages", linear_model.LogisticRegression(), p.values, p.stage, plain),
        Fitted("sgd-huber", linear_model.SGDClassifier(loss="modified_huber", random_state=0), p.values, p.ill),
        Fitted("mlp", mlp((16, 16), max_iter=50, random_state=0), p.values, p.ill),
        Fitted("mlp-two-labels", mlp((16,), max_iter=50, random_state=0), p.values, p.both, plain),
        Fitted("forest", forest(10, random_state=0), p.values, p.ill),
        Fitted("forest-plain", forest(5, random_state=0), p.values, p.stage, plain),
        Fitted("extra-trees", ensemble.ExtraTreesClassifier(5, max_depth=5, random_state=0), p.values, p.stage),
        Fitted("boosting", ensemble.GradientBoostingClassifier(n_estimators=10, random_state=0), p.values, p.ill),
        Fitted("hist-boosting-gaps", ensemble.HistGradientBoostingClassifier(max_iter=10), p.gaps, p.ill),
        Fitted("adaboost", ensemble.AdaBoostClassifier(n_estimators=5, random_state=0), p.values, p.ill),
        Fitted("svc", svm.SVC(), p.values, p.ill),
        Fitted("linear-svc", svm.LinearSVC(random_state=0), p.values, p.ill),
        Fitted("neighbours", neighbors.KNeighborsClassifier(), p.values, p.ill),
        Fitted("bayes-normal", naive_bayes.GaussianNB(), p.values, p.stage),
        Fitted("bayes-binary", naive_bayes.BernoulliNB(binarize=0.5), p.values, p.ill),
        Fitted("tree", tree.DecisionTreeClassifier(max_depth=4, random_state=0), p.values, p.ill),
        Fitted("lda", da.LinearDiscriminantAnalysis(), p.values, p.stage),
        Fitted("qda", da.QuadraticDiscriminantAnalysis(), p.values, p.stage),
    ]


def pipelines(p: Patients) -> list[Fitted]:
    """Preparation and a model in one graph: imputing, scaling, binning, choosing columns."""
    from sklearn import (
        compose,
        decomposition,
        ensemble,
        feature_selection,
        impute,
        linear_model,
        neural_network,
        pipeline,
        svm,
    )
    from sklearn import preprocessing as prep

    def logistic(*steps: Any) -> Any:
        return pipeline.make_pipeline(*steps, linear_model.LogisticRegression(max_iter=200))

    scaled = pipeline.make_pipeline(impute.SimpleImputer(), prep.StandardScaler())
    columns = [
        ("numbers", scaled, [0, 1, 2, 3, 4, 5, 6, 7]),
        ("bins", prep.KBinsDiscretizer(3, encode="onehot-dense"), [8, 9]),
    ]
    mixed = compose.ColumnTransformer([*columns, ("rest", "passthrough", [10, 11])])
    some_gaps = np.concatenate([p.gaps[:, :8], p.values[:, 8:]], 1)
    zeros = np.where(np.isnan(p.gaps), np.float32(-1), p.gaps)
    clipped = prep.MinMaxScaler(clip=True)
    mlp = neural_network.MLPClassifier((16,), max_iter=50, random_state=0)
    median = impute.SimpleImputer(strategy="median")
    forest = ensemble.RandomForestClassifier(5, random_state=0)
    pca = pipeline.make_pipeline(decomposition.PCA(4, random_state=0), svm.SVR())
    power = prep.PowerTransformer("box-cox")
    quantile = prep.QuantileTransformer(n_quantiles=20, random_state=0)
    return [
        Fitted("impute-scale-logistic", logistic(impute.SimpleImputer(), prep.StandardScaler()), p.gaps, p.ill),
        Fitted("impute-code-logistic", logistic(impute.SimpleImputer(missing_values=-1.0)), zeros, p.ill),
        Fitted("impute-clip-mlp", pipeline.make_pipeline(median, clipped, mlp), p.gaps, p.ill),
        Fitted("impute-constant", logistic(impute.SimpleImputer(strategy="constant", fill_value=0)), p.gaps, p.ill),
        Fitted("impute-neighbours", logistic(impute.KNNImputer(n_neighbors=2)), p.gaps, p.ill),
        Fitted("robust-forest", pipeline.make_pipeline(prep.RobustScaler(), forest), p.values, p.ill),
        Fitted("bins-logistic", logistic(prep.KBinsDiscretizer(5, encode="onehot-dense")), p.values, p.ill),
        Fitted("polynomial-logistic", logistic(prep.PolynomialFeatures(2)), p.values, p.ill),
        Fitted("pca-svr", pca, p.values, p.dose),
        Fitted("unit-norm-logistic", logistic(prep.Normalizer()), p.values, p.ill),
        Fitted("binarised-logistic", logistic(prep.Binarizer(threshold=0.3)), p.values, p.ill),
        Fitted("yeo-johnson-logistic", logistic(prep.PowerTransformer()), p.values, p.ill),
        Fitted("box-cox-logistic", logistic(power), p.positive, p.ill),
        Fitted("quantile-logistic", logistic(quantile), p.values, p.ill),
        Fitted("best-columns", logistic(feature_selection.SelectKBest(k=5)), p.values, p.ill),
        Fitted("columns", logistic(mixed), some_gaps, p.ill),
    ]


def ensembles(p: Patients) -> list[Fitted]:
    """Several models in one, and calibration."""
    from sklearn import calibration, ensemble, linear_model, multiclass, multioutput, tree

    logistic = linear_model.LogisticRegression()
    shallow = tree.DecisionTreeClassifier(max_depth=3, random_state=0)
    pair = [("line", logistic), ("tree", shallow)]
    isotonic = calibration.CalibratedClassifierCV(shallow, method="isotonic", cv=2)
    return [
        Fitted("platt", calibration.CalibratedClassifierCV(logistic, cv=2), p.values, p.ill),
        Fitted("isotonic", isotonic, p.values, p.ill),
        Fitted("vote-soft", ensemble.VotingClassifier(pair, voting="soft", flatten_transform=False), p.values, p.ill),
        Fitted("vote-hard", ensemble.VotingClassifier(pair, voting="hard", flatten_transform=False), p.values, p.ill),
        Fitted("stack", ensemble.StackingClassifier(pair, cv=2), p.values, p.ill),
        Fitted("bagging", ensemble.BaggingClassifier(logistic, n_estimators=3, random_state=0), p.values, p.ill),
        Fitted("one-against-rest", multiclass.OneVsRestClassifier(logistic), p.values, p.stage),
        Fitted("two-targets", multioutput.MultiOutputClassifier(logistic), p.values, p.both),
    ]


def regressors(p: Patients) -> list[Fitted]:
    """Doses, times and scores."""
    from sklearn import cluster, ensemble, linear_model, mixture, neural_network, svm
    from sklearn.gaussian_process import GaussianProcessRegressor

    return [
        Fitted("ridge", linear_model.Ridge(), p.values, p.dose),
        Fitted("lasso", linear_model.Lasso(0.05), p.values, p.dose),
        Fitted("poisson", linear_model.PoissonRegressor(), p.values, p.dose),
        Fitted(
            "mlp-dose",
            neural_network.MLPRegressor(hidden_layer_sizes=(16,), max_iter=50, random_state=0),
            p.values,
            p.dose,
        ),
        Fitted("extra-trees-dose", ensemble.ExtraTreesRegressor(5, max_depth=6, random_state=0), p.values, p.dose),
        Fitted("hist-boosting-dose", ensemble.HistGradientBoostingRegressor(max_iter=10), p.gaps, p.dose),
        Fitted("gaussian-process-dose", GaussianProcessRegressor(alpha=0.1), p.values[:50], p.dose[:50]),
        Fitted("isolation-forest", ensemble.IsolationForest(n_estimators=5, random_state=0), p.values, None),
        Fitted("one-class", svm.OneClassSVM(), p.values, None),
        Fitted("mixture", mixture.GaussianMixture(3, random_state=0), p.values, None),
        Fitted("clusters", cluster.KMeans(3, n_init=2, random_state=0), p.values, None),
    ]


def sklearn_rows(folder: Path, only: str) -> Iterator[Row]:
    """Every model of scikit-learn."""
    from skl2onnx import to_onnx

    every = patients()
    for group in (classifiers, pipelines, ensembles, regressors):
        for one in group(every):
            if only in one.name:

                def write(path: Path, one: Fitted = one) -> list[Any]:
                    one.model.fit(one.values, one.target)
                    options = one.options or None
                    made = to_onnx(one.model, one.values[:1], target_opset=SKLEARN_OPSETS, options=options)
                    path.write_bytes(made.SerializeToString())
                    return [one.model.predict(one.values[:20])]

                yield attempt(folder, f"sk-{one.name}", "skl2onnx", {"X": one.values[:20]}, write)
    if only in "table-with-words":
        yield words_and_numbers(folder, every)


def words_and_numbers(folder: Path, p: Patients) -> Row:
    """A pipeline with an input for each column, two of them words, which are one-hot encoded."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn import compose, impute, linear_model, pipeline
    from sklearn import preprocessing as prep

    sex = np.where(p.ill == 1, "f", "m")
    pain = np.array(["none", "typical", "atypical"])[p.stage]
    data = np.stack([p.values[:, 0].astype(object), p.gaps[:, 1].astype(object), sex, pain], 1)
    numbers = pipeline.make_pipeline(impute.SimpleImputer(), prep.StandardScaler())
    words = prep.OneHotEncoder(handle_unknown="ignore")
    columns = compose.ColumnTransformer([("numbers", numbers, [0, 1]), ("words", words, [2, 3])])
    model = pipeline.make_pipeline(columns, linear_model.LogisticRegression())
    kinds = {"age": FloatTensorType, "pressure": FloatTensorType, "sex": StringTensorType, "pain": StringTensorType}

    def write(path: Path) -> list[Any]:
        model.fit(data, p.ill)
        types = [(name, kind([None, 1])) for name, kind in kinds.items()]
        made = convert_sklearn(model, name="words", initial_types=types, target_opset=SKLEARN_OPSETS)
        path.write_bytes(made.SerializeToString())
        return [model.predict(data[:20])]

    feeds = {}
    for place, (name, kind) in enumerate(kinds.items()):
        feeds[name] = data[:20, place : place + 1].astype(np.float32 if kind is FloatTensorType else object)
    return attempt(folder, "sk-table-with-words", "skl2onnx", feeds, write)


def lightgbm_models(p: Patients) -> list[Fitted]:
    """LightGBM: two classes and three, doses, missing values, a categorical column."""
    import lightgbm

    few = {"n_estimators": 8, "n_jobs": 1, "verbose": -1}
    ward = p.values.copy()
    ward[:, 3] = p.stage
    return [
        Fitted("lgbm-gaps", lightgbm.LGBMClassifier(**few), p.gaps, p.ill),
        Fitted("lgbm-stages", lightgbm.LGBMClassifier(**few), p.values, p.stage),
        Fitted("lgbm-ward", lightgbm.LGBMClassifier(**few), ward, p.ill, {"categorical_feature": [3]}),
        Fitted("lgbm-dart", lightgbm.LGBMClassifier(boosting_type="dart", random_state=0, **few), p.values, p.ill),
        Fitted("lgbm-dose", lightgbm.LGBMRegressor(**few), p.gaps, p.dose),
        Fitted("lgbm-poisson", lightgbm.LGBMRegressor(objective="poisson", **few), p.values, p.dose),
    ]


def xgboost_models(p: Patients) -> list[Fitted]:
    """XGBoost: two classes and three, doses, survival, missing values."""
    import xgboost

    few = {"n_estimators": 8, "n_jobs": 1}
    return [
        Fitted("xgb", xgboost.XGBClassifier(**few), p.values, p.ill),
        Fitted("xgb-gaps", xgboost.XGBClassifier(**few), p.gaps, p.ill),
        Fitted("xgb-stages", xgboost.XGBClassifier(**few), p.values, p.stage),
        Fitted("xgb-dose", xgboost.XGBRegressor(**few), p.gaps, p.dose),
        Fitted("xgb-forest", xgboost.XGBRFClassifier(**few, random_state=0), p.values, p.ill),
    ]


def tree_rows(folder: Path, only: str, library: str) -> Iterator[Row]:
    """Every model of LightGBM or XGBoost."""
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    convert = {"lightgbm": onnxmltools.convert_lightgbm, "xgboost": onnxmltools.convert_xgboost}[library]
    models = {"lightgbm": lightgbm_models, "xgboost": xgboost_models}[library]
    for one in models(patients()):
        if only in one.name:

            def write(path: Path, one: Fitted = one) -> list[Any]:
                one.model.fit(one.values, one.target, **one.options)
                types = [("values", FloatTensorType([None, 12]))]
                made = convert(one.model, name=one.name, initial_types=types, target_opset=TREE_OPSET)
                path.write_bytes(made.SerializeToString())
                return [one.model.predict(one.values[:20])]

            yield attempt(folder, one.name, f"onnxmltools-{library}", {"values": one.values[:20]}, write)


# Exporting and checking


def seed_of(name: str) -> int:
    """A fixed seed for each model."""
    return zlib.crc32(name.encode()) % 10_000


def reason(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:140]}"


def installed(*packages: str) -> bool:
    """Whether all of these can be imported; the first that cannot is named."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            print(f"left out: {package} is not installed", flush=True)
            return False
    return True


def answers(path: Path, feeds: dict[str, np.ndarray]) -> list[Any]:
    """What onnxruntime answers; the inputs are cut to the batch and cast to the type that the file declares."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    fed = {}
    for one in session.get_inputs():
        value = feeds[one.name]
        if isinstance(one.shape[0], int):
            value = value[: one.shape[0]]
        fed[one.name] = value.astype(np.float16) if one.type == "tensor(float16)" else value
    return session.run(None, fed)


def verdict(found: list[Any], expected: list[Any], tolerance: float) -> str:
    """Whether answers are finite and agree with the model; labels may differ in one row of ten (rounding)."""
    for place, answer in enumerate(found):
        if not isinstance(answer, np.ndarray):
            continue
        if answer.dtype.kind == "f" and not np.isfinite(answer).all():
            return f"output {place} is not finite"
        if place >= len(expected):
            continue
        wanted = np.asarray(expected[place])
        if answer.size < wanted.size:  # the file's batch is fixed
            wanted = wanted[: len(answer)]
        if answer.size != wanted.size:
            return f"output {place} has the shape {answer.shape}, the model {wanted.shape}"
        wanted = wanted.reshape(answer.shape)
        if answer.dtype.kind == "f":
            gap = np.abs(answer - wanted).max() / max(1.0, np.abs(wanted).max())
            if gap > tolerance:
                return f"output {place} is {gap:.2g} off the model"
        elif np.mean(answer != wanted) > 0.1:
            return f"output {place}: {np.mean(answer != wanted):.0%} of the labels differ from the model"
    return "ok"


def attempt(
    folder: Path,
    name: str,
    exporter: str,
    feeds: dict[str, np.ndarray],
    write: Callable[[Path], list[Any]],
    tolerance: float = TOLERANCE,
) -> Row:
    """Write one file, check it, and keep it only if it works. Writing returns the model's own answers."""
    import onnx

    path = folder / f"{name}.onnx"
    nodes = size = 0
    try:
        with quiet():
            expected = write(path)
        size = path.stat().st_size
        nodes = len(onnx.load(path).graph.node)
        said = verdict(answers(path, feeds), expected, tolerance)
    except Exception as error:  # noqa: BLE001 - the table says why
        said = reason(error)
    if said != "ok":
        path.unlink(missing_ok=True)
    return Row(name, exporter, nodes, size, said)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No chatter of exporters."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def as_if_trained(torch: Any, net: Any) -> Any:
    """Jitter every weight and every running statistic, so that no scale is exactly one and no bias zero."""
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
        for name, values in net.named_buffers():
            if name.endswith("running_mean"):
                values.normal_(0.0, 0.2)
            elif name.endswith("running_var"):
                values.uniform_(0.5, 1.5)
    return net.eval()


def input_names(net: Any) -> list[str]:
    """The arguments of a network's forward pass."""
    code = type(net).forward.__code__
    return list(code.co_varnames[1 : code.co_argcount])


def write_old(torch: Any, made: Network, names: list[str], path: Path) -> None:
    """PyTorch's old exporter, by tracing."""
    axes = {name: {0: "batch"} for name in names}
    options = {"opset_version": OLD_OPSET, "input_names": names, "dynamic_axes": axes}
    torch.onnx.export(made.net, made.inputs, str(path), dynamo=False, **options)


def write_new(torch: Any, made: Network, names: list[str], path: Path) -> None:
    """PyTorch's new exporter, by torch.export; the batch is free where the network allows it."""
    shapes = tuple({0: torch.export.Dim.AUTO} for _ in names)
    options = {"opset_version": NEW_OPSET, "input_names": names, "dynamic_shapes": shapes}
    program = torch.onnx.export(made.net, made.inputs, dynamo=True, verbose=False, **options)
    program.save(str(path), include_initializers=True, external_data=False)


def torch_rows(folder: Path, only: str) -> Iterator[Row]:
    """Every PyTorch network through both exporters."""
    import torch

    torch.set_num_threads(1)
    writers = {"old": write_old, "new": write_new}
    missing = [needs for needs in sorted({recipe.needs for recipe in RECIPES}) if not installed(needs)]
    if not installed("onnxscript"):
        writers.pop("new")
    for recipe in RECIPES:
        if only not in recipe.name or recipe.needs in missing:
            continue
        for exporter in recipe.exporters:
            if exporter in writers:
                yield torch_row(torch, folder, recipe, exporter, writers[exporter])


def torch_row(torch: Any, folder: Path, recipe: Recipe, exporter: str, writer: Callable[..., None]) -> Row:
    """One network through one exporter; it is built anew, since exporters leave traces in what they touch."""
    name, label = f"{recipe.name}.{exporter}", f"torch-{exporter}"
    torch.manual_seed(seed_of(recipe.name))
    try:
        with quiet(), torch.no_grad():
            made = recipe.build(torch)
            as_if_trained(torch, made.net)
            batch = tuple(one[[0, 1, 0]] for one in made.inputs)
            found = made.net(*batch)
    except Exception as error:  # noqa: BLE001 - the table says why
        return Row(name, label, 0, 0, reason(error))
    expected = [one.numpy() for one in (found if isinstance(found, tuple) else (found,))]
    names = input_names(made.net)

    def write(path: Path) -> list[Any]:
        writer(torch, made, names, path)
        return expected

    feeds = {argument: value.numpy() for argument, value in zip(names, batch, strict=True)}
    return attempt(folder, name, label, feeds, write)


def keras_rows(folder: Path, only: str, packages: str) -> Iterator[Row]:
    """Every Keras model, written by a process that has tensorflow on its path."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(__file__).resolve().parents[2]
        path = os.pathsep.join([packages, str(root)])
        environment = {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "-1", "PYTHONHASHSEED": "0"}
        command = [sys.executable, "-m", "benchmarks.trigger_zoo.exports", scratch, "--write-keras"]
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"left out: tf2onnx ({done.stderr.strip().splitlines()[-1:]})", flush=True)
            return
        for name in KERAS_RECIPES:
            if only in name:
                yield _keras_row(folder, name, Path(scratch) / name)


def _keras_row(folder: Path, name: str, written: Path) -> Row:
    failed = written.with_suffix(".txt")
    if failed.exists():
        return Row(name, "tf2onnx", 0, 0, failed.read_text())
    with np.load(written.with_suffix(".npz")) as data:
        feeds = {key.removeprefix("feed "): data[key] for key in data.files if key.startswith("feed ")}
        expected = [data[key] for key in data.files if key.startswith("expected ")]

    def write(path: Path) -> list[Any]:
        path.write_bytes(written.with_suffix(".onnx").read_bytes())
        return expected

    return attempt(folder, name, "tf2onnx", feeds, write)


# Derived files: quantised, float16, optimised

DERIVED = {
    "ecg-cnn.old": ("static", "dynamic"),
    "xray-resnet.old": ("static", "half", "half-inside"),
    "table-wide-and-deep.old": ("dynamic",),
    "notes-bert.old": ("dynamic", "fused", "half-inside"),
    "mri-unet.old": ("half-inside", "optimised"),
    "ecg-lead-off.old": ("static", "optimised"),
    "icu-gru-d.new": ("optimised",),
}
LOOSE = {"static": 0.5, "dynamic": 0.3, "half": 0.05, "half-inside": 0.05, "fused": 0.02}


class Repeat:
    """The calibration data of a static quantisation: the same few batches."""

    def __init__(self, batches: list[dict[str, np.ndarray]]) -> None:
        self.batches = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)


def write_derived(kind: str, source: Path, path: Path, feeds: dict[str, np.ndarray]) -> None:
    """A quantised, halved, fused or optimised copy of an exported file."""
    import onnx
    import onnxruntime
    from onnxruntime import quantization
    from onnxruntime.transformers import float16

    if kind == "static":
        quantization.quantize_static(source, path, Repeat([feeds, feeds]))
    elif kind == "dynamic":
        quantization.quantize_dynamic(source, path)
    elif kind.startswith("half"):
        model = float16.convert_float_to_float16(onnx.load(source), keep_io_types=kind == "half-inside")
        onnx.save(model, path)
    elif kind == "fused":
        from onnxruntime.transformers.optimizer import optimize_model

        optimize_model(str(source), model_type="bert", num_heads=2, hidden_size=32).save_model_to_file(str(path))
    else:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(path)
        options.log_severity_level = 4
        onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def random_feeds(source: Path) -> dict[str, np.ndarray]:
    """Random numbers of the shapes that a file declares, three rows."""
    import onnxruntime

    rng = np.random.default_rng(0)
    feeds = {}
    for one in onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"]).get_inputs():
        shape = [3 if isinstance(size, str) else size for size in one.shape]
        if one.type == "tensor(int64)":
            feeds[one.name] = rng.integers(0, 2, shape)
        else:
            feeds[one.name] = rng.normal(size=shape).astype(np.float32)
    return feeds


def derived_rows(folder: Path, only: str) -> Iterator[Row]:
    """Copies of a few files as they are made smaller or faster before shipping."""
    for base, kinds in DERIVED.items():
        source = folder / f"{base}.onnx"
        for kind in kinds:
            name = f"{base.rsplit('.', 1)[0]}.{kind}"
            if only not in name or not source.exists():
                continue
            feeds = random_feeds(source)

            def write(path: Path, kind: str = kind, source: Path = source, feeds: Any = feeds) -> list[Any]:
                write_derived(kind, source, path, feeds)
                return answers(source, feeds)

            yield attempt(folder, name, f"onnxruntime-{kind}", feeds, write, LOOSE.get(kind, TOLERANCE))


def all_rows(folder: Path, only: str, tensorflow: str | None) -> Iterator[Row]:
    """Every model that the installed packages can make."""
    if installed("sklearn", "skl2onnx"):
        yield from sklearn_rows(folder, only)
    for library in ("lightgbm", "xgboost"):
        if installed("onnxmltools", library):
            yield from tree_rows(folder, only, library)
    if installed("torch"):
        yield from torch_rows(folder, only)
    if tensorflow:
        yield from keras_rows(folder, only, tensorflow)
    yield from derived_rows(folder, only)


def main() -> None:
    parser = argparse.ArgumentParser(description="A folder of clean ONNX exports of medical-style models.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="only models whose name holds this")
    parser.add_argument("--tf", help="folder with tensorflow and tf2onnx")
    parser.add_argument("--write-keras", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.write_keras:
        write_keras(options.folder)
        return
    start, kept, lost = time.monotonic(), {}, []
    for row in all_rows(options.folder, options.only, options.tf):
        print(f"{row.name:<44} {row.exporter:<22} {row.nodes:>5} {row.size:>9,}  {row.verdict}", flush=True)
        if row.verdict == "ok":
            kept[row.exporter] = kept.get(row.exporter, 0) + 1
        else:
            lost.append(row.name)
    print(f"\n{sum(kept.values())} files in {time.monotonic() - start:.0f} s: {kept}; not exported: {lost or 'none'}")


if __name__ == "__main__":
    main()
