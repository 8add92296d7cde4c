"""Attacks on a model with a planted weakness, and the fit of one change for many records."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from medaudit.core.arrays import Array, namespace
from medaudit.core.crowd import ask_crowd, changes_lane, gather, goal
from medaudit.core.protocol import Attack, Lanes
from medaudit.core.streams import key
from medaudit.oracle.goal import oracle
from medaudit.oracle.planted import nearest_goal, planted
from medaudit.rule import Context, Rule

SHARED = np.array([key("planted", "one for all")], dtype=np.uint64)  # of the pattern where one change is fitted


def weakened(attack: Attack, rule: Rule, context: Context, answers: Array) -> Attack:
    """The attack on the model with a planted weakness; one weakness for all where one change is fitted."""
    output = context.interface.output
    guide = oracle(output, context.goal, "scores", context.clearance)
    key = None if rule.fit is None else namespace(answers).asarray(SHARED)
    return planted(attack, guide, context.region, answers, output.task == "label", context.subspace, key)


def fitting(
    rule: Rule, context: Context, lanes: Lanes, answers: Array | None
) -> tuple[Attack, Callable[[list[int]], Lanes]]:
    """The fit of one change on these lanes, and its own lane; answers: clean ones, to plant a weakness."""
    xp = namespace(lanes.x)
    guide = oracle(context.interface.output, context.goal, context.access, context.clearance)
    crowd = gather(context.region, lanes, guide)
    attack = rule.fitting(context, crowd)
    if answers is not None:
        sees = oracle(context.interface.output, context.goal, "scores", context.clearance)
        each = xp.reshape(nearest_goal(sees, lanes, answers)[0], (1, -1))
        labels = context.interface.output.task == "label"
        narrow, key = context.subspace, xp.asarray(SHARED)
        attack = planted(attack, goal(crowd._replace(guide=sees)), context.region, each, labels, narrow, key)
    own = changes_lane(crowd, lanes.key[:1])
    return ask_crowd(attack, crowd), lambda samples: own
