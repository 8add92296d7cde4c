"""Same question, same answer

What it asks
------------
Does the model give the same answer when the same rows are asked again?

How it works
------------
Blocks of rows are asked three times, unchanged. Answers are compared bit by bit, and decisions
are compared too.

What a failure means
--------------------
The model draws random numbers (dropout left on, random layers) or its runtime is not deterministic.
One patient can then get two answers, and a success of an attack may be chance: attack checks of
this run become inconclusive. With `votes` under `model:` in the policy every row is asked so often,
and the mean answer (of labels the most frequent) is judged everywhere, in this check too: means
still differ in their last digits, so require `changed_decisions`, and give enough votes that none
changes.

What a pass does not mean
-------------------------
Other hardware, batch sizes or runtime versions can still give other answers.

Settings
--------
rows: rows asked.

Cost
----
Three times `rows`.

References
----------
Carlini et al. 2019, "On evaluating adversarial robustness", on randomness of the model.
"""

import sys
from typing import NamedTuple

from medaudit.rule.base import Rule, page_of


class Settings(NamedTuple):
    rows: int = 128


RULE = Rule(
    id="SA002",
    name="repeatability",
    title="Same question, same answer",
    kind="repeatability",
    metrics=("changed_answers", "changed_decisions"),
    page=page_of(sys.modules[__name__]),
    settings=Settings,
)
