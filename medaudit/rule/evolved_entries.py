"""Records bred from one another

What it asks
------------
Can someone who sees the model's scores breed a plausible record that gets another answer, from
values, whole numbers and categories that all stay legal together?

How it works
------------
A genetic search: candidates are crossed entry by entry, and entries mutate, numbers within their
range, categories to another one. What breaks a constraint of the policy (an order between two
values, a group of which exactly one holds) is repaired before it is asked, so every finding is a
record that could exist. Frozen and missing entries are never touched.

What a failure means
--------------------
A combination of plausible values gets another answer, though each alone may look harmless. The case
lists the entries, their old and their new values.

What a pass does not mean
-------------------------
Not broken by this attack within this budget. Other combinations can still succeed.

Settings
--------
rows: candidates of a generation. mutate (sensitive): entries of a candidate that mutate, on
average.

Cost
----
One generation a step; at most the budget per sample.

References
----------
Alzantot et al. 2019, "GenAttack", GECCO; Simonetto et al. 2022, "A unified framework for
adversarial attack and defense in constrained feature space", IJCAI.
"""

import sys

from medaudit.rule.base import Rule, page_of
from medaudit.search import genetic

RULE = Rule(
    id="EV113",
    name="evolved-entries",
    title="Records bred from one another",
    kind="attack",
    metrics=("robust_accuracy", "attack_success", "auroc_under_attack"),
    page=page_of(sys.modules[__name__]),
    access="scores",
    norms=("l0", "linf", "l2"),
    domains=("table",),
    settings=genetic.Settings,
    search=lambda context: genetic.search(context.settings),
    strength=2,
)
