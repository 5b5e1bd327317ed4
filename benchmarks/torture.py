"""Kill training, drive it out of bounds, feed it nonsense, and see that it ends as promised.

``make torture``.  A killed run, started again, ends in the identical model; absurd settings are mended or refused, and
nothing is ever NaN; bad input ends with code 2 and one line, and nothing is written.
"""

import os
import random
import resource
import shlex
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from itertools import product
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import make_blobs
from typer.testing import CliRunner

import fewlabels
from fewlabels import SemiSupervisedClassifier
from fewlabels.cli import app
from fewlabels.errors import DivergenceError
from fewlabels.model_file import read_model

KILLS = {"joint": ("choice.json", "training.pt"), "pretrain": ("training.pt", "training.pt")}
"""In each trial of a method, a kill soon after each of these files was saved."""

PATIENCE = 60.0
"""Seconds within which a started fit must have saved its state."""

QUICK = """
import fewlabels
for estimator in (fewlabels.SemiSupervisedClassifier, fewlabels.SemiSupervisedTagger):
    estimator.__init__.__kwdefaults__["effort"] = {effort}
"""
"""Shortens every fit of the command line, which has no option for that."""

FIT = (
    QUICK.format(effort=0.1)
    + """
from fewlabels.checkpoint import Checkpoint
Checkpoint.__init__.__defaults__ = (0.1,)  # seconds between saves, in place of 20
from fewlabels.cli import main
main()
"""
)


def start_fit(out: Path, method: str) -> subprocess.Popen[bytes]:
    """Start ``fewlabels fit`` on the table."""
    options = ["fit", "table.csv", "--label", "y", "--seed", "0", "--json", "--method", method, "--out", str(out)]
    return subprocess.Popen([sys.executable, "-c", FIT, *options], stdout=subprocess.DEVNULL)


def kill_after(state: str, out: Path, method: str, delay: float) -> None:
    """Start the fit and kill it so many seconds after it has saved a file of its state."""
    process, started = start_fit(out, method), time.time()
    saved = out / "checkpoint" / state
    while process.poll() is None and time.time() - started < PATIENCE:
        with suppress(FileNotFoundError):
            if saved.stat().st_mtime > started:
                time.sleep(delay)
                process.kill()
                process.wait()
                return
        time.sleep(0.01)
    process.kill()
    raise RuntimeError(f"Expected `fit` to save {saved} before it ends, got code {process.wait()}.")


def ended(out: Path, method: str) -> Path:
    """Run the fit to its end."""
    if code := start_fit(out, method).wait():
        raise RuntimeError(f"Expected `fit` to end well in {out}, got code {code}.")
    return out


def same_model(one: Path, other: Path) -> bool:
    """Whether two model files hold the same tensors, bit by bit."""
    ours, theirs = (read_model(path / "model.safetensors")[1] for path in (one, other))
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def kill_trials(methods: Sequence[str]) -> Iterator[bool]:
    """One trial for each method named: the model of a run that was killed against that of one that was not."""
    draw = random.Random(0)
    Path("table.csv").write_text(blobs_table())
    whole = {method: ended(Path(f"whole-{method}"), method) for method in dict.fromkeys(methods)}
    for trial, method in enumerate(methods):
        out = Path(f"killed-{trial}")
        for state in KILLS[method]:
            kill_after(state, out, method, draw.uniform(0, 0.3))
        same = same_model(whole[method], ended(out, method))
        yield report(f"kill {method} after it had saved {' and '.join(KILLS[method])}", same)


