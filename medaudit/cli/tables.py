"""Tables of the smaller commands, printed without interpreting foreign text."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from medaudit.audit.estimate import Estimate
from medaudit.audit.machine import Finding
from medaudit.audit.transfer import Cell
from medaudit.cli.progress import clock, console
from medaudit.core.text import printable
from medaudit.model.facts import Facts, Tensor


def table(*columns: str) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        made.add_column(name, overflow="fold")
    return made


def row(made: Table, *cells: object) -> None:
    made.add_row(*(Text(printable(str(cell), 400)) for cell in cells))


def print_facts(facts: Facts, problem: str) -> None:
    out = console()
    out.print(Text(f"{printable(facts.path)}  {facts.sha256}"))
    out.print(Text(f"producer {facts.producer or 'unknown'} · IR {facts.ir} · opsets "
                   + ", ".join(f"{printable(d)} {v}" for d, v in facts.opsets)
                   + f" · {facts.parameters:,} parameters"))  # fmt: skip
    made = table("tensor", "name", "type", "shape")
    for kind, tensors in (("input", facts.inputs), ("output", facts.outputs)):
        for tensor in tensors:
            row(made, kind, tensor.name, tensor.dtype, _shape(tensor))
    out.print(made)
    out.print(Text("operators: " + ", ".join(f"{printable(n)} {c}" for n, c in facts.operators)))
    for name, sha, size in facts.files:
        out.print(Text(f"file {printable(name)}: {size:,} bytes, sha256 {sha}"))
    for finding in facts.findings:
        out.print(Text(f"{finding.severity}: {finding.text}"))
        if finding.way:
            out.print(Text(f"    {' > '.join(finding.way)}"))
    if problem:
        out.print(Text(f"high: the model does not load: {printable(problem, 400)}"))
    elif not facts.findings:
        out.print(Text("no findings; the model loads on the CPU"))


def _shape(tensor: Tensor) -> str:
    if tensor.shape is None:
        return "unknown"
    return "[" + ", ".join(printable(str(d)) if d is not None else "?" for d in tensor.shape) + "]"


def print_rules() -> None:
    from medaudit.rule import RULES

    made = table("rule", "id", "needs", "norms", "what it asks")
    for rule in RULES.values():
        row(made, rule.name, rule.id, rule.access or "-", " ".join(rule.norms) or "-", rule.title)
    console().print(made)


def print_plan(estimate: Estimate) -> None:
    out = console()
    made = table("check", "lanes", "budget", "rows at most", "time", "what it can prove")
    made.columns[0].no_wrap = True
    for line in estimate.lines:
        # Lanes and budget have columns of their own; what is left is the count that decides.
        proves = line.proves.partition("queries each; ")[2] or line.proves.partition(",")[0]
        row(
            made,
            line.check,
            line.lanes or "-",
            line.budget or "-",
            f"{line.rows:,}",
            clock(60 * line.minutes),
            proves,
        )
    out.print(made)
    out.print(
        Text(
            f"at most {estimate.rows:,} rows, about {clock(60 * estimate.minutes)} minutes with {estimate.workers} "
            f"workers at {estimate.row_ms:.3f} ms a row (block {estimate.block})"
        )
    )
    for note in estimate.notes:
        out.print(Text(printable(note, 400)))


def print_transfer(cells: list[Cell]) -> None:
    """One line a pair: a matrix of names as long as folders' would not fit a terminal."""
    made = table("made on", "asked of", "turned too (95% bounds)", "patients", "failing inputs")
    for cell in cells:
        e = cell.share
        shown = f"{e.value:.1%} ({e.low:.1%} to {e.high:.1%})" if e.n else "-"
        row(made, cell.made_on, cell.asked_of, shown, e.n, cell.inputs)
    out = console()
    out.print(made)
    out.print(Text("patients: of those broken, the ones whose clean record both models answer alike"))


def print_doctor(findings: list[Finding]) -> int:
    """0 when nothing is wrong, 1 otherwise."""
    out = console()
    for finding in findings:
        out.print(Text(f"{finding.state:5}  {printable(finding.what, 500)}"))
        if finding.repair:
            out.print(Text(f"       {finding.repair}"))
    return int(any(f.state == "fault" for f in findings))
