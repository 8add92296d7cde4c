"""`medaudit attribute` on the console: the strongest cells of one record or over all, and a drawing."""

from __future__ import annotations

import tempfile
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from medaudit.audit.attribute import Attribution, Importance, attribute, importance
from medaudit.core.errors import MedauditError
from medaudit.core.files import write_atomic
from medaudit.policy import loader
from medaudit.policy.schema import EXPLAINERS, ExplainerSection
from medaudit.report import maps, text

SHOWN = 12


def explained(
    model: Path, data: Path, index: int | None, kind: str, rows: int, policy: str, name: str, out: Path | None
) -> None:  # fmt: skip
    """Print one explanation, or without an index what counts over all records. Raises MedauditError."""
    if name and (kind or (rows and index is not None)):
        raise MedauditError(f"--explainer {name} says the kind and its rows", "leave --kind and --rows out")
    if index is None and kind:
        raise MedauditError(f"--kind {kind} explains one row", "give --index, or leave --kind out")
    section = _section(kind or "occlusion", 0 if index is None else rows, policy, name)
    if out is not None and out.suffix.lower() != ".svg":
        raise MedauditError(f"{out}: drawings are .svg files", "give --out FILE.svg")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "maps.npz" if out is not None else None
        if index is None:
            said = _importance(importance(model, data, rows, section, policy, file))
        else:
            said = _attribution(index, attribute(model, data, index, section, policy, file))
        title = f"Row {index}" if index is not None else "All records"
        drawn = maps.draw(file, title) if file is not None else []
    pictures = [item.svg for item in drawn if item.svg]
    for k, svg in enumerate(pictures):
        if out is not None:
            write_atomic(out if k == 0 else out.with_name(f"{out.stem}-{k + 1}{out.suffix}"), svg)
    head, table, foot = said
    typer.echo(head)
    Console().print(table)
    typer.echo(foot)
    if out is not None and pictures:
        typer.echo(f"drawn: {out}")


def _attribution(index: int, found: Attribution) -> tuple[str, Table, str]:
    table = _table("what speaks", f"for {found.of} (+), against (-)")
    if found.errors is not None:
        table.add_column("standard error", justify="right")
    if found.ranges is not None:
        table.add_column("by other reference rows", justify="right")
    for i in _first(found.values):
        more = [text.number(found.errors[i], 2)] if found.errors is not None else []
        more += [f"{low:+.3g} to {high:+.3g}" for low, high in (found.ranges[i : i + 1] if found.ranges else [])]
        table.add_row(found.names[i], f"{found.values[i]:+.4g}", *more)
    foot = f"{found.explainer}, {len(found.values)} cells, {found.rows:,} model rows"
    if found.digest:
        foot += f", plan {found.digest}"
    if found.agreement is None:
        foot += "; nothing is drawn: asked again it says the same"
    else:
        foot += f"; it agrees with itself under another plan to {found.agreement:.0%}"
    if not any(found.values):
        foot += "; nothing that it asks moves the answer: this is no explanation"
    return f"row {index}: {found.answer} ({found.unit} {found.explained:.4g})", table, foot


def _importance(found: Importance) -> tuple[str, Table, str]:
    table = _table("what counts", "answers lose")
    table.add_column("95 % over patients", justify="right")
    table.add_column("answers turned", justify="right")
    for i in _first([one.value for one in found.lost]):
        one = found.lost[i]
        table.add_row(
            found.names[i], f"{one.value:+.4g}", f"{one.low:+.3g} to {one.high:+.3g}", f"{found.turned[i]:.1%}"
        )
    foot = f"permutation importance, {len(found.names)} cells, {found.rows:,} model rows, plan {found.digest}"
    records = f"{found.records}" + (f" of {found.total:,}" if found.records < found.total else "")
    return f"{records} records, each cell exchanged between them ({found.unit})", table, foot


def _table(what: str, how: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(what, overflow="fold")
    table.add_column(how, justify="right", no_wrap=True)
    return table


def _first(values: list[float]) -> list[int]:
    """The strongest cells."""
    return sorted(range(len(values)), key=lambda i: (-abs(values[i]), i))[:SHOWN]


def _section(kind: str, rows: int, policy: str, name: str) -> ExplainerSection:
    if name:
        every = loader.load(loader.find(policy))[0].explainers if policy else {}
        if name not in every:
            raise MedauditError(f"there is no explainer {name!r}", f"the policy has: {', '.join(every) or 'none'}")
        return every[name]
    try:
        return ExplainerSection(kind=kind, rows=rows)
    except ValueError as error:
        raise MedauditError(
            f"--kind {kind} --rows {rows} is no explainer", f"kinds: {', '.join(EXPLAINERS)}"
        ) from error
