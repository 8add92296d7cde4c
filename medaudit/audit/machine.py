"""What this machine can do (`doctor`), and what a model file is (`inspect`), asked of a worker."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
from pathlib import Path
from typing import NamedTuple

from medaudit.audit.work import start_worker
from medaudit.core.errors import EngineError, MedauditError
from medaudit.model.facts import Facts

RUNTIMES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "onnxruntime-directml",
    "onnxruntime-migraphx",
)
KNOWN_WEAK = (1, 28, 1)  # older releases of ONNX Runtime miss fixes for hostile model files


class Finding(NamedTuple):
    """One line of `doctor`: state is ok, note or fault."""

    state: str
    what: str
    repair: str = ""


def installed_runtimes() -> dict[str, str]:
    """Distributions that provide `onnxruntime`, with their versions."""
    out = {}
    for name in RUNTIMES:
        try:
            out[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return out


def inspect_model(path: Path) -> tuple[Facts, str]:
    """Static facts, and why the model does not load ("" when it does)."""
    worker = start_worker()
    try:
        facts: Facts = worker.ask("inspect", str(path), timeout=300)
        try:
            worker.ask("load", (str(path), "cpu"), timeout=300)
        except EngineError as error:
            return facts, f"loading it brought the process down: {error.message}"
        except MedauditError as error:
            return facts, str(error)
        return facts, ""
    finally:
        worker.close()


def cuda_ready() -> bool:
    """A CUDA session can really be had, and CuPy is there to hold state."""
    if importlib.util.find_spec("cupy") is None or not any(Path("/dev").glob("nvidia[0-9]*")):
        return False
    return not _cuda_fault()


def _cuda_fault() -> str:
    """Why a real CUDA session cannot be had; "" when it can."""
    worker = start_worker()
    try:
        worker.ask("cuda", None, timeout=120)
    except MedauditError as error:
        return str(error)
    finally:
        worker.close()
    return ""


def doctor() -> list[Finding]:
    """Every finding, the good ones too."""
    out = [Finding("ok", f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")]
    runtimes = installed_runtimes()
    if len(runtimes) == 1:
        name, version = next(iter(runtimes.items()))
        out.append(Finding("ok", f"{name} {version}"))
        numbers = tuple(int(n) for n in version.split(".")[:3] if n.isdigit())
        if numbers < KNOWN_WEAK:
            out.append(
                Finding(
                    "note",
                    f"{name} {version} misses fixes for hostile model files",
                    f"pip install -U {name}",
                )
            )
    else:
        names = " ".join(runtimes) or "none"
        keep = "onnxruntime-gpu" if "onnxruntime-gpu" in runtimes else "onnxruntime"
        out.append(
            Finding(
                "fault",
                f"exactly one ONNX Runtime must be installed, found: {names}",
                f"pip uninstall -y {names if runtimes else keep} && pip install {keep}",
            )
        )
    worker = start_worker()
    try:
        providers = worker.ask("providers", None, timeout=120)
        out.append(Finding("ok", f"ONNX Runtime answers; compiled providers: {', '.join(providers)}"))
    except MedauditError as error:
        out.append(Finding("fault", f"ONNX Runtime does not start: {error.message}", "reinstall onnxruntime"))
    finally:
        worker.close()
    fault = _cuda_fault()
    if not fault:
        out.append(Finding("ok", "a CUDA session can be had"))
    else:
        out.append(
            Finding(
                "note",
                f"no CUDA session: {fault}",
                "--device cpu works; for CUDA install medaudit[cuda]",
            )
        )
    off = os.environ.get("ORT_DISABLE_TELEMETRY") == "1"
    out.append(
        Finding("ok", "telemetry of ONNX Runtime is off in this process and its workers")
        if off
        else Finding("fault", "ORT_DISABLE_TELEMETRY is not 1", "run the command `medaudit`, which sets it")
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    out.append(Finding("ok", f"{cores} processor cores for workers"))
    return out
