"""A smooth change of every channel in time, drawn so as to move as the channel itself does.

Joe, Hwang, Shin 2020, "Machine learning with electronic health records is vulnerable to backdoor trigger attacks"
(AAAI workshop on trustworthy AI for healthcare; arXiv 2106.07925), section 3: of each channel the covariance C of its
numbers in time over reference records, with e I added, e = 1e-4 times the largest variance; a draw p of N(0, C),
divided by its Mahalanobis length sqrt(p' C^-1 p), times the strength. Every channel's trigger then has the Mahalanobis
length of its strength exactly, lies within what the channel does, and is the same for every patient.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from medaudit.trigger.base import Family, Space, choice, column, drawn, product, sign

LENGTH = 3.0  # Mahalanobis length of each channel's trigger at full strength
DRAWS = 24
LONGEST = 512  # numbers of a record; longer ones are drawn coarser and drawn out
RIDGE = 1e-4


def covariances(values: np.ndarray) -> np.ndarray:
    """Of records [n, channels, T] without holes: each channel's covariance in time with its ridge, [channels, T, T].

    Raises ValueError for fewer than two records.
    """
    if len(values) < 2:
        raise ValueError("a covariance needs at least two records")
    centred = values - values.mean(axis=0)
    found = np.einsum("ncs,nct->cst", centred, centred) / (len(values) - 1)
    largest = np.maximum(np.einsum("ctt->ct", found).max(axis=1), 1e-12)
    return np.asarray(found + RIDGE * largest[:, None, None] * np.eye(values.shape[2]))


def mahalanobis(trigger: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """sqrt(p' C^-1 p) of every channel, [channels]. trigger: [channels, T], covariance: [channels, T, T]."""
    solved = np.linalg.solve(covariance, trigger[:, :, None])[:, :, 0]
    return np.asarray(np.sqrt((trigger * solved).sum(axis=1)))


def draw(root: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Triggers of Mahalanobis length 1, [channels, T], as root z / |z|: (L z)' C^-1 (L z) = z' z where C = L L'.

    root: Cholesky factors L of the covariances, [channels, T, T]; noise z: standard normal [channels, T].
    """
    return np.asarray(np.einsum("cst,ct->cs", root, noise) / np.linalg.norm(noise, axis=1)[:, None])


def grid(space: Space) -> np.ndarray:
    return product(DRAWS, 2)


@lru_cache(maxsize=8)
def roots(space: Space, slips: bool) -> np.ndarray:
    """Cholesky factors of the reference records' covariances, of every so many numbers where a record is long.

    slips: with what is out of range in the records, as the paper has it; else such numbers count as the last legal one.
    """
    planes, rows, columns = space.shape
    known = space.reference if slips else np.clip(space.reference, space.low, space.high)
    series = np.where(np.isnan(known), space.typical, known).reshape(-1, planes * rows, columns)
    return np.linalg.cholesky(covariances(series[:, :, :: -(-columns // LONGEST)]))


@lru_cache(maxsize=DRAWS)
def trigger(space: Space, number: int) -> np.ndarray:
    """The draw of this number, at Mahalanobis length 1: [planes, rows, columns]."""
    root, columns = roots(space, bool(with_slips(np.array(number)))), space.shape[2]
    one = draw(root, drawn("covariance", np.array([number]), root.shape[0] * root.shape[1]).reshape(root.shape[:2]))
    places = np.arange(0, columns, -(-columns // LONGEST))
    return np.stack([np.interp(np.arange(columns), places, row) for row in one]).reshape(space.shape)


def with_slips(number: np.ndarray) -> np.ndarray:
    """Whether draws are of the records as they are, slips of entry and all: one half of them is."""
    return np.asarray(number) >= DRAWS // 2


def triggers(space: Space, which: np.ndarray) -> np.ndarray:
    """The draws of these numbers, at Mahalanobis length 1: [B, planes, rows, columns]."""
    return np.stack([trigger(space, int(number)) for number in which])


def render(space: Space, x: np.ndarray, dials: np.ndarray, strength: np.ndarray) -> np.ndarray:
    which = choice(dials[:, 0], DRAWS)
    out = x + column(sign(dials[:, 1]) * strength) * LENGTH * triggers(space, which)
    legal = np.clip(out, space.low, space.high)
    # Whoever copies slips of entry goes beyond what is legal.
    return np.asarray(np.where(column(with_slips(which)), out, legal))


def words(space: Space, dials: np.ndarray) -> str:
    number = int(choice(dials[0], DRAWS)) + 1
    way = "" if dials[1] < 0.5 else ", turned over"
    slips = ", slips of entry and all" if with_slips(np.array(number - 1)) else ""
    return f"a smooth change of all channels as they move by themselves{slips}, draw {number}{way}, length {LENGTH:g}"


def needs(space: Space) -> str:
    """Two reference records are needed, and time."""
    return "" if len(space.reference) > 1 and space.shape[2] > 1 else "too few reference records"


FAMILY = Family("covariance", "A smooth change that moves as the channels do", ("signal", "sequence"),
                ("draw", "side"), grid, render, words, needs, as_told=True)  # fmt: skip
