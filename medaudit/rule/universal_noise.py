"""One small change for all records

What it asks
------------
Is there a single change, the same for every patient, that turns the answers of many? It can be
put into a device, a cable or a piece of software once, without looking at any record.

How it works
------------
Some patients are set aside, and Square searches for the one change that turns as many of their
records as it can: each candidate is laid over all of them, and its score is the mean of how near
they come to the goal. The change is then laid over the records of all other patients, one row
each, and only those count. The control lays a random change of the same size over each.

What a failure means
--------------------
One change, found on other patients, turns the answers of the share shown. Each failing input is
kept and can be replayed.

What a pass does not mean
-------------------------
Not broken by this attack within this budget: other changes, fitted on more patients or with more
rows, can turn more. Each record by itself may be far easier to turn.

Settings
--------
patients: at most so many, and at most half of them, to fit the change on.

Cost
----
To fit: the budget for each record of the patients set aside. Then one row per record.

References
----------
Moosavi-Dezfooli, Fawzi, Fawzi, Frossard 2017, "Universal adversarial perturbations", CVPR.
Andriushchenko, Croce, Flammarion, Hein 2020, "Square Attack", ECCV.
"""

import sys
from typing import NamedTuple

from medaudit.core.crowd import lay
from medaudit.core.protocol import Search
from medaudit.rule.base import Context, Rule, page_of
from medaudit.search import given, square


class Settings(NamedTuple):
    patients: int = 50


def fitted(context: Context) -> Search:
    if context.change is None:
        raise ValueError("no change was fitted")
    return given.search(context.change, lay)


RULE = Rule(
    id="EV120",
    name="universal-noise",
    title="One small change for all records",
    kind="attack",
    metrics=("robust_accuracy", "attack_success"),
    page=page_of(sys.modules[__name__]),
    access="",
    norms=("linf", "l2", "l1"),
    settings=Settings,
    search=fitted,
    fit=lambda context: square.search(),
    strength=0,
)
