"""The words of the report: verdicts, states, and the sentence a safety officer reads first."""

from __future__ import annotations

from collections import Counter

from medaudit.audit.results import FLAGS, Case, Check, Report
from medaudit.audit.results import METRICS as METRICS
from medaudit.report.text import clean, slug

VERDICTS = {
    "pass": "Pass",
    "fail": "Fail",
    "inconclusive": "Inconclusive",
    "error": "Error",
    "not-run": "Not run",
}
SIGNS = {"pass": "✓", "fail": "✗", "inconclusive": "?", "error": "!", "not-run": "–"}
LEGEND = {
    "pass": "The bound of the measured value lies on the required side. For an attack this means: "
    "not broken by these attacks within this budget. Other attacks, or more queries, may break it.",
    "fail": "The opposite bound lies on the wrong side of the requirement, or the model itself "
    "misbehaved. The cases are kept and can be replayed.",
    "inconclusive": "Neither could be shown: too few patients for this requirement, or a flag "
    "says that the measurement cannot be trusted.",
    "error": "The tool or the machine failed here. Nothing is claimed either way.",
    "not-run": "Named in the policy, not tested in this run. It is not a pass.",
}
STATES = {
    "evidence": "Evidence: a measured result bears on it",
    "partial": "Partial: a measured result bears on part of it",
    "not-assessed": "Not assessed in this run",
    "out-of-reach": "Out of reach of a black-box audit of a model file",
}
FAMILIES = {
    "SA": "sanity of model and protocol",
    "IN": "integrity of the model file",
    "CO": "corruptions",
    "EV": "evasion",
    "EX": "explanations",
    "TR": "triggers",
    "CE": "certificates",
}
ACCESS = {
    "scores": "the attacker sees the model's scores",
    "labels": "the attacker sees only the decision",
}
NORMS = {
    "linf": "largest change of any single number",
    "l2": "Euclidean length of the change",
    "l1": "sum of all changes",
    "roughness": "100 x standard deviation of the change's first difference",
    "roughness-l2": "roughness, and a tenth of the Euclidean length, squared and added",
    "l0": "how many features change",
    "patch": "side of the one window that changes",
    "injected": "root of the mean square of the signal sent, over its window",
}
GOALS = {
    "any": "any wrong answer",
    "target": "the answer",
    "clear": "a finding to vanish:",
    "raise": "a finding to appear:",
    "missed-disease": "a disease to be missed",
    "false-alarm": "a healthy patient to be called ill",
    "moved": "the predicted value to move",
    "dice-drop": "the outline to lose Dice",
}
CODE_VERDICT = {
    0: "every selected check passed",
    1: "a check failed",
    2: "the audit could not start",
    3: "nothing failed, but something is undecided or was not run",
    4: "a check ended in an error",
    130: "interrupted",
}


BEYOND = {  # what goals of attacks on explanations are measured by
    "drift": "the share of the explanation that was moved elsewhere",
    "target": "how far the explanation overlaps with the other patient's",
    "demote": "the share of the explanation that the named features lost",
    "promote": "the share of the explanation that the named features hold",
    "hide": "how far the explanation of the new answer overlaps with that of the old one",
}


def result(check: Check, case: Case) -> str:
    """What came of a case, in two words."""
    if check.certificate is not None:
        return "certified" if case.distance else "abstains"
    if check.explanation is not None:
        return "led" if case.success else "not led"
    return "broken" if case.success else "not broken"


def flag(code: str) -> str:
    """A flag in words; its code stays visible for the search in report.json."""
    return f"{FLAGS[code]} ({code})" if code in FLAGS else slug(code)


def goal(text: str) -> str:
    """What the attacker wants: the goal's word in words, its name and amount as they are."""
    word, _, rest = text.partition(" ")
    return f"{GOALS.get(word, word)} {rest}".strip()


def waived(check: Check, day: str) -> bool:
    """Whether a waiver was live on the day of the run (both dates are ISO)."""
    return check.waiver is not None and check.waiver.get("expires", day) >= day[:10]


def counts(report: Report) -> dict[str, int]:
    """Checks per verdict, worst first, only those that occur."""
    found: Counter[str] = Counter(check.verdict for check in report.checks)
    order = ("fail", "error", "inconclusive", "not-run", "pass")
    return {verdict: found[verdict] for verdict in order if found[verdict]}


def tally(report: Report) -> str:
    """1 failed, 1 inconclusive, 3 passed."""
    words = {"fail": "failed", "error": "in error", "not-run": "not run", "pass": "passed"}
    parts = [f"{n} {words.get(verdict, verdict)}" for verdict, n in counts(report).items()]
    return ", ".join(parts) or "no check ran"


def headline(report: Report) -> str:
    """One plain sentence: how many of how many checks, and which."""
    total, found = len(report.checks), counts(report)
    failed = [c for c in report.checks if c.verdict == "fail"]
    excused = [c for c in failed if waived(c, report.run.started)]
    if len(failed) > len(excused):
        return f"{len(failed)} of {total} checks failed: {titles(failed)}."
    if found.get("error"):
        broken = [c for c in report.checks if c.verdict == "error"]
        return f"No verdict: {len(broken)} of {total} checks ended in an error: {titles(broken)}."
    if found.get("inconclusive"):
        open_ = [c for c in report.checks if c.verdict == "inconclusive"]
        if all(waived(c, report.run.started) for c in open_) and not excused:
            return f"No check failed; undecided and waived: {titles(open_)}."
        return f"No check failed, but {len(open_)} of {total} could not be decided: {titles(open_)}."
    if excused:
        return f"No check failed outside a waiver; failed and waived: {titles(excused)}."
    if not found.get("pass"):
        return "Nothing was tested: no check of the policy ran."
    if found.get("not-run"):
        return f"{found['pass']} of {total} checks passed; the others were not run."
    return f"All {total} checks passed." if total > 1 else "The one check passed."


def meaning(report: Report) -> list[str]:
    """What follows from the verdict, in sentences."""
    out = []
    live = [c for c in report.checks if c.verdict == "fail" and waived(c, report.run.started)]
    if report.run.status == "interrupted":
        out.append("The run was interrupted: what is shown is a part of the policy.")
    if any(c.verdict == "fail" for c in report.checks):
        out.append("Read the failed checks below before anyone relies on this model.")
    if live:
        out.append(f"Covered by a waiver that is still valid: {titles(live)}.")
    if any(c.verdict == "pass" and c.threat for c in report.checks):
        out.append(
            "An attack check that passed says: not broken by these attacks within this budget. "
            "It does not say that the model cannot be broken."
        )
    return out


def titles(checks: list[Check], most: int = 4) -> str:
    """Titles joined for a sentence."""
    names = [f"{clean(c.title, 80)} ({clean(c.id, 40)})" for c in checks[:most]]
    rest = len(checks) - most
    return "; ".join(names) + (f"; and {rest} more" if rest > 0 else "")
