"""Whether unlabelled data ever harm: the classifier left untouched against labels alone, on small sets of all kinds.

Digits, wine, breast cancer and irises as scikit-learn ships them, 5,000 images of MNIST, and two sets made here:
*moons*, where the density of x says nearly everything about y, and *plane*, where it says nothing, since y is the side
of a plane through a normal cloud.

*Rules.*  A seed splits the rows into halves (of MNIST: draws 5,000 images, beside the published test images), draws as
many labels of each class, and fixes training.  Everything is put on unit scale by the training half alone.  Each run
looks at the test half once.
"""

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from sklearn import datasets

from fewlabels.classifier import SemiSupervisedClassifier
from fewlabels.data.draws import draw_per_class
from fewlabels.data.image_sets import read_mnist
from fewlabels.errors import InputError
from fewlabels.experiments.outside import OUTSIDE, fit_outside
from fewlabels.experiments.runner import Job, refuse_unknown, run_jobs
from fewlabels.files import write_atomically
from fewlabels.progress import progress_bar
from fewlabels.results import Run, code_version, environment, percent, read_runs, summarise

__all__ = ["COUNTS", "SETS", "Halves", "harm", "run_no_harm", "write_table"]

COUNTS = (2, 5, 10)
"""Labels of each class."""

UNTOUCHED = "untouched"
"""The method whose estimator is given a seed and nothing else: joint training that chooses its weight."""

METHODS = ("supervised", "pretrain", "joint", UNTOUCHED, *OUTSIDE)
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


def run_no_harm(
    data: Path | None,
    *,
    seeds: int = 5,
    sets: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    workers: int | None = None,
    out: Path = Path("results"),
) -> None:
    """Run what is not stored yet, print the table and write it beside the stored runs.

    Parameters
    ----------
    data
        The folder of published data; needed for MNIST alone, which is left out without it unless it is asked for.
    seeds
        How many draws.
    sets, methods
        Some of `SETS` and of the rows; default: all.
    workers
        How many processes; default: as many as there are cores.
    out
        The folder of results.

    Raises
    ------
    InputError
        A name that is not known, or data that are not there.
    """
    refuse_unknown("--sets", sets or (), SETS)
    refuse_unknown("--methods", methods or (), METHODS)
    chosen = sets or [name for name in SETS if data is not None or name != "mnist5k"]
    runs = [
        _open(name, method, count, seed, data)
        for seed in range(seeds)
        for name in chosen
        for count in COUNTS
        for method in methods or METHODS
    ]
    out.mkdir(parents=True, exist_ok=True)
    path = out / "noharm-bench.jsonl"
    jobs = [Job(_name(run), run.key(), partial(train_and_test, run, data)) for run in runs]
    with progress_bar(True) as report:
        run_jobs(jobs, path, report, workers=workers)
    Console(markup=False, highlight=False).print(write_table(path), soft_wrap=True)


def _name(run: Run) -> str:
    return f"{run.dataset}, {run.labelled:g} labels a class: {run.method}, seed {run.seed}"


def _open(name: str, method: str, count: int, seed: int, data: Path | None) -> Run:
    """A run whose result is open."""
    y, nan = _draw(name, seed, data).y, float("nan")
    ratio = len(y) / (count * len(np.unique(y)))
    return Run(
        "noharm", "bench", name, method, count, ratio, seed, "error", nan, "test", nan, code_version(), {},
        environment(),
    )  # fmt: skip


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
    return SemiSupervisedClassifier(run.method, weight=1.0, step_size=1.0, random_state=run.seed)


def harm(runs: Sequence[Run], method: str = UNTOUCHED) -> float:
    """By how many standard errors a method's mean error lies above that of labels alone, draw by draw.

    Parameters
    ----------
    runs
        Of one set and one number of labels.
    method
        Which method.

    Returns
    -------
    Negative where the method is better; 0 where the two agree on every draw; NaN where one of them was not run.
    """
    row = next((row for row in summarise(runs) if row.method == method), None)
    if row is None:
        return float("nan")
    if row.paired_mean == 0:
        return 0.0
    return row.paired_mean / (row.paired_sd / row.seeds**0.5) if row.paired_sd else float(np.inf * row.paired_mean)


def write_table(path: Path) -> str:
    """Write the table of a file of stored runs beside it, as .txt, and return it."""
    runs = read_runs(path)
    methods = [name for name in METHODS if any(run.method == name for run in runs)]
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("data", "labels a class", *methods, f"{UNTOUCHED}: s.e. above supervised"):
        table.add_column(heading, justify="left" if heading == "data" else "right")
    worst: list[tuple[float, str]] = []
    for name in dict.fromkeys(run.dataset for run in runs):
        for count in sorted({run.labelled for run in runs if run.dataset == name}):
            own = [run for run in runs if run.dataset == name and run.labelled == count]
            shown = {row.method: percent(row.mean, row.sd) for row in summarise(own)}
            distance = harm(own)
            worst.append((distance, f"{name}, {count:g} labels a class"))
            table.add_row(name, f"{count:g}", *(shown.get(m, "") for m in methods), f"{distance:+.1f}")
    stream = io.StringIO()
    console = Console(file=stream, width=190, markup=False, highlight=False)
    console.print(table)
    console.print(_verdict(worst), f"{len({run.seed for run in runs})} draws; test error in percent, mean ± sd.")
    shown = "\n".join(line.rstrip() for line in stream.getvalue().split("\n"))
    write_atomically(path.with_suffix(".txt"), shown.encode())
    return shown


def _verdict(distances: Sequence[tuple[float, str]]) -> str:
    known = [(distance, place) for distance, place in distances if distance == distance]
    if not known:
        return "Not run: the untouched classifier and labels alone."
    above = [place for distance, place in known if distance > 1]
    return (
        f"Untouched, joint training is more than a standard error worse than labels alone at {len(above)} of "
        f"{len(known)} places{': ' + '; '.join(above) if above else ''}."
    )
