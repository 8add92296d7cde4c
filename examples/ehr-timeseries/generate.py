"""Synthetic 48-hour intensive-care records in the shape of an in-hospital-mortality benchmark.

Layout: 48 hours x 17 variables in alphabetical order, as in the MIMIC-III benchmark of Harutyunyan
et al., "Multitask learning and benchmarking with clinical time series data", Scientific Data 6:96,
2019.  No patient record is involved.  Table VARIABLES holds published hourly means, standard
deviations and shares of observed hours of that benchmark.  Recording errors swell some of the raw
figures, so these are plausible values chosen by us: mean and SD of the GCS items and of capillary
refill, mean of SpO2 and of pH, SD of the diastolic and mean pressure, of height, SpO2, temperature
and pH.  So are all limits and all loadings on severity.

Model.  Patient i has a latent severity that drifts and wanders over the hours t = 0..47,

    s_i(t) = [ a_i + d_i (t - 23.5) / 23.5 + w_i(t) ] / S

with a ~ N(0, 1), d ~ N(0, 0.6^2), w an AR(1) process of SD 0.4 and S such that s has unit variance
over patients and hours.  An AR(1) process is g(t+1) = rho g(t) + sqrt(1 - rho^2) e(t), e ~ N(0, 1).
Variable v has the score

    z_iv(t) = L_v s_i(t) + c_v u_iv + sqrt(1 - c_v^2 - L_v^2) g_iv(t)

with u a constant of the person and g AR(1) of unit variance, hence z of unit variance too.  Then
value = mean_v + sd_v z, except for skewed variables (log-normal with the same mean and SD, or an
exponential of z for SpO2 and FiO2), and for steps (GCS items, capillary refill).  Systolic and
diastolic pressure are laid around the mean pressure with a positive pulse pressure, so their order
holds.  The outcome is died = [ mean over hours of weight(t) s_i(t) + hidden noise > cut ], later
hours weighing more.  Every hour is seen with the published share on average; sicker patients more.

Shapes and units: values float32 [n, 48, 17] in the units of VARIABLES, NaN where not measured.
Classes: 0 "survived", 1 "died".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.signal import lfilter

HOURS = 48
CLASSES = ("survived", "died")


class Variable(NamedTuple):
    """One column: statistics, limits, share of observed hours, loading on severity."""

    name: str
    unit: str
    mean: float
    sd: float
    lo: float
    hi: float
    seen: float
    load: float


VARIABLES = (
    Variable("Capillary refill rate", "1", 0.10, 0.30, 0, 1, 0.003, 0.45),
    Variable("Diastolic blood pressure", "mmHg", 61.2, 12.0, 10, 180, 0.90, -0.20),
    Variable("Fraction inspired oxygen", "1", 0.29, 0.17, 0.21, 1.0, 0.06, 0.45),
    Variable("Glascow coma scale eye opening", "points", 3.3, 1.0, 1, 4, 0.31, -0.45),
    Variable("Glascow coma scale motor response", "points", 5.3, 1.3, 1, 6, 0.31, -0.40),
    Variable("Glascow coma scale total", "points", 11.6, 3.8, 3, 15, 0.18, -0.45),
    Variable("Glascow coma scale verbal response", "points", 3.2, 1.8, 1, 5, 0.31, -0.40),
    Variable("Glucose", "mg/dL", 137.0, 57.0, 20, 1000, 0.26, 0.20),
    Variable("Heart Rate", "bpm", 86.3, 19.4, 0, 300, 0.93, 0.30),
    Variable("Height", "cm", 169.8, 10.0, 100, 230, 0.004, 0.0),
    Variable("Mean blood pressure", "mmHg", 78.8, 14.0, 15, 220, 0.90, -0.25),
    Variable("Oxygen saturation", "%", 96.8, 3.0, 40, 100, 0.89, -0.30),
    Variable("Respiratory rate", "breaths/min", 19.3, 6.7, 0, 80, 0.91, 0.35),
    Variable("Systolic blood pressure", "mmHg", 120.3, 21.9, 30, 300, 0.90, -0.25),
    Variable("Temperature", "degC", 36.9, 0.8, 28, 43, 0.33, 0.10),
    Variable("Weight", "kg", 81.9, 20.5, 25, 300, 0.03, 0.05),
    Variable("pH", "1", 7.36, 0.08, 6.7, 7.9, 0.13, -0.35),
)
# "Glascow" is how the benchmark's files spell it; kept so that columns match by name.
COLUMN = {v.name: i for i, v in enumerate(VARIABLES)}
MEAN = np.array([v.mean for v in VARIABLES])
SD = np.array([v.sd for v in VARIABLES])
LO = np.array([v.lo for v in VARIABLES])
HI = np.array([v.hi for v in VARIABLES])
SEEN = np.array([v.seen for v in VARIABLES])
LOAD = np.array([v.load for v in VARIABLES])
DECIMALS = {"Fraction inspired oxygen": 2, "Temperature": 1, "Weight": 1, "pH": 2}
STEADY = {"Height": 1.0, "Weight": 0.995}  # share of the variance that is constant in time
FRAILTY_SD, LABEL_NOISE_SD, DIED_CUT = 0.15, 0.20, 0.35


def ar1(rng: np.random.Generator, shape: tuple[int, ...], rho: float) -> np.ndarray:
    """AR(1) noise of unit variance along the last axis."""
    shock = rng.standard_normal(shape) * np.sqrt(1 - rho**2)
    shock[..., 0] /= np.sqrt(1 - rho**2)
    return lfilter([1.0], [1.0, -rho], shock, axis=-1)


def severity(rng: np.random.Generator, n: int) -> np.ndarray:
    """Latent severity [n, 48], about zero mean and unit variance."""
    drift = (np.arange(HOURS) - 23.5) / 23.5
    level, slope = rng.standard_normal((n, 1)), 0.6 * rng.standard_normal((n, 1))
    wander = 0.4 * ar1(rng, (n, HOURS), 0.9)
    return (level + slope * drift + wander) / np.sqrt(1 + 0.36 / 3 + 0.16)


def outcome(rng: np.random.Generator, s: np.ndarray) -> np.ndarray:
    """Death [n] from severity, later hours counting more, plus what the chart does not show."""
    weight = np.linspace(0.5, 1.5, HOURS) / HOURS
    n = len(s)
    hidden = FRAILTY_SD * rng.standard_normal(n) + LABEL_NOISE_SD * rng.standard_normal(n)
    return (s @ weight + hidden > DIED_CUT).astype(np.int64)


def standard_scores(rng: np.random.Generator, s: np.ndarray) -> np.ndarray:
    """Correlated scores z [n, 48, 17] of unit variance from severity [n, 48]."""
    n = len(s)
    z = np.empty((n, HOURS, len(VARIABLES)))
    person = rng.standard_normal((n, len(VARIABLES)))
    person[:, COLUMN["Weight"]] += 0.5 * person[:, COLUMN["Height"]]  # taller people weigh more
    person[:, COLUMN["Weight"]] /= np.sqrt(1.25)
    for k, var in enumerate(VARIABLES):
        free = 1.0 - var.load**2
        fixed = STEADY.get(var.name, 0.35) * free
        noise = ar1(rng, (n, HOURS), 0.75)
        z[:, :, k] = var.load * s + np.sqrt(fixed) * person[:, [k]] + np.sqrt(free - fixed) * noise
    return z


def pressures(rng: np.random.Generator, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Diastolic, mean and systolic pressure [n, 48] in mmHg, always in this order.

    The mean pressure has its own score; the pulse pressure PP is log-normal (mean 59 mmHg), and
    diastolic = mean - share PP, systolic = diastolic + PP, share about 0.3.
    """
    k = COLUMN["Mean blood pressure"]
    mean = MEAN[k] + SD[k] * z[:, :, k]
    score = 0.8 * z[:, :, COLUMN["Systolic blood pressure"]] + 0.6 * z[:, :, k]
    pulse = 57.0 * np.exp(0.25 * score / 1.1)
    share = np.clip(0.30 + 0.03 * z[:, :, COLUMN["Diastolic blood pressure"]], 0.18, 0.45)
    return mean - share * pulse, mean, mean + (1 - share) * pulse


