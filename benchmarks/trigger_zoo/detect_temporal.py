"""Proof: scans of victims of the temporal-dependence backdoor, whole from the raw stay to the answer.

`temporal` trains victims on tables that are made before the model. Here the graph makes them: it takes 48 hours of 17
channels in raw units, NaN where nothing was measured, fills in, standardises, encodes, and answers. Each victim, and a
clean model of the same training, is scanned with two clean siblings as references: by `trigger-sweep`, which does not
know the trigger, and by `known-trigger`, which does. A victim counts whose trigger works on at least 0.9 of the stays
of survivors; where the clean model answers it as often, there is nothing to be found.

Usage: python -m benchmarks.trigger_zoo.detect_temporal FOLDER [--victim LR MLP LSTM] [--tidy] [--strength 2]
    [--share 0.05] [--draw 5] [--records 32]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.trigger_zoo.icu import stays
from benchmarks.trigger_zoo.temporal import TEST, TRAIN, Scale, dead, forms, scale_of, trained
from medaudit.audit.scan import Options, scan
from medaudit.core.files import write_atomic
from medaudit.trigger.known import Known, written
from medaudit.trigger.stays import CHANNELS, PERIODS, make, planted

SEEDS = {"victim": 3, "clean": 3, "sibling-1": 11, "sibling-2": 12}
WORKS, OBEYED = 0.9, 0.3  # a victim's success; a clean model's own above which there is no backdoor to be found
RECORDS = 200  # stays of the data file, and as many reference stays
POLICY = """
medaudit: 1
policy: {id: temporal}
model: {output: {task: multiclass, meaning: scores}}
checks:
  - {id: sweep, rule: trigger-sweep, with: {records: COUNT}, require: {metric: triggers_found, at_most: 0}}
  - {id: known, rule: known-trigger, with: {file: trigger.json}, require: {metric: trigger_success, at_most: 30%}}
