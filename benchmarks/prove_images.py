"""Proof: published attacks and defences of images, on two X-ray models.

few-pixels  differential evolution over 10 pixels, 50 candidates, 100 generations, beside the published .742 accuracy
            and .935 AUC (of another model and other data: shown, never judged as like for like)
curve       the security curve of a published grid, eps 0, .01 to .09 and .1 to .9 of the grey range, all records, each
            attacked from its label
stages      JPEG 20 and a median of 11: accuracy of the same patients bare, replayed and attacked through, and clean;
            of images of 28 x 28 a window of 11 leaves one answer, which must be flagged
denoisers   the same with an auto-encoder and a VAE, fitted here on the reference images; they need PyTorch
hardened    the X-ray example beside the same network trained on attacked images (examples/cxr/harden.py): both
            security curves; at the size of the shipped policy, the hardened one must stand surely more often

Usage: python -m benchmarks.prove_images FOLDER [--limit N] [--part NAME ...], FOLDER holds models/ and data/.
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

from medaudit.audit.denoise import KINDS, fit_denoiser
from medaudit.audit.results import Report, Value
from medaudit.audit.scan import Options, scan
from medaudit.policy.write import dump

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
GRID = [*(i / 100 for i in range(1, 10)), *(i / 10 for i in range(1, 10))]
PARTS = ("few-pixels", "curve", "stages", "denoisers", "hardened")
SHIPPED = 0.02  # of the grey range
STAGES = {"jpeg-20": [{"jpeg": 20}], "median-11": [{"median": 11}], "blur-30": [{"blur": 30}]}
PUBLISHED = "published, another model: accuracy .742, AUC .935"


def policy(part: str, stages: dict[str, Any]) -> dict[str, Any]:
    require = {"metric": "robust_accuracy", "at_least": "50%"}  # of no interest here
    out: dict[str, Any] = {"medaudit": 1, "policy": {"id": part}, "data": {"use": {"only_correct": False}}}
    if part == "few-pixels":
        out["threats"] = {"ten": {"access": "scores", "norm": "l0", "eps": 10}}
        one = {"rule": "few-pixels", "threat": "ten", "with": {"rows": 50}, "budget": {"queries": 5050}}
        return out | {"checks": [{"id": part, "goal": {"stop": "budget"}, "require": require, **one}]}
    near = {"access": "scores", "norm": "linf", "eps": f"{SHIPPED} range"}
    one = {"id": part, "rule": "standard", "threat": "near", "budget": {"queries": 500}, "require": require}
    if part == "curve":
        return out | {"threats": {"near": near}, "checks": [one | {"curve": GRID}]}
    if part == "hardened":
        return out | {"threats": {"near": near}, "checks": [one | {"curve": [0.005, 0.01, 0.03, 0.05]}]}
    use = {"use": {"only_correct": True}}
    return out | {"data": use, "threats": {"near": near}, "stages": stages, "checks": [one | {"behind": list(stages)}]}


def denoisers(model: Path, data: Path, folder: Path) -> dict[str, Any]:
    """An auto-encoder and a VAE for the model, fitted now."""
    out = {}
    for kind in KINDS:
        path = folder / f"{model.stem}-{kind}.onnx"
        got, _ = fit_denoiser(model, data, path, kind=kind)
        print(f"  {kind}: clean rows come back with {got.error:.3f} of their variance, noise of {got.noisy:.3f} "
              f"leaves {got.denoised:.3f}", flush=True)  # fmt: skip
        out[kind] = [{"denoiser": str(path)}]
    return out


def band(value: Value | None) -> str:
    return "-" if value is None else f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"


def shown(part: str, model: str, report: Report) -> bool:
    """Print what came of a part; whether what must hold does."""
    check = report.checks[0]
    if part == "few-pixels":
        clean, area = report.baseline.get("accuracy"), report.baseline.get("auroc")
        attacked = check.metrics.get("auroc_under_attack")
        print(f"  clean: accuracy {band(clean)}, AUC {band(area)}")
        print(f"  attacked: accuracy {band(check.metrics['robust_accuracy'])}, AUC {band(attacked)}; {PUBLISHED}")
        return True
    if part in ("curve", "hardened"):
        curve = check.security
        assert curve is not None
        for eps, stands, low, high in zip(curve.eps, curve.stands, curve.low, curve.high, strict=True):
            print(f"  eps {eps:g}: {stands:.3f} ({low:.3f} to {high:.3f})")
        return curve.stands == sorted(curve.stands, reverse=True)
    for one in check.defences:
        remark = ", a constant model" if one.constant else ""
        print(f"  {one.name}: clean {band(one.clean_bare)} -> {band(one.clean)}{remark}")
        print(f"    attacked bare {band(one.bare)}, replayed {band(one.replayed)}, through it {band(one.adaptive)}")
    return (part, model) != ("stages", "pneumonia") or any(one.constant for one in check.defences)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("--limit", type=int, default=200, help="patients of each model")
    parser.add_argument("--part", nargs="+", default=list(PARTS), choices=PARTS)
    args, good = parser.parse_args(), True
    every = {
        "pneumonia": (args.home / "models/pneumonia_nchw.onnx", args.home / "data/pneumonia.npz"),
        "cxr example": (EXAMPLES / "cxr/model.onnx", EXAMPLES / "cxr/data.npz"),
    }
    with tempfile.TemporaryDirectory() as name:
        for part in args.part:
            models = every
            if part == "hardened":
                models = {m: (EXAMPLES / f"cxr/{m}.onnx", EXAMPLES / "cxr/data.npz") for m in ("model", "hardened")}
            curves = []
            for model, (file, data) in models.items():
                began, path = time.monotonic(), Path(name) / f"{part}.yaml"
                stages = denoisers(file, data, Path(name)) if part == "denoisers" else STAGES
                path.write_text(dump(policy(part, stages)))
                folder = Path(name) / f"{part}-{model.replace(' ', '-')}"
                report, _ = scan(Options(file, str(path), data, folder, limit=args.limit))
                print(f"{part}, {model}: {report.cost.rows:,} rows, {time.monotonic() - began:.0f} s")
                own = shown(part, model, report)
                print("" if own else "  MISSED", end="" if own else "\n", flush=True)
                good &= own
                curves += [report.checks[0].security]
            if part == "hardened":
                base, hard = (dict(zip(c.eps, zip(c.low, c.high, strict=True), strict=True)) for c in curves if c)
                good &= (own := hard[SHIPPED][0] > base[SHIPPED][1])
                print(f"  at eps {SHIPPED:g}: {'surely more' if own else 'MISSED'}")
    sys.exit(not good)


if __name__ == "__main__":
    main()
