"""Charts of checks: success against queries, sizes of changes, and the overview of shares."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from medaudit.audit.results import (
    Certificate,
    Check,
    Curve,
    Defence,
    Degradation,
    Dose,
    Gap,
    Report,
    Security,
    Suspect,
    Sweep,
)
from medaudit.report import text
from medaudit.report.figures import BLUE, FAINT, INK, PAPER, new, settings, svg

DASHED: dict[str, Any] = {"color": INK, "linewidth": 0.8, "linestyle": (0, (4, 3))}
LEGEND: dict[str, Any] = {"framealpha": 0.9, "edgecolor": "none", "fontsize": 7}


def labelled(figure: Any, across: str, up: str, legend: str) -> bytes:
    """The figure's one chart with its labels, grid and legend, as SVG."""
    (axes,) = figure.axes
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(color="#e3e7ec", linewidth=0.5)
    axes.legend(loc=legend, **LEGEND)
    return svg(figure)


def in_unit(what: str, symbol: str) -> str:
    """A label with its unit, where there is one."""
    unit = text.unit_of(symbol)
    return f"{what}, {unit}" if unit else what


def curve(found: Curve, budget: int | None) -> bytes:
    """Share broken against queries, with its band."""
    keep = thinned(len(found.queries), 240)
    x = np.asarray(found.queries, dtype=float)[keep]
    mid, low, high = (100 * np.asarray(v)[keep] for v in (found.success, found.low, found.high))
    with settings():
        figure = new(4.8, 2.2)
        axes = figure.add_subplot()
        band = {"step": "post", "color": BLUE, "alpha": 0.18, "linewidth": 0}
        axes.fill_between(x, low, high, label="bounds", **band)
        axes.step(x, mid, where="post", color=BLUE, linewidth=1.6, label="patients broken")
        if budget:
            axes.axvline(budget, label="budget", **DASHED)
        axes.set_ylim(0, 100)
        axes.set_xlim(0, max(float(x[-1]), float(budget or 0)) * 1.02 or 1.0)
        axes.xaxis.set_major_formatter(lambda v, _: f"{v:,.0f}")
        return labelled(figure, "queries per sample", "patients broken, %", "best")


def curve_rows(found: Curve, most: int = 12) -> list[tuple[str, ...]]:
    """The curve as a short table."""
    rows: list[tuple[str, ...]] = []
    for i in thinned(len(found.queries), most):
        band = text.band(found.low[i], found.high[i])
        rows.append((f"{found.queries[i]:,}", text.share(found.success[i]), band))
    return rows


