"""An independent reader of run folders: does every kept finding satisfy every constraint of its policy?

Nothing of the package is used: the policy's text and the data file are read here again, and relations are
worked out in exact fractions. `faults` gives one sentence for each thing that does not hold.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import yaml

NEAR = 1e-5  # relative slack of a norm, whose sums the package makes in float32
ALIKE = {"breaths/min": "bpm", "/min": "bpm"}  # a resolved policy writes the first as the second
WIDE = 10.0  # standard deviations that a number without a range may move where changes are counted


@dataclass(frozen=True)
class Cell:
    """One number of a point."""

    channel: str
    input: str
    kind: str = "number"
    unit: str = ""
    fixed: bool = False
    lo: float | None = None
    hi: float | None = None
    sd: float = 1.0
    step: float = 0.0
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Instance:
    """One relation at one hour: the sum of weight * cell + constant is not below zero; strict: above it."""

    text: str
    cells: tuple[int, ...]
    weights: tuple[Fraction, ...]
    constant: Fraction
    strict: bool

    def holds(self, point: np.ndarray) -> bool:
        """In exact fractions."""
        terms = (w * Fraction(float(point[i])) for i, w in zip(self.cells, self.weights, strict=True))
        total = sum(terms, self.constant)
        return total > 0 if self.strict else total >= 0


@dataclass(frozen=True)
class Book:
    """What a policy's text says about every number of a point, and all clean points."""

    policy: dict[str, Any]
    cells: tuple[Cell, ...]
    points: np.ndarray  # [n, D] float32, NaN where nothing was measured
    ids: tuple[str, ...]
    labels: np.ndarray
    masks: dict[str, np.ndarray]  # [n, D] bool
    groups: tuple[tuple[int, ...], ...] = ()
    relations: tuple[Instance, ...] = ()
    found: dict[str, list[int]] = field(default_factory=dict)  # cells of a channel


