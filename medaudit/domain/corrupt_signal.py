"""Corruptions of signals, an ECG's above all: noise of four sources, and leads that are lost, swapped or scaled.

Noise is added at a signal-to-noise ratio in decibels, of a lead's variance over the noise's, from 24 to -6 as in
the MIT-BIH noise stress test (Moody, Muldrow, Mark 1984, "A noise stress test for arrhythmia detectors",
Computers in Cardiology 11); the sources are synthetic.
"""

from __future__ import annotations

import numpy as np

from medaudit.core.interface import Input
from medaudit.domain.corruption import Corruption, either_way, normal, some, uniform

SNR = (24.0, 16.5, 9.0, 1.5, -6.0)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
WAVES = 8  # sinusoids of a wandering baseline
PHASE, PACE, PLACE, SIZE, WHICH, SIDE = range(1, 7)


def at_snr(x: np.ndarray, noise: np.ndarray, decibels: float) -> np.ndarray:
    """x [L, planes, leads, time] with noise of that shape, scaled lead by lead."""
    power, own = np.nanvar(x, axis=-1, keepdims=True), noise.var(axis=-1, keepdims=True)
    return np.asarray(x + noise * np.sqrt(power / np.maximum(own, 1e-300) / 10 ** (decibels / 10)))


def wander(item: Input, x: np.ndarray, keys: np.ndarray, decibels: float) -> np.ndarray:
    """Breath and movement: slow sinusoids of 0.05 to 0.5 Hz, alike in their pace on all leads."""
    leads, time = x.shape[1] * x.shape[2], np.arange(x.shape[-1]) / item.rate
    pace = 0.05 * 10 ** uniform(keys, PACE, WAVES)
    phase, size = (uniform(keys, tag, leads * WAVES).reshape(len(x), leads, WAVES) for tag in (PHASE, SIZE))
    noise = np.zeros((len(x), leads, len(time)))
    for k in range(WAVES):
        turns = pace[:, k, None, None] * time + phase[:, :, k, None]
        noise += size[:, :, k, None] * np.sin(2 * np.pi * turns)
    return at_snr(x, noise.reshape(x.shape), decibels)


def hum(item: Input, x: np.ndarray, keys: np.ndarray, decibels: float) -> np.ndarray:
    """Mains: 50 Hz with a third harmonic, its strength drifting slowly."""
    time = np.arange(x.shape[-1]) / item.rate
    phase = uniform(keys, PHASE, 3)[:, :, None]
    noise = np.sin(2 * np.pi * (50 * time + phase[:, 0]))
    if item.rate > 300:
        noise = noise + 0.3 * np.sin(2 * np.pi * (150 * time + phase[:, 1]))
    noise = noise * (1 + 0.3 * np.sin(2 * np.pi * (0.1 * time + phase[:, 2])))
    return at_snr(x, np.broadcast_to(noise[:, None, None, :], x.shape), decibels)


def muscle(item: Input, x: np.ndarray, keys: np.ndarray, decibels: float) -> np.ndarray:
    """Tremor: noise between 20 and 120 Hz that swells and fades."""
    from scipy import signal

    time = np.arange(x.shape[-1]) / item.rate
    white = normal(keys, SIZE, x[0].size).reshape(x.shape)
    band = (20.0, min(120.0, 0.45 * item.rate))
    noise = signal.sosfiltfilt(signal.butter(3, band, "bandpass", fs=item.rate, output="sos"), white, axis=-1)
    phase, pace = uniform(keys, PHASE, 1)[:, :, None, None], 0.1 + 0.4 * uniform(keys, PACE, 1)[:, :, None, None]
    return at_snr(x, noise * (1 + 0.8 * np.sin(2 * np.pi * (pace * time + phase))), decibels)


def motion(item: Input, x: np.ndarray, keys: np.ndarray, decibels: float) -> np.ndarray:
    """An electrode that is moved: sudden steps, one in three seconds, that recover within a second."""
    from scipy import signal

    length = x.shape[-1]
    count = max(1, round(length / item.rate / 3))
    where = np.floor(uniform(keys, PLACE, count) * length).astype(int)
    sizes = normal(keys, SIZE, x.shape[1] * x.shape[2] * count).reshape(*x.shape[:3], count)
    steps = np.zeros(x.shape)
    for k in range(count):
        steps[np.arange(len(x)), :, :, where[:, k]] += sizes[..., k]
    return at_snr(x, signal.lfilter([1.0], [1.0, -np.exp(-1 / (0.3 * item.rate))], steps, axis=-1), decibels)


