"""Latents for a generator, shared by all methods that have one."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ["latents"]


def latents(generator: nn.Module, count: int, draw: Callable[..., Tensor] = torch.rand) -> Tensor:
    """So many h, (count, H), by default uniform on [0, 1); the generator's integer attribute ``latent`` is H.

    Examples
    --------
    >>> from fewlabels.tabular import MLPGenerator
    >>> latents(MLPGenerator(5, torch.zeros(3), torch.ones(3)), 2).shape
    torch.Size([2, 5])
    """
    assert isinstance(generator.latent, int), "the generator needs an integer attribute latent"
    return draw(count, generator.latent, device=next(generator.parameters()).device)
