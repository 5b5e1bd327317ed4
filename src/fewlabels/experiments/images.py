"""Table 2 and Fig. 1: classifiers of images, at one number of labels, and over a range of shares of them.

*Rules.*  A seed draws the labels (as many of each class, as the paper's code does; for shares, in proportion) and fixes
training.  All training images are unlabelled data.  The last model is tested, once; nothing is selected by the test
split.

The data lie in one folder, as their publishers pack them: ``cifar-10-batches-py`` or ``-bin``, ``MNIST/raw``, ``svhn``.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from fewlabels.calibration import calibrate
from fewlabels.classifier import SemiSupervisedClassifier
from fewlabels.data.contact_sheet import contact_sheet
from fewlabels.data.draws import draw_per_class, draw_proportion
from fewlabels.data.image_sets import Splits, read_cifar10, read_mnist, read_svhn
from fewlabels.experiments.image_tables import write_fig1, write_table2
from fewlabels.experiments.outside import OUTSIDE, fit_outside
from fewlabels.experiments.published import TABLE_2 as PAPER_ROWS
from fewlabels.experiments.runner import CACHE, Job, refuse_unknown, run_jobs
from fewlabels.files import write_atomically
from fewlabels.machine import device_of, processes
from fewlabels.outliers import auroc
from fewlabels.progress import progress_bar
from fewlabels.results import Run, code_version, digest, environment, open_run
from fewlabels.vector_methods import NAMES

__all__ = ["FIG_1", "ROWS", "SETS", "TABLE_2", "Case", "run_fig1", "run_table2", "train_and_test"]

SAMPLED = ("pretrain", "joint", "persistent_cd")
"""Methods whose models can be sampled from."""

SHEET = 64
"""Samples on a sheet."""

LOOKED_AT = 2000
"""Test images, and as many outliers made of them."""


EFFORT = {("table2", "bench"): 3.0, ("table2", "long"): 9.0, ("fig1", "long"): 3.0}
"""Of the classifier, by experiment and scale, elsewhere 1: the recipe for a laptop is made for minutes, and Table 2 is
worth more; Fig. 1 has ten runs for each set and seed.  The long scale is for photographs."""


class Case(NamedTuple):
    """A published set of images, and how the experiments use it.

    Attributes
    ----------
    read
        Reads the splits from the folder of data.
    labels
        How many are labelled in Table 2.
    preset
        Of the classifier, by scale.
    shares
        Of the labels in Fig. 1, by scale.
    effort
        Of the classifier, by experiment and scale, elsewhere 1.
    """

    read: Callable[[Path], Splits]
    labels: int
    preset: dict[str, str]
    shares: dict[str, tuple[float, ...]]
    effort: dict[tuple[str, str], float] = EFFORT


def _read_mnist(data: Path) -> Splits:
    return read_mnist(data / "MNIST" / "raw")


MNIST_SHARES = (0.002, 0.01, 0.1, 0.5, 1.0)

SETS = {
    "cifar10": Case(
        read_cifar10, 4000, {"bench": "small", "long": "small", "paper": "cifar10"},
        {**dict.fromkeys(("bench", "long"), (0.02, 0.08, 0.25, 0.5, 1.0)), "paper": (0.08, 0.25, 0.5, 0.75, 1.0)},
    ),
    "mnist": Case(
        _read_mnist, 100, {"bench": "small", "paper": "mnist"}, dict.fromkeys(("bench", "paper"), MNIST_SHARES)
    ),
    "mnist_dense": Case(
        _read_mnist, 100, {"bench": "mnist"}, {"bench": MNIST_SHARES},
        {("table2", "bench"): 0.125, ("fig1", "bench"): 0.125},
    ),
    "mnist_wide": Case(
        _read_mnist, 100, {"bench": "wide"}, {"bench": MNIST_SHARES}, {("table2", "bench"): 1.875},
    ),
    "svhn": Case(
        lambda data: read_svhn(data / "svhn"), 1000, {"paper": "svhn"}, {"paper": (0.014, 0.1, 0.25, 0.5, 1.0)},
    ),
}  # fmt: skip
"""*mnist_dense* is MNIST by the paper's dense network, an eighth as long as the paper's: of such networks are most
figures that others published for a hundred labels.  *mnist_wide* is by twice the channels of `small`."""

ROWS = {
    **dict.fromkeys(("bench", "paper"), (*PAPER_ROWS, "supervised_normalised", *OUTSIDE)),
    "long": ("supervised", "pretrain", "joint"),
}
"""Of Table 2 by scale: the paper's, the control of those that are normalised, and what users would pick instead; where
a run takes hours, our own."""

TABLE_2 = {"bench": ("cifar10", "mnist"), "long": ("cifar10",), "paper": ("cifar10",)}
FIG_1 = {"bench": ("cifar10", "mnist"), "long": ("cifar10",), "paper": ("cifar10", "svhn")}


def run_table2(
    scale: str,
    data: Path,
    *,
    seeds: int = 3,
    sets: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    accelerator: str = "auto",
    workers: int | None = None,
    out: Path = Path("results"),
) -> None:
    """Run what is not stored yet, print Table 2, and write it beside the stored runs.

    Parameters
    ----------
    scale
        "bench", "long" or "paper".
    data
        The folder of the published sets.
    seeds
        How many draws of the labels.
    sets, methods
        Some of `SETS`, by default `TABLE_2` of the scale; and of the classifier's methods and of `OUTSIDE`, by default
        its `ROWS`.
    accelerator
        Of the classifier.
    workers
        How many processes; default: as many as there are cores, and one on a GPU.
    out
        The folder of results.

    Raises
    ------
    InputError
        A name that is not known, or data or a device that are not there.
    """
    device_of(accelerator)  # refused before data are read
    methods = methods or ROWS[scale]
    runs = [
        _open("table2", scale, data, name, method, SETS[name].labels, seed)
        for seed in range(seeds)
        for name in _known(sets, methods, TABLE_2, scale)
        for method in methods
    ]
    path = _run(runs, data, accelerator, out, workers)
    Console(markup=False, highlight=False).print(write_table2(path), soft_wrap=True)


def run_fig1(
    scale: str,
    data: Path,
    *,
    seeds: int = 3,
    sets: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    accelerator: str = "auto",
    workers: int | None = None,
    out: Path = Path("results"),
) -> None:
    """Run what is not stored yet, print the table of Fig. 1, and draw it beside the stored runs.

    Parameters are those of `run_table2`, with `FIG_1` for its sets; by default supervised and joint training.
    """
    device_of(accelerator)
    methods = methods or ("supervised", "joint")
    runs = [
        _open("fig1", scale, data, name, method, share, seed)
        for seed in range(seeds)
        for name in _known(sets, methods, FIG_1, scale)
        for share in SETS[name].shares[scale]
        for method in methods
    ]
    path = _run(runs, data, accelerator, out, workers)
    Console(markup=False, highlight=False).print(write_fig1(path), soft_wrap=True)


def _known(
    sets: Sequence[str] | None, methods: Sequence[str], default: dict[str, tuple[str, ...]], scale: str
) -> Sequence[str]:
    """The sets, once all names are known."""
    refuse_unknown(f"--sets at scale {scale}", sets or (), [name for name, one in SETS.items() if scale in one.preset])
    for method in set(methods) - set(OUTSIDE):
        NAMES.parts(method)
    return sets or default[scale]


def _run(runs: Sequence[Run], data: Path, accelerator: str, out: Path, workers: int | None) -> Path:
    """The file in which the runs are stored once they have ended."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{runs[0].experiment}-{runs[0].scale}.jsonl"
    jobs = [Job(_name(run), run.key(), partial(train_and_test, run, data, accelerator, out)) for run in runs]
    with progress_bar(True) as report:
        run_jobs(jobs, path, report, workers=workers or processes(device_of(accelerator)))
    return path


