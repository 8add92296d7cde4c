"""Images: clean, perturbed and difference side by side, all three with a fixed window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from medaudit.report import text
from medaudit.report.figures import Drawn, new, settings, svg

if TYPE_CHECKING:
    from medaudit.report.evidence import Layer

SIDE = 256  # pixels of a longer side that are drawn


def draw(layer: Layer, clean: np.ndarray, perturbed: np.ndarray) -> list[Drawn]:
    """One figure of three panels. Arrays are [channels, rows, columns] in channel units."""
    delta = np.nan_to_num(perturbed - clean)
    planes = [0, 1, 2] if layer.planes == 3 else [int(np.argmax(np.abs(delta).max(axis=(1, 2))))]
    step = -(-max(layer.rows, layer.columns) // SIDE)
    low, high = window(layer, planes, clean, perturbed)
    panels = [_pixels(a[planes, ::step, ::step], low, high) for a in (clean, perturbed)]
    strongest = np.argmax(np.abs(delta[planes]), axis=0)[None]
    signed = np.take_along_axis(delta[planes], strongest, axis=0)[0][::step, ::step]
    unit = text.unit_of(layer.channel(planes[0]).unit, 20)
    with settings():
        image = _figure(panels, signed, float(np.abs(delta).max()), unit)
    return [_item(layer, planes, step, delta, (low, high), image)]


def window(layer: Layer, planes: list[int], clean: np.ndarray, perturbed: np.ndarray) -> tuple[float, float]:
    """The legal range where it is known, else the range of both images."""
    lows = [layer.channel(p).lo for p in planes]
    highs = [layer.channel(p).hi for p in planes]
    known = [v for v in lows + highs if v is not None]
    if len(known) == 2 * len(planes) and max(known) > min(known):
        return min(known), max(known)
    both = np.stack([clean[planes], perturbed[planes]])
    both = both[np.isfinite(both)]
    low, high = (float(both.min()), float(both.max())) if both.size else (0.0, 1.0)
    return low, high if high > low else low + 1.0


def _pixels(planes: np.ndarray, low: float, high: float) -> np.ndarray:
    """[rows, columns, 3] in 0..1."""
    scaled = np.clip((np.nan_to_num(planes, nan=low) - low) / (high - low), 0, 1)
    return np.moveaxis(scaled if len(scaled) == 3 else np.repeat(scaled[:1], 3, axis=0), 0, -1)


def _figure(panels: list[np.ndarray], signed: np.ndarray, most: float, unit: str) -> bytes:
    rows, columns = signed.shape
    height = min(4.2, max(1.4, 1.82 * rows / columns))
    figure = new(6.4, height + 0.3)
    axes = figure.subplots(1, 3)
    titles = ("Clean", "Perturbed", "Difference")
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(title, fontsize=8, loc="left")
        ax.set_xticks([])
        ax.set_yticks([])
    for ax, pixels in zip(axes, panels, strict=False):
        ax.imshow(pixels, interpolation="none")
    drawn: Any = axes[2].imshow(signed, cmap="cividis", vmin=-most, vmax=most, interpolation="none")
    bar = figure.colorbar(drawn, ax=axes[2], fraction=0.05, pad=0.03, ticks=[-most, 0, most])
    bar.ax.set_yticklabels([f"-{text.number(most)}", "0", f"+{text.number(most)} {unit}".strip()], fontsize=7)
    bar.outline.set_linewidth(0.4)
    return svg(figure)


def _item(
    layer: Layer,
    planes: list[int],
    step: int,
    delta: np.ndarray,
    legal: tuple[float, float],
    image: bytes,
) -> Drawn:
    unit = text.unit_of(layer.channel(planes[0]).unit, 20)
    count = int((delta != 0).any(axis=0).sum())
    parts = [
        f"Input {text.clean(layer.name, 60)}: {layer.rows} by {layer.columns} pixels",
        f"clean and perturbed share one window, {text.number(legal[0])} to {text.quantity(legal[1], unit)}",
        f"{count:,} of {layer.rows * layer.columns:,} pixels changed",
        f"largest difference {text.quantity(float(np.abs(delta).max()), unit)}",
    ]
    if layer.planes not in (1, 3):
        parts.append(f"channel {text.clean(layer.channel(planes[0]).name, 30)} of {layer.planes} is shown")
    if step > 1:
        parts.append(f"one pixel of {step} by {step} is drawn")
    caption = ", ".join(parts) + "."
    return Drawn("figure", caption, alt=f"Clean image, perturbed image and difference. {caption}", svg=image)
