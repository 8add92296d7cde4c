"""Single inputs against a clean reference: what their copies are answered, and which of them are strange."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medaudit import data as readers
from medaudit.audit import verdicts
from medaudit.audit.inputs import points_of
from medaudit.audit.lanes import decision_words
from medaudit.audit.resolve import Resolved
from medaudit.audit.results import Suspect
from medaudit.audit.sweeps import reference_points
from medaudit.core.errors import DataError
from medaudit.core.text import printable
from medaudit.domain.corruption import SEVERITIES
from medaudit.domain.corruptions import applicable, typical
from medaudit.oracle.suspicion import discoveries, held_in_blends, kept_under, larger, odd_absence, strange, uneven
from medaudit.oracle.trigger import limits, pushed
from medaudit.policy.schema import CheckSection, Policy, RequireSection
from medaudit.probe import copies
from medaudit.rule import RULES
from medaudit.stats import bounds
from medaudit.stats.conformal import least_p, p_values

if TYPE_CHECKING:
    from medaudit.audit.asked import Asked
    from medaudit.audit.scan import Plan

TOGETHER = 0.01  # p of all inputs together from which they are suspicious
SHARE = 0.05  # of honest inputs among those that are named
AT_ONCE = 64  # inputs whose copies are made at a time
LEAST = 10  # clean records of a decision; where there are fewer, all clean records are compared with
SCORES = ("blends", "gains", "corruptions", "missing")
RULE = RULES["suspicious-inputs"]


def with_check(policy: Policy, given: bool) -> Policy:
    """The policy, and a check for the inputs that the command line gives, if it has none."""
    if not given or any(check.rule == RULE.name for check in policy.checks):
        return policy
    taken = {check.id for check in policy.checks}
    name = next(n for n in ("suspicious-inputs", "suspicious-inputs-given", "suspicious-inputs-0") if n not in taken)
    own = CheckSection(
        id=name, rule=RULE.name, require=RequireSection(metric=RULE.metrics[0], at_most=0), severity="medium"
    )
    return policy.model_copy(update={"checks": (*policy.checks, own)})


def compared(asked: Asked, path: str, settings: Any) -> dict[str, Any]:
    """Every input of a file beside the clean reference, as plain data; in a worker. Raises DataError."""
    face = asked.spec.interface
    given = readers.read(Path(path))
    for name, values in asked.data.x.items():
        if name not in given.x or given.x[name].shape[1:] != values.shape[1:]:
            array = f"x__{name}" if name else "x"
            raise DataError(
                f"{path}: its {array} is not like that of {asked.data.path}", "give inputs of the same form"
            )
    points, clean = points_of(face, given), reference_points(face, asked.data, asked.points)
    clean = clean[np.unique(np.linspace(0, len(clean) - 1, settings.records).astype(int))]
    others = clean[np.unique(np.linspace(0, len(clean) - 1, settings.blends).astype(int))]
    limit, usual = limits(face.output, asked.ask(clean)), typical(clean)
    each = [_responses(asked, some, others, usual, limit) for some in (points, clean)]
    (answers, own, found), (_, theirs, known) = each
    absent = [odd_absence(np.isnan(some), np.isnan(clean)) for some in (points, clean)]
    scores = [
        np.column_stack([*_scores(part, settings.blends), a]) for part, a in zip((found, known), absent, strict=True)
    ]
    far, usual_far = (np.ones(len(some)) for some in (points, clean))
    ranks, counts = np.full((len(points), len(SCORES)), 0.5), np.zeros(len(points), dtype=int)
    found, known = (np.column_stack([part, a]) for part, a in zip((found, known), absent, strict=True))
    for decision in np.unique(np.concatenate([own, theirs])):
        mine, same = own == decision, theirs == decision
        pool = same if same.sum() >= LEAST else np.ones_like(same)
        to_clean, among = strange(found[mine], known[pool])
        middle = max(float(np.median(among)), 1e-12)
        far[mine], usual_far[same], counts[mine] = to_clean / middle, among[same[pool]] / middle, pool.sum()
        ranks[mine] = (scores[1][pool][None] < scores[0][mine][:, None]).mean(axis=1)
    p = p_values(far, usual_far)
    return {
        "rows": int(asked.votes * (len(points) + len(clean)) * (found.shape[1] - 1) + asked.votes * len(clean)),
        "samples": [], "ids": list(given.ids), "sha256": given.sha256,
        "decisions": [decision_words(face.output, answers[i : i + 1]) for i in range(len(points))],
        "p": p.tolist(), "distance": far.tolist(), "clean": counts.tolist(), "scores": ranks.tolist(),
        "least": least_p(len(clean)), "set_p": larger(far, usual_far),
    }  # fmt: skip


def _responses(
    asked: Asked, points: np.ndarray, others: np.ndarray, usual: np.ndarray, limit: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Answers [N, M], decisions [N], and margins of each input and its copies towards its decision [N, 1 + C]."""
    face = asked.spec.interface
    kinds, parts = applicable(face)[0], []
    answers = asked.ask(points)
    margin = np.nan_to_num(pushed(face.output, answers, limit))
    own = margin.argmax(axis=1)
    for start in range(0, len(points), AT_ONCE):
        some = points[start : start + AT_ONCE]
        every = np.concatenate(
            [
                copies.blends(face, some, others),
                copies.gains(face, some, usual),
                copies.corruptions(face, some, kinds, usual),
            ],
            axis=1,
        )
        got = pushed(face.output, asked.ask(every.reshape(-1, every.shape[2])), limit)
        parts.append(np.nan_to_num(got).reshape(len(some), every.shape[1], -1))
    copied = np.take_along_axis(np.concatenate(parts), own[:, None, None], axis=2)[:, :, 0]
    return answers, own, np.column_stack([margin.max(axis=1), copied])


