"""Proof: bounds miss the truth, and verdicts err, no more often than the confidence allows.

Simulated at 95 %, one-sided: every kind of bound that a report shows, against known truths, and how often
a check passes on the bad side of its threshold, or fails on the good side, with the truth `off` it (0: at
it). A cell has two looks: 2,000 runs, and 20,000 where the first leaves a side undecided (6 % between the
95 % bounds of its error rate). OK: at the last look the upper bound is at most 6 %. `design`: records a
patient and the correlation of a patient's records; 1|4: every other patient has four. The package's pure
functions are cached while this runs. Usage: python -m benchmarks.prove_coverage [--json FILE] [--only FAMILY]
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import math
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from medaudit.audit import certificates, companions, verdicts
from medaudit.audit.resolve import Resolved
from medaudit.audit.spec import CheckSpec
from medaudit.core.interface import Output
from medaudit.data import Dataset
from medaudit.domain.quantity import Quantity
from medaudit.domain.threat import Threat
from medaudit.oracle.goal import Goal
from medaudit.policy.schema import CheckSection, RequireSection
from medaudit.rule import RULES
from medaudit.stats import bounds, certificate
from medaudit.stats.bounds import Estimate

C, MOST, LOOKS, SEED = 0.95, 0.06, (2_000, 20_000), 20260114
NS, TRUTHS, OFF = (10, 20, 60, 200), (0.02, 0.1, 0.3, 0.5, 0.8, 0.95), (0.0, 0.01, 0.05, 0.1)
DESIGNS = ("1 rho 0", "4 rho 0", "4 rho .5", "4 rho 1", "1|4 rho 0", "1|4 rho .5", "1|4 rho 1")
Rng, Sides = np.random.Generator, dict[str, bool]  # side -> whether it erred in this run
Cell = tuple[str, dict[str, Any], Callable[..., Sides]]
bounds.share = functools.lru_cache(1 << 17)(bounds.share)
bounds.more_needed = functools.lru_cache(1 << 17)(bounds.more_needed)
MEANS: dict[str, tuple[Callable[[Rng, int], np.ndarray], float, str]] = {
    "normal error": (lambda rng, k: rng.normal(1, 0.3, k), 1.0, "at_most"),
    "exponential error": (lambda rng, k: rng.exponential(1, k), 1.0, "at_most"),
    "lognormal error": (lambda rng, k: rng.lognormal(-0.5, 1, k), 1.0, "at_most"),
    "dice": (lambda rng, k: rng.beta(18, 2, k), 0.9, "at_least"),
    "dice, 1 in 20 empty": (lambda rng, k: rng.beta(18, 2, k) * (rng.random(k) > 0.05), 0.855, "at_least"),
}
MEDIANS: dict[str, tuple[Callable[[Rng, int], np.ndarray], float, float]] = {  # lower and upper median
    "continuous": (lambda rng, k: rng.lognormal(0, 1, k), 1.0, 1.0),
    "ties": (lambda rng, k: rng.choice([0.5, 1.0, 2.0], k, p=[0.3, 0.4, 0.3]), 1.0, 1.0),
    "40 % inf": (lambda rng, k: np.where(rng.random(k) < 0.4, np.inf, rng.random(k) * 1.2), 1.0, 1.0),
    "two values": (lambda rng, k: rng.choice([1.0, 3.0], k), 1.0, 3.0),
    "50 % inf": (lambda rng, k: np.where(rng.random(k) < 0.5, np.inf, rng.random(k)), 1.0, np.inf),
    "60 % inf": (lambda rng, k: np.where(rng.random(k) < 0.6, np.inf, rng.random(k)), np.inf, np.inf),
}


def grid(family: str, run: Callable[..., Sides], **axes: Iterable[Any]) -> Iterator[Cell]:
    """A cell for every combination."""
    yield from ((family, dict(zip(axes, v, strict=True)), run) for v in itertools.product(*axes.values()))


@functools.cache
def layout(n: int, design: str, part: float = 0.5) -> tuple[np.ndarray, float, Dataset, np.ndarray]:
    """Patient of each row, correlation, data set, and rows of the rare class (of whole patients)."""
    sizes, _, rho = design.split()
    group = np.repeat(np.arange(n), np.resize([int(v) for v in sizes.split("|")], n))
    ill = group < round(part * n)
    names = tuple(map(str, range(len(group))))
    return group, float(rho), Dataset("", "", {}, ill.astype(int), names, tuple(f"p{i}" for i in group)), ill


@functools.cache
def by_groups(n: int, design: str, part: float = 0.5) -> Callable[[np.ndarray, np.ndarray], Estimate]:
    return verdicts.by_groups(layout(n, design, part)[2].groups, C)


@functools.cache
def check_of(require: tuple[str, str, Any], rule: str) -> Resolved:
    """A check of a policy that requires this."""
    need = RequireSection.model_validate({"metric": require[0], require[1]: require[2]})
    section = CheckSection(id="simulated", rule=rule, require=need)
    return Resolved(section, RULES[rule], CheckSpec("simulated", rule, None, Goal(), 1000, None))


def alike(rng: Rng, group: np.ndarray, rho: float, draw: Callable[[Rng, int], np.ndarray]) -> np.ndarray:
    """Rows of one distribution; with chance sqrt(rho) a row is a copy of its patient's: correlation rho."""
    copies = rng.random(len(group)) < math.sqrt(rho)
    return np.where(copies, draw(rng, int(group[-1]) + 1)[group], draw(rng, len(group)))


