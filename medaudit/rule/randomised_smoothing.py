"""Randomised smoothing: what can be certified

What it asks
------------
For how many patients can it be certified that no change up to eps alters the answer - of the model
smoothed by noise?

How it works
------------
The smoothed model answers what the audited model answers most often when Gaussian noise is added to
the record. Some draws of noise guess that answer; others, drawn anew, bound from below how often it
comes, and the bound gives the distance within which no change whatsoever can alter the smoothed
answer. Where the bound is not above one half, it abstains. A patient counts where the answer is
right and the distance is at least the threat's eps, for all records.

What a failure means
--------------------
For too few patients that can be shown: the model is too easily turned by noise of this size. This
is usual for models that were not trained with noise.

What a pass does not mean
-------------------------
Nothing about the model as it is: the proof is about the smoothed one, which would have to be what
is put to use, with as many askings per answer. Nothing about changes larger than eps, or of what
was missing, fixed or masked. A model that can be smoothed need not be right otherwise.

Settings
--------
sigma: noise, in the unit of the threat's eps.
draws: askings that bound the answer's share.
guess: askings before them that guess it.
alpha: largest probability with which one record's distance may be wrong. Besides, the bounds of the
shares are lowered by it.

Cost
----
guess + draws rows per record.

References
----------
Cohen, Rosenfeld, Kolter 2019, "Certified adversarial robustness via randomized smoothing", ICML;
Lecuyer et al. 2019, "Certified robustness to adversarial examples with differential privacy".
"""

import sys
from typing import NamedTuple

from medaudit.rule.base import Rule, page_of


class Settings(NamedTuple):
    sigma: float = 0.25
    draws: int = 500
    guess: int = 100
    alpha: float = 0.001


RULE = Rule(
    id="CE101",
    name="randomised-smoothing",
    title="Randomised smoothing: what can be certified",
    kind="certificate",
    metrics=("certified_accuracy", "smoothed_accuracy"),
    page=page_of(sys.modules[__name__]),
    norms=("l2",),
    settings=Settings,
)
