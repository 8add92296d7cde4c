"""Explanations led away: the same answer for other reasons

What it asks
------------
Can someone change a record a little, so that the model answers as before and its explanation names
other reasons?

How it works
------------
The record is explained (by occlusion, or as the policy's `explainers` say). A search moves the
record inside the threat and keeps what takes the most weight off the reasons that were named,
while the decision stays and its probability moves by no more than the tolerance. It sees one plan
of the explainer only; what it found is explained again under plans that it never saw, the same for
the clean and the changed record, so that the explainer's own noise is in neither. Beside each
record stand random changes of the same size. What counts is how much further the search leads the
explanation than they do, the mean over patients with its bounds (BCa; of fewer than ten patients
Student's t where that is wider). How much each cell says counts here, not for or against which
answer. A record whose explanation is nothing but zeros (no row moves its answer) does not count,
and where more than a tenth are so, a pass becomes inconclusive. The attacker sees what threats of
this access show, and the explanation. Beside it stands what the
clean explanations are worth: whether taking out what they name takes the evidence away sooner than
any order does, whether they add up, how restless they are under small changes, and, where asked,
whether they differ from those of the same model with shuffled weights.

What a failure means
--------------------
Reasons that a clinician is shown can be exchanged without a trace in the answer: an explanation of
this kind is no evidence for why this model answered. The report shows the maps of the patient who
was led furthest, and the main reasons of others before and after.

What a pass does not mean
-------------------------
Not led away by this search within this budget, under this explainer. An explanation that stays is
not yet a true one.

Settings
--------
explainer: a name of the policy's `explainers`; empty: occlusion.
records: patients whose explanations are attacked.
fresh: plans of the explainer that the find is graded on; one where all plans are the same.
random: random changes beside each record.
tolerance (sensitive): how far the probability may move, 0 to 1; of values, how far they may, in
their own unit. logits: how far the log-odds may move, too.
alike: overlap of two maps below which they tell different reasons.
agreement: overlap that the explainer must have with itself; below it the check is inconclusive.
method: another search than its own (signs / evolution / genetic / credit / jacobian).
also: explainers of the policy that are asked about what was found: do they tell other reasons too?
randomised: explain the records by the model with shuffled weights, too; the maps should differ.

Cost
----
The budget's rows per patient: each explanation takes the explainer's rows.

References
----------
Ghorbani, Abid, Zou 2019, "Interpretation of neural networks is fragile", AAAI; Tamam, Lapid,
Sipper 2023, "Foiling explanations in deep neural networks", TMLR; Al-Dujaili, O'Reilly 2020, "Sign
bits are all you need for black-box attacks", ICLR (the search); Efron 1987, "Better bootstrap
confidence intervals"; Petsiuk, Das, Saenko 2018, "RISE", BMVC (deletion, insertion); Adebayo et al.
2018, "Sanity checks for saliency maps", NeurIPS (shuffled weights).
"""

import sys

from medaudit.rule.base import Rule, page_of
from medaudit.rule.explanations import METRICS, NORMS, Settings, away

RULE = Rule(
    id="EX101",
    name="explanation-drift",
    title="Explanations led away: the same answer for other reasons",
    kind="explanation",
    metrics=METRICS,
    page=page_of(sys.modules[__name__]),
    norms=NORMS,
    settings=Settings,
    search=away,
)
