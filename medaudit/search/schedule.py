"""Whose turn it is in a portfolio: every member gets its first rows, then each twice as many again, and so on.

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


def rows(first: tuple[int, ...], turn: Array) -> Array:
    """Rows of each lane's turn [L], [L] int64; first: of each member's first turn."""
    xp = namespace(turn)
    own = xp.take(xp.asarray(first, dtype=xp.int64, device=turn.device), turn % len(first))
    return own * xp.astype(2 ** (turn // len(first)), xp.int64)
