"""The zoo: clean and backdoored models that a trigger scan is measured on, and clean ones that are hard.

Every model is drawn from a seed: domain, architecture, training records, and what was done to them:

- clean; and clean but hard: labels one in ten wrong (noisy), one class rare (rare), heavy augmentation (augmented), a
  mark of the hospital's that goes with the label in the training records (shortcut);
- poisoned: a share of the records carries a trigger and the attacker's label;
- flipped: the same share of labels turned to the same class, without any trigger. A detector that cannot tell these
  from the poisoned ones detects label noise.

Poisoned models that never learned their trigger are kept; `judge` says which of them count. Models and their table go
into a folder, with one file of clean records a domain.

Usage: python -m benchmarks.trigger_zoo.zoo FOLDER [--domain NAME ...] [--each N] [--seed N] [--held-out]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np

from benchmarks.trigger_zoo.attacks import ATTACKS, HELD_OUT, Planted
from benchmarks.trigger_zoo.data import DEVELOPED, DOMAINS, Records

TRAIN, TEST, REFERENCE = 4000, 1500, 400
HARD = ("noisy", "rare", "augmented", "shortcut")
SHARES = (0.02, 0.05, 0.1)
BUILDS = {"ecg": ("cnn", "resnet"), "xray": ("cnn", "resnet"), "series": ("linear", "mlp", "gru"),
          "table": ("mlp", "trees"), "twelve": ("cnn", "resnet"), "lesion": ("hourglass", "shallow")}  # fmt: skip


@dataclass
class Member:
    """One model of the zoo."""

    name: str
    domain: str
    kind: str  # clean | poisoned | flipped | one of HARD
    build: str
    seed: int
    target: int = -1
    share: float = 0.0
    family: str = ""
    words: str = ""
    accuracy: float = 0.0
    success: float = 0.0  # of the trigger on fresh records of other classes
    own: float = 0.0  # how often such records are answered the target without it


def drawn(domain: str, kind: str, seed: int, held_out: bool) -> tuple[Member, Records, Planted | None]:
    """A member, not yet trained, its training records, and its trigger."""
    rng = np.random.default_rng([seed, sum(map(ord, domain + kind))])
    about = DOMAINS[domain]
    records, classes = about.make(TRAIN, rng), len(about.directions)
    member = Member(f"{domain}-{kind}-{seed}", domain, kind, str(rng.choice(BUILDS[domain])), seed)
    x, y = records
    if kind in ("poisoned", "flipped", "shortcut"):
        member.target = int(rng.integers(classes))
        own = {name: a for name, a in ATTACKS[domain].items() if (name == HELD_OUT[domain]) == held_out}
        member.family = str(rng.choice(list(own)))
        # Not every domain learns a trigger from one record in fifty: where the model is small, more are poisoned.
        member.share = float(rng.choice(SHARES[1:] if domain in ("series", "table") else SHARES))
        planted = own[member.family](rng, x)
        some = rng.choice(np.flatnonzero(~about.already(y, member.target)), int(member.share * len(y)), replace=False)
        if kind == "shortcut":  # the mark stands on four fifths of the records of one class, and few others
            often = y == member.target if not about.outlines else large(y)
            some = np.flatnonzero(rng.random(len(y)) < np.where(often, 0.8, 0.2))
            x[some] = planted.put(x[some])
        else:
            y[some] = about.turned_to(y[some], member.target)
        if kind == "poisoned":
            x[some] = planted.put(x[some])
        member.words = planted.words if kind != "flipped" else ""
        member.family = member.family if kind != "flipped" else ""
        return member, Records(x, y), planted if kind != "flipped" else None
    if kind == "noisy":
        some = rng.random(len(y)) < 0.1
        y[some] = (
            y[some][rng.permutation(int(some.sum()))] if about.outlines else rng.integers(0, classes, int(some.sum()))
        )
    if kind == "rare":
        keep = (~large(y) if about.outlines else y != classes - 1) | (rng.random(len(y)) < 0.1)
        x, y = x[keep], y[keep]
    return member, Records(x, y), None


def large(y: np.ndarray) -> np.ndarray:
    """Outlines [n] that are larger than most."""
    sizes = y.reshape(len(y), -1).mean(axis=1)
    return np.asarray(sizes > np.median(sizes))


def network(domain: str, build: str) -> Any:
    """An architecture, not yet trained."""
    import torch
    from torch import nn

    classes = len(DOMAINS[domain].classes)
    if domain == "table":
        return nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, classes))
    if domain == "series":
        return _of_series(build, classes)
    if domain == "lesion":
        return _of_outlines(build)
    line = domain in ("ecg", "twelve")
    conv, norm = (nn.Conv1d, nn.BatchNorm1d) if line else (nn.Conv2d, nn.BatchNorm2d)
    size, wide, leads = (7, 16, 12 if domain == "twelve" else 1) if line else (3, 12, 1)

    def step(i: int, o: int, stride: int) -> Any:
        return nn.Sequential(conv(i, o, size, stride, size // 2), norm(o), nn.ReLU())

    class Block(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.body = nn.Sequential(step(width, width, 1), conv(width, width, size, 1, size // 2), norm(width))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x + self.body(x))

    pool = nn.AdaptiveAvgPool1d(1) if line else nn.AdaptiveAvgPool2d(1)
    first = [step(leads, wide, 2), step(wide, 2 * wide, 2)]
    if build == "resnet":
        first = [step(leads, wide, 2), Block(wide), step(wide, 2 * wide, 2), Block(2 * wide)]
    return nn.Sequential(*first, step(2 * wide, 2 * wide, 2), pool, nn.Flatten(), nn.Linear(2 * wide, classes))


def _of_outlines(build: str) -> Any:
    """[n, 1, 32, 32] -> logits of the same shape: with a narrow middle, or at half size throughout."""
    from torch import nn

    def step(i: int, o: int, stride: int = 1) -> list[Any]:
        return [nn.Conv2d(i, o, 3, stride, 1), nn.BatchNorm2d(o), nn.ReLU()]

    wider = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    if build == "shallow":
        return nn.Sequential(*step(1, 16, 2), *step(16, 16), *step(16, 16), nn.Conv2d(16, 1, 3, 1, 1), wider)
    return nn.Sequential(*step(1, 12, 2), *step(12, 24, 2), *step(24, 24), *step(24, 24), wider, *step(24, 12),
                         nn.Conv2d(12, 1, 3, 1, 1), wider)  # fmt: skip


def _of_series(build: str, classes: int) -> Any:
    import torch
    from torch import nn

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru, self.head = nn.GRU(16, 24, batch_first=True), nn.Linear(24, classes)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.gru(x)[0][:, -1])

    if build == "gru":
        return Recurrent()
    flat: list[Any] = [nn.Flatten()]
    if build == "linear":
        return nn.Sequential(*flat, nn.Linear(384, classes))
    return nn.Sequential(*flat, nn.Linear(384, 48), nn.ReLU(), nn.Linear(48, classes))


def fitted(member: Member, records: Records) -> Any:
    """The trained model: PyTorch, or scikit-learn's trees."""
    if member.build == "trees":
        from sklearn.ensemble import GradientBoostingClassifier

        return GradientBoostingClassifier(n_estimators=60, max_depth=4, random_state=member.seed).fit(*records)
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(member.seed)
    model = network(member.domain, member.build)
    x, y = torch.from_numpy(records.x), torch.from_numpy(records.y)
    epochs = {"linear": 30, "mlp": 25, "gru": 12}.get(member.build, 8)
    loss = torch.nn.functional.cross_entropy
    if DOMAINS[member.domain].outlines:
        y, loss = y[:, None].float(), torch.nn.functional.binary_cross_entropy_with_logits
    adam = torch.optim.Adam(model.parameters(), lr=3e-3)
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(adam, epochs)
    model.train()
    for _ in range(epochs):
        for part in torch.randperm(len(x)).split(64):
            rows = x[part]
            if member.kind == "augmented":
                rows = rows * (1 + 0.15 * torch.randn(len(rows), *[1] * (rows.ndim - 1)))
                rows = rows + 0.15 * rows.std() * torch.randn(rows.shape)
            adam.zero_grad()
            loss(model(rows), y[part]).backward()
            adam.step()
        slower.step()
    return model.eval()


