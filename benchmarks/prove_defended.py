"""Defences against attacks on explanations, and detectors, on three models: what published claims come to here.

Razmi et al. 2023 say that detectors of ordinary adversarial inputs do not see inputs whose explanation alone was led
away, and that an auto-encoder before the model restores explanations better than averaging over noise. Here an
auto-encoder, principal components (a linear one) and noise averaging stand before a RETAIN (its own contributions, led
to another patient's), a GRU of charts and PneumoniaMNIST (occlusion, led away). Overlap of the maps of the clean and
of the attacked record: bare; replayed, the same inputs behind the defence; adaptive, attacked through it; at random,
through it. Detectors: area under the curve of clean against attacked inputs, beside those that turn the answer.

Usage: python -m benchmarks.prove_defended [--shared FOLDER] [--records N]; needs PyTorch.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from scipy.spatial import cKDTree

from benchmarks import charts
from benchmarks.prove_explained import ANSWER, LABEL, RETAIN, Case, said
from medaudit.audit.denoise import fit_denoiser
from medaudit.audit.results import Report
from medaudit.audit.scan import Options, scan
from medaudit.policy.write import dump
from medaudit.stats import bounds

KEPT = 0.95  # share of the variance that principal components keep
DRAWS = 8
NOISE, COPIES = "0.02 range", 5  # of answers and of maps, at equal cost
AWAY = 0.1  # noise of copies, in spreads
MERGED = ("mean", "median")  # of the maps of noisy copies
WORDS = {way: f"{way} of {COPIES} maps" for way in MERGED}


def subjects(folder: Path, shared: Path | None) -> list[Case]:
    """Models of charts made here, and the real images."""
    data = folder / "charts.npz"
    out = [
        Case("RETAIN", folder / "retain.onnx", data, "1", RETAIN, "explanation-target", 2000, LABEL),
        Case("GRU", folder / "gru.onnx", data, "0.1", {"kind": "occlusion", "hours": 8}, "explanation-drift",
                160 * 115, ANSWER),
    ]  # fmt: skip
    if shared is not None:
        both = shared / "models" / "pneumonia_nchw.onnx", shared / "data" / "pneumonia.npz"
        grid = {"kind": "occlusion", "grid": 7}
        out.append(Case("PneumoniaMNIST", *both, "0.02 range", grid, "explanation-drift", 160 * 50, ANSWER))
    return out


def components(rows: np.ndarray, name: str, path: Path) -> Path:
    """A graph that leaves of each row what the main directions of these rows hold."""
    flat = rows.reshape(len(rows), -1).astype(np.float64)
    mean = flat.mean(axis=0)
    _, size, ways = np.linalg.svd(flat - mean, full_matrices=False)
    count = int(np.searchsorted(np.cumsum(size**2) / (size**2).sum(), KEPT)) + 1
    given = {"mean": mean, "ways": ways[:count].T, "back": ways[:count]}
    shapes = {"flat": [-1, flat.shape[1]], "whole": [-1, *rows.shape[1:]]}
    nodes = [
        helper.make_node("Reshape", [name, "flat"], ["row"]), helper.make_node("Sub", ["row", "mean"], ["centred"]),
        helper.make_node("MatMul", ["centred", "ways"], ["along"]),
        helper.make_node("MatMul", ["along", "back"], ["kept"]),
        helper.make_node("Add", ["kept", "mean"], ["sum"]), helper.make_node("Reshape", ["sum", "whole"], ["out"]),
    ]  # fmt: skip
    held = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in given.items()]
    held += [numpy_helper.from_array(np.array(v, dtype=np.int64), k) for k, v in shapes.items()]
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", *rows.shape[1:]]) for n in (name, "out")
    ]  # fmt: skip
    graph = helper.make_graph(nodes, "components", ends[:1], ends[1:], held)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), str(path))
    return path


def tensor(subject: Case, stored: np.ndarray) -> np.ndarray:
    """Rows of the data file as the model takes them."""
    if subject.name == "PneumoniaMNIST":
        return (stored.reshape(-1, 1, 28, 28) / (255.0 if stored.dtype == np.uint8 else 1.0)).astype(np.float32)
    return stored.astype(np.float32)


def policy(subject: Case, stages: dict[str, Any], records: int) -> dict[str, Any]:
    """Explanations attacked, bare and behind each defence; answers turned in the same box."""
    with_ = {"records": records, "alike": 1.0, **subject.settings}
    merged = {way: {**subject.explainer, "copies": COPIES, "merge": way, "noise": AWAY} for way in MERGED}
    return {
        "medaudit": 1, "policy": {"id": "defended"}, "stages": stages,
        "explainers": {"own": subject.explainer, **merged},
        "threats": {"box": {"access": "scores", "norm": "linf", "eps": subject.eps}},
        "checks": [
            {"id": "led", "rule": subject.rule, "threat": "box", "budget": {"queries": subject.budget},
             "with": {**with_, "explainer": "own", "also": list(MERGED)}, "behind": list(stages),
             "require": {"metric": "mass_overlap", "at_least": "50%"}},
            *({"id": f"led-{way}", "rule": subject.rule, "threat": "box",
               "budget": {"queries": subject.budget * COPIES}, "with": {**with_, "explainer": way, "agreement": 0.01},
               "require": {"metric": "mass_overlap", "at_least": "50%"}} for way in MERGED),
            {"id": "turned", "rule": "standard", "threat": "box", "budget": {"queries": 500},
             "require": {"metric": "robust_accuracy", "at_least": "50%"}},
        ],
    }  # fmt: skip


def attacked(subject: Case, folder: Path, check: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Clean and attacked rows that a check's evidence holds, as the model takes them."""
    both: list[list[np.ndarray]] = []
    for path in sorted((folder / "evidence" / check).glob("*.npz")):
        with np.load(path) as held:
            if "perturbed" in held.files:
                both.append([held["clean"], held["perturbed"]])
    points = np.array(both, dtype=np.float32)
    if subject.name != "PneumoniaMNIST":  # points hold a variable's hours one after another
        points = points.reshape(len(points), 2, *shape[::-1]).swapaxes(2, 3)
    clean, found = points.reshape(len(points), 2, *shape).swapaxes(0, 1)
    return clean, found


