"""Makers of optimisers with a learning rate for each player, and schedules of the rates.

A maker is called with (potential, objective); a schedule maps progress in [0, 1) to a factor.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from fewlabels.objective import Objective
from fewlabels.rmsprop import RMSprop

__all__ = [
    "Maker",
    "Schedule",
    "adam",
    "constant",
    "cosine",
    "drop",
    "groups",
    "head_alone",
    "heads",
    "hold",
    "inverse_root",
    "momentum",
    "rmsprop",
    "warm",
]

Maker = Callable[[nn.Module, Objective], torch.optim.Optimizer]
Schedule = Callable[[float], float]


def constant(progress: float) -> float:
    """The learning rate as it is."""
    return 1.0


def cosine(progress: float) -> float:
    """Down to 0 along half a cosine."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def warm(steps: float, schedule: Schedule) -> Schedule:
    """A schedule that starts from 0 and rises in a straight line over the first part, ``steps`` of progress."""
    return lambda progress: min(1.0, progress / steps) * schedule(progress)


def hold(until: float) -> Schedule:
    """1 up to a point, then down to 0 in a straight line."""
    return lambda progress: 1.0 if progress < until else (1 - progress) / (1 - until)


def drop(at: float, factor: float = 0.1) -> Schedule:
    """1 up to a point, then a constant factor."""
    return lambda progress: 1.0 if progress < at else factor


def inverse_root(steps: int) -> Schedule:
    """The paper's for sentences: min(t, 100) / 100 / (1 + 0.005 √t) at the t-th of so many steps, from t = 1.

    Examples
    --------
    >>> [round(0.1 * inverse_root(40_000)((t - 1) / 40_000), 4) for t in (1, 100, 1_000, 10_000, 40_000)]
    [0.001, 0.0952, 0.0863, 0.0667, 0.05]
    """

    def factor(progress: float) -> float:
        t = round(progress * steps) + 1
        return min(t, 100) / 100 / (1 + 0.005 * math.sqrt(t))

    return factor


def heads(potential: nn.Module) -> tuple[str, ...]:
    """The name of a potential's head, its submodule ``head`` or that of a network of scores; none where there is none.

    Examples
    --------
    >>> from fewlabels.tabular import MLP
    >>> heads(MLP(2, 3)), heads(nn.Linear(2, 3))
    (('head',), ())
    """
    names = dict(potential.named_modules())
    return tuple(name for name in ("head", "network.head") if name in names)


def _head_parameters(potential: nn.Module) -> set[int]:
    """The ids of the head's parameters."""
    return {id(p) for name in heads(potential) for p in potential.get_submodule(name).parameters()}


def groups(
    potential: nn.Module, objective: Objective, rate: float, player_rate: float | None, head_rate: float | None
) -> list[dict[str, Any]]:
    """Parameter groups with a learning rate each: the potential's body, its head, and the objective's players.

    None stands for ``rate``.  Groups without parameters are left out.
    """
    head = _head_parameters(potential)
    rates = {
        "body": rate,
        "head": rate if head_rate is None else head_rate,
        "players": rate if player_rate is None else player_rate,
    }
    parameters = {
        "body": [p for p in potential.parameters() if id(p) not in head],
        "head": [p for p in potential.parameters() if id(p) in head],
        "players": list(objective.parameters()),
    }
    return [{"params": parameters[name], "lr": rates[name]} for name in rates if parameters[name]]


def adam(
    rate: float,
    player_rate: float | None = None,
    head_rate: float | None = None,
    betas: tuple[float, float] = (0.9, 0.999),
) -> Maker:
    """One Adam for the potential and the objective's players; see `groups` for the rates."""
    return lambda potential, objective: torch.optim.Adam(
        groups(potential, objective, rate, player_rate, head_rate), betas=betas, fused=True
    )


def momentum(rate: float) -> Maker:
    """Stochastic gradient descent with momentum 0.9, for the potential and the players alike."""
    return lambda potential, objective: torch.optim.SGD(
        groups(potential, objective, rate, None, None), momentum=0.9, fused=True
    )


def head_alone(maker: Maker) -> Maker:
    """The same steps for the potential's head alone; its body and the players stay as they are."""

    def make(potential: nn.Module, objective: Objective) -> torch.optim.Optimizer:
        optimizer = maker(potential, objective)
        head = _head_parameters(potential)
        for group in optimizer.param_groups:
            group["params"] = [p for p in group["params"] if id(p) in head]
        optimizer.param_groups[:] = [group for group in optimizer.param_groups if group["params"]]
        return optimizer

    return make


def rmsprop(rate: float, player_rate: float | None = None, head_rate: float | None = None) -> Maker:
    """One `fewlabels.rmsprop.RMSprop` for the potential and the objective's players; see `groups` for the rates."""
    return lambda potential, objective: RMSprop(groups(potential, objective, rate, player_rate, head_rate))
