"""Smooth changes, crossed with one another

What it asks
------------
Can someone who sees the model's scores change its answer by a smooth change made of a few slow
waves, or, in a table, by moving all values together, where scores are too rough to follow?

How it works
------------
Differential evolution: differences between candidates are the steps, so nothing is assumed of the
scores' shape. Signals, sequences and images are searched through their slowest cosines only; small
tables value by value.

What a failure means
--------------------
A smooth change, such as a wandering baseline, an uneven exposure or a slow drift of several values,
gets another answer. Each failing input is kept and can be replayed.

What a pass does not mean
-------------------------
Not broken by this attack within this budget. Sharp changes of signals and images are not tried.

Settings
--------
rows: candidates of a generation. weight (sensitive): of a difference. cross: share of numbers taken
from the mutant. waves: how many slow waves are searched.

Cost
----
One generation a step; at most the budget per sample.

References
----------
Storn, Price 1997, "Differential evolution: a simple and efficient heuristic for global optimization
over continuous spaces", Journal of Global Optimization 11.
"""

import sys
from typing import NamedTuple

from medaudit.core.protocol import Search
from medaudit.rule.base import Context, Rule, page_of
from medaudit.rule.slow_waves import MOST
from medaudit.search import differential


class Settings(NamedTuple):
    """The search's, and the number of waves."""

    rows: int = differential.Settings().rows
    weight: float = differential.Settings().weight
    cross: float = differential.Settings().cross
    waves: int = 32


def _search(context: Context) -> Search:
    own = context.settings
    return context.in_waves(
        differential.search(differential.Settings(own.rows, own.weight, own.cross)), own.waves, MOST
    )


RULE = Rule(
    id="EV106",
    name="crossed-waves",
    title="Smooth changes, crossed with one another",
    kind="attack",
    metrics=("robust_accuracy", "attack_success", "auroc_under_attack"),
    page=page_of(sys.modules[__name__]),
    access="scores",
    norms=("linf", "l2"),
    settings=Settings,
    search=_search,
    strength=2,
)