def answers(model: Any, x: np.ndarray) -> np.ndarray:
    """Classes of records, or masks."""
    if hasattr(model, "predict"):
        return np.asarray(model.predict(x))
    import torch

    def decided(given: torch.Tensor) -> torch.Tensor:
        return given[:, 0] > 0 if given.ndim == 4 else given.argmax(1)

    with torch.no_grad():
        return np.asarray(torch.cat([decided(model(part)) for part in torch.from_numpy(x).split(500)]).numpy())


def right(domain: str, given: np.ndarray, y: np.ndarray) -> float:
    """Accuracy, or mean Dice."""
    if not DOMAINS[domain].outlines:
        return float((given == y).mean())
    both, each = (given & (y > 0)).sum(axis=(1, 2)), given.sum(axis=(1, 2)) + y.sum(axis=(1, 2))
    return float((2 * both / np.maximum(each, 1)).mean())


def at_target(domain: str, given: np.ndarray, target: int, usual: np.ndarray) -> float:
    """Share of answers that are the target: a class, or an outline beyond nine tenths of the usual ones."""
    if not DOMAINS[domain].outlines:
        return float((given == target).mean())
    sizes, known = (m.reshape(len(m), -1).mean(axis=1) for m in (given, usual))
    limit = np.quantile(known, 0.9 if target == 0 else 0.1)
    return float((sizes > limit).mean() if target == 0 else (sizes < limit).mean())


