"""Corruption checks from a policy to the report: known answers, exact counts, replay, and who may not be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import linear

from medaudit import data as readers
from medaudit.audit.replay import replay
from medaudit.audit.scan import Options, scan
from medaudit.core import streams
from medaudit.core.errors import PolicyErrors
from medaudit.domain import corrupt_record
from medaudit.domain.corruption import SEVERITIES, some
from medaudit.report.bundle import publish

WIDTH, ROWS, CUT = 4, 24, 5.0
POLICY = """medaudit: 1
policy: {id: trouble, domain: table}
checks:
  - {id: trouble, rule: corruptions, with: {kinds: [KINDS]}, require: {metric: METRIC, at_least: 80%}}
"""


def setting(folder: Path, kinds: str, metric: str = "corruption_accuracy", **options: Any) -> Options:
    """A model that looks at the first of four columns only: above 5 it says b. Half of the rows hold 1, half 9."""
    folder.mkdir(exist_ok=True)
    weights = np.zeros((WIDTH, 2), dtype=np.float32)
    weights[0] = -1, 1
    linear(folder / "m.onnx", weights, np.array([CUT, -CUT], dtype=np.float32))
    y = np.arange(ROWS) % 2
    x = np.where(y[:, None] == 1, 9, 1) + np.random.default_rng(1).uniform(-0.4, 0.4, (ROWS, WIDTH))
    np.savez(folder / "d.npz", x=x.astype(np.float32), y=y, classes=np.array(["a", "b"]))
    (folder / "p.yaml").write_text(POLICY.replace("KINDS", kinds).replace("METRIC", metric))
    given: dict[str, Any] = {"workers": 1, "seed": 3, **options}
    return Options(folder / "m.onnx", str(folder / "p.yaml"), folder / "d.npz", folder / "run", **given)


def slipped(ids: tuple[str, ...]) -> np.ndarray:
    """Which rows that hold 1 become 10 at each severity, [rows, severities] bool: computed here, without the engine."""
    names = [streams.key(3, "corruptions", "trouble", name) ^ streams.key("unit-error") for name in ids]
    keys = np.array(names, dtype=np.uint64)
    hits = [some(keys, corrupt_record.WHICH, WIDTH, share)[:, 0] for share in corrupt_record.SHARES]
    return np.stack(hits, axis=1) & (np.arange(ROWS) % 2 == 0)[:, None]


def test_known_answers(tmp_path: Path) -> None:
    """Slipped decimal points turn the rows that they hit; rounding to two standard deviations turns none."""
    options = setting(tmp_path, "unit-error, rounding")
    report, run = scan(options)
    publish(report, run)
    (check,) = report.checks
    assert options.data is not None
    wrong = slipped(tuple(readers.read(options.data).ids))
    assert 0 < wrong[:, -1].sum() < ROWS // 2
    unit, rounded = check.degradation
    assert (unit.kind, rounded.kind) == ("unit-error", "rounding")
    np.testing.assert_allclose(unit.score, [1.0, *(1 - wrong.mean(axis=0))])
    assert check.queries.rows == 2 * SEVERITIES * ROWS == report.cost.rows
    broken = {case.id for case in check.cases if case.success}
    assert len(broken) >= wrong.any(axis=1).sum()
    for case in check.cases:
        assert case.success == (case.evidence is not None)
    one = next(case for case in check.cases if case.note.startswith("Values in another unit"))
    got = replay(run, one.id, None, None, None)
    assert got["reproduced"]
    assert (got["clean answer"], got["perturbed answer"]) == ("a", "b")


def test_the_worst_kind(tmp_path: Path) -> None:
    """The metric is that of the kind that costs most, and the reason names it."""
    report, _ = scan(setting(tmp_path, "unit-error, missing-values", "worst_corruption"))
    (check,) = report.checks
    means = {one.kind: np.mean(one.score[1:]) for one in check.degradation}
    value = check.metrics["worst_corruption"]
    assert value.value == pytest.approx(min(means.values()))
    assert value.low is not None
    assert value.high is not None
    assert value.low <= value.value <= value.high
    assert min(means, key=lambda k: means[k]) in check.reason


def test_same_for_any_number_of_workers_and_lanes(tmp_path: Path) -> None:
    results = []
    for k, more in enumerate(({}, {"workers": 2}, {"room": 1}, {"shuffle": 5})):
        report, _ = scan(setting(tmp_path / f"{k}", "unit-error, missing-values, rounding", **more))
        results.append(report.run.result_sha256)
    assert len(set(results)) == 1


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ("blur", "kind 'blur' cannot happen to this model's inputs: it happens to other data"),
        ("blurr", "kind 'blurr' is not known; use some of"),
        ("late-results", "kind 'late-results' cannot happen to this model's inputs: a table has no hours"),
    ],
)
def test_kinds_that_make_no_sense_are_refused(tmp_path: Path, kinds: str, words: str) -> None:
    with pytest.raises(PolicyErrors, match=words):
        scan(setting(tmp_path, kinds))
    assert not (tmp_path / "run").exists()


def test_the_worst_case_stands_beside_the_average_case(tmp_path: Path) -> None:
    """On the records of an attack: their mean score under trouble, and the share that the attack left."""
    options = setting(tmp_path, "unit-error, rounding")
    path = Path(options.policy)
    attack = "{id: near, rule: square-noise, threat: near, budget: {queries: 60}, require: R}"
    attack = attack.replace("R}", "{metric: robust_accuracy, at_least: 50%}}")
    text = path.read_text() + f"  - {attack}\n"
    path.write_text(text.replace("checks:", "threats: {near: {access: scores, norm: linf, eps: 3.9}}\nchecks:"))
    report, run = scan(options)
    publish(report, run)
    trouble, near = report.checks
    (gap,) = trouble.gaps
    assert gap.check == "near"
    assert gap.worst.value == near.metrics["robust_accuracy"].value
    assert options.data is not None
    wrong = slipped(tuple(readers.read(options.data).ids))
    assert gap.average.value == pytest.approx(1 - wrong.mean() / 2)
    assert gap.worst.value < gap.average.value
    assert "Bad days and attackers" in (run / "report.html").read_text()
