"""Writing policies: YAML that the strict loader reads back unchanged, with comments."""

from __future__ import annotations

import json
import re
from typing import Any

PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./ +-]*[A-Za-z0-9]|[A-Za-z]|[0-9.]+ ?(?:%|[A-Za-z][A-Za-z0-9/]*)")
WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
FLOW = ("channels",)  # lists whose items stand on one line each
Comments = dict[tuple[str, ...], str]


def scalar(value: Any) -> str:
    """One value as it is written in YAML."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
    text = str(value)
    number = re.fullmatch(r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?", text)
    if PLAIN.fullmatch(text) and text.lower() not in WORDS and not number:
        return text
    # JSON writes what lies beyond U+FFFF as two escapes, which YAML does not join again.
    wide = (json.dumps(c)[1:-1] if c <= "\uffff" else f"\\U{ord(c):08x}" for c in text)
    return f'"{"".join(wide)}"'


def flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(flow(v) for v in value) + "]"
    text = scalar(value)
    return json.dumps(str(value)) if not text.startswith('"') and re.search(r"[,{}\[\]]", text) else text


def dump(data: dict[str, Any], comments: Comments | None = None) -> str:
    """A policy as text; a comment stands above the key it belongs to."""
    lines: list[str] = []
    _mapping(lines, data, 0, (), comments or {})
    return "\n".join(lines) + "\n"


def _mapping(lines: list[str], data: dict[str, Any], indent: int, path: tuple[str, ...], comments: Comments) -> None:
    pad = " " * indent
    for name, value in data.items():
        here = (*path, str(name))
        if indent == 0 and lines:
            lines.append("")
        for line in comments.get(here, "").splitlines():
            lines.append(f"{pad}# {line}".rstrip())
        if isinstance(value, dict) and value and not _short(value):
            lines.append(f"{pad}{scalar(name)}:")
            _mapping(lines, value, indent + 2, here, comments)
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], dict):
            lines.append(f"{pad}{scalar(name)}:")
            _items(lines, value, indent + 2, here, comments, one_line=name in FLOW)
        else:
            lines.append(f"{pad}{scalar(name)}: {flow(value)}")


def _items(
    lines: list[str],
    items: Any,
    indent: int,
    path: tuple[str, ...],
    comments: Comments,
    *,
    one_line: bool,
) -> None:
    pad = " " * indent
    for item in items:
        for line in comments.get((*path, str(item.get("id", ""))), "").splitlines():
            lines.append(f"{pad}# {line}".rstrip())
        if one_line:
            lines.append(f"{pad}- {flow(item)}")
            continue
        inner: list[str] = []
        _mapping(inner, item, indent + 2, (*path, str(item.get("id", ""))), comments)
        inner = [line for line in inner if line]
        lines.append(f"{pad}- {inner[0].lstrip()}")
        lines += inner[1:]


def _short(value: dict[str, Any]) -> bool:
    return (
        all(not isinstance(v, dict) for v in value.values())
        and len(flow(value)) <= 88
        and not any(isinstance(v, (list, tuple)) and v and isinstance(v[0], dict) for v in value.values())
    )