def outside(e: Any, low: float, high: float | None = None, word: str = "") -> Sides:
    """Whether each bound misses; high: the upper end where all from low to high are medians."""
    return {f"{word}low": e.low > low + 1e-12, f"{word}high": e.high < (low if high is None else high) - 1e-12}


def judged(make: Callable[[], Estimate], op: str, truth: float, off: float) -> Sides:
    """judge() with the threshold `off` on the good and on the bad side of the truth."""
    sign, e = (1 if op == "at_least" else -1), make()
    bad, good = bounds.judge(e, op, truth + sign * off), bounds.judge(e, op, truth - sign * off)
    return {"false pass": bad == "pass", "false fail": good == "fail"}


def share(rng: Rng, n: int, p: float, op: str = "", off: float = 0) -> Sides:
    e = bounds.share(int(rng.binomial(n, p)), n, C)
    return judged(lambda: e, op, p, off) if op else outside(e, p)


def patients(rng: Rng, n: int, p: float, design: str) -> Sides:
    """A share of rows, with the bounds of its patients."""
    group, rho, *_ = layout(n, design)
    right = alike(rng, group, rho, lambda r, k: r.random(k)) < p
    return outside(by_groups(n, design)(right, np.ones(len(group), dtype=bool)), p)


def balanced(rng: Rng, n: int, part: float, recalls: Any, design: str, off: float | None = None) -> Sides:
    """Mean recall of two classes of patients, `part` in the first; and the gate that a model at 52.5 % meets."""
    group, rho, data, ill = layout(n, design, part)
    right = alike(rng, group, rho, lambda r, k: r.random(k)) < np.where(ill, *recalls)
    own = by_groups(n, design, part)
    e, truth = verdicts._balanced([own(right, ~ill), own(right, ill)], n), sum(recalls) / 2
    if truth == 0.525:
        two = Output("label", ("l",), classes=("well", "ill"))
        return {"gate: false fail": bool(verdicts.gate(two, {"balanced_accuracy": e}, data))}
    return outside(e, truth) if off is None else judged(lambda: e, "at_least", truth, off)


def multilabel(rng: Rng, n: int, p: float, prevalence: float, rho: float) -> Sides:
    """The whole clean baseline of four findings whose errors have correlation rho in a patient."""
    out = Output("multilabel", ("l",), "probabilities", tuple("abcd"), thresholds=(0.5,) * 4)
    y = (rng.random((n, 4)) < prevalence).astype(int)
    right = alike(rng, np.repeat(np.arange(n), 4), rho, lambda r, k: r.random(k) < p).reshape(n, 4)
    names = tuple(map(str, range(n)))
    found = verdicts.baseline(out, Dataset("", "", {}, y, names, names), np.where(right, y, 1 - y).astype(float), C)
    truth = {"accuracy": p if rho == 1 else p**4}
    return {k: v for m, e in found.items() for k, v in outside(e, truth.get(m, p), word=f"{m} ").items()}


