"""The tick: ask every cohort, answer in shared blocks, tell, retire finished lanes, refill.

The engine makes every call of the model and counts every row where it is packed. Lanes never
meet: nothing here depends on which other lanes are open, so results are the same for any number
of lanes, workers and restarts.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from medaudit.core.arrays import Array, concat, leaves, map_tree, namespace, take, to_numpy
from medaudit.core.protocol import Attack, Lanes, Query

Answer = Callable[[Array], np.ndarray]  # points [<= block, D] -> answers [R, M]


class Finished(NamedTuple):
    """Outcome of one lane."""

    check: str
    sample: int
    rows: int  # counted by the engine
    exhausted: bool  # the next ask would have overspent the budget
    arrays: dict[str, np.ndarray]  # what the attack's `result` gave for this lane


class Cohort:
    """The lanes of one check that are open in this worker."""

    def __init__(self, check: str, attack: Attack, budget: int, make_lanes: Callable[[list[int]], Lanes]) -> None:
        self.check, self.attack, self.budget, self.make_lanes = check, attack, budget, make_lanes
        self.waiting: deque[tuple[int, bytes | None]] = deque()
        self.state: Any = None
        self.samples = np.zeros(0, dtype=np.int64)
        self.spent = np.zeros(0, dtype=np.int64)
        self.over = np.zeros(0, dtype=bool)

    @property
    def open(self) -> int:
        return int((~self.over).sum())

    def refill(self, room: int) -> None:
        """Drop retired lanes and admit waiting ones, once that is worth the copying."""
        idle = int(self.over.sum())
        admit = min(room, len(self.waiting))
        if not admit and (not idle or idle * 4 < self.over.size):
            return
        if admit and self.open and admit * 8 < self.over.size and admit < len(self.waiting):
            return
        kept = np.flatnonzero(~self.over)
        parts = [] if not kept.size else [self._kept(kept)]
        samples, spent = self.samples[kept], self.spent[kept]
        fresh: list[int] = []
        for _ in range(admit):
            sample, saved = self.waiting.popleft()
            if saved is None:
                fresh.append(sample)
                continue
            rows, state = restore(saved, self.attack.init(self.make_lanes([sample])))
            parts.append(state)
            samples, spent = np.append(samples, sample), np.append(spent, rows)
        if fresh:
            parts.append(self.attack.init(self.make_lanes(fresh)))
            samples, spent = np.append(samples, fresh), np.append(spent, [0] * len(fresh))
        self.state = concat(parts) if len(parts) > 1 else (parts[0] if parts else None)
        self.samples, self.spent = samples, spent
        self.over = np.zeros(samples.size, dtype=bool)

    def _kept(self, kept: np.ndarray) -> Any:
        if kept.size == self.over.size:
            return self.state
        xp = namespace(leaves(self.state)[0])
        return take(self.state, xp.asarray(kept))

    def ask(self) -> tuple[Query | None, list[Finished]]:
        """The rows that lanes want after the budget has been applied, and the lanes it ended."""
        if self.state is None or self.over.all():
            return None, []
        query = self.attack.ask(self.state)
        lane = to_numpy(query.lane)
        rows = self.attack.votes * np.bincount(lane, minlength=self.over.size)
        spend = self.spent + rows > self.budget
        idle = rows == 0
        ended = np.flatnonzero(~self.over & (spend | idle))
        finished = self._retire(ended, exhausted=True)
        keep = ~self.over[lane]
        if not keep.all():
            query = _rows(query, np.flatnonzero(keep))
        return (query if query.lane.shape[0] else None), finished

    def hold(self, query: Query, spare: int) -> tuple[Query, int]:
        """Leave lanes with `spare` rows together, or as near as can be had, for the next tick.

        The furthest lanes wait, so that all come to their end together. Returns what is left of
        `spare` too. Nothing is lost: `ask` gives the same rows again for a lane that was not told.
        """
        lane = to_numpy(query.lane)
        rows = np.bincount(lane, minlength=self.over.size)
        asking = int(np.count_nonzero(rows))
        goes = np.ones(rows.size, dtype=bool)
        for i in np.argsort(-self.spent, kind="stable").tolist():
            if spare <= 0 or asking == 1:
                break
            if 0 < rows[i] <= spare:
                goes[i] = False
                asking -= 1
                spare -= int(rows[i])
        return _rows(query, np.flatnonzero(goes[lane])), spare

    def tell(self, query: Query, answers: np.ndarray) -> list[Finished]:
        self.spent = self.spent + self.attack.votes * np.bincount(to_numpy(query.lane), minlength=self.over.size)
        xp = namespace(query.points)
        self.state = self.attack.tell(self.state, query, xp.asarray(answers, device=query.points.device))
        done = to_numpy(self.attack.done(self.state))
        return self._retire(np.flatnonzero(done & ~self.over), exhausted=False)

    def _retire(self, index: np.ndarray, exhausted: bool) -> list[Finished]:
        if not index.size:
            return []
        self.over[index] = True
        xp = namespace(leaves(self.state)[0])
        arrays = self.attack.result(take(self.state, xp.asarray(index)))
        return [
            Finished(
                self.check,
                int(self.samples[i]),
                int(self.spent[i]),
                exhausted,
                {name: value[k] for name, value in arrays.items()},
            )
            for k, i in enumerate(index)
        ]

    def snapshots(self) -> Iterable[tuple[int, bytes]]:
        """(sample, state) of every open lane, for a resume in mid-search."""
        return (self._saved(i) for i in np.flatnonzero(~self.over))

    def give(self, count: int) -> list[tuple[int, bytes | None]]:
        """Part with `count` lanes, or all: those that wait first, then open ones with their state."""
        given: list[tuple[int, bytes | None]] = []
        while self.waiting and len(given) < count:
            given.append(self.waiting.pop())
        for i in np.flatnonzero(~self.over)[: count - len(given)]:
            given.append(self._saved(i))
            self.over[i] = True
        return given

    def _saved(self, i: np.intp) -> tuple[int, bytes]:
        xp = namespace(leaves(self.state)[0])
        return int(self.samples[i]), snapshot(int(self.spent[i]), take(self.state, xp.asarray([i])))


def _rows(query: Query, index: np.ndarray) -> Query:
    xp = namespace(query.points)
    at = xp.asarray(index)
    return map_tree(lambda a: xp.take(a, at, axis=0), query)


def snapshot(spent: int, state: Any) -> bytes:
    """Rows spent and the leaves of a one-lane state, as .npz bytes."""
    stream = io.BytesIO()
    parts = {f"a{i}": to_numpy(leaf) for i, leaf in enumerate(leaves(state))}
    np.savez(stream, spent=np.int64(spent), **parts)  # type: ignore[arg-type]
    return stream.getvalue()


def restore(data: bytes, template: Any) -> tuple[int, Any]:
    """The reverse of `snapshot`, into the form of a fresh state of the same lane."""
    with np.load(io.BytesIO(data), allow_pickle=False) as saved:
        arrays = iter([saved[f"a{i}"] for i in range(len(saved.files) - 1)])
        state = map_tree(lambda old: namespace(old).asarray(next(arrays), device=old.device), template)
        return int(saved["spent"]), state


def ask_model(queries: list[Array], block: int, answer: Answer) -> list[np.ndarray]:
    """Answers to several queries' rows: whole blocks straight from each, the rest shared."""
    answers: list[list[np.ndarray]] = [[] for _ in queries]
    rest: list[tuple[int, Array]] = []
    for i, points in enumerate(queries):
        whole = points.shape[0] // block * block
        for start in range(0, whole, block):
            answers[i].append(answer(points[start : start + block, :]))
        if points.shape[0] > whole:
            rest.append((i, points[whole:, :]))
    if rest:
        xp = namespace(rest[0][1])
        owners = np.concatenate([np.full(p.shape[0], i) for i, p in rest])
        rows = rest[0][1] if len(rest) == 1 else xp.concat([p for _, p in rest], axis=0)
        n = owners.size
        got = np.concatenate([answer(rows[s : min(s + block, n), :]) for s in range(0, n, block)])
        for i, _ in rest:
            answers[i].append(got[owners == i])
    return [a[0] if len(a) == 1 else np.concatenate(a) for a in answers]


