"""The journal: what was committed survives, nothing is written twice."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from medaudit.core.errors import RunError
from medaudit.engine.journal import Journal, pack, unpack

ARRAYS = {
    "delta": np.array([1.5, np.nan, -np.inf], dtype=np.float32),
    "rows": np.array(7, dtype=np.int64),
}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    """Equal to the bit."""
    return set(a) == set(b) and all(a[k].tobytes() == b[k].tobytes() and a[k].dtype == b[k].dtype for k in a)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Header, stages, cases and snapshots, also after closing and opening again."""
    journal = Journal(tmp_path / "journal")
    journal.set_header(seed=3, fingerprint={"b": 1, "a": [1, 2]})
    journal.set_header(seed=4)
    journal.set_stage("clean", {"floor": 0.5}, ARRAYS)
    journal.append([("check", 3, {"found": 0}, ARRAYS), ("check", 1, {"found": 9}, {})])
    journal.set_snapshots([("check", 8, b"abc")])
    for again in (journal, None):
        if again is None:
            journal.close()
            again = Journal(tmp_path / "journal")
        assert again.header() == {"seed": 4, "fingerprint": {"a": [1, 2], "b": 1}}
        stage = again.stage("clean")
        assert stage is not None
        assert stage[0] == {"floor": 0.5}
        assert same(stage[1], ARRAYS)
        assert again.stage("other") is None
        cases = again.cases("check")
        assert set(cases) == {1, 3}
        assert cases[3][0] == {"found": 0}
        assert same(cases[3][1], ARRAYS)
        assert again.cases("other") == {}
        assert again.done() == {("check", 1), ("check", 3)}
        assert again.snapshots() == {("check", 8): b"abc"}
    again.close()


def test_a_case_is_written_once(tmp_path: Path) -> None:
    """The second time is an error of ours, and its batch is not half-written."""
    journal = Journal(tmp_path / "journal")
    journal.append([("check", 1, {"found": 9}, {})])
    with pytest.raises(sqlite3.IntegrityError):
        journal.append([("check", 2, {"found": 5}, {}), ("check", 1, {"found": 3}, {})])
    other = sqlite3.connect(tmp_path / "journal")
    rows = other.execute("SELECT sample, record FROM cases").fetchall()
    other.close()
    assert rows == [(1, '{"found": 9}')]


def test_a_finished_case_drops_its_snapshot(tmp_path: Path) -> None:
    """A lane that ended is not resumed."""
    journal = Journal(tmp_path / "journal")
    journal.set_snapshots([("check", 1, b"one"), ("check", 2, b"two"), ("other", 1, b"three")])
    journal.set_snapshots([("check", 2, b"newer")])
    journal.append([("check", 1, {}, {})])
    assert journal.snapshots() == {("check", 2): b"newer", ("other", 1): b"three"}
    journal.close()


def test_not_a_journal(tmp_path: Path) -> None:
    """Another file is refused in one sentence."""
    path = tmp_path / "journal"
    path.write_bytes(b"this is no database, however long the text may be" * 10)
    with pytest.raises(RunError, match="this is not a journal of medaudit"):
        Journal(path)


def test_pack_is_no_pickle() -> None:
    """Objects cannot be stored, so none can be loaded."""
    assert same(unpack(pack(ARRAYS)), ARRAYS)
    blob = pack({"objects": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(ValueError, match="allow_pickle"):
        unpack(blob)


WRITER = """
import sys
from pathlib import Path
from medaudit.engine.journal import Journal
journal = Journal(Path(sys.argv[1]))
for k in range(10_000):
    journal.append([("check", k, {"k": k}, {})])
    print(k, flush=True)
"""


def test_committed_cases_survive_a_kill(tmp_path: Path) -> None:
    """SIGKILL in mid-write: every case that was reported is there, and the file opens."""
    path = tmp_path / "journal"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        last = -1
        for line in process.stdout:
            last = int(line)
            if last >= 60:
                os.kill(process.pid, signal.SIGKILL)
                break
        rest = process.stdout.read().split("\n")
    last = max([last, *(int(v) for v in rest[:-1] if v)])
    journal = Journal(path)
    done = {sample for _, sample in journal.done()}
    assert set(range(last + 1)) <= done
    assert done == set(range(len(done)))
    journal.append([("check", len(done), {}, {})])
    journal.close()
