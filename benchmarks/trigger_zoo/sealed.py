"""Opens the sealed split: models that nobody has seen, judged by what is shipped, once for each detector.

Usage: python -m benchmarks.trigger_zoo.sealed FOLDER [--each 14]

The seed of all models and records is the commit that changed the package last: a detector and its thresholds cannot be
chosen after their models are seen. Every opening is a line of `openings.txt` beside this file, also one that is cut
off. Refuses while the package has changes that are not committed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from datetime import date
from pathlib import Path

from benchmarks.trigger_zoo.data import DOMAINS

HERE = Path(__file__).parent
LOG = HERE / "openings.txt"
PACKAGE = "medaudit"


def told(*words: str) -> str:
    """What git says."""
    done = subprocess.run(["git", *words], cwd=HERE.parents[1], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--each", type=int, default=10, help="clean models a domain")
    args = parser.parse_args()
    if told("status", "--porcelain", "--", PACKAGE):
        sys.exit("the package has changes that are not committed: commit the detector first")
    commit = told("log", "-1", "--format=%H", "--", PACKAGE)
    seed = int(commit[:8], 16)
    with LOG.open("a") as log:
        log.write(f"{date.today()} detector {commit} seed {seed} each {args.each}\n")
    print(f"opened: detector {commit}, seed {seed}", flush=True)
    folder = str(args.folder)
    steps = (
        ("zoo", folder, "--domain", *DOMAINS, "--each", str(args.each), "--seed", str(seed), "--held-out"),
        ("sweeps", folder),
        ("judge", folder, "--shipped"),
    )
    for step, *more in steps:
        print(f"== {step}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.trigger_zoo.{step}", *more], check=True)


if __name__ == "__main__":
    main()
