"""Rules: the explicit list, and finding one by the name that a policy writes."""

from __future__ import annotations

import difflib

from medaudit.rule import (
    baseline,
    batch_isolation,
    boundary_descent,
    corruptions,
    crossed_waves,
    evolved_entries,
    explanation_drift,
    explanation_feature,
    explanation_target,
    extreme_inputs,
    few_features,
    few_pixels,
    few_places,
    finite_answers,
    gradient_estimate,
    hidden_error,
    injected_signal,
    known_trigger,
    label_arc,
    label_drift,
    label_rays,
    label_walk,
    one_patch,
    random_noise,
    randomised_smoothing,
    repeatability,
    row_purity,
    scaffolding,
    sign_noise,
    single_steps,
    slow_waves,
    square_noise,
    standard,
    suspicious_inputs,
    trigger_graph,
    trigger_search,
    trigger_sweep,
    universal_noise,
    universal_patch,
)
from medaudit.rule.base import Context, Rule, settings_of

__all__ = ["RULES", "Context", "Rule", "find", "settings_of"]

RULES: dict[str, Rule] = {
    module.RULE.name: module.RULE
    for module in (
        baseline,
        repeatability,
        row_purity,
        batch_isolation,
        finite_answers,
        extreme_inputs,
        corruptions,
        standard,
        square_noise,
        gradient_estimate,
        sign_noise,
        single_steps,
        slow_waves,
        crossed_waves,
        boundary_descent,
        few_features,
        few_places,
        few_pixels,
        evolved_entries,
        one_patch,
        label_walk,
        injected_signal,
        label_arc,
        label_rays,
        label_drift,
        random_noise,
        universal_noise,
        universal_patch,
        randomised_smoothing,
        trigger_graph,
        trigger_sweep,
        trigger_search,
        known_trigger,
        suspicious_inputs,
        explanation_drift,
        explanation_target,
        explanation_feature,
        hidden_error,
        scaffolding,
    )
}


def find(name: str) -> Rule:
    """The rule of a name; an id or a misspelling is a ValueError that suggests the name."""
    if name in RULES:
        return RULES[name]
    for rule in RULES.values():
        if rule.id.lower() == name.lower():
            raise ValueError(f"rules are written by name: use {rule.name!r} for {rule.id}")
    near = difflib.get_close_matches(name, RULES, 1, 0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"rules: {', '.join(RULES)}"
    raise ValueError(f"there is no rule {name!r}; {hint}")
