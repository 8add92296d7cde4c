"""Synthetic single-lead ECG records with four rhythm labels.

Sources of the formulas
-----------------------
* Beat shape: the dynamical model of McSharry, Clifford, Tarassenko and Smith, "A dynamical model
  for generating synthetic electrocardiogram signals", IEEE Trans. Biomed. Eng. 50(3), 2003, eq. 1.
  The trajectory is kept on the limit cycle, so only phase and height remain to be integrated:

      dtheta/dt = omega(t) = 2 pi / RR(t)
      dz/dt     = - sum_i omega A_i D_i / b_i^2 exp(-D_i^2 / (2 b_i^2)) - (z - z0(t))

  with D_i = theta - theta_i for the events P, Q, R, S, T.  The driving term is multiplied by omega,
  which makes A_i the height of event i in mV whatever the heart rate.
* RR tachogram (same paper, section III): power spectrum made of two Gaussians,
      S(f) = s1^2 / sqrt(2 pi c1^2) exp(-(f-f1)^2 / 2 c1^2) + the same with s2, f2, c2,
  f1 = 0.1 Hz (Mayer waves, LF), f2 = breathing frequency (HF), random phases, inverse FFT.
* Baseline coupled to breathing (same paper): z0(t) = A0 sin(2 pi f2 t).
* Fibrillatory waves: the sawtooth model of Stridh and Sornmo, IEEE Trans. Biomed. Eng. 48(1), 2001,
      s(t) = - sum_{i=1..M} a_i(t) sin(i theta_f(t)),  a_i(t) = 2 / (i pi) (a + da sin(2 pi f_a t)),
      theta_f(t) = 2 pi f0 t + (df / f_f) sin(2 pi f_f t).

Shapes and units: a record is float32 [9000, 1], 30 s at 300 Hz, in mV, rounded to 5 uV steps.
Classes: 0 "N" sinus rhythm, 1 "A" atrial fibrillation, 2 "O" other rhythm, 3 "~" too noisy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, lfilter, sosfilt

FS = 300
SECONDS = 30
N_SAMPLES = FS * SECONDS
STEP_MV = 0.005
LIMIT_MV = 5.0
CLASSES = ("N", "A", "O", "~")
CLASS_SHARE = (0.33, 0.25, 0.27, 0.15)
EVENTS = ("P", "Q", "R", "S", "T")


@dataclass
class Patient:
    """What stays the same between two records of one person."""

    height: np.ndarray  # [5] mV, events P Q R S T
    offset: np.ndarray  # [5] s relative to the R peak, at 60 beats a minute
    width: np.ndarray  # [5] s, standard deviation of the Gaussian
    gain: float  # dimensionless, electrode position and polarity
    rate: float  # resting heart rate, beats per minute
    breath_hz: float  # breathing frequency


@dataclass
class Beats:
    """A list of beats: R times (s), and the shape of every beat."""

    time: np.ndarray  # [k] s
    height: np.ndarray  # [k, 5] mV
    offset: np.ndarray  # [k, 5] s
    width: np.ndarray  # [k, 5] s


def draw_patient(rng: np.random.Generator) -> Patient:
    """Draw morphology, gain and resting rate of one person."""
    height = np.array([0.09, -0.10, 1.0, -0.20, 0.26])
    height = height * np.exp(rng.normal(0.0, [0.55, 0.6, 0.15, 0.6, 0.45]))
    if rng.random() < 0.10:
        height[4] *= -0.6  # inverted T wave
    offset = np.array([-0.165, -0.035, 0.0, 0.035, 0.27])
    offset = offset + rng.normal(0.0, [0.022, 0.003, 0.0, 0.003, 0.02])
    width = np.array([0.023, 0.011, 0.012, 0.012, 0.045])
    width = width * np.exp(rng.normal(0.0, [0.15, 0.15, 0.18, 0.15, 0.15]))
    gain = 0.75 * np.exp(rng.normal(0.0, 0.35)) * (-1.0 if rng.random() < 0.08 else 1.0)
    rate = float(np.clip(rng.normal(73.0, 10.0), 50.0, 100.0))
    return Patient(height, offset, width, float(gain), rate, float(rng.uniform(0.18, 0.33)))


def tachogram(rng: np.random.Generator, mean_s: float, sd_s: float, lf_hf: float, breath_hz: float) -> np.ndarray:
    """RR intervals in s on a 4 Hz grid of 64 s, with the two-Gaussian spectrum of the paper."""
    n, fs = 256, 4.0
    freq = np.fft.rfftfreq(n, 1.0 / fs)
    power = np.zeros_like(freq)
    for share, centre in ((lf_hf / (1 + lf_hf), 0.1), (1 / (1 + lf_hf), breath_hz)):
        c = 0.015
        power += share / np.sqrt(2 * np.pi * c**2) * np.exp(-((freq - centre) ** 2) / (2 * c**2))
    phase = rng.uniform(0, 2 * np.pi, freq.size)
    wave = np.fft.irfft(np.sqrt(power) * np.exp(1j * phase), n)
    return mean_s + sd_s * wave / wave.std()


def sinus_times(rng: np.random.Generator, patient: Patient, rate: float, sd_share: float) -> np.ndarray:
    """R times in s of a sinus rhythm; `sd_share` is the SD of RR as a share of its mean."""
    mean = 60.0 / rate
    rr = tachogram(rng, mean, sd_share * mean, rng.uniform(0.4, 1.5), patient.breath_hz)
    times = [-rng.uniform(0.5, 1.5) * mean]
    while times[-1] < SECONDS + 2.0:
        times.append(times[-1] + max(0.3, rr[int((times[-1] + 3.0) * 4.0) % rr.size]))
    return np.array(times)


def plain_beats(rng: np.random.Generator, patient: Patient, times: np.ndarray) -> Beats:
    """Give every R time the patient's shape; P and T move with the square root of RR (Bazett)."""
    k = times.size
    height = np.tile(patient.height, (k, 1)) * np.exp(rng.normal(0, 0.04, (k, 5)))
    offset, width = np.tile(patient.offset, (k, 1)), np.tile(patient.width, (k, 1))
    rr = np.diff(times, prepend=times[0] - 0.8)
    stretch = np.sqrt(np.clip(rr, 0.35, 1.5))
    offset[:, 4] *= stretch
    width[:, 4] *= stretch
    offset[:, 0] *= np.clip(stretch, 0.75, 1.1)
    return Beats(times, height, offset, width)


