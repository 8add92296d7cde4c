"""`medaudit defend fit-denoiser`: a denoiser for one model's tensors, trained on reference rows."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medaudit import data as readers
from medaudit.audit.inputs import points_of
from medaudit.audit.spec import Found
from medaudit.audit.work import start_worker
from medaudit.core.errors import MedauditError, ModelError
from medaudit.core.files import write_atomic
from medaudit.core.interface import CHANNEL_AXIS, Input, Interface
from medaudit.data import Dataset
from medaudit.model.codec import Codec, stored_to_points
from medaudit.policy import loader
from medaudit.policy.schema import ModelSection

if TYPE_CHECKING:
    from medaudit.train.denoiser import Fitted

KINDS = ("autoencoder", "vae")


def fit_denoiser(
    model: Path, data_path: Path, out: Path, policy: str = "", name: str = "", kind: str = KINDS[0],
    noise: float = 0.3, steps: int = 1000, seed: int = 1,
) -> tuple[Fitted, str]:  # fmt: skip
    """Train, write the graph, see that it loads; what it is worth, and the name of the input that it is for.

    policy: what says how the model is fed; "": discovery alone. name: of the input; "": the only one of numbers.
    Raises MedauditError without PyTorch, without rows, or where no input is made of numbers.
    """
    if kind not in KINDS:
        raise MedauditError(f"a denoiser of kind {kind!r} is not known", f"use one of: {', '.join(KINDS)}")
    if not noise > 0 or steps < 1:
        raise MedauditError(f"noise {noise:g} and {steps} steps teach nothing", "give numbers above zero")
    if importlib.util.find_spec("torch") is None:
        raise MedauditError("fitting a denoiser needs PyTorch", "pip install 'medaudit[train]'")
    from medaudit.train.denoiser import Settings, fit

    data, section, hint = readers.read(data_path), ModelSection(), ""
    if policy:
        read, _ = loader.load(loader.find(policy))
        section, hint = read.model, read.policy.domain or ""
    worker = start_worker()
    try:
        found: Found = worker.ask("discover", (str(model), str(data_path), section, hint))
        item = _chosen(found.interface, name)
        rows = Codec(found.interface).encode(_rows(found.interface, data))[item.name]
        fitted = fit(np.asarray(rows), _channel_axis(item), item.name, Settings(kind, noise, steps, seed))
        with tempfile.TemporaryDirectory() as folder:  # what cannot be loaded is not left behind
            trial = Path(folder, "denoiser.onnx")
            trial.write_bytes(fitted.graph)
            worker.ask("load", (str(trial), "cpu"))
        write_atomic(out, fitted.graph)
    finally:
        worker.close()
    return fitted, item.name


def _chosen(face: Interface, name: str) -> Input:
    able = {item.name: item for item in face.inputs if item.dtype.startswith("float")}
    if not able:
        raise ModelError("no input of this model is made of numbers that a denoiser could give back")
    if name and name not in able:
        raise ModelError(f"the model has no input {name!r} of numbers; it has: {', '.join(able)}")
    if not name and len(able) > 1:
        raise ModelError(f"a denoiser is for one input; the model has {', '.join(able)}", "name one with --input")
    item = able[name] if name else next(iter(able.values()))
    if item.dtype != "float32":
        raise ModelError(f"input {item.name!r} is {item.dtype}; denoisers are made for float32")
    return item


def _rows(face: Interface, data: Dataset) -> np.ndarray:
    """Points of the reference rows; of all rows where the file has no reference."""
    if not data.ref:
        return points_of(face, data)
    return stored_to_points(face, {item.name: data.ref[data.key(item.name)] for item in face.inputs})


def _channel_axis(item: Input) -> int:
    """Which axis of the tensor tells channels apart; 0: none does; -1: every number is a channel."""
    if item.domain == "table":
        return -1
    return next((item.axes.index(axis) for axis in (CHANNEL_AXIS[item.domain], "one") if axis in item.axes), 0)
