r"""No harm by default: whether, how strongly and in what steps to learn log p(x), decided on labels alone.

The usual failure of joint training is a weight on log p(x) that is too large, and it is silent.  So every candidate,
the supervised model among them, is trained on a part of the labels (and all unlabelled data) and judged on the rest, in
turns.  The candidate that gives the least probability to wrong labels,

.. math:: Σ_{(x, y)} \bigl(1 - p(y | x)\bigr),

is trained again on all labels, if it is ahead of the first, supervised training, by more than chance: with d the
difference of the two on each label, if

.. math:: Σ d > \sqrt{¼ + Σ d²},

the standard deviation of Σ d were every d as likely to be -d, and half a label, without which a handful of labels that
agree would seem certain.  If it is not, the first is trained.  The sum is the number of errors of a classifier that
draws from p(y | x): it varies less than the count of errors, which few labels make coarse, and unlike in the log loss
no single label decides.  Equal candidates are ranked by their order.

A candidate that diverges for good on one part of the labels counts as wrong everywhere.

Each candidate and fold costs a training run of 0.4 times the full length; of sentences, the pre-training that sees no
labels is run once, in full, for all of them.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fewlabels.errors import DivergenceError, InputError
from fewlabels.files import write_atomically
from fewlabels.methods import Setting

__all__ = ["Choice", "Judge", "candidates", "choose", "describe"]

SHORTER = 0.4
"""Training runs of the selection, relative to a full one."""

LEAD = 0.5
"""Labels that the lead over the first candidate has to exceed however sure it seems."""

Judge = Callable[[Setting, np.ndarray, np.ndarray, int], np.ndarray]
"""(setting, training rows, held-out rows, fold) -> 1 - p(y | x) of the held-out labels, one or several a row."""


class Choice(NamedTuple):
    """What was chosen.

    Attributes
    ----------
    setting
        The chosen one.
    reason
        One line for the user: what, and why.
    """

    setting: Setting
    reason: str


def candidates(weight: float | str, step_size: float | str, weights: Sequence[float]) -> list[Setting]:
    """The settings to compare: "auto" is open, a number is fixed; supervised training is among them for weight "auto".

    ``weights`` are those that "auto" stands for; with a step size that is open too, the smaller ones step half as far.
    """
    if weight != "auto":
        steps = [1.0, 0.5] if step_size == "auto" else [float(step_size)]
        return [Setting(float(weight), step) for step in steps]
    first = 1.0 if step_size == "auto" else float(step_size)
    later = 0.5 if step_size == "auto" else first
    return [Setting(0.0, first), *(Setting(w, first if w == max(weights) else later) for w in weights)]


def choose(
    settings: Sequence[Setting],
    judge: Judge,
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
    store: Path | None = None,
) -> Choice:
    """Judge every setting on every fold and take the best, or the first where the best is ahead of it by chance.

    Parameters
    ----------
    settings
        Candidates, in the order in which ties are broken.
    judge
        Trains and judges one setting on one fold.
    folds
        Pairs of training and held-out rows.
    store
        A JSON file in which finished verdicts are kept, so that an interrupted selection resumes; or None.
    """
    verdicts = _stored(store)
    judged: list[np.ndarray | None] = []
    for setting in settings:
        losses = []
        for fold, (train, held_out) in enumerate(folds):
            key = f"{setting.weight:g}/{setting.step_size:g}/{fold}"
            if key not in verdicts:
                verdicts[key] = _verdict(judge, setting, train, held_out, fold)
                if store is not None:
                    write_atomically(store, json.dumps(verdicts).encode())
            losses.append(verdicts[key])
        judged.append(None if any(loss is None for loss in losses) else np.concatenate(losses))
    scores = [1.0 if losses is None else float(losses.mean()) for losses in judged]
    best = min(range(len(scores)), key=scores.__getitem__)
    if _by_chance(judged[0], judged[best]):
        best = 0
    return Choice(settings[best], _reason(settings, scores, best, len(folds)))


def _by_chance(first: np.ndarray | None, best: np.ndarray | None) -> bool:
    """Whether the lead of what gives less probability to wrong labels over the first is no more than chance."""
    if first is None or best is None:
        return False  # what diverged is behind, by whatever
    lead = first - best
    return bool(lead.sum() <= np.hypot(LEAD, np.linalg.norm(lead)))


def _stored(store: Path | None) -> dict[str, list[float] | None]:
    """The verdicts that an interrupted selection left; none where there is no file."""
    if store is None or not store.exists():
        return {}
    try:
        return json.loads(store.read_text())
    except ValueError as error:
        raise InputError(
            f"Expected verdicts of fewlabels in {store}, got a file that cannot be read ({error}); delete it to start "
            "afresh."
        ) from error


def _verdict(judge: Judge, setting: Setting, train: np.ndarray, held_out: np.ndarray, fold: int) -> list[float] | None:
    """What a candidate is found to be; None where its run diverged for good."""
    try:
        return judge(setting, train, held_out, fold).tolist()
    except DivergenceError:
        return None


def _reason(settings: Sequence[Setting], scores: Sequence[float], best: int, folds: int) -> str:
    def percent(i: int) -> str:
        return f"{100 * scores[i]:.1f} %"

    others = [f"{percent(i)} {describe(settings[i])}" for i in range(len(settings)) if i != best]
    narrow = min(scores) < scores[best]
    return (
        f"chose {describe(settings[best])}: {percent(best)} of probability on wrong labels, against "
        f"{', '.join(others)}{', none of them ahead by more than chance' if narrow else ''}"
        f" ({folds}-fold cross-validation on the labels)"
    )


def describe(setting: Setting) -> str:
    """A setting in words."""
    if setting.weight == 0:
        return "supervised"
    return f"weight {setting.weight:g} of log p(x) and step size {setting.step_size:g}"
