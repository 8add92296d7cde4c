"""Small structured noise, guided by the scores

What it asks
------------
Can someone who sees the model's scores change its answer with noise of limited size?

How it works
------------
Square Attack: windows of the input (stretches of a signal, squares of an image, runs of a table's
columns) are moved to the edge of what the threat allows, one random window at a time, and a change
is kept when the score comes closer to the goal.

What a failure means
--------------------
Inputs that look alike to a clinician get different answers. Each failing input is kept and can be
replayed. Electrode noise, dose or contrast differences of that size may do the same by chance,
though far less often.

What a pass does not mean
-------------------------
Not broken by this attack within this budget. White-box attackers, larger budgets and other kinds
of change can still succeed.

Settings
--------
share (sensitive): part of the input that the first window covers. decay, knee: the window's share
at step t is share * (1 + t / knee) ^ -decay.

Cost
----
At most the budget per sample; lanes end at their first success when the goal says `stop: flip`.

References
----------
Croce, Hein 2021, "Mind the box: l1-APGD for sparse adversarial attacks on image classifiers", ICML.
Andriushchenko, Croce, Flammarion, Hein 2020, "Square Attack: a query-efficient black-box
adversarial attack via random search", ECCV.
"""

import sys

from medaudit.rule.base import Rule, page_of
from medaudit.search import square

RULE = Rule(
    id="EV101",
    name="square-noise",
    title="Small structured noise, guided by the scores",
    kind="attack",
    metrics=("robust_accuracy", "attack_success", "auroc_under_attack"),
    page=page_of(sys.modules[__name__]),
    access="scores",
    norms=("linf", "l2", "l1"),
    settings=square.Settings,
    search=lambda context: square.search(context.settings),
    strength=2,
)
