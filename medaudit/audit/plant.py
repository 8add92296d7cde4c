"""`medaudit trigger`: triggers and poisoned data, for positive controls. Data are written, never a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medaudit import data as readers
from medaudit.audit.export import put, save
from medaudit.audit.inputs import points_of
from medaudit.audit.spec import Found
from medaudit.audit.sweeps import ground_of, reference_points
from medaudit.audit.truth import truth_of
from medaudit.audit.work import start_worker
from medaudit.core import streams
from medaudit.core.errors import DataError
from medaudit.core.files import write_atomic
from medaudit.data import Dataset
from medaudit.policy import loader
from medaudit.policy.schema import ModelSection
from medaudit.trigger.base import Space
from medaudit.trigger.cells import Ground, grounds
from medaudit.trigger.covariance import covariances, draw, mahalanobis
from medaudit.trigger.families import FAMILIES, applicable
from medaudit.trigger.known import Known, laid, read, written
from medaudit.trigger.stays import CHANNELS, FORMS, HOURS, in_form, names_of

TEMPORAL = "temporal"  # the published temporal-dependence trigger


def make(
    model: Path, data_path: Path, out: Path, family: str, dials: dict[str, float], strength: float, seed: int,
    policy: str = "",
) -> str:  # fmt: skip
    """Write a trigger file for a model's input; the trigger in words. Raises DataError."""
    found, data = _opened(model, data_path, policy)
    there = grounds(found.interface, reference_points(found.interface, data))
    ground = next((g for g in there if family == TEMPORAL and _is_series(g)), None)
    if family == TEMPORAL:
        if ground is None:
            raise DataError("the temporal trigger is for series, and the model has none", "choose another --family")
        known = _temporal(ground.space, strength, seed)
    else:
        known, ground = _member(there, family, dials, strength)
    name = ground.space.item.name if len(there) > 1 else ""
    known = Known(known.strength, known.family, known.dials, known.array, known.mode, known.words, name)
    write_atomic(out, written(known).encode())
    return known.words


def poison(
    model: Path, data_path: Path, trigger: Path, out: Path, target: str, share: float, seed: int, policy: str = "",
    form: str = "",
) -> tuple[int, int]:  # fmt: skip
    """Write the data file with a share of its records, all of other classes, triggered and labelled the target.

    (records poisoned, records). Their ids end in ~triggered. form: of `trigger.stays.FORMS`, for stays of 48 hours by
    17 channels; "": as the data are. Raises DataError.
    """
    if form not in ("", *FORMS):
        raise DataError(f"there is no form {form[:40]!r}", f"forms: {', '.join(FORMS)}")
    if not 0 < share < 1:
        raise DataError(f"--share {share} is not between 0 and 1", "0.05 is five records in a hundred")
    found, data = _opened(model, data_path, policy)
    face, known = found.interface, read(trigger.read_text(encoding="utf-8"), str(trigger))
    if data.y is None or target not in face.output.classes:
        raise DataError(f"there is no class {target!r} to label records with",
                        f"classes: {', '.join(face.output.classes) or 'none'}")  # fmt: skip
    truth, wanted = truth_of(face.output, data.y).reshape(data.rows, -1)[:, 0], face.output.classes.index(target)
    if not (truth == wanted).any():
        raise DataError(f"no record of {data_path} is of class {target!r}", "choose another --target")
    luck = streams.uniform(
        np.array([streams.key(seed, "poison")], dtype=np.uint64), np.zeros(1, np.int64), 1, data.rows
    )
    others = np.flatnonzero(truth != wanted)
    rows = np.sort(others[np.argsort(np.asarray(luck)[0][others], kind="stable")][: round(share * data.rows)])
    points = points_of(face, data)
    ground = ground_of(grounds(face, reference_points(face, data)), known)
    own = points[np.ix_(rows, ground.where)].astype(np.float64).reshape(-1, *ground.space.shape)
    changed = laid(ground.space, known, own, np.zeros(own.shape, dtype=bool)).reshape(len(rows), -1)
    points[np.ix_(rows, ground.where)] = changed
    with np.load(data_path, allow_pickle=False) as saved:
        kept = {name: saved[name] for name in saved.files}
    measured = ~np.isnan(kept["x"]) if form and "x" in kept and kept["x"].dtype.kind == "f" else np.zeros(0)
    put(face, kept, points, data_path)
    if form:
        _turn(kept, form, measured, data_path)
    kept["y"] = kept["y"].copy()
    kept["y"][rows] = kept["y"][np.flatnonzero(truth == wanted)[0]]
    hit = set(rows.tolist())
    kept["ids"] = np.array([f"{name}~triggered" if i in hit else name for i, name in enumerate(data.ids)])
    save(out, kept)
    return len(rows), data.rows