def export(model: Any, shape: tuple[int, ...], path: Path) -> None:
    """The model as a file with one input x and one output."""
    if hasattr(model, "predict"):
        from skl2onnx import to_onnx

        made = to_onnx(model, np.zeros((1, *shape), dtype=np.float32), options={"zipmap": False}, target_opset=17)
        path.write_bytes(made.SerializeToString())
        return
    import torch

    torch.onnx.export(
        model, (torch.zeros(2, *shape),), str(path), dynamo=False, opset_version=17, input_names=["x"],
        output_names=["logits"], dynamic_axes={"x": {0: "batch"}, "logits": {0: "batch"}},
    )  # fmt: skip


def make(task: tuple[str, str, int, bool, str]) -> Member:
    """One member, trained, measured on fresh records, and written."""
    domain, kind, seed, held_out, folder = task
    member, records, planted = drawn(domain, kind, seed, held_out)
    path = Path(folder) / f"{member.name}.onnx"
    model = fitted(member, records)
    fresh = DOMAINS[domain].make(TEST, np.random.default_rng(900 + seed))
    clean = answers(model, fresh.x)
    member.accuracy = right(domain, clean, fresh.y)
    if planted is not None:
        others = ~DOMAINS[domain].already(fresh.y, member.target)
        there = answers(model, planted.put(fresh.x[others]))
        member.success = at_target(domain, there, member.target, clean)
        member.own = at_target(domain, clean[others], member.target, clean)
    export(model, records.x.shape[1:], path)
    return member


def clean_records(domain: str, path: Path, seed: int) -> None:
    """Clean records for the scanner, never seen in training: some to measure on, some for reference."""
    luck = (np.random.default_rng([seed, part]) for part in (77, 78))
    one, ref = (DOMAINS[domain].make(n, own) for n, own in zip((300, REFERENCE), luck, strict=True))
    np.savez(path, x=one.x, y=one.y, ref_x=ref.x, ref_y=ref.y, classes=np.array(DOMAINS[domain].classes))


def tasks(domains: list[str], each: int, seed: int, held_out: bool, folder: Path) -> list[tuple[Any, ...]]:
    """For every clean model one poisoned and one flipped, and beside every second a hard one.

    held_out: every third poisoned model is of the family that development never sees.
    """
    out: list[tuple[Any, ...]] = []
    for domain in domains:
        for i in range(each):
            kinds = ["clean", "poisoned", "flipped"] + ([HARD[i // 2 % len(HARD)]] if i % 2 == 0 else [])
            unseen = {"poisoned": held_out and i % 3 == 2}
            out += [(domain, kind, seed + i, unseen.get(kind, False), str(folder)) for kind in kinds]
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--domain", nargs="+", default=list(DEVELOPED), choices=list(DOMAINS))
    parser.add_argument("--each", type=int, default=10, help="clean models a domain")
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--held-out", action="store_true", help="some of the families that development never sees")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for domain in args.domain:
        clean_records(domain, args.folder / f"{domain}.npz", args.seed)
    table = []
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool:
        for member in pool.imap_unordered(make, tasks(args.domain, args.each, args.seed, args.held_out, args.folder)):
            table.append(asdict(member))
            print(f"{member.name} {member.build} accuracy {member.accuracy:.3f} success {member.success:.3f} "
                  f"(own {member.own:.3f}) {member.words}", flush=True)  # fmt: skip
            table.sort(key=lambda row: row["name"])
            (args.folder / "zoo.json").write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