def room_for(block: int, numbers: int) -> int:
    """Rows worth asking per tick, for points of so many numbers: a tick's own cost is shared by all of them."""
    return max(16 * block, min(256, (32 << 20) // (4 * numbers)))


def tick(cohorts: list[Cohort], block: int, answer: Answer, room: int) -> list[Finished]:
    """One round over all cohorts. `room`: rows wanted per tick, which bounds the open lanes."""
    weight = [max(1, cohort.attack.quantum // 4) for cohort in cohorts]
    asked = sum(cohort.open * w for cohort, w in zip(cohorts, weight, strict=True))
    for cohort, w in zip(cohorts, weight, strict=True):
        before = cohort.open
        cohort.refill(max(int(asked == 0), (room - asked) // w))
        asked += (cohort.open - before) * w
    finished: list[Finished] = []
    told: list[tuple[Cohort, Query]] = []
    for cohort in cohorts:
        query, ended = cohort.ask()
        finished += ended
        if query is not None:
            told.append((cohort, query))
    spare = sum(q.lane.shape[0] for _, q in told)
    # Taking lanes out copies all rows, so a little padding in the last block is left as it is.
    spare = spare % block if spare > block and -spare % block > spare // 16 else 0
    for i, (cohort, query) in enumerate(told):
        if spare > 0:
            query, spare = cohort.hold(query, spare)
            told[i] = (cohort, query)
    replies = ask_model([q.points for _, q in told], block, answer)
    for (cohort, query), reply in zip(told, replies, strict=True):
        finished += cohort.tell(query, reply)
    return finished
