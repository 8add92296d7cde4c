"""What is seen while a scan runs: on standard error, live on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import shlex
import sys
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import (
    Progress as Bars,
)

EVERY = 30.0  # seconds between lines when there is no terminal
_folder: list[str] = []


def console(stderr: bool = False) -> Console:
    """A console that never interprets foreign text as markup."""
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, soft_wrap=False)


def resume_hint() -> str:
    """The command that continues an interrupted scan."""
    if not _folder:
        return "nothing was started"
    words = list(sys.argv[1:])
    for name in ("--out", "--resume"):
        if name in words:
            at = words.index(name)
            del words[at : at + 2]
    return f"continue with: medaudit {shlex.join([*words, '--resume', _folder[0]])}"


class Progress:
    """Listens to a scan's events."""

    def __init__(self, *, quiet: bool) -> None:
        self.console = console(stderr=True)
        self.quiet = quiet
        self.live = not quiet and self.console.is_terminal
        self.bars = Bars(
            SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(bar_width=24),
            TextColumn("{task.completed}/{task.total}", markup=False), TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(), console=self.console, transient=True, disable=not self.live,
        )  # fmt: skip
        self.tasks: dict[str, TaskID] = {}
        self.broken: dict[str, int] = {}
        self.done = self.total = 0
        self.most = self.gone = 0  # rows, were every budget spent: of all lanes to come, and of those that ended
        self.started = self.said = time.monotonic()
        self.facts: dict[str, Any] = {}
        self.all: TaskID | None = None

    def __enter__(self) -> Progress:
        self.bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bars.stop()

    def listen(self, event: str, facts: dict[str, Any]) -> None:
        if event == "folder":
            _folder[:] = [str(facts["folder"])]
            return
        if self.quiet:
            return
        if event == "stage":
            self._say(f"{facts['name']} ...")
        elif event == "attack":
            self.total, self.done, self.most = facts["lanes"], facts["done"], facts["most"]
            self.started = time.monotonic()
            self.all = self.bars.add_task("attack lanes", total=self.total, completed=self.done, note="")
        elif event == "case":
            self.done += 1
            self.gone += facts["most"]
            self.broken[facts["check"]] = self.broken.get(facts["check"], 0) + int(facts["success"])
            self._line()
        elif event == "stats":
            self.facts = facts
            self._line()
        elif event == "fault":
            self._say(f"the model failed on {facts['lanes']} lanes: {facts['why']}")

    def _line(self) -> None:
        spent = time.monotonic() - self.started
        rows = self.facts.get("rows", 0)
        left = (self.most - self.gone) * spent / self.gone if self.gone else 0.0
        broken = sum(self.broken.values())
        rate = f"{rows / spent:,.0f} rows/s" if spent > 0.5 else "…"
        note = f"{broken} broken · {rate} · about {clock(left)} left" if self.gone else f"{rate}"
        if self.live and self.all is not None:
            self.bars.update(self.all, completed=self.done, note=note)
        elif time.monotonic() - self.said > EVERY:
            self.said = time.monotonic()
            self.console.print(f"lanes={self.done}/{self.total} broken={broken} rows={rows:.0f} {note}")

    def _say(self, text: str) -> None:
        if self.live:
            self.bars.console.print(text)
        elif not self.quiet:
            self.console.print(text)


def clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"
