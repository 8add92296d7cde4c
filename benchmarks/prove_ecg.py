"""Proof: the published attacks on an ECG classifier, without gradients, beside the same with them.

Targeted attacks under three sizes (Chen et al. 2020, "ECGadv", Type I): the Euclidean length, roughness, and
both. Up to 20 correctly decided records a class are driven to each other class by boundary-descent, in slow waves;
the recorder's whole microvolts and the z-scoring before the model are inside what is attacked, and every success is
asked again from its file. Beside it Carlini and Wagner's attack with true gradients (300 steps of Adam, three
constants) and PGD (100 steps) on the first records of each class, in the same waves and in all numbers; they need
PyTorch. Only what is within eps counts, for all. A search that --keep holds whole is not made again.

Usage: python -m benchmarks.prove_ecg FOLDER [--each N] [--gradients N] [--queries N] [--keep RUN] [--size NAME ...]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np

from benchmarks.prove_injected import answered
from medaudit.audit.results import Report
from medaudit.audit.scan import Options, scan
from medaudit.core.compose import CHECKPOINTS
from medaudit.core.region import Part, Region, length
from medaudit.core.subspace import Subspace, cosines, even, expand, smooth
from medaudit.engine.journal import Journal
from medaudit.policy.write import dump
from medaudit.report.bundle import publish

CLASSES, N = ("A", "N", "O", "~"), 9000
STEP = 1 / 227  # one microvolt, in standard deviations of the z-scored records
# size -> eps, waves; chosen on the reference records, which are not attacked here
SIZES = {"l2": (30.0, 1100), "roughness": (10.0, 80), "roughness-l2": (10.0, 1100)}
EARLY = 2000
PART = (Part("signal", 1, 1, N),)


def subset(home: Path, each: int, folder: Path) -> tuple[Path, np.ndarray]:
    """A data file of the first `each` records of every class that the model decides correctly, and their classes."""
    with np.load(home / "data/cinc2017.npz", allow_pickle=False) as saved:
        data = {name: saved[name] for name in saved.files}
    right = answered(home, data["x"][:, :, 0]).argmax(axis=1) == data["y"]
    rows = np.sort(np.concatenate([np.flatnonzero(right & (data["y"] == k))[:each] for k in range(len(CLASSES))]))
    own = {k: v[rows] if k in ("x", "y", "ids", "length") else v for k, v in data.items()}
    np.savez(folder / "ecg.npz", **own)
    return folder / "ecg.npz", data["y"][rows]


def policy(queries: int) -> dict[str, Any]:
    checks = [
        {"id": size, "rule": "boundary-descent", "threat": size, "goal": {"what": "every-target", "stop": "budget"},
         "budget": {"queries": queries}, "require": {"metric": "attack_success", "at_most": "20%"}}
        for size in SIZES
    ]  # fmt: skip
    return {
        "medaudit": 1, "policy": {"id": "ecgadv", "domain": "signal"},
        "model": {
            "stages": [{"z_score": True}],
            "inputs": {"ecg": {"rate": "300 Hz", "channels": [{"name": "lead", "sd": 1, "step": STEP}]}},
        },
        "threats": {
            size: {"access": "scores", "norm": size, "eps": f"{eps:g} sd", "waves": waves}
            for size, (eps, waves) in SIZES.items()
        },
        "checks": checks,
    }  # fmt: skip


def searched(home: Path, data: Path, queries: int, folder: Path) -> dict[str, dict[tuple[int, int], list[float]]]:
    """size -> (record, target) -> smallest size within EARLY and within all rows; inf: none."""
    path, run, text = folder / "policy.yaml", folder / "run", dump(policy(queries))
    if (run / "report.json").is_file():
        report = Report.model_validate_json((run / "report.json").read_text())
        if (path.read_text(), report.data.sha256) != (text, hashlib.sha256(data.read_bytes()).hexdigest()):
            sys.exit(f"{run} holds a run of other records or rows: choose another --keep")
    else:
        path.write_text(text)
        report, _ = scan(Options(home / "models/cinc2017_resnet.onnx", str(path), data, run))
        publish(report, run)
    journal, out = Journal(run / "journal"), {}
    early = max(i for i, q in enumerate(CHECKPOINTS) if q <= EARLY)
    for size in SIZES:
        found: dict[tuple[int, int], list[float]] = {}
        for check in (c for c in report.checks if c.id.startswith(f"{size}~")):
            assert check.threat is not None
            goal = check.threat.goal
            target = next(k for k, name in enumerate(report.data.classes) if goal.endswith(name))
            for sample, (record, _) in journal.cases(check.id).items():
                at = record["curve"][early]  # of any size
                at = at if at is not None and at <= SIZES[size][0] else None
                last = record["distance"] if record["success"] else np.inf
                found[sample, target] = [np.inf if at is None else float(at), float(last)]
        out[size] = found
    journal.close()
    for check in report.checks:
        if check.matrix:
            print(f"# {check.id}")
            for cell in check.matrix:
                print(f"#   {cell.before} -> {cell.target}: {cell.broken} of {cell.attacked} "
                      f"({cell.low:.2f} to {cell.high:.2f}), median {cell.distance or np.nan:.2f}")  # fmt: skip
    print(f"# {report.cost.rows:,} rows, {report.cost.wall_s:.0f} s, overhead {report.cost.overhead}")
    return out


def waves(size: str, whole: bool) -> Subspace | None:
    """The search's own subspace, or all numbers in waves of the same weights; None: numbers as they are."""
    if size == "l2":
        return None if whole else smooth(PART, {0: (None, cosines(N, SIZES[size][1]))})
    return even(PART, size, 0 if whole else SIZES[size][1])


