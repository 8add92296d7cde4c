"""Finding how the graph's outputs are read: looks at values, not at names."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from medaudit.core.errors import DataError, ModelError
from medaudit.core.interface import Input, Output
from medaudit.core.text import printable


@dataclass(frozen=True)
class Sample:
    """What the model gave for some rows."""

    names: list[str]
    values: list[Any]  # as decoded from ONNX Runtime
    rows: int


def read_output(
    sample: Sample,
    y: np.ndarray | None,
    classes: tuple[str, ...],
    section: Any,
    inputs: tuple[Input, ...],
) -> Output:
    """One reading of the outputs. Raises with the candidates when it is ambiguous."""
    wanted = tuple(section.tensors) if section and section.tensors else None
    if wanted is not None:
        unknown = [n for n in wanted if n not in sample.names]
        if unknown:
            raise ModelError(f"the policy names output {unknown[0]!r}, but the model has: {', '.join(sample.names)}")
        places = [sample.names.index(n) for n in wanted]
        sample = Sample(list(wanted), [sample.values[i] for i in places], sample.rows)
    task = section.task if section else None
    found = (
        _zipmap(sample, classes, task)
        or _columns(sample, classes, task)
        or _array(sample, y, classes, task, inputs, section)
        or _label(sample, classes, task)
    )
    if found is None:
        shapes = ", ".join(f"{printable(n)} {_kind(v)}" for n, v in zip(sample.names, sample.values, strict=True))
        raise ModelError(
            f"no output could be read as a decision; outputs: {shapes}",
            "give model.output in the policy",
        )
    return _with_policy(found, section)


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "sequence of maps"
    return f"{np.asarray(value).dtype}{list(np.shape(value))}"


def _zipmap(sample: Sample, classes: tuple[str, ...], task: str | None) -> Output | None:
    """[label], sequence of maps: keys are the labels, in the graph's own order."""
    for name, value in zip(sample.names, sample.values, strict=True):
        if isinstance(value, list) and value and isinstance(value[0], dict) and task != "label":
            keys = tuple(value[0])
            table = np.array([[row[k] for k in keys] for row in value], dtype=np.float64)
            keys, names, order = _named(keys, classes)
            return Output("multiclass", (name,), _meaning(table[:, order]), names, keys)
    return None


def _named(keys: tuple[Any, ...], classes: tuple[str, ...]) -> tuple[tuple[Any, ...], tuple[str, ...], list[int]]:
    """Graph labels in the order of the data file's classes, and the classes' names."""
    if classes and all(str(k) in classes for k in keys):
        order = sorted(range(len(keys)), key=lambda i: classes.index(str(keys[i])))
        return tuple(keys[i] for i in order), tuple(str(keys[i]) for i in order), order
    if all(isinstance(k, (int, np.integer)) for k in keys):
        order = sorted(range(len(keys)), key=lambda i: int(keys[i]))
        ordered = tuple(int(keys[i]) for i in order)
        names = tuple(classes) if len(classes) == len(keys) else tuple(str(k) for k in ordered)
        return ordered, names, order
    names = tuple(classes) if len(classes) == len(keys) else tuple(str(k) for k in keys)
    return keys, names, list(range(len(keys)))


def _columns(sample: Sample, classes: tuple[str, ...], task: str | None) -> Output | None:
    """A label and one column per class."""
    floats = [
        (n, np.asarray(v))
        for n, v in zip(sample.names, sample.values, strict=True)
        if not isinstance(v, list) and np.asarray(v).dtype.kind == "f" and np.asarray(v).size == sample.rows
    ]
    if len(floats) < 2 or task == "label":
        return None
    table = np.stack([v.reshape(-1) for _, v in floats], axis=1)
    names = classes if len(classes) == len(floats) else tuple(n for n, _ in floats)
    return Output("multiclass", tuple(n for n, _ in floats), _meaning(table), names)


def _meaning(table: np.ndarray) -> str:
    """Rows that are shares of one are probabilities; names are not evidence."""
    inside = np.all(table >= -1e-6) and np.all(table <= 1 + 1e-6)
    if inside and np.allclose(table.sum(axis=1), 1, atol=1e-3):
        return "probabilities"
    return "logits"


