"""The engine counts every row, never overspends, and a smaller budget is a prefix of a larger."""

from __future__ import annotations

import numpy as np
import pytest
from kit import BLIND, COMBOS, MINIMISES, SAMPLES, Counter, problem, solve

from medaudit.core.compose import CHECKPOINTS
from medaudit.engine.loop import Finished
from medaudit.search import blends

BUDGETS = (1, 2, 7, 50)
combos = pytest.mark.parametrize(("name", "norm", "kind"), COMBOS)


@combos
@pytest.mark.parametrize(("stop", "budget"), [("flip", 7), ("flip", 50), *(("budget", b) for b in BUDGETS)])
def test_never_overspends(name: str, norm: str, kind: str, stop: str, budget: int) -> None:
    """Three counts agree per sample: who answers, the engine, the attack; none above the budget."""
    task = problem(name, norm, kind)
    counter = Counter(task.model)
    found = solve(task, budget=budget, stop=stop, answer=counter)
    for sample in SAMPLES:
        one = found[sample]
        asked = counter.rows.get(sample, 0)
        assert asked == one.rows == int(one.arrays["rows"]) <= budget
        assert int(one.arrays["found"]) <= one.rows
        # A walk's first rows look for a start; other searches have none.
        if name != "portfolio":
            assert (0 < one.arrays["starts"] <= one.rows) if name in BLIND else one.arrays["starts"] == 0
        if name == "blends":  # one shot of each lane
            assert one.rows == (blends.ROWS if budget >= blends.ROWS else 0)
        elif stop == "budget" and name not in BLIND:
            assert one.exhausted
            assert budget - one.rows < task.search.quantum
    assert sum(counter.rows.values()) == sum(one.rows for one in found.values())


def prefix(small: Finished, large: Finished, smallest: bool) -> list[str]:
    """Where the run with the smaller budget is not the beginning of the other."""
    a, b = small.arrays, large.arrays
    wrong = [] if small.rows <= large.rows else ["rows"]
    if a["found"] > 0 and a["found"] != b["found"]:
        wrong.append(f"found {a['found']} and {b['found']}")
    if a["found"] == 0 and 0 < b["found"] <= small.rows:
        wrong.append(f"found only by the larger run, at row {b['found']}")
    known = np.array(CHECKPOINTS) <= small.rows
    if not np.array_equal(a["curve"][known], b["curve"][known]):
        wrong.append("curve")
    if np.isfinite(a["size"]):
        if b["size"] > a["size"]:
            wrong.append("claim grew")
        if not smallest and a["claim"].tobytes() != b["claim"].tobytes():
            wrong.append("claim")
    return wrong


@combos
@pytest.mark.parametrize("stop", ["flip", "budget"])
def test_smaller_budget_is_a_prefix(name: str, norm: str, kind: str, stop: str) -> None:
    """Found, curve and claim agree wherever the smaller run defines them."""
    task = problem(name, norm, kind)
    counters = [Counter(task.model) for _ in (*BUDGETS, 120)]
    runs = [
        solve(task, budget=budget, stop=stop, answer=counter)
        for budget, counter in zip((*BUDGETS, 120), counters, strict=True)
    ]
    for sample in SAMPLES:
        for small, large in zip(runs, runs[1:], strict=False):
            assert prefix(small[sample], large[sample], task.smallest) == []
        asked = [c.points[c.points[:, 0] == sample] for c in counters]
        for few, many in zip(asked, asked[1:], strict=False):
            assert np.array_equal(few, many[: len(few)], equal_nan=True)


@combos
def test_curve_is_what_the_result_says(name: str, norm: str, kind: str) -> None:
    """The curve never rises, begins at infinity or a claim, and ends at the size."""
    for one in solve(problem(name, norm, kind), budget=120, stop="budget").values():
        curve = one.arrays["curve"]
        assert np.all(curve[1:] <= curve[:-1])
        assert curve[-1] == one.arrays["size"]
        late = np.array(CHECKPOINTS) >= one.rows
        assert np.all(curve[late] == one.arrays["size"])
        if one.arrays["found"] > 0:
            before = np.array(CHECKPOINTS) < one.arrays["found"]
            assert np.all(curve[before] > problem(name, norm, kind).region.eps)
            within = np.array(CHECKPOINTS) >= one.arrays["found"]
            if name not in MINIMISES:
                assert np.all(curve[within] == one.arrays["size"])
            assert np.all(curve[within] <= problem(name, norm, kind).region.eps * (1 + 1e-6))
