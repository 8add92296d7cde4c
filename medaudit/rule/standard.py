"""The standard set of attacks, version 1

What it asks
------------
Can any of the attacks that suit this threat change the answer? One check in place of many: for each
sample the worst case over the set, and each attack runs only on what still stands.

How it works
------------
The set follows from the threat alone, and so do the rows of each member's first turn. Largest
change (linf) with scores: sign-noise 200, square-noise 20, label-rays 10; with labels: label-rays
90, label-walk 30. Length of the change (l2) with scores: single-steps 200, square-noise 240,
gradient-estimate 34, label-arc 8 (on signals square-noise 30, gradient-estimate 204, label-arc 8);
with labels: label-arc 90, label-walk 30. Sum of changes (l1): square-noise. Number of changes (l0):
few-features, with evolved-entries for tables and few-places elsewhere, 60 each. One window (patch):
one-patch. They take turns on each sample, every turn twice as long as the one before (those of
single-steps stay as they are: it succeeds early or not at all), each going on where it was, or from
the best point of the others where that is closer to the goal, until one succeeds; the case says
which. With scores at least one of the linf and l2 members looks at answers only, so that scores
that mislead cannot hide a weakness. Nothing is to be set but size and budget.

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

from medaudit.core.region import L0, L1, LINF, PATCH
from medaudit.rule.base import Context, Rule, Set, page_of
from medaudit.rule.single_steps import Settings as SingleSteps
from medaudit.search import cgba, genetic, hopskipjump, nes, patch, rays, signhunter, simba, sparse, sparse_rs, square


def members(context: Context) -> Set:
    """The set for a threat: the strongest on measured models gets the most rows."""
    blind = context.access == "labels" or context.interface.output.task == "label"
    start = (context.donors, context.kinds)
    norm = context.region.norm
    if norm == L0:
        domains = {part.domain for part in context.region.parts}
        dense = (sparse_rs.search(),) if domains != {"table"} else (genetic.search(),)
        greedy = (sparse.search(),) if domains & {"table", "sequence"} else ()
        return Set((*greedy, *dense), (60,) * (len(greedy) + 1))
    if norm == PATCH:
        return Set((patch.search(),), (60,))
    if norm == L1:
        return Set((square.search(),), (60,))
    if norm == LINF:
        ray = rays.search(rays.Settings(), *start)
        if blind:
            return Set((ray, hopskipjump.search(hopskipjump.Settings(), *start)), (90, 30))
        return Set((signhunter.search(), square.search(), ray), (200, 20, 10))
    arc = cgba.search(cgba.Settings(), *start)
    if blind:
        return Set((arc, hopskipjump.search(hopskipjump.Settings(), *start)), (90, 30))
    far = (square.search(), nes.search(), arc)
    if context.region.parts[0].domain == "signal":
        return Set(far, (30, 204, 8), (2, 2, 2))
    steps = context.in_waves(simba.search(), SingleSteps().waves)
    return Set((steps, *far), (200, 240, 34, 8), (1, 2, 2, 2))


RULE = Rule(
    id="EV100",
    name="standard",
    title="The standard set of attacks, version 1",
    kind="attack",
    metrics=("robust_accuracy", "attack_success", "auroc_under_attack"),
    page=page_of(sys.modules[__name__]),
    access="",
    norms=("linf", "l2", "l1", "l0", "patch"),
    search=members,
    smallest=True,
    by_labels=("linf", "l2"),
    strength=3,
)
