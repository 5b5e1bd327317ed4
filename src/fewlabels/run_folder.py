"""The folder of a run on the command line: the model that is trained into it, and its learning curve.

Everything heavy is imported inside the functions, so that the command line answers at once.
"""

import hashlib
import importlib.util
import io
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewlabels.claim import LOCK, SETTINGS, in_hand, read_run
from fewlabels.errors import InputError
from fewlabels.exits import stop
from fewlabels.files import TEMPORARY, as_json, read_utf8, write_atomically
from fewlabels.kinds import KINDS, Data, plain

if TYPE_CHECKING:
    from fewlabels.data.pool import Pool

__all__ = [
    "CURVE",
    "check_out",
    "check_target",
    "digest",
    "draw_curve",
    "is_finished",
    "model_file",
    "read_settings",
    "read_summary",
    "tidy",
    "train_or_pause",
]

MODEL, SUMMARY, CURVE, CURVE_PICTURE = "model.safetensors", "summary.json", "curve.json", "curve.png"
"""What a folder holds in the end, beside the settings."""

CHECKPOINT, POOL, CURVE_STATE = "checkpoint", "pool", "curve-state.json"
"""What it holds meanwhile."""


def model_file(model: Path) -> Path:
    """The file of a model that is given by itself or by its folder."""
    if not model.exists():
        raise InputError(f"{model}: expected the folder that `fewlabels fit` wrote, came a path that does not exist")
    if model.is_dir() and not (model / MODEL).exists():
        raise InputError(f"{model}: expected a model in this folder, came none: run `fewlabels fit` to the end first")
    return model / MODEL if model.is_dir() else model


def read_settings(file: Path) -> dict[str, Any]:
    """The settings of the run whose model a file is."""
    run = read_run(file.parent)
    if run.get("kind") not in KINDS:
        raise InputError(f"{file.parent}: expected the run of `fewlabels fit`, came another: give the folder it wrote")
    return run


def check_out(out: Path, *data: Path | None) -> None:
    """Refuse a folder for a run inside a folder of its data, of which it would then be a part."""
    for folder in data:
        if folder is not None and folder.is_dir() and out.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{out}: expected a folder outside the data, {folder}: choose another --out")


def check_target(out: Path, model: Path, run: dict[str, Any], *read: Path) -> None:
    """Refuse to write over what is read, over the data of a run, or over what its folder holds, the model among it."""
    file = model_file(model)
    own = [file, *(file.parent / name for name in (SETTINGS, SUMMARY, CURVE, CURVE_PICTURE, CURVE_STATE))]
    data = [Path(run[name]) for name in ("data", "unlabelled") if run.get(name) is not None]
    if out.resolve() in [path.resolve() for path in (*own, *data, *read)]:
        raise InputError(f"{out}: expected another file than the data or those of the run: choose another --out")


def is_finished(out: Path) -> bool:
    """Whether a folder holds all that `fit` leaves, none of it damaged."""
    from fewlabels import load

    try:
        load(out / MODEL)
        return isinstance(json.loads(read_utf8(out / SUMMARY)), dict)
    except (InputError, ValueError):
        return False


def read_summary(out: Path) -> dict[str, Any]:
    """What `fit` told when it had finished, and where its model is now."""
    return json.loads(read_utf8(out / SUMMARY)) | {"model": str(out / MODEL)}


def train_or_pause(training: Data, run: dict[str, Any], out: Path, verbose: bool) -> None:
    """Train; upon Ctrl-C, say what was kept."""
    try:
        _train(training, run, out, verbose)
    except KeyboardInterrupt:
        if is_finished(out):
            stop(f"interrupted: the model is saved in {out}; the same command shows what it is", 130)
        if any((out / CHECKPOINT).glob("*")):
            stop(f"interrupted: the state is saved in {out / CHECKPOINT}; the same command resumes from it", 130)
        stop("interrupted before any state was saved: the same command starts again", 130)