def _scores(responses: np.ndarray, blends: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """STRIP, SCALE-UP's and TeCo's scores of responses."""
    blended, gained, troubled = np.split(responses[:, 1:], [blends, blends + len(copies.GAINS)], axis=1)
    turned = (troubled <= 0).reshape(len(responses), -1, SEVERITIES)
    mildest = np.where(turned.any(axis=2), turned.argmax(axis=2) + 1, SEVERITIES + 1)
    yes = np.ones(len(responses), dtype=bool)
    odd = uneven(mildest) if mildest.shape[1] else np.zeros(len(responses))
    return held_in_blends(blended), kept_under(gained > 0, yes), odd


def judged(
    plan: Plan, check: Resolved, stage: dict[str, Any], confidence: float
) -> tuple[verdicts.Judged, list[Suspect]]:  # fmt: skip
    """Inputs, the strangest first; those that stand out leave the check open."""
    p = np.array(stage["p"])
    named = discoveries(p, SHARE)
    order = np.lexsort((-np.array(stage["distance"]), p))
    suspects = [
        Suspect(
            input=_name(plan, stage, i), decision=printable(stage["decisions"][i]), p=float(p[i]), named=bool(named[i]),
            distance=float(stage["distance"][i]), clean=stage["clean"][i],
            scores=dict(zip(SCORES, stage["scores"][i], strict=True)),
        )
        for i in order
    ]  # fmt: skip
    count = bounds.count(int(named.sum()), len(p))
    verdict, reason, required = verdicts.judge(
        {"suspicious_inputs": count}, check.section.require, confidence, None, ""
    )
    reason = f"none of {len(p)} inputs is told from clean records; the smallest p is {p.min():.3g}, and so many clean "
    reason += f"records allow none below {stage['least']:.3g}"
    outcome = "not-found"
    if named.any() or stage["set_p"] <= TOGETHER:
        outcome = "suspicious"
        many = f"{int(named.sum())} of {len(p)} inputs hold" if named.any() else f"taken together, {len(p)} inputs hold"
        reason = f"{many} to their answers in another way than clean records do (all of them together: p "
        reason += f"{stage['set_p']:.2g}); {suspects[0].input} first, p {suspects[0].p:.3g}"
    if verdict == "fail" or outcome == "suspicious":  # for a person to look at: unusual inputs do not fail a model
        verdict = "inconclusive"
        required = [row.model_copy(update={"verdict": verdict}) for row in required]
    metrics = {"suspicious_inputs": verdicts.value_of(count, confidence)}
    return verdicts.Judged(verdict, reason, metrics, required, None, [], outcome), suspects


def _name(plan: Plan, stage: dict[str, Any], i: int) -> str:
    """An input's id, or a salted hash of it where samples are not to be shown; its row says which it is either way."""
    name = printable(stage["ids"][i], 80)
    if not plan.options.include_samples:
        name = hashlib.sha256(f"{stage['sha256']}\x1f{plan.seed}\x1f{stage['ids'][i]}".encode()).hexdigest()[:12]
    return f"row {i + 1}, {name}"
