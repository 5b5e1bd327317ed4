"""Vectors: the multi-layer potential and its generator, for tables and for small images read as vectors.

The potential is the paper's network for MNIST (weight-normalised dense layers with ReLU), the generator its dense
generator (batch statistics, softplus).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from fewlabels.labels import Categorical
from fewlabels.layers import BatchStatistics, WeightNormLinear, in_float32

__all__ = ["MLP", "MLPGenerator"]


class MLP(nn.Module):
    """u(x, y) of a vector, as a `Categorical`.

    Parameters
    ----------
    inputs, labels
        D and K.
    hidden
        Widths of the hidden layers; the paper's MNIST network has (1000, 500, 250, 250, 250).
    noise
        Standard deviation of Gaussian noise added to each hidden layer, in training only: a regulariser of p(y | x);
        beside log p(x) it is off, unless a recipe's field is noisy.

    Examples
    --------
    >>> MLP(4, 3)(torch.zeros(5, 4)).log_partition.shape
    torch.Size([5])
    """

    def __init__(
        self,
        inputs: int,
        labels: int,
        *,
        hidden: Sequence[int] = (256, 128, 64),
        noise: float = 0.0,
    ) -> None:
        super().__init__()
        widths = [inputs, *hidden]
        self.body = nn.ModuleList(WeightNormLinear(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.head = WeightNormLinear(widths[-1], labels, train_scale=True)
        self.noise = noise

    def forward(self, x: Tensor) -> Categorical:
        """u(x, ·) of x, shape (B, ...), flattened to (B, D)."""
        x = x.flatten(1)
        for layer in self.body:
            x = relu(layer(x))
            if self.training and self.noise:
                x = x + self.noise * torch.randn_like(x)
        return Categorical(in_float32(self.head, x))


class MLPGenerator(nn.Module):
    """G(h): a vector, or an image of that many pixels, from a latent.

    Parameters
    ----------
    latent
        H.
    low, high
        Bounds of what comes out, of the output's shape: a sigmoid spans them.
    hidden
        Widths of the hidden layers; the paper's MNIST generator has (500, 500).
    """

    low: Tensor
    high: Tensor

    def __init__(self, latent: int, low: Tensor, high: Tensor, hidden: Sequence[int] = (128, 128)) -> None:
        super().__init__()
        self.latent = latent
        self.register_buffer("low", low.float())
        self.register_buffer("high", high.float())
        widths = [latent, *hidden]
        self.body = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in zip(widths, widths[1:], strict=False))
        self.statistics = nn.ModuleList(BatchStatistics(width) for width in hidden)
        self.head = WeightNormLinear(widths[-1], low.numel(), train_scale=True)

    def forward(self, h: Tensor) -> Tensor:
        """Map h, shape (B, H), to outputs (B, ...)."""
        for layer, statistics in zip(self.body, self.statistics, strict=True):
            h = softplus(statistics(layer(h)))
        return self.low + (self.high - self.low) * torch.sigmoid(self.head(h)).view(len(h), *self.low.shape)
