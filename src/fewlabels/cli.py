"""The command line: fit, curve, predict, evaluate, score and sample on files, the demonstration and the experiments.

Everything heavy is imported inside the commands, so that `--help` answers at once.
"""

import functools
import importlib.metadata
import io
import json
import shlex
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from fewlabels.claim import claimed_folder, owns_folder
from fewlabels.errors import InputError
from fewlabels.evaluation import certainty, count_errors, most_confused, named_alike, span_scores
from fewlabels.exits import exit_codes, run_or_keep
from fewlabels.files import read_utf8, write_atomically
from fewlabels.kinds import KINDS, Data, Kind, kind_of, plain, refuse_label
from fewlabels.reproduce import reproduce
from fewlabels.run_folder import (
    CURVE,
    check_out,
    check_target,
    digest,
    draw_curve,
    is_finished,
    model_file,
    read_settings,
    read_summary,
    tidy,
    train_or_pause,
)

__all__ = ["app", "main"]

_CONFUSIONS = 10
"""How many kinds of mistakes `evaluate` shows; all are in its JSON."""

app = typer.Typer(
    help="Better models from few labels and many unlabelled examples.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(reproduce, name="reproduce")


class Method(str, Enum):
    """The training methods that `fit` offers."""

    joint = "joint"
    pretrain = "pretrain"
    supervised = "supervised"
    persistent_cd = "persistent_cd"
    supervised_normalised = "supervised_normalised"
    vat = "vat"
    entropy = "entropy"
    pseudo_label = "pseudo_label"
    self_training = "self_training"
    fixmatch = "fixmatch"
    pi = "pi"
    temporal_ensembling = "temporal_ensembling"
    mean_teacher = "mean_teacher"
    label_propagation = "label_propagation"
    cat_gan = "cat_gan"
    improved_gan = "improved_gan"
    bad_gan = "bad_gan"
    sobolev_gan = "sobolev_gan"
    ladder = "ladder"
    gamma_ladder = "gamma_ladder"
    simclr = "simclr"
    vime = "vime"
    best = "best"


ModelArgument = Annotated[
    Path, typer.Argument(metavar="MODEL", help="The folder that `fit` wrote, or the model in it.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]


def main() -> None:
    """Run the command line; what it prints is UTF-8, as are the files that it writes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    app()


@app.command()
@exit_codes
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("demo"),
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds.")] = 5,
) -> None:
    """Compare supervised, pre-trained and joint models on handwritten digits and Cantonese speech."""
    from fewlabels.demo import run_demo

    run_or_keep(functools.partial(run_demo, out, seeds))


@app.command()
@exit_codes
def fit(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Table, folder of class folders, .npz, or CoNLL file.")],
    out: Annotated[Path, typer.Option(help="Folder for the model; the same command resumes in it.")],
    unlabelled: Annotated[
        Path | None, typer.Option(help="More data, without labels; of sentences also a folder of text.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Column of the labels of a table; empty cells: unlabelled.")] = None,
    method: Annotated[Method, typer.Option(help="How to learn from the unlabelled data.")] = Method.joint,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The same seed gives the same model.")] = 0,
    accelerator: Annotated[
        str, typer.Option(help="cpu, cuda, mps; auto: a GPU where there is one. Sentences: cpu.")
    ] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Train a model on DATA, of which a part is labelled, and save it in a folder."""
    name = kind_of(data)
    if name == "sequences" and accelerator not in ("auto", "cpu"):
        raise InputError(f"--accelerator: expected auto or cpu for sentences, came {accelerator!r}: leave it out")
    check_out(out, data, unlabelled)
    training = KINDS[name].training(data, unlabelled, label)
    run = {
        "kind": name,
        "data": str(data.resolve()),
        "unlabelled": None if unlabelled is None else str(unlabelled.resolve()),
        "label": label,
        "columns": training.columns,
        "method": method.value,
        "seed": seed,
        "accelerator": accelerator,
        "version": importlib.metadata.version("fewlabels"),
        "data_sha256": digest(training),
    }
    if not (owns_folder(out, run) and is_finished(out)):
        with claimed_folder(out, run):
            train_or_pause(training, run, out, verbose=not as_json)
            tidy(out)
    summary = read_summary(out)
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False))
    else:
        _show(["", "fitted"], [[key.replace("_", " "), str(value)] for key, value in summary.items()])
        typer.echo(f"would more labels help? fewlabels curve {shlex.quote(str(out))}", err=True)


@app.command()
@exit_codes
def curve(model: ModelArgument, as_json: JsonOption = False) -> None:
    """Tell whether more labels would help: errors with a quarter, a half and all labels of `fit`, cross-validated.

    Nine fits on the data of the model, a third of whose labels each leaves out.  The folder of the model gets
    curve.json, and with matplotlib curve.png.
    """
    file = model_file(model)
    run = read_settings(file)
    if not (file.parent / CURVE).exists():
        run_or_keep(functools.partial(draw_curve, file, run, not as_json))
    found = json.loads(read_utf8(file.parent / CURVE))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    rows = zip(found["labelled"], found["errors"], found["standard_errors"], strict=True)
    _show(["labelled", "error", "±"], [[f"{n:,.0f}", f"{error:.2%}", f"{se:.2%}"] for n, error, se in rows])
    typer.echo(found["verdict"])


@app.command()
@exit_codes
def predict(
    model: ModelArgument,
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Data like those of `fit`, or sentences in a .txt file.")
    ],
    out: Annotated[Path | None, typer.Option(help="File for the result; default: standard output.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Predict a label for each row of DATA, with its probability (CSV), or for each token (CoNLL)."""
    fitted, given = _open(model, data, labelled=False)
    if out is not None:
        check_target(out, model, fitted.run, data)
    records = fitted.kind.predictions(fitted.estimator, given)
    text = json.dumps({"predictions": records}, ensure_ascii=False) + "\n" if as_json else fitted.kind.text(records)
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_atomically(out, text.encode(errors="backslashreplace"))


@app.command()
@exit_codes
def evaluate(
    model: ModelArgument,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Labelled data like those of `fit`.")],
    label: Annotated[str | None, typer.Option(help="Column of the labels, if not that of `fit`.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare predictions with the labels of DATA; rows without a label are left out.

    Of rows and images, also how sure the error is, and how far the probabilities can be trusted.  Where the tags of
    sentences write down spans, as in chunking, their precision, recall and F1.
    """
    fitted, given = _open(model, data, labelled=True, label=label)
    classes = [plain(name) for name in fitted.estimator.classes_]
    truth, predicted, p = fitted.kind.compared(fitted.estimator, given)
    if not truth:
        raise InputError(f"{data}: expected labels to compare with, came none")
    flat = named_alike([name for row in truth for name in row], classes)
    result = count_errors(flat, [plain(name) for row in predicted for name in row])
    if p is not None:
        result |= certainty(flat, classes, p)
    elif spans := span_scores(truth, predicted):
        result |= {"spans": spans}
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False))
    else:
        _show_errors(result)


@app.command()
@exit_codes
def score(
    model: ModelArgument,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Data like those of `fit`.")],
) -> None:
    """Print u(x), an unnormalised log density, for each row of DATA (CSV): compare rows, never models."""
    from fewlabels.data.tables import to_csv

    fitted, given = _open(model, data, labelled=False)
    scores = fitted.estimator.score_samples(given.x)
    typer.echo(to_csv([{"row": name, "u": float(u)} for name, u in zip(given.names, scores, strict=True)]), nl=False)
    typer.echo("u(x) is an unnormalised log density: compare it between rows, not between models", err=True)


@app.command()
@exit_codes
def sample(
    model: ModelArgument,
    out: Annotated[Path, typer.Option(help="File: .csv for a table, .npz for images, .txt for sentences.")],
    n: Annotated[int, typer.Option("-n", min=1, help="How many.")] = 16,
) -> None:
    """Draw new rows, images (with a picture of them, if matplotlib is there) or sentences from the model."""
    fitted = _load(model)
    check_target(out, model, fitted.run)
    if out.suffix.lower() != fitted.kind.suffix:
        raise InputError(f"{out}: expected a name that ends in {fitted.kind.suffix} for samples of this model")
    for path, content in fitted.kind.samples(fitted.estimator.sample(n), out, fitted.run).items():
        write_atomically(path, content)


class _Fitted(NamedTuple):
    """A model with the settings of its run."""

    estimator: Any
    run: dict[str, Any]
    kind: Kind


def _load(model: Path) -> _Fitted:
    file = model_file(model)
    run = read_settings(file)
    from fewlabels import load

    return _Fitted(load(file), run, KINDS[run["kind"]])


def _open(model: Path, data: Path, labelled: bool, label: str | None = None) -> tuple[_Fitted, Data]:
    """Read the data, which must be of the kind the model was trained with, then the model."""
    run = read_settings(model_file(model))
    name = kind_of(data)
    if name != run["kind"]:
        raise InputError(f"{data}: expected {run['kind']} data, as the model was trained with, came {name} data")
    if label is not None:
        refuse_label(data, label, name)
        run["label"] = label
    given = KINDS[name].inputs(data, run, labelled)
    return _load(model), given


def _show_errors(result: dict[str, Any]) -> None:
    """What `evaluate` found, for people."""
    rows = [
        [name, str(one["examples"]), str(one["errors"]), f"{one['error']:.2%}"]
        for name, one in result["classes"].items()
    ]
    _show(["class", "examples", "errors", "error"], rows)
    confused = most_confused(result["confusion"], _CONFUSIONS)
    if confused:
        _show(["class", "taken for", "examples"], confused)
    if "spans" in result:
        columns = ("spans", "precision", "recall", "f1")
        _show(
            ["type", *columns],
            [
                [name or "all", str(one["spans"]), *(f"{one[column]:.2%}" for column in columns[1:])]
                for name, one in result["spans"].items()
            ],
        )
    typer.echo(f"error {result['error']:.2%}, accuracy {result['accuracy']:.2%} of {result['examples']} examples")
    if "error_interval" in result:
        low, high = result["error_interval"]
        typer.echo(
            f"on more such data, an error from {low:.2%} to {high:.2%} (95% interval); probabilities are "
            f"{100 * result['calibration_error']:.1f} points off what comes true, on average (calibration error)"
        )


def _show(headings: list[str], rows: list[list[str]]) -> None:
    table = Table(*headings)
    for row in rows:
        table.add_row(*row)
    Console(markup=False, highlight=False).print(table)
