"""Random changes of full size

What it asks
------------
Does chance alone change the answer, with changes as large as the threat allows?

How it works
------------
Every row is a fresh random change of full size: each value up or down (linf), a random direction
(l2, l1), random values at random places (l0), or a random patch somewhere (patch). Nothing is
learned from the answers. Every attack runs beside this control: what it finds beyond chance is
what searching found.

What a failure means
--------------------
The answer does not even withstand noise of this size that nobody chose. No attacker is needed.

What a pass does not mean
-------------------------
Not broken by this attack within this budget, which is the weakest one there is.

Settings
--------
None.

Cost
----
At most the budget per sample; as a control, 50 rows per sample.

References
----------
Fawzi, Moosavi-Dezfooli, Frossard 2016, "Robustness of classifiers: from adversarial to random
noise", NeurIPS.
"""

import sys

from medaudit.rule.base import Rule, page_of
from medaudit.search import uniform

RULE = Rule(
    id="EV110",
    name="random-noise",
    title="Random changes of full size",
    kind="attack",
    metrics=("robust_accuracy", "attack_success"),
    page=page_of(sys.modules[__name__]),
    access="",
    norms=("linf", "l2", "l1", "l0", "patch", "roughness", "roughness-l2", "injected"),
    search=lambda context: uniform.search(),
    strength=0,
)
