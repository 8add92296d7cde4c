"""What survives `kill -9`: every finished case, and snapshots of long lanes, in one SQLite file.

Only the parent process writes. WAL with synchronous=NORMAL keeps every committed case when the
process is killed (about 30 us a commit); a power cut may lose the last ones, which are asked again.
"""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from medaudit.core.errors import RunError

SCHEMA = """
CREATE TABLE IF NOT EXISTS header (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cases (
  check_id TEXT NOT NULL, sample INTEGER NOT NULL, record TEXT NOT NULL, arrays BLOB NOT NULL,
  PRIMARY KEY (check_id, sample));
CREATE TABLE IF NOT EXISTS snapshots (
  check_id TEXT NOT NULL, sample INTEGER NOT NULL, state BLOB NOT NULL,
  PRIMARY KEY (check_id, sample));
CREATE TABLE IF NOT EXISTS stages (name TEXT PRIMARY KEY, record TEXT NOT NULL, arrays BLOB NOT NULL);
"""


class Journal:
    """A run's journal; opening an existing file continues it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open = True
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(SCHEMA)
        except sqlite3.DatabaseError as error:
            raise RunError(f"{path}: this is not a journal of medaudit ({error})") from error

    def header(self) -> dict[str, Any]:
        rows = self._db.execute("SELECT name, value FROM header")
        return {name: json.loads(value) for name, value in rows}

    def set_header(self, **values: Any) -> None:
        rows = [(k, json.dumps(v, sort_keys=True)) for k, v in values.items()]
        self._write("INSERT OR REPLACE INTO header VALUES (?, ?)", rows)

    def stage(self, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """A result that is computed once per run, such as the baseline."""
        row = self._db.execute("SELECT record, arrays FROM stages WHERE name = ?", (name,)).fetchone()
        return (json.loads(row[0]), unpack(row[1])) if row else None

    def set_stage(self, name: str, record: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self._write(
            "INSERT OR REPLACE INTO stages VALUES (?, ?, ?)",
            [(name, json.dumps(record), pack(arrays))],
        )

    def cases(self, check: str) -> dict[int, tuple[dict[str, Any], dict[str, np.ndarray]]]:
        """Finished cases of a check by sample."""
        rows = self._db.execute("SELECT sample, record, arrays FROM cases WHERE check_id = ?", (check,))
        return {sample: (json.loads(record), unpack(arrays)) for sample, record, arrays in rows}

    def done(self) -> set[tuple[str, int]]:
        return set(self._db.execute("SELECT check_id, sample FROM cases"))

    def append(self, cases: list[tuple[str, int, dict[str, Any], dict[str, np.ndarray]]]) -> None:
        """Commit finished cases at once; their snapshots go with it. A case is written only once."""
        rows = [(check, sample, json.dumps(record), pack(arrays)) for check, sample, record, arrays in cases]
        with self._whole():
            self._db.executemany("INSERT INTO cases VALUES (?, ?, ?, ?)", rows)
            self._db.executemany("DELETE FROM snapshots WHERE check_id = ? AND sample = ?", [row[:2] for row in rows])

    def snapshots(self) -> dict[tuple[str, int], bytes]:
        rows = self._db.execute("SELECT check_id, sample, state FROM snapshots")
        return {(check, sample): state for check, sample, state in rows}

    def set_snapshots(self, states: list[tuple[str, int, bytes]]) -> None:
        self._write("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?)", states)

    def _write(self, statement: str, rows: list[Any]) -> None:
        with self._whole():
            self._db.executemany(statement, rows)

    @contextlib.contextmanager
    def _whole(self) -> Iterator[None]:
        """All of it or nothing: a full disk leaves the journal as it was."""
        self._db.execute("BEGIN")
        try:
            yield
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def close(self) -> None:
        """Fold the write-ahead log into the file and let go of it."""
        if not self._open:
            return
        self._open = False
        with contextlib.suppress(sqlite3.OperationalError):  # an interrupt may have left a cursor open
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()


def read_header(path: Path) -> dict[str, Any]:
    """Header of a finished run's journal, without touching the file."""
    if not path.is_file():
        raise RunError(f"{path}: there is no journal", "name model and data file yourself")
    uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
            return {name: json.loads(value) for name, value in db.execute("SELECT name, value FROM header")}
    except (sqlite3.DatabaseError, ValueError) as error:
        raise RunError(f"{path} is damaged ({error})", "name model and data file yourself") from error


def pack(arrays: dict[str, np.ndarray]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def unpack(data: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(data), allow_pickle=False) as saved:
        return {name: saved[name] for name in saved.files}
