"""From patients' maps to what the report says of an attack on explanations, and its verdict."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medaudit.audit import verdicts
from medaudit.audit.cases import case_id
from medaudit.audit.degradation import lost_records
from medaudit.audit.explainers import enough, explainer_of, plans_for
from medaudit.audit.explaining import SHORT, wanted_of
from medaudit.audit.export import save
from medaudit.audit.inputs import points_of
from medaudit.audit.likeness import FURTHEST
from medaudit.audit.resolve import Resolved
from medaudit.audit.results import Alike, Explanation, Led, Value
from medaudit.audit.spec import face_behind
from medaudit.core import streams
from medaudit.core.interface import Interface
from medaudit.core.text import printable
from medaudit.domain.cells import Cells
from medaudit.engine.journal import Journal
from medaudit.probe.explainer import Explainer
from medaudit.probe.kinds import cells_for, named, suited
from medaudit.stats import bounds
from medaudit.stats.bounds import Estimate
from medaudit.stats.chance import exchanged

if TYPE_CHECKING:
    from medaudit.audit.scan import Plan

BOUNDED = (  # measures from 0 to 1
    "faithfulness", "deletion", "insertion", "gini", "entropy", "other_fill", "conditional",
    "randomised_last", "randomised_overlap",
)  # fmt: skip
RATIOS = tuple(f"{of}ratio{name}" for name in ("", "_l1", "_1d") for of in ("", "chance_"))
VOID = 0.1  # of the records, without an explanation, from which on the others say too little
SHOWN = 12  # patients whose reasons are listed


def judged(
    plan: Plan, check: Resolved, records: verdicts.Records, confidence: float
) -> tuple[verdicts.Judged, Explanation | None]:
    """Metrics, verdict, and what was seen."""
    answered, lost, flags = lost_records(records)
    spec, s = explainer_of(check.spec, plan.spec.explainers), check.spec.settings
    face = face_behind(plan.spec, check.spec.behind)
    _, plans = plans_for(spec, face, plan.data, plan.seed, s.fresh)
    each = plans[0].asks * face.output.votes
    void = [s for s in answered if records[s].get("empty")]
    rows = [s for s in answered if not records[s].get("unfinished") and s not in void]
    if len(rows) + len(void) < len(answered):
        flags.append("unfinished")
    if len(void) > VOID * len(answered):
        flags.append("empty-explanations")
    if not rows:
        why = lost or "; ".join(sorted({records[i]["note"] for i in answered})) or "no record was answered"
        if not lost and SHORT in why:  # leave the search a hundred explanations
            would = enough(each, len(plans), s.random)
            why = f"the budget of {check.spec.budget:,} rows is too small: {would:,} would do"
        return verdicts.Judged("error" if lost else "not-run", why, {}, [], None, flags), None
    own = [records[s] for s in rows]
    groups, seed = np.asarray(plan.data.groups)[rows], streams.key(plan.seed, check.spec.id, "bootstrap") % 2**32

    hidden = check.rule.name == "hidden-error"
    able = [s for s in rows if _able(check, records[s], cells_for(spec, face))]
    fates = [(plan.data.groups[s], bool(records[s]["success"]), verdicts.lost(records[s])) for s in able]
    counted = [bool(r["allowed"]) or not hidden for r in own]  # a record that was not turned hides no error
    some = [r for r, counts in zip(own, counted, strict=True) if counts]
    excess = bounds.bootstrap(np.array([r["excess"] for r in some]), confidence, groups[counted], seed)
    estimates = {
        "mass_overlap": bounds.mean(np.array([r["overlap"] for r in own]), confidence, groups, 1.0),
        "explanations_led": verdicts.broken_patients(fates, confidence),
        "excess_over_random": excess,
    }
    quality = measures_of(own, groups, confidence)
    estimates |= {name: quality[name] for name in check.rule.metrics if name in quality}
    if hidden:
        estimates = {"explanations_led": estimates["explanations_led"]}
    p = exchanged(np.array([r["led"] for r in some]), [np.array(r["chance"]) for r in some], seed) if some else 1.0
    led = estimates["explanations_led"]
    of = (round(led.value * led.n), led.n) if led.n else None
    verdict, reason, required = verdicts.judge(estimates, check.section.require, confidence, of, "")
    if not able:
        verdict = "inconclusive"
        reason = f"in none of {len(rows)} records do the named features stand where that could change"
    if void:
        reason += f"; {len(void)} of {len(answered)} records have no explanation: nothing moves their answer"
    seen = _seen(plan, check, plans, each, records, rows, excess, p, confidence)
    seen.measures = {name: verdicts.value_of(one, confidence) for name, one in quality.items()}
    if not seen.effect and not hidden:
        flags.append("not-beyond-chance")
    low = seen.agreement.value or 0.0
    if low < s.agreement:
        flags.append("noisy-explainer")
        verdict = "inconclusive"
        reason = (
            f"the explainer agrees with itself only to {low:.0%}, {s.agreement:.0%} was wanted: "
            f"about {seen.rows_needed:,} rows an explanation would do"
        )
        required = [row.model_copy(update={"verdict": "inconclusive"}) for row in required]
    elif verdict == "fail" and not seen.effect and not hidden:
        # What random changes of this size do as well is the explainer's or the model's restlessness, and no attack.
        reason += "; random changes of the same size lead them as far"
    if lost and verdict != "fail":
        verdict, reason = "error", lost
    metrics = {k: verdicts.value_of(v, confidence) for k, v in estimates.items()}
    return verdicts.Judged(verdict, reason, metrics, required, None, flags), seen


def _able(check: Resolved, record: dict[str, Any], cells: Cells) -> bool:
    """Whether a record could be led at all: a named feature leaves the first reasons only where it stands there."""
    if "rank" not in record:
        return True
    within = bool(record["rank"][0] <= check.spec.settings.rank)
    return within if wanted_of(check.spec, cells).what == "demote" else not within


def measures_of(own: list[dict[str, Any]], groups: np.ndarray, confidence: float) -> dict[str, Estimate]:
    """Of the clean records' explanations: means of what has an end, medians of what has none."""
    out = {}
    for name in own[0]["measures"]:
        every = np.array([r["measures"][name] for r in own])
        some = np.isfinite(every)
        if name in BOUNDED:
            out[name] = bounds.mean(every[some], confidence, groups[some], 1.0)
        elif name == "follows":
            out[name] = bounds.mean(every[some], confidence, groups[some])
        else:
            _, place = np.unique(groups[some], return_inverse=True)
            patients = np.bincount(place, every[some]) / np.bincount(place) if some.any() else every[some]
            out[name] = bounds.median(patients, confidence)
    return out


