"""Another patient's explanation: the same answer, somebody else's reasons

What it asks
------------
Can someone change a record a little, so that the model answers as before and its explanation
becomes that of a patient whom the model answered otherwise?

How it works
------------
As `explanation-drift`, towards the map of another patient with another answer, explained for the
same answer. The distance is 2-D Wasserstein's, between the values of each hour and of each
variable: a map is led when it lies nearer to the other patient's than to its own.

What a failure means
--------------------
Someone can choose the reasons that a clinician is shown.

What a pass does not mean
-------------------------
Not led there by this search within this budget. Other patients' maps can be nearer.

Settings
--------
explainer: a name of the policy's `explainers`; empty: occlusion.
records: patients whose explanations are attacked.
fresh: plans of the explainer that the find is graded on; one where all plans are the same.
random: random changes beside each record.
tolerance (sensitive): how far the probability may move. logits: how far its log-odds may.
alike: overlap of two maps below which they tell different reasons.
agreement: overlap that the explainer must have with itself; below it the check is inconclusive.
method: another search than its own (signs / evolution / genetic / credit / jacobian / blends /
published / published-confident / published-kl).
also: explainers of the policy that are asked about what was found.
randomised: explain the records by the model with shuffled weights, too; the maps should differ.

Cost
----
The budget's rows per patient: each explanation takes the explainer's rows.

References
----------
Razmi, Lou, Hong, Xiong 2023, "Interpretation attacks and defenses on predictive models using
electronic health records", ECML PKDD; Dombrowski et al. 2019, "Explanations can be manipulated and
geometry is to blame", NeurIPS.
"""

import sys

from medaudit.rule.base import Rule, page_of
from medaudit.rule.explanations import METRICS, NORMS, Settings, led

RULE = Rule(
    id="EX102",
    name="explanation-target",
    title="Another patient's explanation: the same answer, somebody else's reasons",
    kind="explanation",
    metrics=("explanations_led", *(m for m in METRICS if m != "explanations_led")),
    page=page_of(sys.modules[__name__]),
    norms=NORMS,
    settings=Settings,
    search=led,
)
