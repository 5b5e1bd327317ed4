"""What users would pick instead: scikit-learn's classifiers, tuned by cross-validation on the labels."""

import warnings
from functools import partial
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.svm import SVC
from sklearn.utils import resample

from fewlabels.model_selection import LabelledKFold
from fewlabels.scaling import Scaling

__all__ = ["OUTSIDE", "fit_outside"]

OUTSIDE = ("sklearn_svc", "sklearn_self_training", "sklearn_label_spreading")

WIDTHS = (0.3, 1.0, 3.0, 10.0, 30.0)
"""γ of the kernels, divided by the number of features."""

PLATT = 5
"""Labels of each class from which on self-training ranks by the own probabilities of an SVC, which five folds make."""

MANY_ROWS = 10_000
"""Beyond so many rows, label spreading is over the graph of 10 nearest neighbours and an SVC makes its kernel piece by
piece, since their matrices would not fit; so many, all labels among them, tune label spreading, and are all that
self-training sees, since time grows with the square."""

MANY_LABELS = 1_000
"""So many labels at most tune an SVC, drawn in proportion; it then learns from all."""


def fit_outside(name: str, x: np.ndarray, y: np.ndarray) -> Any:
    """Fit one of `OUTSIDE` on inputs put on the same scale as ours.

    Parameters
    ----------
    name
        Of `OUTSIDE`.
    x
        (N, ...), flattened to vectors.
    y
        (N,) integers, -1 for unlabelled rows; at least two labels of each class.

    Returns
    -------
    A fitted scikit-learn classifier of inputs of the shape of x.  Where label spreading over neighbours reaches no
    label, it says the first class, and numpy warns of an invalid value in divide.

    Examples
    --------
    >>> x = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]])
    >>> y = np.array([0, 0, -1, 1, 1, -1])
    >>> fit_outside("sklearn_label_spreading", x, y).predict(x).tolist()
    [0, 0, 0, 1, 1, 1]
    """
    scaling = Scaling.of(x)
    scale = FunctionTransformer(lambda x: scaling.apply(x).reshape(len(x), -1))
    return make_pipeline(scale, _fitted(name, scale.transform(x), y))


def _fitted(name: str, x: np.ndarray, y: np.ndarray) -> Any:
    known = y >= 0
    folds = min(5, int(np.bincount(y[known]).min()))
    if name == "sklearn_label_spreading":
        many = len(x) > MANY_ROWS
        spreading = LabelSpreading("knn" if many else "rbf", n_neighbors=10, max_iter=1000)
        grid = {"alpha": [0.2, 0.5, 0.9]} | ({} if many else {"gamma": _widths(x)})
        some = _some(known)
        search = GridSearchCV(spreading, grid, cv=LabelledKFold(min(3, folds)), refit=False).fit(x[some], y[some])
        return spreading.set_params(**search.best_params_).fit(x, y)
    svc = _tuned(x[known], y[known], folds)
    if name == "sklearn_svc":
        return svc.fit(x[known], y[known])
    if folds < PLATT:
        sure = CalibratedClassifierCV(svc, cv=min(3, folds), ensemble=False)  # pyright: ignore[reportArgumentType]
    else:
        sure = svc.set_params(probability=True, random_state=0)
    rows = _some(known)
    x, y = x[rows], y[rows]
    tenth = max(1, int((y < 0).sum()) // 10)
    with warnings.catch_warnings():  # it is to go for CalibratedClassifierCV, whose order of what is sure serves worse
        warnings.filterwarnings("ignore", ".*probability.*", FutureWarning)
        return SelfTrainingClassifier(sure, criterion="k_best", k_best=tenth, max_iter=50).fit(x, y)


def _tuned(x: np.ndarray, y: np.ndarray, folds: int) -> SVC:
    """The best SVC of a grid, not fitted.  Its kernel is one product of matrices: 20 times faster on 3,072 features."""
    some = np.arange(len(y))
    if len(y) > MANY_LABELS:
        some = resample(some, replace=False, n_samples=MANY_LABELS, stratify=y, random_state=0)
    grid = {"C": [1, 10, 100], "kernel": [partial(rbf_kernel, gamma=gamma) for gamma in _widths(x)]}
    best = GridSearchCV(SVC(), grid, cv=LabelledKFold(folds), refit=False).fit(x[some], y[some]).best_params_
    if len(y) > MANY_ROWS:
        return SVC(C=best["C"], gamma=best["kernel"].keywords["gamma"])
    return SVC(**best)


def _some(known: np.ndarray) -> np.ndarray:
    """Some of many rows: those with labels, and others up to `MANY_ROWS`."""
    others = np.random.default_rng(0).permutation(np.flatnonzero(~known))
    return np.sort(np.concatenate([np.flatnonzero(known), others[: max(0, MANY_ROWS - known.sum())]]))


def _widths(x: np.ndarray) -> list[float]:
    return [width / x.shape[1] for width in WIDTHS]
