"""Relations between channels as a policy writes them: "diastolic < systolic", "low + 5 <= high"."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from medaudit.core.errors import MedauditError
from medaudit.core.interface import Interface
from medaudit.core.relations import Relation, Rules

TOKEN = re.compile(r"\s*(?:(?P<op><=|>=|<|>)|(?P<sign>[-+*])|(?P<number>\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+)"
                   r"|`(?P<quoted>[^`]+)`|(?P<name>[^\W\d][\w./%]*))")  # fmt: skip


@dataclass
class Linear:
    """sum of terms + constant, at least (strict: above) zero."""

    terms: dict[str, float] = field(default_factory=dict)
    constant: float = 0.0
    strict: bool = False
    names: tuple[str, ...] = ()  # all that were named, also those that cancel out


def parse(text: str) -> Linear:
    """Parse "2 * a + b <= c - 3"; names with blanks stand in backticks. Raises ValueError in one sentence."""
    tokens, end = [], 0
    while end < len(text.rstrip()):
        match = TOKEN.match(text, end)
        if match is None:
            raise ValueError(f"relation {text!r} cannot be read at {text[end:].strip()[:20]!r}")
        tokens.append((match.lastgroup or "", match[match.lastgroup or 0].strip()))
        end = match.end()
    ops = [i for i, (kind, _) in enumerate(tokens) if kind == "op"]
    if len(ops) != 1:
        raise ValueError(f"relation {text!r} must hold one of <, <=, >, >=")
    left, op, right = tokens[: ops[0]], tokens[ops[0]][1], tokens[ops[0] + 1 :]
    if op in ("<", "<="):
        left, right = right, left
    out = Linear(strict=op in ("<", ">"))
    for side, way in ((left, 1.0), (right, -1.0)):
        _sum(side, way, out, text)
    out.names = tuple(out.terms)
    out.terms = {name: weight for name, weight in out.terms.items() if weight}
    if not out.terms:
        raise ValueError(f"relation {text!r} names no channel")
    if not np.isfinite([out.constant, *out.terms.values()]).all():
        raise ValueError(f"relation {text!r} holds a number that is too large")
    return out


def _sum(tokens: list[tuple[str, str]], way: float, out: Linear, text: str) -> None:
    """Add a side's terms: [sign] [number *] name, or [sign] number."""
    rest = list(tokens)
    if not rest:
        raise ValueError(f"relation {text!r} has an empty side")
    first = True
    while rest:
        sign = 1.0
        if rest[0] in (("sign", "+"), ("sign", "-")):
            sign = -1.0 if rest.pop(0)[1] == "-" else 1.0
        elif not first:
            raise ValueError(f"relation {text!r} lacks + or - before {rest[0][1]!r}")
        first = False
        factors = []
        while rest and rest[0][0] in ("number", "name", "quoted"):
            factors.append(rest.pop(0))
            if not rest or rest[0] != ("sign", "*"):
                break
            rest.pop(0)
            if not rest or rest[0][0] == "sign":
                raise ValueError(f"relation {text!r} lacks a number or a name after *")
        names = [value for kind, value in factors if kind != "number"]
        if not factors or len(names) > 1:
            raise ValueError(f"relation {text!r} must be a sum of numbers and of names, each times a number")
        weight = way * sign * float(np.prod([float(v) for kind, v in factors if kind == "number"]))
        if names:
            out.terms[names[0]] = out.terms.get(names[0], 0.0) + weight
        else:
            out.constant += weight


def rules_of(interface: Interface, relations: tuple[str, ...], one_hot: tuple[tuple[str, ...], ...]) -> Rules:
    """The rules on a point's numbers. Raises MedauditError naming what does not fit the model."""
    places = _places(interface)
    out = []
    for text in relations:
        try:
            linear = parse(text)
        except ValueError as error:
            raise MedauditError(str(error)) from error
        known = {name: _known(places, name, f"relation {text!r}") for name in linear.names}
        rows = [known[name] for name in linear.terms]
        width = max(len(row) for row in rows)
        if any(len(row) not in (1, width) for row in rows):
            raise MedauditError(f"relation {text!r} joins channels of different lengths")
        index = np.stack([np.broadcast_to(row, width) for row in rows]).astype(np.int64)
        out.append(Relation(index, tuple(linear.terms.values()), linear.constant, linear.strict))
    groups: list[np.ndarray] = []
    for names in one_hot:
        where = [_known(places, name, "one_hot") for name in names]
        if len(names) < 2 or any(len(row) != 1 for row in where):
            raise MedauditError(f"one_hot {', '.join(names)}: two or more columns of a table are needed")
        groups.append(np.concatenate(where).astype(np.int64))
    every = [name for names in one_hot for name in names]
    twice = [name for i, name in enumerate(every) if name in every[:i]]
    if twice:
        raise MedauditError(f"one_hot names {twice[0]!r} twice: a column belongs to one group")
    return Rules(tuple(out), tuple(groups))


def _known(places: dict[str, np.ndarray], name: str, where: str) -> np.ndarray:
    if name not in places:
        raise MedauditError(f"{where} names {name!r}, which is not a channel of this model")
    if not places[name].size:
        raise MedauditError(f"{where} names {name!r}, which more than one input has")
    return places[name]


def _places(interface: Interface) -> dict[str, np.ndarray]:
    """Numbers of each named channel, in the order of a point."""
    out: dict[str, np.ndarray] = {}
    begin = 0
    for item in interface.inputs:
        part = item.part
        grid = begin + np.arange(part.size).reshape(part.planes, part.rows, part.columns)
        begin += part.size
        for i, channel in enumerate(item.channels):
            own = {"image": grid[i : i + 1], "table": grid[:, :, i : i + 1]}.get(item.domain, grid[:, i : i + 1, :])
            if len(item.channels) > 1 or item.domain in ("table", "signal", "sequence"):
                known = channel.name in out
                out[channel.name] = np.zeros(0, dtype=np.int64) if known else own.ravel()
    return out
