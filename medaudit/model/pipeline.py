"""The pipeline around a model: points pass its stages, are encoded, asked and decoded, in blocks of one size."""

from __future__ import annotations

import numpy as np

from medaudit.core.arrays import Array, to_numpy
from medaudit.core.errors import ModelError, ModelFault
from medaudit.core.interface import Interface
from medaudit.core.text import printable
from medaudit.model.codec import Codec
from medaudit.model.decode import decode
from medaudit.model.graph import Model
from medaudit.model.guard import Guard
from medaudit.model.vote import vote


class Pipeline:
    """Points in, answers out. Every call of the model has exactly `block` rows."""

    def __init__(
        self, model: Model, interface: Interface, block: int, guard: Guard | None = None, extra: tuple[str, ...] = ()
    ) -> None:  # fmt: skip
        """extra: outputs or inputs of the graph whose numbers stand behind each answer, one after another."""
        self.model, self.interface, self.block, self.guard, self.extra = model, interface, block, guard, extra
        self.sizes: list[tuple[int, ...]] = []  # of each of them, in one row
        self.codec = Codec(interface, device=model.device)
        self.calls = 0

    def answer(self, points: Array) -> np.ndarray:
        """Points [R <= block, D] -> answers [R, M] float32; short blocks are padded.

        Of a noisy model the block is asked `votes` times: rows of one call may share their noise.
        """
        n = points.shape[0]
        if n < self.block:
            points = pad(points, self.block)
        output = self.interface.output
        if self.guard is None:
            feeds = self.codec.encode(points)
            return vote(output, [self._asked(feeds) for _ in range(output.votes)])[:n]
        return vote(output, [self._guarded(self.guard, points, asking) for asking in range(output.votes)])[:n]

    def _guarded(self, guard: Guard, points: Array, asking: int) -> np.ndarray:
        """Answers behind stages; what they refuse is answered NaN."""
        feeds = guard.feeds(self.codec.encode(guard.points(points, asking)))
        answers = self._asked(feeds)
        own = answers[:, : self.interface.output.width]
        return np.where(guard.refused(feeds, own)[:, None], np.float32(np.nan), answers)

    def _asked(self, feeds: dict[str, Array]) -> np.ndarray:
        output = self.interface.output
        inner = [name for name in self.extra if name not in feeds]
        every = self.model.call(feeds, [*output.tensors, *inner])
        raw, beside = every[: len(output.tensors)], dict(zip(inner, every[len(output.tensors) :], strict=True))
        self.calls += 1
        fed = {k: to_numpy(v) for k, v in feeds.items()} if output.task == "reconstruction" else feeds
        answers = decode(output, raw, fed)
        if len(answers) != self.block:
            raise ModelFault(
                f"the model answered {len(answers)} rows when it was asked {self.block}",
                "declare a fixed batch, or export with a dynamic batch axis",
            )
        if not self.extra:
            return answers
        more = [np.asarray(beside[n] if n in beside else to_numpy(feeds[n]), dtype=np.float32) for n in self.extra]
        for name, tensor in zip(self.extra, more, strict=True):
            if tensor.ndim < 2 or len(tensor) != self.block:
                raise ModelError(
                    f"tensor {printable(name, 80)!r} has shape {list(tensor.shape)}, with no row for each record"
                )
        self.sizes = [tensor.shape[1:] for tensor in more]
        return np.concatenate([answers, *(tensor.reshape(self.block, -1) for tensor in more)], axis=1)

    def answer_all(self, points: np.ndarray) -> np.ndarray:
        """Points [n, D], block after block."""
        parts = [self.answer(points[i : i + self.block]) for i in range(0, len(points), self.block)]
        return np.concatenate(parts)


def pad(points: Array, block: int) -> Array:
    """Fill a short block by repeating its last row."""
    short = block - points.shape[0]
    if isinstance(points, np.ndarray):
        return np.concatenate([points, np.repeat(points[-1:], short, axis=0)])
    import cupy

    return cupy.concatenate([points, cupy.repeat(points[-1:], short, axis=0)])
