"""The demo's images: scikit-learn's digits with 5 labels a class.

1,797 images of 8 x 8 pixels.  Each seed draws 1,297 of them to train on and 500 to test on, and 5 labelled ones of each
class; all training images are unlabelled data.  The test images are looked at once, by the finished model.  Joint
training uses its recipe as it is: the automatic choice of the weight would take three times as long.
"""

from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_digits

from fewlabels.classifier import SemiSupervisedClassifier
from fewlabels.experiments.outside import fit_outside

__all__ = ["LABELLED", "Digits", "error", "split", "train"]

LABELLED = 5
TEST = 500


class Digits(NamedTuple):
    """A draw: x (N, 8, 8) in [0, 1], y with -1 for unlabelled, and the test images."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def split(seed: int, labelled: int = LABELLED) -> Digits:
    """The draw of a seed."""
    images, truth = load_digits(return_X_y=True)
    x = images.reshape(-1, 8, 8) / 16
    order = np.random.default_rng(seed).permutation(len(truth))
    train, test = order[TEST:], order[:TEST]
    y = np.full(len(train), -1)
    for k in range(10):
        chosen = np.flatnonzero(truth[train] == k)[:labelled]
        y[chosen] = k
    return Digits(x[train], y, x[test], np.asarray(truth)[test])


def train(method: str, data: Digits, seed: int) -> Any:
    """A fitted model of a method; scikit-learn's are tuned by cross-validation on the labels."""
    if method in ("supervised", "pretrain", "joint"):
        return SemiSupervisedClassifier(method, weight=1.0, step_size=1.0, random_state=seed).fit(data.x, data.y)
    return fit_outside(method, data.x, data.y)


def error(model: Any, data: Digits) -> float:
    """Share of test images that a model gets wrong."""
    return float((model.predict(data.x_test) != data.y_test).mean())
