"""Several searches in turn on one lane, until one succeeds: the worst case over them, each on what still stands.

Croce, Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse
parameter-free attacks" (AutoAttack), with a `schedule` in place of one attack after the other. A member
sees only the lanes whose turn is its own, and goes on where it was, or from the others' best row (`relay`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from medaudit.core.arrays import Array, leaves, map_tree, namespace, put, take
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import Region
from medaudit.search import relay, schedule


class State(NamedTuple):
    last: Array  # [L] int64, the member that asked last
    turn: Array  # [L] int64, members' turns so far
    left: Array  # [L] int64, rows left in this turn
    members: tuple[Any, ...]
    best: Array  # [L, D] float32, the row with the best score inside eps
    low: Array  # [L] float32, its score; inf: none yet


def search(name: str, members: tuple[Search, ...], first: tuple[int, ...] = (), growth: tuple[int, ...] = ()) -> Search:
    """first: rows of each member's first turn, growth: how much longer each next one is; 60 and 2 if not given."""
    length = partial(schedule.rows, first or (60,) * len(members), growth or (2,) * len(members))
    return Search(
        name,
        max(member.quantum for member in members),
        partial(init, members, length),
        partial(ask, members),
        partial(tell, members, length),
        partial(stopped, members),
        partial(starts, members),
        turn=lambda state: state.last,
        members=tuple(member.name for member in members),
    )


def init(members: tuple[Search, ...], length: Callable[[Array], Array], region: Region, lanes: Lanes) -> State:
    xp = namespace(lanes.x)
    zero = xp.zeros(lanes.x.shape[0], dtype=xp.int64, device=lanes.x.device)
    none = xp.full(zero.shape[0], xp.inf, dtype=xp.float32, device=lanes.x.device)
    return State(zero, zero, length(zero), tuple(member.init(region, lanes) for member in members), lanes.x, none)


def ask(members: tuple[Search, ...], region: Region, lanes: Lanes, state: State) -> Query:
    """Rows of all lanes, member after member."""
    xp = namespace(lanes.x)
    owner, asked = schedule.owner(state.turn, _ended(members, state)), []
    for i, (member, own) in enumerate(zip(members, state.members, strict=True)):
        who = xp.nonzero(owner == i)[0]
        if who.shape[0]:
            query = member.ask(region, _some(lanes, who), _some(own, who))
            asked.append(query._replace(lane=xp.take(who, query.lane)))
    if len(asked) == 1:
        return asked[0]
    claims = None
    if any(query.claims is not None for query in asked):
        claims = xp.concat([xp.ones_like(q.lane) > 0 if q.claims is None else q.claims for q in asked])
    return Query(xp.concat([q.points for q in asked]), xp.concat([q.lane for q in asked]), claims)


def tell(
    members: tuple[Search, ...], length: Callable[[Array], Array], region: Region, lanes: Lanes, state: State,
    query: Query, score: Array, hit: Array,
) -> State:  # fmt: skip
    xp = namespace(score)
    asked, place = xp.zeros_like(state.turn), xp.zeros_like(state.turn)
    owner = xp.take(schedule.owner(state.turn, _ended(members, state)), query.lane)
    states = list(state.members)
    for i, member in enumerate(members):
        rows = xp.nonzero(owner == i)[0]
        if not rows.shape[0]:
            continue
        mine = map_tree(lambda a, at=rows: xp.take(a, at, axis=0), query)
        who, count = xp.unique_counts(mine.lane)
        asked = put(asked, who, xp.astype(count, xp.int64))
        place = put(place, who, xp.arange(who.shape[0], dtype=xp.int64, device=who.device))
        mine = mine._replace(lane=xp.take(place, mine.lane))
        own = (_some(lanes, who), _some(states[i], who))
        after = member.tell(region, *own, mine, xp.take(score, rows), xp.take(hit, rows))
        every = who.shape[0] == state.turn.shape[0]
        states[i] = after if every else map_tree(lambda old, new, at=who: put(old, at, new), states[i], after)
    best, low = relay.better(state.best, state.low, members, owner, query, score)
    left = state.left - asked
    turn = xp.where(left <= 0, state.turn + 1, state.turn)
    last, over = put(state.last, query.lane, owner), left <= 0
    after = State(last, turn, xp.where(over, length(turn), left), tuple(states), best, low)
    gets = xp.where(over & (asked > 0), schedule.owner(turn, _ended(members, after)), xp.full_like(turn, -1))
    return after._replace(members=relay.handed(members, states, gets, best, low))


def stopped(members: tuple[Search, ...], state: State) -> Array:
    """Lanes whose every member has nothing left to try."""
    xp = namespace(state.turn)
    return xp.all(xp.stack(_ended(members, state)), axis=0)


def starts(members: tuple[Search, ...], state: State) -> Array:
    total = namespace(state.turn).zeros_like(state.turn)
    for member, own in zip(members, state.members, strict=True):
        total = total if member.starts is None else total + member.starts(own)
    return total


def _ended(members: tuple[Search, ...], state: State) -> list[Array]:
    none = state.turn < 0
    return [none if m.stopped is None else m.stopped(own) for m, own in zip(members, state.members, strict=True)]


def _some(tree: Any, who: Array) -> Any:
    """Some lanes of a tree; the tree itself where it is all of them."""
    size = leaves(tree)[0].shape[0]
    return tree if who.shape[0] == size else take(tree, who)
