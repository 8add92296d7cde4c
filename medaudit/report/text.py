"""Foreign text made harmless, and numbers made readable.

Everything that comes from a model, a policy or data is hostile: it may hold terminal escapes,
characters that reverse the line, or megabytes.
"""

from __future__ import annotations

import math
import re
import unicodedata

from medaudit.audit.results import Required, Value

LIMIT = 300
COUNTED = ("features", "cells", "places")
DASH = "–"  # not measured; never drawn as zero
OPS = {"at_least": "≥", "at_most": "≤"}
SHARES = ("accuracy", "sensitivity", "specificity", "success", "share", "rate")  # ends of names
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.?|\x9b[0-?]*[@-~]")
_DROPPED = {
    "Cc",
    "Cf",
    "Cs",
    "Co",
    "Cn",
}  # controls, bidi and zero-width marks, surrogates, private
_SPACES = {"\t", "\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"}


def clean(value: object, limit: int = LIMIT) -> str:
    """One line of visible text, at most `limit` characters."""
    text = _ESCAPES.sub("", str(value)[: 4 * limit + 100])
    text = "".join(" " if c in _SPACES else c for c in text)
    text = "".join(c for c in text if unicodedata.category(c) not in _DROPPED)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def ends(value: object, limit: int) -> str:
    """As `clean`, but cut in the middle: names that begin alike stay apart."""
    text = clean(value)
    half = (limit - 1) // 2
    return text if len(text) <= limit else f"{text[:half].rstrip()}…{text[-half:].lstrip()}"


def number(value: float | None, digits: int = 3) -> str:
    """`digits` significant digits; whole numbers from 100 up; a dash for nothing."""
    if value is None or not math.isfinite(value):
        return DASH
    if abs(value) >= 100 or (value == int(value) and abs(value) < 1e15):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def share(value: float | None) -> str:
    """A share as a percentage with one decimal. Neither 0 nor 1 is claimed by rounding."""
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{100 * value:.1f}%"
    if text == "100.0%" and value < 1:
        return ">99.9%"
    return "<0.1%" if text == "0.0%" and value > 0 else text


def quantity(value: float | None, unit: str = "") -> str:
    """A number with its unit."""
    return with_unit(number(value), unit if value is not None else "")


def with_unit(shown: str, unit: str) -> str:
    shown_unit = unit_of(unit)
    if shown == "1" and shown_unit in COUNTED:
        shown_unit = shown_unit[:-1]
    return f"{shown}%" if shown_unit == "%" else f"{shown} {shown_unit}".rstrip()


def unit_of(symbol: str, limit: int = 40) -> str:
    """A unit as it is shown: a plain number has none."""
    return "" if symbol == "1" else clean(symbol, limit)


def is_share(value: Value) -> bool:
    named = value.method.startswith(("Clopper-Pearson", "mean of recalls"))
    return value.unit == "" and (named or value.method in ("betting", "BCa", "BCa, Student's t"))


def one(value: Value, x: float | None) -> str:
    """A number in the form of `value`: of measured numbers all three digits are shown."""
    if is_share(value) or x is None or not math.isfinite(x):
        return share(x)
    return size_of(x, value.unit)


def band(low: float, high: float) -> str:
    """Both bounds of a share."""
    return f"{share(low)} to {share(high)}"


def size_of(x: float, unit: str = "") -> str:
    """A measured size with its unit, all three digits shown."""
    if not math.isfinite(x) or abs(x) >= 100 or x == int(x):
        return quantity(x, unit)
    return with_unit(f"{x:#.3g}", unit)


def confidence(value: Value) -> str:
    """The confidence of each bound: 95%."""
    return DASH if value.confidence is None else f"{round(100 * value.confidence, 6):g}%"


def middle(value: Value) -> str:
    """The measured number itself."""
    if value.value is None:
        return "not reached" if "not reached" in value.method else DASH
    return one(value, value.value)


def interval(value: Value) -> str:
    """Both bounds in words; "" where there are none."""
    if value.low is None and value.high is None:
        return ""
    if value.low == value.high == value.value:
        return ""
    if value.high is None:
        return f"at least {one(value, value.low)}"
    if value.low is None:
        return f"at most {one(value, value.high)}"
    return f"{one(value, value.low)} to {one(value, value.high)}"


def measured(value: Value | None, required: Required | None = None) -> str:
    """The number with the bound that decides: 84.3% (≥ 80.9%)."""
    if value is None:
        return DASH
    if required is None:
        return f"{middle(value)} ({interval(value)})" if interval(value) else middle(value)
    lower = (required.op == "at_least") != (required.verdict == "fail")
    bound = value.low if lower else value.high
    if bound is None or not interval(value):
        return middle(value)
    return f"{middle(value)} ({'≥' if lower else '≤'} {one(value, bound)})"


def demanded(required: Required, value: Value | None = None) -> str:
    """What the policy asks: ≥ 80%."""
    sign = OPS[required.op]
    known = is_share(value) if value is not None else required.metric.endswith(SHARES)
    if required.unit == "" and known:
        return f"{sign} {round(100 * required.threshold, 6):g}%"
    if required.unit in ("", "%", "1"):
        return f"{sign} {required.threshold:g}{required.unit if required.unit == '%' else ''}"
    return f"{sign} {required.threshold:g} {clean(required.unit, 40)}"


def duration(seconds: float) -> str:
    """26 min; 1 h 12 min; 4.1 s."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(count: int) -> str:
    """Bytes for people."""
    for unit, step in (("GB", 2**30), ("MB", 2**20), ("kB", 2**10)):
        if count >= step:
            return f"{count / step:.1f} {unit}"
    return f"{count} bytes"


def slug(value: str) -> str:
    """robust_accuracy -> robust accuracy; sentences stay as they are."""
    text = clean(value)
    return text if " " in text else text.replace("_", " ").replace("-", " ")
