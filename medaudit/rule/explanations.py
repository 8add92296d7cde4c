"""What rules about explanations share: settings, and the searches that suit a threat."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from medaudit.core.protocol import Explained, Search
from medaudit.core.region import L0, L1, LINF
from medaudit.rule.base import Context
from medaudit.search import blends, cmaes, credit, genetic, jacobian, penalty, signhunter

MANY = 16  # numbers of a cell from which on their pattern counts more than their height
WAVES = 48  # of a change that evolution makes
WAYS = ("demote", "promote")
NORMS = ("linf", "l2", "l1", "l0")
METRICS = (
    "mass_overlap", "explanations_led", "excess_over_random", "faithfulness", "max_sensitivity", "randomised_overlap",
)  # fmt: skip


class Settings(NamedTuple):
    """explainer: its name in the policy, empty: occlusion; records: patients; fresh: plans that are graded on; random:
    random changes beside each; tolerance: of the probability; logits: and of its log-odds; alike: overlap from which on
    two maps tell the same; agreement: of the explainer with itself; method: one of METHODS; also: explainers that see
    what was found; randomised: whether records are explained by the model with shuffled weights, too."""

    explainer: str = ""
    records: int = 30
    fresh: int = 3
    random: int = 16
    tolerance: float = 0.05
    logits: float = 2.0
    alike: float = 0.7
    agreement: float = 0.9
    method: str = ""
    also: tuple[str, ...] = ()
    randomised: bool = False


def search(context: Context) -> Search:
    """How to turn an answer under its map: signs over blocks where each number has its own bound, evolution where all
    share one, mutants where few may change."""
    if context.settings.method:
        return METHODS[context.settings.method].search(context)
    norm = context.region.norm
    if norm in (L0, L1):
        return genetic.search()
    if norm == LINF:
        return signhunter.search()
    return context.in_waves(cmaes.search(), WAVES)


def away(context: Context) -> Search:
    """How to lead a map away: cell by cell, at the ends of boxes, where each number has its own and cells hold many;
    else as `search`."""
    own = context.explained
    if own is None or context.subspace is not None or context.settings.method or context.region.norm != LINF:
        return search(context)
    return credit.search(own, ends=True) if len(own.of) >= MANY * own.cells else search(context)


def led(context: Context) -> Search:
    """How to lead a map to a place: cell by cell, inside the threat's own numbers; else as `search` does."""
    if context.explained is None or context.subspace is not None or context.settings.method:
        return search(context)
    return credit.search(context.explained)


def explained(context: Context) -> Explained:
    """What a check of explanations may look at. Raises ValueError where nothing is explained."""
    if context.explained is None:
        raise ValueError("a search for explanations needs them")
    return context.explained


def _blends(context: Context) -> Search:
    donors = explained(context).donors
    if donors is None:
        raise ValueError("blends need another record")
    return blends.search(donors)


def _published(label: str, context: Context) -> Search:
    costs = explained(context).costs
    if costs is None:
        raise ValueError("the published attack needs its terms")
    return penalty.search(costs(label))


class Method(NamedTuple):
    """Another search than the rule's own."""

    search: Callable[[Context], Search]
    norms: tuple[str, ...]
    led: bool = False  # to another patient's map: it needs one


BALLS = ("linf", "l2", "l1")
METHODS = {
    "signs": Method(lambda context: signhunter.search(), ("linf", "l2")),
    "evolution": Method(lambda context: context.in_waves(cmaes.search(), WAVES), ("linf", "l2")),
    "genetic": Method(lambda context: genetic.search(), NORMS),
    "credit": Method(lambda context: credit.search(explained(context)), NORMS),
    "jacobian": Method(lambda context: jacobian.search(explained(context)), BALLS),
    "blends": Method(_blends, BALLS, led=True),
    "published": Method(partial(_published, "hinge"), BALLS, led=True),
    "published-confident": Method(partial(_published, "confident"), BALLS, led=True),
    "published-kl": Method(partial(_published, "kl"), BALLS, led=True),
}
