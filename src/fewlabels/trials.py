"""The fits of a learning curve: which rows and labels each may see, what it gets wrong, and a file of those done."""

import json
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fewlabels.data.draws import draw_proportion
from fewlabels.data.pool import Pool
from fewlabels.errors import InputError
from fewlabels.files import read_utf8, write_atomically
from fewlabels.model_selection import LabelledKFold
from fewlabels.validation import check_labels, check_tags

__all__ = ["SHARES", "Examples", "Finished", "Trial", "examples_of", "labelled", "trials_of", "try_out"]

SHARES = (0.25, 0.5, 1.0)
"""Of the labels outside a fold."""


class Examples(NamedTuple):
    """Inputs; what to learn of each, and what stands for nothing; numbers of classes (-1: unlabelled); m_i.

    Of rows, x and y are arrays, and y the numbers of classes; of sentences lists, all of one class or unlabelled.
    """

    x: Any
    y: Any
    unlabelled: int | None
    codes: np.ndarray
    size: np.ndarray


def examples_of(X: Any, y: Any) -> Examples:
    """What a user gave, rows and labels or sentences and tags, in one form."""
    if y is not None and _are_tags(y):
        check_tags(X, y)
        codes = np.array([-1 if tags is None else 0 for tags in y])
        return Examples(list(X), list(y), None, codes, np.array([len(words) for words in X]))
    codes = check_labels(y, len(X))[1]
    return Examples(np.asarray(X), codes, -1, codes, np.ones(len(codes), dtype=int))


def _are_tags(y: Any) -> bool:
    """Whether there are many labels for an example; a column of labels has rows that are arrays, too, but is none."""
    return getattr(y, "ndim", 1) == 1 and any(isinstance(one, list | tuple | np.ndarray) for one in y)


class Trial(NamedTuple):
    """A fit: which share of the labels, the rows to learn from, those of them with labels, and the rows to be tried."""

    share: int
    train: np.ndarray
    kept: np.ndarray
    test: np.ndarray


def trials_of(codes: np.ndarray, folds: int, seed: int) -> list[Trial]:
    """All fits, those with few labels first.

    Raises
    ------
    InputError
        Too few labels for the folds, or for shares that differ.
    """
    trials = []
    for share, (train, test) in product(range(len(SHARES)), list(LabelledKFold(folds, seed).split(codes, codes))):
        known = train[codes[train] >= 0]
        trials.append(Trial(share, train, known[draw_proportion(codes[known], SHARES[share], seed)], test))
    counts = labelled(trials)
    if not (np.diff(counts) > 0).all() or min(len(one.kept) for one in trials) < 2:
        raise InputError(
            "Expected labels enough that a quarter, a half and all of those outside a fold differ in number and are "
            f"two at least, got {', '.join(f'{n:g}' for n in counts)}: label more examples."
        )
    return trials


def labelled(trials: list[Trial]) -> np.ndarray:
    """Labelled examples learnt from at each share, averaged over folds, (S,)."""
    return np.array([np.mean([len(one.kept) for one in trials if one.share == i]) for i in range(len(SHARES))])


def try_out(estimator: Any, examples: Examples, trial: Trial, pool: Pool | None) -> list[int]:
    """w_i of the rows to be tried, by the estimator fitted on the others."""
    y = examples.y.copy()
    for i in np.setdiff1d(trial.train, trial.kept):
        y[i] = examples.unlabelled
    x, y = _take(examples.x, trial.train), _take(y, trial.train)
    fitted = estimator.fit(x, y) if pool is None else estimator.fit(x, y, pool=pool)
    pairs = zip(fitted.predict(_take(examples.x, trial.test)), _take(examples.y, trial.test), strict=True)
    return [int((np.atleast_1d(ours) != np.atleast_1d(theirs)).sum()) for ours, theirs in pairs]


def _take(values: Any, rows: np.ndarray) -> Any:
    """Some rows of an array or a list."""
    return values[rows] if isinstance(values, np.ndarray) else [values[i] for i in rows]


class Finished:
    """w_i by the number of the fit, kept in a file if there is one."""

    def __init__(self, path: str | Path | None, key: str) -> None:
        self.path, self.key, self.wrong = None if path is None else Path(path), key, dict[int, list[int]]()
        if self.path is not None and self.path.exists():
            self.wrong = self._read(self.path)

    def add(self, i: int, wrong: list[int]) -> None:
        """Keep the errors of fit i."""
        self.wrong[i] = wrong
        if self.path is not None:
            write_atomically(self.path, json.dumps({"key": self.key, "wrong": self.wrong}).encode())

    def _read(self, path: Path) -> dict[int, list[int]]:
        try:
            held = json.loads(read_utf8(path))
            wrong = {int(i): counts for i, counts in held["wrong"].items()}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{path}: expected the state of a learning curve, came something else") from error
        if held["key"] != self.key:
            raise InputError(
                f"{path}: expected the state of this very curve, came that of other data or parameters: choose another "
                "checkpoint or delete it"
            )
        return wrong
