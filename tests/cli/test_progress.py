"""What a scan says while it runs."""

from __future__ import annotations

import pytest

from medaudit.cli import progress


def test_what_is_left_goes_by_rows(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One change for all records is one lane of many rows: what is left is told by budgets, not by lanes."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    seen = progress.Progress(quiet=False)
    seen.listen("attack", {"lanes": 101, "done": 0, "most": 9_000 + 100 * 10})
    now[0] += 60
    seen.listen("stats", {"rows": 9_000})
    assert "left" not in capsys.readouterr().err  # of nothing done nothing follows
    now[0] += 60
    seen.listen("case", {"check": "sent~fit", "success": False, "most": 9_000})
    said = " ".join(capsys.readouterr().err.split())
    assert said == "lanes=1/101 broken=0 rows=9000 0 broken · 75 rows/s · about 0:13 left"
