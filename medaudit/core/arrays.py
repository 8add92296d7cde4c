"""The array namespace (NumPy, CuPy, array-api-strict) and trees of arrays whose first axis is lane.

A tree is an array, None, or a tuple (often a NamedTuple) of trees. The few operations that the array API
standard lacks or does slowly are here, each with a fast path for NumPy and CuPy.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any, TypeVar

import array_api_compat
import numpy as np

Array = Any
Tree = TypeVar("Tree")


def namespace(array: Array) -> ModuleType:
    """The array-API namespace of one array; NumPy 2 is its own."""
    if isinstance(array, np.ndarray):
        return np
    return array_api_compat.array_namespace(array)  # type: ignore[no-any-return]


def native(array: Array) -> bool:
    """True for NumPy and CuPy arrays: writes by integer index are allowed."""
    return isinstance(array, np.ndarray) or array_api_compat.is_cupy_array(array)


def select(mask: Array, a: Array, b: Array) -> Array:
    """where(mask, a, b) for float32 arrays.

    NumPy's `where` takes 5 ns a number on masks without pattern (mispredicted branches); bits of
    a and b mixed under the mask take less than 1 ns.
    """
    if not isinstance(mask, np.ndarray):
        return namespace(mask).where(mask, a, b)
    keep = np.negative(mask.view(np.int8), dtype=np.int32)
    own = np.asarray(b, dtype=np.float32).view(np.int32)
    out = np.asarray(a, dtype=np.float32).view(np.int32) ^ own
    out &= keep
    out ^= own
    return out.view(np.float32)


def exchanged(a: np.ndarray, b: np.ndarray, which: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Rows `which` [R] of b [C, D] where all bits [R, D] int32 are set, of a where none is, written over the bits.

    The same as `select`; what differs between a and b is worked out once for each of them, not for each row.
    """
    own, other = (np.ascontiguousarray(v, dtype=np.float32).view(np.int32) for v in (a, b))
    differ = own ^ other
    for place, one in runs(which):
        bits[place] &= differ[one]
        bits[place] ^= own[one]
    return bits.view(np.float32)


