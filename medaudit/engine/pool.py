"""Worker processes: spawned, one session and one thread each; the parent only hands out lanes.

When a worker dies, its lanes are asked again in halves, each half by itself, until the lane that
kills a worker even alone is found: a finding about the model, not a crash of the tool. Lanes of a
worker that falls silent come back as faults at once, for waiting is dear.
"""

from __future__ import annotations

import contextlib
import multiprocessing as mp
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

from medaudit.core.errors import EngineError, MedauditError, WorkerLost

Target = Callable[[Connection], None]
Lane = tuple[str, int]  # check id, sample
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
MAX_CRASHES = 64


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """Ctrl-C reaches the whole group: what is started in here never hears it, the parent does afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Case(NamedTuple):
    """One finished lane as a worker reports it."""

    check: str
    sample: int
    record: dict[str, Any]
    arrays: dict[str, Any]


class Worker:
    """One spawned process and the pipe to it. Requests are (name, payload) pairs."""

    def __init__(self, target: Target) -> None:
        for name in THREADS:
            os.environ[name] = "1"
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        context = mp.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=target, args=(theirs,), daemon=True)
        with _no_interrupt():
            self.process.start()
        theirs.close()
        self.heard = time.monotonic()

    def ask(self, name: str, payload: Any = None, timeout: float = 600.0) -> Any:
        """Send a request and wait for its answer; errors of the worker are raised here."""
        try:
            self.pipe.send((name, payload))
            if not self.pipe.poll(timeout):
                self.kill()
                raise WorkerLost(f"the worker did not answer {name!r} within {timeout:.0f} s")
            kind, value = self.pipe.recv()
        except (EOFError, OSError) as error:
            raise WorkerLost(f"the worker died while it did {name!r} ({self.how_it_ended()})") from error
        if kind == "error":
            raise value if isinstance(value, MedauditError) else EngineError(str(value))
        return value

    def how_it_ended(self) -> str:
        self.process.join(5)
        code = self.process.exitcode
        if code is not None and code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"exit code {code}"

    def kill(self) -> None:
        self.process.kill()
        self.process.join(5)
        self.pipe.close()

    def close(self) -> None:
        if self.process.is_alive():
            with contextlib.suppress(OSError):
                self.pipe.send(("stop", None))
            self.process.join(5)
        self.kill()


class Pool:
    """Feeds lanes to workers and yields what they report."""

    def __init__(self, start: Callable[[], Worker], count: int, capacity: int, silence: float) -> None:
        """start: makes a ready worker; capacity: lanes kept at each; silence: seconds until it is hung."""
        self._start, self._count = start, count
        self._capacity, self._silence = capacity, silence
        self.crashes = 0

    def run(self, lanes: list[Lane], saved: dict[Lane, bytes]) -> Iterator[tuple[str, Any]]:
        """Yield ("cases", [Case]), ("snapshots", [...]), ("stats", {...}) and ("fault", (lanes, why))."""
        queue = deque(lanes)
        workers: list[Worker] = []
        held: dict[int, set[Lane]] = {}
        sharing: set[int] = set()  # workers that were asked for half of their lanes
        suspects: deque[list[Lane]] = deque()  # lanes of dead workers, to be asked by themselves
        alone: set[int] = set()  # workers that hold suspects, and nothing else
        try:
            count = min(self._count, max(1, len(lanes)))
            for i in range(count):
                workers.append(self._start())
                held[i] = set()
                self._feed(workers[i], held[i], queue, saved, share=count - i)
            while queue or suspects or any(held.values()):
                busy = [i for i in held if held[i]]
                ready = wait([workers[i].pipe for i in busy], timeout=1.0)
                for i in busy:
                    worker = workers[i]
                    why, dead = "", False
                    if worker.pipe in ready:
                        try:
                            kind, value = worker.pipe.recv()
                        except (EOFError, OSError):  # also cut off in the middle of a message
                            kind, value, dead = "died", None, True
                            why = f"the worker died ({worker.how_it_ended()})"
                        worker.heard = time.monotonic()
                    elif time.monotonic() - worker.heard > self._silence:
                        why = f"the model gave no answer for {self._silence:.0f} s"
                    else:
                        continue
                    if why:
                        worker.kill()
                        sharing.discard(i)
                        alone.discard(i)
                        lost = sorted(held[i])
                        held[i].clear()
                        if dead and len(lost) > 1:
                            half = len(lost) // 2
                            suspects.extend((lost[:half], lost[half:]))
                        else:
                            yield "fault", (lost, why)
                        self._replace(workers, i, why)
                    elif kind == "error":
                        raise value
                    elif kind == "shared":
                        sharing.discard(i)
                        for check, sample, state in value:
                            held[i].discard((check, sample))
                            queue.append((check, sample))
                            if state is not None:
                                saved[check, sample] = state
                    else:
                        if kind == "cases":
                            held[i] -= {(case.check, case.sample) for case in value}
                        yield kind, value
                alone = {i for i in alone if held[i]}
                for i in sorted(held, key=lambda i: len(held[i])):
                    if not held[i] and suspects:
                        self._feed(workers[i], held[i], deque(suspects.popleft()), saved, share=1)
                        alone.add(i)
                    elif i not in alone:
                        self._feed(workers[i], held[i], queue, saved, share=sum(not h for h in held.values()))
                if not queue and not all(held.values()):
                    self._ask_to_share(workers, {i: held[i] for i in held if i not in alone}, sharing)
        finally:
            for worker in workers:
                worker.close()

    def _feed(self, worker: Worker, held: set[Lane], queue: deque[Lane], saved: dict[Lane, bytes], share: int) -> None:
        """Fill a worker up with every `share`-th waiting lane: of each check its part."""
        room = self._capacity - len(held)
        if room <= 0 or not queue:
            return
        chosen = list(queue)[:: max(1, share)][:room]
        for lane in chosen:
            queue.remove(lane)
        held.update(chosen)
        worker.heard = time.monotonic()
        # A worker that has just died is noticed, with these lanes, where its pipe is read.
        with contextlib.suppress(ConnectionError):
            worker.pipe.send(("lanes", [(*lane, saved.get(lane)) for lane in chosen]))

    @staticmethod
    def _ask_to_share(workers: list[Worker], held: dict[int, set[Lane]], sharing: set[int]) -> None:
        """When a worker has nothing left, the fullest gives half of its lanes, with their state."""
        fullest = max(held, key=lambda i: len(held[i]), default=-1)
        if not sharing and fullest >= 0 and len(held[fullest]) > 1:
            sharing.add(fullest)
            with contextlib.suppress(ConnectionError):
                workers[fullest].pipe.send(("share", None))

    def _replace(self, workers: list[Worker], i: int, why: str) -> None:
        self.crashes += 1
        if self.crashes > MAX_CRASHES:
            raise EngineError(f"the model brought down {self.crashes} workers; the last time {why}")
        workers[i] = self._start()
