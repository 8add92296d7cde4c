"""medaudit beside ART, Foolbox, torchattacks and AutoAttack's Square: same ONNX files, samples and rows.

Records that the model decides correctly, the same for all tools, in four domains (`victims`). Peers run
sample by sample and are judged by all they asked (`peer_attacks`); medaudit runs as in a scan and is
judged by what it returns, its rows for clean answers and donors taken off its budget. Of each kind:

    success     share of records changed inside eps within so many rows
    difference  ours minus the best peer's, by record, and its one-sided 95 % lower bound (Tango 1998)
    median      of kinds that see labels only: distance of the nearest changed point

`tuned`: settings that follow the budget. AutoAttack's, torchattacks' and ART's Square are made so; ours is
square-noise with the paper's schedule. All our other figures are of one absolute schedule: of `ours`, the
best rule after so many rows.

Needs `pip install -e ".[bench]"`. Usage: python -m benchmarks.peers SHARED [--json FILE] [--quick] [NAME...]
FILE gets one line a result; results that it holds are not computed again.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np

from benchmarks import peer_attacks
from benchmarks.peer_attacks import NORMS, PEERS, reach
from benchmarks.victims import SPECS, Victim
from medaudit.core import streams
from medaudit.core.protocol import Lanes
from medaudit.core.region import L0, Region
from medaudit.engine.inline import run_inline
from medaudit.engine.memory import keep_heap
from medaudit.model.pipeline import Pipeline
from medaudit.oracle.decision import decide
from medaudit.oracle.goal import Goal
from medaudit.rule.base import Context, Rule
from medaudit.search import square

BUDGETS = (500, 1000, 5000)
LIBRARIES = {"ART": "adversarial-robustness-toolbox", "Foolbox": "foolbox", "torchattacks": "torchattacks",
             "AutoAttack (pyautoattack)": "pyautoattack"}  # fmt: skip
OURS = {
    "linf-scores": ("sign_noise", "square_noise", "standard"),
    "l2-scores": ("square_noise", "gradient_estimate", "single_steps", "standard"),
    "l0-scores": ("few_places", "few_features", "evolved_entries", "standard"),
    "l2-labels": ("label_arc", "label_walk"),
    "linf-labels": ("label_rays", "label_walk"),
}
TUNED = "square-noise, tuned"
# What the slow model leaves out: all but the strongest of each kind.
SLOW = {"signal"}
SLOW_TOOLS = {"linf-scores": ("sign-noise", "standard", "AutoAttack Square"),
              "l2-scores": ("gradient-estimate", "square-noise", "AutoAttack Square"),
              "l0-scores": ("few-places", "torchattacks OnePixel"),
              "l2-labels": ("label-arc", "ART HopSkipJump"),
              "linf-labels": ("label-rays", "ART HopSkipJump")}  # fmt: skip
MARGIN = -0.05  # wanted of the lower bound
Sizes = dict[int, list[float]]  # budget -> nearest changed point of each record; inf: none


# ---------------------------------------------------------------------------------- medaudit


def context_of(victim: Victim, kind: str, settings: Any) -> Context:
    """What the rules see in a scan of this model."""
    norm, access = NORMS[kind], kind.rpartition("-")[2]
    scale = np.ones(victim.interface.size, dtype=np.float32)
    region = Region(norm, victim.spec.eps[norm], scale, None, victim.interface.parts)
    goal = Goal(stop="budget" if access == "labels" else "flip")
    donors = victim.donors[:, victim.order]
    return Context(victim.interface, region, goal, access, 0.0, settings, donors, victim.kinds)


def ours(victim: Victim, rule: Rule, kind: str, budgets: tuple[int, ...], settings: Any = None) -> Sizes:
    """Sizes of claims after each budget, which pays for clean answers and donors too.

    A run is a prefix of a longer one. So one run tells all budgets where a lane ends at its first claim.
    """
    if kind.endswith("labels") and len(budgets) > 1:
        return {b: ours(victim, rule, kind, (b,), settings)[b] for b in budgets}
    context = context_of(victim, kind, settings or (rule.settings() if rule.settings else None))
    x, back = victim.x[:, victim.order], np.argsort(victim.order)
    pipeline = Pipeline(victim.model, victim.interface, victim.block)
    answers = pipeline.answer_all(x)
    label = np.asarray(decide(victim.interface.output, answers))
    assert (label == victim.label).all()
    eps = np.float32(context.region.eps)

    def make(samples: list[int]) -> Lanes:
        own = x[samples]
        zero, one = np.zeros_like(own), np.ones_like(own)
        lo, hi = zero, one
        if context.region.norm != L0:  # one number inwards: rounding to float32 may not take a success out of eps
            lo = np.maximum(np.nextafter(own - eps, own), zero)
            hi = np.minimum(np.nextafter(own + eps, own), one)
        return Lanes(
            key=np.array([streams.key("peers", s) for s in samples], dtype=np.uint64),
            x=own, lo=lo, hi=hi, missing=None, ref=answers[samples], label=label[samples],
            target=np.full(len(samples), -1), legal_lo=zero, legal_hi=one,
        )  # fmt: skip

    overhead = 1 + len(victim.donors) / len(x)
    job = ("peers", rule.attack(context), int(budgets[-1] - overhead), make, list(range(len(x))))
    sizes: Sizes = {b: [float("inf")] * len(x) for b in budgets}
    for done in run_inline([job], pipeline.answer, victim.block):
        assert done.rows <= budgets[-1] - overhead
        if not np.isfinite(done.arrays["size"]):
            continue
        point, sample = done.arrays["claim"], done.sample
        assert victim.labels(point[None, back])[0] != label[sample]
        found = done.rows if context.goal.stop == "flip" else 0
        for b in budgets:
            if found <= b - overhead:
                sizes[b][sample] = float(
                    peer_attacks.size(context.region.norm, (point - x[sample].astype(float))[None])[0]
                )
    return sizes


def rule_of(name: str) -> Rule:
    rule: Rule = importlib.import_module(f"medaudit.rule.{name}").RULE
    return rule


def tuned(budget: int) -> square.Settings:
    """The window's schedule of the paper (a table over 10,000 rows, scaled to the budget), as a power."""
    return square.Settings(share=0.8, decay=0.8, knee=budget / 400)