def mean(rng: Rng, values: str, n: int, design: str, off: float | None = None) -> Sides:
    group, rho, *_ = layout(n, design)
    draw, truth, op = MEANS[values]
    drawn = alike(rng, group, rho, draw)
    if "error" in values:  # of a regression whose truths lie between 0 and 6 mean errors
        y = rng.random(len(group)) * 6
        out, names = Output("regression", ("v",), "values", units=("",)), tuple(map(str, group))
        e = verdicts.baseline(out, Dataset("", "", {}, y[:, None], names, names), (y + drawn)[:, None], C)
        e = e["mean_absolute_error"]
    else:
        e = bounds.mean(drawn, C, group, 1.0)
    return outside(e, truth) if off is None else judged(lambda: e, op, truth, off)


def median(rng: Rng, values: str, n: int) -> Sides:
    return outside(bounds.median(MEDIANS[values][0](rng, n), C), *MEDIANS[values][1:])


def auroc(rng: Rng, area: float, n: int, design: str, part: float, kind: str = "", off: float | None = None) -> Sides:
    """Normal scores; hidden: some ill patients score as the well do, the others far above; both: in each patient."""
    group, rho, _, ill = layout(n, design, part)
    ill = np.arange(len(group)) % 2 == 0 if kind == "both" else ill
    score = math.sqrt(rho) * rng.normal(size=n)[group] + math.sqrt(1 - rho) * rng.normal(size=len(group))
    plain = 20 * (rng.random(len(group)) < 2 * area - 1)
    score += ill * (plain if kind == "hidden" else math.sqrt(2) * float(ndtri(area)))
    e = bounds.auroc(score, ill, C, group)
    return outside(e, area) if off is None else judged(lambda: e, "at_least", area, off)


def run_attack(rng: Rng, require: tuple[str, str, Any], n: int, design: str, broken: float, **more: Any) -> Any:
    """verdicts.attack on drawn journal records; one record of a broken patient breaks, the others with chance rho."""
    group, rho, data, _ = layout(n, design)
    check = check_of(require, "label-walk" if "near" in more else "square-noise")
    pick = np.searchsorted(group, np.arange(n)) + rng.integers(0, np.bincount(group))
    first = rng.random(len(group)) < rho
    first[pick] = True
    distance = more["near"](rng, n)[group] * np.where(first, 1, 2) if "near" in more else np.ones(len(group))
    hit = np.isfinite(distance) & (("near" in more) | (first & (rng.random(n) < broken)[group]))
    found = rng.integers(1, more.get("last", 1), n, endpoint=True)[group] * hit
    lost = rng.random(len(group)) < more.get("share", 0)
    base = {"rows": 1000, "found": 0, "success": False, "size": None, "note": "", "invalid": 0}
    gone = base | ({"rows": 0} if more.get("lost") == "never asked" else {"fault": "out of memory"})
    records = {
        i: gone if away else {**base, "found": q, "success": h, "reached": h, "distance": d, "size": d if h else None}
        for i, (away, q, h, d) in enumerate(zip(*(v.tolist() for v in (lost, found, hit, distance)), strict=True))
    }
    return verdicts.attack(check, data, records, C), verdicts.broken(data, records, C)


def attack(rng: Rng, require: Any, n: int, design: str, off: float, **lost: Any) -> Sides:
    """The truth at the threshold (then also the intervals that the report holds), or `off` it on either side."""
    limit = require[2] if require[1] == "at_most" else 1 - require[2]
    bad, control = run_attack(rng, require, n, design, min(1, limit + off), **lost)
    good = run_attack(rng, require, n, design, max(0, limit - off), **lost)[0] if off else bad
    sides = {"false pass": bad.verdict == "pass", "false fail": good.verdict == "fail"}
    if off:
        return sides
    intervals = (("robust ", bad.metrics["robust_accuracy"], 1 - limit), ("broken ", control, limit))
    return sides | {k: v for word, e, truth in intervals for k, v in outside(e, truth, word=word).items()}


def distance(rng: Rng, values: str, n: int, design: str, off: float) -> Sides:
    """Median distance at_least, on the bad and on the good side of the truth; at it, a tie would be good."""
    draw, low, high = MEDIANS[values]
    bad, good = (
        run_attack(rng, ("median_distance", "at_least", f"{at:.9f} mV"), n, design, 1, near=draw)[0].verdict
        for at in (low + off, min(high - off, 99))
    )
    return {"false pass": bad == "pass", "false fail": good == "fail"}


