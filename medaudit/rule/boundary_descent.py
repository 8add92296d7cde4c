"""Down to the nearest boundary

What it asks
------------
How small is the smallest change that alters the model's answer?

How it works
------------
The slope of the score is learned from points around where the search is, and kept. From it follows
the nearest place where the answer should change, if the score went on as it does here; the search
goes there by steps as long as they prove true, and from then on keeps to changes that alter the
answer, each smaller than the last. In long records it moves slow waves instead of single numbers,
unless the threat says which changes it allows. With the sizes roughness and roughness-l2 it looks
for changes that are smooth rather than short, as drifts and movements of a patient are.

What a failure means
--------------------
Changes of that size can change the answer; most patients' smallest ones are smaller than the policy
allows. Each failing input is kept and can be replayed.

What a pass does not mean
-------------------------
Not broken by this attack within this budget. Shorter ways to other boundaries can exist, and single
numbers can do what slow waves cannot.

Settings
--------
probes: points around where the search is, a step. step (sensitive): their distance, in shares of
the way gone so far. waves: how many slow waves records of more numbers are moved by.

Cost
----
The budget per sample.

References
----------
Moosavi-Dezfooli, Fawzi, Frossard 2016, "DeepFool", CVPR; Chen et al. 2020, "ECGadv: generating
adversarial electrocardiogram to misguide arrhythmia classification system", AAAI.
"""

import sys
from typing import NamedTuple

from medaudit.core.protocol import Search
from medaudit.rule.base import Context, Rule, page_of
from medaudit.search import descent


class Settings(NamedTuple):
    probes: int = descent.Settings().probes
    step: float = descent.Settings().step
    waves: int = 1000


def search(context: Context) -> Search:
    own: Settings = context.settings
    return context.in_waves(descent.search(descent.Settings(own.probes, own.step)), own.waves, own.waves)


RULE = Rule(
    id="EV107",
    name="boundary-descent",
    title="Down to the nearest boundary",
    kind="attack",
    metrics=("robust_accuracy", "attack_success", "median_distance"),
    page=page_of(sys.modules[__name__]),
    access="scores",
    norms=("l2", "roughness", "roughness-l2"),
    settings=Settings,
    search=search,
    smallest=True,
    strength=2,
)
