"""The result on a terminal: plain text where it is none, readable in 80 columns.

Foreign text goes through `text.clean` into `Text` objects, so neither markup nor terminal escapes
in a name are ever interpreted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from medaudit.audit.results import Check, Report, Verdict
from medaudit.report import text, words

WIDE = 118  # columns from which reasons get a column of their own
STYLES = {
    "pass": "green",
    "fail": "bold red",
    "inconclusive": "yellow",
    "error": "bold magenta",
    "not-run": "dim",
}
SHOUT = {"pass": "pass", "fail": "FAIL", "error": "ERROR", "not-run": "not run"}


def print_report(report: Report, console: Console, run_folder: Path | None = None) -> None:
    """Header, flags, table, summary line."""
    console.print(header(report), highlight=False, soft_wrap=True)
    for flag in report.flags:
        console.print(Text(f"flag: {words.flag(flag)}", style="yellow"), highlight=False)
    console.print()
    wide = console.width >= WIDE
    console.print(table(report, wide), highlight=False)
    if not wide:
        for line in reasons(report):
            console.print(line, highlight=False)
    console.print()
    console.print(summary(report, run_folder), highlight=False, soft_wrap=True)


def header(report: Report) -> Text:
    """Policy, model, patients, device."""
    parts = (
        f"{text.clean(report.policy.id, 60)} {text.clean(report.policy.version, 20)}",
        f"{text.clean(report.model.file, 60)} {text.clean(report.model.sha256[:12], 12)}",
        f"{report.data.used_groups:,} patients",
        f"{text.clean(report.model.provider, 40)}, block {report.block}",
    )
    return Text(" · ".join(parts), style="bold")


def table(report: Report, wide: bool) -> Table:
    """One line per check, and one more per further requirement."""
    out = Table(box=None, pad_edge=False, padding=(0, 2 if wide else 1, 0, 0), header_style="dim")
    out.add_column("check", overflow="fold", min_width=12)
    out.add_column("rule", no_wrap=True)
    out.add_column("severity", no_wrap=True)
    out.add_column(f"measured{bound(report)}", overflow="fold")
    out.add_column("required", overflow="fold")
    out.add_column("verdict", overflow="fold", min_width=12)
    if wide:
        out.add_column("", overflow="fold", ratio=1)
    for check in report.checks:
        for cells in lines(check, wide):
            more = (Text("; ".join(why(check, report))) if cells[0].plain else Text(""),) if wide else ()
            out.add_row(*cells, *more)
    return out


def lines(check: Check, wide: bool) -> Iterator[tuple[Text, ...]]:
    """The cells of one check: check, rule, severity, measured, required, verdict."""
    names = (text.clean(check.id, 40), text.clean(check.rule_id, 8), text.clean(check.severity, 12))
    if not check.required:
        first = next(iter(check.metrics.values()), None)
        seen = text.DASH if first is None else text.middle(first)
        yield (*(Text(n) for n in names), Text(seen), Text(text.DASH), verdict(check.verdict))
    for i, need in enumerate(check.required):
        value = check.metrics.get(need.metric)
        own = check.verdict if len(check.required) == 1 else need.verdict
        word = verdict(own)
        if wide and need.more_groups:
            word.append(f" +{need.more_groups:,} patients", style="default")
        cells = (Text(text.measured(value, need)), Text(text.demanded(need, value)), word)
        yield (*(Text(n if i == 0 else "") for n in names), *cells)


def verdict(value: Verdict) -> Text:
    return Text(SHOUT.get(value, value), style=STYLES[value])


def bound(report: Report) -> str:
    """(95% bound), where all measured values share one confidence."""
    values = [v for check in report.checks for v in check.metrics.values()]
    found = {v.confidence for v in values if v.confidence is not None}
    return f" ({100 * found.pop():g}% bound)" if len(found) == 1 else ""


def why(check: Check, report: Report) -> list[str]:
    """Reason of what did not pass, flags and a waiver."""
    parts = [text.clean(check.reason).rstrip(".")] if check.verdict != "pass" else []
    parts += [f"flag: {text.clean(flag)}" for flag in check.flags]
    if check.waiver is not None:
        owner, until = (text.clean(check.waiver.get(k, ""), 80) for k in ("owner", "expires"))
        parts.append(f"waived by {owner} until {until}: {text.clean(check.waiver.get('reason', ''), 200)}")
    return [part for part in parts if part]


def reasons(report: Report) -> Iterator[Padding]:
    """Under a narrow table: the reasons, indented."""
    gap = 1  # empty line above the first
    for check in report.checks:
        parts = why(check, report)
        more = [n.more_groups for n in check.required if n.more_groups]
        parts += [f"+{n:,} patients" for n in more if str(n) not in check.reason]
        if parts:
            line = Text.assemble((text.clean(check.id, 40), "bold"), ": ", "; ".join(parts))
            yield Padding(line, (gap, 0, 0, 2))
            gap = 0


def summary(report: Report, run_folder: Path | None) -> Text:
    """1 failed, 1 inconclusive · 8,412,030 rows · 26 min · path."""
    parts = [words.tally(report), f"{report.cost.rows:,} rows", text.duration(report.cost.wall_s)]
    if run_folder is not None:
        parts.append(text.clean(run_folder / "report.html", 400))
    if report.run.status == "interrupted":
        parts.insert(0, "interrupted")
    return Text(" · ".join(parts), style=STYLES[report.verdict])