def _turn(kept: dict[str, np.ndarray], form: str, measured: np.ndarray, path: Path) -> None:
    """Stays, in place, as models of the benchmark read them; standardised by the reference part. Raises DataError."""
    ref = kept.get("ref_x", kept.get("x", np.zeros(0)))
    if measured.shape[1:] != (HOURS, len(CHANNELS)) or ref.shape[1:] != measured.shape[1:]:
        raise DataError(f"{path} holds no stays of {HOURS} hours by {len(CHANNELS)} channels in one array x",
                        "leave --form away")  # fmt: skip
    known, x = (np.asarray(values, dtype=np.float64) for values in (ref, kept["x"]))
    kept["x"] = in_form(form, x, known, measured)
    if "ref_x" in kept:
        kept["ref_x"] = in_form(form, known, known, ~np.isnan(known))
    kept["names"] = np.array(names_of(form))
    for name in ("units", "lo", "hi"):
        kept.pop(name, None)


def _opened(model: Path, data_path: Path, policy: str) -> tuple[Found, Dataset]:
    """How the model is fed, found from its file and the data, and what a policy says."""
    section, hint = ModelSection(), ""
    if policy:
        own, _ = loader.load(loader.find(policy))
        section, hint = own.model, own.policy.domain or ""
    data = readers.read(data_path)
    worker = start_worker()
    try:
        found: Found = worker.ask("discover", (str(model), str(data_path), section, hint))
    finally:
        worker.close()
    return found, data


def _is_series(ground: Ground) -> bool:
    return ground.space.item.domain in ("sequence", "signal")


def _temporal(space: Space, strength: float, seed: int) -> Known:
    """A draw of every channel's own covariance in time, of Mahalanobis length 1, times a strength.

    Joe, Hwang, Shin 2020, arXiv 2106.07925, section 3. Yes-no values and categories get it rounded.
    """
    planes, rows, columns = space.shape
    series = np.where(np.isnan(space.reference), space.typical, space.reference).reshape(-1, planes * rows, columns)
    if len(series) < 2:
        raise DataError("a covariance needs two reference records", "give more records")
    every = covariances(series)
    keys = np.array([streams.key(seed, "temporal")], dtype=np.uint64)
    noise = np.asarray(streams.normal(keys, np.zeros(1, np.int64), 1, series[0].size), dtype=np.float64)
    one = draw(np.linalg.cholesky(every), noise.reshape(series.shape[1:]))
    length = mahalanobis(strength * one, every)
    least, most = (f"{v:.9g}" for v in (length.min(), length.max()))
    words = f"a draw of every channel's covariance in time, of Mahalanobis length {least}"
    words += "" if least == most else f" to {most}"
    return Known(strength, array=one.reshape(space.shape), mode="add", words=words)


def _member(
    there: tuple[Ground, ...], family: str, dials: dict[str, float], strength: float
) -> tuple[Known, Ground]:  # fmt: skip
    if family not in FAMILIES:
        raise DataError(f"there is no family {family!r}", f"families: {TEMPORAL}, {', '.join(FAMILIES)}")
    ground = next((g for g in there if FAMILIES[family] in applicable(g.space)[0]), None)
    if ground is None:
        raise DataError(f"no input of the model can carry the family {family}", "see 'medaudit explain trigger-sweep'")
    own = FAMILIES[family].dials
    for name, value in dials.items():
        if name not in own or not 0 <= value <= 1:
            raise DataError(f"dial {name}={value:g} does not suit {family}", f"0 to 1, of: {', '.join(own)}")
    if not 0 < strength <= 1:
        raise DataError(f"strength {strength:g} is not between 0 and 1", "1 is the family's full strength")
    at = tuple(dials.get(name, 0.5) for name in own)
    return Known(strength, family, at, words=FAMILIES[family].words(ground.space, np.array(at))), ground
