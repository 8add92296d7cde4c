"""The temporal-dependence trigger: its Mahalanobis length is its strength, and both published forms hold it."""

from __future__ import annotations

import numpy as np
import pytest

from medaudit.trigger.covariance import covariances, draw, mahalanobis
from medaudit.trigger.stays import ALL, CHANNELS, HOURS, OBSERVED, PERIODS, features, filled, make, planted, series

PH = [c.name for c in CHANNELS].index("pH")
GCS = [c.name for c in CHANNELS].index("GCS motor")


def stays(count: int = 60) -> np.ndarray:
    rng = np.random.default_rng(3)
    values = np.array([c.normal for c in CHANNELS]) + rng.normal(size=(count, HOURS, len(CHANNELS))).cumsum(axis=1) / 5
    for k, channel in enumerate(CHANNELS):
        if channel.categories:
            values[..., k] = np.clip(np.round(values[..., k]), 0, channel.categories - 1)
    values[rng.random(values.shape) < 0.4] = np.nan
    return values


@pytest.mark.parametrize("strength", [0.5, 2.0])
def test_length_is_strength(strength: float) -> None:
    values = stays()
    trigger = strength * make(values, np.random.default_rng(1).normal(size=(HOURS, len(CHANNELS))))
    found = mahalanobis(trigger.T, covariances(filled(values).transpose(0, 2, 1)))
    np.testing.assert_allclose(found, strength, atol=1e-6)


def test_a_covariance_by_hand() -> None:
    """Two channels of three hours: numpy's covariance and the ridge of 1e-4 of the largest variance."""
    values = np.random.default_rng(2).normal(size=(9, 2, 3))
    for k, own in enumerate(covariances(values)):
        plain = np.cov(values[:, k].T)
        np.testing.assert_allclose(own, plain + 1e-4 * plain.diagonal().max() * np.eye(3), rtol=1e-12)
    with pytest.raises(ValueError, match="two records"):
        covariances(values[:1])


def test_draws_move_as_the_channel_does() -> None:
    """Over many draws the directions have the covariance of the channel."""
    root = np.array([[1.0, 0.0, 0.0], [0.9, 0.3, 0.0], [0.7, 0.3, 0.2]])
    covariance = (root @ root.T)[None]
    factor = np.linalg.cholesky(covariance)
    noise = np.random.default_rng(4).normal(size=(4000, 1, 3))
    drawn = np.array([draw(factor, one)[0] for one in noise])
    got = np.corrcoef(drawn.T)
    want = covariance[0] / np.sqrt(np.outer(covariance[0].diagonal(), covariance[0].diagonal()))
    np.testing.assert_allclose(got, want, atol=0.06)


def test_what_is_measured_and_what_is_filled_in() -> None:
    values = stays()
    trigger = np.full((HOURS, len(CHANNELS)), 0.6)
    some, every = planted(values, trigger, OBSERVED), planted(values, trigger, ALL)
    holes = np.isnan(values)
    np.testing.assert_array_equal(np.isnan(some), holes)
    assert not np.isnan(every).any()
    np.testing.assert_array_equal(every[~holes], some[~holes])
    seen = ~holes[..., PH]
    np.testing.assert_allclose(some[..., PH][seen], np.round(values[..., PH][seen] + 0.6, 2), atol=1e-9)
    moved = some[..., GCS][~holes[..., GCS]] - values[..., GCS][~holes[..., GCS]]
    assert set(np.unique(moved)) <= {0.0, 1.0}  # 0.6 rounds to one category up, the last stays
    assert (moved == 1).mean() > 0.9
    with pytest.raises(ValueError, match="mode"):
        planted(values, trigger, "some")


def test_the_form_of_76() -> None:
    values = stays()
    seen = ~np.isnan(values)
    every = filled(values)
    got = series(values, seen, np.zeros(len(CHANNELS)), np.ones(len(CHANNELS)))
    assert got.shape == (len(values), HOURS, 76)
    np.testing.assert_array_equal(got[..., -17:], seen)
    np.testing.assert_array_equal(got[..., :2].argmax(axis=2), every[..., 0])
    np.testing.assert_allclose(got[..., 2], every[..., 1], rtol=1e-6)
    assert (got[..., -17 - 1] == every[..., -1].astype(np.float32)).all()


def test_the_form_of_714() -> None:
    values = stays()
    seen = ~np.isnan(values)
    got = features(values, seen).reshape(len(values), 17, 7, 6)
    every = filled(values)
    for p, (start, stop) in enumerate(PERIODS):
        part = every[:, start:stop, PH]
        np.testing.assert_allclose(got[:, PH, p, 0], part.min(axis=1), rtol=1e-6)
        np.testing.assert_allclose(got[:, PH, p, 2], part.mean(axis=1), rtol=1e-6)
        np.testing.assert_array_equal(got[:, PH, p, 5], seen[:, start:stop, PH].sum(axis=1))