def _name(run: Run) -> str:
    return f"{run.dataset}, {_amount(run)}: {run.method}, seed {run.seed}"


def _amount(run: Run) -> str:
    return f"{run.labelled:.1%}" if run.experiment == "fig1" else f"{run.labelled:g} labels"


@cache
def load(name: str, data: Path) -> Splits:
    """The splits of a set, read once by each process."""
    return SETS[name].read(data)


def _open(experiment: str, scale: str, data: Path, name: str, method: str, labelled: float, seed: int) -> Run:
    """A run whose result is open; what users would pick instead knows no preset, and has no settings."""
    ratio = 1 / labelled if experiment == "fig1" else len(load(name, data).train.y) / labelled
    effort = SETS[name].effort.get((experiment, scale), 1.0)
    config = {"preset": SETS[name].preset[scale], "effort": effort, "weight": 1.0, "step_size": 1.0}
    return open_run(
        experiment, scale, name, method, labelled, ratio, seed, "error", {} if method in OUTSIDE else config
    )


def train_and_test(run: Run, data: Path, accelerator: str, out: Path) -> list[Run]:
    """Train once, and look at the test split once: the error, how far p(y | x) can be trusted, what tells outliers.

    Of what users would pick instead, the error alone.
    """
    splits = load(run.dataset, data)
    if run.method in OUTSIDE:
        began = time.perf_counter()
        outside = fit_outside(run.method, splits.train.x, _labelled(run, splits.train.y))
        seconds = time.perf_counter() - began
        error = float((outside.predict(splits.test.x) != splits.test.y).mean())
        return [replace(run, value=error, seconds=seconds, config=run.config | {"tested": len(splits.test.y)})]
    checkpoint = out / CACHE / "checkpoints" / digest(repr((run.key(), run.experiment, code_version())))
    measured: dict[str, Any] = {"tested": len(splits.test.y)} | ({"resumed": True} if checkpoint.exists() else {})
    model = SemiSupervisedClassifier(
        run.method, preset=run.config["preset"], effort=run.config["effort"], weight=1.0, step_size=1.0,
        accelerator=accelerator, random_state=run.seed, checkpoint=checkpoint,
    )  # fmt: skip
    began = time.perf_counter()
    model.fit(splits.train.x, _labelled(run, splits.train.y))
    seconds = time.perf_counter() - began
    shutil.rmtree(checkpoint, ignore_errors=True)
    p = model.predict_proba(splits.test.x)
    calibration = calibrate(p, splits.test.y)
    values = {"error": float((p.argmax(1) != splits.test.y).mean()), "ece": calibration.ece}
    inside, outside = (model.outlier_scores(x) for x in _inside_and_outside(splits.test.x))
    values |= {f"auroc_{name}": value for name, value in auroc(inside, outside).items()}
    measured["choice"] = model.choice_
    diagram = {name: _plain(getattr(calibration, name)) for name in ("confidence", "accuracy", "share")}
    if run.method in SAMPLED and run.seed == 0:
        _write_sheets(model, run, out)
    return [
        replace(
            run, metric=metric, value=value, seconds=seconds, version=code_version(), environment=environment(),
            config=run.config | measured | ({"calibration": diagram} if metric == "ece" else {}),
        )
        for metric, value in values.items()
    ]  # fmt: skip


