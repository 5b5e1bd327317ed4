"""Stored runs: one JSON line for each, with everything that is needed to make it again, and what is read off them."""

import hashlib
import json
import platform
import subprocess
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fewlabels.errors import InputError
from fewlabels.files import write_atomically
from fewlabels.machine import fast_bfloat16

__all__ = [
    "MEASURED",
    "Run",
    "Summary",
    "code_version",
    "deviation",
    "digest",
    "environment",
    "open_run",
    "percent",
    "read_runs",
    "summarise",
    "versions",
    "whole",
    "write_runs",
]

MEASURED = ("calibration", "choice", "pretraining_seconds", "resumed", "tested")
"""Entries of a run's ``config`` that came out of it: they do not tell runs apart."""


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes
    ----------
    experiment, scale
        Which table or figure it belongs to, and "bench", "long" or "paper".
    dataset, method
        By the names used throughout.
    labelled
        Labels: a count (in all, or for each class) or a proportion, as the experiment has it.
    ratio
        Unlabelled examples for each labelled one.
    seed
        Of the draw of labels and of training.
    metric, value, split
        "error", "accuracy", "f1", "ece" (calibration) or an "auroc_..." of outliers; a fraction between 0 and 1; "test"
        or "dev".
    seconds
        Wall time of training, the choice of settings included; without what it shares with other runs.
    version, config, environment
        The code, the settings (and what is named in `MEASURED`) and the machine.
    """

    experiment: str
    scale: str
    dataset: str
    method: str
    labelled: float
    ratio: float
    seed: int
    metric: str
    value: float
    split: str
    seconds: float
    version: str
    config: dict[str, Any]
    environment: dict[str, str]

    def key(self) -> tuple[Hashable, ...]:
        """What tells a run from others of its file: not the code, whose version is stored beside."""
        settings = {name: value for name, value in self.config.items() if name not in MEASURED}
        return (
            self.dataset, self.method, self.labelled, self.ratio, self.seed, self.metric, self.split,
            json.dumps(settings, sort_keys=True),
        )  # fmt: skip


def open_run(
    experiment: str, scale: str, dataset: str, method: str, labelled: float, ratio: float, seed: int, metric: str,
    config: dict[str, Any],
) -> Run:  # fmt: skip
    """A run of this code on this machine, on the test split, whose value and seconds are still open: NaN."""
    nan = float("nan")
    return Run(
        experiment, scale, dataset, method, labelled, ratio, seed, metric, nan, "test", nan, code_version(), config,
        environment(),
    )  # fmt: skip


def digest(text: str) -> str:
    """A short name for a text, for files that belong to it."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def read_runs(path: Path) -> list[Run]:
    """The runs of a file; none where there is no file.

    Raises
    ------
    InputError
        A line is no run.
    """
    if not path.exists():
        return []
    lines = enumerate(path.read_text(encoding="utf-8").split("\n"), start=1)
    return [_run(line, f"{path}:{number}") for number, line in lines if line.strip()]


def _run(line: str, where: str) -> Run:
    try:
        return Run(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise InputError(f"{where}: expected a stored run, came something else ({error}): remove the line") from error


def write_runs(path: Path, runs: Iterable[Run]) -> None:
    """Replace a file by these runs, atomically."""
    lines = [json.dumps(asdict(run), ensure_ascii=False, allow_nan=False) for run in runs]
    write_atomically(path, "".join(f"{line}\n" for line in lines).encode())


@dataclass(frozen=True)
class Summary:
    """A method on a data set over seeds; fractions.

    Attributes
    ----------
    mean, sd
        Of the metric; sd is that of a sample, NaN for a single seed.
    paired_mean, paired_sd
        Of the differences from the reference method, seed by seed; NaN where there is none.
    seconds
        Mean over runs that were not resumed, whose clocks stood still meanwhile; NaN where there is none.
    seeds
        How many.
    """

    method: str
    mean: float
    sd: float
    paired_mean: float
    paired_sd: float
    seconds: float
    seeds: int


def summarise(runs: Sequence[Run], reference: str = "supervised") -> list[Summary]:
    """One summary a method, in the order of first appearance, with paired differences from a reference method."""
    base = {run.seed: run.value for run in runs if run.method == reference}
    summaries = []
    for method in dict.fromkeys(run.method for run in runs):
        own = {run.seed: run for run in runs if run.method == method}
        values = np.array([run.value for run in own.values()])
        pairs = [run.value - base[seed] for seed, run in own.items() if seed in base and method != reference]
        seconds = _mean([run.seconds for run in own.values() if not run.config.get("resumed")])
        summaries.append(
            Summary(method, values.mean(), deviation(values), _mean(pairs), deviation(pairs), seconds, len(own))
        )
    return summaries


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def deviation(values: Sequence[float] | np.ndarray) -> float:
    """The standard deviation of a sample; NaN of a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def percent(mean: float, sd: float = float("nan")) -> str:
    """Mean and standard deviation in percent; empty where there is no mean.

    Examples
    --------
    >>> percent(0.123, 0.01), percent(0.5), percent(float("nan"))
    ('12.30 ± 1.00', '50.00', '')
    """
    if mean != mean:
        return ""
    return f"{100 * mean:.2f}" if sd != sd else f"{100 * mean:.2f} ± {100 * sd:.2f}"


def whole(value: float) -> str:
    """A number without decimals; empty where there is none.

    Examples
    --------
    >>> whole(12.6), whole(float("nan"))
    ('13', '')
    """
    return "" if value != value else f"{value:.0f}"


def versions(runs: Iterable[Run]) -> list[str]:
    """A line that names the versions of the code behind some runs; none where there is but one."""
    names = sorted({run.version for run in runs})
    return [f"these runs are of {len(names)} versions of the code: {', '.join(names)}"] if len(names) > 1 else []


@cache
def code_version() -> str:
    """The package's version, its commit where it lies in a repository, and a digest of its source."""
    package = Path(__file__).parent
    source = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        source.update(path.read_bytes())
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=package, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "no-repository"
    return f"{installed('fewlabels')}+{commit}.{source.hexdigest()[:12]}"


@cache
def environment() -> dict[str, str]:
    """The machine and the versions of what decides over results, and over seconds."""
    machine = {
        "python": platform.python_version(), "machine": platform.machine(), "system": platform.system(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "fast_bfloat16": str(fast_bfloat16(torch.device("cpu"))),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }  # fmt: skip
    return machine | {name: installed(name) for name in ("torch", "numpy", "scikit-learn")}
