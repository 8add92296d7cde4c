"""A worker: a spawned process that serves requests and works its lanes in between.

The parent never parses a model file nor imports onnxruntime.
"""

from __future__ import annotations

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
for _name in [n for n in os.environ if n.startswith("ORT_") and n != "ORT_DISABLE_TELEMETRY"]:
    del os.environ[_name]

import signal
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from medaudit import data as readers
from medaudit.audit.bench import Bench
from medaudit.audit.discover import discover
from medaudit.audit.extremes import tried
from medaudit.audit.scaffolds import looked
from medaudit.audit.spec import CheckSpec, Clean, Found, WorkSpec
from medaudit.audit.suspects import compared
from medaudit.core.errors import EngineError, MedauditError
from medaudit.engine.memory import keep_heap
from medaudit.model import file as files
from medaudit.model import session as sessions
from medaudit.model.facts import Facts, Finding
from medaudit.model.hidden import hidden
from medaudit.probe.kinds import Spec


def main(pipe: Connection) -> None:
    """Serve requests until told to stop or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_heap()
    worker = Worker(pipe)
    try:
        while worker.serve():
            pass
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


class Worker:
    """State of one worker process."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe
        self.bench: Bench | None = None

    def serve(self) -> bool:
        """Handle one request, or one tick when there is nothing to read."""
        if self.bench is not None and self.bench.busy and not self.pipe.poll():
            return self._guarded(self.bench.step, reply=False)
        name, payload = self.pipe.recv()
        if name == "stop":
            return False
        if name == "lanes":
            return self._guarded(lambda: self._ready().take(payload), reply=False)
        if name == "share":
            return self._guarded(lambda: self.pipe.send(("shared", self._ready().share())), reply=False)
        return self._guarded(lambda: getattr(self, f"do_{name}")(payload), reply=True)

    def _guarded(self, work: Any, *, reply: bool) -> bool:
        """Errors of ours travel to the parent as values; anything else is a bug and says so."""
        try:
            value = work()
        except MedauditError as error:
            self.pipe.send(("error", error))
            return True
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
            RuntimeError,
        ) as error:
            import traceback

            text = "".join(traceback.format_exception(error))
            self.pipe.send(("error", EngineError(f"{type(error).__name__}: {error}", text)))
            return True
        if reply:
            self.pipe.send(("ok", value))
        return True

    def do_inspect(self, path: str) -> Facts:
        facts, proto = files.inspect(Path(path))
        logic = tuple(Finding(hit.severity, f"{hit.rule}: {hit.text}", hit.way) for hit in hidden(proto))
        return replace(facts, findings=facts.findings + logic)

    def do_load(self, payload: tuple[str, str]) -> list[str]:
        """Open a session to see whether the model loads; its providers."""
        path, device = payload
        return list(sessions.open_session(Path(path), device).get_providers())

    def do_providers(self, _: None) -> list[str]:
        return sessions.available()

    def do_cuda(self, _: None) -> None:
        """Raises ModelError unless a real CUDA session can be had."""
        sessions.open_session(sessions.tiny_model(), "cuda:0")

    def do_discover(self, payload: tuple[str, str, Any, str]) -> Found:
        path, data, section, hint = payload
        facts, _ = files.inspect(Path(path))
        return discover(Path(path), facts, readers.read(Path(data)), section, hint)

    def do_open(self, spec: WorkSpec) -> dict[str, str]:
        self.bench = Bench(spec, self.pipe)
        return self.bench.environment()

    def do_clean(self, payload: tuple[np.ndarray, str]) -> dict[str, Any]:
        return self._ready().clean(*payload)

    def do_protocol(self, payload: tuple[str, np.ndarray, int]) -> dict[str, Any]:
        return self._ready().protocol(*payload)

    def do_extreme(self, payload: tuple[np.ndarray, int]) -> dict[str, Any]:
        return tried(self._ready().bare, *payload)

    def do_suspicious(self, settings: Any) -> dict[str, Any]:
        bench = self._ready()
        return compared(bench.bare, bench.spec.suspicious, settings)

    def do_scaffold(self, payload: tuple[str, int, int]) -> dict[str, Any]:
        explainer, reference, key = payload
        bench = self._ready()
        return looked(bench.bare, bench.spec.explainers.get(explainer, Spec()), reference, key)

    def do_attribute(self, index: int) -> dict[str, Any]:
        return self._ready().attribute(index)

    def do_importance(self, rows: int) -> dict[str, Any]:
        return self._ready().importance(rows)

    def do_replay(self, payload: tuple[int, np.ndarray, str]) -> dict[str, Any]:
        return self._ready().replay(*payload)

    def do_calibrate(self, seconds: float) -> float:
        return self._ready().calibrate(seconds)

    def do_prepare(self, payload: tuple[tuple[CheckSpec, ...], dict[str, Clean], dict[str, np.ndarray]]) -> None:
        self._ready().prepare(*payload)

    def _ready(self) -> Bench:
        if self.bench is None:
            raise EngineError("the run was not opened")
        return self.bench
