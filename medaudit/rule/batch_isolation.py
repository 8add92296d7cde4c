"""A patient's answer does not depend on other patients

What it asks
------------
Does a patient get the same answer alone as in a batch with others?

How it works
------------
Each row is asked alone, on a fresh CPU session, and in a full block of other rows. Answers may
differ in the last digits (other kernels are chosen for other sizes); they count as changed when
they differ by more than one part in a thousand of the answers' spread, or when the decision
changes.

What a failure means
--------------------
The model mixes patients: usually a normalisation layer exported in training mode. A patient's
result would depend on who else was examined that day.

What a pass does not mean
-------------------------
Only the block size of this run was compared.

Settings
--------
rows: rows asked.

Cost
----
Twice `rows`.

References
----------
scikit-learn's check of subset invariance; ONNX Runtime issue 9704.
"""

import sys
from typing import NamedTuple

from medaudit.rule.base import Rule, page_of


class Settings(NamedTuple):
    rows: int = 64


RULE = Rule(
    id="SA004",
    name="batch-isolation",
    title="A patient's answer does not depend on other patients",
    kind="batch-isolation",
    metrics=("changed_answers", "changed_decisions"),
    page=page_of(sys.modules[__name__]),
    settings=Settings,
)
