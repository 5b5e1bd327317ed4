"""Table 3: three tasks, three shares of the labels, three ratios U/L, and the methods; Table 4 follows from it.

*Rules.*  The labelled sentences are the first of a fixed permutation of the training set, the unlabelled ones the first
of the pool: seeds differ in training alone.  Each run is evaluated on dev and, once, on test; both lines are stored.
Where the pool is too small for a ratio, all of it is taken; ratios that then come to the same share one run.

A model pre-trained on p(x) serves all methods that begin with it at the same task, proportion, number of unlabelled
sentences and seed.  Its time is stored beside theirs, as ``pretraining_seconds``.
"""

import shutil
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from fewlabels.data.pool import Pool, write_pool
from fewlabels.data.shards import stream_text
from fewlabels.errors import InputError
from fewlabels.experiments.baselines import CRFsuite, Token, english_features
from fewlabels.experiments.corpora import POOLS, TABLE_3, Task, labelled, unlabelled
from fewlabels.experiments.published import PROPORTIONS, RATIOS
from fewlabels.experiments.runner import CACHE, Job, making, refuse_unknown, run_jobs
from fewlabels.experiments.tables import write_tables
from fewlabels.progress import Report, progress_bar
from fewlabels.results import Run, code_version, digest, environment, open_run
from fewlabels.sequence.spans import read_spans, score_spans
from fewlabels.tagger import SemiSupervisedTagger

__all__ = [
    "DEFAULT_METHODS",
    "FEATURES",
    "ROWS",
    "Row",
    "Settings",
    "Source",
    "plans",
    "run_table3",
    "score",
    "train_and_test",
    "written_pool",
]

FEATURES = "+features"
"""Behind a task's name: its tokens come with their further features, as the part of speech for chunking."""

VECTORS = "glove.6B.300d.txt"
"""The word vectors of the paper's setting, a file in the folder of data."""


PRESETS = {"bench": "small", "paper": "paper"}


class Row(NamedTuple):
    """A row of the table.

    Attributes
    ----------
    method, pretraining
        Of `fewlabels.SemiSupervisedTagger`; no method stands for CRFsuite.
    text
        Whether it learns from unlabelled sentences; if not, its only ratio is 0.
    estimator
        Of log p(x), of the tagger.
    """

    method: str | None
    pretraining: str = "none"
    text: bool = True
    estimator: str = "pseudo_likelihood"


ROWS = {
    "supervised": Row("supervised", text=False),
    "crfsuite": Row(None, text=False),
    "pretrain": Row("pretrain", "field"),
    "joint": Row("joint", "field"),
    "bilm": Row("pretrain", "bilm"),
    "self_training": Row("self_training"),
    "bilm_self_training": Row("self_training", "bilm"),
    "pretrain_self_training": Row("self_training", "field"),
    "joint_self_training": Row("joint+self_training", "field"),
    "pretrain_pseudo_label": Row("pseudo_label", "field"),
    "pretrain_entropy": Row("entropy", "field"),
    "pretrain_mean_teacher": Row("mean_teacher", "field"),
    "pretrain_vat": Row("vat", "field"),
    "pretrain_conditional_nce": Row("pretrain", "field", estimator="conditional_nce"),
    "pretrain_nce": Row("pretrain", "field", estimator="nce"),
    "joint_nce": Row("joint", "field", estimator="nce"),
}
DEFAULT_METHODS = ("supervised", "crfsuite", "pretrain", "joint")

Plan = tuple[Run, ...]
"""Runs whose results are open; of several ratios if these come to the same number of unlabelled sentences."""


class Source(NamedTuple):
    """Where a job finds its data, and where it keeps what it shares.

    Attributes
    ----------
    data
        The folder of labelled corpora.
    pool
        The folder of the written pool; None where no method needs it.
    cache
        A folder.
    """

    data: Path
    pool: Path | None
    cache: Path


class Settings(NamedTuple):
    """Which settings of the table to run; see `run_table3`."""

    seeds: int = 3
    proportions: Sequence[float] = PROPORTIONS
    ratios: Sequence[int] = RATIOS
    methods: Sequence[str] = DEFAULT_METHODS


