"""An attack on explanations that is graded honestly: searched under one plan, judged under others.

A search that looks at one plan's maps learns that plan's noise too, and its best find looks better than it is. So the
clean record is explained under every plan, the search sees plan 0 alone, and what it found is explained under the
others. Beside it stand random changes of the same size and kind, under a plan that nobody searched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from medaudit.core.arrays import Array, map_tree, namespace, put, to_numpy
from medaudit.core.compose import permitted
from medaudit.core.protocol import Attack, Lanes, Oracle
from medaudit.core.region import Region, size
from medaudit.oracle.explained import Asker, Request, remembered

FEASIBLE = 1.0  # scores from here on are of points that the goal does not allow


class Design(NamedTuple):
    """What is explained besides the search's own points."""

    fresh: int  # plans that are graded on: 1 to `fresh`
    random: int  # random changes, under plan 1
    total: int  # explanations of a lane, all together
    target: bool = False  # whether another patient's map is the goal

    @property
    def before(self) -> int:
        """Explanations before the search: of the record, and of the other patient's, under every plan."""
        return (self.fresh + 1) * (2 if self.target else 1)

    @property
    def fixed(self) -> int:
        return self.before + self.random + self.fresh


class State(NamedTuple):
    lanes: Lanes
    step: Array  # [L] int64, fixed explanations that are done
    spent: Array  # [L] int64, explanations of the search
    search: Any
    kept: Array  # [L, fixed, M + S] float32, fixed answers and maps


