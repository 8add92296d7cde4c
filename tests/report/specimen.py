"""A made-up report with a check of every verdict and evidence of every domain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from medaudit.audit.results import (
    Case,
    Check,
    Compliance,
    Cost,
    Curve,
    DataFacts,
    FileFacts,
    ModelFacts,
    PolicyFacts,
    Queries,
    Report,
    Required,
    Run,
    TensorFacts,
    Threat,
    Value,
    Verdict,
)

HOSTILE = "<script>alert(1)</script>\x1b[31m red\u202e desrever \u2066 {{ 7 * 7 }} [bold]x[/bold] $\\frac"
PAGE = """Square noise

What it asks
------------
Can an attacker who sees the model's scores turn its answer with noise of this size?

How it works
------------
Windows of the signal are moved to the corners of the box, and kept when the score
falls. It knows three things:

- the scores of the model
- the size of the box
- nothing else

What a pass does not mean
-------------------------
Other attacks may succeed.

    medaudit explain square-noise
"""
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def share(value: float, low: float, high: float, n: int = 400) -> Value:
    return Value(value=value, low=low, high=high, confidence=0.95, n=n, method="Clopper-Pearson")


def threat(norm: str = "linf", eps: float = 0.05, unit: str = "mV", access: str = "scores") -> Threat:
    text = f"Noise on every lead, no sample more than {eps:g} {unit} from the recording."
    why = "Muscle noise of a resting patient measures 0.05 to 0.1 mV at the skin."
    return Threat(
        access=access,
        norm=norm,
        eps=eps,
        unit=unit,
        goal="a wrong answer",
        text=text,
        rationale=why,
    )


def rising(top: float, budget: int, n: int = 120) -> Curve:
    queries = [int(q) for q in np.unique(np.linspace(1, budget, n).round())]
    success = [top * (1 - np.exp(-4 * q / budget)) for q in queries]
    low, high = [max(0.0, s - 0.04) for s in success], [min(1.0, s + 0.04) for s in success]
    return Curve(queries=queries, success=success, low=low, high=high)


def cases(check: str, count: int, norm: str, evidence: list[str | None], spread: bool = True) -> list[Case]:
    rng = np.random.default_rng(len(check))
    out = []
    for i in range(count):
        success = i % 3 != 2
        far = float(rng.gamma(4.0, 0.01)) if spread else 0.05
        out.append(
            Case(
                id=f"{check}-{i:04d}",
                sample=f"{rng.integers(2**48):012x}",
                group=f"p{i // 2:03d}",
                success=success,
                queries=int(rng.integers(20, 4800)) if success else None,
                rows=5000,
                distance={norm: far} if success else {},
                before="atrial fibrillation 0.93",
                after="sinus rhythm 0.51" if success else "",
                evidence=evidence[i % len(evidence)] if success and evidence else None,
            )
        )
    return out


def ecg(leads: int, samples: int, rate: float) -> np.ndarray:
    """[leads, samples], mV: a few waves per beat, enough to look like an ECG."""
    t = np.arange(samples) / rate
    phase = (t % 0.82) / 0.82
    waves = (
        (0.18, 0.025, 0.12),
        (0.27, 0.008, -0.12),
        (0.30, 0.010, 1.1),
        (0.33, 0.010, -0.25),
        (0.55, 0.045, 0.3),
    )
    beat = sum(a * np.exp(-0.5 * ((phase - m) / s) ** 2) for m, s, a in waves)
    gains = np.cos(np.linspace(-0.6, 2.4, leads)) if leads > 1 else np.ones(1)
    drift = 0.04 * np.sin(2 * np.pi * 0.3 * t)
    return np.stack([g * beat + drift for g in gains])


def save(path: Path, inputs: list[dict[str, Any]], clean: np.ndarray, perturbed: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    flat, other = clean.reshape(-1).astype(np.float64), perturbed.reshape(-1).astype(np.float64)
    layout = json.dumps({"inputs": inputs})
    np.savez_compressed(path, delta=other - flat, clean=flat, perturbed=other, layout=layout)


def layer(domain: str, planes: int, rows: int, columns: int, channels: list[dict[str, Any]], **more: Any) -> Any:
    base = {"name": "x", "rate": 0.0, "unit_size": 1.0}
    facts = {
        "domain": domain,
        "planes": planes,
        "rows": rows,
        "columns": columns,
        "channels": channels,
    }
    return {**base, **facts, **more}


def signal_file(path: Path, leads: int, name: str = "", samples: int = 2500, unit: str = "mV") -> None:
    rng = np.random.default_rng(leads)
    clean = ecg(leads, samples, 250.0)
    noise = np.zeros_like(clean)
    for _ in range(60):
        start, lead = int(rng.integers(0, samples - 120)), int(rng.integers(leads))
        noise[lead, start : start + 120] = 0.08 * rng.choice([-1, 1])
    noise[:, 1200:1300] += 0.05
    names = [name or LEADS[i % 12] for i in range(leads)]
    channels = [{"name": n, "unit": unit, "lo": -5, "hi": 5, "kind": "number", "categories": []} for n in names]
    save(path, [layer("signal", 1, leads, samples, channels, rate=250.0)], clean, clean + noise)


def dense_file(path: Path, seed: int, leads: int = 12, samples: int = 5000) -> None:
    """The worst case for size: other noise on every sample of every lead."""
    clean = ecg(leads, samples, 1000.0)
    noise = 0.05 * np.random.default_rng(seed).standard_normal(clean.shape)
    channels = [{"name": n, "unit": "mV"} for n in LEADS]
    save(path, [layer("signal", 1, leads, samples, channels, rate=1000.0)], clean, clean + noise)


def image_file(path: Path, planes: int, side: int = 64) -> None:
    rng = np.random.default_rng(planes)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    lungs = np.exp(-((np.abs(x) - 0.45) ** 2 / 0.06 + y**2 / 0.3))
    base = np.stack([(0.75 - 0.5 * lungs) * (1 - 0.15 * p) for p in range(planes)]) * 255
    noise = np.zeros_like(base)
    for _ in range(12):
        r, c, size = (int(v) for v in (*rng.integers(0, side - 12, 2), rng.integers(3, 12)))
        noise[:, r : r + size, c : c + size] = 8.0 * rng.choice([-1, 1], (planes, 1, 1))
    channels = [{"name": "", "unit": "grey", "lo": 0, "hi": 255, "kind": "number", "categories": []}] * planes
    save(path, [layer("image", planes, side, side, channels)], base, np.clip(base + noise, 0, 255))


def sequence_file(path: Path) -> None:
    rng = np.random.default_rng(5)
    names = (
        "Heart rate",
        "Systolic pressure",
        "Oxygen saturation",
        "Temperature",
        "Glucose",
        "pH",
        "Weight",
        "GCS",
    )
    units = ("bpm", "mmHg", "%", "degC", "mg/dL", "", "kg", "points")
    means = np.array([82, 121, 96, 37.1, 131, 7.38, 78, 14.0])
    clean = means[:, None] * (1 + 0.03 * rng.standard_normal((8, 48)))
    clean[rng.random((8, 48)) < 0.3] = np.nan
    clean[6] = np.nan
    perturbed = clean.copy()
    perturbed[0, 10:14] += 9
    perturbed[1, 30] -= 20
    perturbed[3, 5] = np.nan if not np.isnan(clean[3, 5]) else 38.0
    perturbed[4, 40:44] += 35
    channels = [
        {"name": n, "unit": u, "lo": None, "hi": None, "kind": "number", "categories": []}
        for n, u in zip(names, units, strict=True)
    ]
    save(path, [layer("sequence", 1, 8, 48, channels)], clean, perturbed)


def table_file(path: Path) -> None:
    rows = [
        ("age", "year", "integer", 71, 71, []),
        ("sex", "", "category", 0, 0, ["female", "male"]),
        ("creatinine", "mg/dL", "number", 1.42, 1.17, []),
        ("sodium", "mmol/L", "number", 138, 138, []),
        ("lactate", "mmol/L", "number", float("nan"), float("nan"), []),
        ("admission", "", "category", 1, 2, ["elective", "emergency", "urgent"]),
        ("diabetes", "", "binary", 1, 1, []),
        ("white cells", "10^9/L", "number", 12.4, 10.95, []),
    ]
    channels = [{"name": n, "unit": u, "lo": None, "hi": None, "kind": k, "categories": c} for n, u, k, _, _, c in rows]
    clean, perturbed = np.array([[r[3] for r in rows], [r[4] for r in rows]], dtype=float)
    save(path, [layer("table", 1, 1, len(rows), channels)], clean, perturbed)


EVIDENCE = {
    "noise-evasion": ("evidence/noise-evasion/0.npz", "evidence/noise-evasion/1.npz"),
    "boundary-distance": ("evidence/boundary-distance/0.npz",),
    "xray-noise": ("evidence/xray-noise/0.npz", "evidence/xray-noise/1.npz"),
    "ward-chart": ("evidence/ward-chart/0.npz",),
    "few-values": ("evidence/few-values/0.npz",),
}


def write_evidence(folder: Path) -> None:
    """An evidence file for each domain."""
    signal_file(folder / EVIDENCE["noise-evasion"][0], 12)
    signal_file(folder / EVIDENCE["noise-evasion"][1], 1)
    signal_file(folder / EVIDENCE["boundary-distance"][0], 3)
    image_file(folder / EVIDENCE["xray-noise"][0], 1)
    image_file(folder / EVIDENCE["xray-noise"][1], 3)
    sequence_file(folder / EVIDENCE["ward-chart"][0])
    table_file(folder / EVIDENCE["few-values"][0])


def attack(
    id_: str,
    title: str,
    verdict: Verdict,
    reason: str,
    value: Value,
    need: Required,
    limit: Threat,
    **more: Any,
) -> Check:
    """An evasion check with a curve, cases and a page."""
    evidence: list[str | None] = list(EVIDENCE.get(id_, ()))
    facts: dict[str, Any] = {
        "rule": "square-noise",
        "rule_id": "EV101",
        "family": "EV",
        "severity": "high",
        "metrics": {need.metric: value},
        "required": [need],
        "queries": Queries(rows=1_204_331, budget_per_sample=5000, median_to_success=812, verification=800),
        "cases": cases(id_, 36, limit.norm, evidence, spread=need.metric != "robust_accuracy"),
        "curve": rising(0.21, 5000),
        "maps_to": ["atlas:AML.T0043.001", "eu-ai-act:15.5"],
        "proves": "With 400 patients this check passes from 334 patients that stay right.",
        "page": PAGE,
        "seconds": 412.0,
    }
    return Check(id=id_, title=title, verdict=verdict, reason=reason, threat=limit, **{**facts, **more})


def evasion() -> list[Check]:
    stays = "robust_accuracy"
    at_80 = {"metric": stays, "op": "at_least", "threshold": 0.8}
    median = Value(
        value=0.0912,
        low=0.0783,
        high=None,
        confidence=0.95,
        n=57,
        method="order statistics",
        unit="mV",
    )
    unreached = Value(
        value=None,
        low=0.31,
        n=57,
        confidence=0.95,
        method="order statistics: not reached",
        unit="sd",
    )
    return [
        attack(
            "noise-evasion",
            "Noise an electrode could pick up",
            "fail",
            "The answer stays right for 41.0% of patients; the policy asks for at least 80%.",
            share(0.41, 0.369, 0.453),
            Required(**at_80, verdict="fail"),
            threat(),
            severity="critical",
            flags=["still-rising"],
        ),
        attack(
            "boundary-distance",
            "Smallest noise that turns the answer",
            "inconclusive",
            "The median lies above the requirement, its lower bound below it.",
            median,
            Required(
                metric="median_distance",
                op="at_least",
                threshold=0.08,
                unit="mV",
                verdict="inconclusive",
                more_groups=60,
            ),
            threat(eps=0.2, access="labels"),
            rule="label-walk",
            rule_id="EV201",
        ),
        attack(
            "xray-noise",
            "Faint squares on a chest film",
            "fail",
            "Broken for 52.0% of patients.",
            share(0.48, 0.44, 0.52),
            Required(**at_80, verdict="fail"),
            threat("linf", 8, "grey"),
            waiver={
                "reason": "a denoiser stands before the model on site",
                "owner": "QA, J. Doe",
                "expires": "2099-01-31",
            },
        ),
        attack(
            "ward-chart",
            "Small errors in a ward chart",
            "pass",
            "Broken for 15.7% of patients, allowed are 20%.",
            share(0.843, 0.809, 0.872),
            Required(**at_80, verdict="pass"),
            threat("l2", 0.3, "sd"),
        ),
        attack(
            "few-values",
            "Three wrong laboratory values",
            "pass",
            "Fewer than half could be broken at any distance tried.",
            unreached,
            Required(metric="median_distance", op="at_least", threshold=0.3, unit="sd", verdict="pass"),
            threat("l0", 3, "features"),
            rule="few-features",
            rule_id="EV301",
        ),
    ]


def others() -> list[Check]:
    """Protocol checks, an error, one not run."""
    base = {
        "family": "SA",
        "severity": "high",
        "title": "Clean performance",
        "rule": "baseline",
        "rule_id": "SA001",
    }
    good = Check(
        **base,
        id="baseline",
        verdict="pass",
        reason="Accuracy 93.3% is at or above 85%.",
        page=PAGE,
        metrics={
            "accuracy": share(0.933, 0.909, 0.951),
            "auroc": Value(value=0.971, low=0.962, high=0.98, confidence=0.95, n=400, method="DeLong"),
        },
        required=[
            Required(metric="accuracy", op="at_least", threshold=0.85, verdict="pass"),
            Required(metric="auroc", op="at_least", threshold=0.9, verdict="pass"),
        ],
    )
    same = Check(
        **{
            **base,
            "id": "repeatability",
            "title": "Same question, same answer",
            "rule": "repeatability",
            "rule_id": "SA002",
        },
        verdict="pass",
        reason="256 rows asked twice; no bit differs.",
        metrics={"mismatches": Value(value=0, low=0, high=0, n=256, method="count")},
        required=[Required(metric="mismatches", op="at_most", threshold=0, verdict="pass")],
    )
    broke = Check(
        **{
            **base,
            "id": "finite-answers",
            "title": "Odd input, finite answer",
            "rule": "finite-answers",
            "rule_id": "SA005",
        },
        verdict="error",
        reason="The worker ran out of memory twice; nothing is claimed here.",
    )
    left = Check(
        **{
            **base,
            "id": "spike-trigger",
            "title": "A spike that commands the answer",
            "rule": "trigger-inversion",
            "rule_id": "TR101",
            "family": "TR",
        },
        verdict="not-run",
        reason="deselected by --skip",
        required=[Required(metric="trigger_success", op="at_most", threshold=0.2, verdict="not-run")],
    )
    return [good, same, broke, left]


def report(checks: list[Check] | None = None, name: str = "ecg-12lead.onnx", **more: Any) -> Report:
    """A whole report."""
    found = [*others()[:2], *evasion(), *others()[2:]] if checks is None else checks
    digest = "9f3c5d1e" * 8
    facts: dict[str, Any] = {
        "tool": {"name": "medaudit", "version": "0.1.0"},
        "run": Run(
            id="2026-01-14-9f3c",
            started="2026-01-14T09:12:03Z",
            finished="2026-01-14T09:38:41Z",
            status="complete",
            samples_included=True,
            result_sha256="ab12cd34" * 8,
        ),
        "verdict": "fail",
        "exit_code": 1,
        "model": ModelFacts(
            file=name,
            sha256=digest,
            files=[FileFacts(path=name, sha256=digest, bytes=1_234_567)],
            inputs=[TensorFacts(name="signal", dtype="float32", shape=["batch", 12, 2500])],
            outputs=[TensorFacts(name="logits", dtype="float32", shape=["batch", 5])],
            task="multiclass",
            domain="signal",
            decision="The class with the highest of five scores.",
            batch="dynamic",
            provider="CPUExecutionProvider",
            producer="pytorch 2.13",
            opsets={"": 17},
            parameters=312_453,
            findings=[{"severity": "low", "finding": "the graph holds a training-only node"}],
            notes=["The input is read in mV: the clean accuracy is 93.3% so, and 21% in uV."],
        ),
        "policy": PolicyFacts(
            id="ecg-12lead-rhythm",
            version="1.0.0",
            title="Rhythm from a 12-lead ECG",
            sha256="77aa" * 16,
            basis="Limits from the noise of resting ECG recorders; thresholds set by the board.",
        ),
        "data": DataFacts(
            file="ecg.npz",
            sha256="0123abcd" * 8,
            rows=812,
            groups=406,
            used=800,
            used_groups=400,
            limited="first 400 patients (--limit)",
            classes={"sinus rhythm": 410, "atrial fibrillation": 402},
            notes=["12 rows are the clean reference part and are never attacked."],
        ),
        "baseline": {
            "accuracy": share(0.933, 0.909, 0.951),
            "sensitivity": share(0.921, 0.887, 0.947, 201),
        },
        "seed": 20260114,
        "block": 8,
        "checks": found,
        "flags": ["baseline close to the policy's gate"],
        "compliance": [
            Compliance(
                reference="atlas:AML.T0043.001",
                framework="MITRE ATLAS",
                edition="5.6.0",
                status="catalogue",
                about="craft inputs by asking the model alone",
                state="evidence",
                checks=["noise-evasion", "ward-chart"],
            ),
            Compliance(
                reference="eu-ai-act:15.5",
                framework="Regulation (EU) 2024/1689",
                edition="as amended in 2026",
                status="law, not yet applicable to medical devices",
                about="resilience to attempts to alter use or output",
                state="partial",
                checks=["noise-evasion", "gone-check"],
            ),
            Compliance(
                reference="eu-ai-act:15.4",
                framework="Regulation (EU) 2024/1689",
                edition="as amended in 2026",
                status="law, not yet applicable to medical devices",
                about="resilience to faults",
                state="out-of-reach",
                checks=[],
            ),
        ],
        "environment": {
            "python": "3.11.7",
            "onnxruntime": "1.31.1",
            "platform": "Linux x86_64",
            "cpu": "2 cores",
        },
        "cost": Cost(
            wall_s=1598,
            model_s=1301,
            rows=8_412_030,
            padding=3012,
            calls=1_051_504,
            block=8,
            overhead=1.21,
            verification_rows=1600,
        ),
        "limits": [
            "Only patients of one hospital were tested.",
            "Attackers who know the weights are not covered.",
        ],
    }
    return Report(**{**facts, **more})
