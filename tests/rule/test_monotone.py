"""More rows, larger changes and another seed: an attack does not find less; with room enough it finds all."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from medaudit.core.compose import CHECKPOINTS
from medaudit.rule import RULES
from tests.attacked import Attack, Attacked, Outcome, sizes
from tests.zoo import SPECIMENS

# One model of each task and of each sort of data, and one whose probabilities are exactly 0 and 1.
TASKS = {
    "dynamic-logits-table": "multiclass",
    "two-class-saturated": "multiclass",
    "linear-sigmoid": "binary",
    "multilabel-sigmoids": "multilabel",
    "label-only-int": "label",
    "regression-scalar": "regression",
    "segmentation-mask": "segmentation",
    "string-inputs": "multiclass",
    "signal-channels-last": "multiclass",
}
HUGE, ROWS = 20.0, 400
FEW, MANY = 30, 90  # rows of two budgets
STEPS = (0.08, 0.16, 0.32)  # standard deviations; half of the zoo's records turn within 0.21 in Linf
SIGNALS = ("roughness", "roughness-l2", "injected")
CHANCE = "random-noise"  # the control: it searches nothing


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the zoo is built."""
    return tmp_path_factory.mktemp("zoo")


@cache
def opened(folder: Path, name: str) -> Attacked:
    """One specimen, built and opened once."""
    built = SPECIMENS[name].build(folder / name)
    return Attacked(built.model, built.data)


def share(outcome: Outcome) -> float:
    """The report's success."""
    assert outcome.success.value is not None
    return outcome.success.value


def below(outcome: Outcome, other: Outcome) -> bool:
    """Whether the success lies below what the other's interval allows."""
    assert other.success.low is not None
    return share(outcome) < other.success.low


def lost(small: Outcome, large: Outcome) -> list[str]:
    """Records in which the run with fewer rows is not the beginning of the other."""
    wrong = []
    for sample, few in small.records.items():
        many = large.records[sample]
        late = 0 < few["found"] != many["found"] or (not few["found"] and 0 < many["found"] <= few["rows"])
        known = np.array(CHECKPOINTS) <= few["rows"]
        curves = [np.array([np.inf if v is None else v for v in r["curve"]])[known] for r in (few, many)]
        if late or few["success"] > many["success"] or not np.array_equal(*curves):
            wrong.append(f"sample {sample}: {few['found']} of {few['rows']}, {many['found']} of {many['rows']}")
    return wrong


@pytest.mark.parametrize("name", ["dynamic-logits-table", "label-only-int", "signal-channels-last"])
def test_more_rows_never_lose(folder: Path, name: str) -> None:
    """Exactly, record by record: what was found within few rows is found at the same row within many."""
    one = opened(folder, name)
    runs = [one.run(one.attacks(), sizes(STEPS[1], one.face), rows, 4) for rows in (FEW, MANY)]
    assert [attack for attack in one.attacks() if lost(runs[0][attack], runs[1][attack])] == []
    gained = sum(share(runs[1][a]) > share(runs[0][a]) for a in one.attacks())
    assert gained, "no attack gained by more rows: nothing was compared"


@pytest.mark.parametrize(("name", "limit"), [("dynamic-logits-table", 8), ("signal-channels-first", 5)])
def test_larger_changes_do_not_lose(folder: Path, name: str, limit: int) -> None:
    """Success at twice and four times eps stays above the interval of each smaller one, and grows by the end."""
    one = opened(folder, name)
    searches = [attack for attack in one.attacks() if attack[0] != CHANCE]
    eps = [sizes(step, one.face) | {"l0": f"{count} features"} for step, count in zip(STEPS, (1, 2, 4), strict=True)]
    runs = [one.run(searches, size, 100, limit) for size in eps]
    for attack in searches:
        shares = [share(run[attack]) for run in runs]
        for i, small in enumerate(runs):
            assert not any(below(large[attack], small[attack]) for large in runs[i + 1 :]), (attack, shares)
        assert shares[-1] > shares[0] or attack[1] in ("l0", "patch"), (attack, shares)


def test_another_seed_finds_as_much(folder: Path) -> None:
    """Neither of two seeds lies below the other's interval; what draws at random draws otherwise."""
    one = opened(folder, "dynamic-logits-table")
    runs = [one.run(one.attacks(), sizes(STEPS[1], one.face), 100, 8, seed) for seed in (1, 2)]
    drawn = set()
    for attack in one.attacks():
        first, second = (run[attack] for run in runs)
        assert not below(first, second), attack
        assert not below(second, first), attack
        if [r["found"] for r in first.records.values()] != [r["found"] for r in second.records.values()]:
            drawn.add(attack[0])
    assert "square-noise" in drawn
    assert "sign-noise" not in drawn, "it draws nothing"


@pytest.mark.parametrize("name", list(TASKS))
def test_room_enough_breaks_everything(folder: Path, name: str) -> None:
    """At twenty standard deviations every search that applies turns every record, in each of its norms."""
    one = opened(folder, name)
    assert one.face.output.task == TASKS[name]
    runs = one.run(one.attacks(), sizes(HUGE, one.face), ROWS, 4)
    assert {a: share(o) for a, o in runs.items() if a[0] != CHANCE and share(o) < 1} == {}
    if name == "signal-channels-last":
        assert min(share(o) for a, o in runs.items() if a[0] == CHANCE) < 1, "chance does as well: proves nothing"


def test_every_search_was_let_loose(folder: Path) -> None:
    """Every attack rule and norm meets at least one of the models above; signals' own have other tests."""
    met: set[Attack] = {attack for name in TASKS for attack in opened(folder, name).attacks()}
    alone = [rule for rule in RULES.values() if rule.kind == "attack" and rule.fit is None]
    assert met == {(rule.name, norm) for rule in alone for norm in rule.norms if norm not in SIGNALS}