def graded(
    attack: Attack, oracle: Oracle, region: Region, chances: Callable[[Lanes], Array], targets: Array | None,
    design: Design, cells: int, idle: bool = False,
) -> Asker:  # fmt: skip
    """What asks for the explanations of one check.

    attack: composed with `keep_worst`; chances: lanes -> random changes of full size [L, K, D]; targets [L', D]: points
    that `lanes.target` names rows of. idle: the search's find is replaced by one more random change, to see what a
    check says of an attack that does nothing (then `chances` gives K + 1).
    """
    asked = remembered(attack.ask)

    def init(lanes: Lanes) -> State:
        xp, n, on = namespace(lanes.x), lanes.x.shape[0], {"device": lanes.x.device}
        width = lanes.ref.shape[1]
        none = xp.zeros((n, cells), dtype=xp.float32, **on)
        wide = lanes._replace(ref=xp.concat([lanes.ref, none, none], axis=1))
        zero = xp.zeros(n, dtype=xp.int64, **on)
        kept = xp.full((n, design.fixed, width + cells), xp.nan, dtype=xp.float32, **on)
        return State(lanes, zero, zero, attack.init(wide), kept)

    def searching(state: State) -> tuple[Any, np.ndarray]:
        """The search's query, and which lanes [L] bool are at it."""
        query = asked(state.search)
        count = np.bincount(to_numpy(query.lane), minlength=state.step.shape[0])
        left = to_numpy(state.spent) + count <= design.total - design.fixed
        at = (to_numpy(state.step) == design.before) & (count > 0) & left & ~to_numpy(attack.done(state.search))
        return query, at

    def found(state: State) -> Array:
        """The best point of each lane, [L, D]; the clean one where nothing allowed was found."""
        xp, own = namespace(state.lanes.x), state.search
        if idle:
            return chances(state.lanes)[:, design.random, :]
        some = xp.broadcast_to((own.low < FEASIBLE)[:, None], own.worst.shape)
        return xp.where(some, own.worst, state.lanes.x)

    def fixed_points(state: State, lane: np.ndarray, step: np.ndarray) -> tuple[Array, np.ndarray]:
        """Points [E, D] and plans [E] of fixed explanations."""
        xp, on, lanes = namespace(state.lanes.x), {"device": state.lanes.x.device}, state.lanes
        owner, each = xp.asarray(lane, **on), design.fresh + 1
        bare = region._replace(rules=None)  # the record is as it is
        points = permitted(bare, lanes, owner, xp.take(lanes.x, owner, axis=0))
        plan = np.where(step < design.before, step % each, 1)
        late = step - design.before - design.random
        plan = np.where(late >= 0, 1 + late, plan)
        after = step >= design.before
        if targets is not None:
            of = xp.take(targets, xp.take(lanes.target, owner), axis=0)
            points = xp.where(xp.asarray((step >= each) & ~after, **on)[:, None], of, points)
        if after.any():
            best = found(state)
            own = permitted(bare, lanes, owner, xp.take(best, owner, axis=0))
            points = xp.where(xp.asarray(late >= 0, **on)[:, None], own, points)
        if (after & (late < 0)).any():
            drawn = alike(region, lanes, chances(lanes), best)
            number = np.clip(step - design.before, 0, design.random - 1)
            flat = xp.reshape(drawn, (-1, drawn.shape[2]))
            own = permitted(
                region, lanes, owner, xp.take(flat, owner * drawn.shape[1] + xp.asarray(number, **on), axis=0)
            )
            points = xp.where(xp.asarray(after & (late < 0), **on)[:, None], own, points)
        return points, plan

    def ask(state: State) -> Request:
        xp, on = namespace(state.lanes.x), {"device": state.lanes.x.device}
        query, at = searching(state)
        step, n = to_numpy(state.step), state.step.shape[0]
        end = np.where(step < design.before, design.before, design.fixed)
        count = np.where(at | (step >= design.fixed), 0, np.minimum(end - step, attack.quantum))
        lane = np.repeat(np.arange(n), count)
        number = np.arange(len(lane)) - np.repeat(np.cumsum(count) - count, count)
        own = to_numpy(query.lane)
        mine = np.flatnonzero(at[own])
        points, lanes, plans = [], [], []
        if len(lane):
            fixed, plan = fixed_points(state, lane, step[lane] + number)
            points, lanes, plans = [fixed], [lane], [plan]
        if len(mine):
            points.append(xp.take(query.points, xp.asarray(mine, **on), axis=0))
            lanes.append(own[mine])
            plans.append(np.zeros(len(mine), dtype=np.int64))
        if not points:
            none = xp.zeros(0, dtype=xp.int64, **on)
            return Request(query.points[:0, :], none, none)
        every = np.concatenate(lanes)
        order = np.argsort(every, kind="stable")
        rows = points[0] if len(points) == 1 else xp.take(xp.concat(points, axis=0), xp.asarray(order, **on), axis=0)
        return Request(rows, xp.asarray(every[order], **on), xp.asarray(np.concatenate(plans)[order], **on))

    def tell(state: State, request: Request, answers: Array) -> State:
        xp, on = namespace(answers), {"device": answers.device}
        query, at = searching(state)
        lane = to_numpy(request.lane)
        step, spent, kept = (to_numpy(a).copy() for a in (state.step, state.spent, state.kept))
        for i in np.flatnonzero(~at[lane]):
            kept[lane[i], step[lane[i]]] = to_numpy(answers[int(i), :])
            step[lane[i]] += 1
        inner = _told(state, query, at, lane, answers)
        spent += np.bincount(lane[at[lane]], minlength=len(spent))
        ready = np.unique(lane[~at[lane]])
        ready = ready[step[ready] == design.before]
        if ready.size:
            inner = _referred(inner, kept, ready)
        return State(state.lanes, xp.asarray(step, **on), xp.asarray(spent, **on), inner, xp.asarray(kept, **on))

    def _told(state: State, query: Any, at: np.ndarray, lane: np.ndarray, answers: Array) -> Any:
        """The search's own lanes are told."""
        xp, on = namespace(answers), {"device": answers.device}
        mine = np.flatnonzero(at[lane])
        if not mine.size:
            return state.search
        own = np.flatnonzero(np.isin(to_numpy(query.lane), np.unique(lane[mine])))
        some = map_tree(lambda a: xp.take(a, xp.asarray(own, **on), axis=0), query)
        return attack.tell(state.search, some, xp.take(answers, xp.asarray(mine, **on), axis=0))

    def _referred(inner: Any, kept: np.ndarray, ready: np.ndarray) -> Any:
        """Lanes whose clean maps are known now: their references, and the clean record's own score."""
        xp, on = namespace(inner.lanes.x), {"device": inner.lanes.x.device}
        clean = kept[ready, 0]
        target = kept[ready, design.fresh + 1, -cells:] if design.target else np.zeros((len(ready), cells), np.float32)
        rows = xp.asarray(np.concatenate([clean, target], axis=1), **on)
        index = xp.asarray(ready, **on)
        lanes = inner.lanes._replace(ref=put(inner.lanes.ref, index, rows))
        score, _ = oracle.score(lanes, index, xp.asarray(clean, **on))
        fine = xp.where(xp.isfinite(score), xp.astype(score, xp.float32), xp.inf * xp.ones_like(score))
        return inner._replace(lanes=lanes._replace(score=put(lanes.score, index, fine)))

    def done(state: State) -> Array:
        return state.step >= design.fixed

    def result(state: State) -> dict[str, Array]:
        return {
            "low": to_numpy(state.search.low), "point": to_numpy(found(state)), "kept": to_numpy(state.kept),
            "spent": to_numpy(state.spent),
        }  # fmt: skip

    return Asker(attack.name, attack.quantum, init, ask, tell, done, result)


def alike(region: Region, lanes: Lanes, drawn: Array, best: Array) -> Array:
    """Random changes [L, K, D] made as long as the best point's [L, D], where that is shorter than they are."""
    xp = namespace(drawn)
    n, k, d = drawn.shape
    lane = xp.arange(n, dtype=xp.int64, device=drawn.device)
    own = size(region, lanes, lane, best)
    theirs = xp.reshape(size(region, lanes, xp.repeat(lane, k), xp.reshape(drawn, (n * k, d))), (n, k))
    share = own[:, None] / xp.maximum(theirs, xp.full_like(theirs, 1e-30))
    share = xp.where(own[:, None] > 0, xp.minimum(share, xp.ones_like(share)), xp.ones_like(share))
    return lanes.x[:, None, :] + (drawn - lanes.x[:, None, :]) * share[:, :, None]
