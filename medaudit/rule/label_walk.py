"""A walk along the decision boundary, from answers alone

What it asks
------------
How near to each sample does the answer change, for someone who sees only the decision?

How it works
------------
HopSkipJump: from a clean record of another class (or noise) the walk moves to the decision
boundary, estimates its direction from decisions of noisy copies, jumps along it, and bisects back
towards the sample. The smallest distance at which the answer differed is the case's result.

What a failure means
--------------------
Answers change at a distance that the policy calls too small, and finding it needs no scores. Each
point is kept and can be replayed.

What a pass does not mean
-------------------------
Not broken by this attack within this budget: the true nearest point may be nearer. Distances are
upper bounds.

Settings
--------
first: probes of the first direction estimate; eight are asked at a time. tolerance: relative, of a
bisection. probe (sensitive): size of a probe relative to the distance. tries: starts
tried. halvings: of a jump before a new estimate. coarse: round from which every other estimate uses
noise of single numbers instead of small cells.

Cost
----
The budget per sample.

References
----------
Chen, Jordan, Wainwright 2020, "HopSkipJumpAttack: a query-efficient decision-based attack", IEEE
S&P.
"""

import sys

from medaudit.rule.base import Rule, page_of
from medaudit.search import hopskipjump

RULE = Rule(
    id="EV201",
    name="label-walk",
    title="A walk along the decision boundary, from answers alone",
    kind="attack",
    metrics=("robust_accuracy", "attack_success", "median_distance"),
    page=page_of(sys.modules[__name__]),
    access="labels",
    norms=("linf", "l2"),
    settings=hopskipjump.Settings,
    search=lambda context: hopskipjump.search(context.settings, context.donors, context.kinds),
    smallest=True,
    strength=1,
)