# ---------------------------------------------------------------------------------- comparing


def lower_bound(ours_only: int, theirs_only: int, n: int, confidence: float = 0.95) -> float:
    """One-sided lower bound of the difference of two paired shares: Tango's score interval.

    Tango 1998, "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design", Statistics in Medicine 17. ours_only, theirs_only: discordant pairs of n.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtri

    z, b, c = float(ndtri(confidence)), ours_only, theirs_only

    def score(difference: float) -> float:
        """Of the hypothesis that this is the difference, with the most likely shares under it."""
        half, third = (2 * n - b + c) * difference - b - c, -c * difference * (1 - difference)
        share = (np.sqrt(max(0.0, half**2 - 8 * n * third)) - half) / (4 * n)
        variance = n * (2 * share + difference * (1 - difference))
        return float((b - c - n * difference) / np.sqrt(max(variance, 1e-300))) - z

    top = (b - c) / n
    return -1.0 if b == 0 and c == n else float(brentq(score, -1 + 1e-9, top - 1e-12))


def jobs_of(victim: Victim, kind: str, budgets: tuple[int, ...]) -> Iterator[tuple[str, Callable[[], Sizes]]]:
    """Every tool's attack of this kind: name, and what runs it."""
    norm, nearest = NORMS[kind], kind.endswith("labels")
    for name in OURS[kind]:
        rule = rule_of(name)
        if norm in rule.norms and victim.spec.domain in rule.domains:
            yield rule.name, partial(ours, victim, rule, kind, budgets)
    if kind in ("linf-scores", "l2-scores"):
        rule = rule_of("square_noise")
        yield TUNED, lambda: {b: ours(victim, rule, kind, (b,), tuned(b))[b] for b in budgets}
    for peer in PEERS:
        if kind in peer.kinds:
            yield f"{peer.library} {peer.name}", partial(peer_attacks.run, victim, peer, norm, budgets, nearest)


