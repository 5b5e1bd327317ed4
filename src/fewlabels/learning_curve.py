r"""Would more labels help?  The errors of a model that learns from a quarter, a half and all of the labels.

The labelled examples are split into folds.  For each fold the model learns from the other folds, with a share of their
labels, drawn by class, and takes their other examples for unlabelled; then it is tried on the fold, so that each label
is predicted once at each share.  With w_i(s) of the m_i labels of example i wrong at share s, the error is
e(s) = Σ_i w_i(s) / Σ_i m_i.  The gain by the last doubling of the labels and its standard error over examples are

.. math::
   g = e(½) - e(1), \qquad se² = [Σ_i (w_i(½) - w_i(1) - g m_i)² + 1] / (Σ_i m_i)².

The 1 is for one more label that might have come out otherwise: without it, no change in a few examples would pass for
certainty (Agresti and Min, 2005, add a half to each count of matched pairs).

What further labels would bring is read off a power law through the last two errors, e(n) ∝ n^{-b}; errors fall so over
wide ranges of n (Hestness et al., 2017, arXiv:1712.00409).
"""

import json
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, cast

import joblib
import numpy as np
from sklearn.base import clone

from fewlabels.data.draws import draw_proportion
from fewlabels.data.pool import Pool
from fewlabels.errors import InputError
from fewlabels.files import read_utf8, write_atomically
from fewlabels.model_selection import LabelledKFold
from fewlabels.progress import progress_bar
from fewlabels.validation import check_labels, check_tags

__all__ = ["LearningCurve"]

SHARES = (0.25, 0.5, 1.0)
"""Of the labels outside a fold."""

SURE = 1.65
"""Standard errors within which a gain lies on one side in 19 of 20 cases."""

LITTLE = 0.1
"""Twice the labels are hardly worth it if they remove no more than this share of the errors."""


class LearningCurve(NamedTuple):
    """Errors by the number of labelled examples.

    Attributes
    ----------
    labelled
        How many labelled examples the model learnt from at each share, on average, ascending, (S,).
    wrong
        w_i(s), (S, N), for the N labelled examples.
    size
        m_i, (N,): 1 for a row or an image, the number of words for a sentence.
    """

    labelled: np.ndarray
    wrong: np.ndarray
    size: np.ndarray

    @classmethod
    def of(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        pool: Pool | None = None,
        folds: int = 3,
        random_state: int = 0,
        n_jobs: int | None = None,
        checkpoint: str | Path | None = None,
        verbose: bool = False,
    ) -> "LearningCurve":
        """Cross-validated errors with a quarter, a half and all of the labels outside each fold.

        Parameters
        ----------
        estimator
            One of ours, or any classifier that takes -1 for unlabelled.  Copies of it are fitted, 3 for each fold; if
            it is fitted itself, under the ``setting_`` that it chose.
        X, y
            As for its ``fit``: rows and labels, or sentences and tags.
        pool
            As for the tagger's ``fit``.
        folds
            Three do as well as five: what errs is the number of labelled examples, each of which is tried once.
        random_state
            Seed of the folds and of the labels that are taken away.
        n_jobs
            Processes at once, as in scikit-learn: None is one, -1 one a core.
        checkpoint
            A file in which the errors of finished fits stay, so that an interrupted call goes on from them; or None.
        verbose
            Show progress, with the time left, on standard error.

        Raises
        ------
        InputError
            Data that the estimator refuses, too few labels, or a checkpoint of another call.

        Examples
        --------
        >>> from sklearn.datasets import make_blobs
        >>> from fewlabels import LearningCurve, SemiSupervisedClassifier
        >>> X, y = make_blobs(300, centers=3, random_state=0)
        >>> y[60:] = -1
        >>> model = SemiSupervisedClassifier("supervised", effort=0.1, random_state=0)
        >>> curve = LearningCurve.of(model, X, y)
        >>> curve.labelled.tolist()
        [10.0, 20.0, 40.0]
        >>> curve.verdict.startswith("More labels ")
        True
        """
        examples = _examples(X, y)
        trials = _trials(examples.codes, folds, random_state)
        model = _settled(estimator)
        finished = _Finished(checkpoint, _key(model.get_params(), X, y, pool and len(pool), folds, random_state))
        missing = [i for i in range(len(trials)) if i not in finished.wrong]
        jobs = (joblib.delayed(_try)(clone(model), examples, trials[i], pool) for i in missing)
        with progress_bar(verbose) as report:
            report("trying shares of the labels", len(finished.wrong), len(trials))
            done = joblib.Parallel(n_jobs, return_as="generator")(jobs)
            for i, wrong in zip(missing, done, strict=True):
                finished.add(i, cast(list[int], wrong))
                report("trying shares of the labels", len(finished.wrong), len(trials))
        wrong = np.zeros((len(SHARES), len(examples.codes)), dtype=int)
        for i, trial in enumerate(trials):
            wrong[trial.share, trial.test] = finished.wrong[i]
        known = examples.codes >= 0
        return cls(_labelled(trials), wrong[:, known], examples.size[known])

    @property
    def errors(self) -> np.ndarray:
        """e(s), (S,)."""
        return self.wrong.sum(1) / self.size.sum()

    @property
    def standard_errors(self) -> np.ndarray:
        """Of the errors, (S,)."""
        return np.array([self._standard_error(wrong) for wrong in self.wrong])

    @property
    def gain(self) -> float:
        """g, by how much the error fell as the labels were last doubled."""
        return float(self.errors[-2] - self.errors[-1])

    @property
    def gain_standard_error(self) -> float:
        """se, of the gain."""
        return self._standard_error(self.wrong[-2] - self.wrong[-1])

    def error_with(self, labelled: float) -> float:
        """The error that so many labelled examples would leave by the power law; the last one where it did not fall."""
        before, last = self.errors[-2:]
        if not 0 < last < before:
            return float(last)
        fewer, most = self.labelled[-2:]
        return float(last * (labelled / most) ** (np.log(last / before) / np.log(most / fewer)))

    @property
    def verdict(self) -> str:
        """One sentence: whether more labels would help, and what says so."""
        gain, error = self.gain, self.errors[-1]
        doubt = SURE * self.gain_standard_error
        before, now = (round(labelled) for labelled in self.labelled[-2:])
        seen = (
            f"from {before:,} to {now:,} labelled examples the error {'fell' if gain >= 0 else 'rose'} by "
            f"{100 * abs(gain):.1f} ± {100 * self.gain_standard_error:.1f} points to {error:.1%}"
        )
        if gain + doubt <= LITTLE * error:
            return f"More labels would hardly help: {seen}."
        if gain <= doubt:
            return f"More labels may help or not: {seen}, which may be chance."
        twice = 2 * len(self.size)
        return f"More labels would help: {seen}; at that rate {twice:,} would leave about {self.error_with(twice):.1%}."

    def _standard_error(self, wrong: np.ndarray) -> float:
        """Over examples, of Σ w_i / Σ m_i; w_i may be a difference."""
        deviations = wrong - wrong.sum() / self.size.sum() * self.size
        return float(np.sqrt(np.square(deviations).sum() + 1) / self.size.sum())


