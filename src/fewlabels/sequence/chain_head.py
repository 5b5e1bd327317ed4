"""The head of a tagger: emissions, transitions, start and stop scores of a linear chain."""

import numpy as np
import torch
from torch import Tensor, nn

from fewlabels.sequence.spans import Moves

__all__ = ["ChainHead", "spread"]

IMPOSSIBLE = -1e4
"""Score of a label that may not begin or end a sentence: exp of it is 0, and sums keep their precision."""


class ChainHead(nn.Module):
    """Emissions, transitions, start and stop scores of a linear chain.

    Parameters
    ----------
    size
        Length of what emissions read.
    labels
        K.
    boundary
        Whether labels have start and stop scores.
    allowed
        What labels may do; p(y | x) of anything else is 0.  Training tags must keep to it.  None: everything.
    uniform
        Weights start from U(-uniform, uniform); None: emissions from the layer's default, the others from 0.
    """

    forbidden: Tensor
    edges: Tensor

    def __init__(
        self, size: int, labels: int, boundary: bool = True, allowed: Moves | None = None, uniform: float | None = None
    ) -> None:
        super().__init__()
        self.uniform = uniform
        self.emission = nn.Linear(size, labels)
        self.transition = nn.Parameter(torch.empty(labels, labels))
        self.start = nn.Parameter(torch.empty(labels)) if boundary else None
        self.stop = nn.Parameter(torch.empty(labels)) if boundary else None
        everything = np.ones(labels, bool)
        start, follow, stop = allowed or Moves(everything, np.ones((labels, labels), bool), everything)
        self.register_buffer("forbidden", torch.from_numpy(~follow), persistent=False)
        edges = torch.from_numpy(~np.stack([start, stop])) * IMPOSSIBLE
        self.register_buffer("edges", edges, persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start afresh; without ``uniform``, from no preference among transitions."""
        self.emission.reset_parameters()
        for parameter in (self.emission.bias, self.transition, self.start, self.stop):
            if parameter is not None:
                nn.init.zeros_(parameter)
        if self.uniform is not None:
            spread(self, self.uniform)

    @property
    def transitions(self) -> Tensor:
        """A, (K, K), with -inf for what is forbidden."""
        return self.transition.masked_fill(self.forbidden, -torch.inf)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Emissions (B, T, K), start and stop scores included."""
        emissions = self.emission(states)
        emissions = emissions.to(torch.promote_types(emissions.dtype, torch.float32))  # also under autocast
        position = torch.arange(emissions.shape[1], device=lengths.device)
        start, stop = self.edges.to(emissions.dtype)
        start = start if self.start is None else start + self.start
        stop = stop if self.stop is None else stop + self.stop
        first = (position == 0).unsqueeze(-1) * start
        last = (position == lengths.unsqueeze(1) - 1).unsqueeze(-1) * stop
        return emissions + first + last


@torch.no_grad()
def spread(module: nn.Module, width: float) -> None:
    """Draw matrices and larger arrays from U(-width, width); biases stay as they are."""
    for parameter in module.parameters():
        if parameter.dim() > 1:
            parameter.uniform_(-width, width)
