"""A signal sent at any moment through a whole scan: who is measured, at how many moments, and what counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import graph
from onnx import helper

from medaudit.audit import resolve as resolving
from medaudit.audit.replay import evidence_of, replay
from medaudit.audit.scan import Options, scan
from medaudit.engine.journal import Journal
from medaudit.report.bundle import publish

WIDTH, ROWS, RATE, TONE = 240, 30, 60.0, 3.0
WRONG, FIT = 2, 5  # records that hold it already, and are not attacked; patients that it is fitted on
HELD = ROWS - WRONG - FIT
POLICY = """medaudit: 1
policy: {id: sent, domain: signal}
model: {inputs: {x: {rate: 60 Hz, channels: [{name: lead, sd: 1}]}}}
threats:
  near: {access: scores, norm: injected, eps: 1 sd, window: 2 s, high_pass: 0.5 Hz, notches: [20 Hz]}
checks:
  - id: sent
    rule: injected-signal
    threat: near
    budget: {queries: 800}
    with: {patients: 5, shifts: 3, moments: 21, period: 1, highest: 8}
    require: {metric: attack_success, at_most: 20%}
"""


def setting(folder: Path, out: str = "run", workers: int = 1) -> Options:
    """A model that answers b where a record holds enough of one tone, whatever its phase; all but two are of a."""
    t = np.arange(WIDTH) / RATE
    waves = np.stack([np.cos(2 * np.pi * TONE * t), np.sin(2 * np.pi * TONE * t)], axis=1) * 2 / WIDTH
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Mul", ["p", "p"], ["q"]),
        helper.make_node("MatMul", ["q", "v"], ["z"]),
        helper.make_node("Add", ["z", "c"], ["y"]),
    ]
    graph(
        folder / "m.onnx", nodes, WIDTH, ["n", 2], w=waves.astype(np.float32),
        v=np.array([[0, 10], [0, 10]], dtype=np.float32), c=np.array([2.5, 0], dtype=np.float32),
    )  # fmt: skip
    x = np.random.default_rng(1).normal(0, 0.3, (ROWS, WIDTH)).astype(np.float32)
    x[:WRONG] += waves[:, 0].astype(np.float32) * WIDTH / 2
    np.savez(folder / "d.npz", x=x, y=np.zeros(ROWS, dtype=int), classes=np.array(["a", "b"]))
    (folder / "p.yaml").write_text(POLICY)
    return Options(folder / "m.onnx", str(folder / "p.yaml"), folder / "d.npz", folder / out, workers=workers, seed=2)


def test_one_signal_at_any_moment(tmp_path: Path) -> None:
    """The tone is found on five patients; the others are asked at 21 moments, and once more where half turned."""
    report, run = scan(setting(tmp_path))
    publish(report, run)
    (check,) = report.checks
    assert check.verdict == "fail"
    assert check.metrics["attack_success"].n == HELD
    assert check.metrics["attack_success"].value == 1
    assert check.metrics["control_success"].value == 0
    assert check.metrics["planted_found"].value == 1
    share = check.metrics["share_of_moments"]
    assert share.value is not None
    assert 0.5 <= share.value <= 1
    assert check.queries.rows == 22 * HELD
    assert check.queries.fit <= FIT * 800 < check.queries.fit + 16 * 15
    assert check.queries.control == HELD
    journal = Journal(run / "journal")
    cases, fitted = journal.cases("sent"), journal.cases("sent~fit")
    journal.close()
    assert len(fitted) == 1
    assert np.mean([record["share"] for record, _ in cases.values()]) == share.value
    assert all(record["success"] == (record["share"] >= 0.5) for record, _ in cases.values())
    for case in check.cases:
        assert case.evidence is not None
        delta = evidence_of(run / case.evidence)[0].ravel()
        assert np.sqrt((delta.astype(np.float64) ** 2).sum() / 120) <= 1 + 1e-4
    assert replay(run, check.cases[0].id, None, None, None)["reproduced"]


@pytest.mark.parametrize(("goal", "lenders"), [("{}", ROWS - HELD - WRONG), ("{what: target, name: b}", WRONG)])
def test_pieces_of_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goal: str, lenders: int) -> None:
    """Only where the policy says so: of the patients set aside, or of those decided as what is wanted, never of those
    who are measured; and the report says that the evidence holds them."""
    seen: list[tuple[resolving.Resolved, tuple[int, ...]]] = []
    lend = resolving._lent

    def spy(check: resolving.Resolved, *rest: Any) -> tuple[int, ...]:
        seen.append((check, lend(check, *rest)))
        return seen[-1][1]

    monkeypatch.setattr(resolving, "_lent", spy)
    options = setting(tmp_path)
    report, run = scan(options)
    assert not report.run.recordings_included
    text = POLICY.replace("highest: 8}", "highest: 8, recordings: true}").replace(
        "budget:", f"goal: {goal}\n    budget:"
    )
    (tmp_path / "p.yaml").write_text(text)
    report, run = scan(replace(options, out=tmp_path / "more"))
    publish(report, run)
    (check,) = report.checks
    assert check.metrics["attack_success"].value == 1
    assert check.metrics["planted_found"].value == 1
    assert report.run.recordings_included
    assert "Evidence holds pieces of recordings" in (run / "report.html").read_text()
    assert not report.run.samples_included
    assert replay(run, check.cases[0].id, None, None, None)["reproduced"]
    for check, lent in seen[1:]:
        assert len(lent) == lenders
        assert not set(lent) & set(check.samples)
    assert [len(lent) for _, lent in seen] == [0, lenders]


def test_the_same_for_any_number_of_workers(tmp_path: Path) -> None:
    """Bit for bit."""
    digests = [scan(setting(tmp_path, f"run{n}", n))[0].run.result_sha256 for n in (1, 2)]
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("rate: 60 Hz", "rate: 30 Hz", "a filter at 20 Hz does not go with 30 samples a second"),
        ("rate: 60 Hz, ", "", "needs the sampling rate of input 'x'"),
        ("goal: {}", "goal: {what: every-target}", "answers that are one of several classes, not binary"),
    ],
)
def test_what_does_not_suit_the_model_is_not_run(tmp_path: Path, old: str, new: str, words: str) -> None:
    """The other checks are made all the same, and a run with it does not pass."""
    options = setting(tmp_path)
    if "binary" in words:
        nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Sigmoid", ["z"], ["y"])]
        graph(tmp_path / "m.onnx", nodes, WIDTH, ["n", 1], w=np.full((WIDTH, 1), -1, dtype=np.float32))
    finite = "  - {id: finite, rule: finite-answers, require: {metric: invalid_answers, at_most: 0}}\n"
    text = POLICY.replace("    budget:", "    goal: {}\n    budget:") + finite
    assert old in text
    (tmp_path / "p.yaml").write_text(text.replace(old, new))
    report, _ = scan(options)
    sent, other = report.checks
    assert (sent.verdict, other.verdict) == ("not-run", "pass")
    assert words in sent.reason
    assert report.exit_code == 3
