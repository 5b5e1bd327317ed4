r"""Batch normalisation while a network learns, folded into its weights afterwards.

.. math:: N(z) = (z - m) / s

with m and s the mean and standard deviation of each unit over the inputs, and pixels, at hand.  A network normalised in
this way would make u(x) of an input depend on its batch, so none of ours is; but some methods are nothing without it
(`fewlabels.objectives.ladder`).  While they train, each hidden layer passes N(z) on; then m and s of the training
inputs become part of its weights, W ← W / s and b ← (b - m) / s, and what is left is a network as before (Ioffe and
Szegedy, 2015, with γ = 1 and β = 0).
"""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from fewlabels.errors import InputError
from fewlabels.features import hooked, last_layer, layers
from fewlabels.layers import EPSILON, WeightNormLinear
from fewlabels.objective import noiseless

__all__ = ["fold", "normalised", "over_batches", "refuse_shared"]


def normalised(z: Tensor) -> Tensor:
    """N(z) of z, (B, F, ...); of a single number, 0.

    Examples
    --------
    >>> normalised(torch.tensor([[1.0, 7.0], [3.0, 7.0]])).round()
    tensor([[-1.,  0.],
            [ 1.,  0.]])
    """
    return torch.batch_norm(z, None, None, None, None, True, 0.0, EPSILON, False)


def over_batches(*potentials: nn.Module) -> AbstractContextManager[None]:
    """Meanwhile the hidden layers of potentials give N(z) for z.

    Hidden are the dense and convolutional layers, torch's or the package's, that have a bias, but for the last.
    """
    return hooked([layer for potential in potentials for layer in _hidden(potential)], _normalise)


@torch.no_grad()
def refuse_shared(potential: nn.Module, x: Tensor) -> None:
    """Refuse a potential that uses a hidden layer twice for x, (B, ...): no weights fold two normalisations.

    Raises
    ------
    InputError
        Naming the first such layer.
    """
    used: list[nn.Module] = []

    def hook(layer: Any, inputs: Any, z: Tensor) -> Tensor:
        if layer in used:
            name = next(name for name, part in potential.named_modules() if part is layer)
            raise InputError(
                f"Expected a network that uses each layer once, got one that uses {name!r} again: this method "
                "normalises over batches while it trains, which another, such as joint, does not."
            )
        used.append(layer)
        return z

    with noiseless(potential), hooked(_hidden(potential), hook):
        potential(x)


@torch.no_grad()
def fold(potential: nn.Module, x: Tensor) -> None:
    """Give the hidden layers weights of which their outputs on x, (B, ...), have mean 0 and deviation 1."""

    def hook(layer: Any, inputs: Any, z: Tensor) -> Tensor:
        variance, m = torch.var_mean(z.movedim(_axis(layer), 0).flatten(1), 1, correction=0)
        s = (variance + EPSILON).sqrt()
        scale, b = (layer.g, layer.b) if hasattr(layer, "g") else (layer.weight, layer.bias)
        scale.div_(s.view(-1, *[1] * (scale.dim() - 1)))
        b.sub_(m).div_(s)
        return _normalise(layer, inputs, z)

    with hooked(_hidden(potential), hook):
        potential(x)


def _normalise(layer: nn.Module, inputs: Any, z: Tensor) -> Tensor:
    """N(z) of a layer's output; no view of it, which an activation in place would make slow to differentiate."""
    return normalised(z) if _axis(layer) == 1 else normalised(z.movedim(-1, 1)).movedim(1, -1)


def _axis(layer: nn.Module) -> int:
    """Where a layer's output has its units: behind everything else if it is dense."""
    return -1 if isinstance(layer, nn.Linear | WeightNormLinear) else 1


def _hidden(potential: nn.Module) -> list[nn.Module]:
    """The layers that are normalised; weights that are computed from others, by a parametrisation, could not be set."""
    last = last_layer(potential)
    return [
        layer
        for layer in layers(potential)
        if layer is not last and (hasattr(layer, "g") or ("weight" in layer._parameters and layer.bias is not None))
    ]
