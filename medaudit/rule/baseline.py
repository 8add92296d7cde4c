"""Clean performance

What it asks
------------
How well does the model do on the data of this audit, before anyone attacks it?

How it works
------------
Every row is answered once. Accuracy, balanced accuracy, sensitivity and specificity are shares of
groups' rows with exact bounds; the area under the ROC curve has DeLong's; overlaps and errors of
regressions have bounds by betting, which hold for any distribution between 0 and the largest that
is possible (1; the span of truths and answers). The figures confirm that inputs, scaling, layout
and threshold are read as the model's maker meant them: attacks on a model that is fed wrongly mean
nothing.

What a failure means
--------------------
The model does worse than the policy demands, or the policy describes the model wrongly (a wrong
scale, channel order or threshold is the usual cause). Either way no attack result of this run
should be used.

What a pass does not mean
-------------------------
The data decide: performance elsewhere, and in subgroups that are few here, can differ.

Settings
--------
None.

Cost
----
One row per sample.

References
----------
Clopper, Pearson 1934; DeLong, DeLong, Clarke-Pearson 1988; Korn, Graubard 1998.
"""

import sys

from medaudit.rule.base import Rule, page_of

RULE = Rule(
    id="SA001",
    name="baseline",
    title="Clean performance",
    kind="baseline",
    metrics=(
        "accuracy",
        "balanced_accuracy",
        "sensitivity",
        "specificity",
        "auroc",
        "mean_absolute_error",
        "mean_dice",
    ),
    page=page_of(sys.modules[__name__]),
)
