"""Workers that die or fall silent: their lanes are faults, the others go on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from medaudit.core.errors import EngineError, ModelError
from medaudit.engine.pool import Case, Pool, Worker

DEADLY, SILENT = 3, 5


def batches(pipe: Connection) -> Iterator[Any]:
    """The lanes that the parent sends, batch after batch; other requests are answered here."""
    while True:
        name, payload = pipe.recv()
        if name == "stop":
            return
        if name == "share":
            pipe.send(("shared", []))
        elif name == "fail":
            pipe.send(("error", ModelError("no", "try again")))
        else:
            yield payload


def fragile(pipe: Connection) -> None:
    """Answers every lane at once; dies on sample 3, sleeps on sample 5."""
    for lanes in batches(pipe):
        for check, sample, _ in lanes:
            if sample == DEADLY:
                os._exit(7)
            if sample == SILENT:
                time.sleep(60)
            pipe.send(("cases", [Case(check, sample, {"rows": 1}, {})]))


def uneven(pipe: Connection) -> None:
    """Holds lanes; even samples are done at once, odd ones take a while unless they come with a state."""
    lanes: list[tuple[str, int, bytes | None]] = []
    while True:
        while not lanes or pipe.poll():
            name, payload = pipe.recv()
            if name == "stop":
                return
            if name == "lanes":
                lanes += payload
            if name == "share":
                half = len(lanes) // 2
                pipe.send(("shared", [(c, s, b"moved") for c, s, _ in lanes[:half]]))
                lanes = lanes[half:]
        check, sample, state = lanes.pop()
        time.sleep(0.2 * (sample % 2))
        pipe.send(("cases", [Case(check, sample, {"state": state, "by": os.getpid()}, {})]))


def run(samples: list[int], silence: float = 30.0, capacity: int = 1) -> tuple[set[int], dict[int, str]]:
    pool = Pool(lambda: Worker(fragile), 2, capacity, silence)
    done: set[int] = set()
    lost: dict[int, str] = {}
    for kind, value in pool.run([("c", s) for s in samples], {}):
        if kind == "cases":
            done |= {case.sample for case in value}
        if kind == "fault":
            lanes, why = value
            lost |= {sample: why for _, sample in lanes}
    return done, lost


def test_a_dead_worker_costs_its_lane_only() -> None:
    done, lost = run([0, 1, 2, DEADLY, 4, 6])
    assert done == {0, 1, 2, 4, 6}
    assert list(lost) == [DEADLY]
    assert "exit code 7" in lost[DEADLY]


def test_the_lane_that_kills_is_found_among_many() -> None:
    """Nineteen lanes in one worker, one of them deadly: the others are asked again and end."""
    samples = [n for n in range(20) if n != SILENT]
    done, lost = run(samples, capacity=100)
    assert done == set(samples) - {DEADLY}
    assert list(lost) == [DEADLY]


def once_killed(pipe: Connection) -> None:
    """The first of these workers dies from outside; its file says whether that has happened."""
    flag = Path(os.environ["ONCE_KILLED"])
    for lanes in batches(pipe):
        if not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        pipe.send(("cases", [Case(check, sample, {"rows": 1}, {}) for check, sample, _ in lanes]))


def test_a_kill_from_outside_is_no_fault_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONCE_KILLED", str(tmp_path / "flag"))
    pool = Pool(lambda: Worker(once_killed), 2, 100, 30.0)
    events = list(pool.run([("c", s) for s in range(8)], {}))
    assert {case.sample for kind, value in events if kind == "cases" for case in value} == set(range(8))
    assert not any(kind == "fault" for kind, _ in events)


def test_a_silent_worker_is_replaced() -> None:
    done, lost = run([0, SILENT, 6], silence=2.0)
    assert done == {0, 6}
    assert "no answer" in lost[SILENT]


def test_a_worker_with_nothing_left_takes_half_of_anothers_lanes() -> None:
    """Dealt one by one, the odd samples all go to one worker; the other ends up with a part of them."""
    pool = Pool(lambda: Worker(uneven), 2, 100, 30.0)
    cases = [c for kind, value in pool.run([("c", s) for s in range(24)], {}) if kind == "cases" for c in value]
    assert sorted(c.sample for c in cases) == list(range(24))
    moved = {c.sample for c in cases if c.record["state"] == b"moved"}
    assert moved
    assert all(s % 2 for s in moved)
    assert len({c.record["by"] for c in cases if c.sample % 2}) == 2


def test_errors_of_a_worker_are_raised_here() -> None:
    worker = Worker(fragile)
    try:
        with pytest.raises(ModelError, match="no"):
            worker.ask("fail")
        worker.pipe.send(("lanes", [("c", DEADLY, None)]))
        with pytest.raises(EngineError, match="died"):
            worker.ask("lanes", [])
    finally:
        worker.close()
