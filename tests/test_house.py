"""The house: arrows go down only, libraries stay in their rooms, importing is cheap."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import medaudit

ROOT = Path(medaudit.__file__).parent
LAYERS = {
    "core": 0,
    "stats": 1, "domain": 1, "search": 1,
    "data": 2, "policy": 2, "probe": 2, "stage": 2, "trigger": 2,
    "model": 3, "engine": 3, "oracle": 3, "train": 3,
    "rule": 4,
    "audit": 5,
    "report": 6,
    "cli": 7,
}  # fmt: skip
# What a room may import besides itself.
ALLOWED = {
    "core": set(),
    "stats": {"core"},
    "domain": {"core"},
    "search": {"core"},
    "data": {"core", "domain"},
    "policy": {"core", "domain"},
    "probe": {"core", "stats", "domain"},
    "stage": {"core", "domain"},
    "trigger": {"core", "domain"},
    "model": {"core", "domain", "stage"},
    "train": {"core"},
    "engine": {"core", "model"},
    "oracle": {"core", "stats", "domain", "probe"},
    "rule": {"core", "stats", "domain", "search", "policy", "model", "oracle"},
    "audit": set(LAYERS) - {"report", "cli"},
    "report": {"core"},
    "cli": {"core", "policy", "rule", "audit", "report"},
}  # fmt: skip
# Single modules of plain data that a room may import beyond its rooms.
MODULES = {
    "report": {"medaudit.audit.results", "medaudit.audit.schemas"},
    "cli": {"medaudit.model.facts"},
}
LIBRARIES = {
    "onnx": ("model/",),
    "onnxruntime": ("model/",),
    "google": ("model/",),
    "pydantic": ("policy/", "audit/results.py", "report/json.py", "report/evidence.py", "report/maps.py"),
    "yaml": ("policy/",),
    "jinja2": ("report/",),
    "matplotlib": ("report/",),
    "typer": ("cli/",),
    "torch": ("train/",),
}
# Nothing in here touches a model, file, clock, logger or global random state.
PURE = {"search", "oracle", "stats", "probe"}
PURE_STANDARD = {
    "__future__", "collections", "dataclasses", "functools", "itertools", "math", "types", "typing",
    "numpy", "scipy", "array_api_compat",
}  # fmt: skip


class Import(NamedTuple):
    """One import of a file."""

    file: str
    line: int
    module: str
    typing_only: bool

    @property
    def text(self) -> str:
        return f"medaudit/{self.file}:{self.line} imports {self.module}"


def files() -> list[Path]:
    """Every file of the package, without the generated and packaged ones."""
    return sorted(p for p in ROOT.rglob("*.py") if "__pycache__" not in p.parts)


def imports(path: Path) -> Iterator[Import]:
    """Every import of a file, at any depth; names from rooms are followed to their module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    quiet = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    name = path.relative_to(ROOT).as_posix()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"medaudit/{name}:{node.lineno}: relative import"
            modules = [followed(node.module or "", alias.name) for alias in node.names]
        else:
            continue
        for module in dict.fromkeys(modules):
            yield Import(name, node.lineno, module, id(node) in quiet)


def followed(module: str, name: str) -> str:
    """`from medaudit.audit import results` imports medaudit.audit.results."""
    if not module.startswith("medaudit"):
        return module
    place = ROOT.joinpath(*module.split(".")[1:], name)
    return f"{module}.{name}" if place.with_suffix(".py").is_file() or place.is_dir() else module


ALL = [one for path in files() for one in imports(path)]


def test_two_levels() -> None:
    """Rooms, and files in rooms; every room is in the table."""
    for path in files():
        parts = path.relative_to(ROOT).parts
        assert len(parts) == 2 or parts == ("__init__.py",), path
        assert parts[0] in LAYERS or parts == ("__init__.py",), path


def test_the_table_goes_down() -> None:
    """No room is allowed anything above itself."""
    assert set(ALLOWED) == set(LAYERS)
    for room, allowed in ALLOWED.items():
        assert all(LAYERS[other] <= LAYERS[room] for other in allowed)


