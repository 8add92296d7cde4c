"""A random walk without sharp edges, from answers alone

What it asks
------------
How near to each sample does the answer change, for someone who sees only the decision and makes
changes of signals that look like signals?

How it works
------------
Boundary attack: from a clean record of another class the walk drifts sideways at equal distance
and then a little inwards, and keeps what still gets the other answer. Proposals of signals and
sequences are smoothed by a Hann window of 41 samples, so that changes have no sharp edges.

What a failure means
--------------------
Answers change at a distance that the policy calls too small, and finding it needs no scores. Each
point is kept and can be replayed.

What a pass does not mean
-------------------------
Not broken by this attack within this budget. The walk is slow: compare `label-arc`. Distances are
upper bounds.

Settings
--------
window: samples of the Hann window. sideways, inwards: first steps, relative to the distance. adapt:
factor by which steps follow success. tries: starts tried.

Cost
----
The budget per sample.

References
----------
Brendel, Rauber, Bethge 2018, "Decision-based adversarial attacks", ICLR; Lam et al. 2020,
"Hard-label black-box adversarial attack on deep electrocardiogram classifiers", SenSys workshop.
"""

import sys

from medaudit.rule.base import Rule, page_of
from medaudit.search import boundary

RULE = Rule(
    id="EV204",
    name="label-drift",
    title="A random walk without sharp edges, from answers alone",
    kind="attack",
    metrics=("robust_accuracy", "attack_success", "median_distance"),
    page=page_of(sys.modules[__name__]),
    access="labels",
    norms=("l2",),
    settings=boundary.Settings,
    search=lambda context: boundary.search(context.settings, context.donors, context.kinds),
    smallest=True,
    strength=1,
)
