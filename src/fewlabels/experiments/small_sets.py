"""Small sets of all kinds, and one run on one of them: what the experiments on small data share.

Digits, wine, breast cancer and irises as scikit-learn ships them, 5,000 images of MNIST, and two sets made here:
*moons*, where the density of x says nearly everything about y, and *plane*, where it says nothing, since y is the side
of a plane through a normal cloud.

*Rules.*  A seed splits the rows into halves (of MNIST: draws 5,000 images, beside the published test images), draws as
many labels of each class, and fixes training.  Everything is put on unit scale by the training half alone.  Each run
looks at the test half once.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn import datasets

from fewlabels.classifier import SemiSupervisedClassifier
from fewlabels.data.draws import draw_per_class
from fewlabels.data.image_sets import read_mnist
from fewlabels.errors import InputError
from fewlabels.experiments.outside import OUTSIDE, fit_outside
from fewlabels.experiments.runner import Job, refuse_unknown, run_jobs
from fewlabels.progress import progress_bar
from fewlabels.recipes import DENSE, SMALL
from fewlabels.results import Run, open_run
from fewlabels.vector_methods import NAMES

__all__ = ["METHODS", "SETS", "UNTOUCHED", "VARIANTS", "Halves", "run_small_sets"]

UNTOUCHED = "untouched"
"""The method whose estimator is given a seed and nothing else: joint training that chooses its weight."""

SUMS = (
    "pretrain+vat", "joint+entropy", "joint+pseudo_label", "joint+fixmatch", "joint+vat", "joint+label_propagation",
    "joint+label_propagation+vat",
)  # fmt: skip
"""Combinations that are compared with their parts."""

FIELD = DENSE.field
VARIANTS: dict[str, dict[str, Any]] = {
    "joint: noise in u": {"recipe": DENSE._replace(field=FIELD._replace(noisy=True, cuts=None))},
    "joint: chains of 5 short steps": {"recipe": DENSE._replace(field=FIELD._replace(steps=5, step_size=0.085))},
    "joint: u held on the data": {"recipe": DENSE._replace(field=FIELD._replace(control=0.05))},
    "joint: u held on both sides": {
        "recipe": DENSE._replace(field=FIELD._replace(control=0.05, sample_control=0.05))
    },
    "joint: no confidence": {"recipe": DENSE._replace(joint=tuple(one._replace(entropy=0.0) for one in DENSE.joint))},
    "joint: small in float32": {"preset": "small", "precision": "float32", "effort": 0.6},
    "joint: small in bfloat16": {"preset": "small", "precision": "bfloat16", "effort": 0.6},
    "joint: small, no noise in u": {
        "preset": "small", "precision": "bfloat16", "effort": 0.6,
        "recipe": SMALL._replace(field=SMALL.field._replace(noisy=False)),
    },
}  # fmt: skip
"""Joint training with one choice of its recipe made otherwise, as arguments of the classifier."""

METHODS = (*NAMES.whole, *SUMS, *VARIANTS, UNTOUCHED, *OUTSIDE)
DRAWN = 5000


class Halves(NamedTuple):
    """Rows to train on and rows to test on."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def _halved(x: np.ndarray, y: np.ndarray, seed: int) -> Halves:
    order = np.random.default_rng(seed).permutation(len(y))
    train, test = np.array_split(order, 2)
    return Halves(x[train], y[train], x[test], y[test])


def _shipped(name: str) -> Callable[[int, Path | None], Halves]:
    def halves(seed: int, data: Path | None) -> Halves:
        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        return _halved(np.asarray(x), np.asarray(y), seed)

    return halves


def _digits(seed: int, data: Path | None) -> Halves:
    x, y = datasets.load_digits(return_X_y=True)
    return _halved(x.reshape(-1, 8, 8), np.asarray(y), seed)


def _moons(seed: int, data: Path | None) -> Halves:
    x, y = datasets.make_moons(1000, noise=0.15, random_state=seed)
    return _halved(np.asarray(x), np.asarray(y), seed)


