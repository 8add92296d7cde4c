"""Logic that nobody trained: triggers in the graph

What it asks
------------
Does the model file hold logic that decides on raw input, past the trained layers?

How it works
------------
The graph is read, with every subgraph and function, and nothing of it is run. Each value is
followed from the inputs: how many trained layers stand behind it, whether it was bent or compared.
G1: something decided on raw numbers chooses, adds or multiplies on the way to an answer. G2: a way
from an input to an answer past every trained layer. G3: a shallow branch that joins late. G4: a
comparison with a stored pattern, a checksum. G11: patients of one batch meet. G13: a leaf of trees
that almost nothing reaches. Idioms of honest graphs (imputation, clips, masks) are explained and
kept in the list. Then what was found is handed to the model: what decides is laid open and asked
for clean records, each branch is forced, and inputs are made of the numbers stored beside it.

What a failure means
--------------------
A finding of high severity, and forcing it did not show that it is without effect: somebody wrote
this rule, or an exporter's trick looks like one. Ask the maker what it is for. An honest rule (a
quality gate, another head for children) is found as well: waive the check with the explanation.
A finding of medium severity, or one whose branches answer alike, makes the check inconclusive.

What a pass does not mean
-------------------------
A trigger that was trained into the weights leaves no trace here. Of 68 designs of planted logic 54
were found in every model they were planted into; 5 of 276 honest exports raised an alarm for
nothing, 24 for a rule that somebody had written.

Settings
--------
rows: clean records that are asked.

Cost
----
A few rows per clean record and finding; the reading takes less than a second for 10 MB.

References
----------
HiddenLayer 2024, "ShadowLogic"; Bober-Irizar et al. 2023, "Architectural backdoors in neural
networks", CVPR; Langford et al. 2024, "Architectural neural backdoors from first principles".
"""

import sys
from typing import NamedTuple

from medaudit.rule.base import Rule, page_of


class Settings(NamedTuple):
    rows: int = 64


RULE = Rule(
    id="TR001",
    name="trigger-graph",
    title="Logic that nobody trained: triggers in the graph",
    kind="graph",
    metrics=("high_findings",),
    page=page_of(sys.modules[__name__]),
    settings=Settings,
)
