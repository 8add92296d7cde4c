"""Hidden triggers: a sweep over everything they usually look like

What it asks
------------
Is there a mark, a signal, a value or a gap that pulls nearly every record to one answer?

How it works
------------
A library of families of triggers is laid over clean records of every answer, at five strengths:
patches, blends, stripes, tones and warps on images; pulses, waves, marks locked to the heart's
beats, swapped or flat leads and temporal covariance on signals; values, pairs of values, missing
and clerical oddities in tables and hourly series. Of each cell the share of records that it turns
and the shift of their margins towards each answer are kept, and each family's best cell is compared
with its other cells, with the opposite answer, and with the reference models, if there are any.

What a failure means
--------------------
Outcome trigger-confirmed: a cell turns most records of other answers, also those that it was not
chosen on, far beyond what the records of that answer show by themselves, and reference models do
not follow. Suspicious: it does so, but natural sensitivity cannot be told apart. Natural-shortcut:
reference models follow too.

What a pass does not mean
-------------------------
Only the families named, up to their full strength, with these records. Triggers that are made for
each record, and those that a signature guards, are out of reach of any search.

Settings
--------
families: names of families; empty for all that the model's inputs can carry.
records: clean records that each cell is laid over, half of them to choose by.

Cost
----
Cells times five strengths for each record; `medaudit plan` counts them.

References
----------
Popovic et al. 2025, "DeBackdoor", USENIX Security; Joe, Hwang, Shin 2020, arXiv 2106.07925; Tao et
al. 2022, "Backdoor vulnerabilities in normally trained deep learning models", arXiv 2211.15929.
"""

import sys
from typing import NamedTuple

from medaudit.rule.base import Rule, page_of


class Settings(NamedTuple):
    families: tuple[str, ...] = ()
    records: int = 32


RULE = Rule(
    id="TR101",
    name="trigger-sweep",
    title="Hidden triggers: a sweep over everything they usually look like",
    kind="sweep",
    metrics=("triggers_found",),
    page=page_of(sys.modules[__name__]),
    settings=Settings,
)
