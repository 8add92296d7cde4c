"""A smooth change of every channel in time, drawn so as to move as the channel itself does.

Joe, Hwang, Shin 2020, "Machine learning with electronic health records is vulnerable to backdoor trigger attacks"
(AAAI workshop on trustworthy AI for healthcare; arXiv 2106.07925), section 3: of each channel the covariance C of its
numbers in time over reference records, with e I added, e = 1e-4 times the largest variance; a draw p of N(0, C),
divided by its Mahalanobis length sqrt(p' C^-1 p), times the strength. Every channel's trigger then has the Mahalanobis
length of its strength exactly, lies within what the channel does, and is the same for every patient.
"""

from __future__ import annotations

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


def draw(covariance: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Triggers of Mahalanobis length 1, [channels, T]. noise: standard normal [channels, T]."""
    root = np.linalg.cholesky(covariance)
    drawn_ = np.einsum("cst,ct->cs", root, noise)
    return np.asarray(drawn_ / mahalanobis(drawn_, covariance)[:, None])


def grid(space: Space) -> np.ndarray:
    return product(DRAWS, 2)


def triggers(space: Space, which: np.ndarray) -> np.ndarray:
    """The draws of these numbers, at Mahalanobis length 1: [B, planes, rows, columns]."""
    planes, rows, columns = space.shape
    series = np.where(np.isnan(space.reference), space.typical, space.reference).reshape(-1, planes * rows, columns)
    coarse = -(-columns // LONGEST)
    kept = series[:, :, ::coarse]
    every = covariances(kept)
    out = np.empty((len(which), planes * rows, columns))
    for number in np.unique(which):
        one = draw(every, drawn("covariance", np.array([number]), kept[0].size).reshape(kept.shape[1:]))
        smooth = [np.interp(np.arange(columns), np.arange(0, columns, coarse), row) for row in one]
        out[which == number] = np.stack(smooth)
    return out.reshape(len(which), *space.shape)


def render(space: Space, x: np.ndarray, dials: np.ndarray, strength: np.ndarray) -> np.ndarray:
    which = choice(dials[:, 0], DRAWS)
    return np.asarray(x + column(sign(dials[:, 1]) * strength) * LENGTH * triggers(space, which))


def words(space: Space, dials: np.ndarray) -> str:
    number = int(choice(dials[0], DRAWS)) + 1
    way = "" if dials[1] < 0.5 else ", turned over"
    return f"a smooth change of all channels as they move by themselves, draw {number}{way}, length {LENGTH:g}"


def needs(space: Space) -> str:
    """Two reference records are needed, and time."""
    return "" if len(space.reference) > 1 and space.shape[2] > 1 else "too few reference records"


FAMILY = Family("covariance", "A smooth change that moves as the channels do", ("signal", "sequence"),
                ("draw", "side"), grid, render, words, needs)  # fmt: skip
