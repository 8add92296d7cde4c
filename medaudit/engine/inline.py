"""The engine's loop in this process, without workers: for tests, benchmarks and small jobs."""

from __future__ import annotations

from collections.abc import Callable

from medaudit.core.protocol import Attack, Lanes
from medaudit.engine.loop import Answer, Cohort, Finished, tick


def run_inline(
    jobs: list[tuple[str, Attack, int, Callable[[list[int]], Lanes], list[int]]],
    answer: Answer,
    block: int,
    room: int = 0,
) -> list[Finished]:
    """Run (check, attack, budget, make_lanes, samples) jobs to the end.

    answer: points [<= block, D] -> answers [R, M]; room: rows wanted per tick (0: eight blocks).
    """
    cohorts = []
    for check, attack, budget, make_lanes, samples in jobs:
        cohort = Cohort(check, attack, budget, make_lanes)
        cohort.waiting.extend((sample, None) for sample in samples)
        cohorts.append(cohort)
    finished: list[Finished] = []
    while any(c.waiting or c.open for c in cohorts):
        finished += tick(cohorts, block, answer, room or 8 * block)
    return finished
