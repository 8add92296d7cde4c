"""Sequences: the variables that changed most, hour by hour, missing cells marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from medaudit.report import text
from medaudit.report.figures import FAINT, INK, Drawn, new, settings, svg

if TYPE_CHECKING:
    from medaudit.report.evidence import Layer

MOST = 6
CLEAN, CHANGED = "#8fa3b8", "#0b0d10"


def draw(layer: Layer, clean: np.ndarray, perturbed: np.ndarray) -> list[Drawn]:
    """A figure of the most changed variables and a table of the changed cells."""
    before, after = clean.reshape(-1, layer.columns), perturbed.reshape(-1, layer.columns)
    strength = _strength(layer, before, after)
    order = [int(i) for i in np.argsort(-strength, kind="stable")[:MOST] if strength[i] > 0]
    with settings():
        image = _figure(layer, order, before, after)
    count = int((strength > 0).sum())
    shown = f"the {len(order)} most changed of {len(before)} variables"
    caption = f"Input {text.clean(layer.name, 60)}: {shown} ({count} changed), {layer.columns} hours. "
    caption += "Crosses at the foot: no measurement. Dotted line: a value was added or removed."
    alt = f"Clean and perturbed values hour by hour. {caption}"
    return [Drawn("figure", caption, alt=alt, svg=image), _table(layer, before, after)]


def _strength(layer: Layer, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Largest change per variable as a share of its range; a cell that came or went counts as 1."""
    out = np.zeros(len(before))
    for i, (a, b) in enumerate(zip(before, after, strict=True)):
        channel = layer.channel(i % layer.rows)
        seen = np.concatenate([a[np.isfinite(a)], b[np.isfinite(b)]])
        reach = float(seen.max() - seen.min()) if seen.size else 0.0
        if channel.lo is not None and channel.hi is not None and channel.hi > channel.lo:
            reach = channel.hi - channel.lo
        size = np.abs(np.nan_to_num(b - a)) / (reach or 1.0)
        out[i] = max(float(size.max()), float((np.isnan(a) != np.isnan(b)).any()))
    return out


def _figure(layer: Layer, order: list[int], before: np.ndarray, after: np.ndarray) -> bytes:
    figure = new(6.4, 0.7 + 1.12 * len(order))
    axes = figure.subplots(len(order), 1, sharex=True, squeeze=False)[:, 0]
    hours = np.arange(layer.columns)
    for ax, i in zip(axes, order, strict=True):
        channel = layer.channel(i % layer.rows)
        unit = text.unit_of(channel.unit, 14)
        name = text.clean(channel.name, 26)
        ax.set_title(f"{name}, {unit}" if unit else name, fontsize=8, loc="left", pad=3)
        _variable(ax, hours, before[i], after[i])
    axes[-1].set_xlabel("hour")
    axes[-1].set_xlim(-0.6, layer.columns - 0.4)
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False, fontsize=8)
    return svg(figure)


def _variable(ax: Any, hours: np.ndarray, clean: np.ndarray, perturbed: np.ndarray) -> None:
    ax.plot(hours, clean, "-o", color=CLEAN, linewidth=2.4, markersize=5, label="clean")
    ax.plot(hours, perturbed, "-s", color=CHANGED, linewidth=0.8, markersize=2.2, label="perturbed")
    ax.margins(y=0.18)
    low, high = ax.get_ylim()
    missing = np.isnan(clean) & np.isnan(perturbed)
    foot = low - 0.06 * (high - low)
    ax.plot(
        hours[missing],
        np.full(int(missing.sum()), foot),
        "x",
        color=FAINT,
        markersize=3,
        markeredgewidth=0.8,
    )
    for hour in hours[np.isnan(clean) != np.isnan(perturbed)]:
        ax.axvline(hour, color=INK, linewidth=0.9, linestyle=":")
    ax.set_ylim(low - 0.12 * (high - low), high)
    ax.tick_params(labelsize=7)
    ax.yaxis.get_major_locator().set_params(nbins=4)
    ax.grid(axis="y", color="#e9edf1", linewidth=0.5)


def _table(layer: Layer, before: np.ndarray, after: np.ndarray, most: int = 60) -> Drawn:
    from medaudit.report.evidence import cells, changed

    places = np.argwhere(changed(before, after))
    rows = []
    for i, hour in places[:most]:
        channel = layer.channel(int(i) % layer.rows)
        name = text.clean(channel.name, 60)
        rows.append((name, str(int(hour)), *cells(channel, float(before[i, hour]), float(after[i, hour]))))
    caption = f"Cells changed: {len(places):,} of {before.size:,}"
    caption += f", the first {most} listed" if len(places) > most else ""
    head = ("Variable", "Hour", "Clean", "Perturbed", "Change", "Unit")
    return Drawn("table", caption, head=head, rows=tuple(rows), folded=True)
