"""Calibration error and Wilson's interval against plain computation, another implementation and simulation."""

import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from fewlabels.calibration import calibrate, error_interval
from fewlabels.errors import InputError


def binary(confidence):
    return np.stack([confidence, 1 - confidence], 1)


def by_loops(probabilities, y):
    """(ECE, confidence, accuracy, share): every example looked at for every bin, bins ((b - 1)/15, b/15]."""
    rows = []
    for b in range(15):
        inside = [i for i, row in enumerate(probabilities) if b / 15 < max(row) <= (b + 1) / 15]
        confidence = np.mean([max(probabilities[i]) for i in inside]) if inside else math.nan
        accuracy = np.mean([list(probabilities[i]).index(max(probabilities[i])) == y[i] for i in inside] or [math.nan])
        rows.append((confidence, accuracy, len(inside) / len(y)))
    ece = sum(share * abs(accuracy - confidence) for confidence, accuracy, share in rows if share)
    return ece, *np.array(rows).T


def test_calibration_is_what_loops_over_bins_give():
    rng = np.random.default_rng(0)
    probabilities, y = rng.dirichlet([0.5, 1, 0.3, 2], 500), rng.integers(0, 4, 500)
    for ours, plain in zip(calibrate(probabilities, y), by_loops(probabilities, y), strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-12)


def test_calibration_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.3, 0.7], [0.7, 0.3], [0.05, 0.95], [0.1, 0.9]])
    y = np.array([0, 1, 1, 1, 0])
    ece, confidence, accuracy, share = calibrate(probabilities, y)  # bins of 0.7: right, wrong; 0.9: right, wrong; 0.95
    assert ece == pytest.approx((2 * 0.2 + 2 * 0.4 + 1 * 0.05) / 5)
    assert np.flatnonzero(share).tolist() == [10, 13, 14]
    np.testing.assert_allclose(confidence[[10, 13, 14]], [0.7, 0.9, 0.95])
    np.testing.assert_allclose(accuracy[[10, 13, 14]], [0.5, 0.5, 1.0])
    np.testing.assert_allclose(share[[10, 13, 14]], [0.4, 0.4, 0.2])
    assert np.isnan(confidence[:10]).all() and np.isnan(accuracy[:10]).all()


def test_certainty_is_in_the_last_bin_and_may_overshoot_by_rounding():
    probabilities = np.array([[1, 0], [np.nextafter(np.float32(1), np.float32(2)), 0]], np.float32)
    assert calibrate(probabilities, np.array([0, 0])).share[14] == 1
    assert calibrate(probabilities, np.array([0, 0])).ece == pytest.approx(0, abs=1e-6)
    assert calibrate(probabilities, np.array([1, 1])).ece == pytest.approx(1, abs=1e-6)


def test_bins_are_closed_above():
    edge = np.linspace(0, 1, 16)[9]
    share = calibrate(binary(np.array([edge, np.nextafter(edge, 1)])), np.array([0, 0])).share
    assert np.flatnonzero(share).tolist() == [8, 9]


def test_labels_drawn_from_p_are_calibrated_up_to_chance():
    rng = np.random.default_rng(0)
    n = 20000
    confidence = rng.uniform(0.5, 1, n)
    wrong = rng.random(n) > confidence
    ece, _, accuracy, share = calibrate(binary(confidence), wrong)
    by_chance = np.nansum(np.sqrt(2 * share * accuracy * (1 - accuracy) / (math.pi * n)))  # as the docstring says
    assert 0.3 * by_chance < ece < 2 * by_chance < 0.02
    overconfident = (1 + confidence) / 2  # control: off by (1 - confidence) / 2, 1/8 on average
    assert calibrate(binary(overconfident), wrong).ece == pytest.approx(1 / 8, abs=0.01)


@pytest.mark.parametrize(("errors", "n", "level"), [(0, 10, 0.95), (3, 10, 0.95), (10, 10, 0.9), (127, 10000, 0.99)])
def test_wilson_interval_is_scipys(errors, n, level):
    expected = binomtest(errors, n).proportion_ci(level, method="wilson")
    np.testing.assert_allclose(error_interval(errors, n, level), (expected.low, expected.high), atol=1e-14)


def test_wilson_interval_holds_the_rate_as_often_as_it_says():
    """Summed exactly over the binomial distribution, averaged over rates; the plain interval falls short."""
    n, rates = 50, np.linspace(0.01, 0.2, 40)
    intervals = np.array([error_interval(errors, n) for errors in range(n + 1)])
    share = np.arange(n + 1) / n
    half = 1.96 * np.sqrt(share * (1 - share) / n)
    plain = np.stack([share - half, share + half], 1)

    def coverage(low, high):
        return np.mean([binom.pmf(range(n + 1), n, p)[(low <= p) & (p <= high)].sum() for p in rates])

    assert coverage(*intervals.T) == pytest.approx(0.95, abs=0.01)
    assert coverage(*plain.T) < 0.9  # control


def test_what_is_refused():
    for y in ([0], [[0], [1]], 0):
        with pytest.raises(InputError, match="one label a row"):
            calibrate(binary(np.array([0.5, 0.6])), np.array(y))
    with pytest.raises(InputError, match="one label a row"):
        calibrate(np.zeros((0, 2)), np.zeros(0))
    right = binary(np.array([0.75, 0.75]))
    for y in (["a", "b"], [1, 2], [-1, 0], [0.5, 1]):
        with pytest.raises(InputError, match="labels from 0 to 1"):
            calibrate(right, np.array(y))
    for rows in (right * float("nan"), right / 2, np.array([[1.5, -0.5], [0.5, 0.5]])):
        with pytest.raises(InputError, match="sum to 1"):
            calibrate(rows, np.array([0, 1]))
    with pytest.raises(InputError, match=r"of shape \(N, K\)"):
        calibrate(np.array([0.5, 0.5]), np.array([0, 1]))
    for errors, n in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(InputError, match="errors among"):
            error_interval(errors, n)
