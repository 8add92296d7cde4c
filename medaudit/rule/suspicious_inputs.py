"""Single inputs that look as if they carried a trigger

What it asks
------------
Among these inputs, does any hold to its answer in another way than clean records do?

How it works
------------
Each input of the file given with --suspicious-inputs is asked again in copies: blended with clean
records, made weaker and stronger, under every everyday trouble at five severities. Its answers, as
margins towards its own decision, are compared with those of clean records that are decided the
same (the reference part of the data, or its records): the distance to the third nearest of them, in
units of what is usual for that decision. p is the share of clean records as far from the others.
Those named are chosen such that at most 5 % of them are expected to be honest; all inputs together
are compared with the clean records as well (Mann and Whitney's test). Beside p stand the scores of
the literature: how steady the margin is in blends, how often the answer is kept under gains, how
uneven corruptions turn it, and how unlikely what is missing is, each as the share of clean records
below it.

What a failure means
--------------------
Nothing fails: inconclusive, suspicious, names inputs that a person should look at. Poor recordings
and rare patients are unusual as well; this says nothing about the model by itself.

What a pass does not mean
-------------------------
An input whose trigger acts like its class's own features is not unusual. From n clean records no p
is below 1 / (n + 1): among many inputs few can then be named, however strange they are.

Settings
--------
records: clean records to compare with.
blends: clean records that each input is blended with.

Cost
----
For each input and each clean record 1 + blends + 4 + 5 x kinds of trouble rows.

References
----------
Gao et al. 2019, "STRIP", ACSAC; Guo et al. 2023, "SCALE-UP", ICLR; Liu et al. 2023, "TeCo", CVPR;
Vovk, Gammerman, Shafer 2005, "Algorithmic Learning in a Random World"; Benjamini, Hochberg 1995.
"""

import sys
from typing import NamedTuple

from medaudit.rule.base import Rule, page_of


class Settings(NamedTuple):
    records: int = 500
    blends: int = 16


RULE = Rule(
    id="TR301",
    name="suspicious-inputs",
    title="Single inputs that look as if they carried a trigger",
    kind="suspicious",
    metrics=("suspicious_inputs",),
    page=page_of(sys.modules[__name__]),
    settings=Settings,
)