def _plain(values: np.ndarray) -> list[float | None]:
    """As JSON has them, which knows no NaN."""
    return [None if value != value else value for value in values.tolist()]


def _labelled(run: Run, y: np.ndarray) -> np.ndarray:
    """The labels that a seed draws, -1 elsewhere."""
    classes = len(np.unique(y))
    rows = (
        draw_proportion(y, run.labelled, run.seed)
        if run.experiment == "fig1"
        else draw_per_class(y, round(run.labelled / classes), run.seed)
    )
    return np.where(np.isin(np.arange(len(y)), rows), y, -1)


def _inside_and_outside(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Test images, and the same cut into quarters that change places: like them in every pixel, and no images."""
    x = x[:LOOKED_AT]
    rows, columns = x.shape[1] // 2, x.shape[2] // 2
    return x, np.roll(x, (rows, columns), axis=(1, 2))


def _write_sheets(model: SemiSupervisedClassifier, run: Run, out: Path) -> None:
    """What the generator proposes, and what Langevin steps make of it."""
    for name, steps in (("generated", 0), ("revised", 20)):
        x = model.sample(SHEET, random_state=run.seed, steps=steps)
        sheet = out / "sheets" / f"{run.experiment}-{run.scale}-{run.dataset}-{run.method}-{name}.png"
        sheet.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(sheet, contact_sheet(x / 255))
