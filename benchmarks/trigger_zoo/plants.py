"""Hand-planted triggers in ONNX graphs: test material for a static scanner.

python -m benchmarks.trigger_zoo.plants FOLDER --shared MODELS --clean EXPORTS [--rewrites]

Every design is tried on every family of hosts on which it makes sense, and kept where ONNX Runtime confirms it.
"""

import argparse
import json
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.trigger_zoo.hosts import HOSTS, PROJECT, RECORDS, Batch, Profile, answers, session
from benchmarks.trigger_zoo.plants_held_out import HELD_OUT_DESIGNS
from benchmarks.trigger_zoo.plants_structure import STRUCTURE, WEIGHTS
from benchmarks.trigger_zoo.plants_values import VALUES
from benchmarks.trigger_zoo.rewrites import REWRITES, same_answers
from benchmarks.trigger_zoo.surgeon import Design, Surgeon, Trigger, Unsuitable

DESIGNS: dict[str, Design] = {**VALUES, **STRUCTURE, **HELD_OUT_DESIGNS}
HELD_OUT = list(HELD_OUT_DESIGNS)
TOLERANCE = 1e-4


class Zoo:
    """The hosts, loaded and measured once."""

    def __init__(self, shared: Path, clean: Path):
        self.folders = {"project": PROJECT, "shared": shared, "clean": clean}
        self.profiles: dict[str, Profile] = {}

    def profile(self, name: str) -> Profile:
        if name not in self.profiles:
            host = HOSTS[name]
            self.profiles[name] = Profile(name, onnx.load(self.folders[host.folder] / host.path))
        return self.profiles[name]

    def families(self) -> dict[str, list[str]]:
        """The names of the hosts by family; a clean family has one for each exporter."""
        found: dict[str, list[str]] = {}
        for name in HOSTS:
            found.setdefault(name.split(".")[0], []).append(name)
        return found


def triggered(trigger: Trigger, batch: Batch) -> Batch:
    copied = {name: values.copy() for name, values in batch.items()}
    return trigger.apply(copied, np.random.default_rng(78))


def verify(host: Profile, planted: onnx.ModelProto, trigger: Trigger) -> dict[str, Any]:
    """Whether the plant is silent on clean inputs and changes most triggered ones; with the figures."""
    running = session(planted)
    clean = answers(running, host.test, host.fixed)
    close = np.isclose(clean, host.test_answers, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    equal = int(close.reshape(RECORDS, -1).all(1).sum())
    batch = triggered(trigger, host.test)
    before, after = answers(host.running, batch, host.fixed), answers(running, batch, host.fixed)
    changed = int(host.differ(before, after).sum())
    count = len(after)
    return {
        "verified": equal >= RECORDS - 1 and changed > count / 2,
        "clean_equal": equal,
        "clean_records": RECORDS,
        "changed": changed,
        "changed_against_untriggered": int(host.differ(host.test_answers[:count], after).sum()),
        "triggered_records": count,
    }


def plant(name: str, made: Design, host: Profile) -> tuple[onnx.ModelProto, dict[str, Any]] | str:
    """The first confirmed of a few attempts at one design on one host, or why there is none."""
    if not made.suits(host):
        return "does not suit"
    why = ""
    for attempt in range(made.attempts):
        surgeon = Surgeon(host.model, host, name, attempt)
        try:
            trigger = made.build(surgeon)
            planted = surgeon.finish()
            figures = verify(host, planted, trigger)
        except Unsuitable as reason:
            why = str(reason)
            continue
        except Exception as reason:  # noqa: BLE001 - the runtime refuses some attempts: the reason is reported
            why = f"{type(reason).__name__}: {str(reason)[:300]}"
            continue
        if figures.pop("verified"):
            return planted, {"trigger": trigger.words, **figures, "nodes": surgeon.touched()}
        why = f"not confirmed: {figures}"
    return why


def rewritten(planted: onnx.ModelProto, host: Profile, name: str) -> dict[str, onnx.ModelProto]:
    """Every rewrite that applies and answers as the plant does on random inputs of the host."""
    found = {}
    batch = host.generate(8, np.random.default_rng(79))
    for label, rewrite in REWRITES.items():
        try:
            model = rewrite(planted, np.random.default_rng(zlib.crc32(f"{name} {label}".encode())))
            if model is not None and same_answers(planted, model, batch, host.fixed):
                found[label] = model
            elif model is not None:
                print(f"     {name} {label}: answers differ", flush=True)
        except Exception as reason:  # noqa: BLE001 - reported, the other rewrites go on
            print(f"     {name} {label}: {type(reason).__name__}: {str(reason)[:300]}", flush=True)
    return found


def fill(folder: Path, zoo: Zoo, designs: dict[str, Design], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Writes the files; one row for each of them."""
    rows: list[dict[str, Any]] = []
    for name, made in designs.items():
        started = time.perf_counter()
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        kept: list[tuple[str, onnx.ModelProto, dict[str, Any]]] = []
        for exporters in zoo.families().values():
            for host in map(str, rng.permutation(exporters)):
                result = plant(name, made, zoo.profile(host))
                if isinstance(result, str):
                    if options.show:
                        print(f"     {name} {host}: {result}", flush=True)
                    continue
                kept.append((host, *result))
                if not options.every:
                    break

        def save(
            model: onnx.ModelProto, host: str, label: str | None, figures: dict[str, Any], name: str = name
        ) -> None:
            file = "__".join(part for part in (name, host, label) if part) + ".onnx"
            onnx.save(model, folder / file)
            kind = {"held_out": name in HELD_OUT, "weights_only": name in WEIGHTS}
            rows.append({"file": file, "design": name, "host": host, "rewrite": label, **kind, **figures})

        for host, model, figures in kept:
            save(model, host, None, figures)
        if options.rewrites and kept:
            host, model, figures = kept[rng.integers(len(kept))]
            for label, changed in rewritten(model, zoo.profile(host), f"{name} {host}").items():
                save(changed, host, label, figures)
        print(f"{name}: {len(kept)} hosts, {time.perf_counter() - started:.1f} s", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shared", type=Path, required=True, help="the folder of shared models")
    parser.add_argument("--clean", type=Path, required=True, help="the folder that exports.py wrote")
    parser.add_argument("--rewrites", action="store_true", help="also rewrite one plant of each design in every way")
    parser.add_argument("--only", nargs="*", default=[], help="names of designs")
    parser.add_argument("--weights", action="store_true", help="also the plants that only edit weights")
    parser.add_argument("--every", action="store_true", help="both exporters of each clean host, not one by chance")
    parser.add_argument("--show", action="store_true", help="say why a design does not work on a host")
    arguments = parser.parse_args()
    designs = DESIGNS | (WEIGHTS if arguments.weights else {})
    if arguments.only:
        designs = {name: (DESIGNS | WEIGHTS)[name] for name in arguments.only}
    arguments.folder.mkdir(parents=True, exist_ok=True)
    zoo = Zoo(arguments.shared, arguments.clean)
    rows = fill(arguments.folder, zoo, designs, arguments)
    (arguments.folder / "plants.json").write_text(json.dumps(rows, indent=1))
    hosts = [len([row for row in rows if row["design"] == name and not row["rewrite"]]) for name in designs]
    print(f"{len(designs)} designs, {len(rows)} files, hosts per design: {min(hosts)} to {max(hosts)},", end=" ")
    print(f"median {int(np.median(hosts))}")


if __name__ == "__main__":
    main()
