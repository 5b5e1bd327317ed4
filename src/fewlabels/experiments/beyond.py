"""Beyond the paper's tables: the tagger left untouched, and sequences that are no text.

- *Names in social media*, WNUT 2017: 10 % of the labels and the first 50,000 sentences of the pool, with
  ``SemiSupervisedTagger()`` as it comes.
- *Secondary structure of proteins*, CB513: residues as tokens, three states; 5 % of the 400 training chains are
  labelled, and the others are what there is without labels.

*Rules.*  The labelled sentences are the first of a fixed permutation: seeds differ in training alone.  Each run looks
at the test split once.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from fewlabels.data.pool import Pool
from fewlabels.experiments.baselines import CRFsuite, english_features, residue_features
from fewlabels.experiments.corpora import POOLS, Task, cb513, labelled, wnut17_ner
from fewlabels.experiments.plain_text import plain_text
from fewlabels.experiments.runner import CACHE, Job, run_jobs
from fewlabels.experiments.table3 import score, written_pool
from fewlabels.files import write_atomically
from fewlabels.progress import progress_bar
from fewlabels.results import Run, open_run, percent, read_runs, summarise, whole
from fewlabels.tagger import SemiSupervisedTagger

__all__ = ["CASES", "Case", "run_beyond", "write_table"]

UNTOUCHED = "untouched"
"""The method whose estimator is given a seed and nothing else."""


class Case(NamedTuple):
    """A data set, what is labelled of it, and who learns from it.

    Attributes
    ----------
    read
        Reads the task from the folder of data.
    proportion
        Of the training sentences that are labelled.
    pool
        How many sentences of text are unlabelled; 0: the training sentences without their labels, and no text.
    features
        Of CRFsuite.
    methods
        Of the tagger, or `UNTOUCHED`, or "crfsuite".
    """

    read: Callable[[Path], Task]
    proportion: float
    pool: int
    features: Callable[[Any, int], list[str]]
    methods: tuple[str, ...]


CASES = {
    "wnut17_ner": Case(wnut17_ner, 0.1, 50_000, english_features, ("supervised", "crfsuite", UNTOUCHED)),
    "cb513": Case(cb513, 0.05, 0, residue_features, ("supervised", "crfsuite", "pretrain", "joint")),
}


def run_beyond(data: Path, *, seeds: int = 3, workers: int | None = None, out: Path = Path("results")) -> None:
    """Run what is not stored yet, print the table and write it beside the stored runs.

    Parameters
    ----------
    data
        The folder of labelled corpora and of the pool, see `fewlabels.experiments.corpora`.
    seeds
        How many seeds of training.
    workers
        How many processes; default: as many as there are cores.
    out
        The folder of results.

    Raises
    ------
    InputError
        Data that are not there.
    """
    path = out / "beyond-bench.jsonl"
    tasks = {name: case.read(data) for name, case in CASES.items()}
    out.mkdir(parents=True, exist_ok=True)
    jobs = []
    with progress_bar(True) as report:
        for name, case in CASES.items():
            text = data / POOLS["bench"]
            folder = written_pool(text, tasks[name].digits, out / CACHE, report) if case.pool else None
            for method in case.methods:
                for seed in range(1 if method == "crfsuite" else seeds):
                    run = _open(name, method, seed, tasks[name])
                    work = partial(train_and_test, run, data, folder)
                    jobs.append(Job(f"{name}: {method}, seed {seed}", run.key(), work))
        run_jobs(jobs, path, report, workers=workers)
    Console(markup=False, highlight=False).print(write_table(path), soft_wrap=True)


def _open(name: str, method: str, seed: int, task: Task) -> Run:
    """A run whose result is open."""
    case = CASES[name]
    sentences = len(labelled(task, case.proportion))
    others = case.pool or len(task.train)
    config = {"sentences": sentences, "unlabelled": others if method not in ("supervised", "crfsuite") else 0}
    return open_run("beyond", "bench", name, method, case.proportion, others / sentences, seed, task.metric, config)


def train_and_test(run: Run, data: Path, folder: Path | None) -> list[Run]:
    """Train once, and look at the test split once."""
    case = CASES[run.dataset]
    task = case.read(data)
    rows = labelled(task, run.labelled).tolist()
    sentences, tags = [task.train[i][0] for i in rows], [task.train[i][1] for i in rows]
    began, choice = time.perf_counter(), {}
    if run.method == "crfsuite":
        model = CRFsuite(case.features).fit(sentences, tags)
    else:
        model = _tagger(run)
        if folder is not None:
            model.fit(sentences, tags, pool=Pool(folder).prefix(case.pool))
        else:
            others = [words for i, (words, _) in enumerate(task.train) if i not in set(rows)]
            model.fit([*sentences, *others], [*tags, *[None] * len(others)])
        choice = {"choice": model.choice_}
    seconds = time.perf_counter() - began
    value = score(task.metric, [y for _, y in task.test], model.predict([words for words, _ in task.test]))
    return [replace(run, value=value, seconds=seconds, config=run.config | choice)]


def _tagger(run: Run) -> SemiSupervisedTagger:
    if run.method == UNTOUCHED:
        return SemiSupervisedTagger(random_state=run.seed)
    return SemiSupervisedTagger(run.method, weight=1.0, random_state=run.seed)


def write_table(path: Path) -> str:
    """Write the table of a file of stored runs beside it, as .txt, and return it."""
    runs = read_runs(path)
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("data", "labelled", "method", "test, %", "minus supervised", "seconds", "seeds"):
        table.add_column(heading, justify="left" if heading in ("data", "method") else "right")
    for name in dict.fromkeys(run.dataset for run in runs):
        own = [run for run in runs if run.dataset == name]
        for row in summarise(own):
            table.add_row(
                f"{name}, {own[0].metric}", f"{own[0].labelled:.0%}", row.method, percent(row.mean, row.sd),
                percent(row.paired_mean, row.paired_sd), whole(row.seconds), str(row.seeds),
            )  # fmt: skip
    choices = [
        f"{run.dataset}, {run.method}, seed {run.seed}: {run.config['choice']}"
        for run in runs
        if run.method == UNTOUCHED
    ]
    shown = plain_text([table, *choices])
    write_atomically(path.with_suffix(".txt"), shown.encode())
    return shown
