"""One patch for all records

What it asks
------------
Is there a single patch, the same for every patient, that turns the answers of many wherever it
comes to lie: a sticker in the image, a stretch of artefact in the signal?

How it works
------------
Some patients are set aside, and Square searches for the patch that turns as many of their records
as it can, with the patch at another random place in each. It is then laid over the records of all
other patients, one row each, at a random place and at random between three quarters and the whole
of the size allowed; only those count. The control lays a random patch over each.

What a failure means
--------------------
One patch, found on other patients, turns the answers of the share shown wherever it lies. Each
failing input is kept and can be replayed.

What a pass does not mean
-------------------------
Not broken by this attack within this budget: other patches, fitted on more patients or with more
rows, and places chosen with care can turn more.

Settings
--------
patients: at most so many, and at most half of them, to fit the patch on.

Cost
----
To fit: the budget for each record of the patients set aside. Then one row per record.

References
----------
Brown, Mane, Roy, Abadi, Gilmer 2017, "Adversarial patch", arXiv:1712.09665.
Andriushchenko, Croce, Flammarion, Hein 2020, "Square Attack", ECCV.
"""

import sys

from medaudit.rule.base import Rule, page_of
from medaudit.rule.universal_noise import Settings, fitted
from medaudit.search import square

RULE = Rule(
    id="EV121",
    name="universal-patch",
    title="One patch for all records",
    kind="attack",
    metrics=("robust_accuracy", "attack_success"),
    page=page_of(sys.modules[__name__]),
    access="",
    norms=("patch",),
    domains=("image", "signal", "sequence"),
    settings=Settings,
    search=fitted,
    fit=lambda context: square.search(),
    strength=0,
)
