"""Labels of a data file in the form of a model's decisions."""

from __future__ import annotations

import numpy as np

from medaudit.core.errors import DataError
from medaudit.core.interface import Output


def truth_of(output: Output, y: np.ndarray) -> np.ndarray:
    """Labels in the form of decisions: [n] classes, [n, K] findings or values, [n, P] masks."""
    if output.task in ("multiclass", "binary", "label"):
        if y.dtype.kind in "US":
            place = {name: i for i, name in enumerate(output.classes)}
            raw = {str(k): i for i, k in enumerate(output.labels)}
            return np.array(
                [place.get(str(v), raw.get(str(v), -1)) for v in y.ravel()], dtype=np.int64
            )
        flat = y.reshape(-1)
        if len(flat) != len(y):
            raise DataError(f"y has shape {y.shape}, but the model gives one class per row")
        place_ = {int(k): i for i, k in enumerate(output.labels) if isinstance(k, int)}
        whole = flat.astype(np.int64)
        if place_ and set(np.unique(whole)) <= set(place_):
            return np.array([place_[int(v)] for v in whole], dtype=np.int64)
        return whole
    flat2 = y.reshape(len(y), -1)
    if output.task in ("multilabel", "segmentation"):
        return flat2.astype(np.int64)
    return flat2.astype(np.float64)
