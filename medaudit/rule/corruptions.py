"""Everyday trouble: noise, faults and slips

What it asks
------------
How much worse is the model on records as they come on a bad day? No attacker is there.

How it works
------------
Every kind of trouble that can happen to the model's inputs happens to every record, at five
severities. Signals: baseline wander, mains hum, muscle noise, electrode motion (24 to -6 dB), lost,
swapped and inverted leads, wrong gain and sampling rate. Images: noise, blur, JPEG, contrast,
display curve, rotation, crop, a burned-in marker. Tables and hourly records: values missing (filled
in with the value before, or the typical one), in another unit, rounded; results that come late,
rows entered twice or too late. A record's score is 1 where the decision is right, of several
findings the share that is, of outlines their Dice; without labels the clean decision counts as
right.

What a failure means
--------------------
The model needs cleaner records than the policy allows for. The table shows which trouble it is and
from which severity on.

What a pass does not mean
-------------------------
Nothing about trouble of other kinds, or about attackers: the worst case is found by searching.

Settings
--------
kinds: names of the kinds; empty for all that can happen to this model's inputs.

Cost
----
Five rows per record and kind.

References
----------
Hendrycks, Dietterich 2019, "Benchmarking neural network robustness to common corruptions and
perturbations", ICLR; Moody, Muldrow, Mark 1984, "A noise stress test for arrhythmia detectors".
"""

import sys
from typing import NamedTuple

from medaudit.rule.base import Rule, page_of


class Settings(NamedTuple):
    kinds: tuple[str, ...] = ()


RULE = Rule(
    id="CO101",
    name="corruptions",
    title="Everyday trouble: noise, faults and slips",
    kind="corruption",
    metrics=("corruption_accuracy", "worst_corruption"),
    page=page_of(sys.modules[__name__]),
    settings=Settings,
)
