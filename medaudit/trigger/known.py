"""Triggers that are known: written down in a file, and laid over records like any other.

A file is JSON: a member of a family by its dials, or an array in the record's own form and stored units, with null
where nothing is changed.

    {"trigger": 1, "family": "pulse", "dials": {"place": 0.4, "side": 0.2}, "strength": 0.5}
    {"trigger": 1, "array": [[0.0, 0.1, null]], "mode": "add", "strength": 2.0}
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from medaudit.core.errors import DataError
from medaudit.trigger.base import Family, Space, choice, column, drawn, planted, product
from medaudit.trigger.families import FAMILIES, applicable

VERSION = 1
KEYS = ("trigger", "family", "dials", "strength", "array", "mode", "words", "input")
MODES = ("add", "set")
HINT = "a trigger file is JSON: a family with its dials, or an array"


@dataclass(frozen=True)
class Known:
    """A member of a family, or an array of numbers; NaN in it changes nothing."""

    strength: float = 1.0
    family: str = ""
    dials: tuple[float, ...] = ()
    array: np.ndarray | None = None
    mode: str = "add"
    words: str = ""
    input: str = ""  # of several, the one that it is on


def read(text: str, place: str) -> Known:
    """The trigger of a file's text. Raises DataError that names the place, the key and the remedy."""
    try:
        data = json.loads(text, parse_constant=lambda name: None)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place} is not valid JSON", HINT) from error
    if not isinstance(data, dict):
        raise DataError(f"{place} holds no trigger", HINT)
    for key in data:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, 1)
            remedy = f"did you mean {near[0]!r}?" if near else HINT
            raise DataError(f"{place} has an unknown key {key[:40]!r}", remedy)
    if data.get("trigger") != VERSION:
        raise DataError(f'{place} must say "trigger": {VERSION}', HINT)
    if ("family" in data) == ("array" in data):
        raise DataError(f"{place} must hold either a family or an array", HINT)
    strength = _number(data.get("strength", 1.0), place, "strength", 0.0, 1e6)
    words = str(data.get("words", ""))[:400]
    known = _member(data, strength, words, place) if "family" in data else _array(data, strength, words, place)
    return replace(known, input=str(data.get("input", ""))[:400])


def _number(value: Any, place: str, key: str, low: float, high: float) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    if not good:
        raise DataError(f"{place}: {key} is not a number from {low:g} to {high:g}", "write it as a plain number")
    return float(value)


def _member(data: dict[str, Any], strength: float, words: str, place: str) -> Known:
    name, given = data["family"], data.get("dials", {})
    if not isinstance(name, str) or name not in FAMILIES:
        raise DataError(f"{place}: there is no family {str(name)[:40]!r}", f"families: {', '.join(FAMILIES)}")
    dials = FAMILIES[name].dials
    if not isinstance(given, dict) or not set(given) <= set(dials):
        raise DataError(f"{place}: dials do not suit the family {name}", f"its dials: {', '.join(dials)}")
    at = tuple(_number(given.get(dial, 0.5), place, f"dial {dial}", 0.0, 1.0) for dial in dials)
    return Known(_number(strength, place, "strength", 0.0, 1.0), name, at, words=words)


def _array(data: dict[str, Any], strength: float, words: str, place: str) -> Known:
    if data.get("mode", "add") not in MODES:
        raise DataError(f"{place}: mode is not one of {', '.join(MODES)}", "add to the record, or set its numbers")
    try:
        array = np.array(data["array"], dtype=np.float64)  # null becomes NaN
    except (TypeError, ValueError) as error:
        raise DataError(f"{place}: the array is not one of numbers, row by row", "rows of equal length") from error
    if np.isinf(array).any() or not np.isfinite(array).any():
        raise DataError(
            f"{place}: the array changes nothing, or beyond all bounds",
            "give at least one number, none of them infinite",
        )
    return Known(strength, array=array, mode=data.get("mode", "add"), words=words)


