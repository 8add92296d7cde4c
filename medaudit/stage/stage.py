"""Stages as plain data, and those that act on points: prepared once, then row by row.

A stage that adds noise draws it by the row's own bytes: the same row meets the same noise in any company, and the
re-check of a finding, which has another salt, meets other noise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from medaudit.core import streams
from medaudit.core.errors import MedauditError
from medaudit.core.interface import Input, Interface
from medaudit.domain.quantity import Quantity
from medaudit.domain.threat import per_number, unit_scale
from medaudit.stage import filters

Change = Callable[[Input, np.ndarray, tuple[float, ...]], np.ndarray]
Step = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""points [R, D] float32, keys [R] uint64 -> points [R, D] float32"""
TAG = 8101


class Kind(NamedTuple):
    """What a stage does, and to which data."""

    title: str  # with the amount as {}
    domains: tuple[str, ...]
    change: Change | None = None  # None: it adds noise, or is no matter of points


ALL, DENSE = ("signal", "image", "table", "sequence"), ("signal", "image")
KINDS = {
    "median": Kind("median of {}", DENSE, filters.median),
    "blur": Kind("Gaussian blur of {}", DENSE, filters.blur),
    "jpeg": Kind("JPEG of quality {}", ("image",), filters.jpeg),
    "bits": Kind("{} bits", ALL, filters.bits),
    "band_pass": Kind("{} Hz kept", ("signal",), filters.band_pass),
    "z_score": Kind("each record to mean 0 and sd 1", ("signal", "image"), filters.z_score),
    "noise": Kind("noise of {}", ALL),
    "denoiser": Kind("denoiser {}", ALL),
    "detector": Kind("refused by {}", ALL),
    "confidence": Kind("refused below a confidence of {}", ALL),
}
REFUSING = ("detector", "confidence")


@dataclass(frozen=True)
class Stage:
    """One stage before or after the model."""

    kind: str  # of KINDS
    amount: tuple[float, ...] = ()
    noise: Quantity | None = None
    votes: int = 1  # askings of each row, each with other noise; the mean answer counts
    file: str = ""  # denoiser, detector: where its graph is
    sha256: str = ""
    at_least: float = 0.0  # detector: a score from here on is refused

    @property
    def text(self) -> str:
        name = self.file.replace("\\", "/").rpartition("/")[2]
        shown = str(self.noise) if self.noise is not None else name or " to ".join(f"{v:g}" for v in self.amount)
        return KINDS[self.kind].title.format(shown) + (f", {self.votes} askings" if self.votes > 1 else "")


def askings(stages: tuple[Stage, ...]) -> int:
    """How often a row is asked behind these stages."""
    return max((stage.votes for stage in stages), default=1)


def refuses(stages: tuple[Stage, ...]) -> bool:
    return any(stage.kind in REFUSING for stage in stages)


def fitting(stage: Stage, interface: Interface) -> None:
    """The stage can act on this model's inputs. Raises MedauditError otherwise."""
    kind, some = KINDS[stage.kind], [i for i in interface.inputs if i.domain in KINDS[stage.kind].domains]
    if not some:
        raise MedauditError(f"{stage.kind} needs {' or '.join(kind.domains)} data, which this model does not take")
    if stage.kind == "band_pass":
        for item in some:
            if not item.rate:
                raise MedauditError(
                    f"band_pass needs the sampling rate of input {item.name!r}, which is not known",
                    "give rate for this input",
                )
            if not stage.amount[1] < item.rate / 2:
                raise MedauditError(
                    f"band_pass keeps up to {stage.amount[1]:g} Hz, but input {item.name!r} is sampled at "
                    f"{item.rate:g} Hz and holds nothing from {item.rate / 2:g} Hz on"
                )
    if stage.noise is not None:
        unit_scale(interface, stage.noise)
    if stage.kind == "confidence" and interface.output.task not in ("multiclass", "binary"):
        raise MedauditError("confidence needs a model that gives a score to each class")


def steps(stages: tuple[Stage, ...], interface: Interface) -> list[Step]:
    """Those of the stages that act on points, in their order."""
    out: list[Step] = []
    for stage in stages:
        if stage.noise is not None:
            out.append(_noise(stage.noise, interface))
        elif (change := KINDS[stage.kind].change) is not None:
            out.append(_filter(stage, change, interface))
    return out


def keys_of(points: np.ndarray, salt: int, asking: int) -> np.ndarray:
    """Stream keys of rows by their bytes, [R] uint64."""
    rows = (hashlib.blake2b(row.tobytes(), digest_size=8).hexdigest() for row in np.ascontiguousarray(points))
    return np.array([streams.key("stage", salt, asking, row) for row in rows], dtype=np.uint64)


def _noise(size: Quantity, interface: Interface) -> Step:
    numbers = per_number(interface, lambda c, _: c.kind == "number", bool).astype(bool)
    sd = (size.value * unit_scale(interface, size) * numbers).astype(np.float32)

    def step(points: np.ndarray, keys: np.ndarray) -> np.ndarray:
        drawn = streams.normal(keys, np.zeros(len(keys), dtype=np.int64), TAG, points.shape[1])
        return np.asarray(points + sd * drawn)

    return step


def _filter(stage: Stage, change: Change, interface: Interface) -> Step:
    """A filter on every input of a fitting kind; what is missing stays so, and is taken as the row's mean."""

    def step(points: np.ndarray, keys: np.ndarray) -> np.ndarray:
        out, start = points.copy(), 0
        for item in interface.inputs:
            part = item.part
            own = slice(start, start + part.size)
            start += part.size
            if item.domain not in KINDS[stage.kind].domains:
                continue
            x = points[:, own].astype(np.float64)
            gone = np.isnan(x)
            if gone.any():
                count = np.maximum(1, (~gone).sum(axis=1, keepdims=True))
                x = np.where(gone, np.nansum(x, axis=1, keepdims=True) / count, x)
            grid = x.reshape(-1, part.planes, part.rows, part.columns)
            out[:, own] = np.where(gone, np.nan, change(item, grid, stage.amount).reshape(x.shape))
        return out

    return step