def beyond_chance(excess: Estimate, p: float, confidence: float) -> bool:
    """Whether an effect is shown: the bound above 0, and the exchange test at half the error that is allowed.

    Each alone errs about as often as allowed (`make prove-null` counts); a report that says "effect" should err less.
    """
    return excess.low > 0 and p <= (1 - confidence) / 2


def _seen(
    plan: Plan,
    check: Resolved,
    plans: list[Explainer],
    each: int,
    records: verdicts.Records,
    rows: list[int],
    excess: Estimate,
    p: float,
    confidence: float,
) -> Explanation:
    own, groups = [records[s] for s in rows], np.asarray(plan.data.groups)[rows]

    def value(numbers: list[float], top: float | None = 1.0) -> Value:
        return verdicts.value_of(bounds.mean(np.array(numbers), confidence, groups, top), confidence)

    s = check.spec.settings
    spec = explainer_of(check.spec, plan.spec.explainers)
    face = plan.found.interface
    cells = cells_for(spec, face)
    agreement = value([r["agreement"] for r in own])
    lack, wanted = 1 - (agreement.value or 0.0), 1 - s.agreement
    kept = [(plan.data.groups[i], not records[i]["allowed"], False) for i in rows]
    ratios = {name: [r[name] for r in own] for name in RATIOS if name in own[0]}
    floors = [r["floor"] for r in own if r.get("floor") is not None]

    def means(key: str) -> dict[str, Value]:
        names = sorted({name for r in own for name in r.get(key, {})})
        out = {}
        for name in names:  # only of patients in whom something allowed was found
            some = [i for i, r in enumerate(own) if name in r.get(key, {})]
            numbers = np.array([own[i][key][name] for i in some])
            out[name] = verdicts.value_of(bounds.mean(numbers, confidence, groups[some], 1.0), confidence)
        return out

    return Explanation(
        explainer=named(spec), goal=wanted_of(check.spec, cells).what, rows=each, cells=cells.size,
        fill=spec.fill or suited(face), plans=[one.digest[:16] for one in plans],
        explanations=check.spec.budget // each, agreement=agreement,
        rows_needed=math.ceil(each * (lack / max(wanted, 1e-9)) ** 2) if lack > wanted else None,
        found=value([r["overlap"] for r in own]), unlike=value([r["fresh"] for r in own]),
        chance=value([r["chance_overlap"] for r in own]), excess=verdicts.value_of(excess, confidence), p=p,
        effect=beyond_chance(excess, p, confidence),
        kept=verdicts.value_of(verdicts.standing(verdicts.broken_patients(kept, confidence)), confidence),
        alike=[_alike(name, own, value) for name in own[0]["likeness"]],
        floor=max(floors) if floors else None, led=_led(plan, check, records, rows),
        recovered=means("recovered"), others=means("others"),
        **{
            name: verdicts.value_of(bounds.median(_open(found), confidence), confidence)
            for name, found in ratios.items()
        },
    )  # fmt: skip


