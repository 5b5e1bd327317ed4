"""What a potential makes of its inputs on their way: layer by layer, and the features h(x) before its last layer."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from fewlabels.labels import Categorical
from fewlabels.layers import WeightNormConv, WeightNormLinear
from fewlabels.objective import noiseless

__all__ = ["LAYERS", "features", "hooked", "last_layer", "layers", "through_layers", "width"]

LAYERS = (WeightNormLinear, WeightNormConv, nn.Linear, nn.Conv2d)
"""The dense and convolutional layers, the package's and torch's."""


def through_layers(potential: nn.Module, x: Tensor, change: Callable[[Tensor], Tensor]) -> None:
    """Send x through a potential and ``change`` it at every station: x itself, then what each layer with weights gives.

    Layers are those of `LAYERS`.

    Examples
    --------
    >>> seen = []
    >>> through_layers(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)), torch.zeros(4, 2),
    ...     lambda z: seen.append(tuple(z.shape)) or z)
    >>> seen
    [(4, 2), (4, 3), (4, 1)]
    """
    with hooked(layers(potential), lambda layer, inputs, z: change(z)):
        potential(change(x))


def layers(potential: nn.Module) -> list[nn.Module]:
    """Its layers with weights, those of `LAYERS`, in the order of registration.

    Examples
    --------
    >>> layers(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))
    [Linear(in_features=2, out_features=3, bias=True)]
    """
    return [part for part in potential.modules() if isinstance(part, LAYERS)]


@contextmanager
def hooked(modules: Iterable[nn.Module], hook: Callable[[Any, Any, Tensor], Tensor]) -> Iterator[None]:
    """Meanwhile what a hook makes of a layer, its inputs and its output takes the output's place."""
    with ExitStack() as hooks:
        for layer in modules:
            hooks.callback(layer.register_forward_hook(hook).remove)
        yield


def features(potential: nn.Module, x: Tensor) -> tuple[Categorical, Tensor]:
    """u(x, ·) and h(x), (B, F), of one pass.

    Features are what enters `last_layer`.

    Examples
    --------
    >>> from fewlabels.tabular import MLP
    >>> features(MLP(4, 3, hidden=(6, 5)), torch.zeros(2, 4))[1].shape
    torch.Size([2, 5])
    """
    seen: list[Tensor] = []
    hook = last_layer(potential).register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].flatten(1)))
    try:
        labels = potential(x)
    finally:
        hook.remove()
    return labels, seen[-1]


@torch.no_grad()
def width(potential: nn.Module, x: Tensor) -> int:
    """F for inputs such as x, (B, ...); nothing random is drawn."""
    with noiseless(potential):
        return features(potential, x[:2])[1].shape[1]


def last_layer(potential: nn.Module) -> nn.Module:
    """The last submodule, in the order of registration, that has weights of its own.

    It is the head of the built-in networks, and of yours if it is written in the order of computation.
    """
    names = [name for name, part in potential.named_modules() if any(True for _ in part.parameters(recurse=False))]
    return potential.get_submodule(names[-1].split(".parametrizations")[0])  # whose weight is computed from others
