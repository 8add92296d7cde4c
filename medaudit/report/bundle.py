"""The run folder's views, and the digests of everything in it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from medaudit.core.files import write_atomic
from medaudit.report import write_html, write_json

if TYPE_CHECKING:
    from medaudit.audit.results import Report


def publish(report: Report, folder: Path) -> None:
    """Write report.html, report.json and manifest.json, in this order: a report.json is complete."""
    write_html(report, folder)
    write_json(report, folder)
    files = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }
    write_atomic(folder / "manifest.json", (json.dumps({"files": files}, indent=1) + "\n").encode())
