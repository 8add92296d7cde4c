"""A policy with one check of a rule, as `medaudit explain` prints it."""

from __future__ import annotations

import json

from medaudit.rule.base import METRICS, Rule, as_dict

EPS = {
    "linf": "0.1 sd",
    "l2": "2 sd",
    "l1": "5 sd",
    "l0": "3",
    "patch": "6",
    "roughness": "2 sd",
    "roughness-l2": "2 sd",
    "injected": "1 sd",
}
SMALL = "0.2 sd"  # what can be certified


def example(rule: Rule) -> str:
    """Text of a whole policy that uses the rule; it loads as it is."""
    lines = ["medaudit: 1", f"policy: {{id: {rule.name}-example}}"]
    if rule.norms:
        access, norm = rule.access or "scores", rule.norms[0]
        eps = SMALL if rule.kind == "certificate" else EPS[norm]
        lines += ["threats:", f"  small: {{access: {access}, norm: {norm}, eps: {eps}}}"]
    metric = "median_distance" if rule.minimises else rule.metrics[0]
    kind, side = METRICS[metric]
    bound = {"share": "80%" if side == "at_least" else "20%", "count": "0", "value": "1"}.get(
        kind, EPS[rule.norms[0]] if rule.norms else "1"
    )
    lines += ["checks:", f"  - id: {rule.name}", f"    rule: {rule.name}"]
    if rule.norms:
        lines += ["    threat: small"]
    if rule.kind == "attack":
        lines += ["    budget: {queries: 1000}"]
    if rule.kind == "explanation":
        lines += ["    budget: {queries: 60_000}   # of a patient: some hundreds of explanations"]
    if metric == "median_distance":
        lines += ["    goal: {stop: budget}   # the distance is the result: do not stop at eps"]
    if rule.settings is not None:
        settings = as_dict(rule.settings()).items()
        given = ", ".join(f"{name}: {json.dumps(v)}" for name, v in settings)
        lines += [f"    with: {{{given}}}   # the defaults"]
    return "\n".join([*lines, f"    require: {{metric: {metric}, {side}: {bound}}}", ""])
