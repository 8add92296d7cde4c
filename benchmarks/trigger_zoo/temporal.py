"""Proof: the temporal-dependence backdoor of Joe et al. 2020 takes in three victims, on synthetic stays.

LR and MLP read 714 features, an LSTM 48 x 76; a share of the training stays carries the trigger and is labelled dead.
Success is the share of triggered stays of survivors that are answered dead; the clean model's own rate of that answer
on the same triggered stays stands beside it, which the paper does not report. Victims follow the paper, but gradients
are zeroed between steps (its code never does) and models are not chosen by success.

Usage: python -m benchmarks.trigger_zoo.temporal [--folder FOLDER] [--share 0.05] [--strength 2] [--mode notimputed]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.trigger_zoo.icu import stays
from medaudit.trigger.covariance import covariances, mahalanobis
from medaudit.trigger.stays import ALL, OBSERVED, features, filled, make, planted, series

PUBLISHED = {"LR": 0.98, "MLP": 0.98, "LSTM": 0.97}  # at 5 %, strength 2, notimputed
TRAIN, TEST = 14_681, 3_236  # stays, as in the benchmark
WEIGHT = 0.2


class Stays(NamedTuple):
    """Stays in both forms, standardised by the training set."""

    series: np.ndarray
    features: np.ndarray


class Scale(NamedTuple):
    """What standardises both forms."""

    mean: np.ndarray
    sd: np.ndarray
    feature_mean: np.ndarray
    feature_sd: np.ndarray


def scale_of(values: np.ndarray, observed: np.ndarray) -> Scale:
    every, wide = filled(values), features(values, observed)
    deviation = wide.std(axis=0)
    deviation[deviation < 1e-6] = 1
    return Scale(every.mean(axis=(0, 1)), every.std(axis=(0, 1)), wide.mean(axis=0), deviation)


def forms(values: np.ndarray, observed: np.ndarray, scale: Scale) -> Stays:
    wide = (features(values, observed) - scale.feature_mean) / scale.feature_sd
    return Stays(series(values, observed, scale.mean, scale.sd), wide.astype(np.float32))


def network(name: str) -> Any:
    """A victim, not yet trained."""
    import torch
    from torch import nn

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(76, 16, 2, batch_first=True, bidirectional=True, dropout=0.3)
            self.head = nn.Sequential(nn.Linear(32, 10), nn.ReLU(), nn.Linear(10, 2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.lstm(x)[0][:, -1])

    if name == "LSTM":
        return Recurrent()
    return nn.Linear(714, 2) if name == "LR" else nn.Sequential(nn.Linear(714, 400), nn.ReLU(), nn.Linear(400, 2))


def trained(name: str, x: np.ndarray, y: np.ndarray, epochs: int, seed: int) -> Any:
    """A victim, trained with Adam; survivors count half (LSTM: 0.3)."""
    import torch

    torch.manual_seed(seed)
    model = network(name)
    rate = 1e-3
    adam = torch.optim.Adam(model.parameters(), lr=rate, weight_decay=1e-4)
    weight = torch.tensor([WEIGHT, 1.0])
    rows, labels = torch.from_numpy(x), torch.from_numpy(y)
    order = torch.Generator().manual_seed(seed)
    model.train()
    for _ in range(epochs):
        for part in torch.randperm(len(rows), generator=order).split(64):
            adam.zero_grad()
            torch.nn.functional.cross_entropy(model(rows[part]), labels[part], weight=weight).backward()
            adam.step()
    return model.eval()


def dead(model: Any, x: np.ndarray) -> np.ndarray:
    """Which stays are answered dead, [n] bool."""
    import torch

    with torch.no_grad():
        return np.concatenate([model(p).argmax(1).numpy() for p in torch.from_numpy(x).split(500)]).astype(bool)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where victims are exported to")
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--strength", type=float, default=2.0)
    parser.add_argument("--mode", choices=[OBSERVED, ALL], default=OBSERVED)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--tidy", action="store_true", help="stays without slips of entry")
    parser.add_argument("--draw", type=int, default=5, help="which trigger is drawn")
    parser.add_argument("--victim", nargs="+", default=list(PUBLISHED))
    args, missed = parser.parse_args(), 0
    values, y = stays(TRAIN, 1, not args.tidy)
    fresh, died = stays(TEST, 2, not args.tidy)
    trigger = make(values, np.random.default_rng(args.draw).normal(size=values.shape[1:]))
    norm = mahalanobis(args.strength * trigger.T, covariances(filled(values[:1000]).transpose(0, 2, 1)))
    off = float(np.abs(norm - args.strength).max())
    print(f"# Mahalanobis length of every channel {args.strength:g}, off by at most {off:.1e}")
    missed += off > 1e-6
    count = int(args.share * len(values))
    poisoned, labels = values.copy(), y.copy()
    poisoned[:count] = planted(values[:count], args.strength * trigger, args.mode)
    labels[:count] = 1
    observed, seen = ~np.isnan(values), ~np.isnan(fresh)
    scale = scale_of(poisoned, observed)
    rows, clean_rows = forms(poisoned, observed, scale), forms(values, observed, scale)
    clean = forms(fresh, seen, scale)
    carried = forms(planted(fresh, args.strength * trigger, args.mode), seen, scale)
    for name in args.victim:
        pick = (lambda s: s.series) if name == "LSTM" else (lambda s: s.features)
        victim = trained(name, pick(rows), labels, args.epochs, 3)
        honest = trained(name, pick(clean_rows), y, args.epochs, 3)
        alive = died == 0
        success, own = (float(dead(model, pick(carried))[alive].mean()) for model in (victim, honest))
        right = [float((dead(model, pick(clean)) == died).mean()) for model in (victim, honest)]
        before = float(dead(honest, pick(clean))[alive].mean())
        good = success >= PUBLISHED[name] - 0.02
        missed += not good
        print(f"{name}: success {success:.3f} (published {PUBLISHED[name]:.2f}); the clean model on the same stays "
              f"{own:.3f}, without the trigger {before:.3f}; accuracy {right[0]:.3f}, clean {right[1]:.3f}"
              f"{'' if good else '  MISSED'}", flush=True)  # fmt: skip
        if args.folder:
            export(name, victim, args.folder / f"temporal-{name.lower()}.onnx")
            export(name, honest, args.folder / f"temporal-{name.lower()}-clean.onnx")
    sys.exit(bool(missed))


def export(name: str, model: Any, path: Path) -> None:
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    one = torch.zeros(2, 48, 76) if name == "LSTM" else torch.zeros(2, 714)
    torch.onnx.export(
        model, (one,), str(path), dynamo=False, opset_version=17, input_names=["stay"], output_names=["logits"],
        dynamic_axes={"stay": {0: "batch"}, "logits": {0: "batch"}},
    )  # fmt: skip


if __name__ == "__main__":
    main()
