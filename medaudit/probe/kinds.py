"""The kinds of explanations, by the names that a policy writes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from medaudit.core import streams
from medaudit.core.arrays import Array, digest, namespace
from medaudit.core.interface import Interface
from medaudit.domain.cells import Cells, Wanted, cells_of
from medaudit.domain.fills import filled
from medaudit.domain.threat import per_number
from medaudit.probe.explainer import Explainer, Ground, Plans
from medaudit.probe.exported import exported
from medaudit.probe.gradient import gradient, smoothgrad
from medaudit.probe.kernel_shap import kernel_shap
from medaudit.probe.lime import lime, lime_compat
from medaudit.probe.occlusion import occlusion
from medaudit.probe.rise import rise
from medaudit.probe.shaken import shaken
from medaudit.probe.shapley import shapley
from medaudit.probe.temporal import temporal

KINDS: dict[str, Callable[[Ground, int], Plans]] = {
    "occlusion": occlusion,
    "shapley": shapley,
    "kernel-shap": kernel_shap,
    "lime": lime,
    "lime-compat": lime_compat,
    "rise": rise,
    "gradient": gradient,
    "smoothgrad": smoothgrad,
    "temporal": temporal,
}
OWN = "exported"  # the model's own tensor
FILLS = ("", "own", "rows", "missing")
BACKGROUND = 100  # reference rows


class Spec(NamedTuple):
    """An explainer as a policy writes it; 0 and "": what suits the model."""

    kind: str = "occlusion"
    rows: int = 0  # of an explanation, about
    fill: str = ""  # one of FILLS; tables: rows, others: own
    background: int = 0  # reference rows that fills are drawn from
    groups: int = 0
    windows: int = 0
    grid: int = 0
    hours: int = 0
    tensor: str = ""  # exported: one number for each cell
    alpha: str = ""  # or of RETAIN: its attentions, and two of its weights
    beta: str = ""
    embedding: str = ""
    out: str = ""
    copies: int = 0  # noisy copies of the record that are explained in its place
    merge: str = "mean"  # of their maps: mean or median
    noise: float = 0.0  # of the copies, in spreads


def tensors(spec: Spec) -> tuple[str, ...]:
    """What an exported explanation is read from."""
    return spec.tensor, spec.alpha, spec.beta, spec.embedding, spec.out


FILLING = ("occlusion", "shapley", "kernel-shap", "rise", "temporal")  # take cells out, by what stands for them
AROUND = ("copies", "merge", "noise")  # what stands around an explainer: its own plans are the same without


def named(spec: Spec) -> str:
    """An explainer in words."""
    return f"{spec.kind}, the {spec.merge} of {spec.copies} noisy copies" if spec.copies else spec.kind


def cells_for(spec: Spec, interface: Interface) -> Cells:
    """The cells that the explainer gives numbers to."""
    if spec.kind == OWN:
        return cells_of(interface, Wanted(10**6, 10**6, 10**6, 1))  # every number is one
    return cells_of(interface, Wanted(spec.groups, spec.windows, spec.grid, spec.hours))


def unsuited(spec: Spec, interface: Interface) -> str:
    """Why the explainer cannot explain this model; "" when it can."""
    if spec.kind == "lime-compat" and any(item.domain != "table" for item in interface.inputs):
        return "it is of tables: use lime"
    if spec.kind == OWN and any(item.part.planes > 1 for item in interface.inputs):
        return "an exported explanation is of one plane"
    return ""


def short(spec: Spec, interface: Interface) -> str:
    """Why so few rows explain nothing; "" where they are enough, or left to the explainer."""
    least = cells_for(spec, interface).size + 2
    if not spec.rows or spec.kind == OWN or spec.rows >= least:
        return ""
    return f"{spec.rows} rows are too few for {least - 2} cells: give {least} or more"


def suited(interface: Interface) -> str:
    """The fill that suits the model where the policy names none."""
    return "rows" if all(item.domain == "table" for item in interface.inputs) else "own"


def ground_of(spec: Spec, interface: Interface, reference: np.ndarray, seed: int) -> Ground:
    """What the explainer needs of a model. reference [n, D]: clean points, NaN where nothing was measured."""
    cells = cells_for(spec, interface)
    count = min(len(reference), spec.background or BACKGROUND)
    background = reference[np.linspace(0, len(reference) - 1, count).astype(int)].astype(np.float32)
    whole = per_number(interface, lambda c, item: c.kind in ("category", "binary"), bool)
    typical = _typical(interface, reference)
    typical = np.where(whole, np.floor(typical), typical).astype(np.float32)  # half of two categories is none
    way = spec.fill or suited(interface)
    fill: Callable[[Array], Array] | None = None
    if way == "own":
        fill = partial(filled, cells, interface.parts, typical)
    elif way == "missing":
        fill = _missing
    sd = per_number(interface, lambda c, item: c.sd).astype(np.float32)
    key = streams.key(seed, "explainer", *(str(v) for name, v in spec._asdict().items() if name not in AROUND))
    return Ground(cells, interface.parts, fill, background, sd, whole, key)


def _typical(interface: Interface, reference: np.ndarray) -> np.ndarray:
    """Medians [D] of sequences and tables; an hour at which nothing was measured gets its channel's, a channel none."""
    out, begin = [], 0
    for item in interface.inputs:
        part, own = item.part, reference[:, begin : begin + item.part.size]
        begin += part.size
        if item.domain not in ("sequence", "table"):
            out.append(np.zeros(part.size))
            continue
        own = np.where(np.isfinite(own), own, np.nan).reshape(len(own), -1, part.columns)
        each, rest = _medians(own, (0,)), _medians(own, (0, 2))
        if item.domain == "sequence":
            each = np.where(np.isnan(each), rest[:, None], each)
        out.append(each.reshape(-1))
    return np.concatenate(out)


