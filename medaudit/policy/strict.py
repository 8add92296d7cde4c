"""Strict YAML: one document, no guesses, no anchors, every value with its line and column.

PyYAML's YAML 1.1 traps (`no` as false, `012` as octal, `12:30` as a number, `1e3` as text, last
duplicate wins, alias bombs) are closed by building values from the composed nodes ourselves.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml

from medaudit.core.errors import PolicyError

MAX_BYTES, MAX_DEPTH, MAX_NODES = 1 << 20, 24, 50_000
INT = re.compile(r"[-+]?[0-9]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
Path_ = tuple[str | int, ...]


class Document:
    """A parsed file: plain values, and the place of each of them."""

    def __init__(self, file: str, text: str) -> None:
        self.file, self.lines = file, text.splitlines()
        self.places: dict[Path_, tuple[int, int]] = {}
        self.data: Any = None

    def error(self, path: Path_, message: str) -> PolicyError:
        """An error at the nearest known place of `path`."""
        at = path
        while at not in self.places and at:
            at = at[:-1]
        line, column = self.places.get(at, (1, 1))
        source = self.lines[line - 1] if line <= len(self.lines) else ""
        return PolicyError(
            message, file=self.file, line=line, column=column, source=source,
            path=".".join(str(p) for p in path),
        )  # fmt: skip


def read(path: Path) -> Document:
    """Read a file; PolicyError in one sentence when it is not strict YAML."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise PolicyError(f"the file has {size} bytes; a policy has at most {MAX_BYTES}", file=str(path))
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PolicyError(f"cannot be read ({error.strerror})", file=str(path)) from error
    except UnicodeDecodeError as error:
        raise PolicyError("is not UTF-8 text", file=str(path)) from error
    return parse(text, str(path))


def parse(text: str, file: str = "policy") -> Document:
    """Parse text; see `read`."""
    document = Document(file, text)
    try:
        _limits(document, text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        document.places[()] = (line, column)
        raise document.error((), f"not valid YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise PolicyError(f"not valid YAML: {str(error).splitlines()[0]}", file=file) from error
    if node is None:
        raise PolicyError("the file is empty", file=file)
    document.data = _value(document, node, ())
    return document


def _limits(document: Document, text: str) -> None:
    """Refuse aliases, tags, depth and size before anything is built."""
    depth = documents = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        mark = event.start_mark
        if mark is not None:
            document.places[()] = (mark.line + 1, mark.column + 1)
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        if documents > 1:
            raise document.error((), "only one document is allowed in a policy")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise document.error((), "anchors and aliases are not allowed in a policy; write the value out")
        if getattr(event, "tag", None):
            raise document.error((), "tags are not allowed in a policy")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH or count > MAX_NODES:
            raise document.error((), "the policy is nested too deeply or too large")


def _value(document: Document, node: yaml.Node, path: Path_) -> Any:
    document.places[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, yaml.MappingNode):
        out: dict[str, Any] = {}
        for name, value in node.value:
            place = (name.start_mark.line + 1, name.start_mark.column + 1)
            if not isinstance(name, yaml.ScalarNode):
                document.places[path] = place
                raise document.error(path, "keys must be plain words")
            inner = (*path, name.value)
            if name.value in out:
                document.places[inner] = place
                raise document.error(inner, f"key {name.value!r} is written twice")
            out[name.value] = _value(document, value, inner)
            if isinstance(value, yaml.ScalarNode) is False or value.value == "":
                document.places[inner] = place
            document.places[(*inner, "\0key")] = place
        return out
    if isinstance(node, yaml.SequenceNode):
        return [_value(document, item, (*path, i)) for i, item in enumerate(node.value)]
    if not isinstance(node, yaml.ScalarNode):
        raise document.error(path, "only mappings, lists and plain values are allowed")
    return _scalar(node)


def _scalar(node: yaml.ScalarNode) -> Any:
    """YAML 1.2's core schema: null, true, false, decimal numbers; everything else is text."""
    text = str(node.value)
    if node.style is not None:
        return text
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if len(text) < 1000 and INT.fullmatch(text) and not re.match(r"[-+]?0[0-9]", text):
        return int(text)
    if FLOAT.fullmatch(text) and not re.match(r"[-+]?0[0-9]", text):
        number = float(text)
        return number if math.isfinite(number) else text
    return text
