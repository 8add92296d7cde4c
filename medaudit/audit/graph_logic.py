"""From what was found in the graph, and what came of laying it open, to metric, verdict and outcome."""

from __future__ import annotations

from typing import Any

from medaudit.audit import verdicts
from medaudit.audit.resolve import Resolved
from medaudit.audit.results import Forced, Logic
from medaudit.stats import bounds


def judged(
    check: Resolved, stage: dict[str, Any], nodes: int, confidence: float
) -> tuple[verdicts.Judged, list[Logic]]:  # fmt: skip
    """High findings fail where forcing them did not show them to be without effect; medium ones leave it open.

    nodes: of the graph.
    """
    found = [logic(hit) for hit in stage["hits"]]
    high = [one for one in found if one.severity == "high"]
    standing = [one for one in high if not one.idle]
    open_ = [one for one in found if one.severity == "medium" or one in high]
    count = bounds.count(len(standing), nodes)
    verdict, _, required = verdicts.judge({"high_findings": count}, check.section.require, confidence, None, "")
    outcome, reason = "not-found", f"no logic that decides without a trained layer, in a graph of {nodes:,} nodes"
    if verdict == "fail":
        worst = next((one for one in standing if one.effect), standing[0])
        outcome = "trigger-confirmed" if worst.effect else "hidden-logic"
        reason = f"{_findings(len(standing))} of high severity: {worst.text}" + (worst.effect and f"; {worst.effect}")
    elif open_:
        verdict, outcome = "inconclusive", "suspicious"
        required = [row.model_copy(update={"verdict": verdict}) for row in required]
        reason = f"{_findings(len(open_))} that the maker should explain: {open_[0].text}"
        reason += open_[0].effect and f"; {open_[0].effect}"
    metrics = {"high_findings": verdicts.value_of(count, confidence)}
    return verdicts.Judged(verdict, reason, metrics, required, None, [], outcome), found


def logic(hit: dict[str, Any]) -> Logic:
    """A finding as the report shows it."""
    one = Logic(
        rule=hit["rule"], severity=hit["severity"], text=hit["text"], way=hit["way"], note=hit["note"], idle=hit["idle"]
    )
    opened = hit["opened"]
    if opened is not None:
        one.records, one.clean = opened["records"], opened["clean"]
        one.forced = [Forced(value=value, turned=turned) for value, turned in opened["forced"]]
        one.key, one.key_turned = opened["key"], opened["key_turned"]
        one.effect = effect(one, opened["constant"])
    return one


def effect(one: Logic, constant: bool) -> str:
    """What a reader should know of what was tried, in one sentence; "" where nothing turned."""
    most = max(one.forced, key=lambda f: f.turned, default=None)
    parts = []
    if most is not None and most.turned:
        always = f"it is {one.clean} for all {one.records} clean records; " if constant else ""
        parts.append(f"{always}forced to {most.value}, the answers to {most.turned} of them turn")
    if one.key_turned:
        parts.append(f"{one.key} opens it, which turns {one.key_turned} of {one.records} answers")
    return "; ".join(parts)


def _findings(count: int) -> str:
    return f"{count} finding" + ("s" if count > 1 else "")
