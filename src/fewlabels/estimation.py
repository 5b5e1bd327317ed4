"""What the estimators share: from parameters and labels to a chosen setting and a trained model."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from torch import Tensor, nn

from fewlabels.checkpoint import Checkpoint
from fewlabels.errors import DivergenceError, InputError
from fewlabels.files import TEMPORARY, write_atomically
from fewlabels.fingerprint import fingerprint
from fewlabels.methods import SUPERVISED, Setting
from fewlabels.progress import Report
from fewlabels.selection import SHORTER, Choice, candidates, choose, describe
from fewlabels.stage import Record, halvings

__all__ = [
    "Resumable",
    "Trainer",
    "check_parameters",
    "choose_and_train",
    "load_weights",
    "restore_common",
    "saved_model",
    "seeded",
    "settings_of",
]

NOT_SAVED = (
    "potential",
    "generator",
    "augmentation",
    "recipe",
    "vectors",
    "start",
    "random_state",
    "checkpoint",
    "verbose",
)
"""Parameters that a model file leaves out."""

NOT_TRAINED_BY = ("vectors", "start", "random_state", "checkpoint", "verbose")
"""Parameters that do not tell what is trained: files, whose contents do, and the seed, which a state holds beside."""

RESOLUTION = 10_000
WEIGHTS_OF = "potential."
"""Prefix of the potential's weights among a model file's tensors."""
STATE_FILES = ("choice.json", "pretraining.pt", "training.pt", "fit.json")
"""In the order in which they are removed: what tells whose they are stays longest."""

Model = TypeVar("Model", covariant=True)


class Trainer(Protocol[Model]):
    """Trains once: on the labels of some rows, under a setting, with a share of the full number of steps."""

    def __call__(
        self, rows: np.ndarray, setting: Setting, share: float, run: int, report: Report, checkpoint: Checkpoint | None
    ) -> Model:
        """The trained model."""
        ...


class Trained(Protocol):
    """The outcome of a training run: a model, and its records."""

    @property
    def history(self) -> list[Record]:
        """Of all stages."""
        ...


Fitted = TypeVar("Fitted", bound=Trained)


def check_parameters(estimator: BaseEstimator, named: Mapping[str, Iterable[str]]) -> None:
    """Refuse parameters that mean nothing, naming what was expected; ``named`` are those that are one of some names."""
    given = estimator.get_params(deep=False)
    for parameter, names in named.items():
        if given[parameter] not in names:
            raise InputError(f"Expected {parameter} to be one of {', '.join(names)}, got {given[parameter]!r}.")
    for name in ("weight", "step_size", "effort"):
        value = given.get(name, 1.0)
        open_to_choice = name != "effort" and value == "auto"
        lowest = 0 if name == "weight" else np.nextafter(0, 1)
        if not open_to_choice and (not isinstance(value, int | float | np.number) or not lowest <= value < np.inf):
            kind = "a positive number" if name != "weight" else "a number of 0 or more"
            raise InputError(f"Expected {name} to be {kind}{' or auto' if name != 'effort' else ''}, got {value!r}.")
    if not isinstance(given["folds"], Integral) or given["folds"] < 2:
        raise InputError(f"Expected folds to be an integer of at least 2, got {given['folds']!r}.")


def settings_of(method: str, weight: float | str, step_size: float | str, weights: Sequence[float]) -> list[Setting]:
    """The settings among which a method has to choose: from 0 and ``weights``; one where there are none to choose."""
    if method == "supervised" or weight == 0:
        return [SUPERVISED]
    if weights:
        return candidates(weight, step_size, weights)
    return [Setting(1.0 if weight == "auto" else float(weight), 1.0 if step_size == "auto" else float(step_size))]


def choose_and_train(
    settings: Sequence[Setting],
    rows: np.ndarray,
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
    train: Trainer[Fitted],
    judge: Callable[[Fitted, np.ndarray], np.ndarray],
    folder: Path | None,
    report: Report,
) -> tuple[Choice, Fitted]:
    """Choose among settings by cross-validation: the choice, and the model trained on all labels under it.

    Should the chosen one then diverge for good, supervised training takes its place, and the reason says so; it also
    says where divergence had to be mended.

    Parameters
    ----------
    settings
        Candidates; with a single one nothing is chosen.
    rows
        All labelled rows.
    folds
        Pairs of (training, held-out) labelled rows.
    train
        Trains once.
    judge
        1 - p(y | x), (n,), of a trained model on held-out rows.
    folder
        Where an interrupted run keeps its state, or None.
    report
        Told of overall progress.
    """
    runs = len(settings) * len(folds) if len(settings) > 1 else 0
    overall = _Overall(report, SHORTER * runs + 1)

    def verdict(setting: Setting, kept: np.ndarray, held_out: np.ndarray, fold: int) -> np.ndarray:
        label = f"trying {describe(setting)}"
        return judge(train(kept, setting, SHORTER, fold + 1, overall.run(SHORTER, label), None), held_out)

    if runs:
        choice = choose(settings, verdict, folds, None if folder is None else folder / "choice.json")
    else:
        choice = Choice(settings[0], f"used {describe(settings[0])}, as given: nothing was left to choose")
    checkpoint = None if folder is None else Checkpoint(folder / "training.pt")
    try:
        model = train(rows, choice.setting, 1.0, 0, overall.run(1.0, "training"), checkpoint)
    except DivergenceError:
        if not runs:
            raise
        choice = Choice(
            SUPERVISED, f"{choice.reason}; it diverged on all labels, so supervised training took its place"
        )
        model = train(rows, SUPERVISED, 1.0, 0, overall.run(0.0, "training, supervised"), None)
    times = halvings(model.history)
    if times:
        choice = choice._replace(
            reason=f"{choice.reason}; training diverged, went back and was mended: step sizes were halved {times} x"
        )
    return choice, model


class _Overall:
    """Progress over several runs of unequal length, as one count."""

    def __init__(self, report: Report, length: float) -> None:
        self._report, self._length, self._before = report, length, 0.0

    def run(self, share: float, label: str) -> Report:
        """The report of the next run, which takes a share of the whole."""
        before = self._before
        self._before += share

        def report(stage: str, done: int, total: int) -> None:
            position = (before + share * done / total) / self._length
            self._report(f"{label}: {stage}", round(RESOLUTION * position), RESOLUTION)

        return report


class Resumable:
    """The state folder of a fit: tied to its data and parameters, and empty again once the fit is done.

    The user's own networks, recipe and functions are among the parameters.

    Parameters
    ----------
    estimator
        Its parameters, and its ``checkpoint``, a folder or None.
    data
        What it is fitted to.

    Attributes
    ----------
    folder
        Where state goes; None where nothing is kept.
    seed
        Of everything random: drawn from the estimator's ``random_state``, and the same when the fit resumes, which
        another integer there does not.

    Raises
    ------
    InputError
        Where the folder holds the state of another fit, or cannot be made.
    """

    def __init__(self, estimator: BaseEstimator, *data: Any) -> None:
        given = estimator.get_params(deep=False)
        self.folder = None if given["checkpoint"] is None else Path(given["checkpoint"])
        self.seed = int(check_random_state(given["random_state"]).randint(2**31))
        if self.folder is None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"Expected checkpoint to be a folder that can be made, {self.folder}, got: {error.strerror}."
            ) from error
        trained_by = {name: value for name, value in given.items() if name not in NOT_TRAINED_BY}
        self._claim(
            self.folder / "fit.json", fingerprint(trained_by, *data), isinstance(given["random_state"], Integral)
        )

    def _claim(self, path: Path, key: str, seeded: bool) -> None:
        if not path.exists():
            write_atomically(path, json.dumps({"fingerprint": key, "seed": self.seed}).encode())
        try:
            held = json.loads(path.read_text())
            found, seed = held["fingerprint"], held["seed"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"Expected the state of a fit of fewlabels in {path}, got a file that cannot be read ({error!r}): "
                "delete its folder to start afresh."
            ) from error
        if found != key or (seeded and seed != self.seed):
            raise InputError(
                f"Expected the state of this very fit in {path.parent}, got that of other data or parameters: choose "
                "another checkpoint folder or delete it."
            )
        self.seed = seed

    def done(self) -> None:
        """Forget the state of a finished fit."""
        if self.folder is not None:
            for path in (*map(self.folder.joinpath, STATE_FILES), *self.folder.glob(f"{TEMPORARY}*")):
                path.unlink(missing_ok=True)


@contextmanager
def seeded(seed: int, run: int) -> Iterator[None]:
    """Draw from torch's global generator as seeded by (seed, run), and give it back as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed + 7919 * run)
        yield


