"""Signs along a ray, from answers alone

What it asks
------------
How small can a change of every value be, each up or down, and still change the answer, for someone
who sees only the decision?

How it works
------------
RayS: a direction gives every value a sign. Signs of the whole, of halves, of quarters and so on
are turned over; one question tells whether the answer still differs at the present radius, and
only then the radius is bisected anew. The first direction leads to a clean record of another
class.

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
tolerance: relative, of a bisection. tries: starts tried.

Cost
----
The budget per sample.

References
----------
Chen, Gu 2020, "RayS: a ray searching method for hard-label adversarial attack", KDD.
"""

import sys

from medaudit.rule.base import Rule, page_of
from medaudit.search import rays

RULE = Rule(
    id="EV203",
    name="label-rays",
    title="Signs along a ray, from answers alone",
    kind="attack",
    metrics=("robust_accuracy", "attack_success", "median_distance"),
    page=page_of(sys.modules[__name__]),
    access="labels",
    norms=("linf",),
    settings=rays.Settings,
    search=lambda context: rays.search(context.settings, context.donors, context.kinds),
    smallest=True,
    strength=1,
)
