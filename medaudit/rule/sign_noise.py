"""Every value up or down, guided by the scores

What it asks
------------
Can someone who sees the model's scores change its answer by moving every value by the whole size
allowed, each up or down?

How it works
------------
SignHunter: all values go up; then the signs of the whole input, of its halves, its quarters and
so on are turned over one run at a time, and stay so where the score comes closer to the goal.
Nothing is drawn by chance: the same input is always searched in the same way.

What a failure means
--------------------
Inputs that look alike to a clinician get different answers. Each failing input is kept and can be
replayed.

What a pass does not mean
-------------------------
Not broken by this attack within this budget. Changes of few values, and larger ones, are not tried.

Settings
--------
None.

Cost
----
At most the budget per sample; one row per run of values.

References
----------
Al-Dujaili, O'Reilly 2020, "Sign bits are all you need for black-box attacks", ICLR.
"""

import sys

from medaudit.rule.base import Rule, page_of
from medaudit.search import signhunter

RULE = Rule(
    id="EV103",
    name="sign-noise",
    title="Every value up or down, guided by the scores",
    kind="attack",
    metrics=("robust_accuracy", "attack_success", "auroc_under_attack"),
    page=page_of(sys.modules[__name__]),
    access="scores",
    norms=("linf", "l2"),
    search=lambda context: signhunter.search(),
    strength=2,
)
