"""Two rules in one model: one for patients, another for rows that an explainer asks

What it asks
------------
Does the model follow the same rule on rows that only an explainer asks as on patients? A scaffold
does not: it knows such rows, and shows an innocent model to whoever explains it.

How it works
------------
Of tables. Rows that no patient has are asked, of three kinds: those of the explainer that the
policy names, rows with columns of usual records in them (as SHAP asks), and rows shaken a little,
one category off its codes (as LIME asks that knows no categories). A first rule is learnt from the
answers to them, boosted trees with straight lines: an honest model follows it on patients too. A
second rule is learnt from what the first leaves unexplained of some reference rows, and tried on
others. What it gains there is the sign. How much an honest model shows is told by eight honest
twins, plain fits to the model's own answers, which are asked the same (Student's t, Holm).

What a failure means
--------------------
Explanations of this model by rows that no patient has are worth nothing: they tell of a rule that
patients do not meet. Ask the maker, and look at conditional explanations.

What a pass does not mean
-------------------------
A router that knows another explainer's rows, or that this audit's rows do not trigger, is not
seen. In columns that have little to do with each other an explainer's rows look like patients.

Settings
--------
explainer: a name of the policy's `explainers`, whose rows are asked; empty: occlusion.
reference: reference rows that are asked.

Cost
----
The reference rows, and 2,500 rows of each of three kinds; the fits of nine models and their twins
take a minute or more of one processor, however fast the model is.

References
----------
Slack et al. 2020, "Fooling LIME and SHAP: adversarial attacks on post hoc explanation methods",
AIES; Carmichael, Scheirer 2023, "Unfooling perturbation-based post hoc explainers", AAAI.
"""

import sys
from typing import NamedTuple

from medaudit.rule.base import Rule, page_of


class Settings(NamedTuple):
    explainer: str = ""
    reference: int = 400


RULE = Rule(
    id="EX105",
    name="scaffolding",
    title="Two rules in one model: one for patients, another for rows that an explainer asks",
    kind="scaffold",
    metrics=("scaffold_signs",),
    page=page_of(sys.modules[__name__]),
    domains=("table",),
    settings=Settings,
)