def loss(item: Input, x: np.ndarray, keys: np.ndarray, share: float) -> np.ndarray:
    """Leads that are off lie flat; of a single lead, a stretch of that share does."""
    leads = x.shape[1] * x.shape[2]
    middle = np.nanmedian(x, axis=-1, keepdims=True)
    if leads > 1:
        gone = some(keys, WHICH, leads, share).reshape(*x.shape[:3], 1)
        return np.where(gone & ~np.isnan(x), middle, x)
    length = x.shape[-1]
    start = np.floor(uniform(keys, PLACE, 1) * length * (1 - share))
    place = np.arange(length)
    gone = (place >= start) & (place < start + share * length)
    return np.where(gone[:, None, None, :] & ~np.isnan(x), middle, x)


def swap(item: Input, x: np.ndarray, keys: np.ndarray, share: float) -> np.ndarray:
    """Cables in each other's place: that share of the leads, at least two, each under the next one's name."""
    flat = x.reshape(len(x), -1, x.shape[-1])
    out = flat.copy()
    for i, hit in enumerate(some(keys, WHICH, flat.shape[1], share, least=2)):
        at = np.flatnonzero(hit)
        out[i, at] = flat[i, np.roll(at, 1)]
    return out.reshape(x.shape)


def polarity(item: Input, x: np.ndarray, keys: np.ndarray, share: float) -> np.ndarray:
    """Cables the wrong way round: that share of the leads, at least one, upside down."""
    turned = some(keys, WHICH, x.shape[1] * x.shape[2], share).reshape(*x.shape[:3], 1)
    return np.where(turned, 2 * np.nanmedian(x, axis=-1, keepdims=True) - x, x)


def gain(item: Input, x: np.ndarray, keys: np.ndarray, factor: float) -> np.ndarray:
    """A wrong scale: everything larger or smaller by that factor."""
    return x * factor ** either_way(keys, SIDE)[:, None, None, None]


def pace(item: Input, x: np.ndarray, keys: np.ndarray, share: float) -> np.ndarray:
    """A wrong sampling rate: time runs faster or slower by that share; behind its end the last value is held."""
    out = np.empty_like(x)
    for i, way in enumerate(either_way(keys, SIDE)):
        last = int(np.flatnonzero(np.isfinite(x[i]).any(axis=(0, 1))).max(initial=0))  # behind it there is padding
        at = np.minimum(np.arange(x.shape[-1]) * (1 + way * share), last)
        low = np.floor(at).astype(int)
        part = at - low
        out[i] = x[i][..., low] * (1 - part) + x[i][..., np.minimum(low + 1, last)] * part
    return out


def _timed(item: Input) -> str:
    return "" if item.rate else "it needs the sampling rate: give model.inputs rate"


def _fast(item: Input) -> str:
    return _timed(item) or ("" if item.rate > 110 else f"at {item.rate:g} Hz there is nothing above 50 Hz")


def _many(item: Input) -> str:
    return "" if item.part.planes * item.part.rows > 1 else "there is one lead only"


CORRUPTIONS = (
    Corruption("baseline-wander", "The baseline wanders", "dB", SNR, wander, _timed),
    Corruption("mains-hum", "Mains hum", "dB", SNR, hum, _fast),
    Corruption("muscle-noise", "Muscle noise", "dB", SNR, muscle, _fast),
    Corruption("electrode-motion", "An electrode moves", "dB", SNR, motion, _timed),
    Corruption("lead-loss", "Signal lost", "of the leads, or of the time of one", SHARES, loss),
    Corruption("lead-swap", "Leads swapped", "of the leads", SHARES, swap, _many),
    Corruption("polarity", "Leads upside down", "of the leads", (0.2, 0.4, 0.6, 0.8, 1.0), polarity),
    Corruption("gain-error", "Wrong gain", "times", (1.1, 1.25, 1.5, 2.0, 4.0), gain),
    Corruption("rate-error", "Wrong sampling rate", "of the time", (0.01, 0.02, 0.05, 0.1, 0.2), pace),
)
