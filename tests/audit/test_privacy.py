"""A scan opens no socket and writes nothing outside its run folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.zoo import SPECIMENS


def command(folder: Path) -> list[str]:
    built = SPECIMENS["zipmap-int"].build(folder)
    words = ["scan", str(built.model), "--policy", "ehr-tabular.yaml", "--data", str(built.data)]
    return [
        sys.executable,
        "-m",
        "medaudit.cli.main",
        *words,
        "--out",
        "run",
        "--limit",
        "2",
        "--workers",
        "1",
    ]


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_writes_stay_in_the_run_folder(tmp_path: Path) -> None:
    home, cache = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    cache.mkdir()
    words = command(tmp_path)
    before = files(tmp_path)
    environment = {
        **os.environ,
        "HOME": str(home),
        "TMPDIR": str(cache),
        "XDG_CACHE_HOME": str(home / "cache"),
    }
    environment.pop("MPLCONFIGDIR", None)
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    done = subprocess.run(
        words,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode in (0, 1, 3), done.stderr
    fresh = files(tmp_path) - before
    assert fresh
    assert all(name.startswith("run/") for name in fresh), sorted(n for n in fresh if not n.startswith("run/"))


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_no_socket_is_opened(tmp_path: Path) -> None:
    log = tmp_path / "trace"
    trace = ["strace", "-f", "-qq", "-e", "trace=socket,connect,sendto", "-o", str(log)]
    done = subprocess.run(
        [*trace, *command(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode in (0, 1, 3), done.stderr
    network = [line for line in log.read_text().splitlines() if re.search(r"AF_INET6?|AF_NETLINK", line)]
    assert network == []
