r"""Whether p(y | x) can be taken at its word, and how sure a measured error rate is.

Let c_i = max_y p(y | x_i) be the confidence of example i and a_i ∈ {0, 1} whether the argmax is its label.  Among
examples of equal confidence, a calibrated model is right in that share of them.  Examples fall into B bins of equal
width by confidence; with share s_b of all examples, mean confidence C_b and accuracy A_b of bin b, the expected
calibration error (Naeini, Cooper and Hauskrecht, 2015; Guo, Pleiss, Sun and Weinberger, 2017) is

.. math:: ECE = Σ_b s_b |A_b - C_b|

It is never below 0, so that chance alone gives about Σ_b √(2 s_b A_b (1 - A_b) / (π N)) where the model is
calibrated: compare models on the same examples.

An error rate's interval is Wilson's (1927): all rates p with |e/n - p| ≤ z √(p (1 - p) / n), for e errors.  Unlike
the plain one, it stays inside [0, 1] and has a width where no error was seen.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from fewlabels.errors import InputError

__all__ = ["Calibration", "calibrate", "error_interval"]

BINS = 15
"""Of Guo et al."""

SLACK = 1e-3
"""By how much the probabilities of a row may miss 1, as those of float32 do."""


class Calibration(NamedTuple):
    """A reliability diagram in numbers; B bins of equal width from 0 to 1, closed above.

    Attributes
    ----------
    ece
        Expected calibration error, from 0 to 1.
    confidence
        Mean of max_y p(y | x) in each bin, shape (B,); NaN where a bin is empty.
    accuracy
        Share of right answers in each bin, shape (B,); NaN where a bin is empty.
    share
        Share of all examples in each bin, shape (B,); sums to 1.
    """

    ece: float
    confidence: np.ndarray
    accuracy: np.ndarray
    share: np.ndarray


def calibrate(probabilities: np.ndarray, y: np.ndarray) -> Calibration:
    """Confidence and accuracy by bins of confidence, and their mean distance.

    Parameters
    ----------
    probabilities
        p(y | x), shape (N, K); rows sum to 1.
    y
        The true labels, shape (N,), integers from 0 to K - 1.

    Raises
    ------
    InputError
        There is not one label for each row, or no row; rows that are no probabilities; labels beyond 0 to K - 1.

    Examples
    --------
    >>> calibration = calibrate(np.array([[0.75, 0.25]] * 4), np.array([0, 0, 0, 0]))  # right more often than it says
    >>> calibration.ece, calibration.accuracy[11].item(), calibration.share[11].item()
    (0.25, 1.0, 1.0)
    """
    if not len(probabilities) or np.shape(y) != (len(probabilities),):
        raise InputError(f"Expected one label a row, got shapes {np.shape(probabilities)} and {np.shape(y)}.")
    probabilities = np.asarray(probabilities, dtype=float)
    if probabilities.ndim != 2:
        raise InputError(f"Expected probabilities of shape (N, K), one for each class, got {probabilities.shape}.")
    classes = probabilities.shape[1]
    off = ~(abs(probabilities.sum(1) - 1) < SLACK) | (probabilities < 0).any(1)
    if off.any():
        raise InputError(
            f"Expected rows of 0 or more that sum to 1, got {probabilities[off][0]} in row {np.flatnonzero(off)[0]}."
        )
    if not np.isin(y, np.arange(classes)).all():
        raise InputError(
            f"Expected labels from 0 to {classes - 1}, got {np.setdiff1d(y, np.arange(classes))[0]!r}: give the place "
            "of each label among the classes, as np.searchsorted(classes, y) does."
        )
    highest = np.max(probabilities, 1)
    right = np.argmax(probabilities, 1) == y
    bins = np.digitize(highest, np.linspace(0, 1, BINS + 1)[1:-1], right=True)
    counts = np.bincount(bins, minlength=BINS)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN, as it should be
        confidence = np.bincount(bins, highest, BINS) / counts
        accuracy = np.bincount(bins, right, BINS) / counts
    share = counts / len(right)
    return Calibration(float(np.nansum(share * abs(accuracy - confidence))), confidence, accuracy, share)


def error_interval(errors: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of an error rate.

    Parameters
    ----------
    errors, n
        How many of how many independent examples were wrong.
    level
        How often, in the long run, such an interval holds the true rate.

    Returns
    -------
    The lowest and the highest rate.

    Raises
    ------
    InputError
        There are more errors than examples, or no examples.

    Examples
    --------
    >>> low, high = error_interval(0, 100)
    >>> low, round(high, 4)
    (0.0, 0.037)
    """
    if not 0 <= errors <= n or n == 0:
        raise InputError(f"Expected from 0 to n errors among n > 0 examples, got {errors} among {n}.")
    interval = binomtest(errors, n).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)