def _open(ratios: list[float]) -> np.ndarray:
    """Ratios of distances, without end where a map never left its place."""
    found = np.array(ratios)
    return np.where(found >= FURTHEST, np.inf, found)


def _alike(name: str, own: list[dict[str, Any]], value: Any) -> Alike:
    top = None if name in ("cosine", "weighted_tau", "ssim") else 1.0
    both = (value([r["likeness"][name][k] for r in own], top) for k in (0, 1))
    return Alike(name=name, found=next(both), chance=next(both))


def _led(plan: Plan, check: Resolved, records: verdicts.Records, rows: list[int]) -> list[Led]:
    out = []
    for s in sorted(rows, key=lambda s: (not records[s]["success"], -records[s]["led"]))[:SHOWN]:
        r = records[s]
        before, after = ([printable(name, 80) for name in side] for side in r["reasons"])
        out.append(
            Led(
                case=case_id(plan, check, s), answer=printable(str(r["after"])), before=before,
                after=after, overlap=r["overlap"], chance=r["chance_overlap"], led=bool(r["success"]),
            )
        )  # fmt: skip
    return out


def drawn(plan: Plan, check: Resolved, journal: Journal, folder: Path) -> tuple[str, str]:
    """Write the maps of the patient who was led furthest, for the report to draw; the file and the case."""
    cases = {s: (r, a) for s, (r, a) in journal.cases(check.spec.id).items() if "clean" in a}
    if not cases:
        return "", ""
    best = max(cases, key=lambda s: (cases[s][0]["success"], cases[s][0]["led"], -s))
    spec, face = explainer_of(check.spec, plan.spec.explainers), plan.found.interface
    held = {name: v for name, v in cases[best][1].items() if name in ("clean", "found", "target")}
    point = points_of(face, plan.data)[best] if plan.options.include_samples else None
    name = f"evidence/{check.spec.id}/maps.npz"
    save_maps(folder / name, face, cells_for(spec, face), held, point)
    return name, case_id(plan, check, best)


def save_maps(
    path: Path, face: Interface, cells: Cells, maps: dict[str, np.ndarray], point: np.ndarray | None
) -> None:  # fmt: skip
    """Write maps for the report to draw. point [D]: the record, drawn beneath where it is an image."""
    held = maps | {"layout": np.array(json.dumps(layout_of(face, cells)))}
    if point is not None and face.inputs[0].domain == "image":
        part = face.inputs[0].part
        held["picture"] = point[: part.size].reshape(part.planes, part.rows, part.columns).mean(axis=0)
    save(path, held)


def layout_of(face: Interface, cells: Cells) -> dict[str, Any]:
    """How maps are laid out, for drawing them."""
    grids = []
    for item, grid in zip(face.inputs, cells.grids, strict=True):
        length = item.part.columns / item.rate if item.domain == "signal" and item.rate else 0.0
        names = [printable(c.name, 40) for c in item.channels] if len(item.channels) == grid.rows else []
        grids.append({
            **grid._asdict(), "name": printable(item.name), "rows_names": names,
            "length": float(item.part.columns) if item.domain == "sequence" else length,
        })  # fmt: skip
    return {"grids": grids, "names": [printable(name, 80) for name in cells.names]}
