"""The standard set of attacks, version 1

What it asks
------------
Can any of the attacks that suit this threat change the answer? One check in place of many: for each
sample the worst case over the set, and each attack runs only on what still stands.

How it works
------------
The set follows from the threat alone. Largest change (linf) with scores: square-noise, sign-noise
and label-rays; with labels: label-rays and label-walk. Length of the change (l2) with scores:
square-noise, gradient-estimate and label-arc; with labels: label-arc and label-walk. Sum of
changes (l1): square-noise. Number of changes (l0): few-features. They take turns on each sample,
of 60 rows each, then 120, then 240 and so on, each going on where it was, until one succeeds; the
case says which. With scores at least one of them looks at answers only, so that scores that
mislead cannot hide a weakness. Nothing is to be set but size and budget.

What a failure means
--------------------
Inputs that look alike to a clinician get different answers. Each failing input is kept and can be
replayed.

What a pass does not mean
-------------------------
Not broken by this attack within this budget, which its members share. White-box attackers, larger
budgets and other kinds of change can still succeed.

Settings
--------
None.

Cost
----
At most the budget per sample, shared by the members.

References
----------
Croce, Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse
parameter-free attacks" (AutoAttack), ICML; the references of the members.
"""

import sys

from medaudit.core.protocol import Search
from medaudit.core.region import L0, L1, LINF
from medaudit.rule.base import Context, Rule, page_of
from medaudit.search import cgba, hopskipjump, nes, rays, signhunter, sparse, square


def members(context: Context) -> tuple[Search, ...]:
    """The set for a threat."""
    blind = context.access == "labels" or context.interface.output.task == "label"
    start = (context.donors, context.kinds)
    norm = context.region.norm
    if norm == L0:
        return (sparse.search(),)
    if norm == L1:
        return (square.search(),)
    if norm == LINF:
        ray = rays.search(rays.Settings(), *start)
        if blind:
            return (ray, hopskipjump.search(hopskipjump.Settings(), *start))
        return (square.search(), signhunter.search(), ray)
    arc = cgba.search(cgba.Settings(), *start)
    if blind:
        return (arc, hopskipjump.search(hopskipjump.Settings(), *start))
    return (square.search(), nes.search(), arc)


RULE = Rule(
    id="EV100",
    name="standard",
    title="The standard set of attacks, version 1",
    kind="attack",
    metrics=("robust_accuracy", "attack_success"),
    page=page_of(sys.modules[__name__]),
    access="",
    norms=("linf", "l2", "l1", "l0"),
    search=members,
    smallest=True,
    strength=3,
)