def _array(
    sample: Sample,
    y: np.ndarray | None,
    classes: tuple[str, ...],
    task: str | None,
    inputs: tuple[Input, ...],
    section: Any,
) -> Output | None:
    """The first output of numbers that fits the labels."""
    if task == "label":
        return None
    for name, value in zip(sample.names, sample.values, strict=True):
        if isinstance(value, list):
            continue
        array = np.asarray(value)
        if array.dtype.kind != "f" and str(array.dtype) != "bfloat16":
            continue
        found = _numbers(name, array.astype(np.float64), sample.rows, y, classes, task, inputs, section)
        if found is not None:
            return _agree_with_label(found, array, sample)
    return None


def _numbers(
    name: str, array: np.ndarray, rows: int, y: np.ndarray | None, classes: tuple[str, ...], task: str | None,
    inputs: tuple[Input, ...], section: Any,
) -> Output | None:  # fmt: skip
    if array.ndim == 0 or array.shape[0] != rows:
        return None
    tail = tuple(d for d in array.shape[1:] if d != 1)
    fed = {i.shape for i in inputs}
    labels = None if y is None else tuple(d for d in y.shape[1:] if d != 1)
    whole = y is None or y.dtype.kind in "iubUS" or bool(np.all(y == np.rint(y)))
    count = len(np.unique(y)) if y is not None and y.ndim == 1 else 0
    inside = bool(np.all((array >= -1e-6) & (array <= 1 + 1e-6)))
    if task in ("segmentation", "reconstruction") or len(tail) >= 1 and array.ndim > 2:
        return _dense(name, array, y, classes, task, fed, inside)
    if len(tail) == 1 and task in (None, "multiclass") and labels in (None, ()):
        names = classes if len(classes) == tail[0] else tuple(f"class {k}" for k in range(tail[0]))
        return Output("multiclass", (name,), _meaning(array.reshape(rows, -1)), names)
    if len(tail) == 1 and labels == tail and y is not None:
        if task == "multilabel" or (task is None and set(np.unique(y)) <= {0, 1}):
            names = classes if len(classes) == tail[0] else tuple(f"finding {k}" for k in range(tail[0]))
            cut = 0.5 if inside else 0.0
            meaning = "probabilities" if inside else "logits"
            return Output("multilabel", (name,), meaning, names, thresholds=(cut,) * tail[0], disease=names)
        if task in (None, "regression"):
            return Output("regression", (name,), "values", units=("",) * tail[0])
    if task == "multilabel" and len(tail) == 1:
        meaning, cut = ("probabilities", 0.5) if inside else ("logits", 0.0)
        names = classes if len(classes) == tail[0] else tuple(f"finding {k}" for k in range(tail[0]))
        return Output("multilabel", (name,), meaning, names, thresholds=(cut,) * tail[0], disease=names)
    if tail:
        if task in (None, "reconstruction") and array.shape[1:] in fed:
            return Output("reconstruction", (name,), "values")
        return Output("regression", (name,), "values", units=("",) * tail[0]) if task == "regression" else None
    two = count <= 2 and whole and (y is None or set(np.unique(y)) <= {0, 1})
    if task == "binary" or (task is None and y is not None and two):
        names = classes if len(classes) == 2 else ("negative", "positive")
        meaning, cut = ("probabilities", 0.5) if inside else ("logits", 0.0)
        return Output("binary", (name,), meaning, names, thresholds=(cut,), disease=(names[1],))
    if task == "regression" or (task is None and y is not None):
        return Output("regression", (name,), "values", units=("",))
    if y is None:
        raise DataError(
            f"output {printable(name)!r} is one number per row: a score of one finding, or a measured value?",
            "give y in the data file, or model.output.task: binary or regression in the policy",
        )
    return None


def _dense(
    name: str, array: np.ndarray, y: np.ndarray | None, classes: tuple[str, ...], task: str | None,
    fed: set[tuple[int, ...]], inside: bool,
) -> Output | None:  # fmt: skip
    """An output with many numbers per row: a reconstruction of the input, or a mask."""
    positions = None if y is None else int(np.prod(y.shape[1:]))
    same = array.shape[1:] in fed
    wanted_mask = task == "segmentation" or (task is None and y is not None and y.ndim > 1 and y.dtype.kind in "iub")
    if not wanted_mask:
        return Output("reconstruction", (name,), "values") if same or task == "reconstruction" else None
    total = int(np.prod(array.shape[1:]))
    positions = positions or total
    if total == positions:
        meaning, cut = ("probabilities", 0.5) if inside else ("logits", 0.0)
        names: tuple[str, ...] = classes if len(classes) == 2 else ("background", "structure")
        return Output(
            "segmentation",
            (name,),
            meaning,
            names,
            thresholds=(cut,),
            class_axis=0,
            positions=positions,
        )
    k = total // positions
    axis = next((i for i in (1, array.ndim - 1) if array.shape[i] == k), None)
    if k * positions != total or axis is None:
        return None
    names = classes if len(classes) == k else tuple(f"class {i}" for i in range(k))
    return Output("segmentation", (name,), "logits", names, class_axis=axis, positions=positions)


