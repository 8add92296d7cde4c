"""`report.json`: strict JSON, the model's field order, two spaces, LF, UTF-8."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from medaudit.audit.results import SCHEMA_VERSION, Report
from medaudit.audit.schemas import schemas
from medaudit.core.errors import RunError
from medaudit.core.files import write_atomic

NAME = "report.json"
LARGEST = 256 * 2**20  # bytes that are read back


def dumps(report: Report) -> bytes:
    """The report as bytes. A number that is not finite raises ValueError."""
    data = report.model_dump(mode="json")
    text = json.dumps(data, allow_nan=False, ensure_ascii=False, sort_keys=False, indent=2)
    return (text + "\n").encode()


def write(report: Report, run_folder: Path) -> Path:
    """Write `report.json` into the run folder."""
    write_atomic(run_folder / NAME, dumps(report))
    return run_folder / NAME


def read(path: Path) -> Report:
    """Read a report back; a folder means the `report.json` in it."""
    if path.is_dir():
        path = path / NAME
    if not path.is_file():
        raise RunError(f"{path}: there is no such report", "give a run folder or its report.json")
    if path.stat().st_size > LARGEST:
        raise RunError(f"{path}: larger than {LARGEST // 2**20} MB, too large for a report")
    try:
        data = json.loads(path.read_bytes(), parse_constant=_refuse, object_pairs_hook=_unique)
        return Report.model_validate(_same_schema(data), strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RunError(f"{path}: not a report of this version: {place}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: not a report: {error}") from error


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of `report.json`."""
    return schemas()["report-v1.schema.json"]


def _same_schema(data: object) -> object:
    version = data.get("schema_version") if isinstance(data, dict) else None
    if not isinstance(version, str):
        raise ValueError("schema_version is missing")
    if version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise ValueError(f"schema_version is {version[:20]!r}, this program reads {SCHEMA_VERSION}")
    return data


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not strict JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("a key is given twice")
    return out
