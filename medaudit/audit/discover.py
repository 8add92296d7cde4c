"""From a model, a data file and what the policy says: the one interface that the data confirm.

Runs in a worker. Readings of inputs are tried on labelled rows; one is kept only if it is clearly
best, or if it is the model's own declared form.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medaudit.audit import inputs as reading
from medaudit.audit import outputs as answers
from medaudit.audit.spec import Found
from medaudit.audit.truth import truth_of
from medaudit.core.errors import DataError, MedauditError, ModelError, ModelFault
from medaudit.core.interface import Input, Interface, Output
from medaudit.data import Dataset
from medaudit.model.codec import Codec, stored_to_points
from medaudit.model.decode import decode
from medaudit.model.facts import Batching, Facts
from medaudit.model.graph import Model, choose_batching
from medaudit.oracle.decision import decide, scores

ROWS = 200  # rows on which readings are compared
CLEAR = 0.05  # a reading must be better than the next by this much
HEALTHY = re.compile(
    r"\b(normal|healthy|benign|negative|no[ _-]\w+|none|survived|sinus|nsr|n|clear|absent|alive)\b",
    re.I,
)


class Trial(NamedTuple):
    """One reading and how well it does on labelled rows."""

    inputs: tuple[Input, ...]
    output: Output
    quality: float  # balanced accuracy or the like; nan without labels
    decided: np.ndarray
    belief: np.ndarray  # [n] log of the share given to the true class; empty where there is none


def discover(path: Path, facts: Facts, data: Dataset, section: Any, hint: str) -> Found:
    """Raises MedauditError with the candidates when nothing, or more than one reading, fits."""
    use_ref = bool(data.ref) and (data.ref_y is not None or data.y is None)
    x = data.ref if use_ref else data.x
    y = data.ref_y if use_ref else data.y
    index = _spread(len(next(iter(x.values()))))
    x, y = {k: v[index] for k, v in x.items()}, None if y is None else y[index]
    trials: list[Trial] = []
    faults: list[MedauditError] = []
    batching, model = None, None
    options = list(reading.candidates(facts, data, dict(section.inputs), hint))
    for option in options:
        arrays = {item.name: x[data.key(item.name)] for item in option}
        try:
            feeds = _feeds(option, arrays)
            if batching is None or model is None:
                batching = choose_batching(path, feeds)
                model = Model(path, batching)
            trials.append(_try(model, option, arrays, feeds, y, data.classes, section.output))
        except (ModelError, ModelFault) as error:
            faults.append(error)
        if len(options) == 1 or (trials and not _compare(options, y)):
            break
    if not trials:
        if faults and isinstance(faults[0], ModelError):
            raise faults[0]
        why = faults[0].message if faults else "no reading of the inputs could be tried"
        raise ModelError(why, "check model.inputs")
    best = _choose(trials)
    output = best.output
    if not output.disease and output.task in ("multiclass", "label"):
        output = dataclasses.replace(output, disease=_sick(output.classes))
    output = dataclasses.replace(output, votes=section.votes)
    if set(data.classes) == set(output.classes) and tuple(data.classes) != tuple(output.classes):
        raise DataError(
            f"the policy names the classes {', '.join(output.classes)}, the data file {', '.join(data.classes)}",
            "one of the two is in the wrong order: y and the model's columns would mean different classes",
        )
    notes = [] if batching is None or not batching.reason else [batching.reason]
    if section.output.classes is None and output.classes and len(data.classes) not in (0, len(output.classes)):
        notes.append(
            f"the data file names {len(data.classes)} classes ({', '.join(data.classes)}), the model has "
            f"{len(output.classes)}: those names are not used"
        )
    if len(trials) > 1:
        notes.append(f"the reading of the inputs was chosen from {len(trials)} on {len(index)} labelled rows")
    return Found(facts, Interface(best.inputs, output, tuple(notes)), batching or Batching("free"))


def _spread(n: int) -> np.ndarray:
    """Up to ROWS rows, evenly over the file."""
    return np.unique(np.linspace(0, n - 1, min(n, ROWS)).astype(int))


def _compare(options: list[tuple[Input, ...]], y: np.ndarray | None) -> bool:
    """Whether further readings are worth trying: the first is the model's own form unless scaled."""
    first = options[0]
    plain = all(i.minus == (0.0,) and i.over == (1.0,) and i.axes == i.stored_axes for i in first)
    return not plain and y is not None or any(any(i.over != (1.0,) for i in option) for option in options[1:])


