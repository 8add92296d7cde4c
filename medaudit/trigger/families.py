"""All families, and which of them an input can carry."""

from __future__ import annotations

from medaudit.trigger import (
    absence,
    band,
    beat,
    blend,
    clerical,
    covariance,
    drift,
    leads,
    pair,
    patch,
    pulse,
    spectrum,
    stripes,
    tone,
    train,
    value,
    warp,
    wave,
)
from medaudit.trigger.base import Family, Space

MODULES = (
    patch, blend, stripes, spectrum, warp, tone, pulse, train, beat, wave, drift, leads, covariance, band, value, pair,
    absence, clerical,
)  # fmt: skip
FAMILIES: dict[str, Family] = {module.FAMILY.name: module.FAMILY for module in MODULES}


def applicable(space: Space) -> tuple[list[Family], dict[str, str]]:
    """The families that the input can carry; and of the others of its domain, by name, why not."""
    own = [family for family in FAMILIES.values() if space.item.domain in family.domains]
    why = {family.name: family.needs(space) for family in own if family.needs(space)}
    return [family for family in own if family.name not in why], why
