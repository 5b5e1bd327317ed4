"""Every run of the demo, each stored as soon as it ends; what is stored already is not run again."""

import json
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from fewlabels.errors import InputError
from fewlabels.experiments.runner import Job, run_jobs
from fewlabels.files import write_atomically
from fewlabels.progress import progress_bar
from fewlabels.results import Run, code_version, environment, percent, summarise

__all__ = ["RESULTS", "Draw", "draws", "run_demo"]

RESULTS = "results.jsonl"
OWN = ("joint", "pretrain", "supervised")
"""Our methods by falling time; they start first."""
METHODS = {
    "hkcancor": (*OWN, "crfsuite", "most_frequent_tag"),
    "digits": (*OWN, "sklearn_svc", "sklearn_self_training", "sklearn_label_spreading"),
}


class Draw(NamedTuple):
    """One method on one draw of one data set."""

    dataset: str
    method: str
    seed: int


def draws(seeds: int) -> list[Draw]:
    """All runs of the demo, the slow ones first."""
    everything = [
        Draw(dataset, method, seed)
        for dataset, methods in METHODS.items()
        for seed in range(seeds)
        for method in methods
    ]
    return sorted(everything, key=lambda draw: OWN.index(draw.method) if draw.method in OWN else len(OWN))


def run_demo(out: Path, seeds: int = 5) -> None:
    """Run the demo, print its tables and write ``results.jsonl`` and ``report.html``.

    Parameters
    ----------
    out
        The folder; runs that it holds from the same code are kept.
    seeds
        How many draws.
    """
    from fewlabels.demo.report import write_report

    out.mkdir(parents=True, exist_ok=True)
    wanted = draws(seeds)
    jobs = [Job(f"{draw.dataset}: {draw.method}", draw, partial(train_and_test, draw, out)) for draw in wanted]
    started = time.monotonic()
    with progress_bar(True) as report:
        stored = run_jobs(jobs, out / RESULTS, report, key=draw_of, kept=of_this_code)
    shown = [run for run in stored if draw_of(run) in set(wanted)]
    _print_tables(shown, time.monotonic() - started)
    page = write_report(out, shown)
    Console().print(f"The page with curves and pictures: {page}")


def draw_of(run: Run) -> Draw:
    """By which a stored run is known again."""
    return Draw(run.dataset, run.method, run.seed)


def of_this_code(run: Run) -> bool:
    """Whether a stored run is of this very code; those of another are dropped, since they would not come out again."""
    return run.version == code_version()


def train_and_test(draw: Draw, out: Path) -> list[Run]:
    """Train one method, then look at the test split once; what the page shows of the model goes into the folder."""
    import torch

    from fewlabels.demo import cantonese, digits

    torch.set_num_threads(1)
    started = time.perf_counter()
    if draw.dataset == "digits":
        data = digits.split(draw.seed)
        model = digits.train(draw.method, data, draw.seed)
        seconds = time.perf_counter() - started
        value = digits.error(model, data)
        labelled, ratio = digits.LABELLED, len(data.y) / (data.y >= 0).sum()
    else:
        data = cantonese.corpus()
        started = time.perf_counter()
        model = cantonese.train(draw.method, draw.seed)
        seconds = time.perf_counter() - started
        value = cantonese.error(model, data.test)
        labelled, ratio = cantonese.LABELLED, len(data.train) / cantonese.LABELLED
    choice = getattr(model, "choice_", "")
    run = Run(
        "demo", "bench", draw.dataset, draw.method, labelled, float(ratio), draw.seed, "error", value, "test", seconds,
        code_version(), {"choice": choice} if choice else {}, environment(),
    )  # fmt: skip
    details = _details(draw, model)
    if details:
        write_atomically(out / f"{draw.dataset}-{draw.method}.json", json.dumps(details, ensure_ascii=False).encode())
    return [run]


def _details(draw: Draw, model: Any) -> dict[str, Any]:
    """Curves, and samples where the model has learnt p(x); of the first seed only."""
    if draw.seed or not hasattr(model, "history_"):
        return {}
    details: dict[str, Any] = {"history": [list(record) for record in model.history_]}
    try:
        samples = model.sample(40 if draw.dataset == "digits" else 8, random_state=0)
    except InputError:  # this model has learnt no p(x)
        return details
    return details | {"samples": samples if isinstance(samples, list) else samples.round(3).tolist()}


def _print_tables(runs: list[Run], seconds: float) -> None:
    console = Console()
    for dataset in dict.fromkeys(run.dataset for run in runs):
        own = [run for run in runs if run.dataset == dataset]
        table = Table(title=f"{dataset}: test error, {len({run.seed for run in own})} seeds")
        for column in ("method", "error %", "minus supervised", "seconds"):
            table.add_column(column, justify="left" if column == "method" else "right")
        for row in sorted(summarise(own), key=lambda summary: summary.mean):
            table.add_row(
                row.method, percent(row.mean, row.sd), percent(row.paired_mean, row.paired_sd), f"{row.seconds:.1f}"
            )
        console.print(table)
    console.print(f"{len(runs)} runs; {seconds:.0f} seconds this time")
