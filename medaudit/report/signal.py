"""Signals: clean and perturbed traces over each other, the difference on the same scale below.

An ECG in millivolts with a known rate is drawn in millimetres of ECG paper: 25 mm/s and 10 mm/mV.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from medaudit.report import text
from medaudit.report.figures import INK, Drawn, settings, svg

if TYPE_CHECKING:
    from medaudit.report.evidence import Layer

SPEED, GAIN = 25.0, 10.0  # mm per second, mm per mV
MILLIVOLTS = {"mV": 1.0, "uV": 1e-3, "µV": 1e-3, "V": 1e3}
SECONDS, SAMPLES, LEADS = 5.0, 1500, 12
WIDTH, LEFT, GAP = 125.0, 13.0, 4.0  # mm
CLEAN, CHANGED, MINOR, MAJOR = "#a9b4c2", "#0b0d10", "#f7dfdb", "#eab6ae"


class Lead(NamedTuple):
    """One trace in its window; `gain` is mm per unit."""

    name: str
    unit: str
    clean: np.ndarray  # [T]
    perturbed: np.ndarray  # [T]
    gain: float
    column: int
    row: int

    @property
    def base(self) -> float:
        return float(np.nanmedian(self.clean)) if np.isfinite(self.clean).any() else 0.0

    def span(self) -> tuple[float, float]:
        """How far the trace goes below and above its base line, mm."""
        both = np.concatenate([self.clean, self.perturbed])
        return _reach(both - self.base, self.gain)

    def delta(self) -> np.ndarray:
        return np.nan_to_num(self.perturbed - self.clean)


def draw(layer: Layer, clean: np.ndarray, perturbed: np.ndarray) -> list[Drawn]:
    """One figure and a table of the leads."""
    before, after = clean.reshape(-1, layer.columns), perturbed.reshape(-1, layer.columns)
    size = np.abs(np.nan_to_num(after - before))  # [leads, time]
    paper = layer.rate > 0 and all(
        _channel(layer, i).unit in MILLIVOLTS for i in range(len(before))
    )
    window = busiest(size, int(min(layer.columns, SECONDS * layer.rate if paper else SAMPLES)))
    order = np.arange(len(before))
    if len(before) > LEADS:
        order = np.argsort(-size.max(axis=1), kind="stable")[:LEADS]
    leads = [
        _lead(layer, i, place, len(order), before, after, window, paper)
        for place, i in enumerate(order)
    ]
    if paper and max(sum(lead.span()) for lead in leads) > 60:
        paper = False
        leads = [
            _lead(layer, i, p, len(order), before, after, window, False)
            for p, i in enumerate(order)
        ]
    per_sample = SPEED / layer.rate if paper else WIDTH / (window.stop - window.start)
    with settings():
        image = _figure(leads, per_sample, paper, size[order], window)
    return [
        _item(layer, leads, window, paper, image, len(before)),
        _table(layer, order, before, after),
    ]


def busiest(size: np.ndarray, length: int) -> slice:
    """The stretch of `length` samples in which most happens."""
    total = np.concatenate([[0.0], np.cumsum(size.sum(axis=0))])
    start = int(np.argmax(total[length:] - total[:-length])) if length < size.shape[1] else 0
    return slice(start, start + length)


def _channel(layer: Layer, lead: int) -> Any:
    return layer.channel(lead % layer.rows)


def _lead(
    layer: Layer,
    i: int,
    place: int,
    count: int,
    before: np.ndarray,
    after: np.ndarray,
    window: slice,
    paper: bool,
) -> Lead:
    channel = _channel(layer, int(i))
    clean, perturbed = before[i, window], after[i, window]
    gain = GAIN * MILLIVOLTS[channel.unit] if paper else 1.0
    if not paper:
        both = np.concatenate([clean, perturbed])
        reach = float(np.nanmax(both) - np.nanmin(both)) if np.isfinite(both).any() else 1.0
        gain = 18.0 / (reach or 1.0)
    per_column = count if count <= 6 else -(-count // 2)
    name = text.clean(channel.name, 14)
    return Lead(
        name,
        text.clean(channel.unit, 12),
        clean,
        perturbed,
        gain,
        place // per_column,
        place % per_column,
    )


def _reach(values: np.ndarray, gain: float) -> tuple[float, float]:
    found = values[np.isfinite(values)] * gain
    return (
        (max(0.0, -float(found.min())), max(0.0, float(found.max()))) if found.size else (0.0, 0.0)
    )


def _figure(
    leads: list[Lead], per_sample: float, paper: bool, size: np.ndarray, window: slice
) -> bytes:
    """One axis in millimetres, y downwards from 0."""
    from matplotlib.figure import Figure

    wide = per_sample * len(leads[0].clean)
    columns = max(lead.column for lead in leads) + 1
    tops, middle = _rows(leads, [lead.span() for lead in leads], 8.0, 9.0)
    lows, bottom = _rows(
        leads, [_reach(lead.delta(), lead.gain) for lead in leads], 6.0, middle + 8.0
    )
    right, height = LEFT + columns * (wide + LEFT) - LEFT + GAP, bottom + 30.0
    figure = Figure(figsize=(right / 25.4, height / 25.4), facecolor="#ffffff")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0, right)
    axes.set_ylim(height, 0)
    for column in range(columns):
        left = LEFT + column * (wide + LEFT)
        for top, end in ((6.0, middle), (middle + 5.0, bottom)):
            _grid(axes, left, left + wide, top, end, SPEED / 125 if paper else 0.0)
    for lead in leads:
        left = LEFT + lead.column * (wide + LEFT)
        _traces(axes, lead, left, tops[lead.row], lows[lead.row], per_sample)
    _headings(axes, middle)
    _strip(axes, size, window, bottom, right, leads)
    return svg(figure)


def _rows(
    leads: list[Lead], spans: list[tuple[float, float]], least: float, start: float
) -> tuple[dict[int, float], float]:
    """Base line of each row, and where the last row ends."""
    out, y = {}, start
    for row in range(max(lead.row for lead in leads) + 1):
        here = [s for lead, s in zip(leads, spans, strict=True) if lead.row == row]
        down, up = max(s[0] for s in here), max(s[1] for s in here)
        slack = max(0.0, least - down - up) / 2
        out[row] = y + up + slack
        y += down + up + 2 * slack + 2.0
    return out, y


def _grid(axes: Any, left: float, right: float, top: float, end: float, paper: float) -> None:
    """Millimetre paper, each kind of line one path; else a plain frame."""
    if not paper:
        axes.plot(
            [left, right, right, left, left],
            [top, top, end, end, top],
            color="#d9dfe6",
            linewidth=0.5,
        )
        return
    for step, color, width in ((1.0, MINOR, 0.25), (5.0, MAJOR, 0.45)):
        xs = np.arange(left, right + 0.01, step)
        ys = np.arange(top, end + 0.01, step)
        lines = [v for x in xs for v in ((x, top), (x, end), (np.nan, np.nan))]
        lines += [v for y in ys for v in ((left, y), (right, y), (np.nan, np.nan))]
        axes.plot(*np.array(lines).T, color=color, linewidth=width, zorder=0)


def _traces(axes: Any, lead: Lead, left: float, top: float, low: float, per_sample: float) -> None:
    x = left + per_sample * np.arange(len(lead.clean))
    axes.plot(x, top - lead.gain * (lead.clean - lead.base), color=CLEAN, linewidth=2.2, zorder=2)
    axes.plot(
        x, top - lead.gain * (lead.perturbed - lead.base), color=CHANGED, linewidth=0.6, zorder=3
    )
    axes.plot(x, low - lead.gain * lead.delta(), color=CHANGED, linewidth=0.6, zorder=3)
    for y in (top, low):
        axes.text(left - 1.5, y, lead.name, ha="right", va="center", fontsize=7)


def _headings(axes: Any, middle: float) -> None:
    axes.text(LEFT, 3.2, "Clean", fontsize=7, va="center")
    axes.plot([LEFT + 8, LEFT + 16], [3.2, 3.2], color=CLEAN, linewidth=2.2)
    axes.text(LEFT + 20, 3.2, "Perturbed", fontsize=7, va="center")
    axes.plot([LEFT + 34, LEFT + 42], [3.2, 3.2], color=CHANGED, linewidth=0.6)
    axes.text(LEFT, middle + 2.6, "Difference, on the same scale", fontsize=7, va="center")


def _strip(
    axes: Any, size: np.ndarray, window: slice, bottom: float, right: float, leads: list[Lead]
) -> None:
    """The whole recording: largest difference over the leads, magnified."""
    whole = size.max(axis=0)
    left, end, top, low = LEFT, right - GAP, bottom + 8.0, bottom + 24.0
    units = {lead.unit for lead in leads}
    label = f"{text.number(float(whole.max()))} {units.pop() if len(units) == 1 else ''}".strip()
    bins = np.array_split(whole, min(600, len(whole)))
    heights = np.array([b.max() for b in bins]) / (whole.max() or 1.0)
    x = np.linspace(left, end, len(heights))
    axes.fill_between(x, low, low - (low - top) * heights, step="mid", color="#4d5661", linewidth=0)
    scale = (end - left) / len(whole)
    ends = (left + scale * window.start, left + scale * window.stop)
    axes.plot(ends, [low + 1.6] * 2, color=INK, linewidth=2.0, solid_capstyle="butt")
    axes.plot(
        [left, end, end, left, left], [top, top, low, low, top], color="#d9dfe6", linewidth=0.5
    )
    title = (
        f"Whole recording: largest difference over the leads shown, magnified (top line: {label})"
    )
    axes.text(left, top - 2.8, title, fontsize=7, va="center")
    axes.text(left, low + 4.2, "bar: the window shown above", fontsize=6, va="center")


def _item(
    layer: Layer, leads: list[Lead], window: slice, paper: bool, image: bytes, total: int
) -> Drawn:
    if layer.rate > 0:
        when = f"from {window.start / layer.rate:.2f} s to {window.stop / layer.rate:.2f} s"
    else:
        when = f"samples {window.start + 1} to {window.stop}"
    scale = (
        "25 mm/s, 10 mm/mV (a small square is 0.04 s by 0.1 mV)"
        if paper
        else "each lead on its own scale"
    )
    largest = max(leads, key=lambda lead: float(np.abs(lead.delta()).max()))
    peak = f"{text.quantity(float(np.abs(largest.delta()).max()), largest.unit)} in {largest.name}"
    some = (
        f"the {len(leads)} most changed of {total} leads"
        if total > len(leads)
        else f"{total} lead(s)"
    )
    caption = f"Input {text.clean(layer.name, 60)}: {some}, {when}, {scale}. Largest difference here: {peak}."
    return Drawn(
        "figure",
        caption,
        alt=f"Clean and perturbed signal and their difference. {caption}",
        svg=image,
        wide=leads[-1].column > 0,
    )


def _table(layer: Layer, order: np.ndarray, before: np.ndarray, after: np.ndarray) -> Drawn:
    rows = []
    for i in order:
        delta = np.nan_to_num(after[i] - before[i])
        channel = _channel(layer, int(i))
        unit = text.clean(channel.unit, 12)
        largest, mean = float(np.abs(delta).max()), float(np.sqrt(np.mean(delta**2)))
        count = f"{int((delta != 0).sum()):,} of {delta.size:,}"
        rows.append(
            (
                text.clean(channel.name, 60),
                text.quantity(largest, unit),
                text.quantity(mean, unit),
                count,
            )
        )
    head = ("Lead", "Largest difference", "Root mean square", "Samples changed")
    return Drawn(
        "table", "Differences per lead, whole recording", head=head, rows=tuple(rows), folded=True
    )