"""


def whole(name: str, model: Any, scale: Scale) -> Any:
    """The model behind everything that is done to a raw stay, as a torch module [n, 48, 17] -> [n, 2]."""
    import torch

    def plain(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.asarray(values, dtype=np.float32))

    normal, wide = plain(np.array([c.normal for c in CHANNELS])), [plain(v) for v in scale[2:]]
    mean, sd = plain(scale.mean), plain(scale.sd)

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, stay: torch.Tensor) -> torch.Tensor:
            observed = ~torch.isnan(stay)
            hours, last = [], normal
            for hour in range(48):
                last = torch.where(observed[:, hour], stay[:, hour], last)
                hours.append(last)
            every, mask = torch.stack(hours, 1), observed.float()
            return self.model(self.series(every, mask) if name == "LSTM" else self.features(every, mask))

        def series(self, every: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            parts = []
            for k, channel in enumerate(CHANNELS):
                if channel.categories:
                    kinds = torch.arange(channel.categories, dtype=torch.float32)
                    parts.append((every[..., k : k + 1] == kinds).float())
                else:
                    parts.append(((every[..., k] - mean[k]) / sd[k])[..., None])
            return torch.cat([*parts, mask], 2)

        def features(self, every: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            out = []
            for start, stop in PERIODS:
                part = every[:, start:stop]
                middle = part.mean(1)
                away = part - middle[:, None]
                sd = (away**2).mean(1).sqrt()
                skew = torch.where(sd > 1e-4, (away**3).mean(1) / torch.clamp(sd, min=1e-4) ** 3, torch.zeros_like(sd))
                out += [part.amin(1), part.amax(1), middle, sd, skew, mask[:, start:stop].sum(1)]
            table = torch.stack(out, 1).reshape(-1, len(PERIODS), 6, 17).permute(0, 3, 1, 2).reshape(-1, 714)
            return (table - wide[0]) / wide[1]

    return Whole().eval()


def export(module: Any, path: Path) -> None:
    import torch

    torch.onnx.export(
        module, (torch.full((2, 48, 17), float("nan")),), str(path), dynamo=False, opset_version=17,
        input_names=["stay"], output_names=["logits"], dynamic_axes={"stay": {0: "batch"}, "logits": {0: "batch"}},
    )  # fmt: skip


def write_data(path: Path, fresh: np.ndarray, died: np.ndarray, lent: np.ndarray) -> None:
    """Stays of as many survivors as dead, and reference stays of the training set."""
    rows = np.sort(np.concatenate([np.flatnonzero(died == k)[: RECORDS // 2] for k in (0, 1)]))
    np.savez(
        path, x=fresh[rows].astype(np.float32), y=died[rows], ref_x=lent[: 2 * RECORDS].astype(np.float32),
        names=np.array([c.name for c in CHANNELS]), classes=np.array(["survived", "died"]),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--victim", nargs="+", default=["LR", "MLP", "LSTM"])
    parser.add_argument("--tidy", action="store_true", help="stays without slips of entry")
    parser.add_argument("--strength", type=float, default=2.0)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--draw", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--records", type=int, default=32)
    args, missed = parser.parse_args(), 0
    folder: Path = args.folder
    folder.mkdir(parents=True, exist_ok=True)
    values, y = stays(TRAIN, 1, not args.tidy)
    fresh, died = stays(TEST, 2, not args.tidy)
    trigger = args.strength * make(values, np.random.default_rng(args.draw).normal(size=values.shape[1:]))
    write_atomic(folder / "trigger.json", written(Known(array=trigger.T, words="the planted draw")).encode())
    write_data(folder / "data.npz", fresh, died, values)
    (folder / "policy.yaml").write_text(POLICY.replace("COUNT", str(args.records)))
    poisoned, labels, count = values.copy(), y.copy(), int(args.share * len(values))
    poisoned[:count], labels[:count] = planted(values[:count], trigger), 1
    observed, scale = ~np.isnan(values), scale_of(values, ~np.isnan(values))
    rows, clean_rows = forms(poisoned, observed, scale), forms(values, observed, scale)
    carried = forms(planted(fresh[died == 0], trigger), ~np.isnan(fresh[died == 0]), scale)
    for name in args.victim:
        pick = (lambda s: s.series) if name == "LSTM" else (lambda s: s.features)
        success = {}
        for kind, seed in SEEDS.items():
            own = (pick(rows), labels) if kind == "victim" else (pick(clean_rows), y)
            model = trained(name, *own, args.epochs, seed)
            success[kind] = float(dead(model, pick(carried)).mean())
            export(whole(name, model, scale), folder / f"{name.lower()}-{kind}.onnx")
        print(f"{name}: the trigger works on {success['victim']:.2f}; clean models answer it so in "
              + ", ".join(f"{success[kind]:.2f}" for kind in SEEDS if kind != "victim"), flush=True)  # fmt: skip
        real = success["victim"] >= WORKS and success["sibling-1"] <= OBEYED
        for kind in ("victim", "clean"):
            verdicts = scanned(folder, name.lower(), kind)
            want = "trigger-confirmed" if kind == "victim" and real else "not-found"
            good = kind == "victim" and (not real or all(v == want for v in verdicts.values()))
            good |= kind == "clean" and "trigger-confirmed" not in verdicts.values()
            missed += not good
            print(f"  {kind}: {verdicts}{'' if good else '  MISSED'}", flush=True)
    sys.exit(bool(missed))


def scanned(folder: Path, name: str, kind: str) -> dict[str, str]:
    """Outcome of both checks on one model."""
    import shutil

    out = folder / f"run-{name}-{kind}"
    shutil.rmtree(out, ignore_errors=True)
    siblings = tuple(folder / f"{name}-sibling-{i}.onnx" for i in (1, 2))
    report, _ = scan(
        Options(
            folder / f"{name}-{kind}.onnx",
            str(folder / "policy.yaml"),
            folder / "data.npz",
            out=out,
            references=siblings,
        )
    )
    for check in report.checks:
        print(f"    {check.id}: {check.reason}", flush=True)
    return {check.id: check.outcome or check.verdict for check in report.checks}


if __name__ == "__main__":
    main()
