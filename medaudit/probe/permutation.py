"""Permutation importance: what answers lose when a cell's values are exchanged between records.

Breiman 2001, "Random forests", section 10; of one model and its own answers: Fisher, Rudin, Dominici 2019, "All models
are wrong, but many are useful", eq. 3 (model reliance). Each repeat lends every record the cell of another one, and
every record lends once: along a random order, each from the one that is so many places further.
"""

from __future__ import annotations

import numpy as np

from medaudit.core import streams
from medaudit.core.arrays import Array, digest, namespace, select, to_numpy
from medaudit.probe.explainer import Explainer, Ground

TAG = 1601


def permutation(ground: Ground, count: int, repeats: int) -> Explainer:
    """Of `count` points, at least 2, all asked together. Its maps: what each record's value loses, mean of repeats."""
    if count < 2:
        raise ValueError("values are exchanged between records, and there is only one")
    s, of = ground.cells.size, ground.cells.of
    keys = np.full(count, streams.key(ground.key, "permutation"), dtype=np.uint64)
    rank = np.argsort(streams.uniform(keys, np.arange(count), TAG, 1)[:, 0], kind="stable")
    order = np.argsort(rank, kind="stable")
    further = streams.uniform(keys[:1], np.zeros(1, dtype=np.int64), TAG + 1, repeats)[0] * (count - 1)
    lender = order[(rank[:, None] + 1 + further.astype(np.int64)) % count]  # [C, repeats], never itself

    def rows(points: Array, which: Array, t: Array) -> Array:
        xp, on = namespace(points), {"device": points.device}
        number = to_numpy(t)
        turn, cell = np.divmod(np.maximum(number - 1, 0), s)
        swapped = (cell[:, None] == of[None, :]) & (number > 0)[:, None]
        others = xp.take(points, xp.asarray(lender[to_numpy(which), turn], **on), axis=0)
        return select(xp.asarray(~swapped, **on), xp.take(points, which, axis=0), others)

    def reduce(values: np.ndarray, points: np.ndarray) -> np.ndarray:
        lost = values[:, :1, 0] - values[:, 1:, 0]
        return np.asarray(lost.reshape(len(values), repeats, s).mean(axis=1))

    told = digest("permutation", lender)
    return Explainer("permutation", 1 + repeats * s, s, rows, reduce, digest=told)
