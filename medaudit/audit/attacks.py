"""Attacks on a model with a planted weakness, and the fit of one change for many records."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from medaudit.core.arrays import Array, namespace
from medaudit.core.crowd import ask_crowd, changes_lane, changes_region, gather, goal
from medaudit.core.protocol import Attack, Lanes
from medaudit.core.region import PATCH, Region, free
from medaudit.core.streams import key
from medaudit.core.subspace import Subspace
from medaudit.oracle.goal import oracle, oracle_of_many
from medaudit.oracle.patterns import bands, pattern
from medaudit.oracle.planted import nearest_goal, planted
from medaudit.rule import Context, Rule

SHARED = np.array([key("planted", "one for all")], dtype=np.uint64)  # of the pattern where one change is fitted


def weakened(attack: Attack, rule: Rule, context: Context, answers: Array) -> Attack:
    """The attack on the model with a planted weakness; one weakness for all where one change is fitted.

    answers [S, M]: of clean records.
    """
    output = context.interface.output
    guide = oracle(output, context.goal, "scores", context.clearance)
    hidden = None if rule.fit is None else partial(shared, context.region, context.subspace)
    labels = output.task == "label" and not output.shares
    return planted(attack, guide, context.region, answers, labels, context.subspace, hidden)


def fitting(
    rule: Rule, context: Context, lanes: Lanes, answers: Array | None
) -> tuple[Attack, Callable[[list[int]], Lanes]]:
    """The fit of one change on these lanes, and its own lane; answers: clean ones, to plant a weakness."""
    xp, output = namespace(lanes.x), context.interface.output
    guide = oracle_of_many(output, context.goal, context.access, context.clearance)
    crowd = gather(context.region, lanes, guide, getattr(context.settings, "shifts", 1))
    attack = rule.fitting(context, crowd)
    if answers is not None:
        sees = oracle(output, context.goal, "scores", context.clearance)
        each = xp.reshape(nearest_goal(sees, crowd.lanes, answers)[0], (1, -1))
        area, narrow = changes_region(context.region), context.subspace
        hidden = partial(shared, area if area.injected else context.region._replace(parts=area.parts), narrow)
        labels = output.task == "label" and not output.shares
        attack = planted(attack, goal(crowd._replace(guide=sees)), area, each, labels, narrow, hidden)
    own = changes_lane(crowd, lanes.key[:1])
    return ask_crowd(attack, crowd), lambda samples: own


def shared(region: Region, narrow: Subspace | None, lanes: Lanes) -> Array:
    """The hidden pattern that all lanes have in common, where they may change."""
    key = namespace(lanes.x).broadcast_to(namespace(lanes.x).asarray(SHARED), lanes.key.shape)
    if region.norm == PATCH:  # it may lie anywhere
        return bands(region.parts, key) * namespace(key).astype(free(lanes), lanes.x.dtype)
    return pattern(region, lanes._replace(key=key), narrow)