def run_table3(
    scale: str,
    data: Path,
    settings: Settings,
    *,
    pool: Path | None = None,
    tasks: Sequence[str] | None = None,
    workers: int | None = None,
    out: Path = Path("results"),
) -> None:
    """Run what is not stored yet, print Tables 3 and 4, and write them beside the stored runs.

    Parameters
    ----------
    scale
        "bench" or "paper".
    data
        The folder of labelled corpora, see `fewlabels.experiments.corpora`.
    settings
        How many seeds of training, which proportions and ratios, and which of `ROWS`.
    pool
        Unlabelled text, a file or a folder; default: that of the scale, in ``data``.
    tasks
        Of "pos", "chunk" and "ner", also with `FEATURES` behind; default: all three.
    workers
        How many processes; default: as many as there are cores.
    out
        The folder of results.

    Raises
    ------
    InputError
        A name that is not known, or data that are not there.
    """
    names = tasks or list(TABLE_3[scale])
    refuse_unknown("--methods", settings.methods, ROWS)
    refuse_unknown("--tasks", names, [*TABLE_3[scale], *(name + FEATURES for name in TABLE_3[scale])])
    corpora = [load(_dataset(scale, name), data) for name in names]
    text = (pool or data / POOLS[scale]) if any(ROWS[method].text for method in settings.methods) else None
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"table3-{scale}.jsonl"
    with progress_bar(True) as report:
        jobs = []
        for task in corpora:
            folder = None if text is None else written_pool(text, task.digits, out / CACHE, report)
            source = Source(data, folder, out / CACHE)
            jobs += [(plan, source) for plan in plans(scale, task, source, settings)]
        jobs.sort(key=lambda job: _order(job[0][0]))
        work = [Job(_name(plan[0]), plan[0].key(), partial(train_and_test, plan, source)) for plan, source in jobs]
        run_jobs(work, path, report, workers=workers)
    Console(markup=False, highlight=False).print(write_tables(path), soft_wrap=True)
    Console().print(f"The page with curves: {path.with_suffix('.html')}")


def _dataset(scale: str, name: str) -> str:
    return TABLE_3[scale][name.removesuffix(FEATURES)].__name__ + (FEATURES if name.endswith(FEATURES) else "")


def _order(run: Run) -> tuple[float | str, ...]:
    """One seed of the whole table first, small settings first, and pre-training before what starts from it."""
    return run.seed, run.labelled, run.ratio, run.dataset, list(ROWS).index(run.method)


def _name(run: Run) -> str:
    return f"{run.dataset} {run.labelled:.0%}, U/L {run.ratio:g}: {run.method}, seed {run.seed}"


@cache
def load(dataset: str, data: Path) -> Task:
    """A task by the name of its data set; with further features of its tokens where `FEATURES` stands behind."""
    readers = {reader.__name__: reader for tasks in TABLE_3.values() for reader in tasks.values()}
    task = readers[dataset.removesuffix(FEATURES)](data)
    if not dataset.endswith(FEATURES):
        return task._replace(features=None)
    if task.features is None:
        raise InputError(f"--tasks: expected tasks whose tokens have further features, came {task.name} without any")
    return task._replace(name=dataset)


def written_pool(text: Path, digits: bool, cache: Path, report: Report) -> Path:
    """The folder of a text's pool, which is written if it is not there; digits are to be those of the task."""
    folder = cache / "pools" / digest(str(text.resolve())) / f"{text.name}{'-digits' if digits else ''}"
    with making(folder, wait=True):
        if not folder.exists():
            sentences = stream_text(text)
            write_pool(sentences, folder, lambda n: report(f"{text}: {n:,} sentences", 0, 1), digits=digits)
    return folder


def plans(scale: str, task: Task, source: Source, settings: Settings) -> list[Plan]:
    """All runs of a task that settings ask for, their results still open."""
    available = 0 if source.pool is None else len(Pool(source.pool))
    found = []
    for method in settings.methods:
        seeds = 1 if method == "crfsuite" else settings.seeds  # nothing is drawn at random by CRFsuite
        ratios = settings.ratios if ROWS[method].text else (0,)
        for proportion in settings.proportions:
            n = len(labelled(task, proportion))
            sizes = {ratio: unlabelled(n, ratio, available) for ratio in ratios}
            for size in dict.fromkeys(sizes.values()):
                same = [ratio for ratio in ratios if sizes[ratio] == size]
                config = _config(scale, method, n, size, source)
                found += [
                    tuple(
                        open_run("table3", scale, task.name, method, proportion, ratio, seed, task.metric, config)
                        for ratio in same
                    )
                    for seed in range(seeds)
                ]
    return found