@pytest.mark.parametrize("room", LAYERS)
def test_arrows_go_down(room: str) -> None:
    """Every import of medaudit, also inside functions and for types only."""
    wrong = []
    for one in ALL:
        if one.file.partition("/")[0] != room or not one.module.startswith("medaudit."):
            continue
        other = one.module.split(".")[1]
        allowed = other == room or other in ALLOWED[room] or one.module in MODULES.get(room, ())
        if not allowed:
            wrong.append(one.text)
    assert wrong == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_libraries_stay_in_their_rooms(library: str) -> None:
    """Each heavy or outward library is imported in one place."""
    wrong = [
        one.text for one in ALL if one.module.split(".")[0] == library and not one.file.startswith(LIBRARIES[library])
    ]
    assert wrong == []


def test_pure_rooms_are_pure() -> None:
    """Search, oracle and stats import numbers and types, and nothing that reaches outside."""
    wrong = [
        one.text
        for one in ALL
        if one.file.partition("/")[0] in PURE and one.module.split(".")[0] not in PURE_STANDARD | {"medaudit"}
    ]
    assert wrong == []


def test_searches_see_no_files_or_random_state() -> None:
    """No call of np.random, open or print in the pure rooms."""
    wrong = []
    for path in files():
        name = path.relative_to(ROOT).as_posix()
        if name.partition("/")[0] not in PURE | {"core"}:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Attribute | ast.Call):
                continue
            text = ast.unparse(node)
            if text.startswith(("np.random", "numpy.random", "print(", "open(")):
                wrong.append(f"{name}:{node.lineno}: {text}")
    assert wrong == []


@pytest.mark.parametrize("room", ["search", "oracle"])
def test_files_are_small(room: str) -> None:
    """One idea per file."""
    long = {p.name: n for p in (ROOT / room).glob("*.py") if (n := lines(p)) > 350}
    assert long == {}


def lines(path: Path) -> int:
    """Lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def test_no_broad_except() -> None:
    """A crash of ours is the verdict `error`, never swallowed."""
    wrong = []
    for path in files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ExceptHandler):
                continue
            kinds = "" if node.type is None else ast.unparse(node.type)
            broad = {"", "Exception", "BaseException"} & set(kinds.strip("()").split(", "))
            if broad:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: except {kinds}")
    assert wrong == []


def test_no_pickle() -> None:
    """Nothing of a data or model file is ever unpickled."""
    wrong = [one.text for one in ALL if one.module.split(".")[0] in ("pickle", "dill", "joblib", "marshal")]
    assert wrong == []
    for path in files():
        assert "allow_pickle=True" not in path.read_text(encoding="utf-8")


def test_no_network() -> None:
    """Everything runs offline."""
    network = ("urllib.request", "http", "socket", "requests", "ftplib", "ssl", "smtplib")
    assert [one.text for one in ALL if one.module.startswith(network)] == []


def imported(*words: str) -> set[str]:
    """Top-level modules that a command of medaudit imports."""
    found = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "medaudit.cli.main", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert found.returncode == 0, found.stderr[-2000:]
    assert "scan" in found.stdout or "square-noise" in found.stdout
    times = [line for line in found.stderr.splitlines() if line.startswith("import time:")]
    return {line.split("|")[2].strip().split(".")[0] for line in times[1:]}


HEAVY = {"onnxruntime", "onnx", "scipy", "matplotlib", "jinja2", "cupy"}


def test_help_is_cheap() -> None:
    """Asking for help imports none of the heavy libraries."""
    assert imported("--help") & (HEAVY | {"pydantic", "yaml"}) == set()


def test_rules_are_cheap() -> None:
    """Listing rules needs NumPy, but no runtime and no plots."""
    assert imported("rules") & HEAVY == set()


def test_parent_needs_no_runtime() -> None:
    """What the parent process of a scan imports never imports onnxruntime or onnx."""
    code = (
        "import sys\n"
        "import medaudit.audit.scan, medaudit.audit.estimate, medaudit.audit.replay\n"
        "import medaudit.report, medaudit.rule, medaudit.engine.pool\n"
        "print(sorted({'onnx', 'onnxruntime'} & {m.split('.')[0] for m in sys.modules}))\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == "[]"
