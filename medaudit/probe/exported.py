"""The model's own explanation: a tensor of the graph with one number for every cell.

One row each. A contribution tensor is taken as it is; of RETAIN (Choi et al. 2016, "RETAIN: an interpretable predictive
model for healthcare using reverse time attention mechanism", eq. 5) the contribution of variable k at hour t is
alpha_t <w, beta_t * E_k> x_tk, from its two attentions and two of its weights.
"""

from __future__ import annotations

import numpy as np

from medaudit.core.arrays import Array, namespace
from medaudit.probe.explainer import Explainer, Ground


def exported(ground: Ground, digest: str = "") -> Explainer:
    """The columns after the explained value, one a cell."""
    s = ground.cells.size

    def rows(points: Array, which: Array, t: Array) -> Array:
        return namespace(points).take(points, which, axis=0)

    def reduce(values: np.ndarray, points: np.ndarray) -> np.ndarray:
        return np.asarray(values[:, 0, 1:])

    return Explainer("exported", 1, s, rows, reduce, width=1 + s, digest=digest)


def retain(alpha: np.ndarray, beta: np.ndarray, embedding: np.ndarray, out: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Contributions [R, T, K] of alpha [R, T], beta [R, T, H], embedding [H, K], out [H] (the class's), x [R, T, K]."""
    return np.asarray(alpha[:, :, None] * ((beta * out) @ embedding) * x)
