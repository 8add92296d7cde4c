"""Stages around a model inside its pipeline: points are filtered, tensors denoised, answers refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medaudit.core.arrays import Array, array_module, to_numpy
from medaudit.core.errors import ModelError, ModelFault
from medaudit.core.interface import Interface
from medaudit.model.codec import Codec
from medaudit.model.facts import Batching
from medaudit.model.graph import Model, choose_batching
from medaudit.stage.stage import Stage, keys_of, refuses, steps


class Guard:
    """The stages before and after one model. salt: of their noise; the re-check's differs from the search's."""

    def __init__(
        self, stages: tuple[Stage, ...], interface: Interface, device: str, salt: int, some: np.ndarray
    ) -> None:
        """some: a few points, to see how the graphs of denoisers and detectors can be asked."""
        self.interface, self.salt = interface, salt
        self.xp = array_module(device)
        self.steps, self.refuses = steps(stages, interface), refuses(stages)
        self.denoisers: list[tuple[str, Model]] = []
        self.detectors: list[tuple[str, Model, float]] = []
        self.confidence = max((s.amount[0] for s in stages if s.kind == "confidence"), default=0.0)
        feeds = Codec(interface).encode(some)
        for stage in stages:
            if not stage.file:
                continue
            name, model = _graph(Path(stage.file), feeds, device)
            if stage.kind == "detector":
                self.detectors.append((name, model, stage.at_least))
                continue
            self.denoisers.append((name, model))
            shape, feeds = tuple(feeds[name].shape), self._denoised(feeds, name, model)
            if tuple(feeds[name].shape) != shape:
                raise ModelError(f"a denoiser answers {tuple(feeds[name].shape)} to a tensor of {shape}")

    def points(self, points: Array, asking: int) -> Array:
        """Points as they reach the codec."""
        if not self.steps:
            return points
        host = np.asarray(to_numpy(points))
        keys = keys_of(host, self.salt, asking)
        for step in self.steps:
            host = step(host, keys)
        return self.xp.asarray(host)

    def feeds(self, feeds: dict[str, Array]) -> dict[str, Array]:
        """Tensors as they reach the model."""
        for name, model in self.denoisers:
            feeds = self._denoised(feeds, name, model)
        return feeds

    def refused(self, feeds: dict[str, Array], answers: np.ndarray) -> np.ndarray:
        """Rows [R] bool that are given no answer. feeds: as the model got them."""
        out = np.zeros(len(answers), dtype=bool)
        for name, model, limit in self.detectors:
            (score, *_) = model.call({model.facts.inputs[0].name: feeds[name]})
            values = np.asarray(score, dtype=np.float64).reshape(len(answers), -1)
            out |= ~(values[:, min(1, values.shape[1] - 1)] < limit)  # of two scores the second; NaN is refused
        if self.confidence:
            out |= ~(_confidence(self.interface, answers) >= self.confidence)
        return out

    def _denoised(self, feeds: dict[str, Array], name: str, model: Model) -> dict[str, Array]:
        (clean, *_) = model.call({model.facts.inputs[0].name: feeds[name]})
        return feeds | {name: self.xp.asarray(np.asarray(clean, dtype=str(feeds[name].dtype)))}


def _graph(path: Path, feeds: dict[str, Array], device: str) -> tuple[str, Model]:
    """A denoiser's or detector's graph, and the model's input that it takes: the first of its type and shape."""
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file", "paths of stages are seen from the policy's folder")
    facts = Model(path, Batching("free")).facts
    if len(facts.inputs) != 1:
        raise ModelError(f"{path} takes {len(facts.inputs)} inputs; a stage takes one")
    want = facts.inputs[0]
    for name, tensor in feeds.items():
        shape = list(want.shape or [])
        fits = len(shape) == tensor.ndim and all(
            not isinstance(a, int) or a == b for a, b in zip(shape[1:], tensor.shape[1:], strict=True)
        )
        if fits and want.dtype == str(tensor.dtype):
            few = {want.name: tensor}
            try:
                return name, Model(path, choose_batching(path, few), device)
            except ModelFault as fault:
                raise ModelError(f"{path} does not run: {fault.message}") from fault
    raise ModelError(
        f"{path} takes {want.dtype} {want.shape}; the model has no input of that type and shape",
        "a stage's graph takes the tensor that the model takes",
    )


def _confidence(interface: Interface, answers: np.ndarray) -> np.ndarray:
    """How sure the model says it is, [R]."""
    from scipy.special import expit, softmax

    values = answers.astype(np.float64)
    sure = interface.output.meaning == "probabilities"
    if values.shape[1] == 1:
        share = values[:, 0] if sure else expit(values[:, 0])
        return np.maximum(share, 1 - share)
    return np.asarray((values if sure else softmax(values, axis=1)).max(axis=1))