def saved_model(estimator: Any, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a model file keeps of either fitted estimator: its description and its weights, as they were trained."""
    given = estimator.get_params(deep=False)
    description = {
        "kind": kind,
        "network": type(estimator._potential).__name__,
        "parameters": {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in given.items()
            if name not in NOT_SAVED
        },
        "classes": estimator.classes_.tolist(),
        "choice": estimator.choice_,
        "setting": list(estimator.setting_),
    }
    weights = estimator._potential.state_dict()
    return description, {f"{WEIGHTS_OF}{name}": value.float() for name, value in weights.items()}


def restore_common(estimator: Any, description: dict[str, Any]) -> None:
    """Give a fresh estimator what `saved_model` kept, but for the weights."""
    estimator.classes_ = np.array(description["classes"])
    estimator.choice_, estimator.setting_ = description["choice"], Setting(*description["setting"])
    estimator.history_ = []


def load_weights(potential: nn.Module, network: str, tensors: dict[str, Tensor]) -> None:
    """Put a model file's weights into a potential.

    Raises
    ------
    InputError
        Where the file was written by another network than this.
    """
    weights = {name.removeprefix(WEIGHTS_OF): value for name, value in tensors.items() if name.startswith(WEIGHTS_OF)}
    try:
        potential.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            f"Expected the network that the model was trained with, {network}, got {type(potential).__name__} of other "
            "parameters: give the same network to load(path, potential=...)."
        ) from error
    potential.eval()