class WhiteBox:
    """The attacked records with true gradients, in the search's own waves or in all numbers."""

    def __init__(self, home: Path, data: Path, size: str, whole: bool, tasks: list[tuple[int, int]]) -> None:
        import torch

        from benchmarks.whitebox import rebuild

        torch.set_num_threads(len(os.sched_getaffinity(0)))
        self.network, space = rebuild(home / "models/cinc2017_resnet.onnx"), waves(size, whole)
        with np.load(data, allow_pickle=False) as saved:
            x, last = saved["x"][:, :, 0], saved["length"]
        rows = np.array([s for s, _ in tasks])
        self.own, self.goal = torch.from_numpy(x[rows]), torch.tensor([t for _, t in tasks])
        self.open = torch.from_numpy((np.arange(N)[None, :] < last[rows][:, None]).astype(np.float32))
        self.width = N if space is None else space.parts[0].columns
        self.basis = None if space is None else torch.from_numpy(expand(space, PART, np.eye(self.width, dtype="f4")))
        self.area = Region(size, 1.0, np.ones(N, dtype=np.float32), None, PART)

    def ask(self, moved: Any) -> tuple[Any, Any, np.ndarray]:
        """The change, by how much the goal is short of the best other class, and the change's size; inf: not there."""
        change = self.change(moved)
        point = self.own + change
        point = (point - point.mean(1, keepdim=True)) / point.std(1, keepdim=True, unbiased=False)
        logits = self.network.logits(point[:, :, None])
        lead = logits.scatter(1, self.goal[:, None], -np.inf).amax(1) - logits.gather(1, self.goal[:, None])[:, 0]
        return change, lead, np.where((lead < 0).detach().numpy(), self.size(change), np.inf)

    def change(self, moved: Any) -> Any:
        """What the attacked coordinates [T, width] do to the records, [T, N]."""
        return (moved if self.basis is None else moved @ self.basis) * self.open

    def size(self, change: Any) -> np.ndarray:
        """The size of each task's change, [T]."""
        return length(self.area, change.detach().numpy().astype(np.float64))


