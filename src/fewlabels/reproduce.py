"""The command line's experiments: each stores its results as soon as they are there, and goes on from them."""

import functools
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from fewlabels.errors import InputError
from fewlabels.exits import exit_codes, run_or_keep

__all__ = ["reproduce"]

reproduce = typer.Typer(help="Run an experiment, each result stored as soon as it is there.", no_args_is_help=True)


class Scale(str, Enum):
    """The sizes of an experiment."""

    bench = "bench"
    paper = "paper"


class ImageScale(str, Enum):
    """The sizes of an experiment on images."""

    bench = "bench"
    long = "long"
    paper = "paper"


RESULTS = Path("results")
DataOption = Annotated[
    Path | None, typer.Option(envvar="FEWLABELS_DATA", help="Folder of published data, such as conll2000/.")
]
ScaleOption = Annotated[Scale, typer.Option(help="For 2 cores, or the paper's own data and network.")]
ImageScaleOption = Annotated[
    ImageScale, typer.Option(help="Minutes of one core a run, about two hours, or the paper's own network.")
]
SeedsOption = Annotated[int, typer.Option(min=1, help="Number of seeds.")]
SetsOption = Annotated[
    str | None, typer.Option(help="Some of cifar10,mnist,mnist_dense,svhn; default: those of the scale.")
]
SmallSetsOption = Annotated[str | None, typer.Option(help="Some of the sets; a wrong name is answered with all.")]
RowsOption = Annotated[str | None, typer.Option(help="Some of the rows; a wrong name is answered with all.")]
AcceleratorOption = Annotated[str, typer.Option(help="cpu, cuda, mps; auto: a GPU where there is one.")]
WorkersOption = Annotated[int | None, typer.Option(min=1, help="Processes; default: one for each core.")]
OutOption = Annotated[Path, typer.Option(help="Folder of results; the same command goes on in it.")]


@reproduce.command()
@exit_codes
def table3(
    scale: ScaleOption = Scale.bench,
    data: DataOption = None,
    pool: Annotated[Path | None, typer.Option(help="Unlabelled text; default: wiki/ or one-billion-words/.")] = None,
    seeds: SeedsOption = 3,
    tasks: Annotated[
        str | None, typer.Option(help="Some of pos,chunk,ner; chunk+features: with parts of speech.")
    ] = None,
    proportions: Annotated[str, typer.Option(help="Shares of the labels.")] = "0.02,0.1,1",
    ratios: Annotated[str, typer.Option(help="Unlabelled sentences for each labelled one.")] = "50,250,500",
    methods: Annotated[
        str, typer.Option(help="Rows of the table; a wrong name is answered with all of them.")
    ] = "supervised,crfsuite,pretrain,joint",
    workers: WorkersOption = None,
    out: OutOption = RESULTS,
) -> None:
    """Run Tables 3 and 4: supervised, pre-trained and joint taggers of three tasks."""
    folder = _given(data)
    from fewlabels.experiments.table3 import Settings, run_table3

    settings = Settings(
        seeds,
        _numbers("--proportions", proportions),
        _whole_numbers("--ratios", ratios),
        _names(methods),
    )
    names = None if tasks is None else _names(tasks)
    run_or_keep(
        functools.partial(run_table3, scale.value, folder, settings, pool=pool, tasks=names, workers=workers, out=out)
    )


@reproduce.command()
@exit_codes
def table2(
    scale: ImageScaleOption = ImageScale.bench,
    data: DataOption = None,
    seeds: SeedsOption = 3,
    sets: SetsOption = None,
    methods: RowsOption = None,
    accelerator: AcceleratorOption = "auto",
    workers: WorkersOption = None,
    out: OutOption = RESULTS,
) -> None:
    """Run Table 2: classifiers of images with few labels, by all its methods and what users would pick instead."""
    folder = _given(data)
    from fewlabels.experiments.images import run_table2

    chosen, rows = _names_or_none(sets), _names_or_none(methods)
    run = functools.partial(run_table2, scale.value, folder, seeds=seeds, sets=chosen, methods=rows)
    run_or_keep(functools.partial(run, accelerator=accelerator, workers=workers, out=out))


@reproduce.command()
@exit_codes
def fig1(
    scale: ImageScaleOption = ImageScale.bench,
    data: DataOption = None,
    seeds: SeedsOption = 3,
    sets: SetsOption = None,
    methods: RowsOption = None,
    accelerator: AcceleratorOption = "auto",
    workers: WorkersOption = None,
    out: OutOption = RESULTS,
) -> None:
    """Run Fig. 1: the error of classifiers of images over the share of the labels."""
    folder = _given(data)
    from fewlabels.experiments.images import run_fig1

    chosen, rows = _names_or_none(sets), _names_or_none(methods)
    run = functools.partial(run_fig1, scale.value, folder, seeds=seeds, sets=chosen, methods=rows)
    run_or_keep(functools.partial(run, accelerator=accelerator, workers=workers, out=out))


@reproduce.command()
@exit_codes
def noharm(
    data: DataOption = None,
    seeds: SeedsOption = 5,
    sets: SmallSetsOption = None,
    methods: RowsOption = None,
    workers: WorkersOption = None,
    out: OutOption = RESULTS,
) -> None:
    """Ask whether unlabelled data ever harm: the classifier left untouched, on small sets of all kinds."""
    from fewlabels.experiments.no_harm import run_no_harm

    chosen, rows = _names_or_none(sets), _names_or_none(methods)
    run_or_keep(functools.partial(run_no_harm, data, seeds=seeds, sets=chosen, methods=rows, workers=workers, out=out))


@reproduce.command()
@exit_codes
def methods(
    data: DataOption = None,
    seeds: SeedsOption = 5,
    sets: SmallSetsOption = None,
    methods: RowsOption = None,
    workers: WorkersOption = None,
    out: OutOption = RESULTS,
) -> None:
    """Run every method for tables and images on small sets; by default on digits with 10 labels a class."""
    from fewlabels.experiments.every_method import run_every_method

    chosen, rows = _names_or_none(sets), _names_or_none(methods)
    run_or_keep(
        functools.partial(run_every_method, data, seeds=seeds, sets=chosen, methods=rows, workers=workers, out=out)
    )


@reproduce.command()
@exit_codes
def beyond(
    data: DataOption = None, seeds: SeedsOption = 3, workers: WorkersOption = None, out: OutOption = RESULTS
) -> None:
    """Run what the paper has not: the tagger left untouched, on names in social media, and taggers of proteins."""
    folder = _given(data)
    from fewlabels.experiments.beyond import run_beyond

    run_or_keep(functools.partial(run_beyond, folder, seeds=seeds, workers=workers, out=out))


def _given(data: Path | None) -> Path:
    if data is None:
        raise InputError("--data: expected the folder of the corpora, came none: give it, or set FEWLABELS_DATA")
    return data


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _names_or_none(text: str | None) -> list[str] | None:
    return None if text is None else _names(text)


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(name) for name in _names(text)]
    except ValueError as error:
        raise InputError(f"{option}: expected numbers with commas between them, came {text!r}") from error


def _whole_numbers(option: str, text: str) -> list[int]:
    numbers = _numbers(option, text)
    if not all(number.is_integer() for number in numbers):
        raise InputError(f"{option}: expected whole numbers with commas between them, came {text!r}")
    return [int(number) for number in numbers]