def compute(
    victim: Victim, kind: str, budgets: tuple[int, ...], only: list[str], done: set[Any]
) -> Iterator[dict[str, Any]]:
    """One result an attack: sizes by budget, or the error that a peer ends with."""
    for tool, job in jobs_of(victim, kind, budgets):
        if only and not any(part in tool for part in only):
            continue
        if (victim.name, kind, tool) in done or (victim.name in SLOW and tool not in SLOW_TOOLS[kind]):
            continue
        result: dict[str, Any] = {"model": victim.name, "kind": kind, "tool": tool, "records": len(victim.x)}
        begin, before = time.perf_counter(), victim.counted.rows
        try:
            result["sizes"] = {str(b): [round(size, 6) for size in sizes] for b, sizes in job().items()}
        except Exception as error:  # noqa: BLE001  (whatever a peer raises is its result)
            if not is_peer(tool):
                raise
            result["error"] = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:80]}"
        result["seconds"] = round(time.perf_counter() - begin, 1)
        result["rows"] = victim.counted.rows - before
        yield result


def is_peer(tool: str) -> bool:
    return any(tool == f"{peer.library} {peer.name}" for peer in PEERS)


# ------------------------------------------------------------------------------------ tables


class Best(NamedTuple):
    """The tool with most successes after some rows, of those with the smallest median."""

    tool: str
    success: np.ndarray  # [n] bool
    median: float


def best(results: list[dict[str, Any]], budget: int) -> Best | None:
    """None where no tool got so far."""
    found = []
    for result in results:
        sizes = np.array(result.get("sizes", {}).get(str(budget), []))
        if len(sizes):
            eps = SPECS[result["model"]].eps[NORMS[result["kind"]]]
            found.append(Best(result["tool"], sizes <= reach(eps), float(np.median(sizes))))
    return max(found, key=lambda b: (b.success.mean(), -b.median), default=None)


def bound(one: Best, other: Best) -> float:
    b, c = int((one.success & ~other.success).sum()), int((~one.success & other.success).sum())
    return lower_bound(b, c, len(one.success))


def short(value: float, sign: bool = False) -> str:
    """.52, +.03, -.11; three digits for distances below .1."""
    if not np.isfinite(value):
        return "none"
    text = f"{value:+.2f}" if sign else (f"{value:.3g}" if value < 0.1 else f"{value:.2f}")
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def joined(parts: Iterable[tuple[str, str]]) -> str:
    """(name, figure) of each budget: a name is said again where it changes."""
    said, out = "", []
    for name, figure in parts:
        out.append(figure if name == said else f"{name} {figure}")
        said = name
    return " / ".join(out)


