"""A row's answer does not depend on its place

What it asks
------------
Inside blocks of one size, is a row's answer the same in any place and any company?

How it works
------------
The same rows are asked in their own order and in two shuffled orders. Answers are compared bit by
bit.

What a failure means
--------------------
Rows leak into each other: a layer normalises over the batch, or the runtime adds up in another
order. Results of this run then depend on how rows were grouped; they cannot be repeated exactly.

What a pass does not mean
-------------------------
Only blocks of the size that this run used were tried; `batch-isolation` compares with a row alone.

Settings
--------
rows: rows asked.

Cost
----
Three times `rows`.

References
----------
medaudit's design, law 3.
"""

import sys
from typing import NamedTuple

from medaudit.rule.base import Rule, page_of


class Settings(NamedTuple):
    rows: int = 128


RULE = Rule(
    id="SA003",
    name="row-purity",
    title="A row's answer does not depend on its place",
    kind="row-purity",
    metrics=("changed_answers", "changed_decisions"),
    page=page_of(sys.modules[__name__]),
    settings=Settings,
)
