"""Networks and players for tables and images on unit scale."""

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fewlabels.errors import InputError
from fewlabels.image import ConvGenerator, ConvNet
from fewlabels.labels import Categorical
from fewlabels.layers import initialise_from_data
from fewlabels.methods import VectorPlayers
from fewlabels.objectives.nrf import InclusiveNRF
from fewlabels.objectives.persistent_cd import PersistentCD
from fewlabels.tabular import MLP, MLPGenerator
from fewlabels.train import Stage

__all__ = ["Scores", "build_players", "build_potential", "empty_potential", "proposals"]

DENSE_NUMBERS = 1024
"""Images of at most so many numbers are read as vectors by the dense network."""

LATENT = 20
INITIAL = 500
"""Inputs by which weight-normalised layers are initialised."""

CHAINS = 5000


class Scores(nn.Module):
    """A network that returns a tensor of scores u(x, y), shape (B, K), as a potential."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Categorical:
        """u(x, ·) of x."""
        return Categorical(self.network(x))


def empty_potential(own: nn.Module | None, shape: Sequence[int], labels: int) -> nn.Module:
    """A potential for inputs of a shape, (D,) or (C, H, W): a copy of the user's, or the built-in one.

    Raises
    ------
    InputError
        Where the user's network does not give one score for each class.
    """
    if own is not None:
        return _checked(copy.deepcopy(own), shape, labels)
    if len(shape) == 1 or math.prod(shape) <= DENSE_NUMBERS:
        return MLP(math.prod(shape), labels, noise=0.5)
    return ConvNet(shape[0], labels)


def build_potential(own: nn.Module | None, data: Tensor, labels: int) -> nn.Module:
    """As `empty_potential`, with weight-normalised layers initialised from data, (N, ...)."""
    potential = empty_potential(own, data.shape[1:], labels)
    initialise_from_data(potential, data[:INITIAL])
    return potential


def build_players(own: nn.Module | None, potential: nn.Module, data: Tensor, effort: float) -> VectorPlayers:
    """What the methods need beside the potential: a generator onto the data's range, starts of chains."""
    low, high = data.amin(0), data.amax(0)
    if own is not None:
        generator = copy.deepcopy(own)
    elif isinstance(potential, ConvNet):
        generator = ConvGenerator(LATENT, low, high)
    else:
        generator = MLPGenerator(LATENT, low, high)
    start = data[torch.randint(len(data), (min(CHAINS, 10 * len(data)),))]
    start = start + 0.3 * torch.randn_like(start)
    names = {name for name, _ in potential.named_modules()}
    heads = tuple(name for name in ("head", "network.head") if name in names)
    return VectorPlayers(generator, start, heads, effort)


@torch.no_grad()
def proposals(stages: Sequence[Stage], count: int) -> Tensor | None:
    """Inputs from which to sample the model that the stages trained: a generator's, or persistent chains; or None."""
    for stage in reversed(stages):
        for part in stage.objective.modules():
            if isinstance(part, InclusiveNRF):
                return part.generator(torch.rand(count, part.latent))
            if isinstance(part, PersistentCD):
                return part.buffer[:count].clone()
    return None


def _checked(network: nn.Module, shape: Sequence[int], labels: int) -> nn.Module:
    training = network.training
    with torch.no_grad():
        out = network.eval()(torch.zeros(2, *shape))
    network.train(training)
    scores = out.scores if isinstance(out, Categorical) else out
    if not isinstance(scores, Tensor) or scores.shape != (2, labels):
        came = tuple(scores.shape) if isinstance(scores, Tensor) else type(out).__name__
        raise InputError(
            f"Expected the potential to map inputs of shape (2, {', '.join(map(str, shape))}) to scores of shape "
            f"(2, {labels}), one for each class, got {came}: change its last layer."
        )
    return network if isinstance(out, Categorical) else Scores(network)
