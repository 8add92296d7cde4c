"""Evidence files drawn: clean, perturbed and difference of one case, per input of the model.

An evidence file may come from elsewhere (`medaudit report` on a bundle), so it is read as hostile:
no pickles, bounded sizes, a checked layout. What cannot be drawn becomes a note, never an error.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from medaudit.report import text
from medaudit.report.figures import Drawn

LARGEST = 512 * 2**20  # bytes of one file once unpacked
HUGE = 3.4e38  # the largest float32: what is beyond is drawn here
Count = Annotated[int, Field(gt=0, le=2**31)]


class Channel(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)
    name: str = ""
    unit: str = ""
    lo: float | None = None
    hi: float | None = None
    kind: str = "number"
    categories: list[str] = []


class Layer(BaseModel):
    """One input of the model inside a point."""

    model_config = ConfigDict(allow_inf_nan=False)
    name: str = ""
    domain: Literal["signal", "image", "table", "sequence"]
    planes: Count
    rows: Count
    columns: Count
    rate: float = Field(0.0, ge=0)
    unit_size: float = Field(1.0, gt=0)
    channels: list[Channel] = []

    @property
    def size(self) -> int:
        return self.planes * self.rows * self.columns

    def channel(self, index: int) -> Channel:
        """Channel by number; one that the layout does not name gets its number as a name."""
        if index < len(self.channels) and self.channels[index].name:
            return self.channels[index]
        known = self.channels[index] if index < len(self.channels) else Channel()
        return known.model_copy(update={"name": f"{index + 1}"})


class Layout(BaseModel):
    inputs: list[Layer]


class Missing(Exception):
    """Why a case cannot be drawn."""


class Evidence(NamedTuple):
    layout: Layout
    clean: np.ndarray  # [D] float64
    perturbed: np.ndarray  # [D] float64


def draw_case(path: Path) -> list[Drawn]:
    """Everything there is to show of one case; a note where there is nothing."""
    try:
        found = load(path)
    except Missing as reason:
        return [Drawn("note", str(reason))]
    out, start = [], 0
    for layer in found.layout.inputs:
        part = slice(start, start + layer.size)
        shape = (layer.planes, layer.rows, layer.columns)
        clean, perturbed = found.clean[part].reshape(shape), found.perturbed[part].reshape(shape)
        out += _draw(layer, clean / layer.unit_size, perturbed / layer.unit_size)
        start += layer.size
    return out


def load(path: Path) -> Evidence:
    """Read an evidence file. Raises Missing with the reason in words."""
    if not path.is_file():
        raise Missing("The evidence file of this case is not in the run folder.")
    try:
        bounded(path)
        with np.load(path, allow_pickle=False) as file:
            if not {"clean", "perturbed", "layout"} <= set(file.files):
                raise Missing(
                    "Samples are not included in this run, so the case is not drawn here. "
                    "The replay command rebuilds it where the data are."
                )
            layout = Layout.model_validate(json.loads(str(file["layout"][()])))
            clean = np.asarray(file["clean"], dtype=np.float64).reshape(-1)
            perturbed = np.asarray(file["perturbed"], dtype=np.float64).reshape(-1)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise Missing(f"The evidence file of this case cannot be read ({type(error).__name__}).") from error
    if not clean.size == perturbed.size == sum(layer.size for layer in layout.inputs):
        raise Missing("The evidence file of this case does not fit its own layout.")
    return Evidence(layout, clean, perturbed)


def bounded(path: Path) -> None:
    """Raises ValueError for a file that would unpack to more than there is room for."""
    with zipfile.ZipFile(path) as file:
        if sum(item.file_size for item in file.infolist()) > LARGEST:
            raise ValueError("too large to draw")


def _draw(layer: Layer, clean: np.ndarray, perturbed: np.ndarray) -> list[Drawn]:
    from medaudit.report import image, sequence, signal

    if not changed(clean, perturbed).any():
        return [Drawn("note", f"Input {text.clean(layer.name, 60)}: not changed in this case.")]
    if layer.domain == "table":
        return [table(layer, clean, perturbed)]
    draw = {"signal": signal.draw, "image": image.draw, "sequence": sequence.draw}[layer.domain]
    return draw(layer, np.clip(clean, -HUGE, HUGE), np.clip(perturbed, -HUGE, HUGE))  # infinity has no place on paper


def changed(clean: np.ndarray, perturbed: np.ndarray) -> np.ndarray:
    """Where two arrays differ; missing on both sides is no difference."""
    return np.asarray((clean != perturbed) & ~(np.isnan(clean) & np.isnan(perturbed)))


def table(layer: Layer, clean: np.ndarray, perturbed: np.ndarray, most: int = 40) -> Drawn:
    """Features as rows; of wide tables only the changed ones."""
    before, after = clean.reshape(-1, layer.columns), perturbed.reshape(-1, layer.columns)
    differs = changed(before, after)
    places = np.argwhere(differs if before.size > most else np.ones_like(differs))[: 5 * most]
    rows: list[tuple[str, ...]] = []
    marked: set[int] = set()
    for r, c in places:
        if differs[r, c]:
            marked.add(len(rows))
        name = text.clean(layer.channel(int(c)).name, 60) + (f", row {r + 1}" if before.shape[0] > 1 else "")
        rows.append((name, *cells(layer.channel(int(c)), float(before[r, c]), float(after[r, c]))))
    count = int(differs.sum())
    caption = f"{count} of {before.size} features changed"
    caption += "; the others are not listed." if len(rows) < before.size else "."
    head = ("Feature", "Clean", "Perturbed", "Change", "Unit")
    return Drawn("table", caption, head=head, rows=tuple(rows), marked=frozenset(marked))


def cells(channel: Channel, before: float, after: float) -> tuple[str, str, str, str]:
    """Clean, perturbed, change and unit of one number, as text."""
    unit = text.unit_of(channel.unit)
    if channel.kind == "category":
        words = (_category(channel, before), _category(channel, after))
        return (*words, "other category" if words[0] != words[1] else "", unit)
    same = before == after or (np.isnan(before) and np.isnan(after))
    change = "" if same else ("was missing" if np.isnan(before) else "now missing")
    if not same and not np.isnan(before) and not np.isnan(after):
        change = f"{after - before:+.3g}"
    return _plain(before), _plain(after), change, unit


def _plain(value: float) -> str:
    return "missing" if np.isnan(value) else text.number(value, 4)


def _category(channel: Channel, value: float) -> str:
    if np.isnan(value):
        return "missing"
    index = int(value)
    inside = 0 <= index < len(channel.categories)
    return text.clean(channel.categories[index], 60) if inside else f"category {index}"
