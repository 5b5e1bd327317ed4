"""A stage of training: one objective for a number of steps, and the record of what its steps looked like."""

from collections.abc import Sequence
from typing import NamedTuple

from fewlabels.objective import Objective
from fewlabels.optimizers import Maker, Schedule, constant

__all__ = ["Record", "Stage", "halvings"]


class Stage(NamedTuple):
    """One objective for a number of steps.

    Attributes
    ----------
    name
        What progress and curves call it.
    objective
        What is minimised, with its auxiliary players.
    steps
        How many optimiser steps.
    optimizer
        Makes the optimiser from (potential, objective): learning rates per player are its parameter groups.
    schedule
        Factor on every learning rate as a function of progress in [0, 1).
    average
        Decay of an exponential moving average of the potential's weights, which replaces them at the stage's end; 0
        keeps the last weights.
    clip
        Bound on the norm of the gradient of all parameters together; None leaves it.
    reset
        Names of submodules of the potential that are initialised again first, such as ``("head",)``; weight-normalised
        ones from labelled data.
    continues
        Whether the optimiser's running means go on from the stage before, which has the same players and the same kind
        of optimiser.
    normalised
        Whether hidden layers, a teacher's too, are normalised over each batch while the stage lasts; at its end what
        that does to inputs without labels becomes part of the potential's weights (`fewlabels.normalisation`).
    """

    name: str
    objective: Objective
    steps: int
    optimizer: Maker
    schedule: Schedule = constant
    average: float = 0.0
    clip: float | None = None
    reset: tuple[str, ...] = ()
    continues: bool = False
    normalised: bool = False


class Record(NamedTuple):
    """What a recorded step looked like; the losses are weighted, as minimised.

    ``halvings`` says how often the stage's learning rates had been halved, since training had diverged.
    """

    stage: str
    step: int
    values: dict[str, float]
    halvings: int = 0


def halvings(records: Sequence[Record]) -> int:
    """How often learning rates were halved in all stages, since training had diverged.

    Examples
    --------
    >>> first, second = [Record("first", 0, {}), Record("first", 9, {}, 2)], [Record("second", 0, {}, 1)]
    >>> halvings(first + second)
    3
    """
    ends = [i for i, record in enumerate(records) if record.step == 0] + [len(records)]
    return sum(records[i - 1].halvings for i in ends if i)
