"""The crosswalk: identifiers of standards and catalogues that a check gives evidence towards."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from medaudit.policy.strict import read


class Reference(NamedTuple):
    """One clause or technique, in our words."""

    framework: str
    title: str
    edition: str
    status: str
    clause: str
    about: str


Crosswalk = dict[str, Reference]


def load_crosswalk() -> Crosswalk:
    """{"framework:clause": Reference} from `policies/crosswalk.yaml`."""
    from medaudit.policy.loader import shipped_folder

    data = read(Path(shipped_folder() / "crosswalk.yaml")).data
    out: Crosswalk = {}
    for name, framework in data["frameworks"].items():
        for clause, about in framework["ids"].items():
            out[f"{name}:{clause}"] = Reference(
                name,
                framework["title"],
                str(framework["edition"]),
                framework["status"],
                str(clause),
                about,
            )
    return out
