"""The table on a terminal: plain where it is none, harmless, readable in 80 columns."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
import specimen
from rich.console import Console

from medaudit.audit.results import Report
from medaudit.report import print_report


def shown(report: Report, width: int = 80, colour: bool = False, folder: Path | None = None) -> str:
    file = io.StringIO()
    system = "standard" if colour else None
    print_report(
        report,
        Console(file=file, width=width, force_terminal=colour, color_system=system),
        folder,
    )
    return file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 140])
def test_every_check_its_verdict_and_the_summary_are_there(width: int) -> None:
    report = specimen.report()
    out = shown(report, width, folder=Path("reports/2026-01-14-9f3c"))
    for check in report.checks:
        assert check.id in out
        assert check.rule_id in out
    for word in ("FAIL", "ERROR", "inconclusive", "not run", "84.3% (≥ 80.9%)", "41.0% (≤ 45.3%)"):
        assert word in out
    assert "not reached (≥ 0.310 sd)" in " ".join(out.split())
    assert "+60 patients" in " ".join(out.split())
    assert "2 failed, 1 in error, 1 inconclusive, 1 not run, 4 passed · 8,412,030 rows" in out
    assert out.rstrip().endswith("reports/2026-01-14-9f3c/report.html")


@pytest.mark.parametrize("width", [80, 140])
def test_the_table_keeps_within_the_width(width: int) -> None:
    lines = shown(specimen.report(), width).splitlines()
    table = [line for line in lines if " · " not in line]
    assert max(map(len, table)) <= width


def test_no_escapes_where_there_is_no_terminal() -> None:
    assert "\x1b" not in shown(specimen.report())
    assert "\x1b[" in shown(specimen.report(), colour=True)


@pytest.mark.parametrize("colour", [False, True])
def test_foreign_text_is_neither_markup_nor_escape(colour: bool) -> None:
    checks = specimen.evasion()
    for check in checks:
        check.id = check.reason = check.severity = specimen.HOSTILE
        check.flags = [specimen.HOSTILE]
    report = specimen.report(checks, name=specimen.HOSTILE, flags=[specimen.HOSTILE])
    out = shown(report, 140, colour)
    assert "[bold]" in re.sub(r"\s+", "", re.sub("\x1b\\[[0-9;]*m", "", out))
    assert "\u202e" not in out
    assert "\x1b[31m red" not in out


def test_a_report_without_checks_does_not_look_like_a_pass() -> None:
    out = shown(specimen.report([], verdict="not-run", exit_code=3))
    assert "no check ran" in out
    assert "pass" not in out


def test_a_waiver_is_shown() -> None:
    assert "waived" in shown(specimen.report())