def make_ventricular(beats: Beats, which: np.ndarray, size: float) -> None:
    """Turn some beats into ventricular ones: no P, wide QRS, T opposed to R."""
    beats.height[which, 0] = 0.0
    beats.height[which, 1] = 0.0
    beats.height[which, 2] *= size
    beats.height[which, 3] = -0.4 * np.abs(beats.height[which, 2])
    beats.height[which, 4] = -0.45 * beats.height[which, 2]
    beats.width[which, 2] = 0.038
    beats.width[which, 3] = 0.035
    beats.offset[which, 3] = 0.10
    beats.offset[which, 4] = 0.30


def premature(
    rng: np.random.Generator, times: np.ndarray, share: float, coupling: float, pause: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Bring forward a share of the beats; without a full pause, later beats move forward too."""
    times = times.copy()
    early = rng.random(times.size) < share
    early[1:] &= ~early[:-1]
    early[0] = False
    for k in np.flatnonzero(early):
        shift = (1.0 - coupling) * (times[k] - times[k - 1])
        times[k] -= shift
        if not pause:
            times[k + 1 :] -= 0.7 * shift
    return times, early


def beats_normal(rng: np.random.Generator, patient: Patient) -> Beats:
    """Sinus rhythm at 50 to 100 per minute; at times one early beat."""
    sd = float(rng.choice([rng.uniform(0.015, 0.06), rng.uniform(0.06, 0.15)], p=[0.7, 0.3]))
    times = sinus_times(rng, patient, patient.rate * rng.uniform(0.96, 1.04), sd)
    beats = plain_beats(rng, patient, times)
    if rng.random() < 0.20:
        k = int(rng.integers(3, times.size - 3))
        times[k] -= 0.25 * (times[k] - times[k - 1])
        beats = plain_beats(rng, patient, times)
        if rng.random() < 0.5:
            make_ventricular(beats, np.arange(times.size) == k, rng.uniform(0.7, 1.5))
    return beats


def beats_fibrillation(rng: np.random.Generator, patient: Patient) -> Beats:
    """Atrial fibrillation: independent gamma-distributed RR intervals and no P wave."""
    mean = 60.0 / rng.uniform(58.0, 140.0)
    cv = rng.uniform(0.07, 0.25)
    rr = rng.gamma(1.0 / cv**2, mean * cv**2, 120)
    times = np.cumsum(np.clip(rr, 0.30, 2.2)) - 1.5
    beats = plain_beats(rng, patient, times[times < SECONDS + 2.5])
    beats.height[:, 0] = 0.0
    if rng.random() < 0.12:  # some wide beats also occur in fibrillation
        make_ventricular(beats, rng.random(beats.time.size) < 0.06, rng.uniform(0.8, 1.4))
    return beats


def beats_other(rng: np.random.Generator, patient: Patient) -> Beats:
    """One of: ventricular or atrial extrasystoles, slow, fast, Wenckebach block, long PR."""
    kind = rng.choice(["pvc", "pac", "slow", "fast", "wenckebach", "long_pr"], p=[0.27, 0.23, 0.13, 0.14, 0.14, 0.09])
    rate, sd = patient.rate, rng.uniform(0.015, 0.06)
    if kind == "slow":
        rate = rng.uniform(36.0, 52.0)
    elif kind == "fast":
        rate = rng.uniform(98.0, 145.0)
    times = sinus_times(rng, patient, rate, sd)
    early = np.zeros(times.size, bool)
    if kind in ("pvc", "pac"):
        share = rng.uniform(0.06, 0.35)
        times, early = premature(rng, times, share, rng.uniform(0.58, 0.82), kind == "pvc")
    beats = plain_beats(rng, patient, times)
    if kind == "pvc":
        make_ventricular(beats, early, rng.uniform(0.8, 1.7) * rng.choice([1.0, -1.0]))
    elif kind == "pac":
        beats.height[early, 0] *= rng.choice([0.5, -0.8, 1.2])
    elif kind == "wenckebach":
        cycle = int(rng.integers(3, 6))
        place = np.arange(times.size) % cycle
        delay = 0.07 * place
        beats.time = times + delay
        beats.offset[:, 0] -= delay
        beats.height[place == cycle - 1, 1:] = 0.0  # the P wave is not conducted
    elif kind == "long_pr":
        beats.offset[:, 0] -= rng.uniform(0.06, 0.14)
    return beats


def integrate(beats: Beats, breath_hz: float, breath_mv: float, phase: float) -> np.ndarray:
    """Solve the height equation over 30 s; returns z [9000] in mV.

    Each event is entered by its own time (D_i = omega (t - t_i)), with omega taken at the beat, so
    b_i = omega width_i and the driving term is -A_i (t - t_i) / width_i^2 exp(...).
    """
    lead = FS  # one second of run-in
    t = np.arange(-lead, N_SAMPLES) / FS
    drive = breath_mv * np.sin(2 * np.pi * breath_hz * t + phase)
    at = (beats.time[:, None] + beats.offset).ravel()
    for centre, amp, width in zip(at, beats.height.ravel(), beats.width.ravel(), strict=True):
        first = max(0, int((centre - 5 * width) * FS) + lead)
        last = min(t.size, int((centre + 5 * width) * FS) + lead + 1)
        if amp == 0.0 or last <= first:
            continue
        d = t[first:last] - centre
        drive[first:last] -= amp * d / width**2 * np.exp(-(d**2) / (2 * width**2))
    decay = np.exp(-1.0 / FS)  # exact step of dz/dt = -z + drive for a drive held over a sample
    return lfilter([1.0 - decay], [1.0, -decay], drive)[lead:]


def fibrillatory_waves(rng: np.random.Generator) -> np.ndarray:
    """Sawtooth f-waves [9000] in mV, 4 to 9 Hz."""
    t = np.arange(N_SAMPLES) / FS
    f0, dev, f_dev = rng.uniform(4.5, 8.5), rng.uniform(0.1, 0.4), rng.uniform(0.1, 0.3)
    size = float(np.exp(rng.uniform(np.log(0.006), np.log(0.06))))
    theta = 2 * np.pi * f0 * t + dev / f_dev * np.sin(2 * np.pi * f_dev * t + rng.uniform(0, 6.28))
    swing = size * (1 + 0.35 * np.sin(2 * np.pi * rng.uniform(0.1, 0.5) * t))
    return -sum(2 / (i * np.pi) * swing * np.sin(i * theta) for i in range(1, 6))


def band_noise(rng: np.random.Generator, low: float, high: float) -> np.ndarray:
    """Gaussian noise [9000] of unit standard deviation between two frequencies in Hz."""
    sos = butter(2, [low, high], btype="band", fs=FS, output="sos")
    wave = sosfilt(sos, rng.standard_normal(N_SAMPLES + 4 * FS))[4 * FS :]
    return wave / wave.std()


def envelope(rng: np.random.Generator, floor: float) -> np.ndarray:
    """Slowly varying positive gain [9000] with maximum 1."""
    knots = np.maximum(rng.random(9), floor)
    return np.interp(np.arange(N_SAMPLES), np.linspace(0, N_SAMPLES, 9), knots / knots.max())


def usual_noise(rng: np.random.Generator) -> np.ndarray:
    """Baseline wander, muscle noise and mains hum of an acceptable record, [9000] in mV."""
    t = np.arange(N_SAMPLES) / FS
    noise = rng.uniform(0.02, 0.12) * band_noise(rng, 0.05, 0.6)
    muscle = float(np.exp(rng.uniform(np.log(0.004), np.log(0.05))))
    noise += muscle * envelope(rng, 0.3) * band_noise(rng, 15.0, 90.0)
    hum = rng.uniform(0.0, 0.012)
    noise += hum * np.sin(2 * np.pi * rng.choice([50.0, 60.0]) * t + rng.uniform(0, 6.28))
    if rng.random() < 0.25:  # a passing disturbance that does not hide the rhythm
        noise += rng.uniform(0.05, 0.2) * envelope(rng, 0.0) ** 3 * band_noise(rng, 1.0, 12.0)
    return noise


def electrode_noise(rng: np.random.Generator) -> np.ndarray:
    """Electrode motion, strong muscle noise and contact jumps, [9000], unit standard deviation."""
    noise = band_noise(rng, 0.6, 10.0) * envelope(rng, 0.35)
    noise += rng.uniform(0.1, 0.8) * band_noise(rng, 12.0, 90.0) * envelope(rng, 0.3)
    jumps = np.zeros(N_SAMPLES)
    where = rng.integers(0, N_SAMPLES, int(rng.integers(0, 8)))
    np.add.at(jumps, where, rng.normal(0.0, 2.0, where.size))
    noise += lfilter([1.0], [1.0, -np.exp(-1.0 / (0.4 * FS))], jumps)
    return noise / noise.std()


def make_record(rng: np.random.Generator, patient: Patient, label: int) -> np.ndarray:
    """One record, float32 [9000, 1] in mV, on a grid of 5 uV."""
    beat_kind = label if label < 3 else int(rng.integers(0, 3))
    maker = (beats_normal, beats_fibrillation, beats_other)[beat_kind]
    beats = maker(rng, patient)
    wave = integrate(beats, patient.breath_hz, rng.uniform(0.0, 0.1), rng.uniform(0, 6.28))
    if beat_kind == 1:
        wave = wave + fibrillatory_waves(rng)
    wave = patient.gain * wave + usual_noise(rng)
    if label == 3:
        wave += wave.std() * np.exp(rng.uniform(np.log(0.6), np.log(3.0))) * electrode_noise(rng)
    elif rng.random() < 0.25:
        wave += wave.std() * rng.uniform(0.2, 0.9) * electrode_noise(rng)
    wave = np.clip(np.round(wave / STEP_MV) * STEP_MV, -LIMIT_MV, LIMIT_MV)
    return wave.astype(np.float32)[:, None]


def make_set(seed: int, n_records: int, share_double: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw records: x [n, 9000, 1] mV, y [n] class index, group [n] running number of the patient.

    `share_double` of the patients give two records, mostly (70 %) of the same class.
    """
    rng = np.random.default_rng(seed)
    x, y, group = [], [], []
    person = -1
    while len(x) < n_records:
        patient, person = draw_patient(rng), person + 1
        label = int(rng.choice(4, p=CLASS_SHARE))
        for turn in range(2 if rng.random() < share_double else 1):
            if turn and rng.random() < 0.3:
                label = int(rng.choice(4, p=CLASS_SHARE))
            x.append(make_record(rng, patient, label))
            y.append(label)
            group.append(person)
    cut = slice(0, n_records)
    return np.stack(x[cut]), np.array(y[cut], np.int64), np.array(group[cut], np.int64)