def _train(training: Data, run: dict[str, Any], out: Path, verbose: bool) -> None:
    """Fit a model and save it with a summary; only then is the state of the fit forgotten."""
    from fewlabels import SemiSupervisedClassifier, SemiSupervisedTagger

    checkpoint = out / CHECKPOINT
    estimator: Any
    if run["kind"] == "sequences":
        estimator = SemiSupervisedTagger(
            run["method"], random_state=run["seed"], verbose=verbose, checkpoint=checkpoint
        )
    else:
        estimator = SemiSupervisedClassifier(
            run["method"], random_state=run["seed"], verbose=verbose, checkpoint=checkpoint,
            accelerator=run["accelerator"],
        )  # fmt: skip
    start = time.perf_counter()
    with _pooled(training.text, out / POOL) as pool:
        more = {} if pool is None else {"pool": pool}
        state = estimator.fit_keeping_state(training.x, training.y, **more)
        seconds = time.perf_counter() - start
        estimator.save(out / MODEL)
        labelled = sum(label is not None and label != -1 for label in training.y)
        summary = {
            "method": run["method"],
            "labelled": labelled,
            "unlabelled": len(training.y) - labelled + (0 if pool is None else len(pool)),
            "classes": [plain(name) for name in estimator.classes_],
            "choice": estimator.choice_,
            "seconds": round(seconds, 1),
        }
        write_atomically(out / SUMMARY, as_json(summary))
        state.done()


def tidy(out: Path) -> None:
    """Remove what a finished run no longer needs, and what interrupted ones may have left half made."""
    for path in (out / CHECKPOINT, out / POOL, *out.glob(f"{TEMPORARY}*")):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path != out / LOCK:
            path.unlink(missing_ok=True)


@contextmanager
def _pooled(text: Path | None, folder: Path) -> Iterator["Pool | None"]:
    """Text, tokenised into a folder that stays where work on it may be resumed; None where there is none."""
    from fewlabels.data.pool import Pool, write_pool
    from fewlabels.data.shards import stream_text

    if text is None:
        yield None
        return
    if not folder.exists():
        write_pool(stream_text(text), folder)
    try:
        yield Pool(folder)
    except InputError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def draw_curve(file: Path, run: dict[str, Any], verbose: bool) -> None:
    """Fit with shares of the labels and write the outcome beside the model."""
    with in_hand(file.parent):
        _draw_curve(file, run, verbose)


def _draw_curve(file: Path, run: dict[str, Any], verbose: bool) -> None:
    from fewlabels import LearningCurve, load
    from fewlabels.machine import device_of, processes

    unlabelled = None if run["unlabelled"] is None else Path(run["unlabelled"])
    training = KINDS[run["kind"]].training(Path(run["data"]), unlabelled, run["label"])
    if digest(training) != run["data_sha256"]:
        raise InputError(f"{run['data']}: expected the data that the model was fitted to, came others: fit it anew")
    estimator = load(file).set_params(random_state=run["seed"])
    device = device_of("cpu" if run["kind"] == "sequences" else run["accelerator"])
    state = file.parent / CURVE_STATE
    with _pooled(training.text, file.parent / POOL) as pool:
        found = LearningCurve.of(
            estimator, training.x, training.y, pool=pool, n_jobs=processes(device), checkpoint=state, verbose=verbose
        )
    if importlib.util.find_spec("matplotlib"):
        from fewlabels.diagrams import learning_curve_diagram

        stream = io.BytesIO()
        learning_curve_diagram(found).savefig(stream, format="png", dpi=150)
        write_atomically(file.parent / CURVE_PICTURE, stream.getvalue())
    told = {
        "labelled": found.labelled.tolist(),
        "errors": found.errors.tolist(),
        "standard_errors": found.standard_errors.tolist(),
        "gain": found.gain,
        "gain_standard_error": found.gain_standard_error,
        "verdict": found.verdict,
    }
    write_atomically(file.parent / CURVE, as_json(told))
    state.unlink(missing_ok=True)


def digest(data: Data) -> str:
    """Return a hash of the inputs and labels, by which a run knows its data again."""
    import numpy as np

    from fewlabels.data.shards import stream_text

    hashed = hashlib.sha256(repr(list(data.y)).encode())
    for words in stream_text(data.text) if data.text else ():
        hashed.update((" ".join(words) + "\n").encode())
    if isinstance(data.x, np.ndarray):
        hashed.update(repr(data.x.shape).encode() + data.x.tobytes())
    else:
        hashed.update(repr(data.x).encode())
    return hashed.hexdigest()