def _plane(seed: int, data: Path | None) -> Halves:
    x = np.random.default_rng(seed).normal(size=(1000, 10))
    return _halved(x, (x[:, 0] + x[:, 1] > 0).astype(int), seed)


def _mnist(seed: int, data: Path | None) -> Halves:
    if data is None:
        raise InputError("--data: expected the folder that holds MNIST/raw, came none: give it, or set FEWLABELS_DATA")
    train, test, _ = _read_mnist(data)
    rows = np.random.default_rng(seed).permutation(len(train.y))[:DRAWN]
    return Halves(train.x[rows], train.y[rows], test.x, test.y)


_read_mnist = cache(lambda data: read_mnist(data / "MNIST" / "raw"))

SETS: dict[str, Callable[[int, Path | None], Halves]] = {
    "digits": _digits,
    "wine": _shipped("wine"),
    "breast_cancer": _shipped("breast_cancer"),
    "iris": _shipped("iris"),
    "mnist5k": _mnist,
    "moons": _moons,
    "plane": _plane,
}
"""A seed and the folder of published data to a draw."""


@cache
def _draw(name: str, seed: int, data: Path | None) -> Halves:
    return SETS[name](seed, data)


def run_small_sets(
    experiment: str,
    data: Path | None,
    *,
    seeds: int,
    counts: Sequence[int],
    sets: Sequence[str] | None,
    methods: Sequence[str],
    workers: int | None,
    out: Path,
) -> Path:
    """Run what is not stored yet, and return the file of stored runs.

    Parameters
    ----------
    experiment
        By which the runs are known.
    data
        The folder of published data; needed for MNIST alone, which is left out without it unless it is asked for.
    seeds
        How many draws.
    counts
        Labels of each class.
    sets, methods
        Some of `SETS` (None: all) and of `METHODS`.
    workers
        How many processes; None: as many as there are cores.
    out
        The folder of results.

    Raises
    ------
    InputError
        A name that is not known, or data that are not there.
    """
    refuse_unknown("--sets", sets or (), SETS)
    refuse_unknown("--methods", methods, METHODS)
    chosen = sets or [name for name in SETS if data is not None or name != "mnist5k"]
    runs = [
        _open(experiment, name, method, count, seed, data)
        for seed in range(seeds)
        for name in chosen
        for count in counts
        for method in methods
    ]
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{experiment}-bench.jsonl"
    jobs = [Job(_name(run), run.key(), partial(train_and_test, run, data)) for run in runs]
    with progress_bar(True) as report:
        run_jobs(jobs, path, report, workers=workers)
    return path


def _name(run: Run) -> str:
    return f"{run.dataset}, {run.labelled:g} labels a class: {run.method}, seed {run.seed}"


def _open(experiment: str, name: str, method: str, count: int, seed: int, data: Path | None) -> Run:
    """A run whose result is open."""
    y = _draw(name, seed, data).y
    return open_run(experiment, "bench", name, method, count, len(y) / (count * len(np.unique(y))), seed, "error", {})


def train_and_test(run: Run, data: Path | None) -> list[Run]:
    """Train once, and look at the test half once."""
    halves = _draw(run.dataset, run.seed, data)
    rows = draw_per_class(halves.y, int(run.labelled), run.seed)
    y = np.where(np.isin(np.arange(len(halves.y)), rows), halves.y, -1)
    began = time.perf_counter()
    if run.method in OUTSIDE:
        model = fit_outside(run.method, halves.x, y)
    else:
        model = _classifier(run).fit(halves.x, y)
    seconds = time.perf_counter() - began
    value = float((model.predict(halves.x_test) != halves.y_test).mean())
    choice = {"choice": model.choice_} if run.method == UNTOUCHED else {}
    return [replace(run, value=value, seconds=seconds, config=run.config | choice)]


def _classifier(run: Run) -> SemiSupervisedClassifier:
    if run.method == UNTOUCHED:
        return SemiSupervisedClassifier(random_state=run.seed)
    method = "joint" if run.method in VARIANTS else run.method
    return SemiSupervisedClassifier(
        method, weight=1.0, step_size=1.0, random_state=run.seed, **VARIANTS.get(run.method, {})
    )
