"""The command line as a user meets it: exit codes, resuming, the smaller commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.zoo import SPECIMENS

POLICY = """
medaudit: 1
policy: {{id: small}}
data: {{use: {{at_most: 12}}}}
threats:
  near: {{access: scores, norm: linf, eps: {eps} sd}}
checks:
  - {{id: twice, rule: repeatability, require: {{metric: changed_answers, at_most: 0}}}}
  - id: noise
    rule: square-noise
    threat: near
    budget: {{queries: 60}}
    require: {{metric: robust_accuracy, at_least: {bound}}}
"""


def medaudit(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "medaudit.cli.main", *words],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.fixture
def setting(tmp_path: Path) -> tuple[Path, list[str]]:
    """A folder with a model, data and a policy, and the words of a scan."""
    built = SPECIMENS["linear-binary-logits"].build(tmp_path)
    write(tmp_path)
    words = [
        "scan",
        str(built.model),
        "--policy",
        "small.yaml",
        "--data",
        str(built.data),
        "--workers",
        "1",
    ]
    return tmp_path, words


def write(folder: Path, eps: float = 0.0001, bound: str = "50%") -> None:
    (folder / "small.yaml").write_text(POLICY.format(eps=eps, bound=bound))


def report(folder: Path, name: str) -> dict[str, object]:
    return json.loads((folder / name / "report.json").read_text())  # type: ignore[no-any-return]


def test_exit_codes_follow_the_verdict(setting: tuple[Path, list[str]]) -> None:
    folder, words = setting
    assert medaudit(*words, "--out", "good", cwd=folder).returncode == 0
    write(folder, eps=5.0)
    bad = medaudit(*words, "--out", "bad", cwd=folder)
    assert bad.returncode == 1
    assert "FAIL" in bad.stdout
    write(folder, bound="99%")
    assert medaudit(*words, "--out", "unsure", cwd=folder).returncode == 3
    write(folder)
    only = medaudit(*words, "--out", "only", "--only", "twice", cwd=folder)
    assert only.returncode == 0
    checks = {c["id"]: c for c in report(folder, "only")["checks"]}  # type: ignore[attr-defined, index]
    assert checks["noise"]["verdict"] == "not-run"
    nothing = medaudit(*words, "--out", "nothing", "--skip", "twice", "--skip", "noise", cwd=folder)
    assert nothing.returncode == 3, "nothing tested is never 0"
    assert medaudit(*words, "--out", "typo", "--only", "noize", cwd=folder).returncode == 2


def test_a_run_folder_is_used_once(setting: tuple[Path, list[str]]) -> None:
    folder, words = setting
    assert medaudit(*words, "--out", "run", cwd=folder).returncode == 0
    again = medaudit(*words, "--out", "run", cwd=folder)
    assert again.returncode == 2
    assert "finished run" in again.stderr
    missing = medaudit(*words, "--resume", "nowhere", cwd=folder)
    assert missing.returncode == 2
    assert medaudit("verify", "run", cwd=folder).returncode == 0
    (folder / "run" / "report.html").write_text("changed")
    changed = medaudit("verify", "run", cwd=folder)
    assert changed.returncode == 1
    assert "report.html" in changed.stdout
    assert medaudit("report", "run", cwd=folder).returncode == 0
    assert medaudit("verify", "run", cwd=folder).returncode == 0


def test_killed_runs_resume_to_the_same_result(setting: tuple[Path, list[str]]) -> None:
    folder, words = setting
    write(folder, eps=0.05)
    text = (
        (folder / "small.yaml")
        .read_text()
        .replace("queries: 60", "queries: 3000")
        .replace("at_most: 12", "at_most: 60")
    )
    (folder / "small.yaml").write_text(text)
    medaudit(*words, "--out", "whole", cwd=folder)
    command = [sys.executable, "-m", "medaudit.cli.main", *words, "--out", "cut"]
    process = subprocess.Popen(
        command,
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not (folder / "cut" / "policy.yaml").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "cut" / "report.json").exists()
    write(folder, eps=0.06)
    differing = medaudit(*words, "--out", "cut", cwd=folder)
    assert differing.returncode == 2
    assert "differs in: policy" in differing.stderr
    (folder / "small.yaml").write_text(text)
    medaudit(*words, "--resume", "cut", cwd=folder)
    first, second = report(folder, "whole"), report(folder, "cut")
    assert first["run"]["result_sha256"] == second["run"]["result_sha256"]  # type: ignore[index]


def test_init_plan_inspect_and_replay(setting: tuple[Path, list[str]]) -> None:
    folder, words = setting
    model, data = words[1], words[5]
    made = medaudit("policy", "init", model, "--data", data, "--effort", "quick", "-o", "own.yaml", cwd=folder)
    assert made.returncode == 0, made.stderr
    assert medaudit("policy", "check", "own.yaml", cwd=folder).returncode == 0
    planned = medaudit("plan", model, "--policy", "own.yaml", "--data", data, cwd=folder)
    assert planned.returncode == 0, planned.stderr
    assert "rows at most" in planned.stdout
    assert medaudit("inspect", model, cwd=folder).returncode == 0
    write(folder, eps=5.0)
    medaudit(*words, "--out", "run", cwd=folder)
    checks = report(folder, "run")["checks"]
    case = next(k for c in checks for k in c["cases"] if k["success"])  # type: ignore[attr-defined]
    replayed = medaudit("replay", "run", case["id"], "-o", "case.npz", cwd=folder)
    assert replayed.returncode == 0, replayed.stderr
    assert "reproduced: True" in replayed.stdout
    assert (folder / "case.npz").exists()
    assert medaudit("replay", "run", "no-such-case", cwd=folder).returncode == 2


def test_rules_are_explained(tmp_path: Path) -> None:
    assert "What a pass does not mean" in medaudit("explain", "square-noise", cwd=tmp_path).stdout
    wrong = medaudit("explain", "EV101", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "square-noise" in wrong.stderr
    assert "label-walk" in medaudit("rules", cwd=tmp_path).stdout
    assert medaudit("doctor", cwd=tmp_path).returncode == 0
