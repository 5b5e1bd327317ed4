"""Cross-validation that keeps unlabelled rows in training."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold

from fewlabels.errors import InputError

__all__ = ["LabelledKFold", "as_labels", "is_unlabelled", "labelled_accuracy"]


def as_labels(y: Any) -> np.ndarray:
    """An array that keeps text or booleans and -1 apart, which numpy would not.

    Examples
    --------
    >>> as_labels(["cat", -1]).tolist(), as_labels([True, -1]).tolist()
    (['cat', -1], [True, -1])
    """
    values = np.asarray(y)
    if isinstance(y, np.ndarray) or values.ndim == 0 or values.dtype.kind not in "USi":
        return values
    text = values.dtype.kind in "US" and not all(isinstance(value, str) for value in y)
    booleans = isinstance(y, list | tuple) and any(isinstance(value, bool | np.bool_) for value in y)
    return np.array(list(y), dtype=object) if text or booleans else values


def is_unlabelled(y: Any) -> np.ndarray:
    """Which labels stand for "unlabelled": -1, and in object arrays None and NaN too; boolean, shape (N,).

    Examples
    --------
    >>> is_unlabelled([1, -1, 0]).tolist()
    [False, True, False]
    >>> is_unlabelled(np.array(["cat", None, -1], dtype=object)).tolist()
    [False, True, True]
    """
    y = as_labels(y)
    if y.dtype.kind in "iuf":
        return (y == -1) | np.isnan(y) if y.dtype.kind == "f" else y == -1
    if y.dtype.kind == "O":
        return np.array([_is_missing(v) or (not isinstance(v, str) and v == -1) for v in y], dtype=bool)
    return np.zeros(len(y), dtype=bool)


def _is_missing(value: Any) -> bool:
    """Whether a value is None, NaN or another that is not equal to itself, such as the NA of pandas."""
    try:
        return value is None or bool(value != value)
    except TypeError:  # NA is neither
        return True


def labelled_accuracy(predicted: np.ndarray, y: Any, sample_weight: Any = None) -> float:
    """Share of predictions, (N,), that are right among the rows that have labels.

    Raises
    ------
    InputError
        Not one label a row, or none but marks of unlabelled rows.

    Examples
    --------
    >>> labelled_accuracy(np.array(["a", "b", "b"]), ["a", "a", -1])
    0.5
    """
    y = as_labels(y)
    if y.shape != predicted.shape:
        raise InputError(f"Expected one label a row, got shape {y.shape} for {len(predicted)} rows.")
    labelled = ~is_unlabelled(y)
    if not labelled.any():
        raise InputError("Expected labels to compare with, but all are -1: give at least one row its label.")
    right = predicted[labelled] == np.array(y[labelled].tolist())
    return float(np.average(right, weights=None if sample_weight is None else np.asarray(sample_weight)[labelled]))


class LabelledKFold:
    """K folds of the labelled rows, stratified by class; every unlabelled row is in every training set.

    scikit-learn's own splitters put unlabelled rows into test folds, where a score would treat -1 as a class.

    Parameters
    ----------
    n_splits
        How many folds, at least 2.  A class with fewer rows than folds is missing from some test folds.
    random_state
        Seed of the shuffle.

    Examples
    --------
    >>> y = np.array([0, 0, 1, 1, -1, -1])
    >>> for train, test in LabelledKFold(2).split(np.zeros((6, 1)), y):
    ...     print(sorted(y[test].tolist()), (y[train] == -1).sum())
    [0, 1] 2
    [0, 1] 2
    """

    def __init__(self, n_splits: int = 5, random_state: int | None = 0) -> None:
        self.n_splits, self.random_state = n_splits, random_state

    def split(self, X: Any, y: Any, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pairs of index arrays (training, test)."""
        y = as_labels(y)
        unlabelled = is_unlabelled(y)
        labelled, rest = np.flatnonzero(~unlabelled), np.flatnonzero(unlabelled)
        classes, codes, counts = np.unique(y[labelled].astype(str), return_inverse=True, return_counts=True)
        if len(labelled) < self.n_splits or counts.max(initial=0) < self.n_splits:
            raise InputError(
                f"Expected at least {self.n_splits} labelled rows of some class for {self.n_splits} folds, got "
                f"{dict(zip(classes.tolist(), counts.tolist(), strict=True))}: label more rows or use fewer folds."
            )
        # Classes rarer than the number of folds are dealt out after the others, so no warning applies to them.
        order = np.random.default_rng(self.random_state).permutation(len(labelled))
        common = counts[codes[order]] >= self.n_splits
        fold_of = np.empty(len(labelled), dtype=int)
        kept, rare = order[common], order[~common]
        folds = StratifiedKFold(self.n_splits).split(np.zeros(len(kept)), codes[kept])
        for fold, (_, test) in enumerate(folds):
            fold_of[kept[test]] = fold
        fold_of[rare] = np.arange(len(rare)) % self.n_splits
        for fold in range(self.n_splits):
            test = labelled[fold_of == fold]
            train = np.concatenate([labelled[fold_of != fold], rest])
            yield np.sort(train), np.sort(test)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """How many folds."""
        return self.n_splits
