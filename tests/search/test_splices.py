"""Splices: candidates are made of recordings, at full strength, and only what scores better is kept."""

from __future__ import annotations

from typing import Any

import array_api_strict as strict
import numpy as np
import pytest
from numpy.typing import NDArray

from medaudit.core.arrays import map_tree, to_numpy
from medaudit.core.injection import recordings, signal_lanes, signal_region
from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.core.protocol import Lanes
from medaudit.core.region import Region, size
from medaudit.domain.quantity import Quantity
from medaudit.domain.threat import Threat, boxes, region
from medaudit.search import splices

Array = NDArray[Any]
LANES, LEADS, N, WIDE, RATE = 3, 2, 600, 240, 60.0
FEW = splices.Settings(starts=4)


def problem(seed: int = 1) -> tuple[Region, Lanes, Array]:
    """The region of signals of four seconds in ten, its lanes, and five recordings; the first holds nothing."""
    axes = ("batch", "lead", "time")
    channels = (Channel("I", sd=1.0), Channel("II", sd=3.0))
    item = Input("x", "float32", "signal", axes, (LEADS, N), axes, rate=RATE, channels=channels)
    face = Interface((item,), Output("multiclass", ("y",), "logits", ("a", "b")))
    threat = Threat("scores", "injected", Quantity(1.2, "sd"), window=Quantity(4.0, "s"))
    area = region(face, threat)
    x = np.random.default_rng(seed).normal(5, 2, (LANES, LEADS * N)).astype(np.float32)
    lo, hi = boxes(face, threat, area, x, None)
    zero = np.zeros(LANES, dtype=np.int64)
    lanes = Lanes(np.arange(7, 7 + LANES, dtype=np.uint64), x, lo, hi, None, np.zeros((LANES, 2)), zero, zero)
    held = np.random.default_rng(seed + 1).normal(-3, 4, (5, LEADS * N)).astype(np.float32)
    held[0], held[1, 7] = 2, np.nan
    return signal_region(area), signal_lanes(area, lanes), recordings(area, held)


def run(rows: int, pick: slice = slice(None), settings: splices.Settings = FEW) -> tuple[list[Array], list[Array]]:
    """What lanes ask, [rows][L, K], and their best after each, where a larger sum of squared differences from a
    steep line is better."""
    area, lanes, held = problem()
    lanes = map_tree(lambda a: a[pick], lanes)
    search = splices.search(held, settings)
    state, asked, best = search.init(area, lanes), [], []
    for _ in range(rows):
        query = search.ask(area, lanes, state)
        score = -((query.points - np.linspace(-9, 9, query.points.shape[1])) ** 2).sum(axis=1).astype(np.float32)
        state = search.tell(area, lanes, state, query, score, score > 0)
        asked.append(query.points)
        best.append(state.best)
    return asked, best


def test_recordings_have_size_one() -> None:
    """Around zero in each lead; what holds nothing stays nothing, and what is missing is nothing."""
    _, _, held = problem()
    assert held.shape == (5, LEADS, N)
    assert np.isfinite(held).all()
    assert (held[0] == 0).all()
    assert (held[1:] ** 2).mean(axis=(1, 2)) == pytest.approx(1, abs=1e-5)
    assert held.mean(axis=2) == pytest.approx(0, abs=1e-5)


def test_every_candidate_is_at_full_strength() -> None:
    """But for whole stretches of a recording that holds nothing, which can only be first."""
    area, lanes, _ = problem()
    who = np.arange(LANES)
    sizes = np.stack([size(area, lanes, who, points) for points in run(40)[0]])
    assert ((np.abs(sizes - area.eps) < 1e-4 * area.eps) | (sizes == 0)).all()
    assert (sizes[FEW.starts :] > 0).all()


def test_first_come_whole_stretches() -> None:
    """Each is one stretch of one recording, but for its mean and size."""
    area, _, held = problem()
    windows = np.lib.stride_tricks.sliding_window_view(held, WIDE, axis=2)[1:]  # [4, LEADS, places, WIDE]
    windows = (windows - windows.mean(axis=3, keepdims=True)).transpose(0, 2, 1, 3).reshape(-1, LEADS * WIDE)
    windows /= np.linalg.norm(windows, axis=1, keepdims=True)
    for points in run(FEW.starts)[0]:
        units = points / area.scale
        units = units[np.linalg.norm(units, axis=1) > 0]
        likeness = units @ windows.T / np.linalg.norm(units, axis=1, keepdims=True)
        assert likeness.max(axis=1) == pytest.approx(1, abs=1e-4)


def test_then_pieces_of_them() -> None:
    """Outside a stretch of at most half the window, in all leads at once, the best signal is only made louder or
    quieter; pieces of many lengths come, at both ends too."""
    area, _, _ = problem()
    asked, best = run(300)
    spans, ends = [], []
    for before, points in zip(best[FEW.starts - 1 :], asked[FEW.starts :], strict=False):
        for old, new in zip(before / area.scale, points / area.scale, strict=True):
            old, new = old.reshape(LEADS, WIDE), new.reshape(LEADS, WIDE)
            ratios, count = np.unique(np.round(new[old != 0] / old[old != 0], 4), return_counts=True)
            ratio = ratios[count.argmax()]  # a flat recording silences what it replaces
            at = np.flatnonzero((np.abs(new - ratio * old) > 1e-3).any(axis=0))
            spans.append(at[-1] - at[0] + 1 if at.size else 0)
            ends += [*at[:1], *at[-1:]]
    assert max(spans) <= WIDE / 2 + 1
    assert np.quantile(spans, 0.9) > WIDE / 4
    assert np.quantile(spans, 0.2) < WIDE / 12
    assert min(ends) == 0
    assert max(ends) == WIDE - 1


def test_only_what_is_better_is_kept() -> None:
    """The best never scores worse, and is one of those that were asked."""
    asked, best = run(120)
    line = np.linspace(-9, 9, asked[0].shape[1])
    scores = np.stack([-((points - line) ** 2).sum(axis=1) for points in best])
    assert (np.diff(scores, axis=0) <= 1e-3).all()
    assert (scores[-1] < scores[FEW.starts]).all()
    for lane in range(LANES):
        assert any((points[lane] == best[-1][lane]).all() for points in asked)


def test_lanes_do_not_know_of_each_other() -> None:
    """Alone or beside others, a lane asks the same bits."""
    together = run(60)[0]
    for lane in range(LANES):
        alone = run(60, slice(lane, lane + 1))[0]
        assert all((a[0] == b[lane]).all() for a, b in zip(alone, together, strict=True))


def test_any_array_library() -> None:
    """The standard is enough, and gives the same numbers."""
    area, lanes, held = problem()
    area = area._replace(scale=strict.asarray(area.scale))
    lanes = map_tree(strict.asarray, lanes)
    search = splices.search(strict.asarray(held), FEW)
    state = search.init(area, lanes)
    for points in run(12)[0]:
        query = search.ask(area, lanes, state)
        assert to_numpy(query.points) == pytest.approx(points, abs=1e-4)
        line = np.linspace(-9, 9, points.shape[1])
        score = strict.asarray(-((points - line) ** 2).sum(axis=1).astype(np.float32))
        state = search.tell(area, lanes, state, query, score, score > 0)
