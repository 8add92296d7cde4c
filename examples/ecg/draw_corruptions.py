"""Draws every corruption of an ECG once, at severities 2 and 5: corruptions.png.

Leads I and II are two projections of one synthetic beat (generate.py), III is their difference. Usage:
python examples/ecg/draw_corruptions.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from medaudit.core.interface import Channel, Input
from medaudit.domain.corrupt_signal import CORRUPTIONS

HERE = Path(__file__).resolve().parent
RATE, SECONDS = 300, 4
LEADS, GAP = ("I", "II", "III"), 1.2


def leads() -> np.ndarray:
    """Three leads of 30 s, [1, 1, 3, 9000] in mV."""
    with np.load(HERE / "data.npz", allow_pickle=False) as data:
        calm = np.flatnonzero(data["y"] == 0)
        spread = [np.abs(np.diff(data["x"][i, :, 0])).mean() for i in calm]
        one = data["x"][calm[int(np.argmin(spread))], :, 0].astype(np.float64)
    first = 0.45 * np.roll(one, 3) - 9 * np.gradient(one)
    return np.stack([first, one, one - first])[None, None]


def main() -> None:
    channels = tuple(Channel(name, "mV", sd=0.2) for name in LEADS)
    axes = ("batch", "lead", "time")
    item = Input("ecg", "float32", "signal", axes, (3, RATE * 30), axes, rate=float(RATE), channels=channels)
    x, keys = leads(), np.array([17], dtype=np.uint64)
    rows = [("As recorded", x, x)]
    for kind in CORRUPTIONS:
        mild, severe = (kind.change(item, x, keys, kind.levels[s]) for s in (1, 4))
        words = f"{kind.title}\n{kind.levels[1]:g} / {kind.levels[4]:g} {kind.unit}"
        rows.append((words, mild, severe))
    time = np.arange(RATE * SECONDS) / RATE
    figure, grid = plt.subplots(len(rows), 2, figsize=(11, 1.35 * len(rows)), sharex=True, layout="constrained")
    for line, (words, *both) in zip(grid, rows, strict=True):
        for axis, shown in zip(line, both, strict=True):
            for k, lead in enumerate(LEADS):
                part = shown[0, 0, k, RATE * 2 : RATE * (2 + SECONDS)]
                axis.plot(time, part - GAP * k, linewidth=0.6, color="#1b2a3a")
                axis.text(-0.02, -GAP * k, lead, fontsize=6, ha="right", va="center")
            axis.set_ylim(-3.2 * GAP, 1.2 * GAP)
            axis.set_yticks([])
            axis.set_xticks(np.arange(0, SECONDS + 0.1, 0.2), minor=True)
            axis.grid(which="both", color="#f1c9c9", linewidth=0.4)
            axis.tick_params(which="both", length=0, labelsize=6)
        line[0].set_ylabel(words, fontsize=7, rotation=0, ha="right", va="center", labelpad=18)
    grid[0, 0].set_title("severity 2", fontsize=8)
    grid[0, 1].set_title("severity 5", fontsize=8)
    figure.savefig(HERE / "corruptions.png", dpi=75)


if __name__ == "__main__":
    main()
