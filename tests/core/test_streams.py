"""Streams: the published generator's numbers, addresses, prefixes, and fair draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medaudit.core import streams

WORDS = st.integers(0, 2**64 - 1)
# SplitMix64, seed 1234567 (Rosetta Code and the generators of the xoshiro family agree on these).
PUBLISHED = (
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
)


def u64(*values: int) -> np.ndarray:
    """An array of words."""
    return np.array(values, dtype=np.uint64)


def test_finaliser_is_splitmix64() -> None:
    """The published outputs for seed 1234567, from the finaliser and the golden counter."""
    with np.errstate(over="ignore"):
        count = np.arange(1, 6, dtype=np.uint64) * np.uint64(streams.GOLDEN)
        words = streams._mix(np, u64(1234567) + count)
    assert tuple(int(w) for w in words) == PUBLISHED


def test_bits_are_a_splitmix64_stream() -> None:
    """A stream is the generator itself, seeded by a mix of key, step and tag."""
    keys, step = u64(3, 99), np.array([0, 12], dtype=np.int64)
    words = streams.bits(keys, step, 2, 40)
    for lane in range(2):
        base = mix((int(step[lane]) * streams.STEP) % streams.WORD)
        seed = mix((base + int(keys[lane]) + 2 * streams.TAG) % streams.WORD)
        expected = [mix((seed + (i + 1) * streams.GOLDEN) % streams.WORD) for i in range(40)]
        assert [int(w) for w in words[lane]] == expected


def mix(z: int) -> int:
    """The finaliser in Python's own integers."""
    z = ((z ^ (z >> 30)) * streams.MIX1) % streams.WORD
    z = ((z ^ (z >> 27)) * streams.MIX2) % streams.WORD
    return z ^ (z >> 31)


@given(z=WORDS)
def test_finaliser_in_both_arithmetics(z: int) -> None:
    """Arrays and Python's integers agree everywhere."""
    with np.errstate(over="ignore"):
        assert int(streams._mix(np, u64(z))[0]) == mix(z)


@given(key=WORDS, step=st.integers(0, 2**40), tag=st.integers(0, 200), n=st.integers(1, 70))
def test_prefix_and_address(key: int, step: int, tag: int, n: int) -> None:
    """Drawing more, or for more lanes, changes nothing of what was drawn before."""
    steps = np.array([step, 5], dtype=np.int64)
    for draw in (streams.bits, streams.uniform, streams.octets):
        few = draw(u64(key, 7), steps, tag, n)
        assert few.shape == (2, n)
        many = draw(u64(key, 7), steps, tag, n + 67)
        assert np.array_equal(few, many[:, :n])
        alone = draw(u64(key), steps[:1], tag, n)
        assert np.array_equal(alone[0], few[0])


def test_inputs_are_not_written_to() -> None:
    """The finaliser may overwrite its argument, but not what was passed to `bits`."""
    keys, step = u64(1, 2), np.array([3, 4], dtype=np.int64)
    keys.flags.writeable = step.flags.writeable = False
    for draw in (streams.bits, streams.uniform, streams.octets):
        draw(keys, step, 1, 9)
    words = streams.bits(keys, step, 1, 3)
    words.flags.writeable = False
    streams.unit(words)
    streams.coins(words, 130)


def test_coordinates_do_not_meet() -> None:
    """Neighbouring keys, steps and tags share no word."""
    seen: set[int] = set()
    count = 0
    for tag in range(6):
        for step in range(6):
            words = streams.bits(np.arange(6, dtype=np.uint64), np.full(6, step), tag, 8)
            seen |= set(words.ravel().tolist())
            count += words.size
    assert len(seen) == count


def test_uniform_moments() -> None:
    """Mean, variance, range and neighbour correlation of 2^18 draws are within five deviations."""
    keys = np.arange(64, dtype=np.uint64)
    draws = streams.uniform(keys, np.arange(64), 3, 4096)
    n = draws.size
    assert draws.dtype == np.float64
    assert draws.min() >= 0
    assert draws.max() < 1
    assert abs(draws.mean() - 0.5) < 5 * np.sqrt(1 / 12 / n)
    assert abs(draws.var() - 1 / 12) < 5 * np.sqrt(1 / 180 / n)
    centred = draws - 0.5
    for a, b in ((centred[:, :-1], centred[:, 1:]), (centred[:-1], centred[1:])):
        assert abs((a * b).mean()) < 5 / 12 / np.sqrt(a.size)
    counts, _ = np.histogram(draws, bins=64, range=(0, 1))
    chi2 = ((counts - n / 64) ** 2 / (n / 64)).sum()
    assert 20 < chi2 < 130  # 63 degrees of freedom


def test_octets_are_balanced() -> None:
    """Fair in every bit of the byte and every byte of the word, and independent of the next."""
    octets = streams.octets(np.arange(512, dtype=np.uint64), np.arange(512), 1, 80)
    assert octets.dtype == np.uint8
    signs = 2.0 * np.unpackbits(octets, axis=1) - 1
    assert abs(signs.mean()) < 5 / np.sqrt(signs.size)
    by_place = signs.reshape(512, 10, 64).mean(axis=(0, 1))
    assert np.abs(by_place).max() < 5 / np.sqrt(5120)
    assert abs((signs[:, :-1] * signs[:, 1:]).mean()) < 5 / np.sqrt(signs.size)


def test_coins_and_octets_are_the_bits() -> None:
    """The lowest bit, and the lowest byte, of a word first."""
    keys, step = u64(5), np.array([1])
    words = [int(w) for w in streams.bits(keys, step, 1, 3)[0]]
    expected = [(words[i // 64] >> (i % 64)) & 1 for i in range(150)]
    assert streams.coins(streams.bits(keys, step, 1, 3), 150)[0].tolist() == expected
    octets = [(words[i // 8] >> (8 * (i % 8))) & 255 for i in range(19)]
    assert streams.octets(keys, step, 1, 19)[0].tolist() == octets


def test_unit_never_reaches_one() -> None:
    """The largest word is the largest number below one."""
    ends = streams.unit(u64(0, 2**64 - 1)[None])
    assert ends[0, 0] == 0
    assert ends[0, 1] == 1 - 2.0**-53


def test_keys_tell_names_apart() -> None:
    """Names are joined such that no two lists of names share a key."""
    names = [("a", "bc"), ("ab", "c"), ("abc",), (1, "bc"), ("1", "b", "c"), (1, 23), (12, 3)]
    assert len({streams.key(*n) for n in names}) == len(names)
    assert streams.key(1, "square-noise", "check", "row 3") == streams.key(1, "square-noise", "check", "row 3")
    assert 0 <= streams.key("x") < 2**64


def test_key_is_stable() -> None:
    """A key is part of what a run can be repeated from: it must never change."""
    assert streams.key(1, "square-noise", "noise", "row 0") == 0x1C56F6A4F82EAE4C


@pytest.mark.parametrize("n", [0, 1, 63, 64, 65])
def test_word_count(n: int) -> None:
    """Words that hold n bits."""
    assert streams.word_count(n) * 64 >= n
    assert (streams.word_count(n) - 1) * 64 < n or n == 0