def _feeds(option: tuple[Input, ...], arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    interface = Interface(option, Output("regression", ()))
    return Codec(interface).encode(stored_to_points(interface, arrays))


def _try(
    model: Model, option: tuple[Input, ...], arrays: dict[str, np.ndarray], feeds: dict[str, np.ndarray],
    y: np.ndarray | None, classes: tuple[str, ...], section: Any,
) -> Trial:  # fmt: skip
    rows = len(next(iter(arrays.values())))
    try:
        raw = _in_blocks(model, feeds, rows)
    except ModelFault:
        good = [i for i in range(rows) if _answers(model, {k: v[i : i + 1] for k, v in feeds.items()})]
        if 2 * len(good) < rows or len(good) == rows:
            raise  # not a few rows that the model cannot take, but a wrong reading
        arrays, feeds = ({k: v[good] for k, v in d.items()} for d in (arrays, feeds))
        return _try(model, option, arrays, feeds, None if y is None else y[good], classes, section)
    sample = answers.Sample(model.outputs, raw, rows)
    output = answers.read_output(sample, y, classes, section, option)
    picked = [raw[model.outputs.index(name)] for name in output.tensors]
    decoded = decode(output, picked, feeds)
    decided = decide(output, decoded)
    belief = _belief(output, decoded, y)
    return Trial(option, output, quality(output, decided, y), np.asarray(decided), belief)


def _belief(output: Output, decoded: np.ndarray, y: np.ndarray | None) -> np.ndarray:
    """Log-likelihood of the true classes: tells readings apart that decide almost alike."""
    if y is None or output.task not in ("multiclass", "binary"):
        return np.zeros(0)
    truth = truth_of(output, y)
    values = scores(output, decoded).astype(np.float64)
    if output.task == "binary":
        values = np.concatenate([-values / 2, values / 2], axis=1)
    top = values.max(axis=1, keepdims=True)
    log_share = values - top - np.log(np.exp(values - top).sum(axis=1, keepdims=True))
    place = np.clip(truth, 0, values.shape[1] - 1)
    return np.asarray(np.maximum(log_share[np.arange(len(truth)), place], -20.0))


def _surer(a: Trial, b: Trial) -> bool:
    """The first reading's beliefs are better by more than three standard errors."""
    if not a.belief.size or a.belief.size != b.belief.size:
        return False
    gain = a.belief - b.belief
    return bool(gain.mean() > 3 * gain.std() / np.sqrt(gain.size) and a.quality >= b.quality)


def _answers(model: Model, feeds: dict[str, np.ndarray]) -> bool:
    try:
        model.call(feeds)
    except ModelFault:
        return False
    return True


def _in_blocks(model: Model, feeds: dict[str, np.ndarray], rows: int, block: int = 32) -> list[Any]:
    parts = [model.call({k: v[s : s + block] for k, v in feeds.items()}) for s in range(0, rows, block)]
    joined: list[Any] = []
    for column in zip(*parts, strict=True):
        if isinstance(column[0], list):
            joined.append([row for part in column for row in part])
        else:
            joined.append(np.concatenate([np.atleast_1d(part) for part in column]))
    return joined


def quality(output: Output, decided: np.ndarray, y: np.ndarray | None) -> float:
    """Balanced accuracy, minus relative error, or agreement of masks: larger is better."""
    if y is None:
        return float("nan")
    decided = np.asarray(decided)
    truth = truth_of(output, y)
    if output.task == "regression":
        spread = float(np.std(truth)) or 1.0
        return -float(np.mean(np.abs(decided - truth))) / spread
    if output.task == "reconstruction":
        return -float(np.mean(decided))
    if output.task in ("multilabel", "segmentation"):
        return float(np.mean(decided == truth))
    shares = [float(np.mean(decided[truth == k] == k)) for k in np.unique(truth) if k >= 0]
    return float(np.mean(shares)) if shares else float("nan")


def _choose(trials: list[Trial]) -> Trial:
    """The clearly best reading; readings that decide alike count as one, the first of them."""
    unique: list[Trial] = []
    for trial in trials:
        if not any(np.array_equal(trial.decided, other.decided) for other in unique):
            unique.append(trial)
    ranked = sorted(unique, key=lambda t: -np.nan_to_num(t.quality, nan=-np.inf))
    if len(ranked) == 1 or np.isnan(ranked[0].quality):
        return trials[0]
    if ranked[0].quality - ranked[1].quality >= CLEAR or _surer(ranked[0], ranked[1]):
        return ranked[0]
    listed = "; ".join(f"{_words(t.inputs)} ({t.quality:.3f})" for t in ranked[:4])
    raise MedauditError(
        f"more than one reading of the inputs does about equally well on labelled rows: {listed}",
        "declare axes and scale in model.inputs of the policy",
    )


def _words(option: tuple[Input, ...]) -> str:
    return ", ".join(f"{i.name}: {'x'.join(i.stored_axes[1:])}, (x - {i.minus[0]:g}) / {i.over[0]:g}" for i in option)


def _sick(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Classes that are disease by their names, where some class is plainly healthy."""
    healthy = [c for c in classes if HEALTHY.search(c)]
    return tuple(c for c in classes if c not in healthy) if healthy else ()
