"""Whose turn it is in a portfolio: every member gets its first rows, then each so many times more, and so on.

So no member waits for the budget's end, and a run with a smaller budget is a prefix of a larger one.
"""

from __future__ import annotations

from medaudit.core.arrays import Array, namespace


def owner(turn: Array, ended: list[Array]) -> Array:
    """The member of each lane's turn [L], [L] int64; ended: of each member, lanes [L] where it has nothing left to
    try, and is passed over."""
    xp = namespace(turn)
    over = xp.stack(ended, axis=1)
    chosen = turn % len(ended)
    for ahead in range(len(ended) - 1, -1, -1):
        next_one = (turn + ahead) % len(ended)
        passed = xp.take_along_axis(over, next_one[:, None], axis=1)[:, 0]
        chosen = xp.where(passed, chosen, next_one)
    return chosen


def rows(first: tuple[int, ...], growth: tuple[int, ...], turn: Array) -> Array:
    """Rows of each lane's turn [L], [L] int64; of each member: its first turn's rows, and how many times that the
    next turn has."""
    xp = namespace(turn)
    member = turn % len(first)
    own, more = (xp.take(xp.asarray(v, dtype=xp.int64, device=turn.device), member) for v in (first, growth))
    return own * more ** (turn // len(first))