def tables(results: list[dict[str, Any]]) -> Iterator[str]:
    """Markdown: one table a kind, one line a model; figures after each budget; **bold** misses what is wanted."""
    for kind, norm in NORMS.items():
        labels = kind.endswith("labels")
        extra = ["median: best peer", "ours"] if labels else ["`standard`", TUNED]
        head = ["model, eps, records", "best peer", "ours", "difference", "lower bound", *extra]
        yield f"{kind}\n\n| {' | '.join(head)} |\n|{' --- |' * len(head)}"
        for model in SPECS:
            own = [r for r in results if r["model"] == model and r["kind"] == kind]
            peers = [r for r in own if is_peer(r["tool"])]
            rules = [r for r in own if not is_peer(r["tool"]) and r["tool"] != TUNED]
            pairs = []
            for budget in BUDGETS:
                theirs, mine = best(peers, budget), best(rules, budget)
                if theirs and mine:
                    pairs.append((budget, theirs, mine))
            if not pairs:
                continue
            lows = [bound(mine, theirs) for _, theirs, mine in pairs]
            cells = [
                f"{model}, {SPECS[model].eps[norm]:g}, {len(pairs[0][1].success)}",
                joined((t.tool, short(t.success.mean())) for _, t, _ in pairs),
                joined((m.tool, short(m.success.mean())) for _, _, m in pairs),
                " / ".join(short(m.success.mean() - t.success.mean(), True) for _, t, m in pairs),
                " / ".join(marked(short(low, True), low < MARGIN) for low in lows),
            ]
            if labels:
                both = [(nearest(peers, b), nearest(rules, b)) for b, _, _ in pairs]
                cells.append(joined((t.tool, short(t.median)) for t, _ in both))
                cells.append(joined((m.tool, marked(short(m.median), m.median > t.median)) for t, m in both))
            else:
                for tool in ("standard", TUNED):
                    one = [best([r for r in own if r["tool"] == tool], b) for b, _, _ in pairs]
                    pieces = []
                    for budget, theirs, _ in pairs:
                        one = best([r for r in own if r["tool"] == tool], budget)
                        miss = one is not None and bound(one, theirs) < MARGIN
                        pieces.append(marked(short(one.success.mean()), miss) if one else "-")
                    cells.append(" / ".join(pieces))
            yield f"| {' | '.join(cells)} |"
        yield ""
    for result in results:
        if "error" in result:
            yield f"does not run: {result['model']}, {result['kind']}, {result['tool']}: {result['error']}"


def nearest(results: list[dict[str, Any]], budget: int) -> Best:
    found = [best([r], budget) for r in results]
    return min((f for f in found if f), key=lambda f: f.median)


def marked(text: str, miss: bool) -> str:
    return f"**{text}**" if miss else text


def main() -> None:
    keep_heap()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path, help="folder with models/ and data/")
    parser.add_argument("--json", type=Path, help="file for one line of JSON a result")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--quick", action="store_true", help="10 samples, up to 500 rows")
    parser.add_argument("--kind", action="append", choices=sorted(NORMS), default=[])
    parser.add_argument("--most", type=int, default=BUDGETS[-1], help="rows: larger budgets are left out")
    parser.add_argument("--tool", action="append", default=[], help="only tools with this in their name")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(VICTIMS)}; none: all")
    options = parser.parse_intermixed_args()
    results: list[dict[str, Any]] = []
    if options.json and options.json.exists():
        results = [json.loads(line) for line in options.json.read_text().splitlines()]
    done = {(r["model"], r["kind"], r["tool"]) for r in results}
    print("; ".join(f"{name} {version(package)}" for name, package in LIBRARIES.items()))
    for name in options.names or VICTIMS:
        with tempfile.TemporaryDirectory() as folder:
            SPECS[name].make(Path(folder), options.shared)
            victim = Victim(name, SPECS[name], Path(folder), 10 if options.quick else options.samples)
        most = min(options.most, 500 if options.quick else BUDGETS[-1])
        budgets = tuple(b for b in BUDGETS if b <= most)
        for kind in options.kind or NORMS:
            for result in compute(victim, kind, budgets, options.tool, done):
                results.append(result)
                print(line_of(result), flush=True)
                if options.json:
                    with options.json.open("a") as file:
                        file.write(json.dumps(result) + "\n")
    print("\n".join(["", *tables(results)]))


def line_of(result: dict[str, Any]) -> str:
    lead = f"{result['model']:9} {result['kind']:12} {result['tool']:24} {result['seconds']:7.1f} s "
    if "error" in result:
        return lead + result["error"]
    eps = reach(SPECS[result["model"]].eps[NORMS[result["kind"]]])
    parts = [f"{b}: {np.mean(np.array(s) <= eps):.2f} ({np.median(s):.4g})" for b, s in result["sizes"].items()]
    return lead + "  ".join(parts)


VICTIMS = ("image", "table", "sequence", "signal")

if __name__ == "__main__":
    main()