def _config(scale: str, method: str, sentences: int, size: int, source: Source) -> dict[str, Any]:
    """What decides over a run besides its setting; the numbers of sentences are those that there are."""
    row = ROWS[method]
    config: dict[str, Any] = {"sentences": sentences, "unlabelled": size}
    if row.method is not None:
        config |= {"pretraining": row.pretraining, "weight": 1.0, "preset": PRESETS[scale]}
    if row.estimator != Row(None).estimator:  # the default goes without saying
        config["estimator"] = row.estimator
    if row.text and source.pool is not None:
        config["pool"] = source.pool.name
    return config


def train_and_test(plan: Plan, source: Source) -> list[Run]:
    """Train once; look at dev, and once at test."""
    run = plan[0]
    start = None if run.config.get("pretraining", "none") == "none" else _start(run, source)
    with making(start) if start is not None else nullcontext():
        task = load(run.dataset, source.data)
        model, seconds, measured = _trained(run, task, source, start)
    results = []
    for split in ("test", "dev"):
        sentences, tags = _tokens(task, split)
        value = score(task.metric, tags, model.predict(sentences))
        results += [
            replace(
                one, value=value, split=split, seconds=seconds, config=run.config | measured, version=code_version(),
                environment=environment(),
            )
            for one in plan
        ]  # fmt: skip
    return results


def _start(run: Run, source: Source) -> Path:
    """The file of a pre-trained network; all that it depends on is in its name."""
    setting = [run.scale, run.dataset, run.labelled, run.seed, sorted(run.config.items())]
    return source.cache / "starts" / f"{run.dataset}-{digest(repr((setting, source.pool, code_version())))}"


def _trained(run: Run, task: Task, source: Source, start: Path | None) -> tuple[Any, float, dict[str, Any]]:
    """The fitted model, its own seconds, and what else was measured."""
    sentences, tags = _tokens(task, "train", labelled(task, run.labelled).tolist())
    if ROWS[run.method].method is None:
        began = time.perf_counter()
        return CRFsuite(english_features).fit(sentences, tags), time.perf_counter() - began, {}
    checkpoint = source.cache / "checkpoints" / digest(repr((run.key(), code_version())))
    tagger = _tagger(run, source, start, checkpoint)
    pool = Pool(source.pool).prefix(run.config["unlabelled"]) if ROWS[run.method].text and source.pool else None
    measured: dict[str, Any] = {"resumed": True} if checkpoint.exists() else {}
    fresh = start is not None and not start.exists()
    began = time.perf_counter()
    tagger.fit(sentences, tags, pool=pool)
    seconds = time.perf_counter() - began
    shutil.rmtree(checkpoint, ignore_errors=True)
    if start is not None:
        measured["pretraining_seconds"] = tagger.pretraining_seconds_
        seconds -= tagger.pretraining_seconds_ if fresh else 0.0
    return tagger, seconds, measured | {"choice": tagger.choice_}


def _tagger(run: Run, source: Source, start: Path | None, checkpoint: Path) -> SemiSupervisedTagger:
    row = ROWS[run.method]
    return SemiSupervisedTagger(
        row.method or "",
        pretraining=row.pretraining,
        estimator=row.estimator,
        preset=run.config["preset"],
        vectors=source.data / VECTORS if run.scale == "paper" else None,
        weight=run.config["weight"],
        start=start,
        random_state=run.seed,
        checkpoint=checkpoint,
    )


def _tokens(task: Task, split: str, rows: Sequence[int] | None = None) -> tuple[list[list[Token]], list[list[str]]]:
    """Sentences and tags of a split, or of some of its rows; tokens are tuples where the task has features."""
    pairs = getattr(task, split)
    sentences: list[list[Token]] = [list(words) for words, _ in pairs]
    if task.features is not None:
        features = getattr(task.features, split)
        sentences = [
            [(word, *more) for word, more in zip(words, own, strict=True)]
            for (words, _), own in zip(pairs, features, strict=True)
        ]
    rows = range(len(pairs)) if rows is None else rows
    return [sentences[i] for i in rows], [pairs[i][1] for i in rows]


def score(metric: str, true: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """Share of tokens that are right, or F1 of spans; a fraction.

    Examples
    --------
    >>> score("f1", [["S-NP", "O"]], [["S-NP", "S-NP"]]), score("accuracy", [["A", "B"]], [["A", "A"]])
    (0.6666666666666666, 0.5)
    """
    if metric == "f1":
        return score_spans([read_spans(tags) for tags in true], [read_spans(tags) for tags in predicted])[""].f1
    pairs = [pair for a, b in zip(true, predicted, strict=True) for pair in zip(a, b, strict=True)]
    return sum(a == b for a, b in pairs) / len(pairs)
