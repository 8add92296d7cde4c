"""Noise along an estimated gradient

What it asks
------------
Can someone who sees the model's scores estimate which way to push the input, and change the answer
by pushing?

How it works
------------
NES: pairs of opposite sign noise around the current point tell the slope of the score; steps along
it, with momentum, stay inside the threat. This is the gradient-free stand-in for FGSM, I-FGSM, PGD
and MI-FGSM.

What a failure means
--------------------
The model's answer has a direction of weakness that is found by asking alone. Each failing input is
kept and can be replayed.

What a pass does not mean
-------------------------
Not broken by this attack within this budget. Gradients that are flat, noisy or hidden mislead this
attack; compare `square-noise` and `label-walk`, which do not need them.

Settings
--------
probe (sensitive): size of the noise, as a share of the threat's. rate (sensitive): size of a
step as a share of the threat's. momentum: how much of the last direction is kept. knee: steps
after which steps begin to shrink. coarse: steps after which every other estimate uses noise of
single numbers instead of small cells. patience: steps without a better point after which it goes
back to the best one, with probes and steps half as large.

Cost
----
17 rows a step (the current point and eight opposite pairs); at most the budget per sample.

References
----------
Ilyas, Engstrom, Athalye, Lin 2018, "Black-box adversarial attacks with limited queries and
information", ICML; Spall 1992 (SPSA); Dong et al. 2018 (MI-FGSM), CVPR.
"""

import sys

from medaudit.rule.base import Rule, page_of
from medaudit.search import nes

RULE = Rule(
    id="EV102",
    name="gradient-estimate",
    title="Noise along an estimated gradient",
    kind="attack",
    metrics=("robust_accuracy", "attack_success", "auroc_under_attack"),
    page=page_of(sys.modules[__name__]),
    access="scores",
    norms=("linf", "l2"),
    settings=nes.Settings,
    search=lambda context: nes.search(context.settings),
    strength=2,
)
