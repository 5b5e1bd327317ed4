r"""Would more labels help?  The errors of a model that learns from a quarter, a half and all of the labels.

The labelled examples are split into folds.  For each fold the model learns from the other folds, with a share of their
labels, drawn by class, and takes their other examples for unlabelled; then it is tried on the fold, so that each label
is predicted once at each share.  With w_i(s) of the m_i labels of example i wrong at share s, the error is
e(s) = Σ_i w_i(s) / Σ_i m_i.

Errors fall as a power of the number of labels over wide ranges (Hestness et al., 2017, arXiv:1712.00409),
e(n) ∝ n^{-b}.  The law is put through the first and the last share, s and 1; where the error between them is surely
below it, the curve has begun to flatten, and the law is put through the last two.  Twice the labels would then take off

.. math::
   g = e(1) (1 - ρ), \qquad ρ = 2^{-b} = \left(\frac{e(1)}{e(s)}\right)^{1/k}, \qquad k = \log_2 \frac{n(1)}{n(s)},

and its standard error over examples is that of its linear part, by the delta method,

.. math::
   dg = α \, de(1) + β \, de(s), \qquad α = 1 - (1 + 1/k) ρ, \qquad β = \frac{ρ}{k} \frac{e(1)}{e(s)},

   se² = \Big[Σ_i \big(α r_i(1) + β r_i(s)\big)^2 + α² + β²\Big] / \big(Σ_i m_i\big)^2

with r_i(s) = w_i(s) - e(s) m_i.  α² + β² is for one more label that might have come out otherwise: without it, no
change in a few examples would pass for certainty (Agresti and Min, 2005, add a half to each count of matched pairs).
"""

from pathlib import Path
from typing import Any, NamedTuple, cast

import joblib
import numpy as np
from sklearn.base import clone

from fewlabels.data.pool import Pool
from fewlabels.fingerprint import fingerprint
from fewlabels.progress import progress_bar
from fewlabels.trials import SHARES, Finished, examples_of, labelled, trials_of, try_out

__all__ = ["LearningCurve"]

SURE = 1.65
"""Standard errors that chance exceeds, to one side, in one case of 20."""

LITTLE = 0.1
"""Twice the labels are worth it if they remove more than this share of the errors."""


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
        examples = examples_of(X, y)
        trials = trials_of(examples.codes, folds, random_state)
        model = _settled(estimator)
        told = model, examples, None if pool is None else len(pool), folds, random_state
        finished = Finished(checkpoint, "" if checkpoint is None else fingerprint(*told))
        missing = [i for i in range(len(trials)) if i not in finished.wrong]
        jobs = (joblib.delayed(try_out)(clone(model), examples, trials[i], pool) for i in missing)
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
        return cls(labelled(trials), wrong[:, known], examples.size[known])

    @property
    def errors(self) -> np.ndarray:
        """e(s), (S,)."""
        return self.wrong.sum(1) / self.size.sum()

    @property
    def standard_errors(self) -> np.ndarray:
        """Of the errors, (S,)."""
        return np.array([self._standard_error(weights) for weights in np.eye(len(self.labelled))])

    @property
    def gain(self) -> float:
        """g, what twice the labels would take off the error."""
        return float(self.errors[-1] * (1 - self._law().ratio))

    @property
    def gain_standard_error(self) -> float:
        """se, of the gain."""
        start, doublings, ratio = self._law()
        weights = np.zeros(len(self.labelled))
        weights[-1] = 1 - (1 + 1 / doublings) * ratio
        weights[start] = ratio / doublings * ratio**doublings
        return self._standard_error(weights)

    def error_with(self, labelled: float) -> float:
        """The error that so many labelled examples would leave, by the law; no more than the last one."""
        return float(self.errors[-1] * min(1.0, self._law().ratio) ** np.log2(labelled / self.labelled[-1]))

    @property
    def verdict(self) -> str:
        """One sentence: whether more labels would help, and what says so."""
        doubt, little = SURE * self.gain_standard_error, LITTLE * self.errors[-1]
        answer = "may help or not"
        if self.gain - doubt > little:
            answer = "would help"
        if self.gain + doubt <= little:
            answer = "would hardly help"
        *fewer, most = (f"{n:,.0f}" for n in self.labelled)
        *before, last = (f"{error:.1%}" for error in self.errors)
        return (
            f"More labels {answer}: with {', '.join(fewer)} and {most} labelled examples the error is "
            f"{', '.join(before)} and {last}; twice as many would take about {100 * max(self.gain, 0):.1f} ± "
            f"{100 * self.gain_standard_error:.1f} points off."
        )

    def _standard_error(self, weights: np.ndarray) -> float:
        """Over examples, of a weighted sum of the errors."""
        deviations = weights @ (self.wrong - np.outer(self.errors, self.size))
        return float(np.sqrt(np.square(deviations).sum() + np.square(weights).sum()) / self.size.sum())

    def _law(self) -> "_Law":
        """The power law through the first and the last share, or through the last two where the curve flattens."""
        law = self._law_from(0)
        if not self.errors.all():
            return law
        t = np.log(self.labelled[1] / self.labelled[0]) / np.log(self.labelled[-1] / self.labelled[0])
        first, between, last = self.errors
        lawful = first ** (1 - t) * last**t
        weights = np.array([-(1 - t) * lawful / first, 1.0, -t * lawful / last])
        flattens = between - lawful < -SURE * self._standard_error(weights)
        return self._law_from(1) if flattens else law

    def _law_from(self, start: int) -> "_Law":
        doublings = np.log2(self.labelled[-1] / self.labelled[start])
        first, last = self.errors[start], self.errors[-1]
        return _Law(start, doublings, float((last / first) ** (1 / doublings)) if first else 1.0)


class _Law(NamedTuple):
    """Which share it starts at, k, and ρ."""

    start: int
    doublings: float
    ratio: float


def _settled(estimator: Any) -> Any:
    """A copy that chooses nothing that was chosen, and leaves nothing behind."""
    chosen = estimator.setting_._asdict() if hasattr(estimator, "setting_") else {}
    wanted = chosen | {"start": None, "checkpoint": None, "verbose": False}
    copy: Any = clone(estimator)
    return copy.set_params(**{name: value for name, value in wanted.items() if name in copy.get_params()})
