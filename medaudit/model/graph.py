"""A loaded graph on one device, and how many rows a call of it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto

from medaudit.core.arrays import Array, is_cuda
from medaudit.core.errors import ModelError, ModelFault
from medaudit.core.text import printable
from medaudit.model import batch as batches
from medaudit.model import file as files
from medaudit.model import session as sessions
from medaudit.model.facts import Batching


class Model:
    """One session on one device; rows go in and come out as the graph's own tensors."""

    def __init__(
        self, path: Path, batching: Batching, device: str = "cpu", changed: ModelProto | None = None
    ) -> None:  # fmt: skip
        """changed: the file's graph with something edited, to be asked in its place."""
        self.facts, proto = files.inspect(path)
        self.batching = batching
        self.device = device
        self.outputs = [o.name for o in self.facts.outputs]
        if batching.kind == "freed" or changed is not None:
            graph = proto if changed is None else changed
            graph = batches.freed(graph) if batching.kind == "freed" else graph
            self.session = sessions.open_session(graph.SerializeToString(), device, folder=path.resolve().parent)
        else:
            self.session = sessions.open_session(path, device)

    def call(self, feeds: dict[str, Array], outputs: list[str] | None = None) -> list[Any]:
        """Ask any number of rows; a fixed batch is filled up by repeating the last row."""
        names = outputs or self.outputs
        n = len(next(iter(feeds.values())))
        if self.batching.kind != "fixed" or n == self.batching.size:
            return self._run(names, feeds, n)
        size = self.batching.size
        parts = []
        for start in range(0, n, size):
            rows = {k: v[start : start + size] for k, v in feeds.items()}
            count = len(next(iter(rows.values())))
            if count < size:
                rows = {k: np.concatenate([v, np.repeat(v[-1:], size - count, axis=0)]) for k, v in rows.items()}
            parts.append([_first(value, size, count) for value in self._run(names, rows, size)])
        return [_join(column) for column in zip(*parts, strict=True)]

    def _run(self, names: list[str], feeds: dict[str, Array], n: int) -> list[Any]:
        if any(is_cuda(v) for v in feeds.values()):
            return self._run_bound(names, feeds)
        return sessions.run(self.session, names, feeds)

    def _run_bound(self, names: list[str], feeds: dict[str, Array]) -> list[Any]:
        """Inputs stay on the device; only the answers come back."""
        binding = self.session.io_binding()
        for name, tensor in feeds.items():
            binding.bind_input(
                name,
                "cuda",
                tensor.device.id,
                np.dtype(str(tensor.dtype)),
                tensor.shape,
                tensor.data.ptr,
            )
        for name in names:
            binding.bind_output(name, "cpu")
        try:
            self.session.run_with_iobinding(binding)
        except sessions.ORT_ERRORS as error:
            raise ModelFault(printable(str(error))[:300]) from error
        return list(binding.copy_outputs_to_cpu())


def _first(value: Any, size: int, count: int) -> Any:
    if isinstance(value, list):
        return value[:count]
    return value[:count] if np.ndim(value) and len(value) == size else value


def _join(parts: tuple[Any, ...]) -> Any:
    if isinstance(parts[0], list):
        return [row for part in parts for row in part]
    return np.concatenate([np.atleast_1d(part) for part in parts])


def choose_batching(path: Path, feeds: dict[str, np.ndarray]) -> Batching:
    """Try to free a fixed batch axis; keep the rewrite only when the answers stay equal.

    feeds: some rows of real data as the graph takes them.
    """
    proto = files.load(path)
    size = batches.fixed_batch(proto)
    if size == 0:
        two = {k: v[:2] for k, v in feeds.items()}
        model = Model(path, Batching("free"))
        try:
            model.call(two)
            return Batching("free")
        except ModelFault:
            size = 1  # declared free, but it runs with one row only
    fixed = Batching("fixed", size)
    rows = min(len(next(iter(feeds.values()))), max(2 * size, 5))
    few = {k: v[:rows] for k, v in feeds.items()}
    want = Model(path, fixed).call(few)
    try:
        got = Model(path, Batching("freed")).call(few)
    except (ModelError, ModelFault) as error:
        return Batching("fixed", size, f"its batch of {size} cannot be freed ({error.message})")
    if all(_equal(a, b) for a, b in zip(want, got, strict=True)):
        return Batching("freed", 0, f"its batch of {size} was freed; answers stayed equal on {rows} rows")
    return Batching("fixed", size, f"its batch of {size} cannot be freed: answers change")


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, list) or isinstance(b, list) or np.asarray(a).dtype.kind in "OUS":
        return bool(np.all(np.asarray(a, dtype=object) == np.asarray(b, dtype=object)))
    a, b = np.asarray(a), np.asarray(b)
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-5, atol=1e-6, equal_nan=True))
