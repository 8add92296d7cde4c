"""`medaudit attribute` on the console: the strongest cells, and a drawing."""

from __future__ import annotations

import tempfile
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from medaudit.audit.attribute import attribute
from medaudit.core.errors import MedauditError
from medaudit.core.files import write_atomic
from medaudit.policy import loader
from medaudit.policy.schema import EXPLAINERS, ExplainerSection
from medaudit.report import maps, text

SHOWN = 12


def explained(
    model: Path, data: Path, index: int, kind: str, rows: int, policy: str, name: str, out: Path | None
) -> None:  # fmt: skip
    """Print one explanation. Raises MedauditError."""
    section = _section(kind, rows, policy, name)
    if out is not None and out.suffix.lower() != ".svg":
        raise MedauditError(f"{out}: drawings are .svg files", "give --out FILE.svg")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "maps.npz" if out is not None else None
        found = attribute(model, data, index, section, policy, file)
        drawn = maps.draw(file) if file is not None else []
    pictures = [item.svg for item in drawn if item.svg]
    for k, svg in enumerate(pictures):
        if out is not None:
            write_atomic(out if k == 0 else out.with_name(f"{out.stem}-{k + 1}{out.suffix}"), svg)
    table = Table(box=None, pad_edge=False)
    table.add_column("what speaks", no_wrap=True)
    table.add_column("for (+), against (-)", justify="right")
    if found.errors is not None:
        table.add_column("standard error", justify="right")
    if found.ranges is not None:
        table.add_column("by other reference rows", justify="right")
    order = sorted(range(len(found.values)), key=lambda i: (-abs(found.values[i]), i))[:SHOWN]
    for i in order:
        more = [text.number(found.errors[i], 2)] if found.errors is not None else []
        more += [f"{low:+.3g} to {high:+.3g}" for low, high in (found.ranges[i : i + 1] if found.ranges else [])]
        table.add_row(found.names[i], f"{found.values[i]:+.4g}", *more)
    typer.echo(f"row {index}: {found.answer} (log-odds or value {found.explained:.4g})")
    Console().print(table)
    typer.echo(
        f"{found.explainer}, {len(found.values)} cells, {found.rows:,} model rows, plan {found.digest}; it agrees with "
        f"itself under another plan to {found.agreement:.0%}"
    )
    if out is not None and pictures:
        typer.echo(f"drawn: {out}")


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
