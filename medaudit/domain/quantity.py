"""Quantities with units: "0.05 mV", "5 bpm", "80%", "0.3 sd", "2 features".

`sd` (standard deviations of the reference data) and `range` (share of the legal range) always
work; physical units convert only inside their own dimension.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass

RELATIVE = ("sd", "range")
COUNT = "features"
# symbol -> (dimension, size in the dimension's base)
UNITS: dict[str, tuple[str, float]] = {
    "V": ("voltage", 1.0),
    "mV": ("voltage", 1e-3),
    "uV": ("voltage", 1e-6),
    "s": ("time", 1.0),
    "ms": ("time", 1e-3),
    "min": ("time", 60.0),
    "h": ("time", 3600.0),
    "day": ("time", 86400.0),
    "year": ("time", 31557600.0),
    "Hz": ("frequency", 1.0),
    "kHz": ("frequency", 1e3),
    "bpm": ("rate", 1.0),
    "mmHg": ("pressure", 1.0),
    "cmH2O": ("pressure", 0.73556),
    "kPa": ("pressure", 7.50062),
    "m": ("length", 1.0),
    "cm": ("length", 1e-2),
    "mm": ("length", 1e-3),
    "um": ("length", 1e-6),
    "kg": ("mass", 1.0),
    "g": ("mass", 1e-3),
    "L": ("volume", 1.0),
    "mL": ("volume", 1e-3),
    "degC": ("temperature", 1.0),
    "grey": ("grey level", 1.0),
    "mL/h": ("flow", 1.0),
    "mL/min": ("flow", 60.0),
    "L/min": ("flow", 6e4),
    "mmol/L": ("amount of substance in a volume", 1.0),
    "umol/L": ("amount of substance in a volume", 1e-3),
    "mg/dL": ("mass in a volume", 1.0),
    "g/dL": ("mass in a volume", 1e3),
    "g/L": ("mass in a volume", 1e2),
    "mg/L": ("mass in a volume", 0.1),
    "ug/L": ("mass in a volume", 1e-4),
    "ng/mL": ("mass in a volume", 1e-4),
    "mEq/L": ("mEq/L", 1.0),
    "U/L": ("enzyme activity in a volume", 1.0),
    "kg/m2": ("kg/m2", 1.0),
    "points": ("points", 1.0),
    "%": ("share", 0.01),
    "1": ("share", 1.0),
    COUNT: ("count", 1.0),
    "sd": ("sd", 1.0),
    "range": ("range", 1.0),
}
ALIASES = {
    "µV": "uV", "μV": "uV", "years": "year", "yr": "year", "days": "day", "hours": "h", "hour": "h",
    "°C": "degC", "C": "degC", "gray": "grey", "grey levels": "grey", "gray level": "grey",
    "8-bit gray level": "grey", "beats/min": "bpm", "/min": "bpm", "1/min": "bpm", "breaths/min": "bpm",
    "std": "sd", "feature": COUNT, "cells": COUNT, "millivolt": "mV", "point": "points",
    "IU/L": "U/L", "µmol/L": "umol/L", "μmol/L": "umol/L", "µg/L": "ug/L", "μg/L": "ug/L",
    "ml/h": "mL/h", "mL/hr": "mL/h", "µm": "um", "μm": "um", "ml": "mL", "ml/min": "mL/min",
}  # fmt: skip


@dataclass(frozen=True)
class Quantity:
    """A number and the symbol of its unit; "" for a bare number."""

    value: float
    unit: str = ""

    def __str__(self) -> str:
        number = f"{self.value:.10g}"
        return f"{number} {self.unit}" if self.unit not in ("", "%") else f"{number}{self.unit}"


def known(symbol: str) -> str:
    """The standard symbol of a unit, or "" where it is not known. Text in brackets is ignored."""
    text = re.sub(r"\s*\(.*\)$", "", symbol.strip())
    text = ALIASES.get(text, text)
    return text if text in UNITS else ""


def parse(text: str | float | int) -> Quantity:
    """Parse a quantity. Raises ValueError with a suggestion."""
    match = re.fullmatch(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*", str(text))
    if not match or not math.isfinite(float(match[1])):
        raise ValueError(f"{str(text)!r} is not a quantity such as '0.05 mV', '80%' or '0.3 sd'")
    symbol = match[2]
    if not symbol:
        return Quantity(float(match[1]))
    unit = known(symbol)
    if not unit:
        raise ValueError(f"unit {symbol!r} is not known{suggest(symbol)}")
    return Quantity(float(match[1]), unit)


def suggest(symbol: str) -> str:
    """'; did you mean ...' for a misspelt unit: case first, then distance."""
    names = [*UNITS, *ALIASES]
    same = [n for n in names if n.lower() == symbol.lower()]
    near = same or difflib.get_close_matches(symbol, names, 1, 0.6)
    return f"; did you mean {ALIASES.get(near[0], near[0])!r}?" if near else ""


def convert(quantity: Quantity, unit: str) -> float:
    """The quantity as a number of `unit`s. Raises ValueError when the dimensions differ."""
    if quantity.unit == unit:
        return quantity.value
    target = known(unit)
    if not quantity.unit or not target:
        raise ValueError(f"{quantity} cannot be converted to {unit or 'a number without a unit'!r}")
    (dimension, size), (other, base) = UNITS[quantity.unit], UNITS[target]
    if dimension != other:
        raise ValueError(f"{quantity} is a {dimension}, but {unit!r} is a {other}")
    return quantity.value * size / base