def to_units(rng: np.random.Generator, z: np.ndarray) -> np.ndarray:
    """Scores [n, 48, 17] -> values in clinical units, rounded and within the limits."""
    value = MEAN + SD * z
    low, mid, high = pressures(rng, z)
    value[:, :, COLUMN["Diastolic blood pressure"]] = low
    value[:, :, COLUMN["Mean blood pressure"]] = mid
    value[:, :, COLUMN["Systolic blood pressure"]] = high
    for name in ("Glucose", "Heart Rate", "Respiratory rate"):  # log-normal, same mean and SD
        k = COLUMN[name]
        spread = np.sqrt(np.log(1 + (SD[k] / MEAN[k]) ** 2))
        value[:, :, k] = MEAN[k] * np.exp(spread * z[:, :, k] - spread**2 / 2)
    k = COLUMN["Oxygen saturation"]  # skewed to the left, capped at 100 %
    value[:, :, k] = 100.0 - 2.5 * np.exp(-0.75 * z[:, :, k])
    k = COLUMN["Fraction inspired oxygen"]  # room air for many
    value[:, :, k] = 0.21 + 0.04 * np.exp(1.2 * z[:, :, k])
    value[:, :, COLUMN["Capillary refill rate"]] = z[:, :, COLUMN["Capillary refill rate"]] > 1.28
    names = [f"Glascow coma scale {part}" for part in ("eye opening", "motor response", "verbal response")]
    bodies = ((3.7, 1.4), (6.0, 2.0), (3.5, 2.4))  # centre and spread before the ceiling
    awake = z[:, :, COLUMN["Glascow coma scale total"]]  # shared by the three items
    for name, (centre, sd) in zip(names, bodies, strict=True):
        score = 0.85 * awake + 0.53 * z[:, :, COLUMN[name]]
        value[:, :, COLUMN[name]] = np.round(centre + sd * score)
    value = np.clip(value, LO, HI)
    total = sum(value[:, :, COLUMN[name]] for name in names)
    value[:, :, COLUMN["Glascow coma scale total"]] = total
    for k, var in enumerate(VARIABLES):
        value[:, :, k] = np.round(value[:, :, k], DECIMALS.get(var.name, 0))
    return value


def hide(rng: np.random.Generator, value: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Put NaN where nothing was measured; sicker patients are measured more often."""
    odds = np.log(SEEN / (1 - SEEN)) + 0.25 * s[:, :, None] * (SEEN < 0.5)
    odds = odds + 0.5 * rng.standard_normal((len(value), 1, len(VARIABLES)))
    seen = rng.random(value.shape) < 1 / (1 + np.exp(-odds))
    # vital signs fall out together: one chart gap per hour for the three pressures
    cuff = seen[:, :, COLUMN["Mean blood pressure"]]
    for name in ("Diastolic blood pressure", "Systolic blood pressure"):
        seen[:, :, COLUMN[name]] = cuff
    return np.where(seen, value, np.nan).astype(np.float32)


def make_set(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw patients: values [n, 48, 17] with NaN, and outcome [n]."""
    rng = np.random.default_rng(seed)
    s = severity(rng, n)
    y = outcome(rng, s)
    return hide(rng, to_units(rng, standard_scores(rng, s)), s), y
