"""Signals: clean and perturbed traces over each other, the difference on the same scale below.

An ECG in millivolts with a known rate is drawn in millimetres of ECG paper: 25 mm/s and 10 mm/mV.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medaudit.report import text
from medaudit.report.figures import Drawn, settings
from medaudit.report.paper import GAIN, SPEED, WIDTH, Lead, sheet

if TYPE_CHECKING:
    from medaudit.report.evidence import Channel, Layer

MILLIVOLTS = {"mV": 1.0, "uV": 1e-3, "\u00b5V": 1e-3, "\u03bcV": 1e-3, "V": 1e3}
SECONDS, SAMPLES, LEADS = 5.0, 1500, 12
TALLEST = 60.0  # mm; a lead that needs more does not fit ECG paper


def draw(layer: Layer, clean: np.ndarray, perturbed: np.ndarray) -> list[Drawn]:
    """One figure and a table of the leads."""
    before, after = clean.reshape(-1, layer.columns), perturbed.reshape(-1, layer.columns)
    delta = np.nan_to_num(after - before)  # [leads, time]
    size = np.abs(delta)
    volts = [_channel(layer, i).unit in MILLIVOLTS for i in range(len(before))]
    paper = layer.rate > 0 and all(volts)
    window = busiest(size, int(min(layer.columns, SECONDS * layer.rate if paper else SAMPLES)))
    order = list(range(len(before)))
    if len(before) > LEADS:
        order = np.argsort(-size.max(axis=1), kind="stable")[:LEADS].tolist()
    leads = [_lead(layer, i, before[i, window], after[i, window], paper) for i in order]
    if paper and max(sum(lead.span()) for lead in leads) > TALLEST:
        paper = False
        leads = [_lead(layer, i, before[i, window], after[i, window], paper) for i in order]
    per_sample = SPEED / layer.rate if paper else WIDTH / (window.stop - window.start)
    with settings():
        image = sheet(leads, per_sample, paper, delta[order], window)
    return [
        _item(layer, leads, window, paper, image, len(before)),
        _table(layer, order, before, after),
    ]


def busiest(size: np.ndarray, length: int) -> slice:
    """The stretch of `length` samples in which most happens."""
    total = np.concatenate([[0.0], np.cumsum(size.sum(axis=0))])
    start = int(np.argmax(total[length:] - total[:-length])) if length < size.shape[1] else 0
    return slice(start, start + length)


def _channel(layer: Layer, lead: int) -> Channel:
    return layer.channel(lead % layer.rows)


def _lead(layer: Layer, i: int, clean: np.ndarray, perturbed: np.ndarray, paper: bool) -> Lead:
    channel = _channel(layer, i)
    if paper:
        gain = GAIN * MILLIVOLTS[channel.unit]
    else:
        both = np.concatenate([clean, perturbed])
        reach = float(np.nanmax(both) - np.nanmin(both)) if np.isfinite(both).any() else 0.0
        gain = 18.0 / (reach or 1.0)
    return Lead(text.clean(channel.name, 8), text.unit_of(channel.unit, 12), clean, perturbed, gain)


def _item(layer: Layer, leads: list[Lead], window: slice, paper: bool, image: bytes, total: int) -> Drawn:
    if layer.rate > 0:
        when = f"from {window.start / layer.rate:.2f} s to {window.stop / layer.rate:.2f} s"
    else:
        when = f"samples {window.start + 1} to {window.stop}"
    scale = "25 mm/s, 10 mm/mV (a small square is 0.04 s by 0.1 mV)" if paper else "each lead on a scale of its own"
    largest = max(leads, key=lambda lead: float(np.abs(lead.delta()).max()))
    peak = f"{text.quantity(float(np.abs(largest.delta()).max()), largest.unit)} in {largest.name}"
    some = "1 lead" if total == 1 else f"{total} leads"
    if total > len(leads):
        some = f"the {len(leads)} most changed of {total} leads"
    caption = f"Input {text.clean(layer.name, 60)}: {some}, {when}, {scale}. "
    caption += f"Largest difference here: {peak}."
    return Drawn(
        "figure",
        caption,
        alt=f"Clean and perturbed signal and their difference. {caption}",
        svg=image,
        wide=len(leads) > 6,
    )


def _table(layer: Layer, order: list[int], before: np.ndarray, after: np.ndarray) -> Drawn:
    rows = []
    for i in order:
        delta = np.nan_to_num(after[i] - before[i])
        channel = _channel(layer, i)
        unit = text.unit_of(channel.unit, 12)
        largest, mean = float(np.abs(delta).max()), float(np.sqrt(np.mean(delta**2)))
        count = f"{int((delta != 0).sum()):,} of {delta.size:,}"
        rows.append(
            (
                text.clean(channel.name, 60),
                text.size_of(largest, unit),
                text.size_of(mean, unit),
                count,
            )
        )
    head = ("Lead", "Largest difference", "Root mean square", "Samples changed")
    return Drawn("table", "Differences per lead, whole recording", head=head, rows=tuple(rows), folded=True)
