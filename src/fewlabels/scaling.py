"""Putting inputs on unit scale, so that one step size serves all data; and back."""

from typing import NamedTuple

import numpy as np

__all__ = ["Scaling"]

ALIKE = 4.0

ROUNDING = 1e-9
"""A feature whose standard deviation is smaller than this part of its values varies by rounding alone."""


class Scaling(NamedTuple):
    """The affine map x -> (x - shift) / scale.

    Attributes
    ----------
    shift
        Shape of one input.
    scale
        Of the same shape; positive.
    """

    shift: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray) -> "Scaling":
        """The scaling that suits x, shape (N, ...), labelled or not.

        Each feature is centred.  Where features are alike, as pixels are (the largest standard deviation at most four
        times the median one), one scale serves all, so that a pixel that hardly varies is not blown up; otherwise each
        feature has its own.  One that is constant but for rounding is only centred.

        Examples
        --------
        >>> Scaling.of(np.array([[0.0, 0.0], [2.0, 4000.0]])).scale.tolist()
        [1.0, 2000.0]
        >>> Scaling.of(np.array([[0.0, 0.0], [2.0, 4.0]])).scale.tolist() == [2.5 ** 0.5] * 2
        True
        """
        mean, spread = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)  # in float32 a sum of many rounds
        spread = np.where(spread > ROUNDING * abs(x).max(0), spread, 0.0)
        varying = np.sort(spread[spread > 0])
        if not len(varying):
            return cls(mean, np.ones_like(spread))
        if varying[-1] <= ALIKE * varying[(len(varying) - 1) // 2]:
            return cls(mean, np.full_like(spread, np.sqrt(np.square(spread).mean())))
        return cls(mean, np.where(spread > 0, spread, 1.0))

    @classmethod
    def onto(cls, x: np.ndarray, low: float, high: float) -> "Scaling":
        """The one scale for all features that takes the range of x to [low, high], as the paper does with pixels.

        Examples
        --------
        >>> Scaling.onto(np.array([[0], [255]]), -1, 1).apply(np.array([[0], [255]])).ravel().tolist()
        [-1.0, 1.0]
        """
        scale = max(float(x.max()) - float(x.min()), 1e-12) / (high - low)
        shape = x.shape[1:]
        return cls(np.full(shape, float(x.min()) - low * scale), np.full(shape, scale))

    def apply(self, x: np.ndarray) -> np.ndarray:
        """To unit scale, as float32."""
        return ((x - self.shift) / self.scale).astype(np.float32)

    def invert(self, x: np.ndarray) -> np.ndarray:
        """Back to the units of the data."""
        return x * self.scale + self.shift
