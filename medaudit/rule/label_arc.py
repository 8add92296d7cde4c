"""A walk along half circles, from answers alone

What it asks
------------
How near to each sample does the answer change, for someone who sees only the decision, where the
boundary is curved?

How it works
------------
CGBA: the boundary's direction is estimated from decisions of noisy copies, as in `label-walk`;
then a half circle that bends along it, from the boundary's point back to the sample, is bisected:
where it leaves the other class the distance is smaller, whatever the boundary's shape.

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
tried. coarse: round from which every other estimate uses
noise of single numbers instead of small cells.

Cost
----
The budget per sample.

References
----------
Reza, Rahmati, Wu, Dai 2023, "CGBA: curvature-aware geometric black-box attack", ICCV.
"""

import sys

from medaudit.rule.base import Rule, page_of
from medaudit.search import cgba

RULE = Rule(
    id="EV202",
    name="label-arc",
    title="A walk along half circles, from answers alone",
    kind="attack",
    metrics=("robust_accuracy", "attack_success", "median_distance"),
    page=page_of(sys.modules[__name__]),
    access="labels",
    norms=("l2",),
    settings=cgba.Settings,
    search=lambda context: cgba.search(context.settings, context.donors, context.kinds),
    smallest=True,
    strength=1,
)
