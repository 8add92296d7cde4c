"""ONNX Runtime sessions: explicit providers, fixed settings, raw errors turned into sentences.

The only module that creates sessions. `ORT_DISABLE_TELEMETRY=1` must be set before onnxruntime is
imported: releases from 1.29 on write files and open sockets at import otherwise.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from medaudit.core.errors import ModelError, ModelFault
from medaudit.core.text import printable

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime as ort

ort.set_default_logger_severity(4)

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
# What onnxruntime raises; its classes share only Exception as a base.
_STATE = ort.capi.onnxruntime_pybind11_state
ORT_ERRORS: tuple[type[Exception], ...] = (
    _STATE.EngineError,
    _STATE.EPFail,
    _STATE.Fail,
    _STATE.InvalidArgument,
    _STATE.InvalidGraph,
    _STATE.InvalidProtobuf,
    _STATE.ModelLoaded,
    _STATE.NoModel,
    _STATE.NoSuchFile,
    _STATE.NotImplemented,
    _STATE.RuntimeException,
    RuntimeError,
    ValueError,
    MemoryError,
)


def available() -> list[str]:
    """Providers compiled into the installed runtime (not proof that they work)."""
    return list(ort.get_available_providers())


def version() -> str:
    return str(ort.__version__)


def open_session(
    source: Path | bytes, device: str = "cpu", *, folder: Path | None = None, optimise: bool = True
) -> ort.InferenceSession:
    """A session on `cpu` or `cuda[:N]`; never a silent fallback.

    source: the file, or a rewritten graph as bytes with `folder` for its external data.
    Raises ModelError when the model or the provider cannot be had.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    options.enable_mem_pattern = False
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimise else level.ORT_DISABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if folder is not None:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    providers: list[Any] = [CPU]
    if device.startswith("cuda"):
        number = int(device.partition(":")[2] or 0)
        settings = {"device_id": number, "cudnn_conv_algo_search": "DEFAULT", "use_tf32": 0}
        providers = [(CUDA, settings), CPU]
        if CUDA not in available():
            raise ModelError(
                "CUDA was asked for, but the installed ONNX Runtime has no CUDA provider",
                "run 'medaudit doctor' or use --device cpu",
            )
    try:
        session = ort.InferenceSession(
            source if isinstance(source, bytes) else str(source), options, providers=providers
        )
    except ORT_ERRORS as error:
        raise translate(str(error)) from error
    if device.startswith("cuda") and session.get_providers()[0] != CUDA:
        raise ModelError(
            "CUDA was asked for, but ONNX Runtime fell back to the CPU",
            "run 'medaudit doctor' to see what is missing, or use --device cpu",
        )
    return session


def tiny_model() -> bytes:
    """An ONNX file with one Relu: enough to ask a provider whether it works."""
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 4]) for n in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return bytes(model.SerializeToString())


def run(session: ort.InferenceSession, outputs: list[str], feeds: dict[str, np.ndarray]) -> list[Any]:
    """One call; a failure of the model while answering is a ModelFault."""
    try:
        return list(session.run(outputs, feeds))
    except ORT_ERRORS as error:
        raise ModelFault(_first_sentence(str(error))) from error


_SENTENCES: tuple[tuple[str, str, str], ...] = (
    # pattern in the raw text, what it means, remedy
    (
        r"External data path does not exist: (.+?)(?:\n|$)",
        "the external data file {0} is missing",
        "copy it beside the model",
    ),
    (
        r"No such file or directory.*?\[(.+?)\]",
        "the external data file {0} is missing",
        "copy it beside the model",
    ),
    (
        r"External data path validation failed|escapes|outside",
        "the model's external data path leaves its folder",
        "do not trust this file; ask its producer for a self-contained model",
    ),
    (
        r"External initializer: (\S+)|cannot be read.*external|[Oo]ut of bounds.*external",
        "an external tensor does not fit its data file",
        "the .data file and the .onnx file do not belong together",
    ),
    (
        r"(\S+) is not a registered function/op|No Op registered for (\S+)|Could not find an implementation for (\S+)",
        "the model uses operator {0}, which this ONNX Runtime does not have",
        "export without custom operators; medaudit never loads operator libraries",
    ),
    (
        r"Unsupported model IR version: (\d+), max supported IR version: (\d+)",
        "the file's IR version {0} is newer than {1}, the newest this ONNX Runtime reads",
        "export again with an older onnx package, or update onnxruntime",
    ),
    (
        r"opset (\d+) is under development|under official development|is till opset (\d+)",
        "the model's opset is newer than this ONNX Runtime supports",
        "export again with a lower opset_version, or update onnxruntime",
    ),
    (
        r"No graph was found in the protobuf",
        "the file holds no graph: it is empty or cut off",
        "copy the model again",
    ),
    (
        r"Protobuf parsing failed|INVALID_PROTOBUF",
        "the file is not an ONNX model, or it is cut off",
        "copy the model again",
    ),
    (
        r"Unexpected input data type\. Actual: \((.+?)\) ?, expected: \((.+?)\)",
        "the model was fed {0} where it takes {1}",
        "check model.inputs in the policy",
    ),
    (
        r"Got invalid dimensions for input: (\S+)(.*)",
        "input {0} was fed with a wrong shape",
        "check axes and shape in model.inputs of the policy",
    ),
    (
        r"bad_alloc|Failed to allocate|std::bad_alloc|MemoryError",
        "the model asks for more memory than there is",
        "use a smaller --block, or a larger machine",
    ),
)


def translate(raw: str) -> ModelError:
    """ONNX Runtime's raw text -> one sentence with the cause and the remedy."""
    for pattern, meaning, remedy in _SENTENCES:
        found = re.search(pattern, raw, re.S)
        if found:
            groups = [g for g in found.groups() if g]
            texts = [printable(g.strip()) for g in groups] + ["?", "?"]
            return ModelError(meaning.format(*texts), remedy)
    return ModelError(f"ONNX Runtime cannot load the model: {_first_sentence(raw)}")


def _first_sentence(raw: str) -> str:
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", raw.strip())
    return printable(text.split("\n")[0])[:300]
