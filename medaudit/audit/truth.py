"""Labels of a data file in the form of a model's decisions."""

from __future__ import annotations

import numpy as np

from medaudit.core.errors import DataError
from medaudit.core.interface import Output
from medaudit.oracle.decision import decide


def truth_of(output: Output, y: np.ndarray) -> np.ndarray:
    """Labels in the form of decisions: [n] classes, [n, K] findings or values, [n, P] masks."""
    if output.task in ("multiclass", "binary", "label"):
        if y.dtype.kind in "US":
            place = {name: i for i, name in enumerate(output.classes)}
            raw = {str(k): i for i, k in enumerate(output.labels)}
            for row, v in enumerate(y.ravel()):
                if str(v) not in place and str(v) not in raw:
                    raise DataError(
                        f"y of row {row} is {str(v)[:60]!r}, which is not one of: {', '.join(output.classes)}"
                    )
            return np.array([place.get(str(v), raw.get(str(v), -1)) for v in y.ravel()], dtype=np.int64)
        flat = y.reshape(-1)
        if len(flat) != len(y):
            raise DataError(f"y has shape {y.shape}, but the model gives one class per row")
        place_ = {int(k): i for i, k in enumerate(output.labels) if isinstance(k, int)}
        odd = ~np.isfinite(flat.astype(np.float64)) | (flat != np.rint(flat))
        if odd.any():
            raise DataError(f"y of row {int(odd.argmax())} is {flat[odd][0]}, a whole class number was expected")
        whole = flat.astype(np.int64)
        if place_ and set(np.unique(whole)) <= set(place_):
            return np.array([place_[int(v)] for v in whole], dtype=np.int64)
        outside = (whole < 0) | (whole >= len(output.classes))
        if outside.any():
            raise DataError(
                f"y of row {int(outside.argmax())} is {int(whole[outside][0])}, but the model has "
                f"{len(output.classes)} classes, 0 to {len(output.classes) - 1}"
            )
        return whole
    if y.dtype.kind not in "biuf":
        raise DataError(f"y has type {y.dtype}, numbers were expected for {output.task}")
    table = y.reshape(len(y), -1)
    wanted = {
        "multilabel": output.width, "segmentation": output.positions, "regression": output.width,
    }.get(output.task, table.shape[1])  # fmt: skip
    if table.shape[1] != wanted:
        raise DataError(f"y has shape {y.shape}, but the model gives {wanted} numbers per row ({output.task})")
    if output.task in ("multilabel", "segmentation"):
        top = 1 if output.task == "multilabel" else max(1, len(output.classes) - 1)
        odd = ~((table >= 0) & (table <= top) & (table == np.rint(table)))
        if odd.any():
            raise DataError(
                f"y of row {int(odd.any(axis=1).argmax())} holds {table[odd][0]}, not whole numbers 0 to {top}"
            )
        return table.astype(np.int64)
    return table.astype(np.float64)


def right_decisions(output: Output, y: np.ndarray | None, answers: np.ndarray) -> np.ndarray:
    """What counts as right, in the form of decisions: the labels, or the decisions of clean answers [n, M]
    where there are none."""
    return np.asarray(decide(output, answers)) if y is None else truth_of(output, y)
