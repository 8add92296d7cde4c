"""A wrong answer under the same explanation

What it asks
------------
Can someone change a record a little, so that the model answers otherwise and its explanation still
looks as before? A clinician who checks an answer by its reasons would not notice.

How it works
------------
As `explanation-drift`, the other way round: the answer has to change, and then the search makes the
map of the changed record, explained for the answer that it gets, as like the clean one as it can:
what spoke for the old answer has to speak for the new one. Only patients whose answer was turned
count beside random changes.

What a failure means
--------------------
The explanation is no safeguard: an input can be wrong and look right.

What a pass does not mean
-------------------------
Not hidden by this search within this budget. What turns the answer alone is `standard`'s business.

Settings
--------
explainer: a name of the policy's `explainers`; empty: occlusion.
records: patients whose explanations are attacked.
fresh: plans of the explainer that the find is graded on; one where all plans are the same.
random: random changes beside each record.
tolerance, logits: not used here.
alike: overlap of two maps from which on they tell the same reasons.
agreement: overlap that the explainer must have with itself; below it the check is inconclusive.
method: another search than its own (signs / evolution / genetic / credit / jacobian).
also: explainers of the policy that are asked about what was found.
randomised: explain the records by the model with shuffled weights, too; the maps should differ.

Cost
----
The budget's rows per patient: each explanation takes the explainer's rows.

References
----------
Zhang et al. 2020, "Interpretable deep learning under fire" (ADV2), USENIX Security; Zhang et al.
2024, "Fragility of saliency maps in medical imaging AI", Radiology: Artificial Intelligence.
"""

import sys

from medaudit.rule.base import Rule, page_of
from medaudit.rule.explanations import NORMS, Settings, search

RULE = Rule(
    id="EX104",
    name="hidden-error",
    title="A wrong answer under the same explanation",
    kind="explanation",
    metrics=("explanations_led",),
    page=page_of(sys.modules[__name__]),
    norms=NORMS,
    settings=Settings,
    search=search,
)
