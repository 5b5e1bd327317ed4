"""What scores the word of a site by the states on either side of it, in the default form and in the paper's."""

import torch
from torch import Tensor, nn

__all__ = ["LinearSites", "RectifiedSites"]


class LinearSites(nn.Module):
    """σ_i(w) as one linear layer of the states, and a level for each word over the unigram distribution.

    Parameters
    ----------
    state, size
        Length of a direction's state and of a word's vector.
    words
        How many have a level of their own.
    """

    def __init__(self, state: int, size: int, words: int) -> None:
        super().__init__()
        self.context = nn.Linear(2 * state, size)  # [G_f, G_b]
        self.level = nn.Parameter(torch.zeros(words))  # c, relative to the unigram distribution

    def forward(self, around: Tensor) -> Tensor:
        """What scores words, (..., D), of the states on either side, (..., 2 S)."""
        return self.context(around)


class RectifiedSites(nn.Module):
    """σ_i(w) by a rectified layer for each direction, as the paper's code.

    Parameters
    ----------
    state, size
        Length of a direction's state and of a word's vector.
    """

    def __init__(self, state: int, size: int) -> None:
        super().__init__()
        self.forwards, self.backwards = nn.Linear(state, size), nn.Linear(state, size)
        for side in (self.forwards, self.backwards):
            nn.init.zeros_(side.bias)

    def forward(self, around: Tensor) -> Tensor:
        """What scores words, (..., D), of the states on either side, (..., 2 S)."""
        return self.directions(around).sum(-2)

    def directions(self, around: Tensor) -> Tensor:
        """The part of each direction, (..., 2, D)."""
        before, after = around.chunk(2, -1)
        return torch.stack([self.forwards(before), self.backwards(after)], -2).relu()
