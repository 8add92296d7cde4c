"""Figures as small SVG images: the common ground.

Every figure is its own `matplotlib.figure.Figure`; pyplot and its global state are not used.
Text stays text, so a foreign name can be drawn in any script; style attributes become
presentation attributes, so no content policy can strip them.
"""

from __future__ import annotations

import base64
import io
import re
import warnings
from typing import Any, NamedTuple

INK, FAINT, PAPER, BLUE = "#1b1f24", "#9aa4af", "#ffffff", "#1f5fa8"
SETTINGS = {
    "svg.hashsalt": "medaudit",
    "svg.fonttype": "none",
    "svg.image_inline": True,
    "text.parse_math": False,
    "text.usetex": False,
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "path.simplify": True,
    "path.simplify_threshold": 0.2,
}
FONT = "'DejaVu Sans', Verdana, 'Segoe UI', Arial, sans-serif"


class Drawn(NamedTuple):
    """One item of a drawn case: an image, a table, or a note that says why there is none."""

    kind: str  # figure | table | note
    text: str  # caption, or the note itself
    alt: str = ""
    svg: bytes = b""
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    marked: frozenset[int] = frozenset()  # rows that were changed
    wide: bool = False  # needs the whole width of the page
    folded: bool = False


def new(width: float, height: float) -> Any:
    """An empty figure, inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor=PAPER)


def settings() -> Any:
    """Our settings for the time of a drawing; the caller's come back afterwards."""
    import matplotlib as mpl

    return mpl.rc_context(SETTINGS)


def svg(figure: Any) -> bytes:
    """The figure as compact SVG: the same bytes for the same figure."""
    buffer = io.BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(buffer, format="svg", metadata=nothing)
    figure.clear()
    return compact(buffer.getvalue().decode())


def compact(source: str) -> bytes:
    """Drop prolog and metadata, round coordinates, turn style into presentation attributes."""
    body = source[source.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.S)
    body = re.sub(r'<style type="text/css">.*?</style>\s*', "", body, flags=re.S)
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.S)
    joins = '<svg stroke-linejoin="round" stroke-linecap="butt"'
    body = body.replace("<svg", joins, 1)
    body = re.sub(r' style="([^"]*)"', _presentation, body)
    body = re.sub(r' d="([^"]*)"', _shorter, body)
    return re.sub(r">\s+<", "><", body).strip().encode()


def _presentation(match: re.Match[str]) -> str:
    """The declarations of a style attribute as attributes; of two with one name the last holds."""
    out: dict[str, str] = {}
    for part in match[1].split(";"):
        name, _, value = (text.strip() for text in part.partition(":"))
        size = re.search(r"[0-9.]+px", value)
        if name == "font" and size:
            out["font-size"] = size[0]
        if name in ("font", "font-family"):
            out["font-family"] = FONT
        elif name:
            out[name] = value
    return "".join(f' {name}="{value}"' for name, value in out.items())


def _shorter(match: re.Match[str]) -> str:
    """A path in relative steps of 0.1 or, where it is short, of 0.01 points."""
    parts = match[1].split()
    grid = 10 if len(parts) > 600 else 100
    if set(parts) & set("QC"):
        short = [_plain(round(float(p) * grid), grid) if p[-1].isdigit() else p for p in parts]
        return f' d="{" ".join(short)}"'
    return f' d="{_relative(parts, grid)}"'


def _relative(parts: list[str], grid: int) -> str:
    """Lines as relative steps on a grid, so that rounding does not add up along the path."""
    out, last, x, y, i = [], "", 0, 0, 0
    while i < len(parts):
        if parts[i] in "zZ":
            out.append("z")
            last, i = "z", i + 1
            continue
        to_x, to_y = round(float(parts[i + 1]) * grid), round(float(parts[i + 2]) * grid)
        if parts[i] == "M" or last == "z":
            last = parts[i]
            out.append(f"{last}{_plain(to_x, grid)} {_plain(to_y, grid)}")
        else:
            out.append(" " if last == "l" else "l")
            last = "l"
            out.append(f"{_plain(to_x - x, grid)} {_plain(to_y - y, grid)}")
        x, y, i = to_x, to_y, i + 3
    return "".join(out)


def _plain(value: int, grid: int) -> str:
    """value / grid in the fewest characters."""
    sign, whole, rest = "-" if value < 0 else "", abs(value) // grid, abs(value) % grid
    decimals = f"{rest:0{len(str(grid)) - 1}d}".rstrip("0")
    if not decimals:
        return f"{sign if whole else ''}{whole}"
    return f"{sign}{whole or ''}.{decimals}"


def data_uri(image: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(image).decode()
