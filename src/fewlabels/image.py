"""Images: a small convolutional potential and its generator.

The potential is a short version of the paper's networks: weight-normalised convolutions with leaky ReLU (slope 0.2),
strides in place of pooling, a global mean and a dense head.  The generator grows its image by transposed convolutions
with batch statistics.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, interpolate, leaky_relu, relu

from fewlabels.labels import Categorical
from fewlabels.layers import BatchStatistics, WeightNormConv, WeightNormLinear

__all__ = ["ConvGenerator", "ConvNet"]


class ConvNet(nn.Module):
    """u(x, y) of an image, as a `Categorical`.

    Parameters
    ----------
    channels, labels
        C and K.
    width
        Channels of the first layer; later ones have up to four times as many.
    drop
        Dropout before the head, in training only.

    Examples
    --------
    >>> ConvNet(1, 10)(torch.zeros(2, 1, 28, 28)).scores.shape
    torch.Size([2, 10])
    """

    def __init__(self, channels: int, labels: int, *, width: int = 32, drop: float = 0.3) -> None:
        super().__init__()
        self.body = nn.ModuleList(
            [
                WeightNormConv(channels, width, 3, padding=1),
                WeightNormConv(width, 2 * width, 3, stride=2, padding=1),
                WeightNormConv(2 * width, 2 * width, 3, padding=1),
                WeightNormConv(2 * width, 4 * width, 3, stride=2, padding=1),
                WeightNormConv(4 * width, 4 * width, 1),
            ]
        )
        self.head = WeightNormLinear(4 * width, labels, train_scale=True, spread=0.1)
        self.drop = drop

    def forward(self, x: Tensor) -> Categorical:
        """u(x, ·) of x, shape (B, C, H, W)."""
        for layer in self.body:
            x = leaky_relu(layer(x), 0.2)
        return Categorical(self.head(dropout(x.mean((2, 3)), self.drop, self.training)))


class ConvGenerator(nn.Module):
    """G(h): an image from a latent.

    Parameters
    ----------
    latent
        H.
    low, high
        Bounds of what comes out, shape (C, H, W): a sigmoid spans them.
    width
        Channels before the last layer.
    """

    low: Tensor
    high: Tensor

    def __init__(self, latent: int, low: Tensor, high: Tensor, *, width: int = 32) -> None:
        super().__init__()
        self.latent = latent
        self.register_buffer("low", low.float())
        self.register_buffer("high", high.float())
        channels, self.height, self.width = low.shape
        self.rows, self.columns = -(-self.height // 4), -(-self.width // 4)
        self.body = nn.ModuleList(
            [
                nn.Linear(latent, 4 * width * self.rows * self.columns, bias=False),
                nn.ConvTranspose2d(4 * width, 2 * width, 4, stride=2, padding=1, bias=False),
                nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False),
            ]
        )
        self.statistics = nn.ModuleList(BatchStatistics(n) for n in (4 * width, 2 * width, width))
        self.head = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        """Map h, shape (B, H), to images (B, C, H, W)."""
        x = self.body[0](h).unflatten(1, (-1, self.rows, self.columns))
        x = relu(self.statistics[0](x))
        for layer, statistics in zip(self.body[1:], self.statistics[1:], strict=True):
            x = relu(statistics(layer(x)))
        x = interpolate(self.head(x), (self.height, self.width), mode="bilinear")
        return self.low + (self.high - self.low) * torch.sigmoid(x)
