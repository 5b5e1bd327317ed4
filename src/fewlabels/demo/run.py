"""Every run of the demo, two at a time, each stored as soon as it ends; what is stored already is not run again."""

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from fewlabels.errors import InputError
from fewlabels.files import write_atomically
from fewlabels.progress import progress_bar
from fewlabels.results import Run, code_version, environment, read_runs, summarise, write_runs

__all__ = ["RESULTS", "Job", "jobs", "run_demo"]

RESULTS = "results.jsonl"
OWN = ("joint", "pretrain", "supervised")
"""Our methods by falling time; they start first."""
METHODS = {
    "hkcancor": (*OWN, "crfsuite", "most_frequent_tag"),
    "digits": (*OWN, "sklearn_svc", "sklearn_self_training", "sklearn_label_spreading"),
}


class Job(NamedTuple):
    """One method on one draw of one data set."""

    dataset: str
    method: str
    seed: int


class Finished(NamedTuple):
    """A stored run, and what the page shows of it."""

    run: Run
    details: dict[str, Any]


def jobs(seeds: int) -> list[Job]:
    """All runs of the demo, the slow ones first."""
    everything = [
        Job(dataset, method, seed)
        for dataset, methods in METHODS.items()
        for seed in range(seeds)
        for method in methods
    ]
    return sorted(everything, key=lambda job: OWN.index(job.method) if job.method in OWN else len(OWN))


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
    path = out / RESULTS
    stored = _stored(path)
    missing = [job for job in jobs(seeds) if _key(job) not in {_key_of(run) for run in stored}]
    started = time.monotonic()
    with progress_bar(True) as report:
        for done, finished in enumerate(_in_processes(missing), start=1):
            stored.append(finished.run)
            _store_details(out, finished)
            write_runs(path, stored)
            report(f"{finished.run.dataset}: {finished.run.method}", done, len(missing))
    wanted = {_key(job) for job in jobs(seeds)}
    shown = [run for run in stored if _key_of(run) in wanted]
    _print_tables(shown, time.monotonic() - started)
    page = write_report(out, shown)
    Console().print(f"The page with curves and pictures: {page}")


def train_and_test(job: Job) -> Finished:
    """Train one method, then look at the test split once."""
    import torch

    from fewlabels.demo import cantonese, digits

    torch.set_num_threads(1)
    started = time.perf_counter()
    if job.dataset == "digits":
        data = digits.split(job.seed)
        model = digits.train(job.method, data, job.seed)
        seconds = time.perf_counter() - started
        value = digits.error(job.method, model, data)
        labelled, ratio = digits.LABELLED, len(data.y) / (data.y >= 0).sum()
    else:
        data = cantonese.corpus()
        started = time.perf_counter()
        model = cantonese.train(job.method, job.seed)
        seconds = time.perf_counter() - started
        value = cantonese.error(model, data.test)
        labelled, ratio = cantonese.LABELLED, len(data.train) / cantonese.LABELLED
    choice = getattr(model, "choice_", "")
    run = Run(
        "demo", "bench", job.dataset, job.method, labelled, float(ratio), job.seed, "error", value, "test", seconds,
        code_version(), {"choice": choice} if choice else {}, environment(),
    )  # fmt: skip
    return Finished(run, _details(job, model))


def _details(job: Job, model: Any) -> dict[str, Any]:
    """Curves, and samples where the model has learnt p(x); of the first seed only."""
    if job.seed or not hasattr(model, "history_"):
        return {}
    details: dict[str, Any] = {"history": [list(record) for record in model.history_]}
    try:
        samples = model.sample(40 if job.dataset == "digits" else 8, random_state=0)
    except InputError:  # this model has learnt no p(x)
        return details
    return details | {"samples": samples if isinstance(samples, list) else samples.round(3).tolist()}


def _in_processes(missing: list[Job]) -> Iterator[Finished]:
    if not missing:
        return
    os.environ["OMP_NUM_THREADS"] = "1"  # one thread a process: they share the cores
    workers = min(len(missing), os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(train_and_test, job) for job in missing]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _stored(path: Path) -> list[Run]:
    """Runs of this very code; those of another are dropped, since they would not come out again."""
    return [run for run in read_runs(path) if run.version == code_version()]


def _key(job: Job) -> tuple[str, str, int]:
    return job.dataset, job.method, job.seed


def _key_of(run: Run) -> tuple[str, str, int]:
    return run.dataset, run.method, run.seed


def _store_details(out: Path, finished: Finished) -> None:
    if finished.details:
        name = f"{finished.run.dataset}-{finished.run.method}.json"
        write_atomically(out / name, json.dumps(finished.details, ensure_ascii=False).encode())


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


def percent(mean: float, sd: float) -> str:
    """Mean and standard deviation in percent; empty where there is no mean."""
    if mean != mean:
        return ""
    return f"{100 * mean:.2f}" if sd != sd else f"{100 * mean:.2f} ± {100 * sd:.2f}"
