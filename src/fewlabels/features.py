"""What a potential makes of its inputs before its last layer decides: the features h(x)."""

import torch
from torch import Tensor, nn

from fewlabels.labels import Categorical

__all__ = ["features", "width"]


def features(potential: nn.Module, x: Tensor) -> tuple[Categorical, Tensor]:
    """u(x, ·) and h(x), (B, F), of one pass.

    The last layer is the last submodule, in the order of registration, that has weights of its own: the head of the
    built-in networks, and of yours if it is written in the order of computation.

    Examples
    --------
    >>> from fewlabels.tabular import MLP
    >>> features(MLP(4, 3, hidden=(6, 5)), torch.zeros(2, 4))[1].shape
    torch.Size([2, 5])
    """
    seen: list[Tensor] = []
    hook = _last(potential).register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].flatten(1)))
    try:
        labels = potential(x)
    finally:
        hook.remove()
    return labels, seen[-1]


@torch.no_grad()
def width(potential: nn.Module, x: Tensor) -> int:
    """F for inputs such as x, (B, ...)."""
    return features(potential, x[:2])[1].shape[1]


def _last(potential: nn.Module) -> nn.Module:
    names = [name for name, part in potential.named_modules() if any(True for _ in part.parameters(recurse=False))]
    return potential.get_submodule(names[-1].split(".parametrizations")[0])  # whose weight is computed from others
