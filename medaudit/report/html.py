"""`report.html`: one offline page without scripts, a view of the `Report`.

Two locks keep foreign text harmless: every value printed by a template passes `text.clean` and is
escaped, and a content policy lets the browser load nothing but our one style and our images.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from medaudit.audit.results import Report
from medaudit.core.files import write_atomic
from medaudit.report import charts, text, view, words
from medaudit.report.figures import data_uri

NAME = "report.html"
TEMPLATES = Path(__file__).parent / "templates"
LONG = 4000  # characters of a paragraph


def write(report: Report, run_folder: Path) -> Path:
    """Render and write `report.html` into the run folder."""
    write_atomic(run_folder / NAME, render(report, run_folder).encode())
    return run_folder / NAME


def render(report: Report, run_folder: Path) -> str:
    """The whole page."""
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    shares = charts.dots(report)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            run_folder=run_folder,
            style=Markup(style),  # our own file
            style_hash=digest,
            checks=view.checks(report, run_folder),
            overview=charts.overview(shares) if shares else b"",
            shares=shares,
            frameworks=view.frameworks(report),
        )
    )


def environment() -> Environment:
    """Jinja with autoescape, strict names, and cleaning of everything that is printed."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        long=lambda value: Markup(escape(text.clean(value, LONG))),  # escaped here
        image=lambda svg: Markup(data_uri(svg)),  # base64
        **{f.__name__: f for f in (text.share, text.number, text.quantity, text.duration, text.slug)},
        **{f.__name__: f for f in (text.middle, text.interval, text.measured, text.demanded, text.confidence)},
        bytes=text.size,
        size_of=text.size_of,
        link=view.link,
    )
    made.globals.update(words=words, view=view, first=view.FIRST, most=view.MOST, dash=text.DASH)
    return made


def _finalize(value: Any) -> Any:
    """Markup is ours and already escaped; anything else is cleaned before it is escaped."""
    return value if isinstance(value, Markup) else text.clean(value)
