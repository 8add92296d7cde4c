"""`medaudit defend export-adversarial`: a run's failing inputs as a data file, to train with.

Goodfellow, Shlens, Szegedy 2015, "Explaining and harnessing adversarial examples", section 6: adversarial training.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from medaudit.audit.inputs import points_of
from medaudit.audit.replay import data_of, failing, reopen, report_of
from medaudit.audit.work import start_worker
from medaudit.core.errors import DataError, RunError
from medaudit.core.files import write_atomic
from medaudit.core.interface import Interface
from medaudit.model.codec import points_to_stored

OF_ROWS = ("x", "y", "ids", "groups", "length")
OF_ROWS_NAMED = ("x__", "mask__")


def export(run: Path, out: Path, check: str = "", data_path: Path | None = None, model: Path | None = None) -> int:
    """Write the failing inputs with the labels of their records; their number. check: only of this one.

    Every row keeps its patient, and its id says which check it is from. Raises RunError and DataError.
    """
    report = report_of(run)
    path, data = data_of(run, report, data_path)
    found = failing(run, [c for c in report.checks if c.family == "EV"], check)
    if not found:
        raise RunError(f"{run} holds no failing input", "an attack that found nothing leaves nothing to train with")
    worker = start_worker()
    try:
        face = reopen(worker, run, report, model, path).interface
    finally:
        worker.close()
    rows, deltas = np.array([one.sample for one in found]), np.stack([one.change for one in found])
    points = (points_of(face, data)[rows].astype(np.float64) + deltas).astype(np.float32)
    with np.load(path, allow_pickle=False) as saved:
        arrays = {name: saved[name] for name in saved.files}
    kept = {
        name: values[rows] if name in OF_ROWS or name.startswith(OF_ROWS_NAMED) else values
        for name, values in arrays.items()
    }
    put(face, kept, points, path)
    kept["ids"] = np.array([f"{data.ids[one.sample]}~{one.check}" for one in found])
    kept["groups"] = np.array([data.groups[one.sample] for one in found])
    save(out, kept)
    return len(found)


def put(face: Interface, kept: dict[str, np.ndarray], points: np.ndarray, path: Path) -> None:
    """Set the arrays of a data file's records to points, in the file's own form and types. Raises DataError."""
    for item, values in zip(face.inputs, points_to_stored(face, points), strict=True):
        name = f"x__{item.name}" if f"x__{item.name}" in kept else "x"
        if len(face.inputs) > 1 and name == "x":
            raise DataError(f"{path} holds its inputs in one array", "give one x__<input> for each input of the model")
        own = kept[name]
        if own.dtype.kind in "iu":
            limits = np.iinfo(own.dtype)
            values = np.clip(np.rint(values.astype(np.float64)), limits.min, limits.max)
        kept[name] = values.reshape(own.shape).astype(own.dtype if own.dtype.kind != "U" else None)


def save(out: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write a data or evidence file, whole or not at all."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    write_atomic(out, stream.getvalue())
