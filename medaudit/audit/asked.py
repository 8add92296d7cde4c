"""The model as a check asks it: bare or behind stages, in blocks on the device, and alone on the reference session."""

from __future__ import annotations

from typing import Any

import numpy as np

from medaudit.audit.spec import WorkSpec
from medaudit.core.arrays import Array, array_module
from medaudit.core.errors import ModelFault
from medaudit.data import Dataset
from medaudit.model.pipeline import Pipeline
from medaudit.oracle.noise import noise_floor


class Asked:
    """What lanes, re-checks and lists of questions need of an opened run. `spec.interface` is of these stages."""

    def __init__(
        self, spec: WorkSpec, data: Dataset, points: np.ndarray, padding: np.ndarray | None,
        pipeline: Pipeline, reference: Pipeline,
    ) -> None:  # fmt: skip
        self.spec, self.data, self.points, self.padding = spec, data, points, padding
        self.pipeline, self.reference = pipeline, reference
        self.votes = spec.interface.output.votes
        self.fault = ""  # what the model said when it first failed

    def clean(self, index: np.ndarray) -> dict[str, Any]:
        """Answers to rows `index` in blocks, and one at a time on the reference session."""
        points = self.points[index]
        answers = self.ask(points)
        # Backwards: two sessions that draw random numbers may draw the same ones in the same order.
        single = self.alone(points[::-1])[::-1]
        if self.fault and np.isnan(answers).all():
            raise ModelFault(f"the model fails on every row of the data: {self.fault}")
        return {
            "answers": answers,
            "single": single,
            "floor": noise_floor(self.spec.interface.output, answers, single),
            "rows": 2 * len(index) * self.votes,
            "fault": self.fault,
        }

    def ask(self, points: Array) -> np.ndarray:
        return self._in_blocks(self.pipeline, points, array_module(self.spec.device))

    def alone(self, points: np.ndarray) -> np.ndarray:
        parts = [self._in_blocks(self.reference, points[i : i + 1], np) for i in range(len(points))]
        return np.concatenate(parts)

    def _in_blocks(self, pipeline: Pipeline, points: Array, xp: Any) -> np.ndarray:
        """Answers block after block; a row on which the model fails answers NaN, like any other nonsense."""
        block, parts = self.spec.block, []
        for start in range(0, len(points), block):
            rows = xp.asarray(points[start : start + block])
            try:
                parts.append(pipeline.answer(rows))
            except ModelFault as fault:
                self.fault = self.fault or fault.message
                if len(rows) > 1:  # which of them?
                    parts += [self._in_blocks(pipeline, rows[i : i + 1], xp) for i in range(len(rows))]
                else:
                    parts.append(np.full((1, self._width(pipeline)), np.nan, dtype=np.float32))
        return np.concatenate(parts)

    def _width(self, pipeline: Pipeline) -> int:
        """Numbers of one answer, with what stands behind it."""
        return self.spec.interface.output.width + sum(int(np.prod(size)) for size in pipeline.sizes)