def read(policy: Path, data: Path) -> Book:
    """The book of a resolved policy and its data file."""
    text = yaml.safe_load(policy.read_text(encoding="utf-8"))
    with np.load(data, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    cells: list[Cell] = []
    points, masks = [], {}
    for name, section in text["model"]["inputs"].items():
        key = f"x__{name}" if f"x__{name}" in arrays else "x"
        own = [_cell(channel, name) for channel in section["channels"]]
        flat = _flat(arrays[key], section, own)
        points.append(flat)
        cells += [cell for cell in own for _ in range(flat.shape[1] // len(own))]
    for key in (k for k in arrays if k.startswith("mask__")):
        masks[key.removeprefix("mask__").partition("__")[0]] = _mask(arrays, key, text)
    found: dict[str, list[int]] = {}
    for i, cell in enumerate(cells):
        found.setdefault(cell.channel, []).append(i)
    rows = np.concatenate(points, axis=1)
    ids = arrays["ids"] if "ids" in arrays else np.arange(len(rows))
    said = text["model"].get("constraints") or {}
    groups = tuple(tuple(found[name][0] for name in names) for names in said.get("one_hot", ()))
    relations = tuple(one for words in said.get("relations", ()) for one in instances(words, found))
    return Book(text, tuple(cells), rows, tuple(map(str, ids)), arrays["y"], masks, groups, relations, found)


def _cell(channel: dict[str, Any], name: str) -> Cell:
    lo, hi = channel.get("range") or (None, None)
    words = ("kind", "unit", "fixed", "sd", "step")
    said = {word: channel[word] for word in words if channel.get(word) is not None}
    return Cell(channel["name"], name, lo=lo, hi=hi, categories=tuple(map(str, channel.get("categories", ()))), **said)


def _flat(values: np.ndarray, section: dict[str, Any], cells: list[Cell]) -> np.ndarray:
    """Stored rows [n, ...] -> [n, D]: channel after channel, each hour after hour; text becomes its place."""
    if values.dtype.kind in "USO":
        place = {word: float(k) for k, word in enumerate(cells[0].categories)}
        values = np.vectorize(lambda word: place.get(str(word), np.nan), otypes=[float])(values)
    if section["domain"] == "sequence" and section["stored_axes"] == ["batch", "hour", "variable"]:
        values = np.swapaxes(values, 1, 2)
    return values.reshape(len(values), -1).astype(np.float32)


def _mask(arrays: dict[str, np.ndarray], key: str, text: dict[str, Any]) -> np.ndarray:
    """A mask over whole points; inputs that it does not name are outside it."""
    _, _, owner = key.removeprefix("mask__").partition("__")
    parts = []
    for name, section in text["model"]["inputs"].items():
        stored = arrays[f"x__{name}" if owner else "x"]
        own = np.broadcast_to(arrays[key], stored.shape) if owner in ("", name) else np.zeros(stored.shape)
        parts.append(_flat(own.astype(float), section, []) > 0)
    return np.concatenate(parts, axis=1)


# --- relations


def instances(text: str, found: dict[str, list[int]]) -> Iterator[Instance]:
    """A relation's text -> one instance a table, one an hour of a series."""
    names = sorted(found, key=len, reverse=True)
    plain = text
    for i, name in enumerate(names):
        pattern = rf"`{re.escape(name)}`|(?<![\w`]){re.escape(name)}(?![\w`])"
        plain = re.sub(pattern, f"v{i}_", plain)
    left, op, right = re.split(r"(<=|>=|<|>)", plain)
    if op in ("<", "<="):
        left, right = right, left
    terms, constant = _linear(ast.parse(f"({left}) - ({right})", mode="eval").body)
    places = {name: found[names[int(name[1:-1])]] for name in terms}
    for hour in range(max(map(len, places.values()))):
        cells = tuple(own[hour if len(own) > 1 else 0] for own in places.values())
        yield Instance(text, cells, tuple(terms.values()), constant, op in ("<", ">"))


def _linear(node: ast.expr) -> tuple[dict[str, Fraction], Fraction]:
    """Weights and constant of a sum of products, from Python's own reading of it."""
    match node:
        case ast.Constant():
            return {}, Fraction(float(str(node.value)))
        case ast.Name():
            return {node.id: Fraction(1)}, Fraction(0)
        case ast.UnaryOp():
            return _scaled(_linear(node.operand), Fraction(-1 if isinstance(node.op, ast.USub) else 1))
        case ast.BinOp(op=ast.Mult()):
            one, two = _linear(node.left), _linear(node.right)
            return _scaled(two, one[1]) if not one[0] else _scaled(one, two[1])
        case ast.BinOp(op=ast.Add() | ast.Sub()):
            one, two = _linear(node.left), _linear(node.right)
            two = _scaled(two, Fraction(-1 if isinstance(node.op, ast.Sub) else 1))
            terms = {name: one[0].get(name, Fraction(0)) + two[0].get(name, Fraction(0)) for name in one[0] | two[0]}
            return terms, one[1] + two[1]
    raise ValueError(f"no linear relation: {ast.unparse(node)}")


def _scaled(linear: tuple[dict[str, Fraction], Fraction], by: Fraction) -> tuple[dict[str, Fraction], Fraction]:
    return {name: weight * by for name, weight in linear[0].items()}, linear[1] * by


# --- findings


def faults(run: Path, data: Path) -> tuple[int, list[str]]:
    """How many findings a run folder reports, and what is wrong with any of them."""
    book = read(run / "policy.yaml", data)
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    count, wrong = 0, []
    threats = {check["id"]: check.get("threat") for check in book.policy["checks"]}
    for check in report["checks"]:
        for case in (c for c in check["cases"] if c["success"] and check["family"] == "EV"):
            count += 1
            if not case["evidence"]:
                wrong.append(f"{case['id']}: reported, but nothing was kept")
                continue
            with np.load(run / case["evidence"], allow_pickle=False) as kept:
                sample, delta = int(kept["sample"]), kept["delta"]
            threat = book.policy["threats"][threats[check["id"]]]
            wrong += [f"{case['id']}: {words}" for words in finding(book, threat, sample, delta)]
    return count, wrong


def finding(book: Book, threat: dict[str, Any], sample: int, delta: np.ndarray) -> list[str]:
    """What one kept change breaks of the policy and its threat."""
    clean = book.points[sample]
    gone = np.isnan(clean)
    if delta.shape != clean.shape:
        return ["the change has another shape than the record"]
    if not np.array_equal(np.isnan(delta), gone):
        return ["a missing cell was filled in, or a cell went missing"]
    point = (clean.astype(np.float64) + delta).astype(np.float32)
    moved = ~gone & (point != clean)
    wrong = [] if moved.any() else ["nothing was changed"]
    for i in np.flatnonzero(moved):
        wrong += _cell_faults(book, threat, i, float(clean[i]), float(point[i]))
        wrong += [f"{book.cells[i].channel} lies outside the masks"] * bool(_masked(book, threat, sample, i))
    for group in book.groups:
        kept = list(group)
        if moved[kept].any() and sorted(point[kept]) != [0.0] * (len(kept) - 1) + [1.0]:
            wrong.append(f"not exactly one of {', '.join(book.cells[i].channel for i in group)} is 1")
    for one in book.relations:
        if not gone[list(one.cells)].any() and one.holds(clean) and not one.holds(point):
            wrong.append(f"the relation {one.text} is broken")
    return wrong + _size_faults(book, threat, clean, point, moved)


def _cell_faults(book: Book, threat: dict[str, Any], i: int, clean: float, now: float) -> list[str]:
    """What is wrong with one changed number by itself."""
    cell = book.cells[i]
    wrong = [f"{cell.channel} is immutable"] if cell.fixed else []
    named = [threat.get(word) or {own: 0} for word, own in (("inputs", cell.input), ("channels", cell.channel))]
    if cell.input not in named[0] or cell.channel not in named[1] or cell.channel not in reach(threat, cell):
        wrong.append(f"{cell.channel} is not among what the threat may change")
    inside = i in {j for group in book.groups for j in group}
    if threat["norm"] != "l0" and (inside or cell.kind == "category"):
        wrong.append(f"{cell.channel} changed under a threat that moves numbers only")
    lo, hi = bounds(threat, cell, clean)
    slack = 0.0 if threat["norm"] == "l0" else NEAR * abs(hi - lo)  # the size itself is measured below
    if not lo - slack <= now <= hi + slack:
        wrong.append(f"{cell.channel} is {now:.9g}, outside {lo:.9g} to {hi:.9g}")
    step = cell.step or (1.0 if cell.kind != "number" else 0.0)
    if step and abs(now - round(now / step) * step) > 2e-7 * max(abs(now), step):
        wrong.append(f"{cell.channel} is {now:.9g}, no multiple of {step:g}")
    return wrong


def reach(threat: dict[str, Any], cell: Cell) -> dict[str, str]:
    """The threat's own limits per channel; without any, every channel is free."""
    within: dict[str, str] = threat.get("within") or {}
    return within or {cell.channel: ""}


def bounds(threat: dict[str, Any], cell: Cell, clean: float) -> tuple[float, float]:
    """Legal range of a changed number; a clean value outside its range may stay or come back, not move further."""
    if cell.kind == "category":
        return 0.0, len(cell.categories) - 1.0
    amount = reach(threat, cell).get(cell.channel, "") if threat["norm"] == "l0" else ""
    unknown = cell.lo is None or cell.hi is None
    far = unit_of(amount, cell) if amount else WIDE * cell.sd if unknown and threat["norm"] == "l0" else np.inf
    lo = max(clean - far, -np.inf if cell.lo is None else min(cell.lo, clean))
    hi = min(clean + far, np.inf if cell.hi is None else max(cell.hi, clean))
    if threat["norm"] == "linf":
        far = unit_of(threat["eps"], cell)
        lo, hi = max(lo, clean - far), min(hi, clean + far)
    return lo, hi


def unit_of(amount: Any, cell: Cell) -> float:
    """How far an amount of the policy is for this number, in its own unit."""
    match = re.fullmatch(r"\s*([0-9.eE+-]+)\s*(.*?)\s*", str(amount))
    if match is None:
        raise ValueError(f"no amount: {amount!r}")
    size, unit = float(match[1]), ALIKE.get(match[2], match[2])
    if unit == "sd":
        return size * (cell.sd or 1.0)
    if unit == "range" and cell.lo is not None and cell.hi is not None:
        return size * (cell.hi - cell.lo)
    if unit not in ("", "features", ALIKE.get(cell.unit, cell.unit)):
        raise ValueError(f"{amount!r} for {cell.channel} in {cell.unit!r}")
    return size


def _masked(book: Book, threat: dict[str, Any], sample: int, i: int) -> bool:
    outside = any(not book.masks[name][sample, i] for name in threat.get("only") or ())
    return outside or any(book.masks[name][sample, i] for name in threat.get("never") or ())


def _size_faults(
    book: Book, threat: dict[str, Any], clean: np.ndarray, point: np.ndarray, moved: np.ndarray
) -> list[str]:
    """Whether the change as a whole is within the threat's size."""
    eps = float(re.match(r"[0-9.eE+-]+", str(threat["eps"]))[0])  # type: ignore[index]
    if threat["norm"] == "l0":
        owner = {i: group[0] for group in book.groups for i in group}
        count = len({owner.get(int(i), int(i)) for i in np.flatnonzero(moved)})
        return [f"{count} changes, {eps:g} are allowed"] if count > eps else []
    one = np.array([unit_of(threat["eps"], book.cells[i]) / eps for i in np.flatnonzero(moved)])
    share = np.abs(point[moved].astype(np.float64) - clean[moved].astype(np.float64)) / one
    sizes = {"linf": np.max, "l1": np.sum, "l2": lambda s: np.sqrt(np.sum(s**2))}
    size = float(sizes[threat["norm"]](share)) if share.size else 0.0
    return [f"the change is {size:.9g}, {eps:g} is allowed"] if size > eps * (1 + NEAR) else []
