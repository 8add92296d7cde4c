"""A few wrong entries of a record

What it asks
------------
Can changing a few fields of a record, within what is plausible for each, change the answer?

How it works
------------
Single changes are tried first (numbers to the ends of their range, categories to each other one),
the best is kept and a second is tried on top, up to the number that the threat allows; then random
swaps. Fixed fields, missing cells, ranges, whole numbers and categories are respected.

What a failure means
--------------------
A slip in charting or a deliberate up-coding of that size changes the model's answer. The case lists
the fields, the old and the new values.

What a pass does not mean
-------------------------
Not broken by this attack within this budget. Combinations of more fields were not tried.

Settings
--------
sweep: most single changes tried per round.

Cost
----
At most the budget per sample; one row per candidate.

References
----------
Croce, Andriushchenko, Singh, Flammarion, Hein 2022, "Sparse-RS", AAAI.
"""

import sys

from medaudit.rule.base import Rule, page_of
from medaudit.search import sparse

RULE = Rule(
    id="EV111",
    name="few-features",
    title="A few wrong entries of a record",
    kind="attack",
    metrics=("robust_accuracy", "attack_success", "median_distance"),
    page=page_of(sys.modules[__name__]),
    access="",
    norms=("l0",),
    domains=("table", "sequence"),
    settings=sparse.Settings,
    search=lambda context: sparse.search(context.settings),
    strength=2,
)