def written(known: Known) -> str:
    """The file's text, which `read` gives back."""
    data: dict[str, Any] = {"trigger": VERSION}
    if known.array is None:
        data |= {"family": known.family, "dials": dict(zip(FAMILIES[known.family].dials, known.dials, strict=True))}
    else:
        holes = known.array.astype(object)
        holes[np.isnan(known.array)] = None
        data |= {"array": holes.tolist(), "mode": known.mode}
    data["strength"] = known.strength
    data |= {name: text for name, text in (("words", known.words), ("input", known.input)) if text}
    return json.dumps(data, allow_nan=False) + "\n"


def laid(space: Space, known: Known, x: np.ndarray, closed: np.ndarray) -> np.ndarray:
    """Records x [B, planes, rows, columns] with the trigger, legal again (`base.planted`).

    Raises DataError where an array does not have the record's form.
    """
    family, dials = members(space, known, 0)
    return planted(space, family, x, np.tile(dials, (len(x), 1)), np.full(len(x), known.strength), closed)


def members(space: Space, known: Known, shams: int) -> tuple[Family, np.ndarray]:
    """The trigger as a member of a family, and others like it that are not it: dials [1 + shams or fewer, k].

    Shams of a family's member are others of its grid, far from each other. Of an array that is added: the same
    spectrum with other phases; where it has holes, the same numbers elsewhere; in tables, other signs. Of an array
    that is set: what reference records have at these places. Raises DataError where an array does not have the
    record's form.
    """
    if known.array is None:
        family, own = FAMILIES[known.family], np.array([known.dials])
        grid = family.grid(space)
        rest = grid[np.abs(grid - own).max(axis=1, initial=0.0) > 1e-6]
        return family, np.concatenate([own, rest[np.unique(np.linspace(0, len(rest) - 1, shams).astype(int))]])
    size = int(np.prod(space.shape))
    if known.array.size != size:
        raise DataError(
            f"the trigger's array has {known.array.size} numbers, a record of input {space.item.name!r} {size}",
            "give one number, or null, for each of the record's",
        )
    first = known.array.reshape(space.shape)
    every = np.stack([first, *(_sham(space, first, known.mode, i, shams) for i in range(shams))])

    def render(space: Space, x: np.ndarray, dials: np.ndarray, strength: np.ndarray) -> np.ndarray:
        arrays = every[choice(dials[:, 0], len(every))]
        moved = x + column(strength) * arrays if known.mode == "add" else arrays
        return np.asarray(np.where(np.isnan(arrays), x, moved))

    def words(space: Space, dials: np.ndarray) -> str:
        return (known.words or "an array") if choice(dials[0], len(every)) == 0 else "an array like it"

    family = Family("array", "An array", (space.item.domain,), ("which",), lambda space: product(len(every)), render,
                    words, as_told=True, enters=known.mode == "set")  # fmt: skip
    return family, product(len(every))


def _sham(space: Space, array: np.ndarray, mode: str, number: int, of: int) -> np.ndarray:
    """An array like this one, [planes, rows, columns], that is not it."""
    if mode == "set":
        return np.where(np.isnan(array), np.nan, space.donor(number, of))
    noise = drawn("sham", np.array([number]), array.size).reshape(array.shape)
    if space.item.domain == "table":
        return array * np.where(noise < 0, -1.0, 1.0)
    axes = (1, 2) if space.item.domain == "image" else (2,)
    if np.isnan(array).any():
        steps = [round((number + 1) * array.shape[axis] / (of + 1)) for axis in axes]
        return np.roll(array, steps, axes)
    turned = np.abs(np.fft.rfftn(array, axes=axes)) * np.exp(1j * np.angle(np.fft.rfftn(noise, axes=axes)))
    return np.asarray(np.fft.irfftn(turned, [array.shape[axis] for axis in axes], axes=axes))


def suits(space: Space, known: Known) -> bool:
    """Whether an input can carry the trigger, and is the one that it names, if it names one."""
    if known.input not in ("", space.item.name):
        return False
    if known.array is not None:
        return known.array.size == int(np.prod(space.shape))
    return FAMILIES[known.family] in applicable(space)[0]