def _medians(values: np.ndarray, axis: tuple[int, ...]) -> np.ndarray:
    """Over what is no NaN; NaN where all is."""
    some = np.isfinite(values).any(axis=axis, keepdims=True)
    return np.where(some.squeeze(axis), np.nanmedian(np.where(some, values, 0.0), axis=axis), np.nan)


def plans_of(spec: Spec, ground: Ground) -> Plans:
    """The plans of an explainer by number."""

    def own(plan: int) -> Explainer:
        return exported(ground, digest(" ".join(tensors(spec))))

    plans = own if spec.kind == OWN else KINDS[spec.kind](ground, spec.rows)
    return shaken(plans, ground, spec.copies, spec.merge, spec.noise) if spec.copies else plans


def filled_otherwise(spec: Spec, ground: Ground, point: np.ndarray) -> tuple[str, Spec, Ground]:
    """The explainer with another choice of what stands for a cell that is taken out of a point [D]; "": there is none.

    conditional: of tables, the tenth of the reference rows that is nearest to the record, in spreads, so that rows look
    more like patients; other_fill: reference rows in the place of surroundings, or the other way round.
    """
    if spec.kind not in FILLING or spec.fill == "missing":
        return "", spec, ground
    if ground.fill is None:
        unit = np.where(ground.sd > 0, ground.sd, 1)
        far = np.nansum(((ground.background - point) / unit) ** 2, axis=1)
        near = np.argsort(far, kind="stable")[: max(2, len(far) // 10)]
        return "conditional", spec, ground._replace(background=ground.background[np.sort(near)])
    return "other_fill", spec._replace(fill="rows"), ground._replace(fill=None)


def drawn(explainer: Explainer, other: Explainer) -> bool:
    """Whether two plans of one explainer differ, so that it does not quite agree with itself."""
    return explainer.digest != other.digest


def _missing(points: Array) -> Array:
    return namespace(points).full_like(points, float("nan"))
