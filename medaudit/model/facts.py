"""What is known of a model file, as plain data that any process may hold."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field

# Rows of fewer bytes, and their block; larger rows go in fours: their activations outgrow the caches.
CPU_BLOCKS = ((4 << 10, 64), (24 << 10, 32))
CUDA_BYTES = 64 << 20  # of one block's input
STREAM_BYTES = 256 << 10  # of one block's input where thousands of rows come in one stream
# Operators that draw random numbers.
RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}


@dataclass(frozen=True)
class Tensor:
    """A graph input or output as declared (declarations may be wrong)."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True)
class Finding:
    """One remark of the static walk."""

    severity: str  # high | medium | low | explained
    text: str
    way: tuple[str, ...] = ()  # of logic: where in the graph, from an input to an answer


@dataclass(frozen=True)
class Facts:
    """What the static walk found."""

    path: str
    files: tuple[tuple[str, str, int], ...]  # (path relative to the model's folder, sha256, bytes)
    ir: int
    opsets: tuple[tuple[str, int], ...]
    producer: str
    graph: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: tuple[tuple[str, int], ...]
    parameters: int
    findings: tuple[Finding, ...] = field(default=())

    @property
    def sha256(self) -> str:
        """Identity of the model: one digest over the digests of all its files."""
        lines = "".join(f"{sha} {name}\n" for name, sha, _ in self.files)
        return hashlib.sha256(lines.encode()).hexdigest() if len(self.files) > 1 else self.files[0][1]


@dataclass(frozen=True)
class Batching:
    """How rows may be grouped: kind "free" as exported, "freed" rewritten, "fixed" padded to size."""

    kind: str
    size: int = 0  # fixed: rows per call
    reason: str = ""


def stream_size(row_bytes: int, batching: Batching) -> int:
    """Rows per block on the CPU where thousands come in one stream, as explanations do."""
    if batching.kind == "fixed":
        return batching.size
    return max(4, min(1024, 1 << int(math.log2(max(1, STREAM_BYTES // max(1, row_bytes))))))


def block_size(row_bytes: int, batching: Batching, device: str, records: int) -> int:
    """Rows per block, from row bytes, device and records of the data file: timing never decides it.

    With few records few rows are asked at a time, and a large block would be mostly padding. On the CPU a call
    costs little: there blocks are small enough to fill up while a quarter of the records is still searched for.
    """
    if batching.kind == "fixed":
        return batching.size
    most = 1 << max(2, int(math.log2(max(1, records))))
    if device.startswith("cuda"):
        fits = 1 << int(math.log2(max(8, CUDA_BYTES // max(1, row_bytes))))
        return max(8, min(1024, fits, most))
    return min(most, max(8, most // 4), next((block for limit, block in CPU_BLOCKS if row_bytes < limit), 4))
