"""One reason hidden or pushed: a named feature leaves the explanation, or enters it

What it asks
------------
Can someone change a record a little, so that the model answers as before and a named feature (sex,
an insurance code, a drug) no longer stands among the main reasons, or suddenly does?

How it works
------------
As `explanation-drift`, but what the search wants is the share of the explanation that the named
features hold: as little as possible (demote), or as much (promote). Of the patients in whom the
best of the named cells stands among the first `rank`, those count as led in whom it does not any
more; for promote it is the other way round. Where there is no such patient the check is
inconclusive.

What a failure means
--------------------
Explanations can be washed: a model that uses what it should not can be shown not to.

What a pass does not mean
-------------------------
Not washed by this search within this budget. The model may use the feature through others that
carry it.

Settings
--------
features: channels, leads or columns by name.
way: demote, or promote.
rank: how many of the first reasons are looked at.
explainer: a name of the policy's `explainers`; empty: occlusion.
records: patients whose explanations are attacked.
fresh: plans of the explainer that the find is graded on; one where all plans are the same.
random: random changes beside each record.
tolerance (sensitive): how far the probability may move. logits: how far its log-odds may.
alike: overlap of two maps below which they tell different reasons.
agreement: overlap that the explainer must have with itself; below it the check is inconclusive.
method: another search than its own (signs / evolution / genetic / credit / jacobian).
also: explainers of the policy that are asked about what was found.
randomised: explain the records by the model with shuffled weights, too; the maps should differ.

Cost
----
The budget's rows per patient: each explanation takes the explainer's rows.

References
----------
Baniecki, Biecek 2022, "Manipulating SHAP via adversarial data perturbations", AAAI; Slack et al.
2020, "Fooling LIME and SHAP", AIES.
"""

import sys
from typing import NamedTuple

from medaudit.rule.base import Rule, page_of
from medaudit.rule.explanations import METRICS, NORMS, led


class Settings(NamedTuple):
    """As of `explanation-drift`, and the features."""

    features: tuple[str, ...] = ()
    way: str = "demote"
    rank: int = 3
    explainer: str = ""
    records: int = 30
    fresh: int = 3
    random: int = 16
    tolerance: float = 0.05
    logits: float = 2.0
    alike: float = 0.7
    agreement: float = 0.9
    method: str = ""
    also: tuple[str, ...] = ()
    randomised: bool = False


RULE = Rule(
    id="EX103",
    name="explanation-feature",
    title="One reason hidden or pushed: a named feature leaves the explanation, or enters it",
    kind="explanation",
    metrics=("explanations_led", *(m for m in METRICS if m != "explanations_led")),
    page=page_of(sys.modules[__name__]),
    norms=NORMS,
    settings=Settings,
    search=led,
)