def carlini_wagner(box: WhiteBox, size: str) -> np.ndarray:
    """Smallest size of each task with gradients, 300 steps of Adam at three constants; inf: none."""
    import torch

    tasks = len(box.goal)
    best = np.full(tasks, np.inf)
    low, high, constant = np.zeros(tasks), np.full(tasks, np.inf), np.full(tasks, 10.0)
    rate = {"l2": 0.02, "roughness": 0.3, "roughness-l2": 0.05}[size]
    for _ in range(3):
        moved = torch.zeros(tasks, box.width, requires_grad=True)
        adam, ever = torch.optim.Adam([moved], lr=rate), np.zeros(tasks, dtype=bool)
        for _ in range(300):
            change, lead, far = box.ask(moved)
            steps = change[:, 1:] - change[:, :-1]
            square = (change**2).sum(1)
            if size != "l2":
                square = 1e4 * steps.var(1, unbiased=False) + (0.01 * square if size == "roughness-l2" else 0)
            best, ever = np.minimum(best, far), ever | np.isfinite(far)
            loss = (square + torch.from_numpy(constant).float() * torch.clamp(lead + 1e-3, min=0)).sum()
            adam.zero_grad()
            loss.backward()
            adam.step()
        low, high = np.where(ever, low, constant), np.where(ever, constant, high)
        constant = np.where(np.isinf(high), 10 * constant, (low + high) / 2)
    return best


def projected_gradient(box: WhiteBox, eps: float, steps: int = 100) -> float:
    """Share of the tasks that projected gradient descent turns within eps."""
    import torch

    moved = torch.zeros(len(box.goal), box.width, requires_grad=True)
    turned = np.zeros(len(box.goal), dtype=bool)
    with torch.no_grad():
        moved += 1e-3 * torch.randn(moved.shape, generator=torch.Generator().manual_seed(0))
    for _ in range(steps):
        _, lead, far = box.ask(moved)
        turned |= far <= eps * (1 + 1e-6)
        (slope,) = torch.autograd.grad(lead.sum(), moved)
        with torch.no_grad():
            step = 2.5 * eps / steps / (box.size(box.change(slope)) + 1e-12)
            moved -= slope * torch.from_numpy(step).float()[:, None]
            back = np.minimum(1.0, eps / (box.size(box.change(moved)) + 1e-12))
            moved *= torch.from_numpy(back).float()[:, None]
    return float(turned.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--gradients", type=int, default=5, help="records a class that gradients are followed on")
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--keep", type=Path, help="a folder for the run; a whole one in it is not made again")
    parser.add_argument("--size", nargs="+", default=list(SIZES), choices=list(SIZES), help="what gradients are for")
    args, missed = parser.parse_args(), 0
    with tempfile.TemporaryDirectory() as name:
        folder = args.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        data, y = subset(args.home, args.each, folder)
        found = searched(args.home, data, args.queries, folder)
        few = {int(i) for k in range(len(CLASSES)) for i in np.flatnonzero(y == k)[: args.gradients]}
        for size, ours in ((size, found[size]) for size in args.size):
            every = np.array(list(ours.values()))
            shares = [float(np.isfinite(every[:, i]).mean()) for i in (0, 1)]
            sizes = np.median(every, axis=0)
            for at, share, middle in zip((EARLY, args.queries), shares, sizes, strict=True):
                print(f"{size}: {len(every)} attacks, success {share:.3f} at {at}, median {middle:.2f}", flush=True)
            tasks = sorted(task for task in ours if task[0] in few)
            mine = np.array([ours[task][1] for task in tasks])
            for whole, most in ((False, 2.0), (True, 4.0)):
                if not args.gradients:
                    continue
                began, box = time.monotonic(), WhiteBox(args.home, data, size, whole, tasks)
                pushed = projected_gradient(box, SIZES[size][0])
                any_size = carlini_wagner(box, size)
                theirs = np.where(any_size <= SIZES[size][0], any_size, np.inf)  # within eps, as ours are
                gap = float(np.isfinite(theirs).mean() - np.isfinite(mine).mean())
                ratio = float(np.median(mine) / np.median(theirs)) if np.isfinite(np.median(theirs)) else np.nan
                good = gap <= 0.10 and (not ratio > most)
                missed += not good
                shares = [float(np.isfinite(v).mean()) for v in (theirs, any_size, mine)]
                print(f"  gradients in {'all numbers' if whole else 'the same waves'}, {len(tasks)} attacks: success "
                      f"{shares[0]:.3f} ({shares[1]:.3f} at any size, PGD {pushed:.3f}), ours {shares[2]:.3f}; median "
                      f"{np.median(theirs):.2f}, ours {np.median(mine):.2f}, ratio {ratio:.2f} (at most {most:g})"
                      f"{'' if good else '  MISSED'} [{time.monotonic() - began:.0f} s]", flush=True)  # fmt: skip
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
