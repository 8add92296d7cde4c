"""A few pixels bred by differential evolution

What it asks
------------
Can a few pixels, each of any legal value, change the model's answer?

How it works
------------
A candidate lists as many pixels as the threat allows, by row, column and value. In each generation
every candidate meets the best one, moved by the difference of two others, and gives way where the
child scores better. This is the few-pixel attack as it was published on photographs and on chest
X-rays; there with 10 pixels, 50 candidates and 100 generations: rows 50 and a budget of 5,050.

What a failure means
--------------------
Dead or burned-in pixels of that number can change the answer. Each failing input is kept and can be
replayed.

What a pass does not mean
-------------------------
Not broken by this attack within this budget. few-places finds more in the same budget as a rule;
this one is for comparison with published figures.

Settings
--------
rows: candidates of a generation. cross (sensitive): share of numbers that a child takes from the
mutant.

Cost
----
One generation a step; at most the budget per sample.

References
----------
Su, Vargas, Sakurai 2019, "One pixel attack for fooling deep neural networks", IEEE Transactions on
Evolutionary Computation; Storn, Price 1997, "Differential evolution".
"""

import sys

from medaudit.rule.base import Rule, page_of
from medaudit.search import pixels

RULE = Rule(
    id="EV115",
    name="few-pixels",
    title="A few pixels bred by differential evolution",
    kind="attack",
    metrics=("robust_accuracy", "attack_success", "auroc_under_attack"),
    page=page_of(sys.modules[__name__]),
    access="scores",
    norms=("l0",),
    domains=("image",),
    settings=pixels.Settings,
    search=lambda context: pixels.search(context.settings),
    strength=2,
)
