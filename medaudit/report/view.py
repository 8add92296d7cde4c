"""What the page needs of a report, worked out: orders, picks, links, folded text."""

from __future__ import annotations

import math
import shlex
import urllib.parse
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from medaudit.audit.results import Case, Check, Compliance, Report
from medaudit.report import charts, maps, text
from medaudit.report.evidence import draw_case
from medaudit.report.figures import Drawn

FIRST, MOST = 20, 200  # cases open, and cases listed at all
SPACE = 1_000_000  # bytes of drawn cases in one page
TOO_LARGE = "Not drawn, to keep this page small. The replay command draws it from the evidence."


class Block(NamedTuple):
    """A piece of a rule's page."""

    kind: str  # heading | paragraph | item | code
    text: str


class Pick(NamedTuple):
    """A case that is drawn, and why this one."""

    why: str
    case: Case
    items: list[Drawn]


class CheckView(NamedTuple):
    """One check with everything around it."""

    anchor: str
    check: Check
    ranked: list[Case]
    curve: bytes
    curve_rows: list[tuple[str, ...]]
    degradation: bytes
    degradation_rows: list[tuple[str, ...]]
    gap_rows: list[tuple[str, ...]]
    matrix: tuple[tuple[str, ...], list[tuple[str, ...]]]
    security: bytes
    security_rows: list[tuple[str, ...]]
    defence_rows: list[tuple[str, ...]]
    sent_rows: list[tuple[str, ...]]
    certified: bytes
    certified_rows: list[tuple[str, ...]]
    histogram: bytes
    picks: list[Pick]
    page: list[Block]
    same: str  # anchor of an earlier check of the same rule
    turn_rows: list[tuple[str, ...]]
    extreme_rows: list[tuple[str, ...]]
    suspect_rows: list[tuple[str, ...]]
    dose: bytes
    dose_rows: list[tuple[str, ...]]
    sweep_head: tuple[str, ...]
    sweep_rows: list[tuple[str, ...]]
    portrait: list[Drawn]
    overlaps: bytes
    overlap_rows: list[tuple[str, ...]]
    quality_rows: list[tuple[str, ...]]
    maps: list[Drawn]


def checks(report: Report, run_folder: Path) -> list[CheckView]:
    """All checks in the policy's order; worst cases are drawn before median ones."""
    ranked = [rank(check) for check in report.checks]
    picks: list[list[Pick]] = [[] for _ in report.checks]
    space = SPACE
    for turn in (0, 1):
        for i, cases in enumerate(ranked):
            chosen = choose(cases)
            if turn < len(chosen):
                why, case = chosen[turn]
                items = draw(case, run_folder) if space > 0 else [Drawn("note", TOO_LARGE)]
                space -= sum(len(item.svg) for item in items)
                picks[i].append(Pick(why, case, items))
    first: dict[str, str] = {}
    out = []
    for i, check in enumerate(report.checks):
        anchor = f"check-{i + 1}"
        same = first.setdefault(check.rule, anchor) if check.page else anchor
        portrait = drawn(check.drawn, run_folder) if check.drawn else []
        seen = check.explanation
        mapped = drawn(seen.drawn, run_folder, maps.draw) if seen is not None and seen.drawn else []
        out.append(view(check, anchor, same, ranked[i], picks[i], portrait)._replace(maps=mapped))
    sent = [i for i, check in enumerate(report.checks) if check.threat and check.threat.window and check.metrics]
    if sent:  # side by side, in the first of them
        rows = charts.sent_rows([report.checks[i] for i in sent])
        out[sent[0]] = out[sent[0]]._replace(sent_rows=rows)
    return out


def view(
    check: Check, anchor: str, same: str, ranked: list[Case], picks: list[Pick], portrait: list[Drawn]
) -> CheckView:  # fmt: skip
    """Charts and page of one check."""
    # Only attacks that look for the smallest change say anything by the sizes they found.
    sizes = charts.distances(check) if "median_distance" in check.metrics else []
    proof, curve = check.certificate, check.security
    drawn = check.curve if check.curve and check.curve.queries else None
    return CheckView(
        anchor,
        check,
        ranked,
        charts.curve(drawn, check.queries.budget_per_sample) if drawn else b"",
        charts.curve_rows(drawn) if drawn else [],
        charts.degradation(check.degradation) if check.degradation else b"",
        charts.degradation_rows(check.degradation),
        charts.gap_rows(check.gaps),
        charts.matrix(check),
        charts.security(curve, check.threat.eps if check.threat else 0.0) if curve else b"",
        charts.security_rows(curve) if curve else [],
        charts.defence_rows(check.defences),
        [],
        charts.certified(proof, check.threat.eps if check.threat else 0.0) if proof else b"",
        charts.certified_rows(proof) if proof else [],
        charts.histogram(check, sizes) if sizes else b"",
        picks,
        blocks(check.page),
        same if same != anchor else "",
        [(t.before, t.after or text.DASH, f"{t.broken:,} of {t.attacked:,}") for t in check.turns],
        [(one.words, "yes" if one.void else text.DASH, one.text) for one in check.extremes],
        charts.suspect_rows(check.suspects),
        charts.dose(check.doses[0]) if check.doses else b"",
        charts.dose_rows(check.doses[0]) if check.doses else [],
        *charts.sweep_table(check.sweep),
        portrait,
        maps.axis(check.explanation) if check.explanation else b"",
        maps.rows(check.explanation) if check.explanation else [],
        maps.qualities(check.explanation) if check.explanation else [],
        [],
    )


