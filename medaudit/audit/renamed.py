"""A reference model in the words of its own file: it may call its inputs and outputs otherwise."""

from __future__ import annotations

from dataclasses import replace

from medaudit.core.errors import ModelError
from medaudit.core.interface import Interface
from medaudit.core.text import printable
from medaudit.model.facts import Facts, Tensor


def renamed(face: Interface, own: Facts, other: Facts) -> Interface:
    """The interface of one file for another: the same names where it has them, else in order.

    Raises ModelError where the other file has not as many inputs, or outputs, of the same kinds.
    """
    inputs = _names([item.name for item in face.inputs], own.inputs, other.inputs, "takes", other.path)
    outputs = _names(list(face.output.tensors), own.outputs, other.outputs, "answers with", other.path)
    return replace(
        face,
        inputs=tuple(replace(item, name=name) for item, name in zip(face.inputs, inputs, strict=True)),
        output=replace(face.output, tensors=tuple(outputs)),
    )


def _names(wanted: list[str], own: tuple[Tensor, ...], other: tuple[Tensor, ...], does: str, path: str) -> list[str]:
    if {t.name for t in other} >= set(wanted):
        return wanted
    alike = len(own) == len(other) and all(_alike(a, b) for a, b in zip(own, other, strict=True))
    if not alike:
        raise ModelError(
            f"{path}: this reference model {does} {_list(other)}, the model {_list(own)}",
            "give a version that was exported with the same inputs and outputs",
        )
    places = {tensor.name: i for i, tensor in enumerate(own)}
    return [other[places[name]].name for name in wanted]


def _alike(a: Tensor, b: Tensor) -> bool:
    """Of one type, and of as many axes where both say so."""
    return a.dtype == b.dtype and (a.shape is None or b.shape is None or len(a.shape) == len(b.shape))


def _list(tensors: tuple[Tensor, ...]) -> str:
    return ", ".join(f"{printable(t.name)!r} ({t.dtype})" for t in tensors)
