"""What rules about explanations share: settings, and the searches that suit a threat."""

from __future__ import annotations

from typing import NamedTuple

from medaudit.core.protocol import Search
from medaudit.core.region import L0, L1, LINF
from medaudit.rule.base import Context
from medaudit.search import cmaes, credit, genetic, signhunter

WAVES = 48  # of a change that evolution makes
WAYS = ("demote", "promote")
NORMS = ("linf", "l2", "l1", "l0")
METRICS = (
    "mass_overlap", "explanations_led", "excess_over_random", "faithfulness", "max_sensitivity", "randomised_overlap",
)  # fmt: skip


class Settings(NamedTuple):
    """explainer: its name in the policy, empty: occlusion; records: patients; fresh: plans that are graded on; random:
    random changes beside each; tolerance: of the probability; logits: and of its log-odds; alike: overlap from which on
    two maps tell the same; agreement: of the explainer with itself; also: explainers that see what was found, too;
    randomised: whether records are explained by the model with shuffled weights, too."""

    explainer: str = ""
    records: int = 30
    fresh: int = 3
    random: int = 16
    tolerance: float = 0.05
    logits: float = 2.0
    alike: float = 0.7
    agreement: float = 0.9
    also: tuple[str, ...] = ()
    randomised: bool = False


def search(context: Context) -> Search:
    """How to lead a map away: signs over blocks where each number has its own bound, evolution where all share one."""
    norm = context.region.norm
    if norm in (L0, L1):
        return genetic.search()
    if norm == LINF:
        return signhunter.search()
    return context.in_waves(cmaes.search(), WAVES)


def led(context: Context) -> Search:
    """How to lead a map to a place: cell by cell, inside the threat's own numbers; else as `search` does."""
    if context.credit is None or context.subspace is not None:
        return search(context)
    return credit.search(context.credit)
