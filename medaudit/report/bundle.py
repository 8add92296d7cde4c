"""The run folder's views, and the digests of everything in it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from medaudit.core.files import write_atomic
from medaudit.report import write_html, write_json

if TYPE_CHECKING:
    from medaudit.audit.results import Report


@contextlib.contextmanager
def _own_cache(folder: Path) -> Iterator[None]:
    """Matplotlib keeps a list of fonts: inside the run folder, and only while the page is made."""
    place = folder / ".matplotlib"
    before = os.environ.get("MPLCONFIGDIR")
    os.environ["MPLCONFIGDIR"] = str(place)
    place.mkdir(exist_ok=True)
    try:
        yield
    finally:
        shutil.rmtree(place, ignore_errors=True)
        if before is None:
            del os.environ["MPLCONFIGDIR"]
        else:
            os.environ["MPLCONFIGDIR"] = before


def publish(report: Report, folder: Path) -> None:
    """Write report.html, report.json and manifest.json, in this order: a report.json is complete."""
    with _own_cache(folder):
        write_html(report, folder)
    write_json(report, folder)
    files = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }
    write_atomic(folder / "manifest.json", (json.dumps({"files": files}, indent=1) + "\n").encode())
