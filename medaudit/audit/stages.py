"""Stages of a policy as plain data."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from medaudit.audit.spec import Found
from medaudit.core.errors import MedauditError, PolicyError, PolicyErrors
from medaudit.core.interface import Interface
from medaudit.domain.quantity import Quantity, convert
from medaudit.policy.schema import Policy, StageSection
from medaudit.policy.strict import Document
from medaudit.stage.stage import Stage, askings, fitting


def stages_of(
    policy: Policy, document: Document, folder: Path, interface: Interface
) -> dict[str, tuple[Stage, ...]]:  # fmt: skip
    """Stages by name, "" for those that are always there. Raises PolicyErrors with places."""
    problems: list[PolicyError] = []
    out: dict[str, tuple[Stage, ...]] = {}
    places = [("", ("model", "stages"), policy.model.stages)]
    places += [(name, ("stages", name), sections) for name, sections in policy.stages.items()]
    for name, place, sections in places:
        made = []
        for i, section in enumerate(sections):
            try:
                made.append(stage_of(section, folder))
                fitting(made[-1], interface)
            except MedauditError as error:
                problems.append(document.error((*place, i), str(error)))
        out[name] = tuple(made)
    if problems:
        raise PolicyErrors(problems)
    return out


def with_stages(found: Found, stages: dict[str, tuple[Stage, ...]]) -> Found:
    """What was found, with as many askings as the stages need that are always there."""
    output = found.interface.output
    output = replace(output, votes=output.votes * askings(stages.get("", ())))
    return found._replace(interface=replace(found.interface, output=output))


def stage_of(section: StageSection, folder: Path) -> Stage:
    """Raises MedauditError for units, and for files that cannot be read."""
    kind = section.kind
    value = getattr(section, kind)
    if kind in ("denoiser", "detector"):
        path = folder / value
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise MedauditError(f"{value}: there is no such file", "paths are seen from the policy's folder") from error
        return Stage(kind, file=str(path), sha256=digest, at_least=section.at_least or 0.0)
    if kind == "noise":
        return Stage(kind, noise=value, votes=section.votes or 1)
    if kind == "band_pass":
        low, high = (_hertz(v) for v in value)
        if not 0 <= low < high:
            raise MedauditError(f"band_pass keeps {value[0]} to {value[1]}, a lower and a higher one were expected")
        return Stage(kind, (low, high))
    return Stage(kind, () if kind == "z_score" else (float(value),))


def _hertz(value: Quantity) -> float:
    if not value.unit:
        return value.value
    try:
        return convert(value, "Hz")
    except ValueError as error:
        raise MedauditError(f"band_pass is given {value}, a frequency was expected ({error})") from error
