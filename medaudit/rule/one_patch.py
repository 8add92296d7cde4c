"""A patch made for each record

What it asks
------------
Can someone who sees the model's scores change its answer by changing one window only: a square of
an image, a stretch of a signal or of hours, to anything that is legal?

How it works
------------
Sparse-RS for patches: whole random patches at random places first; then windows of the best patch
are turned over, and every fifth row moves it. What comes closer to the goal stays; both kinds of
step shrink. When nothing better comes for a while it begins again. A signal's stretch covers all
leads that the threat opens.

What a failure means
--------------------
A mark, a sticker or a short artefact of that size can change the answer. Each failing input is kept
and can be replayed.

What a pass does not mean
-------------------------
Not broken by this attack within this budget. Other patches and larger ones can still succeed.

Settings
--------
fresh: rows that try a whole new patch. move: every so manieth row moves the patch. knee: rows
after which steps begin to shrink. patience: rows without anything better before it begins again.

Cost
----
At most the budget per sample; one row per candidate.

References
----------
Croce, Andriushchenko, Singh, Flammarion, Hein 2022, "Sparse-RS", AAAI.
"""

import sys

from medaudit.rule.base import Rule, page_of
from medaudit.search import patch

RULE = Rule(
    id="EV114",
    name="one-patch",
    title="A patch made for each record",
    kind="attack",
    metrics=("robust_accuracy", "attack_success", "auroc_under_attack"),
    page=page_of(sys.modules[__name__]),
    access="scores",
    norms=("patch",),
    domains=("image", "signal", "sequence"),
    settings=patch.Settings,
    search=lambda context: patch.search(context.settings),
    strength=2,
)
