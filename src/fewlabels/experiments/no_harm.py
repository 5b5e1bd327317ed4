"""Whether unlabelled data ever harm: the classifier left untouched against labels alone, on small sets of all kinds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from fewlabels.experiments.outside import OUTSIDE
from fewlabels.experiments.plain_text import plain_text
from fewlabels.experiments.small_sets import METHODS, UNTOUCHED, run_small_sets
from fewlabels.files import write_atomically
from fewlabels.results import Run, percent, read_runs, summarise, versions

__all__ = ["COUNTS", "harm", "run_no_harm", "worst_draw", "write_table"]

COUNTS = (2, 5, 10)
"""Labels of each class."""

ROUNDING = 1e-9
"""Where draws differ at one place only, the difference is one standard error, exactly."""

UNASKED = ("supervised", "pretrain", "joint", UNTOUCHED, *OUTSIDE)
"""The rows where none are named."""


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

    Arguments as of `run_small_sets`; the methods are, by default, ours, left untouched and set by hand, and what users
    would pick instead.
    """
    path = run_small_sets(
        "noharm", data, seeds=seeds, counts=COUNTS, sets=sets, methods=methods or UNASKED, workers=workers, out=out
    )
    Console(markup=False, highlight=False).print(write_table(path), soft_wrap=True)


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


def worst_draw(runs: Sequence[Run], method: str = UNTOUCHED) -> float:
    """The most by which a method's error lies above that of labels alone on one draw; NaN where one was not run.

    A single bad draw weighs no more than one standard error in `harm`, however bad it is.
    """
    base = {run.seed: run.value for run in runs if run.method == "supervised"}
    return max(
        (run.value - base[run.seed] for run in runs if run.method == method and run.seed in base), default=float("nan")
    )


def write_table(path: Path) -> str:
    """Write the table of a file of stored runs beside it, as .txt, and return it."""
    runs = read_runs(path)
    methods = [name for name in METHODS if any(run.method == name for run in runs)]
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("data", "labels a class", *methods, f"{UNTOUCHED}: s.e. above supervised", "worst draw"):
        table.add_column(heading, justify="left" if heading == "data" else "right")
    worst: list[tuple[float, str]] = []
    for name in dict.fromkeys(run.dataset for run in runs):
        for count in sorted({run.labelled for run in runs if run.dataset == name}):
            own = [run for run in runs if run.dataset == name and run.labelled == count]
            shown = {row.method: percent(row.mean, row.sd) for row in summarise(own)}
            distance = harm(own)
            worst.append((distance, f"{name}, {count:g} labels a class"))
            figures = (shown.get(m, "") for m in methods)
            table.add_row(name, f"{count:g}", *figures, f"{distance:+.1f}", f"{100 * worst_draw(own):+.2f}")
    draws = f"At most {len({run.seed for run in runs})} draws; test error in percent, mean ± sd."
    shown = plain_text([table, f"{_verdict(worst)} {draws}", *versions(runs)])
    write_atomically(path.with_suffix(".txt"), shown.encode())
    return shown


def _verdict(distances: Sequence[tuple[float, str]]) -> str:
    known = [(distance, place) for distance, place in distances if distance == distance]
    if not known:
        return "Not run: the untouched classifier and labels alone."
    above = [place for distance, place in known if distance > 1 + ROUNDING]
    return (
        f"Untouched, joint training is more than a standard error of the paired difference worse than labels alone at "
        f"{len(above)} of {len(known)} places{': ' + '; '.join(above) if above else ''}."
    )