def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Three clouds of points, (N, 8), of which 24 have labels."""
    x, truth = make_blobs(200, n_features=8, centers=3, cluster_std=4.0, random_state=0)
    y = truth.copy()
    y[24:] = -1
    return x, y


def blobs_table() -> str:
    """The same as comma-separated values."""
    x, y = blobs()
    rows = (
        ",".join([*map(repr, row), "" if label < 0 else f"c{label}"]) for row, label in zip(x.tolist(), y, strict=True)
    )
    return "\n".join([",".join([*(f"x{i}" for i in range(x.shape[1])), "y"]), *rows]) + "\n"


def end_of(estimator: SemiSupervisedClassifier) -> str:
    """How a fit ends: "finite", "refused", or what went wrong."""
    x, y = blobs()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            estimator.fit(x, y)
        except DivergenceError:
            return "refused"
        outcomes = [estimator.predict_proba(x), estimator.score_samples(x)]
    weights = estimator._potential.state_dict().values()
    if caught:
        return f"warned: {caught[0].message}"
    finite = all(np.isfinite(values).all() for values in outcomes) and all(w.isfinite().all() for w in weights)
    return "finite" if finite else "not finite"


def divergence_trials() -> Iterator[bool]:
    """Settings that no data stand: mended into a finite model, or refused."""
    for method, (weight, step_size) in product(("joint", "persistent_cd"), ((1e3, 1.0), (1.0, 1e4), (1e3, 1e6))):
        end = end_of(SemiSupervisedClassifier(method, weight=weight, step_size=step_size, effort=0.1, random_state=0))
        yield report(f"{method}, weight {weight:g}, step size {step_size:g}: {end}", end in ("finite", "refused"))


def default_trials() -> Iterator[bool]:
    """The untouched default on the same data."""
    for method in ("joint", "persistent_cd"):
        end = end_of(SemiSupervisedClassifier(method, effort=0.05, random_state=0))
        yield report(f"{method}, default: {end}", end == "finite")


TABLE = "a,b,y\n0,0,u\n0,1,u\n1,1,u\n9,9,v\n9,8,v\n8,8,v\n1,0,\n8,9,\n"
FILES = {
    "good.csv": TABLE,
    "none.csv": "a,y\n1,\n2,\n3,\n",
    "one.csv": "a,y\n1,u\n2,u\n3,\n",
    "single.csv": "a,y\n1,u\n2,u\n3,v\n4,\n",
    "nan.csv": TABLE.replace("9,8", "nan,8"),
    "inf.csv": TABLE.replace("9,8", "inf,8"),
    "word.csv": TABLE.replace("9,8", "nine,8"),
    "short.csv": TABLE.replace("9,8,v", "9,v"),
    "real.csv": "a,y\n1,0.5\n2,0.5\n3,1.5\n4,1.5\n",
    "other.csv": "a,c\n1,2\n",
    "head.csv": "a,b,y\n",
    "latin.csv": "a,b,y\n1,2,\udce9t\udce9\n",
    "empty.conll": "\n\n",
    "ragged.conll": "dogs NOUN\nbark\n\ncats NOUN\n",
    "alike.conll": "dogs NOUN\n\ncats NOUN\n",
    "lonely.conll": "dogs NOUN\nbark VERB\n",
    "good.conll": "dogs NOUN\nbark VERB\n\ncats NOUN\nsleep VERB\n",
    "blank.txt": "\n",
    "fake.parquet": "PAR1",
    "fake.npz": "no archive",
    "sheet.xlsx": "x",
    "fakes/u/0.png": "no image",
    "fakes/v/0.png": "no image",
    "file": "x",
    "half/run.json": "{}",
}

BAD_INPUT = {
    "no labelled row": "fit none.csv --label y --out new",
    "one class only": "fit one.csv --label y --out new",
    "a class with one example": "fit single.csv --label y --out new",
    "NaN": "fit nan.csv --label y --out new",
    "infinity": "fit inf.csv --label y --out new",
    "text for a number": "fit word.csv --label y --out new",
    "a row with a cell missing": "fit short.csv --label y --out new",
    "labels of an unknown type": "fit real.csv --label y --out new",
    "no rows": "fit head.csv --label y --out new",
    "not UTF-8": "fit latin.csv --label y --out new",
    "a column that does not exist": "fit good.csv --label z --out new",
    "no column of labels": "fit good.csv --out new",
    "unlabelled data of other columns": "fit good.csv --label y --unlabelled other.csv --out new",
    "no such file": "fit absent.csv --label y --out new",
    "a file of unknown kind": "fit sheet.xlsx --out new",
    "no Parquet": "fit fake.parquet --label y --out new",
    "no archive": "fit fake.npz --out new",
    "no images": "fit fakes --out new",
    "images of two sizes": "fit sizes --out new",
    "an empty CoNLL file": "fit empty.conll --out new",
    "a ragged CoNLL file": "fit ragged.conll --out new",
    "one tag only": "fit alike.conll --out new",
    "one sentence only": "fit lonely.conll --out new",
    "empty unlabelled text": "fit good.conll --unlabelled blank.txt --out new",
    "a folder that holds another run": "fit good.csv --label y --seed 1 --out table",
    "a file in place of a folder": "fit good.csv --label y --out file",
    "a damaged checkpoint": "fit good.csv --label y --json --method supervised --out torn",
    "a damaged choice": "fit good.csv --label y --json --out torn-choice",
    "other columns at predict": "predict table other.csv",
    "NaN at predict": "predict table nan.csv",
    "images of another size at predict": "predict images other-images",
    "another kind of data": "predict table good.conll",
    "an empty sentence file": "predict words blank.txt",
    "a truncated model": "predict truncated good.csv",
    "a foreign model": "predict foreign good.csv",
    "a folder without a model": "predict half good.csv",
    "no such model": "predict absent good.csv",
    "no labels to evaluate": "evaluate table more.csv",
    "a curve of few labels": "curve table",
    "a curve of few sentences": "curve words",
    "a curve of a truncated model": "curve truncated",
    "a curve of a folder without a model": "curve half",
    "the data as output": "predict table good.csv --out good.csv",
    "no such folder for output": "predict table good.csv --out absent/r.csv",
    "samples of another kind": "sample table --out r.npz",
    "no space left for a run": "fit good.csv --label y --json --out new",
    "no space left for a result": "predict table good.csv --out r.csv",
}


def make_files() -> None:
    """Good and bad files of every kind, and models: whole, truncated, foreign and half trained."""
    for name, text in FILES.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(text.encode(errors="surrogateescape"))
    Path("more.csv").write_text("a,b\n7,7\n")
    for folder, sizes in {"pictures": (8, 8), "sizes": (8, 9), "other-images": (9, 9)}.items():
        for label, size in zip("uv", sizes, strict=True):
            Path(folder, label).mkdir(parents=True)
            for i in range(3):
                pixels = np.random.default_rng(i).integers(0, 256, (size, size), dtype=np.uint8)
                Image.fromarray(pixels).save(Path(folder, label, f"{i}.png"))
    for out, data in {"table": "good.csv --label y", "images": "pictures", "words": "good.conll"}.items():
        result = call(f"fit {data} --json --method supervised --out {out}")
        if result[0]:
            raise RuntimeError(result[1])
    fitted = Path("table/model.safetensors").read_bytes()
    for out in ("truncated", "foreign"):
        Path(out).mkdir()
        Path(out, "run.json").write_bytes(Path("table/run.json").read_bytes())
    Path("truncated/model.safetensors").write_bytes(fitted[: len(fitted) // 2])
    save_file({"weight": torch.zeros(2)}, "foreign/model.safetensors")
    for out, (method, name) in {"torn": ("supervised", "training.pt"), "torn-choice": ("joint", "choice.json")}.items():
        call(f"fit good.csv --label y --json --method {method} --out {out}")
        for written in ("summary.json", "model.safetensors"):
            Path(out, written).unlink()
        Path(out, "checkpoint").mkdir()
        Path(out, "checkpoint", name).write_text("{torn")
        call(f"fit good.csv --label y --json --method {method} --out {out}")  # refused, too; notes whose state this is


def call(command: str) -> tuple[int, str]:
    """The exit code and standard error of a command of `fewlabels`; an exception that escapes is its text."""
    result = CliRunner().invoke(app, shlex.split(command))
    escaped = result.exception is not None and not isinstance(result.exception, SystemExit)
    return result.exit_code, f"Traceback: {result.exception!r}" if escaped else result.stderr


def content() -> dict[str, bytes]:
    """Every file under the working folder."""
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in Path().rglob("*")}


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond a few bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def bad_input_trials() -> Iterator[bool]:
    """Commands that cannot work: code 2, one line on standard error, nothing written."""
    exec(QUICK.format(effort=0.01), {"fewlabels": fewlabels})
    make_files()
    for name, command in BAD_INPUT.items():
        before = content()
        with full_disk() if name.startswith("no space left") else nullcontext():
            code, message = call(command)
        refused = code == 2 and message.count("\n") == 1 and message.startswith("error: ")
        untouched = content() == before
        words = message.strip().removeprefix("error: ") or "no message"
        yield report(
            f"{name}: code {code}, {words[:100]}{'' if untouched else ' (files were written)'}", refused and untouched
        )


@contextmanager
def working_folder() -> Iterator[None]:
    """A new folder to work in, removed afterwards."""
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(home)


def report(line: str, caught: bool) -> bool:
    """Print a trial and hand its outcome on."""
    print(f"{'ok    ' if caught else 'FAILED'} {line}", flush=True)
    return caught


def main() -> int:
    """Run every trial, in a folder that is removed afterwards; 1 where one failed."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    trials: dict[str, Callable[[], Iterator[bool]]] = {
        "kill": lambda: kill_trials(["joint", "pretrain", "joint", "pretrain", "joint"]),
        "divergence": divergence_trials,
        "default": default_trials,
        "bad input": bad_input_trials,
    }
    outcomes = {}
    for name, trial in trials.items():
        with working_folder():
            outcomes[name] = list(trial())
    for name, caught in outcomes.items():
        print(f"{name} caught {sum(caught)}/{len(caught)}")
    return 0 if all(map(all, outcomes.values())) else 1


if __name__ == "__main__":
    sys.exit(main())
