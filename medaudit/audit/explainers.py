"""Explainers as checks and commands name them: their plans, what they read in answers, and what they ask."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from medaudit.audit.spec import CheckSpec
from medaudit.audit.sweeps import reference_points
from medaudit.core.arrays import Array
from medaudit.core.interface import Interface, Output
from medaudit.data import Dataset
from medaudit.oracle.explained import Read
from medaudit.oracle.explanation import evidence, side
from medaudit.oracle.graded import Design
from medaudit.probe.explainer import Explainer, Ground
from medaudit.probe.kinds import Spec, drawn, filled_otherwise, ground_of, plans_of
from medaudit.probe.quality import removal

ALONE = 2500  # rows of an explanation up to which one is asked again row by row


def explainer_of(check: CheckSpec, explainers: dict[str, Spec]) -> Spec:
    """The explainer that a check names."""
    return explainers.get(check.settings.explainer, Spec())


def others_of(check: CheckSpec, explainers: dict[str, Spec]) -> dict[str, Spec]:
    """The other explainers that are asked about what was found."""
    return {name: explainers[name] for name in check.settings.also}


def plans_for(
    spec: Spec, interface: Interface, data: Dataset, seed: int, fresh: int
) -> tuple[Ground, list[Explainer]]:  # fmt: skip
    """What an explainer needs of a model and its data, and its plans: 0 to search on, the others to grade on.

    Where nothing is drawn one plan is enough to grade on.
    """
    ground = ground_of(spec, interface, reference_points(interface, data), seed)
    plans = plans_of(spec, ground)
    first, second = plans(0), plans(1)
    return ground, [first, second, *(plans(k) for k in range(2, fresh + 1) if drawn(first, second))]


def too_small(
    check: CheckSpec, explainers: dict[str, Spec], interface: Interface, data: Dataset, target: bool
) -> str:  # fmt: skip
    """Why the budget is spent before the search begins; "" where it is not. target: a map is the goal."""
    s = check.settings
    _, plans = plans_for(explainer_of(check, explainers), interface, data, 0, s.fresh)
    each = plans[0].asks * interface.output.votes
    if check.budget // each > Design(len(plans) - 1, s.random, 0, target).fixed:
        return ""
    return f"the budget of {check.budget:,} rows is too small: {enough(each, len(plans), s.random):,} would do"


def enough(each: int, plans: int, random: int) -> int:
    """A budget that leaves the search a hundred explanations of so many rows each."""
    return (100 + 4 * plans + random) * each


def rechecked(check: CheckSpec, explainers: dict[str, Spec], interface: Interface, data: Dataset, seed: int) -> int:
    """Model rows that are asked of a record beside its budget, about: re-checks, and what its explanation is worth."""
    spec, s = explainer_of(check, explainers), check.settings
    ground, plans = plans_for(spec, interface, data, seed, 1)
    asks = plans[1].asks
    rows = 1 + removal(ground, np.zeros(ground.cells.size)).asks + (asks if asks <= ALONE else 0)
    rows += 1 + s.random + (0 if plans[1].lent is None else asks)
    rows += asks * (bool(filled_otherwise(spec, ground, ground.background[0])[0]) + 2 * s.randomised)
    others = [plans_for(one, interface, data, seed, 1)[1][1].asks for one in others_of(check, explainers).values()]
    rows += sum(2 * n + 1 for n in (*others, *(asks for _ in check.replay)))
    return int(rows * interface.output.votes)


def reading(output: Output, spec: Spec, width: int) -> Read:
    """What an explainer of `width` columns reads in answers: the evidence for a decision, and an exported map.

    RETAIN's contributions are to the last class of two: what is against it speaks for the other one. What the signs of
    a tensor mean its maker knows.
    """

    def read(answers: np.ndarray, of: np.ndarray) -> np.ndarray:
        m = output.width
        own = evidence(output, answers[:, :m], of[:, :m])[:, None]
        if width == 1:
            return own
        return np.concatenate([own, answers[:, m:] * (side(output, of[:, :m])[:, None] if spec.alpha else 1)], axis=1)

    return read


def asking(read: Read, ask: Callable[[Array], np.ndarray], of: np.ndarray) -> Callable[[Array], np.ndarray]:
    """rows -> what is read in their answers, explaining the decision of one answer `of` [1, M]."""

    def asked(rows: Array) -> np.ndarray:
        return read(ask(rows), np.broadcast_to(of, (len(rows), of.shape[1])))

    return asked