def rank(check: Check) -> list[Case]:
    """Worst first: broken, then near where distances differ, then quick."""
    norm = check.threat.norm if check.threat else ""
    telling = bool(charts.distances(check))

    def key(case: Case) -> tuple[bool, float, float, str]:
        far = case.distance.get(norm, math.inf) if telling else 0.0
        return (
            not case.success,
            far,
            case.queries if case.queries is not None else math.inf,
            case.id,
        )

    return sorted(check.cases, key=key)


def choose(ranked: list[Case]) -> list[tuple[str, Case]]:
    """The worst and the median broken case that left evidence."""
    broken = [case for case in ranked if case.success and case.evidence]
    if not broken:
        return []
    first, middle = broken[0], broken[(len(broken) - 1) // 2]
    worst = ("Worst case", first)
    return [worst] if middle is first else [worst, ("Median case", middle)]


def draw(case: Case, run_folder: Path) -> list[Drawn]:
    """A case drawn from the run folder, and from nowhere else."""
    return drawn(case.evidence, run_folder)


def drawn(
    evidence: str | None, run_folder: Path, way: Callable[[Path], list[Drawn]] = draw_case
) -> list[Drawn]:  # fmt: skip
    """An evidence file drawn."""
    if not link(evidence):
        return [Drawn("note", "The evidence of this case is not inside the run folder.")]
    path = (run_folder / str(evidence)).resolve()
    if not path.is_relative_to(run_folder.resolve()):
        return [Drawn("note", "The evidence of this case is not inside the run folder.")]
    return way(path)


def link(path: str | None) -> str:
    """A relative link to a file in the run folder; "" where the path leads elsewhere."""
    if not path or "\\" in path:
        return ""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts:
        return ""
    return urllib.parse.quote(str(pure), safe="/", errors="replace")


def replay(run_folder: Path, case: Case) -> str:
    """The command that rebuilds a case, quoted for a shell."""
    return f"medaudit replay {quoted(run_folder)} {shlex.quote(text.clean(case.id))}"


def quoted(run_folder: Path) -> str:
    """The run folder's name for a shell."""
    return shlex.quote(text.clean(run_folder.resolve().name or "."))


def blocks(page: str) -> list[Block]:
    """A rule's page: underlined or '#' headings, '- ' items, indented code, paragraphs."""
    out: list[Block] = []
    for chunk in page.replace("\r\n", "\n").split("\n\n"):
        lines = [line for line in chunk.split("\n") if line.strip()]
        if len(lines) > 1 and set(lines[1].strip()) <= set("-=~") and len(lines[1].strip()) > 2:
            out.append(Block("heading", lines[0]))
            lines = lines[2:]
        if not lines:
            continue
        if lines[0].startswith("#"):
            out.append(Block("heading", lines.pop(0).lstrip("# ")))
        if lines and all(line.startswith("    ") for line in lines):
            out += [Block("code", line) for line in lines]
        elif lines and lines[0].lstrip().startswith(("- ", "* ")):
            out += _items(lines)
        elif lines:
            out.append(Block("paragraph", " ".join(lines)))
    return out[:200]


def _items(lines: list[str]) -> list[Block]:
    """Lines that start with a dash or a star, continued by the lines below them."""
    out: list[Block] = []
    for line in lines:
        if line.lstrip().startswith(("- ", "* ")):
            out.append(Block("item", line.lstrip()[2:]))
        else:
            out[-1] = out[-1]._replace(text=f"{out[-1].text} {line.strip()}")
    return out


def frameworks(report: Report) -> dict[str, list[Compliance]]:
    """References by framework, in the report's order."""
    out: dict[str, list[Compliance]] = {}
    for item in report.compliance:
        out.setdefault(f"{item.framework} · {item.edition} · {item.status}", []).append(item)
    return out