def _agree_with_label(found: Output, array: np.ndarray, sample: Sample) -> Output:
    """Scores of a classifier that also gives its label: the label's order of classes is the truth.

    Two-class exports of some libraries write decision values in reversed columns, or one column.
    """
    if found.task not in ("multiclass", "binary"):
        return found
    for value in sample.values:
        if isinstance(value, list):
            continue
        label = np.asarray(value)
        if label.dtype.kind not in "iOUS" or label.size != sample.rows:
            continue
        keys = sorted({str(v) for v in label.reshape(-1)})
        place = {k: i for i, k in enumerate(keys if len(keys) > 1 else ["0", "1"])}
        told = np.array([place.get(str(v), 0) for v in label.reshape(-1)])
        flat = array.reshape(sample.rows, -1).astype(np.float64)
        if found.task == "multiclass" and flat.shape[1] == 2:
            own = flat.argmax(axis=1)
            if np.mean(own == told) < 0.05:
                return _label(sample, found.classes, "label") or found
    return found


def _label(sample: Sample, classes: tuple[str, ...], task: str | None) -> Output | None:
    """A label only: integers or text."""
    for name, value in zip(sample.names, sample.values, strict=True):
        if isinstance(value, list):
            continue
        array = np.asarray(value)
        if array.size != sample.rows or array.dtype.kind not in "iubOUS":
            continue
        if array.dtype.kind in "iub":
            seen_ = sorted({int(v) for v in array.reshape(-1)})
            first = seen_[-1] - len(classes) + 1
            if len(classes) > 1 and 0 < first <= seen_[0]:
                # Labels that do not count from 0, such as 1 to 3: the classes' names in their order.
                return Output("label", (name,), "labels", classes, tuple(range(first, seen_[-1] + 1)))
            n = max(len(classes), seen_[-1] + 1, 2)
            names = classes if len(classes) == n else tuple(str(k) for k in range(n))
            return Output("label", (name,), "labels", names, tuple(range(n)))
        seen = {v.decode() if isinstance(v, bytes) else str(v) for v in array.reshape(-1)}
        names = classes if seen <= set(classes) else tuple(sorted(seen | set(classes)))
        return Output("label", (name,), "labels", tuple(names), tuple(names))
    return None


def _with_policy(found: Output, section: Any) -> Output:
    """What the policy says about the output, over what was found."""
    if section is None:
        return found
    changes: dict[str, Any] = {}
    for name in ("meaning", "classes", "labels", "disease", "units", "class_axis"):
        if getattr(section, name) is not None:
            changes[name] = getattr(section, name)
    if section.at_least is not None:
        cut = section.at_least if isinstance(section.at_least, tuple) else (section.at_least,)
        many = len(found.thresholds) if found.task == "multilabel" else 1
        changes["thresholds"] = cut * many if len(cut) == 1 else cut
    if found.task == "label" and "labels" in changes:
        found = dataclasses.replace(found, classes=tuple(str(label) for label in changes["labels"]))
    classes = changes.get("classes", found.classes)
    if len(classes) != len(found.classes) or len(set(classes)) != len(classes):
        raise ModelError(
            f"model.output.classes must be {len(found.classes)} different names, not: {', '.join(classes)}"
        )
    if "thresholds" in changes and not found.thresholds:
        raise ModelError(f"model.output.at_least is for one score a finding; this model's task is {found.task}")
    if len(changes.get("thresholds", found.thresholds)) != len(found.thresholds):
        raise ModelError(f"model.output.at_least must be one number, or {len(found.thresholds)}, one per finding")
    for name in changes.get("disease", ()):
        if name not in classes:
            raise ModelError(f"model.output.disease names {name!r}, which is not one of: {', '.join(classes)}")
    if "classes" in changes and "disease" not in changes and found.task in ("binary", "multilabel"):
        changes["disease"] = changes["classes"][1:] if found.task == "binary" else changes["classes"]
    if changes.get("meaning") == "logits" and found.meaning == "probabilities" and section.at_least is None:
        changes["thresholds"] = tuple(0.0 for _ in found.thresholds)
    return dataclasses.replace(found, **changes)
