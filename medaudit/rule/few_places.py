"""A few pixels, samples or cells

What it asks
------------
Can someone who sees the model's scores change its answer by changing a few places only: pixels of
an image, samples of a signal, cells of a sequence, to anything that is legal?

How it works
------------
Sparse-RS: as many places as the threat allows hold the lowest or the highest legal value, at
random. A share of them, smaller with every step, moves elsewhere, and stays there where the score
comes closer to the goal. A pixel with all its colours is one place.

What a failure means
--------------------
Dead pixels, spikes of an electrode or single wrong entries of that number can change the answer.
Each failing input is kept and can be replayed.

What a pass does not mean
-------------------------
Not broken by this attack within this budget. Other places, and changes of many, can still succeed.

Settings
--------
share (sensitive): of the places that move at once, at first. knee: steps after which fewer move.

Cost
----
At most the budget per sample; one row per candidate.

References
----------
Croce, Andriushchenko, Singh, Flammarion, Hein 2022, "Sparse-RS", AAAI.
"""

import sys

from medaudit.rule.base import Rule, page_of
from medaudit.search import sparse_rs

RULE = Rule(
    id="EV112",
    name="few-places",
    title="A few pixels, samples or cells",
    kind="attack",
    metrics=("robust_accuracy", "attack_success", "auroc_under_attack"),
    page=page_of(sys.modules[__name__]),
    access="scores",
    norms=("l0",),
    domains=("image", "signal", "sequence"),
    settings=sparse_rs.Settings,
    search=lambda context: sparse_rs.search(context.settings),
    strength=2,
)
