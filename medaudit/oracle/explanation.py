"""Goals of attacks on explanations: what is explained, whether the answer was kept, how far the map was led.

An answer to a point is wide here: the model's own numbers [M], then its map [S]; a lane's `ref` holds the clean answer,
the clean map, and the map that it is to be led to. Every score is below 1 where the answer is kept (or, for hidden
errors, turned) and above it elsewhere, so that what is not allowed never wins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from medaudit.core.arrays import Array, namespace, to_numpy
from medaudit.core.interface import Output
from medaudit.core.protocol import Costs, Lanes, Loss, Losses, Oracle, Parts
from medaudit.oracle.decision import decide, masks, scores
from medaudit.oracle.goal import dice
from medaudit.stats.maps import mass, mass_overlap, order, signed_overlap

HARD = 3e-8  # half a step of float32 below 1: a probability of 1 is no nearer to certainty
FAINT = 1e-12  # a probability of 0 is no surer than this


@dataclass(frozen=True)
class Wanted:
    """What the attacker wants of the explanation.

    drift: any other map; target: that of another patient; demote, promote: of the named cells; hide: another answer
    under the same map. tolerance: by how much the probability may move; logits: and its logarithm of the odds.
    """

    what: str = "drift"
    cells: tuple[int, ...] = ()
    tolerance: float = 0.05
    logits: float = 1.0


def evidence(output: Output, answers: np.ndarray, of: np.ndarray) -> np.ndarray:
    """What is explained, [R] float64: how much answers [R, M] speak for the decision of answers `of` [R, M].

    Log-odds of the decided class, of the surest finding (where it is not found: that it is not there), the value, the
    mean evidence for what is marked; of labels, whether the class is the same.
    """
    values = np.asarray(answers, dtype=np.float64)
    rows = np.arange(len(values))
    if output.task == "multiclass" or output.shares:
        k = np.nan_to_num(of).argmax(axis=1)
        logs = np.log(np.maximum(values, FAINT)) if output.meaning == "probabilities" or output.shares else values
        if values.shape[1] == 2:  # the same to the bit, without sums over the others
            return np.asarray(side(output, of) * (logs[:, 1] - logs[:, 0]))
        others = np.where(np.arange(values.shape[1])[None, :] == k[:, None], -np.inf, logs)
        top = np.nan_to_num(others.max(axis=1), neginf=0.0)
        return np.asarray(logs[rows, k] - top - np.log(np.exp(others - top[:, None]).sum(axis=1)))
    if output.task in ("binary", "multilabel"):
        k = np.nan_to_num(scores(output, of)).argmax(axis=1)
        own = values[rows, k]
        if output.meaning == "probabilities":
            own = np.log(np.maximum(own, FAINT)) - np.log(np.maximum(1 - own, HARD))
        return np.asarray(side(output, of) * own)
    if output.task == "label":
        return np.asarray(np.where(np.isfinite(values[:, 0]), decide(output, answers) == decide(output, of), np.nan))
    if output.task == "segmentation":
        marked = masks(output, of) > 0
        stack = values.reshape(len(values), -1, output.positions)
        support = stack[:, 1:].max(axis=1) - stack[:, 0] if output.class_axis else stack[:, 0] - output.thresholds[0]
        return np.asarray((support * marked).sum(axis=1) / np.maximum(marked.sum(axis=1), 1))
    return np.asarray(values[:, 0])


def side(output: Output, of: np.ndarray) -> np.ndarray:
    """1 where answers [R, M] are decided for what a single number speaks for, -1 where against it; 1 elsewhere."""
    if output.task in ("binary", "multilabel"):
        return np.asarray(np.where(np.nan_to_num(scores(output, of)).max(axis=1) >= 0, 1.0, -1.0))
    if (output.task == "multiclass" or output.shares) and of.shape[1] == 2:
        return np.asarray(np.where(np.nan_to_num(of).argmax(axis=1) == 1, 1.0, -1.0))
    return np.ones(len(of))


def explained(output: Output, of: np.ndarray) -> str:
    """What `evidence` tells of one answer [1, M], in words that follow "for"."""
    if output.task in ("binary", "multilabel"):
        name = output.classes[-1] if output.task == "binary" else output.classes[int(scores(output, of).argmax())]
        found = bool(side(output, of)[0] > 0)
        if output.task == "binary" and len(output.classes) == 2:
            return output.classes[int(found)]
        return name if found else f"no {name}"
    if output.task in ("multiclass", "label") or output.shares:
        return output.classes[k] if 0 <= (k := int(np.asarray(decide(output, of))[0])) < len(output.classes) else str(k)
    return {"segmentation": "what is marked"}.get(output.task, "a larger value")


def unit(output: Output) -> str:
    """What `evidence` is measured in."""
    if output.task in ("binary", "multilabel", "multiclass") or output.shares:
        return "log-odds" if output.meaning in ("probabilities", "logits") or output.shares else "score"
    return {"label": "share of this answer", "segmentation": "evidence a pixel"}.get(output.task, "value")


def moved(output: Output, wanted: Wanted, clean: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """How far answers [R, M] left the clean ones, in shares of what may be: 1 at most where they were kept."""
    if output.task == "segmentation":
        same = dice(masks(output, answers) > 0, masks(output, clean) > 0)
        return np.asarray((1 - same) / wanted.tolerance)
    before, after = evidence(output, clean, clean), evidence(output, answers, clean)
    if output.task in ("regression", "reconstruction"):
        return np.asarray(np.abs(answers - clean).max(axis=1) / wanted.tolerance)
    if output.task == "label":
        return np.asarray(np.where(after > 0.5, 0.0, 2.0))
    if output.meaning not in ("probabilities", "logits") and not output.shares:
        return np.asarray(np.abs(after - before) / wanted.logits)
    p, q = (1 / (1 + np.exp(-np.clip(v, -50, 50))) for v in (before, after))
    return np.asarray(np.maximum(np.abs(p - q) / wanted.tolerance, np.abs(after - before) / wanted.logits))


def same(output: Output, clean: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Rows [R] bool whose decision is the clean one; values and outlines are judged by `moved` alone."""
    if output.task in ("regression", "reconstruction", "segmentation"):
        return np.asarray(np.isfinite(answers).all(axis=1))
    one, two = (np.asarray(decide(output, a)).reshape(len(a), -1) for a in (clean, answers))
    return np.asarray((one == two).all(axis=1))


