"""Signals on paper: one axis in millimetres, y downwards, one figure for all leads of a case."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from medaudit.report import text
from medaudit.report.figures import INK, svg

SPEED, GAIN = 25.0, 10.0  # mm per second, mm per mV
WIDTH, LEFT, GAP = 125.0, 13.0, 4.0  # mm
COLUMN = 6  # leads in one column
CLEAN, CHANGED, MINOR, MAJOR, FRAME = "#a9b4c2", "#0b0d10", "#f7dfdb", "#eab6ae", "#d9dfe6"
POINTS = 1200  # of one trace; more are drawn as an envelope


class Lead(NamedTuple):
    """One trace in its window; `gain` is mm per unit."""

    name: str
    unit: str
    clean: np.ndarray  # [T]
    perturbed: np.ndarray  # [T]
    gain: float

    @property
    def base(self) -> float:
        return float(np.nanmedian(self.clean)) if np.isfinite(self.clean).any() else 0.0

    def span(self) -> tuple[float, float]:
        """How far the trace goes below and above its base line, mm."""
        both = np.concatenate([self.clean, self.perturbed])
        return reach(both - self.base, self.gain)

    def delta(self) -> np.ndarray:
        return np.asarray(np.nan_to_num(self.perturbed - self.clean))


def reach(values: np.ndarray, gain: float) -> tuple[float, float]:
    """How far values go below and above 0, mm."""
    found = values[np.isfinite(values)] * gain
    if not found.size:
        return 0.0, 0.0
    return max(0.0, -float(found.min())), max(0.0, float(found.max()))


def sheet(leads: list[Lead], per_sample: float, paper: bool, delta: np.ndarray, window: slice) -> bytes:
    """All leads over each other in one or two columns, differences below, then the whole strip."""
    from matplotlib.figure import Figure

    high = len(leads) if len(leads) <= COLUMN else -(-len(leads) // 2)  # leads per column
    columns = -(-len(leads) // high)
    wide = per_sample * len(leads[0].clean)
    tops, middle = _rows([lead.span() for lead in leads], high, 8.0, 9.0)
    lows, bottom = _rows([reach(x.delta(), x.gain) for x in leads], high, 6.0, middle + 8.0)
    right, height = columns * (LEFT + wide) + GAP, bottom + 30.0
    figure = Figure(figsize=(right / 25.4, height / 25.4), facecolor="#ffffff")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0, right)
    axes.set_ylim(height, 0)
    for left in (LEFT + column * (LEFT + wide) for column in range(columns)):
        for top, end in ((6.0, middle), (middle + 5.0, bottom)):
            _ground(axes, left, left + wide, top, end, paper)
    for i, lead in enumerate(leads):
        left = LEFT + (i // high) * (LEFT + wide)
        _traces(axes, lead, left, tops[i % high], lows[i % high], per_sample)
    _headings(axes, middle)
    _strip(axes, delta, window, bottom, right, {lead.unit for lead in leads})
    return svg(figure)


def _rows(spans: list[tuple[float, float]], high: int, least: float, start: float) -> tuple[list[float], float]:
    """Base line of each row, and where the last row ends."""
    out, y = [], start
    for row in range(high):
        down, up = (max(span[side] for span in spans[row::high]) for side in (0, 1))
        slack = max(0.0, least - down - up) / 2
        out.append(y + up + slack)
        y += down + up + 2 * slack + 2.0
    return out, y


def _ground(axes: Any, left: float, right: float, top: float, end: float, paper: bool) -> None:
    """Millimetre paper, each kind of line one path; else a plain frame."""
    if not paper:
        _frame(axes, left, right, top, end)
        return
    for step, color, width in ((1.0, MINOR, 0.25), (5.0, MAJOR, 0.45)):
        lines: list[tuple[float, float]] = []
        for x in np.arange(left, right + 0.01, step):
            lines += [(x, top), (x, end), (np.nan, np.nan)]
        for y in np.arange(top, end + 0.01, step):
            lines += [(left, y), (right, y), (np.nan, np.nan)]
        axes.plot(*np.array(lines).T, color=color, linewidth=width, zorder=0)


def _frame(axes: Any, left: float, right: float, top: float, end: float) -> None:
    x, y = [left, right, right, left, left], [top, top, end, end, top]
    axes.plot(x, y, color=FRAME, linewidth=0.5)


def _traces(axes: Any, lead: Lead, left: float, top: float, low: float, per_sample: float) -> None:
    """Clean thick and grey, perturbed thin and black: apart without colour, too."""
    clean, perturbed = lead.clean - lead.base, lead.perturbed - lead.base
    for values, y, color, width in (
        (clean, top, CLEAN, 2.2),
        (perturbed, top, CHANGED, 0.6),
        (lead.delta(), low, CHANGED, 0.6),
    ):
        x, kept = envelope(values)
        axes.plot(left + per_sample * x, y - lead.gain * kept, color=color, linewidth=width)
    for y in (top, low):
        axes.text(left - 1.5, y, lead.name, ha="right", va="center", fontsize=min(7.0, 42 / max(1, len(lead.name))))


def envelope(values: np.ndarray, most: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Positions and values; of long traces the least and the largest of each stretch, in order."""
    if len(values) <= most:
        return np.arange(len(values)), values
    keep: set[int] = set()
    for part in np.array_split(np.arange(len(values)), most // 2):
        here = np.nan_to_num(values[part])
        keep |= {int(part[here.argmin()]), int(part[here.argmax()])}
    places = np.array(sorted(keep))
    return places, values[places]


def _headings(axes: Any, middle: float) -> None:
    axes.text(LEFT, 3.2, "Clean", fontsize=7, va="center")
    axes.plot([LEFT + 8, LEFT + 16], [3.2, 3.2], color=CLEAN, linewidth=2.2)
    axes.text(LEFT + 20, 3.2, "Perturbed", fontsize=7, va="center")
    axes.plot([LEFT + 34, LEFT + 42], [3.2, 3.2], color=CHANGED, linewidth=0.6)
    axes.text(LEFT, middle + 2.6, "Difference, on the same scale", fontsize=7, va="center")


def _strip(axes: Any, delta: np.ndarray, window: slice, bottom: float, right: float, units: set[str]) -> None:
    """The whole recording: least and largest difference over the leads, magnified."""
    least, largest = delta.min(axis=0), delta.max(axis=0)
    most = float(np.abs(delta).max()) or 1.0
    left, end, top, low = LEFT, right - GAP, bottom + 8.0, bottom + 24.0
    middle, half = (top + low) / 2, (low - top) / 2
    stretches = np.array_split(np.arange(len(least)), min(500, len(least)))
    x = np.linspace(left, end, len(stretches))
    down = np.array([least[s].min() for s in stretches])
    up = np.array([largest[s].max() for s in stretches])
    thick = 0.02 * most  # so that a constant difference is seen as a line
    edges = (middle - 0.85 * half * v / most for v in (down - thick, up + thick))
    axes.fill_between(x, *edges, step="mid", color="#4d5661", linewidth=0)
    axes.plot([left, end], [middle, middle], color=FRAME, linewidth=0.5, zorder=0)
    scale = (end - left) / len(least)
    ends = (left + scale * window.start, left + scale * window.stop)
    axes.plot(ends, [low + 1.6] * 2, color=INK, linewidth=2.0, solid_capstyle="butt")
    _frame(axes, left, end, top, low)
    label = text.quantity(most, next(iter(units)) if len(units) == 1 else "")
    title = f"Difference over the whole recording, magnified; the largest is {label}"
    axes.text(left, top - 2.8, title, fontsize=7, va="center")
    axes.text(left, low + 4.2, "Bar: the window shown above", fontsize=6, va="center")
