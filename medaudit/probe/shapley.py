"""Shapley values by permutations: each with its reverse, each with one background row.

Castro, Gomez, Tejada 2009, "Polynomial calculation of the Shapley value based on sampling" (eq. 4), with antithetic
permutations (Mitchell, Cooper, Frank, Holmes 2022, "Sampling permutations for Shapley value estimation", section
3.2). Along one permutation cells come back one after another, from the background row to the point: what the explained
value gains with each of them is the cell's due, and all of them add up to f(x) - f(background) exactly.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from medaudit.probe.explainer import Explainer, Ground, Plans, draws, masked, turns

ROWS = 2112  # of an explanation, about


def shapley(ground: Ground, rows: int = 0) -> Plans:
    """rows: about so many of an explanation."""
    s = ground.cells.size
    pairs = max(2, ((rows or ROWS) - 1) // max(1, 2 * s - 1))
    return partial(_plan, ground, pairs)


def _plan(ground: Ground, pairs: int, plan: int) -> Explainer:
    s = ground.cells.size
    order = np.argsort(draws(ground, "shapley", plan, pairs, s), axis=1, kind="stable")  # [P, S]
    rank = np.argsort(order, axis=1, kind="stable")
    # Of one pair: nothing but background, 1 .. S-1 cells in order, 1 .. S-1 in the reverse order; all cells are row 0.
    step = np.arange(1, s)
    forth = rank[:, None, :] < step[None, :, None]
    back = rank[:, None, :] >= s - step[None, :, None]
    none = np.zeros((pairs, 1, s), dtype=bool)
    masks = np.concatenate([none, forth, back], axis=1).reshape(-1, s)
    masks = np.concatenate([np.ones((1, s), dtype=bool), masks])
    of = turns(ground, plan, pairs)
    lent, lender = np.repeat(of, 2 * s - 1), np.bincount(of, minlength=len(ground.background))
    strata = ground.fill is None and bool(lender.min() > 0)  # every background row counts the same, however often lent
    share = 1 / (len(lender) * lender[of]) if strata else np.full(pairs, 1 / pairs)

    def each(values: np.ndarray) -> np.ndarray:
        """What every pair gives [E, P, S]."""
        own = values[:, 1:, 0].reshape(len(values), pairs, 2 * s - 1)
        full = np.broadcast_to(values[:, :1, 0, None], (len(values), pairs, 1))
        up = np.diff(np.concatenate([own[:, :, :s], full], axis=2), axis=2)
        down = np.diff(np.concatenate([own[:, :, :1], own[:, :, s:], full], axis=2), axis=2)
        place = np.broadcast_to(rank, up.shape)
        gained = np.take_along_axis(up, place, axis=2) + np.take_along_axis(down, s - 1 - place, axis=2)
        return np.asarray(0.5 * gained)

    def reduce(values: np.ndarray, points: np.ndarray) -> np.ndarray:
        return np.stack([share @ own for own in each(values)])

    def errors(values: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Where every background row was lent twice, their own differences are no error: it is that of strata."""
        own = each(values)
        if not strata or lender.min() < 2:
            return np.asarray(own.std(axis=1, ddof=1) * np.sqrt((share**2).sum()))
        parts = [own[:, of == b].var(axis=1, ddof=1) / count for b, count in enumerate(lender)]
        return np.asarray(np.sqrt(np.sum(parts, axis=0)) / len(lender))

    def lent_parts(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of one explanation's values [1, T, 1], what each background row that was lent gives [B, S], and its value."""
        own = each(values)[0]
        rows = np.unique(of)
        empty = values[0, 1 :: 2 * s - 1, 0]
        return np.stack([own[of == b].mean(axis=0) for b in rows]), np.array([empty[of == b][0] for b in rows])

    return masked("shapley", ground, masks, np.append(0, lent), reduce, errors)._replace(lent=lent_parts)