def _settled(estimator: Any) -> Any:
    """A copy that chooses nothing that was chosen, and leaves nothing behind."""
    chosen = estimator.setting_._asdict() if hasattr(estimator, "setting_") else {}
    wanted = chosen | {"checkpoint": None, "verbose": False}
    copy: Any = clone(estimator)
    return copy.set_params(**{name: value for name, value in wanted.items() if name in copy.get_params()})


class _Examples(NamedTuple):
    """Inputs; what to learn of each, and what stands for nothing; numbers of classes (-1: unlabelled); m_i.

    Of rows, x and y are arrays, and y the numbers of classes; of sentences lists, all of one class or unlabelled.
    """

    x: Any
    y: Any
    unlabelled: int | None
    codes: np.ndarray
    size: np.ndarray


def _examples(X: Any, y: Any) -> _Examples:
    if any(isinstance(one, list | tuple) for one in y):
        check_tags(X, y)
        codes = np.array([-1 if tags is None else 0 for tags in y])
        return _Examples(list(X), list(y), None, codes, np.array([len(words) for words in X]))
    codes = check_labels(y, len(X))[1]
    return _Examples(np.asarray(X), codes, -1, codes, np.ones(len(codes), dtype=int))


class _Trial(NamedTuple):
    """A fit: which share of the labels, the rows to learn from, those of them with labels, and the rows to be tried."""

    share: int
    train: np.ndarray
    kept: np.ndarray
    test: np.ndarray


def _trials(codes: np.ndarray, folds: int, seed: int) -> list[_Trial]:
    """All fits, those with few labels first.

    Raises
    ------
    InputError
        Too few labels for the folds, or for shares that differ.
    """
    trials = []
    for share, (train, test) in product(range(len(SHARES)), list(LabelledKFold(folds, seed).split(codes, codes))):
        known = train[codes[train] >= 0]
        trials.append(_Trial(share, train, known[draw_proportion(codes[known], SHARES[share], seed)], test))
    labelled = _labelled(trials)
    if not (np.diff(labelled) > 0).all():
        raise InputError(
            "Expected labels enough that a quarter, a half and all of those outside a fold differ in number, got "
            f"{', '.join(f'{n:g}' for n in labelled)}: label more examples."
        )
    return trials


def _labelled(trials: list[_Trial]) -> np.ndarray:
    """Labelled examples learnt from at each share, averaged over folds, (S,)."""
    return np.array([np.mean([len(one.kept) for one in trials if one.share == i]) for i in range(len(SHARES))])


def _try(estimator: Any, examples: _Examples, trial: _Trial, pool: Pool | None) -> list[int]:
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


def _key(*told: Any) -> str:
    """Tells a curve from any other."""
    return str(joblib.hash(told))


class _Finished:
    """w_i by the number of the fit, kept in a file if there is one."""

    def __init__(self, path: str | Path | None, key: str) -> None:
        self.path, self.key, self.wrong = None if path is None else Path(path), key, dict[int, list[int]]()
        if self.path is not None and self.path.exists():
            self.wrong = self._read(self.path)

    def add(self, i: int, wrong: list[int]) -> None:
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
