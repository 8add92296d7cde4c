"""A trigger that is known: does the model obey it?

What it asks
------------
Does a trigger that is written down in a file, as published or as an earlier scan found it, pull
this model's answers to one answer, beyond what anything like it does?

How it works
------------
The trigger is laid over clean records of every answer at five strengths, the fifth as the file
says. Beside it stand its shams: an array of the same spectrum with other phases (the same numbers
elsewhere where it has holes, other signs in tables, other records' values where it sets numbers),
or other members of its family. With --reference models the same is asked of them. The success is
the share of records of other answers that turn to the target, less what reference models answer so
under the trigger; without reference models, less what shams turn.

What a failure means
--------------------
The model answers the trigger, and reference models do not; without any, what is like the trigger
does not do the same: somebody trained it to, or its data taught it. What references follow, or,
without any, what shams do as well, is a natural sensitivity: it passes here with a flag, and is
evasion's business. A model that learned a whole kind of triggers follows the shams too: only
references tell that from a natural sensitivity.

What a pass does not mean
-------------------------
This trigger only, up to the strength of its file, on these records. `trigger-sweep` asks about
those that nobody knows.

Settings
--------
file: a trigger file (`medaudit trigger make`), seen from the policy's folder.
target: the answer that it is said to pull to; empty: whichever it pulls to most.
records: clean records that it is laid over.
shams: others like it.

Cost
----
Records x five strengths x (1 + shams), and as much for each reference model.

References
----------
Joe, Hwang, Shin 2020, "Machine learning with electronic health records is vulnerable to backdoor
trigger attacks", arXiv 2106.07925; Gu et al. 2017, "BadNets", arXiv 1708.06733; Theiler et al.
1992, "Testing for nonlinearity in time series: the method of surrogate data" (the shams).
"""

import sys
from typing import NamedTuple

from medaudit.rule.base import Rule, page_of


class Settings(NamedTuple):
    file: str = "trigger.json"
    target: str = ""
    records: int = 100
    shams: int = 8


RULE = Rule(
    id="TR102",
    name="known-trigger",
    title="A trigger that is known: does the model obey it?",
    kind="known-trigger",
    metrics=("trigger_success",),
    page=page_of(sys.modules[__name__]),
    settings=Settings,
)
