"""The ONNX file as bytes and as a static graph: what it is, before anything runs it.

Recognises what is not ONNX by its first bytes, walks every tensor for external data, checks
versions against the installed runtime, and digests every file that decides the behaviour.
"""

from __future__ import annotations

import hashlib
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from medaudit.core.errors import ModelError
from medaudit.core.text import printable
from medaudit.model.facts import RANDOM, Facts, Finding, Tensor

MAX_BYTES = 8 << 30
ORT_OPSET, ORT_IR = 26, 13  # newest that ONNX Runtime 1.31 loads
MAGIC = (
    (b"version https://git-lfs", "a Git LFS pointer, not the model itself", "run 'git lfs pull'"),
    (b"\x1f\x8b", "compressed with gzip", "decompress it first"),
    (b"PK\x03\x04", "a zip archive (a PyTorch or MLflow file?)", "export the model to ONNX"),
    (b"\x80\x02", "a Python pickle, which medaudit never opens", "export the model to ONNX"),
    (b"\x80\x03", "a Python pickle, which medaudit never opens", "export the model to ONNX"),
    (b"\x80\x04", "a Python pickle, which medaudit never opens", "export the model to ONNX"),
    (b"\x80\x05", "a Python pickle, which medaudit never opens", "export the model to ONNX"),
    (b"\x89HDF", "an HDF5 file (Keras?)", "export the model to ONNX"),
    (b"<!DOCTYPE", "a web page", "download the model itself"),
    (b"<!doctype", "a web page", "download the model itself"),
    (b"<html", "a web page", "download the model itself"),
)
TYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
    8: "string", 9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 16: "bfloat16",
}  # fmt: skip


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def load(path: Path) -> onnx.ModelProto:
    """Parse the file without its external data. Raises ModelError in one sentence."""
    check_bytes(path)
    try:
        proto = onnx.load(str(path), load_external_data=False)
    except (DecodeError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: this is not an ONNX model, or it is cut off", "copy the model again") from error
    if not proto.HasField("graph") or not (proto.graph.node or proto.graph.output):
        raise ModelError(f"{path}: the file holds no graph: it is empty or cut off", "copy it again")
    return proto


def check_bytes(path: Path) -> None:
    """Refuse by name, size and first bytes what cannot be an ONNX file."""
    if not path.exists():
        raise ModelError(f"{path}: there is no such file", "check the path")
    if not path.is_file():
        raise ModelError(f"{path}: this is not a file", "name the .onnx file itself")
    size = path.stat().st_size
    if size == 0:
        raise ModelError(f"{path}: the file is empty", "copy the model again")
    if size > MAX_BYTES:
        raise ModelError(f"{path}: {size} bytes are more than medaudit opens ({MAX_BYTES})")
    with path.open("rb") as stream:
        head = stream.read(32)
    for magic, what, remedy in MAGIC:
        if head.startswith(magic):
            raise ModelError(f"{path}: this is {what}", remedy)
    if path.suffix == ".ort" or head[4:8] == b"ORTM":
        raise ModelError(f"{path}: this is an ONNX Runtime .ort file", "name the .onnx file it was made from")


def inspect(path: Path) -> tuple[Facts, onnx.ModelProto]:
    """The static walk. Raises ModelError where the file cannot be audited at all."""
    proto = load(path)
    findings: list[Finding] = []
    _versions(path, proto, findings)
    files = [(path.name, digest(path), path.stat().st_size)]
    external = sorted({_location(path, t) for t in _tensors(proto) if _is_external(t)})
    for name in external:
        files.append(_external_file(path, name, findings))
    nodes = list(_nodes(proto.graph))
    operators = Counter(f"{n.domain}:{n.op_type}" if n.domain else n.op_type for n in nodes)
    for op in sorted(RANDOM & set(operators)):
        findings.append(Finding("medium", f"operator {op} draws random numbers: answers may differ when asked twice"))
    made = {i.name for i in proto.graph.initializer}
    return (
        Facts(
            path=str(path),
            files=tuple(files),
            ir=proto.ir_version,
            opsets=tuple((o.domain or "ai.onnx", o.version) for o in proto.opset_import),
            producer=printable(f"{proto.producer_name} {proto.producer_version}".strip()),
            graph=printable(proto.graph.name),
            inputs=tuple(_tensor(v) for v in proto.graph.input if v.name not in made),
            outputs=tuple(_tensor(v) for v in proto.graph.output),
            operators=tuple(sorted(operators.items())),
            parameters=sum(_count(t) for t in proto.graph.initializer),
            findings=tuple(findings),
        ),
        proto,
    )


def _versions(path: Path, proto: onnx.ModelProto, findings: list[Finding]) -> None:
    if proto.ir_version > ORT_IR:
        raise ModelError(
            f"{path}: IR version {proto.ir_version} is newer than {ORT_IR}, the newest that ONNX Runtime reads",
            "export again with an older onnx package",
        )
    for entry in proto.opset_import:
        if entry.domain in ("", "ai.onnx") and entry.version > ORT_OPSET:
            raise ModelError(
                f"{path}: opset {entry.version} is newer than {ORT_OPSET}, the newest that ONNX Runtime runs",
                "export again with a lower opset_version",
            )
    domains = [e.domain or "ai.onnx" for e in proto.opset_import]
    if len(set(domains)) < len(domains):
        findings.append(Finding("low", "an operator domain is listed twice in opset_import"))
    used = {n.domain or "ai.onnx" for n in _nodes(proto.graph)}
    for domain in sorted(used - set(domains) - {"ai.onnx.ml"}):
        findings.append(Finding("low", f"operator domain {printable(domain)} is used but not listed in opset_import"))


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for sub in (attribute.g, *attribute.graphs):
                yield from _nodes(sub)


def _tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor: initialisers, sparse ones, attributes, subgraphs and function bodies."""

    def of_nodes(nodes: Iterator[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
        for node in nodes:
            for a in node.attribute:
                yield from (t for t in (a.t, *a.tensors) if t.data_type)
                for sparse in (a.sparse_tensor, *a.sparse_tensors):
                    yield from (sparse.values, sparse.indices)

    def of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        for node in graph.node:
            for a in node.attribute:
                for sub in (a.g, *a.graphs):
                    yield from of_graph(sub)

    yield from of_graph(proto.graph)
    yield from of_nodes(_nodes(proto.graph))
    for function in proto.functions:
        yield from of_nodes(iter(function.node))


def _is_external(tensor: onnx.TensorProto) -> bool:
    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL)


def _location(path: Path, tensor: onnx.TensorProto) -> str:
    for entry in tensor.external_data:
        if entry.key == "location":
            return str(entry.value)
    raise ModelError(f"{path}: an external tensor names no file", "ask for a self-contained model")


def _external_file(path: Path, name: str, findings: list[Finding]) -> tuple[str, str, int]:
    """Digest one external data file after checking that it lies beside the model."""
    shown = printable(name)
    relative = Path(name)
    if relative.is_absolute() or ".." in relative.parts:
        raise ModelError(
            f"{path}: the external data path {shown!r} leaves the model's folder",
            "do not trust this file; ask its producer for a self-contained model",
        )
    target = path.parent / relative
    if not target.exists():
        raise ModelError(f"{path}: the external data file {shown!r} is missing", f"copy it into {path.parent}")
    info = target.stat(follow_symlinks=False)
    if not stat.S_ISREG(info.st_mode):
        home = path.resolve().parent
        if not target.resolve().is_relative_to(home):
            raise ModelError(
                f"{path}: the external data file {shown!r} is a link that leaves the model's folder",
                "copy the data file itself beside the model",
            )
    if info.st_nlink > 1:
        findings.append(
            Finding(
                "medium",
                f"external data file {shown!r} has other hard links: it may be a foreign file",
            )
        )
    return shown, digest(target), target.stat().st_size


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type
    if not kind.HasField("tensor_type"):
        return Tensor(value.name, kind.WhichOneof("value") or "unknown", None)
    tensor = kind.tensor_type
    shape = None
    if tensor.HasField("shape"):
        shape = tuple(d.dim_value if d.HasField("dim_value") else (d.dim_param or None) for d in tensor.shape.dim)
    return Tensor(value.name, TYPES.get(tensor.elem_type, f"type {tensor.elem_type}"), shape)


def _count(tensor: onnx.TensorProto) -> int:
    n = 1
    for d in tensor.dims:
        n *= d
    return n
