"""Points <-> tensors: one float vector in stored units against the graph's named, typed inputs."""

from __future__ import annotations

import numpy as np

from medaudit.core.arrays import Array, array_module
from medaudit.core.interface import Input, Interface, side_of
from medaudit.domain.threat import spread

SIDES = ("planes", "rows", "columns")


def stored_to_points(interface: Interface, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Arrays as stored, one per input -> points [n, D] float32; text becomes its category index."""
    columns = []
    for item in interface.inputs:
        part = item.part
        values = arrays[item.name]
        if values.dtype.kind in "USO":
            values = _indices(item, values)
        grid = _to_grid(values.astype(np.float32), item.stored_axes)
        columns.append(grid.reshape(grid.shape[0], part.size))
    return np.ascontiguousarray(np.concatenate(columns, axis=1))


def points_to_stored(interface: Interface, points: np.ndarray) -> list[np.ndarray]:
    """Points [n, D] -> one array per input as the data file stores it: `stored_to_points` backwards."""
    out, start = [], 0
    for item in interface.inputs:
        part = item.part
        values: np.ndarray = points[:, start : start + part.size]
        start += part.size
        if any(channel.categories for channel in item.channels):
            wide = len(item.channels) > 1
            texts = [item.channels[j if wide else 0].categories for j in range(part.size)]
            values = np.array(
                [[texts[j][int(v)] if texts[j] and np.isfinite(v) else v for j, v in enumerate(row)] for row in values]
            )
        grid = values.reshape(-1, part.planes, part.rows, part.columns)
        named = [side_of(axis) for axis in item.stored_axes[1:] if side_of(axis)]
        rest = [k for k, side in enumerate(SIDES) if side not in named]
        moved = grid.transpose([0, *(1 + SIDES.index(side) for side in named), *(1 + k for k in rest)])
        out.append(moved)
    return out


def _indices(item: Input, values: np.ndarray) -> np.ndarray:
    out = np.full(values.shape, np.nan, dtype=np.float32)
    for i, channel in enumerate(item.channels):
        here = values[..., i] if len(item.channels) > 1 else values
        place = {name: k for k, name in enumerate(channel.categories)}
        index = np.array([place.get(str(v), np.nan) for v in here.ravel()], dtype=np.float32)
        if len(item.channels) > 1:
            out[..., i] = index.reshape(here.shape)
        else:
            out = index.reshape(values.shape)
    return out


def _to_grid(values: np.ndarray, axes: tuple[str, ...]) -> np.ndarray:
    """[batch, ...] in any order of named axes -> [batch, planes, rows, columns]."""
    keep = [i for i, axis in enumerate(axes) if axis != "one"]
    values = values.reshape([values.shape[i] for i in keep])
    named = [axes[i] for i in keep]
    sides = [side_of(axis) for axis in named[1:]]
    order = [0] + [1 + sides.index(side) for side in SIDES if side in sides]
    values = values.transpose(order)
    shape = [values.shape[0]]
    it = iter(values.shape[1:])
    shape += [next(it) if side in sides else 1 for side in SIDES]
    return values.reshape(shape)


class Codec:
    """Encodes points [R, D] into feeds; built once per worker."""

    def __init__(self, interface: Interface, device: str = "cpu") -> None:
        self.interface = interface
        self._xp = array_module(device)
        self._plans = []
        start = 0
        for item in interface.inputs:
            part = item.part
            scaling = _scaling(item)
            if scaling is not None:
                scaling = (self._xp.asarray(scaling[0]), self._xp.asarray(scaling[1]))
            self._plans.append((item, slice(start, start + part.size), part, scaling))
            start += part.size
        item, _, part, scaling = self._plans[0]
        self._plain = (
            len(self._plans) == 1 and scaling is None and item.dtype == "float32" and order(item) == sorted(order(item))
        )

    def encode(self, points: Array) -> dict[str, Array]:
        """Points [R, D] float32 -> {input name: tensor [R, ...]} in the graph's types."""
        if self._plain:
            item = self._plans[0][0]
            return {item.name: points.reshape((-1, *item.shape))}
        feeds = {}
        for item, where, part, scaling in self._plans:
            values = points[:, where]
            if item.dtype == "string":
                feeds[item.name] = _texts(item, values)
                continue
            if scaling is not None:
                values = (values - scaling[0]) / scaling[1]
            grid = values.reshape((-1, part.planes, part.rows, part.columns))
            tensor = grid.transpose([0, *order(item)]).reshape((-1, *item.shape))
            feeds[item.name] = self._xp.ascontiguousarray(_cast(tensor, item.dtype))
        return feeds

    def round_trip(self, points: np.ndarray) -> np.ndarray:
        """Points after they were encoded in the inputs' own precision and decoded again, float64."""
        columns = []
        feeds = self.encode(points)
        for item, where, part, scaling in self._plans:
            if item.dtype == "string":
                columns.append(points[:, where].astype(np.float64))
                continue
            own = order(item)
            tensor = feeds[item.name].astype(np.float64)
            sides = (part.planes, part.rows, part.columns)
            grid = tensor.reshape([-1] + [sides[k - 1] for k in own])
            inverse = [0] + [1 + own.index(k) for k in (1, 2, 3)]
            values = grid.transpose(inverse).reshape((-1, part.size))
            if scaling is not None:
                values = values * scaling[1] + scaling[0]
            columns.append(values)
        return np.concatenate(columns, axis=1)


def order(item: Input) -> list[int]:
    """Axes of [batch, planes, rows, columns] in the graph's order; lengths of one may go anywhere."""
    named = [1 + SIDES.index(side_of(axis)) for axis in item.axes[1:] if side_of(axis)]
    return named + [k for k in (1, 2, 3) if k not in named]


def _scaling(item: Input) -> tuple[np.ndarray, np.ndarray] | None:
    if all(v == 0 for v in item.minus) and all(v == 1 for v in item.over):
        return None
    minus, over = (spread(item, np.array(values)) for values in (item.minus, item.over))
    return minus.astype(np.float32), over.astype(np.float32)


def _cast(tensor: np.ndarray, dtype: str) -> np.ndarray:
    if dtype == "bfloat16":
        import ml_dtypes

        return tensor.astype(ml_dtypes.bfloat16)
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        whole = np.nan_to_num(np.rint(tensor.astype(np.float64)))
        top = limits.max if kind.itemsize < 8 else limits.max - 2047  # float64 holds this one
        clipped: np.ndarray = np.clip(whole, limits.min, top)
        return clipped.astype(kind)
    if kind.kind == "b":
        return tensor > 0.5
    return tensor.astype(kind, copy=False)


def _texts(item: Input, values: np.ndarray) -> np.ndarray:
    out = np.empty(values.shape, dtype=object)
    for j in range(values.shape[1]):
        names = item.channels[min(j, len(item.channels) - 1)].categories
        for i, v in enumerate(values[:, j]):
            known = np.isfinite(v) and 0 <= int(v) < len(names)
            out[i, j] = names[int(v)] if known else ""
    return out.reshape((-1, *item.shape))