def lent(a: np.ndarray, which: np.ndarray, b: np.ndarray, lender: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Rows `lender` [R] of b [B, D] where all bits [R, D] int32 are set, rows `which` [R] of a [C, D] where none is.

    The same as `select`, written over the bits.
    """
    own, other = (np.ascontiguousarray(v, dtype=np.float32).view(np.int32) for v in (a, b))
    differ = np.take(other, lender, axis=0)
    for place, one in runs(which):
        differ[place] ^= own[one]
        bits[place] &= differ[place]
        bits[place] ^= own[one]
    return bits.view(np.float32)


def runs(which: np.ndarray) -> Iterator[tuple[slice, int]]:
    """Where the same number stands several times in a row in [R], and that number."""
    begins = np.flatnonzero(np.diff(which, prepend=which[:1] - 1)).tolist()
    for begin, end in itertools.pairwise([*begins, len(which)]):
        yield slice(begin, end), int(which[begin])


def overwrite(base: Array, places: Array, values: Array) -> Array:
    """A copy of `base` [L, D] with `values` [K] at `places` [K], counted through all of its rows."""
    if not native(base):
        out = to_numpy(base).copy()
        out.reshape(-1)[to_numpy(places)] = to_numpy(values)
        return namespace(base).asarray(out, device=base.device)
    out = base.copy()
    out.reshape(-1)[places] = values
    return out


def repeat_each(values: Array, counts: Array) -> Array:
    """values [n], each as often as counts [n] says, [sum of counts]. CuPy's `repeat` takes no array of counts."""
    if isinstance(values, np.ndarray):
        return np.repeat(values, counts)
    xp = namespace(values)
    ends = xp.cumulative_sum(counts)
    place = xp.arange(int(ends[-1]) if ends.shape[0] else 0, dtype=ends.dtype, device=ends.device)
    return xp.take(values, xp.searchsorted(ends, place, side="right"))


def idct(values: Array, n: int) -> Array:
    """Inverse of the orthonormal DCT-II along the last axis [..., k <= n], filled up with zeros: [..., n] float32."""
    xp = namespace(values)
    if is_cuda(values):
        from cupyx.scipy.fft import idct as transform
    else:
        from scipy.fft import idct as transform
    host = values if native(values) else to_numpy(values)
    out = transform(host, type=2, n=n, axis=-1, norm="ortho")
    return out if native(values) else xp.asarray(out, device=values.device)


def popcount(octets: Array) -> Array:
    """Set bits of each byte of a uint8 array."""
    if isinstance(octets, np.ndarray):
        return np.bitwise_count(octets)
    xp = namespace(octets)
    table = xp.asarray([bin(byte).count("1") for byte in range(256)], dtype=xp.uint8, device=octets.device)
    return xp.reshape(xp.take(table, xp.astype(xp.reshape(octets, (-1,)), xp.int64)), octets.shape)


def is_cuda(array: Array) -> bool:
    """True for CuPy arrays."""
    return bool(array_api_compat.is_cupy_array(array))


def array_module(device: str) -> ModuleType:
    """The array library that holds state for a device: CuPy on cuda, NumPy elsewhere."""
    if device.startswith("cuda"):
        import cupy

        return cupy  # type: ignore[no-any-return]
    return np


def to_numpy(array: Array) -> np.ndarray:
    """A host copy (or view) of any array."""
    if isinstance(array, np.ndarray):
        return array
    if array_api_compat.is_cupy_array(array):
        return array.get()  # type: ignore[no-any-return]
    return np.asarray(array)


def ranks(values: Array) -> Array:
    """Place of each number among its row's, from the smallest, integers of the shape of `values` [..., n]."""
    xp = namespace(values)
    return xp.argsort(xp.argsort(values, axis=-1, stable=True), axis=-1, stable=True)


def map_tree(function: Callable[..., Array], *trees: Tree) -> Tree:
    """Apply `function` leaf by leaf; None stays None."""
    first = trees[0]
    if first is None:
        return first
    if isinstance(first, tuple):
        parts = [map_tree(function, *column) for column in zip(*trees, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)  # type: ignore[return-value]
    return function(*trees)  # type: ignore[no-any-return]


def leaves(tree: Any) -> list[Array]:
    """All arrays of a tree, in field order."""
    if tree is None:
        return []
    if isinstance(tree, tuple):
        return [leaf for part in tree for leaf in leaves(part)]
    return [tree]


def take(tree: Tree, index: Array) -> Tree:
    """The lanes named by `index` [M], as a new tree."""
    return map_tree(lambda a: namespace(a).take(a, index, axis=0), tree)


def concat(trees: Sequence[Tree]) -> Tree:
    """Several trees of one form as one, lanes after lanes."""
    return map_tree(lambda *parts: namespace(parts[0]).concat(parts, axis=0), *trees)


def put(array: Array, index: Array, rows: Array) -> Array:
    """A copy of `array` [L, ...] with `rows` [M, ...] written at lanes `index` [M]."""
    if native(array):
        out = array.copy()
        out[index] = rows
        return out
    xp = namespace(array)
    out = xp.asarray(array, copy=True)
    for i in range(index.shape[0]):
        out[int(index[i]), ...] = rows[i, ...]
    return out


def put_where(array: Array, index: Array, rows: Array, keep: Array) -> Array:
    """`put`, but only for those of the M rows where `keep` [M] is true."""
    if native(array):
        where = keep.nonzero()[0]
        if where.shape[0] == 0:
            return array
        return put(array, index[where], rows[where])
    where = namespace(array).nonzero(keep)[0]
    if where.shape[0] == 0:
        return array
    xp = namespace(array)
    return put(array, xp.take(index, where), xp.take(rows, where, axis=0))


def digest(name: str, *arrays: np.ndarray) -> str:
    """SHA-256 of a name and of the arrays' types, shapes and bytes."""
    told = hashlib.sha256(name.encode())
    for array in arrays:
        told.update(f"{array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return told.hexdigest()
