"""compose(search, oracle, region) -> attack: the bookkeeping that every attack shares.

The search proposes, the oracle scores, the region measures; here claims are kept, non-finite
answers lose, missing cells stay missing, and rows are counted a second time (the engine's count
is the one that binds).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from medaudit.core.arrays import Array, namespace, put, select, to_numpy
from medaudit.core.protocol import Attack, Lanes, Oracle, Query, Search
from medaudit.core.region import Region, size
from medaudit.core.relations import repair

CHECKPOINTS = tuple(int(round(10 ** (k / 6))) for k in range(0, 31, 1))  # rows, 1 .. 100,000


class State(NamedTuple):
    """State of a composed attack."""

    lanes: Lanes
    search: Any
    rows: Array  # [L] int64, rows answered so far
    found: Array  # [L] int64, rows spent when the goal was first reached inside eps; 0: not yet
    size: Array  # [L] float32, size of the best claim; inf when there is none
    claim: Array  # [L, D] float32, best point that reached the goal (x when none did)
    curve: Array  # [L, len(CHECKPOINTS)] float32, size of the best claim at those row counts
    invalid: Array  # [L] int64, rows with a non-finite answer
    low: Array  # [L] float32, best score of any row inside eps; inf: none yet
    worst: Array | None  # [L, D] float32, that row; None where nobody asks for it


def compose(
    search: Search,
    oracle: Oracle,
    region: Region,
    *,
    stop: str = "flip",
    smallest: bool = False,
    keep_worst: bool = False,
    votes: int = 1,
) -> Attack:
    """Build an attack.

    stop: "flip" ends a lane at its first success, "budget" never ends it early.
    smallest: keep the smallest claim (attacks that minimise distance) instead of the first.
    keep_worst: keep the row with the best score too, for metrics that read scores.
    votes: model rows behind one answer; all counts are of model rows.
    """

    def init(lanes: Lanes) -> State:
        xp = namespace(lanes.x)
        n = lanes.x.shape[0]
        on = {"device": lanes.x.device}
        clean, _ = oracle.score(lanes, xp.arange(n, dtype=xp.int64, **on), lanes.ref)
        inf = xp.full(n, xp.inf, dtype=xp.float32, **on)
        lanes = lanes._replace(score=xp.where(xp.isfinite(clean), xp.astype(clean, xp.float32), inf))
        return State(
            lanes=lanes,
            search=search.init(region, lanes),
            rows=xp.zeros(n, dtype=xp.int64, **on),
            found=xp.zeros(n, dtype=xp.int64, **on),
            size=xp.full(n, xp.inf, dtype=xp.float32, **on),
            claim=lanes.x,
            curve=xp.full((n, len(CHECKPOINTS)), xp.inf, dtype=xp.float32, **on),
            invalid=xp.zeros(n, dtype=xp.int64, **on),
            low=xp.full(n, xp.inf, dtype=xp.float32, **on),
            worst=lanes.x if keep_worst else None,
        )

    def ask(state: State) -> Query:
        query = search.ask(region, state.lanes, state.search)
        return query._replace(points=permitted(region, state.lanes, query.lane, query.points))

    def tell(state: State, query: Query, answers: Array) -> State:
        xp = namespace(answers)
        lanes = state.lanes
        if lanes.missing is not None:
            gone = xp.take(lanes.missing, query.lane, axis=0)
            query = query._replace(points=select(gone, xp.take(lanes.x, query.lane, axis=0), query.points))
        valid = xp.all(xp.isfinite(answers), axis=1)
        score, hit = oracle.score(lanes, query.lane, answers)
        worst = xp.asarray(xp.inf, dtype=xp.float32, device=score.device)
        score = xp.where(xp.logical_and(valid, xp.logical_not(xp.isnan(score))), score, worst)
        hit = xp.logical_and(hit, valid)
        state = _claims(state, query, hit, valid)
        if state.worst is not None:
            state = _worst(state, query, to_numpy(score))
        inner = state.search if search.look is None else search.look(region, lanes, state.search, query, answers)
        return state._replace(search=search.tell(region, lanes, inner, query, score, hit))

    def _claims(state: State, query: Query, hit: Array, valid: Array) -> State:
        """Note successes and count rows; few rows are hits, so this part runs on the host."""
        n = state.rows.shape[0]
        lane = to_numpy(query.lane)
        before = to_numpy(state.rows)
        rows = before + votes * np.bincount(lane, minlength=n)
        xp, on = namespace(state.size), {"device": state.size.device}
        changes: dict[str, Array] = {"rows": xp.asarray(rows, **on)}
        bad = ~to_numpy(valid)
        if bad.any():
            invalid = to_numpy(state.invalid) + votes * np.bincount(lane[bad], minlength=n)
            changes["invalid"] = xp.asarray(invalid, **on)
        hits = to_numpy(hit)
        if query.claims is not None:
            hits = hits & to_numpy(query.claims)
        if not smallest:  # the first claim stays
            hits = hits & (to_numpy(state.found) == 0)[lane]
        where = np.flatnonzero(hits)
        if where.size:
            changes |= _take_claims(state, query, where, lane, before)
        return state._replace(**changes)

    def _take_claims(
        state: State,
        query: Query,
        where: np.ndarray,
        lane: np.ndarray,
        before: np.ndarray,
    ) -> dict[str, Array]:
        xp, on = namespace(state.size), {"device": state.size.device}
        index = xp.asarray(where, **on)
        owners = lane[where]
        points = xp.take(query.points, index, axis=0)
        sizes = to_numpy(size(region, state.lanes, xp.asarray(owners, **on), points))
        # Per lane: the first inside eps decides `found`; the smallest (or the first) is the claim.
        found, best = to_numpy(state.found).copy(), to_numpy(state.size).copy()
        curve = to_numpy(state.curve).copy()
        chosen: dict[int, int] = {}
        spent = before[owners] + votes * (_order_in_lane(lane)[where] + 1)
        steps = np.searchsorted(CHECKPOINTS, spent)
        for i, (own, near) in enumerate(zip(owners.tolist(), (sizes <= region.eps * (1 + 1e-6)).tolist(), strict=True)):
            if near and found[own] == 0:
                found[own] = spent[i]
            if sizes[i] < best[own] and (smallest or best[own] == np.inf):
                best[own] = sizes[i]
                chosen[own] = i
                curve[own, steps[i] :] = sizes[i]
        if not chosen:
            return {"found": xp.asarray(found, **on)}
        at = xp.asarray(np.fromiter(chosen, dtype=np.int64), **on)
        picked = xp.asarray(np.fromiter(chosen.values(), dtype=np.int64), **on)
        claim = put(state.claim, at, xp.take(points, picked, axis=0))
        return {
            "found": xp.asarray(found, **on),
            "size": xp.asarray(best, **on),
            "curve": xp.asarray(curve, **on),
            "claim": claim,
        }

    def _worst(state: State, query: Query, score: np.ndarray) -> State:
        """Keep each lane's row with the best score inside eps; few rows are better than all before."""
        lane, low = to_numpy(query.lane), to_numpy(state.low)
        where = best_rows(lane, score, low)
        if not where.size:
            return state
        xp, on = namespace(state.size), {"device": state.size.device}
        points = xp.take(query.points, xp.asarray(where, **on), axis=0)
        near = to_numpy(size(region, state.lanes, xp.asarray(lane[where], **on), points)) <= region.eps * (1 + 1e-6)
        if not near.all():
            where, points = where[near], xp.take(points, xp.asarray(np.flatnonzero(near), **on), axis=0)
        if not where.size:
            return state
        own = xp.asarray(lane[where], **on)
        best = xp.asarray(score[where].astype(np.float32), **on)
        return state._replace(low=put(state.low, own, best), worst=put(state.worst, own, points))

    def done(state: State) -> Array:
        xp = namespace(state.rows)
        over = xp.zeros_like(state.rows) > 0 if stop == "budget" else state.found > 0
        return over if search.stopped is None else xp.logical_or(over, search.stopped(state.search))

    def result(state: State) -> dict[str, Array]:
        names = ("rows", "found", "size", "claim", "curve", "invalid")
        starts = state.rows * 0 if search.starts is None else votes * search.starts(state.search)
        out = {name: to_numpy(getattr(state, name)) for name in names} | {"starts": to_numpy(starts)}
        if state.worst is not None:
            out["worst"] = to_numpy(state.worst)
        if search.share is not None:
            out["share"] = to_numpy(search.share(state.search))
        return out if search.turn is None else out | {"turn": to_numpy(search.turn(state.search))}

    return Attack(f"{search.name}·{oracle.name}", search.quantum, init, ask, tell, done, result, search.members, votes)


def permitted(region: Region, lanes: Lanes, lane: Array, points: Array) -> Array:
    """Points [R, D] as they may be asked: relations hold, what is missing in the record stays so."""
    xp = namespace(points)
    if region.rules is not None:
        points = repair(region.rules, lanes, lane, points)
    if lanes.missing is None:
        return points
    nan = xp.full((1, 1), xp.nan, dtype=xp.float32, device=points.device)
    return select(xp.take(lanes.missing, lane, axis=0), nan, points)


def best_rows(lane: np.ndarray, score: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Of each lane the row with the best score, where that is below the lane's `low` [L]; best lanes first."""
    where = np.flatnonzero(score < low[lane])
    where = where[np.argsort(score[where], kind="stable")]
    return np.asarray(where[np.sort(np.unique(lane[where], return_index=True)[1])])


def _order_in_lane(lane: np.ndarray) -> np.ndarray:
    """Position of each row among its lane's rows; rows of a lane are contiguous."""
    starts = np.flatnonzero(np.r_[True, lane[1:] != lane[:-1]])
    counts = np.diff(np.r_[starts, lane.size])
    return np.arange(lane.size) - np.repeat(starts, counts)
