"""Injected signals: where they lie, what they hold nothing of, and what the recorder's filters leave of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import butter, iirnotch, lfilter, sosfilt

from medaudit.core.errors import MedauditError
from medaudit.core.injection import inject, injection, signal_region
from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.core.protocol import Lanes
from medaudit.core.region import Region, size
from medaudit.core.subspace import expand, harmonics, smooth
from medaudit.domain.quantity import Quantity
from medaudit.domain.threat import Threat, boxes, describe, region

Array = NDArray[Any]
ROWS, LEADS, N, RATE = 6, 2, 9000, 300.0
NOTCHES = (Quantity(50.0, "Hz"), Quantity(60.0, "Hz"))
MUTED = [1, 2, 3, 2731, 3277]  # bins of the published attack, of 16,384
SENT = Threat(
    "scores", "injected", Quantity(1.2, "sd"), window=Quantity(10.0, "s"), high_pass=Quantity(0.05, "Hz"),
    notches=NOTCHES,
)  # fmt: skip


def face(rate: float = RATE) -> Interface:
    """Two leads, the second three times as large as the first."""
    channels = (Channel("I", sd=1.0), Channel("II", sd=3.0))
    axes = ("batch", "lead", "time")
    item = Input("x", "float32", "signal", axes, (LEADS, N), axes, rate=rate, channels=channels)
    return Interface((item,), Output("multiclass", ("y",), "logits", ("a", "b")))


def lanes(area: Region, threat: Threat, ends: Array) -> Lanes:
    """Records that are padding from `ends` on."""
    x = np.random.default_rng(1).normal(0, 1, (ROWS, LEADS * N)).astype(np.float32)
    closed = np.tile(np.arange(N)[None] >= ends[:, None], (1, LEADS))
    lo, hi = boxes(face(), threat, area, x, closed)
    zero = np.zeros(ROWS, dtype=np.int64)
    return Lanes(np.arange(7, 7 + ROWS, dtype=np.uint64), x, lo, hi, None, np.zeros((ROWS, 2)), zero, zero)


def sent(threat: Threat, ends: Array, t: int = 0, heard: bool = False) -> tuple[Region, Array]:
    """The changes [ROWS, LEADS, N] that random signals of full size are, and the region."""
    area = region(face(), threat)
    own, inner = lanes(area, threat, ends), signal_region(area)
    noise = np.random.default_rng(2).normal(0, 1, (ROWS, inner.scale.size))
    noise *= area.eps / np.sqrt((noise**2).mean(axis=1, keepdims=True))
    who = np.arange(ROWS, dtype=np.int64)
    signals = (noise * inner.scale).astype(np.float32)
    points = inject(area, own, who, signals, np.full(ROWS, t), heard=heard)
    assert (size(area, own, who, points) <= area.eps * (1 + 1e-6)).all()
    assert points.dtype == np.float32
    return area, (points - own.x).reshape(ROWS, LEADS, N).astype(np.float64)


@pytest.mark.parametrize("t", range(4))
def test_a_window_somewhere_in_the_record(t: int) -> None:
    """Nothing outside a window of ten seconds; less than a millionth of the energy at the muted bins."""
    ends = np.array([N, N, 3000, 3001, 4000, 8000])
    _, delta = sent(SENT, ends, t)
    for row, end in zip(delta, ends, strict=True):
        at = np.flatnonzero((row != 0).any(axis=0))
        assert at[-1] < end
        assert 2990 < at[-1] - at[0] + 1 <= 3000
        power = np.abs(np.fft.rfft(row, 16384)) ** 2
        assert (power[:, MUTED].sum(axis=1) < 1e-6 * power.sum(axis=1)).all()
        assert (power[:, 4:30].sum(axis=1) > 1e-6 * power.sum(axis=1)).all()


def test_moments_differ_and_come_again() -> None:
    """Each record and each moment has its own place, the same when asked again, anywhere there is room."""
    begins = [
        [int(np.flatnonzero(row.any(axis=0))[0]) for row in sent(SENT, np.full(ROWS, N), t)[1]] for t in range(40)
    ]
    flat = np.ravel(begins)
    assert begins[0] == [int(np.flatnonzero(r.any(axis=0))[0]) for r in sent(SENT, np.full(ROWS, N), 0)[1]]
    assert len(set(flat)) > 200
    assert flat.min() < 300
    assert 5700 < flat.max() <= 6000


def test_a_signal_as_long_as_the_record_goes_round() -> None:
    """Without room it is turned round, and what is muted stays muted."""
    threat = Threat("scores", "injected", Quantity(1.0, "sd"), high_pass=Quantity(0.05, "Hz"), notches=NOTCHES)
    _, first = sent(threat, np.full(ROWS, N), 0)
    _, second = sent(threat, np.full(ROWS, N), 1)
    assert np.abs(first - second).max() > 0.1
    for row in (*first, *second):
        power = np.abs(np.fft.rfft(row, 16384)) ** 2
        assert (power[:, MUTED].sum(axis=1) < 1e-6 * power.sum(axis=1)).all()
        assert (row != 0).mean() > 0.99
    free = Threat("scores", "injected", Quantity(1.0, "sd"))
    spectra = [np.abs(np.fft.rfft(sent(free, np.full(ROWS, N), t)[1], axis=2)) for t in (0, 1)]
    assert spectra[0] == pytest.approx(spectra[1], rel=1e-3, abs=0.05)


def test_what_the_recorder_hears() -> None:
    """The published filters, one after another, at rest when the recording begins; nothing before the signal."""
    ends = np.full(ROWS, N)
    _, plain = sent(SENT, ends, 3)
    _, heard = sent(SENT, ends, 3, heard=True)
    want = sosfilt(butter(3, 0.05, "highpass", fs=RATE, output="sos"), plain, axis=-1)
    for f in (50.0, 60.0):
        want = lfilter(*iirnotch(f, 30, fs=RATE), want, axis=-1)
    assert heard == pytest.approx(want, abs=1e-4)
    begin = int(np.flatnonzero(plain[0].any(axis=0))[0])
    assert not heard[0, :, :begin].any()


def test_the_motif_repeats() -> None:
    """Waves of one period: of size 1 each, apart from each other, the same again a period later."""
    area = region(face(), SENT)
    window = signal_region(area).parts
    waves = smooth(window, {0: (None, harmonics(3000, 600, 12))})
    one = np.eye(12 * LEADS, dtype=np.float32)
    shapes = expand(waves, window, one).reshape(-1, LEADS, 3000)[:12, 0].astype(np.float64)
    assert shapes @ shapes.T / 3000 == pytest.approx(np.eye(12), abs=1e-5)
    assert shapes[:, 600:] == pytest.approx(shapes[:, :-600], abs=1e-5)


def test_what_cannot_be_sent() -> None:
    """Each wrong threat in one sentence that says what to write."""
    for threat, words in (
        (Threat("scores", "injected", Quantity(1.0, "sd"), notches=(Quantity(200.0, "Hz"),)), "below 150 Hz"),
        (Threat("scores", "injected", Quantity(1.0, "sd"), high_pass=Quantity(1.0, "s")), "no frequency"),
        (Threat("scores", "injected", Quantity(1.0, "sd"), window=Quantity(1.0, "ms")), "no two samples"),
    ):
        with pytest.raises(MedauditError, match=words):
            region(face(), threat)
    with pytest.raises(MedauditError, match="give rate"):
        region(face(rate=0.0), SENT)
    assert injection(region(face(), SENT)).columns == 3000
    assert "10 s long" in describe(SENT)
    assert "notch 60 Hz" in describe(SENT)
