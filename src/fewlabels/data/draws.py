"""Which rows are labelled: draws by class, of a number or of a share.

The labelled rows of a seed are the first of each class in one permutation by numpy's legacy generator, as in the code
of Song, Zheng and Ou.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fewlabels.errors import InputError

__all__ = ["draw_per_class", "draw_proportion"]


def draw_per_class(y: ArrayLike, count: int, seed: int) -> NDArray[np.int64]:
    """Draw the rows to label: equally many of each class.

    Parameters
    ----------
    y : int array (N,)
        The labels of all rows, 0 to K - 1.
    count : int
        How many rows of each class, at least 1.
    seed : int
        Of the permutation in which they come first. A draw holds every smaller draw of the same seed.

    Returns
    -------
    int array (count * K,)
        Row numbers, class by class, in the order of the permutation.

    Raises
    ------
    InputError
        A class has fewer rows.

    Examples
    --------
    >>> draw_per_class([0, 1, 0, 1, 1, 0], 2, seed=1)
    array([2, 0, 1, 4])
    """
    rows = _rows_by_class(y, seed)
    rarest = min(rows, key=lambda label: len(rows[label]))
    if not 1 <= count <= len(rows[rarest]):
        raise InputError(
            f"expected a count of 1 to {len(rows[rarest]):,}, the rows of class {rarest}, came {count:,}: draw fewer"
        )
    return np.concatenate([own[:count] for own in rows.values()])


def draw_proportion(y: ArrayLike, proportion: float, seed: int) -> NDArray[np.int64]:
    """Draw the rows to label: the same share of each class.

    A class of n rows gives proportion * n, rounded down, but at least one; those with the largest remainders give one
    more, until there are round(proportion * N) rows or, where the rare classes' ones make more than that, as many as
    there are. A draw of the same seed holds a smaller one, but for at most one row of each class.

    Parameters
    ----------
    y : int array (N,)
        The labels of all rows, 0 to K - 1.
    proportion : float
        Above 0, at most 1, which draws all rows.
    seed : int
        As in `draw_per_class`.

    Returns
    -------
    int array
        Row numbers, class by class, in the order of the permutation.

    Raises
    ------
    InputError
        The proportion is out of range.

    Examples
    --------
    >>> draw_proportion([0, 0, 0, 0, 1, 1, 1, 1, 1, 1], 0.5, seed=0)
    array([2, 1, 8, 4, 9])
    """
    if not 0 < proportion <= 1:
        raise InputError(f"expected a proportion above 0 and at most 1, came {proportion}: choose another")
    rows = _rows_by_class(y, seed)
    quotas = proportion * np.array([len(own) for own in rows.values()])
    counts = np.maximum(np.floor(quotas), 1).astype(int)
    missing = max(round(proportion * np.size(y)) - int(counts.sum()), 0)
    counts[np.argsort(counts - quotas, kind="stable")[:missing]] += 1
    return np.concatenate([own[:count] for own, count in zip(rows.values(), counts, strict=True)])


def _rows_by_class(y: ArrayLike, seed: int) -> dict[int, NDArray[np.int64]]:
    """Label to the numbers of its rows in the order of the seed's permutation, labels ascending."""
    y = np.asarray(y)
    if y.ndim != 1 or y.dtype.kind not in "iu" or y.size == 0:
        raise InputError(f"expected integers of shape (N,) as labels, came {y.dtype} of {y.shape}: give one a row")
    if y.min() < 0:
        raise InputError(f"expected labels from 0, came {y.min()}: give the rows that have labels only")
    order = np.random.RandomState(seed).permutation(len(y))
    permuted = y[order]
    return {int(label): order[permuted == label] for label in np.unique(y)}
