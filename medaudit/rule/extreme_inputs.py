"""Inputs at the edge: no numbers, infinite, flat, or far out of range

What it asks
------------
What does the model do where an input holds nothing of a patient: does it fall, does it spoil the
answers of the patients beside it, does it answer as surely as ever?

How it works
------------
Clean records are replaced, input by input, by what is missing throughout or in one place, by
infinities, zeros, flat channels, numbers ten ranges out of their range, the largest and the
smallest float. Each is asked in a process of its own that may die, in a block in which every other
record stays clean, and alone. An answer is as sure as ever where its margin reaches the median
margin of clean records.

What a failure means
--------------------
failed_extremes: the process died or hung, or the answer of a clean record changed because of the
input beside it: one broken file can take down a ward's service, or change another patient's result.
confident_extremes: the model answers nothing as surely as it answers patients. Software before it
must refuse such inputs, or the answer will be believed.

What a pass does not mean
-------------------------
Only the inputs listed were tried. A refusal, or an answer that is no number, counts as right.

Settings
--------
rows: clean records asked.

Cost
----
Three and a half times `rows` for each of ten oddities, on each input and on all together.

References
----------
IEC 81001-5-1, 5.7.1, on malformed and unexpected input.
"""

import sys
from typing import NamedTuple

from medaudit.rule.base import Rule, page_of


class Settings(NamedTuple):
    rows: int = 16


RULE = Rule(
    id="SA006",
    name="extreme-inputs",
    title="Inputs at the edge: no numbers, infinite, flat, or far out of range",
    kind="extremes",
    metrics=("failed_extremes", "confident_extremes"),
    page=page_of(sys.modules[__name__]),
    settings=Settings,
)