def degradation(found: list[Degradation]) -> bytes:
    """Score against severity, a small chart for each kind of trouble, with its bounds and the clean score."""
    columns = 3
    rows = -(-len(found) // columns)
    with settings():
        figure = new(4.8, 0.35 + 1.15 * rows)
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes in grid.flat[len(found) :]:
            axes.set_visible(False)
        for k, (axes, one) in enumerate(zip(grid.flat, found, strict=False)):
            low, mid, high = (100 * np.asarray(v) for v in (one.low, one.score, one.high))
            axes.fill_between(range(len(mid)), low, high, color=BLUE, alpha=0.18, linewidth=0)
            axes.axhline(mid[0], **DASHED)
            axes.plot(range(len(mid)), mid, color=BLUE, linewidth=1.4, marker="o", markersize=2.5)
            axes.set_title(text.clean(one.title, 30), fontsize=7)
            axes.set_ylim(0, 100)
            axes.set_xticks(range(len(mid)))
            axes.grid(color="#e3e7ec", linewidth=0.5)
            axes.tick_params(labelbottom=k + columns >= len(found))
        figure.supxlabel("severity (0: clean)", fontsize=8)
        figure.supylabel("score, %", fontsize=8)
        return svg(figure)


def degradation_rows(found: list[Degradation]) -> list[tuple[str, ...]]:
    """Each kind's amounts, its scores from clean to severity 5, and the bounds at the last."""
    rows: list[tuple[str, ...]] = []
    for one in found:
        band = text.band(one.low[-1], one.high[-1])
        amounts = f"{', '.join(f'{v:g}' for v in one.levels)} {one.unit}"
        rows.append((one.title, amounts, *(text.share(v) for v in one.score), band))
    return rows


def certified(found: Certificate, eps: float) -> bytes:
    """Share of patients certified against the distance, with its band."""
    with settings():
        figure = new(4.8, 2.2)
        axes = figure.add_subplot()
        low, mid, high = (100 * np.asarray(v) for v in (found.low, found.share, found.high))
        axes.fill_between(found.radius, low, high, color=BLUE, alpha=0.18, linewidth=0, label="bounds")
        axes.plot(found.radius, mid, color=BLUE, linewidth=1.6, label="patients certified")
        axes.plot([found.radius[-1]] * 2, [mid[-1], 0], color=BLUE, linewidth=1.6)  # nothing is certified beyond
        axes.axvline(eps, label="eps", **DASHED)
        axes.set_ylim(0, 100)
        axes.set_xlim(0, 1.08 * max(found.largest, eps))
        return labelled(figure, in_unit("certified distance", found.unit), "patients certified, %", "lower left")


def certified_rows(found: Certificate, most: int = 9) -> list[tuple[str, ...]]:
    """The certificate's curve as a short table."""
    rows: list[tuple[str, ...]] = []
    for i in thinned(len(found.radius), most):
        band = text.band(found.low[i], found.high[i])
        rows.append((f"{text.size_of(found.radius[i], found.unit)}", text.share(found.share[i]), band))
    return rows


def sweep_table(found: Sweep | None) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and rows of a sweep's outstanding triggers; references have a column where there are any."""
    if found is None:
        return (), []
    with_references = found.references > 0
    head = ["Trigger", "Pulls to", "Turned", "Least strength", "Turned by shams of its family"]
    head += ["Turned in references"] * with_references + ["Reach (usual)", "Excess", "Outcome"]
    rows = []
    for one in found.pulls:
        cells = [one.words, one.towards, text.share(one.success), "-" if one.strength is None else f"{one.strength:g}",
                 text.share(one.sham)]  # fmt: skip
        cells += [", ".join(text.share(v) for v in one.references)] * with_references
        reach, usual = ("-" if v is None else f"{v + 0.0:.1f}".replace("-0.0", "0.0") for v in (one.reach, one.usual))
        rows.append((*cells, f"{reach} ({usual})", f"{one.excess:.1f}", text.slug(one.outcome)))
    return tuple(head), rows


def suspect_rows(found: list[Suspect], most: int = 40) -> list[tuple[str, ...]]:
    """The strangest inputs, each score as the share of clean records below it."""
    return [
        (
            one.input, one.decision, "look at it" if one.named else text.DASH, f"{one.p:.3g}", f"{one.distance:.1f}",
            *(text.share(v) for v in one.scores.values()), f"{one.clean:,}",
        )
        for one in found[:most]
    ]  # fmt: skip


def dose(found: Dose) -> bytes:
    """Records turned against a trigger's strength, beside shams and reference models."""
    with settings():
        figure = new(4.8, 2.2)
        axes = figure.add_subplot()
        at = [0.0, *found.strengths]
        axes.plot(at, [0.0, *(100 * v for v in found.success)], color=BLUE, linewidth=1.6, marker="o", markersize=3,
                  label="the trigger")  # fmt: skip
        if found.shams is not None:
            axes.plot(at, [0.0, *(100 * v for v in found.shams)], label="shams", **DASHED)
        for i, one in enumerate(found.references):
            axes.plot(found.strengths, [100 * v for v in one], color=FAINT, linewidth=0.9,
                      label="reference models" if i == 0 else None)  # fmt: skip
        axes.set_ylim(-2, 104)
        return labelled(figure, "share of the trigger's strength", "records turned, %", "upper left")


def dose_rows(found: Dose) -> list[tuple[str, ...]]:
    """The same as a table."""
    return [
        (
            f"{strength:g}", text.share(found.success[i]),
            text.share(found.shams[i]) if found.shams is not None else text.DASH,
            ", ".join(text.share(one[i]) for one in found.references) or text.DASH,
        )
        for i, strength in enumerate(found.strengths)
    ]  # fmt: skip


def security(found: Security, eps: float) -> bytes:
    """Patients that stand against the size of the attack, with bounds at every size that was tried."""
    with settings():
        figure = new(4.8, 2.2)
        axes = figure.add_subplot()
        mid, low, high = (100 * np.asarray(v) for v in (found.stands, found.low, found.high))
        spread = np.maximum(0, [mid - low, high - mid])
        axes.errorbar(found.eps, mid, yerr=spread, color=BLUE, linewidth=1.4, marker="o", markersize=3, elinewidth=0.8)
        axes.axvline(eps, label="eps", **DASHED)
        sizes = [v for v in found.eps if v > 0]
        if sizes[-1] > 20 * sizes[0]:
            axes.set_xscale("symlog", linthresh=sizes[0])
            axes.xaxis.set_major_formatter(lambda v, _: f"{v:g}")
        axes.set_ylim(0, 104)
        return labelled(figure, in_unit("size of the attack", found.unit), "patients standing, %", "lower left")


def security_rows(found: Security) -> list[tuple[str, ...]]:
    """Every size with its share and bounds."""
    rows: list[tuple[str, ...]] = []
    for eps, stands, low, high in zip(found.eps, found.stands, found.low, found.high, strict=True):
        size = "none" if eps == 0 else text.quantity(eps, found.unit)
        rows.append((size, text.share(stands), text.band(low, high)))
    return rows


def matrix(check: Check) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The success matrix as a table: a row for each clean answer, a column for each other one."""
    targets = list(dict.fromkeys(cell.target for cell in check.matrix))
    at = {(cell.before, cell.target): cell for cell in check.matrix}
    unit = check.threat.unit if check.threat else ""
    rows = []
    for before in sorted({cell.before for cell in check.matrix}):
        row = [before]
        for target in targets:
            cell = at.get((before, target))
            if cell is None or cell.low is None or cell.high is None:
                row.append(text.DASH)
                continue
            far = "" if cell.distance is None else f"; median {text.size_of(cell.distance, unit)}"
            band = text.band(cell.low, cell.high)
            row.append(f"{cell.broken} of {cell.attacked} ({band}){far}")
        rows.append(tuple(row))
    return ("Clean answer", *(f"to {target}" for target in targets)), rows


def defence_rows(found: list[Defence]) -> list[tuple[str, ...]]:
    """Each of the stages: its cost, and the same patients attacked without it, replayed, and through it."""
    rows: list[tuple[str, ...]] = []
    for one in found:
        notes = ["a constant model"] if one.constant else []
        notes += [f"{one.askings} askings an answer"] if one.askings > 1 else []
        notes += [f"refuses {text.share(one.refused)} of clean records"] if one.refused is not None else []
        clean = [text.middle(v) if v is not None else text.DASH for v in (one.clean_bare, one.clean)]
        attacked = [f"{text.share(v.value)} ({text.interval(v)})" for v in (one.bare, one.replayed, one.adaptive)]
        rows.append((f"{one.name}: {one.text}", *clean, *attacked, "; ".join(notes) or text.DASH))
    return rows


def sent_rows(checks: list[Check]) -> list[tuple[str, ...]]:
    """Every check that sent a signal: what was sent, and what it did to patients that it was not fitted on."""
    rows: list[tuple[str, ...]] = []
    for one in checks:
        if one.threat is None:
            continue
        moments = one.settings.get("shifts", 1)
        shown = []
        for name in ("attack_success", "share_of_moments", "control_success"):
            value = one.metrics.get(name)
            shown.append(text.DASH if value is None else f"{text.share(value.value)} ({text.interval(value)})")
        fitted = "one moment of each record" if moments == 1 else f"{moments} moments of each record"
        rows.append(
            (one.id, one.threat.goal, f"{one.threat.window}, {one.threat.eps:g} {one.threat.unit}", fitted, *shown)
        )
    return rows


def gap_rows(found: list[Gap]) -> list[tuple[str, ...]]:
    """Each attack: what bad days leave on its records, what the attack leaves, and the gap."""
    rows: list[tuple[str, ...]] = []
    for one in found:
        both = [f"{text.share(v.value)} ({text.interval(v)})" for v in (one.average, one.worst)]
        gap = (one.average.value or 0.0) - (one.worst.value or 0.0)
        rows.append((one.check, *both, f"{100 * gap:+.0f} points"))
    return rows


def thinned(count: int, most: int) -> list[int]:
    """At most `most` indices of `count`, the ends among them."""
    return sorted({int(i) for i in np.linspace(0, count - 1, min(count, most)).round()}) if count else []


def distances(check: Check) -> list[float]:
    """Sizes of change per case in the threat's norm; empty unless they differ."""
    norm = check.threat.norm if check.threat else ""
    found = sorted(case.distance[norm] for case in check.cases if norm in case.distance)
    return found if len(found) >= 5 and found[-1] > 1.02 * found[0] else []


def histogram(check: Check, values: list[float]) -> bytes:
    """How large the changes were that turn the answer, each case a tick below."""
    threat = check.threat
    unit = text.unit_of(threat.unit) if threat else ""
    with settings():
        figure = new(4.8, 1.8)
        axes = figure.add_subplot()
        bins = min(24, max(5, len(values) // 3))
        axes.hist(values, bins=bins, color="#b9cfe8", edgecolor=BLUE, linewidth=0.6)
        top = axes.get_ylim()[1]
        ticks = np.full(len(values), -0.07 * top)
        axes.plot(values, ticks, "|", color=INK, markersize=5, markeredgewidth=0.7)
        axes.set_ylim(-0.14 * top, top)
        axes.axhline(0, color=FAINT, linewidth=0.6)
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.yaxis.set_major_formatter(lambda v, _: "" if v < 0 else f"{v:.0f}")
        if threat and threat.eps <= 1.5 * values[-1]:
            axes.axvline(threat.eps, label="stated limit", **DASHED)
            axes.legend(loc="lower right", bbox_to_anchor=(1, 0.97), **LEGEND)
        axes.set_xlim(left=0)
        axes.set_xlabel(f"size of change{', ' + unit if unit else ''}")
        axes.set_ylabel("cases")
        return svg(figure)


class Dot(NamedTuple):
    """One line of the overview."""

    name: str
    value: float
    low: float
    high: float
    op: str
    threshold: float
    verdict: str


def dots(report: Report) -> list[Dot]:
    """Measured shares that the policy bounds."""
    out = []
    for check in report.checks:
        for need in check.required:
            value = check.metrics.get(need.metric)
            if value is None or value.value is None or not text.is_share(value):
                continue
            low, high = (
                value.low if value.low is not None else 0.0,
                value.high if value.high is not None else 1.0,
            )
            dot = Dot(check.id, value.value, low, high, need.op, need.threshold, need.verdict)
            out.append(dot)
    return out[:40]


def overview(found: list[Dot]) -> bytes:
    """Each share with its bounds on one scale, the required side shaded."""
    marks = {"pass": "o", "fail": "X", "inconclusive": "D"}
    with settings():
        figure = new(4.8, 0.65 + 0.24 * len(found))
        axes = figure.add_subplot()
        for y, dot in enumerate(found):
            side = (100 * dot.threshold, 100.0) if dot.op == "at_least" else (0.0, 100 * dot.threshold)
            axes.barh(y, side[1] - side[0], left=side[0], height=0.62, color="#e4e9ef")
            axes.plot([100 * dot.threshold] * 2, [y - 0.31, y + 0.31], color=INK, linewidth=1.2)
            axes.plot([100 * dot.low, 100 * dot.high], [y, y], color=BLUE, linewidth=1.6)
            face = PAPER if dot.verdict == "inconclusive" else BLUE
            axes.plot(
                100 * dot.value,
                y,
                marks.get(dot.verdict, "s"),
                color=BLUE,
                markerfacecolor=face,
                markersize=5,
            )
        axes.set_yticks(range(len(found)), [f"{text.clean(d.name, 30)}: {d.verdict}" for d in found])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(found) - 0.4, -0.6)
        axes.set_xlim(-1, 101)
        axes.set_xlabel("share of patients, %")
        return svg(figure)
