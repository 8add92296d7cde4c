"""What must hold between the numbers of a record: linear relations and one-hot groups, as pure numbers.

A record that breaks a relation from the start, or lacks one of its numbers, is not held to it.
"""

from __future__ import annotations

from typing import NamedTuple

from medaudit.core.arrays import Array, namespace, native
from medaudit.core.protocol import Lanes


class Relation(NamedTuple):
    """sum over t of weight[t] * point[index[t]] + constant, not below zero; Q instances (hours) of it."""

    index: Array  # [T, Q] int64
    weight: tuple[float, ...]
    constant: float
    strict: bool  # above zero


class Rules(NamedTuple):
    """relations; one_hot: [G] int64 each, numbers of which exactly one is 1."""

    relations: tuple[Relation, ...] = ()
    one_hot: tuple[Array, ...] = ()


def broken(relation: Relation, points: Array) -> Array:
    """Instances that do not hold, [R, Q] bool."""
    xp = namespace(points)
    total = xp.zeros((points.shape[0], relation.index.shape[1]), dtype=xp.float64, device=points.device)
    for t, weight in enumerate(relation.weight):
        total = total + weight * xp.astype(xp.take(points, relation.index[t, :], axis=1), xp.float64)
    total = total + relation.constant
    return total <= 0 if relation.strict else total < 0


def held(relation: Relation, lanes: Lanes) -> Array:
    """Instances that lanes are held to, [L, Q] bool."""
    fit = ~broken(relation, lanes.x)
    if lanes.missing is not None:
        for t in range(len(relation.weight)):
            fit = fit & ~namespace(fit).take(lanes.missing, relation.index[t, :], axis=1)
    return fit


def repair(rules: Rules, lanes: Lanes, lane: Array, points: Array) -> Array:
    """Points [R, D] that satisfy the rules: the numbers of a broken relation go back to the clean ones.

    That can break another relation, so it is done until none is broken; every round takes more numbers
    back, and a clean record holds what it is held to.
    """
    xp = namespace(points)
    x = xp.take(lanes.x, lane, axis=0)
    for group in rules.one_hot:
        points = _one_hot(group, x, points)
    fits = [xp.take(held(relation, lanes), lane, axis=0) for relation in rules.relations]
    while fits:
        wrong = [broken(r, points) & fit for r, fit in zip(rules.relations, fits, strict=True)]
        if not any(bool(xp.any(w)) for w in wrong):
            break
        back = xp.zeros_like(points) > 0
        for relation, own in zip(rules.relations, wrong, strict=True):
            for t in range(len(relation.weight)):
                back = back | _spread(relation.index[t, :], own, points.shape[1])
        for group in rules.one_hot:  # goes back as a whole
            some = xp.any(xp.take(back, group, axis=1), axis=1)[:, None]
            back = back | _spread(group, xp.broadcast_to(some, (some.shape[0], group.shape[0])), points.shape[1])
        points = xp.where(back, x, points)
    return points


def _one_hot(group: Array, x: Array, points: Array) -> Array:
    """The member that rose most becomes the one 1; none rose: as in the clean record."""
    xp = namespace(points)
    clean, now = xp.take(x, group, axis=1), xp.take(points, group, axis=1)
    risen = now - clean
    best = xp.argmax(risen, axis=1)[:, None]
    place = xp.arange(group.shape[0], dtype=best.dtype, device=points.device)[None, :]
    proper = (xp.sum(clean, axis=1) == 1) & xp.all((clean == 0) | (clean == 1), axis=1)
    turned = proper & (xp.max(risen, axis=1) > 0)
    fresh = xp.where(turned[:, None], xp.astype(place == best, points.dtype), clean)
    own = _spread(group, xp.broadcast_to(xp.ones_like(best) > 0, fresh.shape), points.shape[1])
    columns = xp.zeros_like(points)
    for g in range(group.shape[0]):
        here = xp.arange(points.shape[1], dtype=group.dtype, device=points.device) == group[g]
        columns = xp.where(here[None, :], fresh[:, g][:, None], columns)
    return xp.where(own, columns, points)


def _spread(index: Array, own: Array, size: int) -> Array:
    """own [R, Q] at places index [Q], [R, size] bool; places may repeat."""
    xp = namespace(own)
    out = xp.zeros((own.shape[0], size), dtype=xp.bool, device=own.device)
    if native(own):
        row, q = xp.nonzero(own)
        out[row, index[q]] = True
        return out
    place = xp.arange(size, dtype=index.dtype, device=own.device)[None, :]
    for q in range(index.shape[0]):
        out = out | (own[:, q][:, None] & (place == index[q]))
    return out
