"""The graph's outputs -> one float32 array per row, whatever form the exporter chose.

multiclass [R, classes] · binary [R, 1] · multilabel [R, findings] · label [R, 1] (class index)
· regression [R, values] · segmentation [R, classes * positions] or [R, positions]
· reconstruction [R, 1] (root mean square error against what was fed)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from medaudit.core.errors import ModelError, ModelFault
from medaudit.core.interface import Output

NO_CLASS = -1.0


def decode(output: Output, raw: list[Any], feeds: dict[str, np.ndarray]) -> np.ndarray:
    """`raw`: values of `output.tensors` in that order, for R rows."""
    if output.task == "label":
        return _labels(output, raw[0])
    if output.task == "reconstruction":
        fed = next(v for v in feeds.values() if v.size == np.asarray(raw[0]).size)
        gap = np.asarray(raw[0], dtype=np.float64).reshape(len(fed), -1) - fed.reshape(len(fed), -1)
        error: np.ndarray = np.sqrt(np.mean(gap * gap, axis=1, keepdims=True))
        return error.astype(np.float32)
    if isinstance(raw[0], list):
        return _zipmap(output, raw[0])
    if len(raw) > 1:
        return np.stack([np.asarray(r, dtype=np.float32).reshape(-1) for r in raw], axis=1)
    values = np.asarray(raw[0])
    if values.dtype.kind not in "fiub":
        values = values.astype(np.float32)
    if not values.size:
        raise ModelFault(f"output {output.tensors[0]!r} is empty")
    if output.task == "segmentation" and output.class_axis:
        values = np.moveaxis(values, output.class_axis, 1)
    flat = values.reshape(values.shape[0], -1) if values.ndim > 1 else values.reshape(-1, 1)
    if flat.shape[1] != output.width:
        raise ModelError(
            f"output {output.tensors[0]!r} has {flat.shape[1]} numbers per row, "
            f"{output.width} were expected for task {output.task}",
            "check model.output in the policy",
        )
    return np.ascontiguousarray(flat, dtype=np.float32)


def _labels(output: Output, raw: Any) -> np.ndarray:
    values = np.asarray(raw).reshape(-1)
    if values.dtype.kind in "iub":
        names: list[Any] = [int(k) for k in output.labels]
        place = {name: float(i) for i, name in enumerate(names)}
        return np.array([[place.get(int(v), NO_CLASS)] for v in values], dtype=np.float32)
    if values.dtype.kind == "f":
        place = {float(k): float(i) for i, k in enumerate(output.labels)}
        return np.array([[place.get(float(v), NO_CLASS)] for v in values], dtype=np.float32)
    text = {str(k): float(i) for i, k in enumerate(output.labels)}
    return np.array([[text.get(_text(v), NO_CLASS)] for v in values], dtype=np.float32)


def _zipmap(output: Output, rows: list[dict[Any, float]]) -> np.ndarray:
    keys = output.labels
    wide = np.array([[row.get(k, np.nan) for k in keys] for row in rows], dtype=np.float32)
    return wide[:, -1:] if output.task == "binary" else wide


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
