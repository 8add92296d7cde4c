"""How alike a patient's maps are: clean, found, at random, and those of other plans."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from medaudit.domain.cells import Cells, Grid
from medaudit.oracle.explanation import Wanted, reasons
from medaudit.stats import maps
from medaudit.stats.maps import mass, mass_overlap

FURTHEST = 1e6  # ratio of distances of a map that stayed at its own place
NOWHERE = 1e-12  # a distance of maps
BUSIEST = 3  # cells of an hour
Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]
SHOWN = 3  # reasons that are told in words


def likeness(
    cells: Cells, wanted: Wanted, own: np.ndarray, clean: np.ndarray, found: np.ndarray, chance: np.ndarray,
    target: np.ndarray | None,
) -> dict[str, Any]:  # fmt: skip
    """Plain numbers of one record.

    own [P, S]: the clean record under every plan; clean, found, target [R, S]: under the plans that are graded on, the
    same for all; chance [K, S]: random changes, under the first of those.
    """
    several = len(own) > 1 and bool((own[0] != own[1]).any())
    pairs = [(p, q) for p in range(len(own)) for q in range(p)]
    agreement = float(np.mean([mass_overlap(own[[p]], own[[q]])[0] for p, q in pairs])) if several else 1.0
    first = np.broadcast_to(clean[:1], chance.shape)
    goal = None if target is None else np.broadcast_to(target[:1], chance.shape)
    # Under the plan of the random changes alone: a plan's own way would pass for an effect on all patients.
    led = float(_led(wanted, clean[:1], found[:1], None if target is None else target[:1])[0])
    by_chance = _led(wanted, first, chance, goal)
    overlap = maps.signed_overlap if wanted.what == "hide" else mass_overlap  # each is for the answer that it gets
    told: dict[str, Any] = {
        "overlap": float(overlap(clean, found).mean()),
        "chance_overlap": float(overlap(first, chance).mean()),
        "led": led,
        "chance": [float(v) for v in by_chance],
        "excess": led - float(by_chance.mean()),
        "agreement": agreement,
        "fresh": float(np.mean([mass_overlap(clean[[p]], found[[q]])[0] for p, q in _across(len(clean))])),
        "likeness": {name: [both(clean, found), both(first, chance)] for name, both in _metrics(cells).items()},
        "reasons": [_names(cells, clean.mean(axis=0)), _names(cells, found.mean(axis=0))],
    }
    if target is not None and goal is not None:
        shapes = [shape_of(g) for g in cells.grids]
        for name, distance in _distances(shapes).items():
            told[f"ratio{name}"] = _ratio(distance, found, target, clean)
            told[f"chance_ratio{name}"] = _ratio(distance, chance, goal, first)
    if wanted.cells:
        told["rank"] = [_rank(wanted, clean), _rank(wanted, found)]
    return told


def empty(own: np.ndarray) -> bool:
    """Whether any of maps [R, S] says nothing: then neither what it says nor how alike it is can be told."""
    return bool((np.abs(own).max(axis=1) <= maps.TINY).any())


def shape_of(grid: Grid) -> maps.Shape:
    return grid.begin, grid.rows, grid.columns


def _led(wanted: Wanted, clean: np.ndarray, found: np.ndarray, target: np.ndarray | None) -> np.ndarray:
    """How far each map was led where the attacker wants it, 0 to 1."""
    if wanted.what == "target" and target is not None:
        return maps.signed_overlap(target, found)
    if wanted.what in ("demote", "promote"):
        share = mass(found)[:, list(wanted.cells)].sum(axis=1)
        return np.asarray(share if wanted.what == "promote" else 1 - share)
    if wanted.what == "hide":
        return maps.signed_overlap(clean, found)
    return 1 - mass_overlap(clean, found)


def _across(count: int) -> list[tuple[int, int]]:
    """Pairs of different plans; of one plan it and itself."""
    return [(p, q) for p in range(count) for q in range(count) if p != q] or [(0, 0)]


def _metrics(cells: Cells) -> dict[str, Any]:
    """Means of similarities by name; spatial ones on the largest grid."""
    widest = max(cells.grids, key=lambda g: g.size)
    shape, k = shape_of(widest), min(10, cells.size)
    plain = {
        f"top_{k}": lambda a, b: maps.top_k(a, b, k),
        f"signed_top_{k}": lambda a, b: maps.top_k(a, b, k, signed=True),
        "rbo": maps.rank_biased_overlap,
        "weighted_tau": maps.weighted_tau,
        "cosine": maps.cosine,
    }
    if min(widest.rows, widest.columns) > 1:
        plain["ssim"] = lambda a, b: maps.ssim(a, b, shape)
    if widest.domain == "sequence" and widest.rows > BUSIEST:
        plain[f"top_{BUSIEST}_an_hour"] = lambda a, b: maps.top_k_by_column(a, b, shape, BUSIEST, _hours(a, shape))
    if widest.domain != "table":
        plain["lens_recall"] = lambda a, b: maps.lens_recall(a, b, shape, reasons(cells.size))
        plain["centre_shift"] = lambda a, b: maps.centre_shift(a, b, shape)
    return {name: (lambda a, b, f=f: float(np.mean(f(a, b)))) for name, f in plain.items()}


def _hours(a: np.ndarray, shape: maps.Shape) -> np.ndarray:
    """How much each column (hour) of maps [R, S] says."""
    return np.asarray(np.abs(maps.grid(a, shape)).mean(axis=(0, 1)))


def _distances(shapes: list[maps.Shape]) -> dict[str, Distance]:
    """Those of Razmi et al. 2023, by the end of their names; the first is the one that counts."""
    return {"": partial(maps.wasserstein_2d, shapes=shapes), "_l1": maps.l1, "_1d": maps.wasserstein_1d}


def _ratio(distance: Distance, found: np.ndarray, target: np.ndarray, clean: np.ndarray) -> float:
    """Distance to the target over the distance to the clean map, the median; below 1 the target is nearer."""
    to, off = distance(found, target), distance(found, clean)
    ratio = np.where(np.maximum(to, off) <= NOWHERE, 1.0, to / np.maximum(off, NOWHERE))  # both maps are the same one
    return float(np.median(ratio).clip(0, FURTHEST))


def _rank(wanted: Wanted, own: np.ndarray) -> int:
    """Place of the best of the named cells, from 1."""
    order = maps.order(own.mean(axis=0)[None])[0]
    return int(np.flatnonzero(np.isin(order, list(wanted.cells)))[0]) + 1


def _names(cells: Cells, own: np.ndarray) -> list[str]:
    """The main reasons in words, each with its sign; what is 0 is none."""
    best = [i for i in maps.order(own[None])[0][:SHOWN] if own[i]]
    return [f"{cells.names[i]} ({'for' if own[i] > 0 else 'against'})" for i in best]
