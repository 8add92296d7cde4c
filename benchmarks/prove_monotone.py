"""Proof: with room enough every search breaks every record, and larger changes never find less.

Usage: python -m benchmarks.prove_monotone [NAME ...]; NAME: a specimen of tests/zoo.py or a folder of
examples/; all of them where none is named, but for specimens that are built to be at fault.

    room    at 20 standard deviations every search that applies turns every record, in each of its norms;
            random noise, the control, is shown but not judged
    larger  examples but for ecg: success at .3, 1 and 16 standard deviations (L0: 1, 4 and 16 numbers) never
            lies below the interval that the report gives for a smaller one

Exit 1 when a line is missed. What is missed today is listed in benchmarks/README.md.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from medaudit.core.region import L0
from tests.attacked import Attack, Attacked, Outcome, sizes
from tests.zoo import SPECIMENS

HERE = Path(__file__).resolve().parent.parent
FAULTY = ("batch-coupled", "random-output", "constant", "nan-answer")
EXAMPLES = ("ehr-tabular", "ehr-timeseries", "cxr", "ecg")
CONTROL = "random-noise"
HUGE, STEPS = 20.0, (0.3, 1.0, 16.0)
ROWS = {"ecg": 300}  # rows of a record; 500 elsewhere
RECORDS = {"ecg": 4, "cxr": 6}  # patients; 10 elsewhere


def opened(name: str, folder: Path) -> Attacked:
    if name in EXAMPLES:
        return Attacked(HERE / "examples" / name / "model.onnx", HERE / "examples" / name / "data.npz")
    built = SPECIMENS[name].build(folder)
    return Attacked(built.model, built.data)


def words(attack: Attack, outcome: Outcome) -> str:
    broken = outcome.success
    return f"{attack[0]} {attack[1]} {broken.value:.2f} of {broken.n}"


def room(one: Attacked, name: str) -> Iterator[str]:
    """Searches that leave a record standing at a very large size."""
    runs = one.run(one.attacks(), sizes(HUGE, one.face), ROWS.get(name, 500), RECORDS.get(name, 10))
    short = [words(a, o) for a, o in runs.items() if o.success.value != 1]
    yield from (f"room: {text}" for text in short if not text.startswith(CONTROL))
    by_chance = [text for text in short if text.startswith(CONTROL)]
    if by_chance:
        print(f"   chance alone, not judged: {'; '.join(by_chance)}", flush=True)


def larger(one: Attacked, name: str) -> Iterator[str]:
    """Searches that found less at a larger size than a smaller one's interval allows."""
    searches = [attack for attack in one.attacks() if attack[0] != CONTROL]
    counts = [f"{4**i} features" for i in range(len(STEPS))]
    runs = []
    for step, count in zip(STEPS, counts, strict=True):
        eps = sizes(step, one.face) | {L0: count}
        runs.append(one.run(searches, eps, ROWS.get(name, 500), RECORDS.get(name, 10)))
    for attack in searches:
        shares = [run[attack].success.value or 0.0 for run in runs]
        lows = [run[attack].success.low or 0.0 for run in runs]
        if any(shares[j] < lows[i] for i in range(len(runs)) for j in range(i + 1, len(runs))):
            yield f"larger: {attack[0]} {attack[1]} " + ", ".join(f"{share:.2f}" for share in shares)


def main() -> None:
    names = sys.argv[1:] or [*(n for n in SPECIMENS if n not in FAULTY), *EXAMPLES]
    missed = 0
    for name in names:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            one = opened(name, Path(folder))
            lines = list(room(one, name)) + (list(larger(one, name)) if name in EXAMPLES[:-1] else [])
        task, numbers, attacks = one.face.output.task, one.face.size, len(one.attacks())
        print(f"{name}: {task}, {numbers} numbers, {attacks} attacks, {time.monotonic() - began:.0f} s", flush=True)
        print(*(f"   MISSED {line}" for line in lines), sep="\n", end="\n" if lines else "", flush=True)
        missed += len(lines)
    print(f"{missed} missed on {len(names)} models")
    sys.exit(missed > 0)


if __name__ == "__main__":
    main()
