"""Randomness as an address: the words at (key, step, tag) never depend on who else draws.

Word i of a stream is SplitMix64's output function (Steele, Lea, Flood 2014, "Fast splittable
pseudorandom number generators", section 3) at counter base + (i + 1) * golden gamma, where base
mixes key, step and tag. Known answers of the published generator hold it in the tests.
Everything is 64-bit integer arithmetic modulo 2**64, so NumPy and CuPy give the same words.
"""

from __future__ import annotations

import hashlib
import math
from types import ModuleType

import numpy as np

from medaudit.core.arrays import Array, namespace, native

GOLDEN = 0x9E3779B97F4A7C15
MIX1, MIX2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
STEP, TAG = 0xD1342543DE82EF95, 0xDA942042E4DD58B5  # odd multipliers that part the coordinates
WORD = 1 << 64


def key(*names: str | int) -> int:
    """A 64-bit stream key from names such as (seed, rule, check id, sample id)."""
    text = "\x1f".join(str(name) for name in names).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def _mix(xp: ModuleType, z: Array) -> Array:
    """SplitMix64's finaliser on an array of uint64 that may be overwritten."""
    if isinstance(z, np.ndarray):
        z ^= z >> _N30
        z *= _N_MIX1
        z ^= z >> _N27
        z *= _N_MIX2
        z ^= z >> _N31
        return z

    def shift(a: Array, n: int) -> Array:
        return xp.bitwise_xor(a, xp.bitwise_right_shift(a, _u64(xp, n, a)))

    z = shift(z, 30) * _u64(xp, MIX1, z)
    z = shift(z, 27) * _u64(xp, MIX2, z)
    return shift(z, 31)


_N30, _N27, _N31 = np.uint64(30), np.uint64(27), np.uint64(31)
_N_MIX1, _N_MIX2 = np.uint64(MIX1), np.uint64(MIX2)


def _u64(xp: ModuleType, value: int, like: Array) -> Array:
    return np.uint64(value) if native(like) else xp.asarray(value, dtype=xp.uint64)


def bits(keys: Array, step: Array, tag: int, n: int) -> Array:
    """n words for each lane: keys [L] uint64, step [L] integer -> uint64 [L, n]."""
    xp = namespace(keys)
    with np.errstate(over="ignore"):
        base = _mix(xp, xp.astype(step, xp.uint64) * _u64(xp, STEP, keys))
        base = _mix(xp, base + keys + _u64(xp, (tag * TAG) % WORD, keys))
        count = xp.arange(1, n + 1, dtype=xp.uint64, device=keys.device) * _u64(xp, GOLDEN, keys)
        return _mix(xp, base[:, None] + count[None, :])


def unit(words: Array) -> Array:
    """Words [L, n] -> numbers in [0, 1) with 53 bits, float64."""
    xp = namespace(words)
    return xp.astype(xp.bitwise_right_shift(words, _u64(xp, 11, words)), xp.float64) * 2.0**-53


def uniform(keys: Array, step: Array, tag: int, n: int) -> Array:
    """Numbers in [0, 1) with 53 bits, float64 [L, n]."""
    return unit(bits(keys, step, tag, n))


def normal(keys: Array, step: Array, tag: int, n: int) -> Array:
    """Standard normal numbers (Box, Muller 1958), float32 [L, n]."""
    xp = namespace(keys)
    draw = uniform(keys, step, tag, 2 * n)
    return xp.astype(xp.sqrt(-2 * xp.log(1 - draw[:, :n])) * xp.cos(2 * math.pi * draw[:, n:]), xp.float32)


def coins(words: Array, n: int) -> Array:
    """n bits of words [L, >= n / 64], bool [L, n]: lowest bit of a word first."""
    if isinstance(words, np.ndarray):
        return np.unpackbits(_bytes(words), axis=1, count=n, bitorder="little").view(np.bool_)
    xp = namespace(words)
    place = xp.arange(64, dtype=xp.uint64, device=words.device)
    ones = xp.bitwise_right_shift(words[:, :, None], place[None, None, :])
    ones = xp.bitwise_and(ones, _u64(xp, 1, words)) > 0
    return xp.reshape(ones, (words.shape[0], words.shape[1] * 64))[:, :n]


def _bytes(words: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(words).astype("<u8", copy=False).view(np.uint8)


def word_count(n: int) -> int:
    """Words that hold n bits."""
    return math.ceil(n / 64)


def octets(keys: Array, step: Array, tag: int, n: int) -> Array:
    """n independent bytes for each lane, uint8 [L, n]: lowest byte of a word first."""
    words = bits(keys, step, tag, math.ceil(n / 8))
    if native(words):
        return words.astype("<u8", copy=False).view("uint8")[:, :n]
    xp = namespace(words)
    place = xp.arange(0, 64, 8, dtype=xp.uint64, device=words.device)
    parts = xp.bitwise_right_shift(words[:, :, None], place[None, None, :])
    parts = xp.bitwise_and(parts, _u64(xp, 255, words))
    return xp.astype(xp.reshape(parts, (words.shape[0], -1))[:, :n], xp.uint8)
