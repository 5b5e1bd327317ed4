"""What users would pick instead: scikit-learn's classifiers, tuned by cross-validation on the labels."""

import warnings
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.svm import SVC

from fewlabels.model_selection import LabelledKFold
from fewlabels.scaling import Scaling

__all__ = ["OUTSIDE", "fit_outside"]

OUTSIDE = ("sklearn_svc", "sklearn_self_training", "sklearn_label_spreading")

WIDTHS = (0.3, 1.0, 3.0, 10.0, 30.0)
"""γ of the kernels, divided by the number of features."""

PLATT = 5
"""Labels of each class from which on self-training ranks by the own probabilities of an SVC, which five folds make."""

DENSE_ROWS = 10_000
"""Beyond so many rows, label spreading is over the graph of 10 nearest neighbours: its matrix would not fit."""


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
    A fitted scikit-learn classifier of inputs of the shape of x.

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
        grid: dict[str, Any] = {"gamma": _widths(x), "alpha": [0.2, 0.5, 0.9]}
        if len(x) > DENSE_ROWS:
            grid, folds = {"kernel": ["knn"], "n_neighbors": [10], "alpha": [0.2, 0.9]}, 2
        return GridSearchCV(LabelSpreading(max_iter=1000), grid, cv=LabelledKFold(min(3, folds))).fit(x, y)
    svc = GridSearchCV(SVC(), {"C": [1, 10, 100], "gamma": _widths(x)}, cv=LabelledKFold(folds)).fit(x[known], y[known])
    if name == "sklearn_svc":
        return svc
    tenth = max(1, int((~known).sum()) // 10)
    if folds < PLATT:
        sure = CalibratedClassifierCV(SVC(**svc.best_params_), cv=min(3, folds), ensemble=False)  # pyright: ignore[reportArgumentType]
    else:
        sure = SVC(**svc.best_params_, probability=True, random_state=0)  # pyright: ignore[reportArgumentType]
    with warnings.catch_warnings():  # it is to go for CalibratedClassifierCV, whose order of what is sure serves worse
        warnings.filterwarnings("ignore", ".*probability.*", FutureWarning)
        return SelfTrainingClassifier(sure, criterion="k_best", k_best=tenth, max_iter=50).fit(x, y)


def _widths(x: np.ndarray) -> list[float]:
    return [width / x.shape[1] for width in WIDTHS]
