"""Every method for tables and images on small sets, beside what users would pick instead: errors and seconds."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from fewlabels.experiments.plain_text import plain_text, titled
from fewlabels.experiments.small_sets import METHODS, run_small_sets
from fewlabels.files import write_atomically
from fewlabels.results import Run, percent, read_runs, summarise, versions

__all__ = ["run_every_method", "write_table"]

COUNT = 10
"""Labels of each class."""

HEADINGS = ("method", "test error, %", "minus joint", "minus supervised", "better than supervised", "seconds")


def run_every_method(
    data: Path | None,
    *,
    seeds: int = 5,
    sets: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    workers: int | None = None,
    out: Path = Path("results"),
) -> None:
    """Run what is not stored yet, print the tables and write them beside the stored runs.

    Arguments as of `run_small_sets`; by default all methods, on digits.
    """
    path = run_small_sets(
        "methods", data, seeds=seeds, counts=(COUNT,), sets=sets or ("digits",), methods=methods or METHODS,
        workers=workers, out=out,
    )  # fmt: skip
    Console(markup=False, highlight=False).print(write_table(path), soft_wrap=True)


def write_table(path: Path) -> str:
    """Write a table for each set of a file of stored runs beside it, as .txt, and return the text."""
    runs = read_runs(path)
    tables = [
        titled(f"{name}, {COUNT} labels a class", HEADINGS, _rows([run for run in runs if run.dataset == name]))
        for name in dict.fromkeys(run.dataset for run in runs)
    ]
    paired = "Mean ± sd over draws of halves and labels; differences are paired, draw by draw."
    shown = plain_text([*tables, paired, *versions(runs)])
    write_atomically(path.with_suffix(".txt"), shown.encode())
    return shown


def _rows(runs: Sequence[Run]) -> list[list[str]]:
    """A row a method, in their order."""
    over = {name: {row.method: row for row in summarise(runs, name)} for name in ("supervised", "joint")}
    rows = []
    for method in (name for name in METHODS if name in over["joint"]):
        row, joint = over["supervised"][method], over["joint"][method]
        rows.append(
            [
                method, percent(row.mean, row.sd), percent(joint.paired_mean, joint.paired_sd),
                percent(row.paired_mean, row.paired_sd), _wins(runs, method), f"{row.seconds:.1f}",
            ]
        )  # fmt: skip
    return rows


def _wins(runs: Sequence[Run], method: str) -> str:
    """On how many draws a method is better than labels alone."""
    base = {run.seed: run.value for run in runs if run.method == "supervised"}
    own = [run for run in runs if run.method == method and run.seed in base]
    if method == "supervised" or not own:
        return ""
    return f"{sum(run.value < base[run.seed] for run in own)} of {len(own)}"
