"""Renderers of a `Report`: HTML for people, JSON for machines, a table for the terminal.

Jinja2 and matplotlib are imported only when a page is rendered.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from medaudit.audit.results import Report

__all__ = ["json_schema", "print_report", "read_json", "write_html", "write_json"]


def write_html(report: Report, run_folder: Path) -> Path:
    """Write `report.html`, one offline page; evidence is read from the same folder."""
    from medaudit.report import html

    return html.write(report, Path(run_folder))


def write_json(report: Report, run_folder: Path) -> Path:
    """Write `report.json`, the source of truth."""
    from medaudit.report import json

    return json.write(report, Path(run_folder))


def read_json(path: Path) -> Report:
    """Read `report.json` (or the run folder that holds it). Raises RunError."""
    from medaudit.report import json

    return json.read(Path(path))


def json_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of `report.json`."""
    from medaudit.report import json

    return json.schema()


def print_report(report: Report, console: Console, run_folder: Path | None = None) -> None:
    """Print header, flags, table and summary line."""
    from medaudit.report import terminal

    terminal.print_report(report, console, run_folder)
