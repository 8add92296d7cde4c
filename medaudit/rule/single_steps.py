"""One value, or one slow wave, at a time

What it asks
------------
Can someone who sees the model's scores change its answer by small steps in single directions: one
value of a record, one slow wave over a signal or an image?

How it works
------------
SimBA: in random order each direction is tried upwards, then downwards, and a step is kept where
the score comes closer to the goal. Tables are stepped value by value; signals, sequences and
images wave by wave (the slowest cosines), as SimBA-DCT does.

What a failure means
--------------------
Inputs that look alike to a clinician get different answers, and the change is slow and smooth where
waves are used: much like a wandering baseline or an uneven exposure. Each failing input is kept.

What a pass does not mean
-------------------------
Not broken by this attack within this budget. Sharp changes of signals and images are not tried.

Settings
--------
step (sensitive): length of a step in L2, as a share of eps. waves: how many slow waves are tried
where waves are used.

Cost
----
At most the budget per sample; up to two rows per direction.

References
----------
Guo, Gardner, You, Wilson, Weinberger 2019, "Simple black-box adversarial attacks", ICML.
"""

import sys
from typing import NamedTuple

from medaudit.core.protocol import Search
from medaudit.rule.base import Context, Rule, page_of
from medaudit.search import simba


class Settings(NamedTuple):
    """The search's, and the number of waves."""

    step: float = simba.Settings().step
    waves: int = 200


def _search(context: Context) -> Search:
    return context.in_waves(simba.search(simba.Settings(context.settings.step)), context.settings.waves)


RULE = Rule(
    id="EV104",
    name="single-steps",
    title="One value, or one slow wave, at a time",
    kind="attack",
    metrics=("robust_accuracy", "attack_success", "auroc_under_attack"),
    page=page_of(sys.modules[__name__]),
    access="scores",
    norms=("linf", "l2"),
    settings=Settings,
    search=_search,
    strength=2,
)