def detectors(
    subject: Case, reference: np.ndarray, denoisers: dict[str, Path]
) -> dict[str, Callable[[np.ndarray], np.ndarray]]:  # fmt: skip
    """Scores of rows, larger is stranger."""
    spread = reference.std() + 1e-9
    tree = cKDTree(reference.reshape(len(reference), -1))
    model = ort.InferenceSession(str(subject.model))
    entry = model.get_inputs()[0].name
    noise = np.random.default_rng(1).normal(size=(DRAWS, *reference.shape[1:])).astype(np.float32) * 0.1 * spread

    def answers(rows: np.ndarray) -> np.ndarray:
        return np.asarray(model.run(None, {entry: rows})[0], dtype=np.float64)

    def left(path: Path) -> Callable[[np.ndarray], np.ndarray]:
        session = ort.InferenceSession(str(path))
        name = session.get_inputs()[0].name
        return lambda rows: np.square(session.run(None, {name: rows})[0] - rows).reshape(len(rows), -1).mean(axis=1)

    def shaken(rows: np.ndarray) -> np.ndarray:
        return np.mean([np.abs(answers(rows + one) - answers(rows)).sum(axis=1) for one in noise], axis=0)

    return {f"distance to {name}'s": left(path) for name, path in denoisers.items()} | {
        "distance to reference rows": lambda rows: tree.query(rows.reshape(len(rows), -1), 5)[0][:, -1],
        "answers under noise": shaken,
        "doubt of the answer": lambda rows: 1 - answers(rows).max(axis=1),
    }


def main() -> None:
    """Two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path)
    parser.add_argument("--records", type=int, default=30)
    asked, start = parser.parse_args(), time.monotonic()
    lines = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for one in ("retain", "gru"):
            charts.make(folder, one)
        print(
            "| model, before it | bare | replayed | adaptive | at random, through it | excess through it |\n"
            + "| --- " * 6
            + "|"
        )
        for subject in subjects(folder, asked.shared):
            with np.load(subject.data) as held:
                reference = tensor(subject, held["ref_x"])
            auto = folder / f"{subject.name}-auto.onnx"
            fit_denoiser(subject.model, subject.data, auto)
            entry = ort.InferenceSession(str(subject.model)).get_inputs()[0].name
            linear = components(reference, entry, folder / f"{subject.name}-linear.onnx")
            stages = {
                "auto-encoder": [{"denoiser": str(auto)}], "components": [{"denoiser": str(linear)}],
                "noise-vote": [{"noise": NOISE, "votes": COPIES}],
            }  # fmt: skip
            path, out = folder / "policy.yaml", folder / f"run-{subject.name}"
            path.write_text(dump(policy(subject, stages, asked.records)))
            report, _ = scan(
                Options(
                    subject.model,
                    str(path),
                    subject.data,
                    out,
                    workers=2,
                    limit=4 * asked.records,
                    include_samples=True,
                )
            )
            table(subject, report, list(stages))
            tools = detectors(subject, reference, {"the auto-encoder": auto, "components": linear})
            for kind in ("led", "turned"):
                clean, found = attacked(subject, out, kind, reference.shape[1:])
                lines.append(
                    f"| {subject.name}, {'explanation' if kind == 'led' else 'answer'} ({len(found)}) | "
                    + " | ".join(f"{area(tool(clean), tool(found)):.2f}" for tool in tools.values()) + " |"
                )  # fmt: skip
    print("\n| what was attacked (inputs) | " + " | ".join(tools) + " |\n" + "| --- " * (len(tools) + 1) + "|")
    print("\n".join(lines))
    print(f"{time.monotonic() - start:.0f} s")


def area(clean: np.ndarray, found: np.ndarray) -> float:
    """Area under the curve of clean against attacked scores."""
    truth = np.repeat([0, 1], [len(clean), len(found)])
    return bounds.auroc(np.concatenate([clean, found]), truth, 0.95).value


def table(subject: Case, report: Report, stages: list[str]) -> None:
    """Overlaps bare, replayed and adaptive."""
    checks = {check.id: check.explanation for check in report.checks}
    bare = checks["led"]
    if bare is None:
        raise SystemExit(f"{subject.name}: nothing was seen")
    for name in (*stages, *MERGED):
        through = checks[f"led-{name}" if name in MERGED else f"led@{name}"]
        rest = " | ".join(said(v) for v in (through.found, through.chance, through.excess)) if through else "- | - | -"
        replayed = said((bare.recovered | bare.others).get(name))
        print(f"| {subject.name}, {WORDS.get(name, name)} | {said(bare.found)} | {replayed} | {rest} |", flush=True)


if __name__ == "__main__":
    main()
