"""Eight rows of noise in a byte: points and sums against the plain definition."""

from __future__ import annotations

import numpy as np

from medaudit.core.region import Part
from medaudit.search.noise import ROWS, agreement, balance, cell_of, either, weighted
from medaudit.search.noise import _in_cells as in_cells

RNG = np.random.default_rng(3)
NOISE = RNG.integers(0, 256, (5, 700), dtype=np.uint8)
SIGNS = ((NOISE[:, None, :] >> np.arange(ROWS)[:, None]) & 1) * 2.0 - 1  # [P, 8, D]


def test_either_chooses_by_bit() -> None:
    """Heads where the bit is set, bit for bit; nothing else is written."""
    heads, tails = RNG.standard_normal((2, 5, 700)).astype(np.float32)
    heads[0, 0], tails[0, 1] = np.nan, -0.0
    out = np.full((42, 700), 7, dtype=np.float32)
    either(NOISE, heads, tails, out[1:41])
    expected = np.where(SIGNS > 0, heads[:, None, :], tails[:, None, :]).reshape(40, 700)
    assert np.array_equal(out[1:41].view(np.int32), expected.view(np.int32))
    assert np.all(out[[0, 41]] == 7)


def test_either_in_chunks() -> None:
    """Rows larger than a chunk, and many small lanes in one chunk."""
    for lanes, d in ((2, 20_000), (600, 30)):
        noise = RNG.integers(0, 256, (lanes, d), dtype=np.uint8)
        heads, tails = RNG.standard_normal((2, lanes, d)).astype(np.float32)
        out = np.empty((lanes * ROWS, d), dtype=np.float32)
        either(noise, heads, tails, out)
        bits = (noise[:, None, :] >> np.arange(ROWS)[:, None]) & 1
        assert np.array_equal(out, np.where(bits, heads[:, None, :], tails[:, None, :]).reshape(-1, d))


def test_sums() -> None:
    """Counts of bits are sums of signs; weighted sums come from a table."""
    outcome = RNG.random((5, ROWS)) < 0.5
    weight = RNG.standard_normal((5, ROWS)).astype(np.float32)
    assert np.array_equal(balance(NOISE), SIGNS.sum(axis=1))
    assert np.array_equal(agreement(NOISE, outcome), (SIGNS * (2.0 * outcome - 1)[:, :, None]).sum(axis=1))
    assert np.allclose(weighted(NOISE, weight), (SIGNS * weight[:, :, None]).sum(axis=1), atol=1e-5)
    assert np.array_equal(weighted(NOISE[2:3], weight[2:3]), weighted(NOISE, weight)[2:3])


def test_cells_share_their_noise() -> None:
    """Images in squares, signals in stretches, cut at the edges; planes apart."""
    keys, t = np.array([1, 2], dtype=np.uint64), np.zeros(2, dtype=np.int64)
    for part in (Part("image", 2, 40, 33), Part("signal", 1, 3, 1000)):
        tall, wide = cell_of(part)
        assert wide > 1
        grid = in_cells(keys, t, 5, part, (tall, wide)).reshape(2, part.planes, part.rows, part.columns)
        first = grid[:, :, ::tall, ::wide]
        spread = np.repeat(np.repeat(first, tall, axis=2), wide, axis=3)[:, :, : part.rows, : part.columns]
        assert np.array_equal(grid, spread)
        assert np.unique(first).size > 100