def curve(rng: Rng, n: int, p: float) -> Sides:
    """Points of a curve, which stand at rows fixed beforehand."""
    c = run_attack(rng, ("attack_success", "at_most", 0.5), n, "1 rho 0", p, last=1000)[0].curve
    places = {f"row {q} ": c.queries.index(q) for q in (10, 100, 464, 1000)}
    ends = ((w, Estimate(c.success[i], c.low[i], c.high[i], n, ""), p * c.queries[i] / 1000) for w, i in places.items())
    return {k: v for word, e, truth in ends for k, v in outside(e, truth, word=word).items()}


def planted(rng: Rng, p: float, design: str) -> Sides:
    """Share of planted weaknesses found, of the patients that get one."""
    group, rho, *_ = layout(companions.PLANTED, design)
    found = alike(rng, group, rho, lambda r, k: r.random(k) < p)
    records: verdicts.Records = {i: {"found": int(f)} for i, f in enumerate(found)}
    return outside(companions.judge_planted(records, layout(companions.PLANTED, design)[2].groups, C)[0], p)


def radius(rng: Rng, p: float, draws: int) -> Sides:
    """One certificate at an error of 5 %, where the class comes with chance p."""
    got = certificate.radius(int(rng.binomial(draws, p)), draws, 1 - C, 1.0)
    counts = rng.multinomial(draws, (p, 1 - p))
    wrong = p == 0.5 and certificate.predicted(counts, 1 - C) == 0
    return {"radius": got > max(0.0, float(ndtri(p))), "predict": wrong}


def certified(rng: Rng, n: int, p: float, alpha: float, most: int) -> Sides:
    """Share of patients certified: p of them truly are at eps, the others fall short of it by next to nothing."""
    counts = rng.integers(1, most, n, endpoint=True)
    group = np.repeat(np.arange(n), counts)
    good, eps, draws = (rng.random(n) < p)[group], 0.5, 500
    truly = np.where(good, 0.99, float(ndtr(eps)) - 1e-9)
    reach = [certificate.radius(int(k), draws, alpha, 1.0) for k in rng.binomial(draws, truly)]
    base = {"rows": 600, "invalid": 0, "agrees": True, "smoothed": True, "abstains": False}
    records: verdicts.Records = {i: {**base, "radius": r} for i, r in enumerate(reach)}
    names = tuple(map(str, group))
    data = Dataset("", "", {}, None, tuple(map(str, range(len(group)))), names)
    settings = RULES["randomised-smoothing"].settings(1.0, draws, 100, alpha)
    check = check_of(("certified_accuracy", "at_least", p), "randomised-smoothing")
    threat = Threat("scores", "l2", Quantity(eps, "sd"))
    check = replace(check, spec=replace(check.spec, threat=threat, settings=settings))
    found = certificates.judged(check, data, records, C)[0]
    return {"low": (found.metrics["certified_accuracy"].low or 0.0) > p, "false pass": found.verdict == "pass"}


