"""The model's own explanation beside its answer: a session of the graph that gives one of its tensors, too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medaudit.audit.asked import Asked
from medaudit.core.arrays import Array
from medaudit.core.errors import ModelError
from medaudit.core.interface import Input
from medaudit.core.text import printable
from medaudit.model import file as files
from medaudit.model.codec import order
from medaudit.model.expose import exposed, stored
from medaudit.model.graph import Model
from medaudit.model.pipeline import Pipeline
from medaudit.probe.exported import retain
from medaudit.probe.kinds import Spec

if TYPE_CHECKING:
    from medaudit.audit.spec import WorkSpec


def sessions_of(spec: WorkSpec, explainer: Spec) -> tuple[Model, Model]:
    """Sessions that give the explanation's tensors too, to search with and alone. Raises ModelError."""
    path = Path(spec.model)
    graph = exposed(files.load(path), tensors_of(explainer))
    return Model(path, spec.batching, spec.device, graph), Model(path, spec.batching, "cpu", graph)


def tensors_of(explainer: Spec) -> tuple[str, ...]:
    """The tensors that are asked for."""
    return (explainer.tensor,) if explainer.tensor else (explainer.alpha, explainer.beta)


def weights_of(path: Path, explainer: Spec, edited: Any = None) -> list[np.ndarray]:
    """The stored weights that the explanation is made of, of the file or of its graph with other ones."""
    return [stored(path, name, edited) for name in (explainer.embedding, explainer.out) if name]


class Exposing(Asked):
    """Answers [R, M + S]: the model's own, then a number for every number of the point."""

    def __init__(
        self, base: Asked, explainer: Spec, search: Pipeline, reference: Pipeline, weights: list[np.ndarray]
    ) -> None:  # fmt: skip
        """weights: those of `weights_of`."""
        super().__init__(base.spec, base.data, base.points, base.padding, search, reference)
        self.explainer = explainer
        self.weights = weights

    def _in_blocks(self, pipeline: Pipeline, points: Array, xp: object) -> np.ndarray:
        wide = super()._in_blocks(pipeline, points, xp)
        m = self.spec.interface.output.width
        parts, begin = [], m
        for size in pipeline.sizes:
            end = begin + int(np.prod(size))
            parts.append(wide[:, begin:end].reshape(len(wide), *size))
            begin = end
        if not parts:  # the model failed on every row
            return np.concatenate([wide[:, :m], np.full((len(wide), self.spec.interface.size), np.nan)], axis=1)
        map_ = parts[0] if self.explainer.tensor else self._retained(parts, wide[:, :m])
        return np.concatenate([wide[:, :m], self._laid(map_)], axis=1).astype(np.float32)

    def _retained(self, parts: list[np.ndarray], answers: np.ndarray) -> np.ndarray:
        """RETAIN's contributions to the logit of the class that is decided; of one or two, to log-odds of the last."""
        alpha, beta, x = parts
        embedding, out = self.weights
        hidden = beta.shape[-1]
        alpha = alpha.reshape(len(alpha), -1)
        embedding = embedding if embedding.shape[0] == hidden else embedding.T
        rows = out if out.shape[-1] == hidden else out.T
        rows = rows.reshape(-1, hidden)
        if embedding.shape != (hidden, x.shape[-1]) or alpha.shape[1] != beta.shape[1] or x.shape[1] != beta.shape[1]:
            raise ModelError(
                f"attentions {list(parts[0].shape[1:])} and {list(beta.shape[1:])} do not fit an embedding "
                f"{list(self.weights[0].shape)} of inputs {list(x.shape[1:])}",
                "name alpha [hours], beta [hours, hidden], embedding [hidden, variables] and out [classes, hidden]",
            )
        if len(rows) <= 2:
            return retain(alpha, beta, embedding, rows[-1] - (rows[0] if len(rows) == 2 else 0), x)
        decided = np.nan_to_num(answers).argmax(axis=1)
        return retain(alpha, beta, embedding, rows[decided][:, None, :], x)

    def _laid(self, map_: np.ndarray) -> np.ndarray:
        """A tensor shaped as one input, laid over the whole point; other inputs get 0."""
        out, found = [], False
        for item in self.spec.interface.inputs:
            fits = not found and map_.shape[1:] == tuple(item.shape)
            out.append(_to_point(item, map_) if fits else np.zeros((len(map_), item.part.size)))
            found = found or fits
        if not found:
            shapes = ", ".join(f"{printable(i.name, 40)} {list(i.shape)}" for i in self.spec.interface.inputs)
            raise ModelError(
                f"tensor {printable(self.explainer.tensor, 80)!r} has rows of shape {list(map_.shape[1:])}",
                f"an explanation has one number for every number of an input: {shapes}",
            )
        return np.concatenate(out, axis=1)


def _to_point(item: Input, map_: np.ndarray) -> np.ndarray:
    """[R, ...] in the graph's axes -> [R, size] as points hold them."""
    own, part = order(item), item.part
    sides = (part.planes, part.rows, part.columns)
    grid = map_.reshape([-1, *(sides[k - 1] for k in own)])
    return np.asarray(grid.transpose([0, *(1 + own.index(k) for k in (1, 2, 3))]).reshape(len(map_), part.size))
