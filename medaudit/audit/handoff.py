"""From findings in the graph to the model's behaviour, in a worker: both branches are run, and stored numbers tried.

A predicate that no clean record fulfils, and that turns answers where it is forced, is what a planted trigger looks
like from outside. Whoever plants one stores what opens it in the file as well: these numbers become candidate inputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medaudit.audit.spec import WorkSpec
from medaudit.core.errors import MedauditError
from medaudit.core.text import printable
from medaudit.model import file as files
from medaudit.model.codec import Codec
from medaudit.model.decode import decode
from medaudit.model.expose import exposed
from medaudit.model.forced import forced, made
from medaudit.model.graph import Model
from medaudit.model.hidden import hidden
from medaudit.oracle.goal import turned

MOST = 12  # predicates that are laid open
SHOWN = 40  # findings that are kept
WIDEST = 256  # numbers of an input, each of which is set to each stored number in turn
SCALARS = 6  # stored numbers that are tried
EDGES = (0.0, 1e-3, -1e-3, 1.0, -1.0)  # what is added to a stored number: on it, beside it, beyond it


@dataclass(frozen=True)
class Opened:
    """What came of laying one predicate open."""

    records: int
    clean: str  # what it is on clean records
    constant: bool  # and the same on all of them
    truth: bool  # true or false, and nothing else
    forced: tuple[tuple[str, int], ...]  # forced to this, so many records' decisions turn
    key: str = ""  # an input, made of numbers stored in the file, that opens it
    key_turned: int = 0  # such inputs that are decided otherwise than while it is held shut

    @property
    def turned(self) -> int:
        """Most answers that anything turned."""
        return max([self.key_turned, *(count for _, count in self.forced)])


def findings(spec: WorkSpec, points: np.ndarray) -> dict[str, Any]:
    """All hits in the model's graph as plain data, the worst of them with what came of laying them open.

    points: clean records [n, D].
    """
    path = Path(spec.model)
    proto = files.load(path)
    found = hidden(proto)[:SHOWN]
    bench = _Bench(spec, points)
    opened: dict[str, Opened | str] = {}
    for hit in (h for h in found if h.severity in ("high", "medium")):
        for name in [name for name in hit.handles if name not in opened][: MOST - len(opened)]:
            try:
                opened[name] = bench.lay_open(proto, name, hit.stored)
            except MedauditError as error:
                opened[name] = printable(error.message, 200)
    hits = []
    for hit in found:
        tried = [opened[name] for name in hit.handles if name in opened]
        one = max(tried, key=_telling, default=None)
        hits.append(
            {
                "rule": hit.rule, "severity": hit.severity, "text": hit.text, "way": list(hit.way),
                "opened": asdict(one) if isinstance(one, Opened) else None, "note": one if isinstance(one, str) else "",
                "idle": _idle(tried),
            }
        )  # fmt: skip
    return {"hits": hits, "rows": bench.rows}


class _Bench:
    """Clean records as the graph takes them, and the model's own answers to them."""

    def __init__(self, spec: WorkSpec, points: np.ndarray) -> None:
        self.spec, self.rows = spec, 0
        size = spec.batching.size if spec.batching.kind == "fixed" else 0
        points = np.resize(points, (size, points.shape[1])) if size else points
        self.feeds: dict[str, np.ndarray] = Codec(spec.interface).encode(points)
        self.count = len(points)
        self.own = self._model(None)
        self.answers = self._answers(self.own, self.feeds)

    def lay_open(self, proto: Any, name: str, stored: tuple[np.ndarray, ...]) -> Opened:
        """Raises MedauditError where the edited graph cannot be had, or fails."""
        made(proto, name)
        window = self._model(exposed(proto, [name]))
        clean = self._values(window, name, self.feeds)
        kinds, results, branches = np.unique(clean), [], {}
        truth = clean.dtype == bool
        values = [False, True] if truth else sorted({*_few(kinds), 0.0, 1.0})
        for value in values:
            model = self._model(forced(proto, name, np.array(value, dtype=clean.dtype)))
            try:
                answers = self._answers(model, self.feeds)
            except MedauditError:
                continue  # a number that the graph cannot be fed at this place
            branches[value] = model
            count = int(turned(self.spec.interface.output, self.answers, answers).sum())
            results.append((str(value).lower() if truth else f"{value:.6g}", count))
        same = len(kinds) == 1
        shut = branches.get(bool(kinds[0])) if truth and same else None
        key, took = self._key(window, shut, name, stored) if shut is not None else ("", 0)
        return Opened(self.count, _words(clean), same, truth, tuple(results), key, took)

    def _key(self, window: Model, shut: Model, name: str, stored: tuple[np.ndarray, ...]) -> tuple[str, int]:
        """The first candidate input at which a predicate is not what it always is, and how many answers it turns.

        shut: the model in which the predicate stays what it always is; its answers to the same input are compared.
        """
        usual = self._values(window, name, self.feeds).ravel()[0]
        for words, feeds in self._candidates(stored):
            try:
                if (self._values(window, name, feeds) != usual).any():
                    both = self._answers(shut, feeds), self._answers(self.own, feeds)
                    return words, int(turned(self.spec.interface.output, *both).sum())
            except MedauditError:
                continue
        return "", 0

    def _candidates(self, stored: tuple[np.ndarray, ...]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        """Inputs made of stored numbers: laid over a whole input, and one place of it set to one number."""
        plain = {name: own for name, own in self.feeds.items() if np.asarray(own).dtype.kind == "f"}
        for name, own in plain.items():
            size = own[0].size
            for array in (a for a in stored if 1 < a.size <= size and size % a.size == 0):
                laid = {"as it is" if array.size == size else "again and again": np.resize(array, own[0].shape)}
                if array.size < size:
                    laid["each number held"] = np.repeat(array.ravel(), size // array.size).reshape(own[0].shape)
                for how, values in laid.items():
                    words = f"the {array.size} stored numbers as input {printable(name)}, {how}"
                    yield words, {**self.feeds, name: np.broadcast_to(values.astype(own.dtype), own.shape).copy()}
        scalars = dict.fromkeys(float(a.ravel()[0]) for a in stored if a.size == 1)
        limits = [v for v in scalars if np.isfinite(v)][:SCALARS]
        numbers = [limit + edge * max(1.0, abs(limit)) for limit in limits for edge in EDGES]
        for number, (name, own) in itertools.product(numbers, plain.items()):
            for place in range(own[0].size if own[0].size <= WIDEST else 0):
                changed = own.copy().reshape(len(own), -1)
                changed[:, place] = number
                words = f"{number:.6g} at place {place + 1} of input {printable(name)}"
                yield words, {**self.feeds, name: changed.reshape(own.shape)}
        for number, (name, own) in itertools.product(numbers, plain.items()):
            yield f"{number:.6g} throughout input {printable(name)}", {**self.feeds, name: np.full_like(own, number)}

    def _model(self, changed: Any) -> Model:
        return Model(Path(self.spec.model), self.spec.batching, "cpu", changed)

    def _answers(self, model: Model, feeds: dict[str, np.ndarray]) -> np.ndarray:
        self.rows += self.count
        output = self.spec.interface.output
        answers = decode(output, model.call(feeds, list(output.tensors)), feeds)
        if len(answers) != self.count:
            raise MedauditError(f"it answered {len(answers)} rows when it was asked {self.count}")
        return answers

    def _values(self, window: Model, name: str, feeds: dict[str, np.ndarray]) -> np.ndarray:
        self.rows += self.count
        (value,) = window.call(feeds, [name])
        found = np.asarray(value)
        if not found.size or found.dtype.kind not in "bfiu":
            raise MedauditError("what decides is not numbers")
        return found


def _telling(one: Opened | str) -> tuple[int, int, bool]:
    """Which of several says most: an input that opens it, then a branch that turns answers."""
    if isinstance(one, str):
        return 0, -1, False
    return one.key_turned, one.turned, one.constant


def _idle(tried: list[Opened | str]) -> bool:
    """Both branches of every truth value were run, and nothing turned an answer.

    A number that was forced without effect says nothing by itself: nobody knows all that it could be.
    """
    opened = [one for one in tried if isinstance(one, Opened)]
    truths = [one for one in opened if one.truth]
    every = len(opened) == len(tried) and bool(truths) and all(len(one.forced) == 2 for one in truths)
    return every and not any(one.turned for one in opened)


def _few(kinds: np.ndarray) -> tuple[float, ...]:
    finite = kinds[np.isfinite(kinds)]
    return (float(finite[0]), float(finite[-1])) if finite.size else ()


def _words(clean: np.ndarray) -> str:
    """What a predicate is on clean records."""
    if clean.dtype == bool:
        share = float(clean.mean())
        return "false" if share == 0 else "true" if share == 1 else f"true in {share:.1%} of its places"
    low, high = float(clean.min()), float(clean.max())
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
