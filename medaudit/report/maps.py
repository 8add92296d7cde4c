"""Explanations drawn: the maps of one patient side by side, and noise, chance and attack on one axis.

A maps file may come from elsewhere, so it is read as hostile, as evidence is.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from medaudit.audit.results import Explanation, Value
from medaudit.report import text
from medaudit.report.evidence import bounded
from medaudit.report.figures import BLUE, FAINT, INK, PAPER, Drawn, new, settings, svg

MOST = 14  # cells of a bar chart
PANELS = {"clean": "Clean record", "found": "Attacked", "target": "The other patient's", "difference": "Difference"}
Count = Annotated[int, Field(gt=0, le=2**16)]


class Grid(BaseModel):
    """The cells of one input."""

    model_config = ConfigDict(allow_inf_nan=False)
    domain: Literal["signal", "image", "table", "sequence"]
    rows: Count
    columns: Count
    begin: int = Field(ge=0)
    name: str = ""
    length: float = Field(0.0, ge=0)  # of a row: seconds, hours; 0: of cells
    rows_names: list[str] = []


MEASURES = {
    "faithfulness": "random orders of taking cells out and putting them back that it beats (half is chance)",
    "deletion": "random orders of taking cells out that it beats (half is chance)",
    "insertion": "random orders of putting cells back that it beats (half is chance)",
    "gini": "sparseness (Gini index): 0 all cells say the same, 1 one says all",
    "entropy": "entropy, as a share of what all cells alike have",
    "incompleteness": "how far its numbers are from adding up to what the record adds (0: they do)",
    "max_sensitivity": "largest relative change of it under the small random changes (0: steady)",
    "input_stability": "largest relative change of it over that of the input (RIS; above 1: moves more)",
    "output_stability": "largest relative change of it over that of the answer (ROS; above 1: moves more)",
    "representation_stability": "largest relative change of it over that of the last hidden layer (RRS)",
    "background": "how far a choice of reference rows that looks fair could move the main reason, in its own size",
    "follows": "whether it moves when the answer moves (rank correlation; 1: always, 0: no relation)",
    "other_fill": "overlap with itself where other patients' values, not surroundings, stand for what is taken out",
    "conditional": "overlap with itself where only reference rows near the record stand for what is taken out",
    "randomised_last": "overlap with itself once the last layer's weights are shuffled (1: it does not look at them)",
    "randomised_overlap": "overlap with itself once all weights are shuffled",
}


class Layout(BaseModel):
    grids: list[Grid]
    names: list[str]


ALIKE = {
    "rbo": "ranks, the first ones most (rank-biased overlap, 0 to 1)",
    "weighted_tau": "ranks, the first ones most (weighted tau, -1 to 1)",
    "cosine": "cosine of the maps (-1 to 1)",
    "ssim": "structural similarity (SSIM, to 1)",
    "lens_recall": "main cells that a main cell of the other map is beside (LENS recall, 0 to 1)",
    "centre_shift": "how far the centre of the map moves, in diagonals (0: not at all)",
}


def axis(found: Explanation) -> bytes:
    """Overlaps with the clean map, each with its bounds, on one scale."""
    rows = [
        ("the explainer with itself", found.agreement, "s"),
        ("random changes", found.chance, "o"),
        ("the attack", found.found, "X"),
        *((f"the same behind {text.clean(name, 24)}", value, "D") for name, value in found.recovered.items()),
        *((f"the same by {text.clean(name, 24)}", value, "v") for name, value in found.others.items()),
    ]
    with settings():
        figure = new(4.8, 0.62 + 0.26 * len(rows))
        axes = figure.add_subplot()
        for y, (_, value, mark) in enumerate(rows):
            if value.value is None:
                continue
            low, high = (value.value if v is None else v for v in (value.low, value.high))
            axes.plot([low, high], [y, y], color=BLUE, linewidth=1.6)
            axes.plot(value.value, y, mark, color=BLUE, markersize=5)
        axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(-0.01, 1.01)
        axes.grid(axis="x", color="#e3e7ec", linewidth=0.5)
        axes.set_xlabel("overlap with the clean record's explanation")
        return svg(figure)


def rows(found: Explanation) -> list[tuple[str, ...]]:
    """Every measure: attack beside random changes."""
    out: list[tuple[str, ...]] = [("mass overlap (0 to 1)", _value(found.found), _value(found.chance))]
    out += [(ALIKE.get(one.name, text.slug(one.name)), _value(one.found), _value(one.chance)) for one in found.alike]
    ratios = {
        "2-D Wasserstein": (found.ratio, found.chance_ratio), "L1": (found.ratio_l1, found.chance_ratio_l1),
        "1-D Wasserstein": (found.ratio_1d, found.chance_ratio_1d),
    }  # fmt: skip
    for name, (own, random) in ratios.items():
        if own is not None and random is not None:
            out.append(
                (
                    f"distance to the goal over that to the own map ({name}; below 1 the goal is nearer)",
                    _value(own),
                    _value(random),
                )
            )
    return out


def qualities(found: Explanation) -> list[tuple[str, ...]]:
    """What the clean explanations are worth, before any attack."""
    return [(MEASURES.get(name, text.slug(name)), _value(value)) for name, value in found.measures.items()]


def _value(value: Value) -> str:
    return f"{text.number(value.value, 3)} ({text.number(value.low, 3)} to {text.number(value.high, 3)})"


def draw(path: Path, title: str = PANELS["clean"]) -> list[Drawn]:
    """The maps of one patient, or one map over all under its title; a note where there is nothing to draw."""
    if not path.is_file():
        return [Drawn("note", "The file with the maps is not in the run folder.")]
    try:
        bounded(path)
        with np.load(path, allow_pickle=False) as file:
            layout = Layout.model_validate(json.loads(str(file["layout"][()])))
            held = {n: np.asarray(file[n], dtype=np.float64).reshape(-1) for n in PANELS if n in file.files}
            picture = np.asarray(file["picture"], dtype=np.float64) if "picture" in file.files else None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        return [Drawn("note", f"The file with the maps cannot be read ({type(error).__name__}).")]
    *begins, size = np.cumsum([0, *(grid.rows * grid.columns for grid in layout.grids)]).tolist()
    fits = "clean" in held and all(v.size == size and np.isfinite(v).all() for v in held.values())
    if not fits or len(layout.names) != size or [grid.begin for grid in layout.grids] != begins:
        return [Drawn("note", "The file with the maps does not fit its own layout.")]
    held = {name: v / (float(np.abs(v).sum()) or 1.0) for name, v in held.items()}
    if "found" in held:
        held["difference"] = held["found"] - held["clean"]
    with settings():
        return [_grid(grid, layout, held, picture, PANELS | {"clean": title}) for grid in layout.grids]


def _grid(
    grid: Grid, layout: Layout, held: dict[str, np.ndarray], picture: np.ndarray | None, panels: dict[str, str]
) -> Drawn:  # fmt: skip
    own = {name: v[grid.begin : grid.begin + grid.rows * grid.columns] for name, v in held.items()}
    name = f"input {text.clean(grid.name, 60)}" if grid.name else "the record"
    if grid.domain == "table" or (grid.rows == 1 and grid.columns <= MOST):
        caption = f"What each column of {name} speaks for (above 0) or against the answer, the largest first."
        return Drawn("figure", caption, alt=caption, svg=_bars(grid, layout, own, panels))
    if grid.rows == 1:
        caption = f"What each window of {name} speaks for (above 0) or against the answer."
        return Drawn("figure", caption, alt=caption, svg=_windows(grid, own, panels), wide=True)
    caption = f"What each cell of {name} speaks for (+) or against (-) the answer, in shares of all that a map says."
    return Drawn("figure", caption, alt=caption, svg=_heat(grid, own, picture, panels), wide=True)


def _bars(grid: Grid, layout: Layout, own: dict[str, np.ndarray], panels: dict[str, str]) -> bytes:
    best = np.argsort(-np.maximum(np.abs(own["clean"]), np.abs(own.get("found", own["clean"]))), kind="stable")[:MOST]
    kinds = [name for name in ("clean", "found", "target") if name in own]
    figure = new(5.4, 0.7 + 0.2 * len(best) * len(kinds) ** 0.5)
    axes = figure.add_subplot()
    high = 0.8 / len(kinds)
    looks: dict[str, dict[str, Any]] = {
        "clean": {"color": FAINT},
        "found": {"color": BLUE},
        "target": {"color": PAPER, "edgecolor": INK, "hatch": "////"},
    }
    for k, name in enumerate(kinds):
        place = np.arange(len(best)) + (k - (len(kinds) - 1) / 2) * high
        axes.barh(place, own[name][best], height=high, label=panels[name], linewidth=0.5, **looks[name])
    axes.set_yticks(range(len(best)), [text.clean(layout.names[grid.begin + i], 34) for i in best])
    axes.invert_yaxis()
    axes.axvline(0, color=INK, linewidth=0.6)
    axes.legend(framealpha=0.9, edgecolor="none", fontsize=7)
    return svg(figure)


def _windows(grid: Grid, own: dict[str, np.ndarray], panels: dict[str, str]) -> bytes:
    kinds = [name for name in PANELS if name in own]
    figure = new(6.4, 0.5 + 0.85 * len(kinds))
    every = figure.subplots(len(kinds), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    step = (grid.length or grid.columns) / grid.columns
    place = (np.arange(grid.columns) + 0.5) * step
    for axes, name in zip(every, kinds, strict=True):
        axes.bar(place, own[name], width=0.9 * step, color=BLUE if name == "found" else FAINT)
        axes.axhline(0, color=INK, linewidth=0.5)
        axes.set_title(panels[name], fontsize=8, loc="left", pad=2)
    every[-1].set_xlabel("seconds" if grid.length and grid.domain == "signal" else "window")
    every[-1].set_xlim(0, grid.columns * step)
    return svg(figure)


def _heat(
    grid: Grid, own: dict[str, np.ndarray], picture: np.ndarray | None, panels: dict[str, str]
) -> bytes:  # fmt: skip
    kinds = [name for name in PANELS if name in own]
    image = grid.domain == "image"
    tall = 1.9 * grid.rows / grid.columns if image else 0.13 * grid.rows
    figure = new(6.8, min(7.0, max(1.3, tall) + 0.6))
    every = figure.subplots(1, len(kinds), squeeze=False)[0]
    most = max(float(np.abs(own[name]).max()) for name in kinds) or 1.0
    for k, (axes, name) in enumerate(zip(every, kinds, strict=True)):
        values = own[name].reshape(grid.rows, grid.columns)
        extent = (0, grid.columns, grid.rows, 0)
        if image and picture is not None and picture.ndim == 2:
            axes.imshow(picture, cmap="gray", extent=extent, interpolation="nearest")
        shown = axes.imshow(
            values, cmap="PuOr_r", vmin=-most, vmax=most, extent=extent, interpolation="nearest",
            alpha=0.55 if image and picture is not None else 1.0, aspect="equal" if image else "auto",
        )  # fmt: skip
        axes.set_title(panels[name], fontsize=8, loc="left")
        axes.set_yticks([])
        axes.set_xticks([])
        if not image and k == 0 and grid.rows_names:
            labels = [text.ends(n, 23) for n in grid.rows_names[: grid.rows]]
            axes.set_yticks(np.arange(len(labels)) + 0.5, labels, fontsize=6)
        if not image and grid.length:
            ends = np.linspace(0, grid.columns, 3)
            axes.set_xticks(ends, [f"{v * grid.length / grid.columns:g}" for v in ends], fontsize=6)
            axes.set_xlabel("hour" if grid.domain == "sequence" else "seconds", fontsize=7)
    figure.colorbar(shown, ax=list(every), shrink=0.8, pad=0.02)
    return svg(figure)
