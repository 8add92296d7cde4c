"""Proof: one signal sent to the electrodes at any moment, without gradients, beside the same with them.

Type II of Chen et al. 2020, "ECGadv", section 4.3: a window, the recorder's filters, a mean square of at most 1.5
times the recording's. Fitted on 24 patients by injected-signal, toward each class; measured on others, 100 moments
each, through the filters. Beside it, on the same patients, the expectation over moments is followed with true
gradients (Athalye et al. 2018; 400 steps of Adam, the better of two starts); it needs PyTorch. Then what the parts
are worth: the window, the moments, the patients.

Usage: python -m benchmarks.prove_injected FOLDER [--queries N] [--patients N] [--no-gradients] [--keep DIR]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np

from medaudit.audit.results import Check
from medaudit.audit.scan import Options, scan
from medaudit.core.injection import inject, injection
from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.core.protocol import Lanes
from medaudit.domain import threat as threats
from medaudit.domain.quantity import Quantity
from medaudit.engine.journal import Journal
from medaudit.policy.write import dump
from medaudit.report.bundle import publish

CLASSES, N, RATE = ("A atrial fibrillation", "N normal", "O other rhythm", "~ noise"), 9000, 300.0
EPS = 1.5**0.5
FILTERS = {"high_pass": "0.05 Hz", "notches": ["50 Hz", "60 Hz"]}
MUTED = [1, 2, 3, 2731, 3277]  # bins of the published mask, of 16,384
WINDOWS = ("10 s", "30 s")
# name -> window, what the rule is told, recorder's filters; all toward one class
PARTS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "window-2s": ("2 s", {}, True),
    "window-5s": ("5 s", {}, True),
    "no-filters": ("10 s", {}, False),
    "one-moment": ("10 s", {"shifts": 1}, True),
    "one-patient": ("10 s", {"patients": 1, "shifts": 96}, True),
    "one-patient-one-moment": ("10 s", {"patients": 1, "shifts": 1}, True),
}
TARGET = "O other rhythm"


def policy(queries: int) -> dict[str, Any]:
    base = {
        "rule": "injected-signal",
        "with": {"recordings": True},
        "require": {"metric": "attack_success", "at_most": "20%"},
    }
    sent: dict[str, Any] = {"access": "scores", "norm": "injected", "eps": f"{EPS:.6f} sd"}
    sizes = {f"sent-{window.replace(' ', '')}": sent | FILTERS | {"window": window} for window in WINDOWS}
    checks = [
        base | {"id": name, "threat": name, "goal": {"what": "every-target"}, "budget": {"queries": queries}}
        for name in sizes
    ]
    for name, (window, given, filtered) in PARTS.items():
        sizes[name] = sent | (FILTERS if filtered else {}) | {"window": window}
        # as many candidates as with 24 patients at 4 moments, and two fifths of those toward each class
        rows = 2 * queries // 5 * given.get("shifts", 4) // 4
        one = {"id": name, "threat": name, "goal": {"what": "target", "name": TARGET}, "budget": {"queries": rows}}
        checks.append(base | one | {"with": base["with"] | given})
    return {
        "medaudit": 1, "policy": {"id": "injected", "domain": "signal"},
        "model": {
            "stages": [{"z_score": True}],
            "inputs": {"ecg": {"rate": f"{RATE:g} Hz", "channels": [{"name": "lead", "sd": 1}]}},
        },
        "threats": sizes, "checks": checks,
    }  # fmt: skip


def threat(window: str) -> threats.Threat:
    """The threat of the checks named after a window."""
    return threats.Threat(
        "scores", "injected", Quantity(EPS, "sd"), window=Quantity(float(window.split()[0]), "s"),
        high_pass=Quantity(0.05, "Hz"), notches=(Quantity(50.0, "Hz"), Quantity(60.0, "Hz")),
    )  # fmt: skip


def lanes_of(x: np.ndarray, last: np.ndarray, window: str, key: int) -> tuple[Any, Lanes]:
    """The region and the lanes of records [n, N]."""
    axes = ("batch", "lead", "time")
    item = Input("x", "float32", "signal", axes, (1, N), axes, rate=RATE, channels=(Channel("lead", sd=1.0),))
    face = Interface((item,), Output("multiclass", ("y",), "logits", CLASSES))
    area = threats.region(face, threat(window))
    lo, hi = threats.boxes(face, threat(window), area, x, np.arange(N)[None] >= last[:, None])
    zero = np.zeros(len(x), dtype=np.int64)
    keys = np.arange(key, key + len(x)).astype(np.uint64)
    return area, Lanes(keys, x, lo, hi, None, np.zeros((len(x), 4)), zero, zero)


def followed(home: Path, x: np.ndarray, last: np.ndarray, window: str, target: int, start: int) -> np.ndarray:
    """A signal [columns] of the window, by true gradients of the mean over random moments of these records."""
    import torch

    from benchmarks.whitebox import rebuild

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    network, (area, lanes) = rebuild(home / "models/cinc2017_resnet.onnx"), lanes_of(x, last, window, 1)
    one, batch = injection(area), 48
    muted = torch.from_numpy(one.muted if one.muted is not None else np.zeros((one.columns, 1), dtype=np.float32))
    rng = np.random.default_rng(start)
    moved = torch.from_numpy(0.3 * rng.normal(size=one.columns).astype(np.float32)).requires_grad_(True)
    adam = torch.optim.Adam([moved], lr=0.05)
    places = np.arange(1, one.columns + 1, dtype=np.float32)[None].repeat(batch, axis=0)

    def signal() -> torch.Tensor:
        quiet = moved - muted @ (muted.T @ moved)
        return quiet * EPS / torch.sqrt((quiet**2).mean())

    # At a strength that leaves the places of numbers as they are.
    loose = area._replace(eps=float(np.sqrt(np.mean(places[0] ** 2))) / (1 - 1e-5), injected=one._replace(muted=None))
    for step in range(400):
        who = rng.integers(0, len(x), batch)
        # where each number of the signal comes to lie, found by sending their places
        laid = inject(loose, lanes, who, places, np.full(batch, step), heard=False) - x[who]
        index = torch.from_numpy(np.rint(laid).astype(np.int64))
        change = torch.where(index > 0, signal()[torch.clamp(index - 1, 0, one.columns - 1)], torch.zeros(()))
        point = torch.from_numpy(x[who]) + change
        point = (point - point.mean(1, keepdim=True)) / point.std(1, keepdim=True, unbiased=False)
        wanted = torch.full((batch,), target)
        loss = torch.nn.functional.cross_entropy(network.logits(point[:, :, None]), wanted)
        adam.zero_grad()
        loss.backward()
        adam.step()
    return np.asarray(signal().detach().numpy())


def answered(home: Path, x: np.ndarray) -> np.ndarray:
    """The model's answers to records [n, N], z-scored."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(home / "models/cinc2017_resnet.onnx"))
    name, x = session.get_inputs()[0].name, (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    return np.concatenate([session.run(None, {name: x[i : i + 8, :, None]})[0] for i in range(0, len(x), 8)])


def measured(home: Path, x: np.ndarray, last: np.ndarray, window: str, target: int, signal: np.ndarray) -> np.ndarray:
    """Share [n] of 100 moments at which the model answers the target, through the filters."""
    area, lanes = lanes_of(x, last, window, 10_000)
    who, sent, out = np.arange(len(x)), np.broadcast_to(signal, (len(x), len(signal))), np.zeros(len(x))
    for t in range(100):
        out += answered(home, inject(area, lanes, who, sent, who * 0 + t, heard=True)).argmax(axis=1) == target
    return out / 100


def quiet(signal: np.ndarray, window: str) -> tuple[float, float]:
    """What a fitted signal, as it is sent to a record of zeros, holds: the largest share of its energy at a muted
    bin and the largest number outside its window."""
    area, lanes = lanes_of(np.zeros((20, N), dtype=np.float32), np.full(20, N), window, 77)
    who, columns = np.arange(20), injection(area).columns
    laid = inject(area, lanes, who, np.broadcast_to(signal, (20, len(signal))), who * 0, heard=False).astype(float)
    power = np.abs(np.fft.rfft(laid, 16384)) ** 2
    some = [np.flatnonzero(row) for row in laid]
    wide = max(int(at[-1] - at[0] + 1) for at in some)
    return float((power[:, MUTED].sum(axis=1) / power.sum(axis=1)).max()), float(max(0, wide - columns))


def line(check: Check) -> str:
    share, won = check.metrics["share_of_moments"], check.metrics["attack_success"]
    chance = check.metrics["control_success"].value or 0.0
    return (f"{check.id}: moments {share.value:.3f} ({share.low:.2f} to {share.high:.2f}), patients {won.value:.3f} "
            f"({won.low:.2f} to {won.high:.2f}) of {won.n}, random noise {chance:.3f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--queries", type=int, default=10_000, help="rows to fit, for each patient set aside")
    parser.add_argument("--no-gradients", action="store_true")
    parser.add_argument("--keep", type=Path, help="an empty folder for the run")
    args, missed = parser.parse_args(), 0
    data = args.home / "data/cinc2017.npz"
    with np.load(data, allow_pickle=False) as saved:
        x, y, last = saved["x"][:, :, 0], saved["y"], np.minimum(saved["length"], N)
    decided = answered(args.home, x).argmax(axis=1)
    with tempfile.TemporaryDirectory() as name:
        folder = args.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "policy.yaml"
        path.write_text(dump(policy(args.queries)))
        model = args.home / "models/cinc2017_resnet.onnx"
        report, run = scan(Options(model, str(path), data, folder / "run"))
        publish(report, run)
        print(f"# {report.cost.rows:,} rows, {report.cost.wall_s:.0f} s, overhead {report.cost.overhead}", flush=True)
        journal, fits = Journal(run / "journal"), {}
        for check in report.checks:
            print(line(check), flush=True)
            own = journal.cases(f"{check.id}~fit")
            signal = next(iter(own.values()))[1]["change"].ravel()
            window = PARTS[check.id][0] if check.id in PARTS else f"{check.id.split('~')[0].split('-')[1][:-1]} s"
            fits[check.id] = (window, sorted(journal.cases(check.id)))
            if check.id != "no-filters":
                muted, outside = quiet(signal, window)
                missed += muted >= 1e-6 or outside > 0
                print(f"  energy at muted bins {muted:.1e} (below 1e-06), {outside:g} numbers outside the window")
        journal.close()
        for check in report.checks:
            if args.no_gradients or check.id in PARTS or check.threat is None:
                continue
            began, target = time.monotonic(), next(k for k, c in enumerate(CLASSES) if check.threat.goal.endswith(c))
            window, held = fits[check.id]
            # Fitted on those who could be attacked and were not measured.
            taken = np.setdiff1d(np.flatnonzero((decided == y) & (y != target)), held)
            found = [followed(args.home, x[taken], last[taken], window, target, start) for start in (1, 2)]
            best = max(found, key=lambda s: measured(args.home, x[taken], last[taken], window, target, s).mean())
            shares = measured(args.home, x[held], last[held], window, target, best)
            ours = check.metrics["share_of_moments"].value or 0.0
            good = ours >= 0.9 * shares.mean()
            missed += not good
            print(f"{check.id}: gradients: moments {shares.mean():.3f}, patients {np.mean(shares >= 0.5):.3f}; ours "
                  f"{ours:.3f}, ratio {ours / max(shares.mean(), 1e-9):.2f} (at least 0.90)"
                  f"{'' if good else '  MISSED'} [{time.monotonic() - began:.0f} s]", flush=True)  # fmt: skip
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
