"""Every answer is a number

What it asks
------------
Did the model ever answer NaN or infinity, on clean rows or on rows that the attacks of this run
asked?

How it works
------------
No rows of its own: every answer of the run is looked at where it is decoded. Such an answer never
counts as an attack's success.

What a failure means
--------------------
A legal input makes the model compute nonsense; software behind it may show no result or a wrong
one. The case names the sample and the check whose search came upon it.

What a pass does not mean
-------------------------
Only inputs that this run asked were seen; extreme inputs are not searched for.

Settings
--------
None.

Cost
----
None.

References
----------
IEC 81001-5-1, 5.7.1, on malformed and unexpected input.
"""

import sys

from medaudit.rule.base import Rule, page_of

RULE = Rule(
    id="SA005",
    name="finite-answers",
    title="Every answer is a number",
    kind="finite-answers",
    metrics=("invalid_answers",),
    page=page_of(sys.modules[__name__]),
)
