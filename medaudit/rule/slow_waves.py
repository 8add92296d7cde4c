"""Smooth changes, learned by evolution

What it asks
------------
Can someone who sees the model's scores change its answer by a smooth change made of a few slow
waves, or, in a table, by drifting all values together?

How it works
------------
CMA-ES: a cloud of candidates is drawn, the better half moves its centre and stretches it in the
directions that helped. Signals, sequences and images are searched through their slowest cosines
only, so that every candidate is smooth; small tables value by value.

What a failure means
--------------------
A smooth change, such as a wandering baseline, an uneven exposure or a slow drift of several values,
gets another answer. Each failing input is kept and can be replayed.

What a pass does not mean
-------------------------
Not broken by this attack within this budget. Sharp changes of signals and images are not tried.

Settings
--------
spread (sensitive): first standard deviation of the cloud, as a share of what may move. rows:
candidates of a generation. waves: how many slow waves are searched.

Cost
----
One generation a step; at most the budget per sample.

References
----------
Hansen, Ostermeier 2001, "Completely derandomized self-adaptation in evolution strategies",
Evolutionary Computation 9; Beyer, Sendhoff 2017, "Simplify your covariance matrix adaptation
evolution strategy", IEEE Transactions on Evolutionary Computation 21.
"""

import sys
from typing import NamedTuple

from medaudit.core.protocol import Search
from medaudit.rule.base import Context, Rule, page_of
from medaudit.search import cmaes

MOST = 128  # numbers that are searched as they are


class Settings(NamedTuple):
    """The search's, and the number of waves."""

    spread: float = cmaes.Settings().spread
    rows: int = cmaes.Settings().rows
    waves: int = 48


def _search(context: Context) -> Search:
    own = context.settings
    return context.in_waves(cmaes.search(cmaes.Settings(own.spread, own.rows)), own.waves, MOST)


RULE = Rule(
    id="EV105",
    name="slow-waves",
    title="Smooth changes, learned by evolution",
    kind="attack",
    metrics=("robust_accuracy", "attack_success", "auroc_under_attack"),
    page=page_of(sys.modules[__name__]),
    access="scores",
    norms=("linf", "l2"),
    settings=Settings,
    search=_search,
    columns=256,
    strength=2,
)
