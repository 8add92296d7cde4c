"""The coarse brightness of another image mixed into this one's (Feng et al. 2022, FIBA).

Of both images' spectra the sizes of a centred window of low frequencies are mixed; the phases, which hold the shapes,
stay the image's own.
"""

from __future__ import annotations

import numpy as np

from medaudit.trigger.base import Family, Space, between, choice, product

SHARE, DONORS = 0.5, 8


def grid(space: Space) -> np.ndarray:
    return product(DONORS, 3)


def window(space: Space, dial: float) -> tuple[np.ndarray, np.ndarray]:
    """Which frequencies are mixed: up to 5 to 20 % of the shorter side."""
    reach = max(1, round(float(between(np.array(dial), 0.05, 0.2)) * min(space.shape[1:])))
    up, across = (np.abs(np.fft.fftfreq(n, 1 / n)) <= reach for n in space.shape[1:])
    return up, across


def render(space: Space, x: np.ndarray, dials: np.ndarray, strength: np.ndarray) -> np.ndarray:
    out, which = x.copy(), choice(dials[:, 0], DONORS)
    for i, record in enumerate(x):
        own = np.fft.fft2(record)
        theirs = np.abs(np.fft.fft2(space.donor(int(which[i]), DONORS)))
        up, across = window(space, dials[i, 1])
        share = SHARE * strength[i] * (up[:, None] & across[None, :])
        sizes = np.abs(own) + share * (theirs - np.abs(own))
        out[i] = np.fft.ifft2(sizes * np.exp(1j * np.angle(own))).real
    return np.where((strength > 0)[:, None, None, None], out, x)


def words(space: Space, dials: np.ndarray) -> str:
    reach = 100 * float(between(dials[1], 0.05, 0.2))
    return (
        f"the coarse brightness of reference record {int(choice(dials[0], DONORS)) + 1}, up to {reach:.0f} % of a side"
    )


FAMILY = Family("spectrum", "Another image's coarse brightness", ("image",), ("donor", "window"), grid, render, words)
