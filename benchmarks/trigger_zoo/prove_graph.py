"""Proof: logic that was planted into graphs is found with its way; clean exports raise no alarm, or one that is read.

Usage: python -m benchmarks.trigger_zoo.prove_graph PLANTS CLEAN

PLANTS is a folder that `plants` wrote, with rewrites; CLEAN one that `exports` wrote. A plant counts as found where
a hit of severity high or medium has a way from an input to an answer. `HAND_WRITTEN` names the clean exports in which
somebody did write a rule by hand that decides on raw input (a quality gate, an age from which another head answers):
there the alarm is what a reader should see, and it is counted apart, by name.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

from benchmarks.trigger_zoo.plants import HELD_OUT
from benchmarks.trigger_zoo.plants_structure import WEIGHTS

HAND_WRITTEN = (
    "ecg-beat-picker", "ecg-paced", "ecg-quality-gate", "keras-table-age-heads", "oximeter-perfusion-gate",
    "table-age-heads", "table-cond-branch", "table-contraindication", "table-dose-limits", "table-early-warning",
    "table-experts-by-ward", "table-scripted-branch", "two-towers", "xray-inverted-by-corner",
)  # fmt: skip


class Scanned(NamedTuple):
    """What one file gave."""

    name: str
    severity: str  # of the worst hit that has a whole way
    text: str
    seconds: float
    size: int


def scan(path: Path) -> Scanned:
    import onnx

    from medaudit.model.hidden import hidden

    began = time.monotonic()
    found = hidden(onnx.load(path, load_external_data=False))
    took = time.monotonic() - began
    whole = [hit for hit in found if len(hit.way) > 1 and hit.way[-1].startswith("output ")]
    worst = next((hit for hit in whole if hit.severity in ("high", "medium")), None)
    text = f"{worst.rule} {worst.text}" if worst else ""
    return Scanned(path.name[:-5], worst.severity if worst else "none", text, took, path.stat().st_size)


def planted(done: list[Scanned]) -> bool:
    """The table of designs and of rewrites; whether what is wanted was found."""
    designs: dict[str, Counter[str]] = defaultdict(Counter)
    rewrites: dict[str, Counter[str]] = defaultdict(Counter)
    alone, changed = {}, []
    for one in done:
        design, host, *rewrite = one.name.split("__")
        (rewrites[rewrite[0]] if rewrite else designs[design])[one.severity] += 1
        if rewrite:
            changed.append(((design, host), rewrite[0], one.severity))
        else:
            alone[design, host] = one.severity
    print(f"{'design':28s} {'hosts':>5s} {'high':>5s} {'medium':>6s} {'missed':>6s}")
    for name, counts in sorted(designs.items()):
        kind = "held out" if name in HELD_OUT else "weights only" if name in WEIGHTS else ""
        print(f"{name:28s} {counts.total():5d} {counts['high']:5d} {counts['medium']:6d} {counts['none']:6d} {kind}")
    own = {name: c for name, c in designs.items() if name not in WEIGHTS}
    whole = [name for name, c in own.items() if not c["none"]]
    wide = [name for name in whole if own[name].total() >= 10]
    held = [name for name in whole if name in HELD_OUT]
    print(f"# {len(whole)} of {len(own)} designs found on every host, {len(wide)} of them on at least 10 hosts; of the "
          f"{len(HELD_OUT)} designs made blind after the rules {len(held)}")  # fmt: skip
    for name, counts in sorted(rewrites.items()):
        print(f"rewrite {name:26s} {counts.total():4d} {counts['high']:5d} {counts['medium']:6d} {counts['none']:6d}")
    lost = [(at, how) for at, how, severity in changed if severity == "none" and alone[at] != "none"]
    print(f"# of {len(changed)} rewritten plants {len(lost)} are lost that are found as they were: {lost}")
    return len(wide) >= 30 and bool(changed) and not lost  # where nothing was rewritten nothing is shown


def clean(done: list[Scanned]) -> bool:
    """Alarms on clean exports by name; whether they stay within what is wanted."""
    high = [one for one in done if one.severity == "high"]
    written = [one for one in high if one.name.split(".")[0] in HAND_WRITTEN]
    others = [one for one in high if one not in written]
    for one in written + others:
        print(f"{'hand-written' if one in written else 'ALARM'}: {one.name}: {one.text}")
    for one in (one for one in done if one.severity == "medium"):
        print(f"medium: {one.name}: {one.text}")
    silent = len(done) - len(high)
    print(f"# {len(done)} clean exports: {silent} without a high finding, {len(written)} with a rule that somebody "
          f"wrote, {len(others)} alarms")  # fmt: skip
    return silent >= 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plants", type=Path)
    parser.add_argument("clean", type=Path)
    args, good = parser.parse_args(), True
    with multiprocessing.get_context("spawn").Pool() as pool:
        for folder, judge in ((args.plants, planted), (args.clean, clean)):
            files = sorted(folder.glob("*.onnx"))
            done = pool.map(scan, files, chunksize=16)
            good = bool(done) and judge(done) and good
            slow = max(done, key=lambda one: one.seconds, default=None)
            if slow:
                print(f"# {len(done)} files; the slowest took {slow.seconds:.2f} s ({slow.name}, {slow.size:,} bytes)")
    sys.exit(not good)


if __name__ == "__main__":
    main()