def goal(output: Output, wanted: Wanted, cells: int) -> Oracle:
    """The oracle of a goal over wide answers [R, M + S]; lanes.ref [L, M + 2 S]. Nothing is a hit: none stops early."""
    m = output.width

    def score(lanes: Lanes, lane: Array, answers: Array) -> tuple[Array, Array]:
        xp = namespace(answers)
        got, own = to_numpy(answers)[:, : m + cells], to_numpy(lanes.ref)[to_numpy(lane)]
        clean, target = own[:, : m + cells], own[:, m + cells :]
        found = score_of(output, wanted, clean[:, :m], clean[:, m:], target, got[:, :m], got[:, m:])
        none = xp.zeros(len(found), dtype=xp.bool, device=answers.device)
        return xp.asarray(found.astype(np.float32), device=answers.device), none

    return Oracle(f"explanation-{wanted.what}", score)


def score_of(
    output: Output, wanted: Wanted, clean: np.ndarray, map_: np.ndarray, target: np.ndarray,
    answers: np.ndarray, found: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Scores [R]: smaller is nearer to the goal."""
    kept = same(output, clean, answers)
    far = moved(output, wanted, clean, answers)
    if wanted.what == "hide":
        over = np.where(kept, 1 + np.exp(-np.nan_to_num(far, posinf=50.0)), 0.0)
        return np.asarray(np.where(kept, over, 1 - signed_overlap(found, map_)))
    if wanted.what == "drift":
        # Overlap is flat around a clean map; the weight on what it named has a slope from the first step on.
        led = 0.5 * mass_overlap(found, map_) + 0.5 * (mass(found) * foremost(map_)).sum(axis=1)
    elif wanted.what == "target":
        led = 1 - signed_overlap(found, target)
    else:
        share = mass(found)[:, list(wanted.cells)].sum(axis=1)
        led = share if wanted.what == "demote" else 1 - share
    bad = np.maximum(far, np.where(kept, 0.0, 1.0 + far))
    return np.asarray(np.where(bad <= 1, np.minimum(led, 1.0), 1 + np.minimum(bad, 1e6)))


def reasons(cells: int) -> int:
    """How many cells of a map are its reasons: ten, and no more than a sixth of all."""
    return min(10, max(1, cells // 6))


def foremost(maps: np.ndarray) -> np.ndarray:
    """The reasons of maps [R, S], bool."""
    out = np.zeros(maps.shape, dtype=bool)
    np.put_along_axis(out, order(maps)[:, : reasons(maps.shape[1])], True, axis=1)
    return out


def losses(output: Output, wanted: Wanted, cells: int) -> Losses:
    """What each cell of wide answers [R, M + S] loses, in shares of the clean map's mass, and adds to the answer."""
    m = output.width

    def lost(lanes: Lanes, lane: Array, answers: Array) -> Loss:
        own, got = to_numpy(lanes.ref).astype(np.float64)[to_numpy(lane)], to_numpy(answers).astype(np.float64)
        clean, target, found = own[:, m : m + cells], own[:, m + cells :], got[:, m : m + cells]
        scale = np.maximum(np.abs(clean).sum(axis=1, keepdims=True), 1e-12)
        if wanted.what == "target":
            loss = np.abs(found - target * scale / np.maximum(np.abs(target).sum(axis=1, keepdims=True), 1e-12))
        elif wanted.what in ("demote", "promote"):
            named = np.isin(np.arange(cells), wanted.cells)
            loss = np.abs(found) * np.where(named, 1.0, -0.5) * (1 if wanted.what == "demote" else -1)
        elif wanted.what == "hide":
            loss = np.abs(found - clean)
        else:
            loss = np.abs(found) * np.where(foremost(clean), 1.0, -0.5)
        before, after = (evidence(output, a[:, :m].astype(np.float32), own[:, :m]) for a in (own, got))
        room = _room(output, wanted, before)
        return Loss(loss / scale, (found - clean) / room[:, None], (after - before) / room)

    return lost


def _room(output: Output, wanted: Wanted, before: np.ndarray) -> np.ndarray:
    """How far what is explained may move, about, [R]."""
    if wanted.what == "hide" or output.task == "label":
        return np.full(len(before), 1e9)
    if output.task in ("regression", "reconstruction"):
        return np.full(len(before), wanted.tolerance)
    if output.meaning not in ("probabilities", "logits") and not output.shares:
        return np.full(len(before), wanted.logits)
    p = 1 / (1 + np.exp(-np.clip(before, -50, 50)))
    return np.asarray(np.minimum(wanted.logits, wanted.tolerance / np.maximum(p * (1 - p), 1e-12)))


def wish(wanted: Wanted, width: int, cells: int) -> Callable[[Lanes], tuple[np.ndarray, np.ndarray]]:
    """What lanes' maps should become [L, S], and how much each cell counts [L, S]; lanes.ref as of `goal`."""

    def wished(lanes: Lanes) -> tuple[np.ndarray, np.ndarray]:
        own = to_numpy(lanes.ref).astype(np.float64)
        clean, target = own[:, width : width + cells], own[:, width + cells :]
        scale = np.abs(clean).sum(axis=1, keepdims=True)
        if wanted.what == "target":
            return target * scale / np.maximum(np.abs(target).sum(axis=1, keepdims=True), 1e-12), np.ones_like(clean)
        if wanted.what == "drift":
            return np.zeros_like(clean), foremost(clean).astype(np.float64)
        if wanted.what == "hide":
            return clean, np.ones_like(clean)
        named = np.broadcast_to(np.isin(np.arange(cells), wanted.cells), clean.shape)
        return np.where(named, 0.0 if wanted.what == "demote" else scale, clean), named.astype(np.float64)

    return wished


def published(output: Output, cells: int, label: str) -> Costs:
    """The terms of Razmi et al. 2023: the distance L1 of the map to the goal's, what the label asks for, and whether
    it stayed. label: hinge at 0 or at .8 of the difference of probabilities, or the divergence KL from the clean ones.
    """
    m = output.width

    def costs(lanes: Lanes, lane: Array, answers: Array) -> Parts:
        own, got = to_numpy(lanes.ref).astype(np.float64)[to_numpy(lane)], to_numpy(answers).astype(np.float64)
        target, clean = own[:, m + cells :], own[:, :m]
        before, after = (evidence(output, a[:, :m].astype(np.float32), clean) for a in (own, got))
        q, p = (np.clip(1 / (1 + np.exp(-np.clip(v, -50, 50))), 1e-12, 1 - 1e-12) for v in (before, after))
        asked = q * np.log(q / p) + (1 - q) * np.log((1 - q) / (1 - p))
        if label != "kl":
            asked = np.maximum(0, (0.8 if label == "confident" else 0.0) - (2 * p - 1))
        far = np.abs(got[:, m : m + cells] - target).sum(axis=1)
        return Parts(far, asked, same(output, clean.astype(np.float32), got[:, :m].astype(np.float32)))

    return costs