def cells() -> Iterator[Cell]:
    one, two, few = DESIGNS[:1], (0.1, 0.5), (DESIGNS[0], DESIGNS[2], DESIGNS[6])
    ops = (("robust_accuracy", "at_least", 0.8), ("robust_accuracy", "at_least", 0.95))
    ops += (("attack_success", "at_most", 0.2), ("attack_success", "at_most", 0.5))
    recalls = ((0.5, 0.5), (0.8, 0.8), (0.95, 0.95), (0.5, 0.95), (0.95, 0.5), (0.525, 0.525))
    yield from grid("share", share, n=NS, p=TRUTHS)
    yield from grid("judge share", share, n=NS, p=(0.2, 0.5, 0.8, 0.9), op=("at_least", "at_most"), off=OFF)
    yield from grid("rows", patients, n=NS, p=TRUTHS, design=DESIGNS)
    yield from grid("balanced", balanced, n=NS, part=two, recalls=recalls, design=few)
    yield from grid("judge balanced", balanced, n=NS, part=two, recalls=((0.8, 0.8),), design=one, off=OFF)
    yield from grid("multilabel", multilabel, n=(20, 200), p=(0.8, 0.95), prevalence=(0.5,), rho=(0.0, 1.0))
    yield from grid("mean", mean, values=MEANS, n=NS, design=(*DESIGNS[:4], DESIGNS[6]))
    yield from grid("judge mean", mean, values=MEANS, n=NS, design=one, off=OFF)
    yield from grid("median", median, values=MEDIANS, n=NS)
    yield from grid("attack median", distance, values=list(MEDIANS)[:3], n=NS[1:3], design=DESIGNS[2:3], off=OFF[1::2])
    yield from grid("auroc", auroc, area=(0.5, 0.8, 0.95), n=NS, design=one, part=two, kind=("", "hidden"))
    yield from grid("auroc", auroc, area=(0.8, 0.95), n=NS[::2], design=(*DESIGNS[1:4], DESIGNS[6]), part=two)
    yield from grid("auroc", auroc, area=(0.8, 0.95), n=NS[1:3], design=DESIGNS[2:4], part=(0.5,), kind=("both",))
    yield from grid("judge auroc", auroc, area=(0.8,), n=NS[1::2], design=one, part=two, off=OFF[1:])
    yield from grid("attack", attack, require=ops, n=NS[:3], design=DESIGNS[:4], off=OFF[:1])
    yield from grid("attack", attack, require=ops, n=NS[3:], design=one, off=OFF[:1])
    yield from grid("attack", attack, require=ops[::2], n=NS[1::2], design=one, off=OFF[1:])
    lost = {"lost": ("faults", "never asked"), "share": (0.1, 0.3)}
    yield from grid("attack, lost records", attack, require=ops[:1], n=NS, design=one, off=OFF[:1], **lost)
    yield from grid("curve", curve, n=NS[:3], p=(0.2, 0.5))
    yield from grid("certificate", radius, p=(0.5, 0.55, 0.7, 0.9, 0.99), draws=(100, 500))
    yield from grid("certified share", certified, n=NS[:3], p=(0.3, 0.8), alpha=(0.001, 0.05), most=(1, 3))
    yield from grid("planted", planted, p=TRUTHS, design=DESIGNS)


def measure(family: str, axes: dict[str, Any], run: Callable[..., Sides]) -> list[dict[str, Any]]:
    """Error rate of each side of a cell, after one look or two."""
    name = ", ".join(f"{k} {v}" for k, v in axes.items() if v != "")
    rng, done, erred = np.random.default_rng([SEED, zlib.crc32(f"{family}: {name}".encode())]), 0, dict[str, int]()
    for done, look in itertools.pairwise((0, *LOOKS)):
        for _ in range(look - done):
            for side, miss in run(rng, **axes).items():
                erred[side] = erred.get(side, 0) + bool(miss)
        rates = {side: bounds.share(k, look, C) for side, k in erred.items()}
        if all(e.high <= MOST or e.low > MOST for e in rates.values()):
            break
    own = {"family": family, "cell": name}
    return [
        {**own, "side": side, "runs": look, "rate": e.value, "upper": e.high, "ok": e.high <= MOST}
        for side, e in rates.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", default="", help="a family")
    args, start = parser.parse_args(), time.perf_counter()
    every: list[dict[str, Any]] = []
    for family, some in itertools.groupby(cells(), lambda cell: cell[0]):
        if args.only not in ("", family):
            continue
        begin, found = time.perf_counter(), [row for cell in some for row in measure(*cell)]
        bad, w = [r for r in found if not r["ok"]], max(found, key=lambda r: r["upper"])
        end = f"{w['rate']:.2%} (at most {w['upper']:.2%}, {w['runs']:,} runs): {w['side']}; {w['cell']}"
        seconds = time.perf_counter() - begin
        print(f"{family}: {len(found)} sides, {len(bad)} not OK, {seconds:.0f} s; worst {end}", flush=True)
        every += found
    bad = [r for r in every if not r["ok"]]
    for r in bad:
        print(f"NOT OK {r['family']}: {r['rate']:.2%} (at most {r['upper']:.2%}): {r['side']}; {r['cell']}")
    print(f"{len(every)} sides, {len(bad)} not OK, {time.perf_counter() - start:.0f} s")
    if args.json:
        args.json.write_text(json.dumps(every, indent=1) + "\n")
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    main()
