"""Images: convolutional potentials and their generators.

A potential is a pile of weight-normalised convolutions with leaky ReLU of slope 0.2, a global mean, and a dense head
whose scale is trained.  `cifar10_body` and `svhn_body` are the paper's networks; `small_body` is for a laptop.  A
generator grows its image from a dense layer by transposed convolutions with batch statistics.

Under ``torch.autocast`` the convolutions run in bfloat16 and the head in float32: u(x) is a difference of large numbers
wherever p(x) is at stake.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from fewlabels.labels import Categorical
from fewlabels.layers import BatchStatistics, Dropout, WeightNormConv, WeightNormDeconv, WeightNormLinear, in_float32

__all__ = ["ConvGenerator", "ConvNet", "cifar10_body", "small_body", "svhn_body"]


class ConvNet(nn.Module):
    """u(x, y) of an image, as a `Categorical`.

    Parameters
    ----------
    body
        From images (B, C, H, W) to feature maps (B, F, H', W').
    features, labels
        F and K.

    Examples
    --------
    >>> ConvNet(small_body(1), 128, 10)(torch.zeros(2, 1, 28, 28)).scores.shape
    torch.Size([2, 10])
    """

    def __init__(self, body: nn.Module, features: int, labels: int) -> None:
        super().__init__()
        self.body = body
        self.head = WeightNormLinear(features, labels, train_scale=True, spread=0.1)

    def forward(self, x: Tensor) -> Categorical:
        """u(x, ·) of x, shape (B, C, H, W), laid channels last, which `contiguous` leaves open for one."""
        maps = self.body(x.clone(memory_format=torch.channels_last)).permute(0, 2, 3, 1)
        return Categorical(in_float32(self.head, maps.mean((1, 2))))  # the gradient comes back channels last, too


def cifar10_body() -> nn.Sequential:
    """The paper's for CIFAR-10: three blocks of three convolutions; 128 features."""
    return nn.Sequential(
        *_convolution(3, 128), *_convolution(128, 128), *_pooled(_convolution(128, 128), 0.5),
        *_convolution(128, 256), *_convolution(256, 256), *_pooled(_convolution(256, 256), 0.5),
        *_convolution(256, 512, padding=0), *_convolution(512, 256, 1), *_convolution(256, 128, 1),
    )  # fmt: skip


def svhn_body() -> nn.Sequential:
    """The paper's for SVHN: strides in place of pooling, dropout of whole channels; 128 features."""
    return nn.Sequential(
        *_convolution(3, 64), *_convolution(64, 64), *_convolution(64, 64, stride=2), nn.Dropout2d(0.5),
        *_convolution(64, 128), *_convolution(128, 128), *_convolution(128, 128, stride=2), nn.Dropout2d(0.5),
        *_convolution(128, 128, padding=0), *_convolution(128, 128, 1), *_convolution(128, 128, 1),
    )  # fmt: skip


def small_body(channels: int, width: int = 32) -> nn.Sequential:
    """For a laptop: the shape of the paper's for CIFAR-10 with a twenty-fourth of its work; 4 ``width`` features.

    Parameters
    ----------
    channels
        C.
    width
        Channels of the first layers.
    """
    return nn.Sequential(
        *_convolution(channels, width), *_pooled(_convolution(width, width), 0.3),
        *_convolution(width, 2 * width), *_pooled(_convolution(2 * width, 2 * width), 0.3),
        *_convolution(2 * width, 4 * width), *_convolution(4 * width, 4 * width, 1),
    )  # fmt: skip


def _convolution(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, padding: int | None = None
) -> list[nn.Module]:
    """A weight-normalised convolution that keeps the size, unless told otherwise, and its leaky ReLU."""
    padding = kernel // 2 if padding is None else padding
    return [WeightNormConv(inputs, outputs, kernel, stride=stride, padding=padding), nn.LeakyReLU(0.2, inplace=True)]


def _pooled(convolution: list[nn.Module], dropout: float) -> list[nn.Module]:
    """A convolution to half the size, rounded up, with dropout; maxima first, which then are fewer to activate."""
    layer, activation = convolution
    return [layer, nn.MaxPool2d(2, ceil_mode=True), activation, Dropout(dropout)]


class ConvGenerator(nn.Module):
    """G(h): an image from a latent.

    Parameters
    ----------
    latent
        H.
    low, high
        Bounds of what comes out, shape (C, H, W): a sigmoid spans them.
    widths
        Channels of the dense layer's maps and of those between the transposed convolutions, each of which doubles the
        size; the paper's generator has (512, 256, 128).
    slope
        Factor of what enters the sigmoid.  The paper has a hyperbolic tangent: bounds -1 and 1 everywhere, and 2 here,
        since tanh z = 2 / (1 + exp -2 z) - 1.

    Examples
    --------
    >>> low = torch.zeros(3, 30, 30)
    >>> ConvGenerator(20, low, low + 1)(torch.rand(2, 20)).shape
    torch.Size([2, 3, 30, 30])
    """

    low: Tensor
    high: Tensor

    def __init__(
        self, latent: int, low: Tensor, high: Tensor, *, widths: Sequence[int] = (64, 32), slope: float = 1.0
    ) -> None:
        super().__init__()
        self.latent, self.slope = latent, slope
        self.register_buffer("low", low.float())
        self.register_buffer("high", high.float())
        channels, self.height, self.width = low.shape
        growth = 2 ** len(widths)
        self.rows, self.columns = -(-self.height // growth), -(-self.width // growth)
        self.dense = nn.Linear(latent, widths[0] * self.rows * self.columns, bias=False)
        pairs = zip(widths, widths[1:], strict=False)
        self.body = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 5, stride=2, padding=2, output_padding=1, bias=False) for a, b in pairs
        )
        self.statistics = nn.ModuleList(BatchStatistics(n) for n in (self.dense.out_features, *widths[1:]))
        self.head = WeightNormDeconv(
            widths[-1], channels, 5, stride=2, padding=2, output_padding=1, train_scale=True, spread=0.1
        )

    def forward(self, h: Tensor) -> Tensor:
        """Map h, shape (B, H), to images (B, C, H, W)."""
        x = relu(self.statistics[0](self.dense(h))).unflatten(1, (-1, self.rows, self.columns))
        for layer, statistics in zip(self.body, self.statistics[1:], strict=True):
            x = relu(statistics(layer(x)))
        x = self.head(x)
        if x.shape[2:] != self.low.shape[1:]:
            x = interpolate(x, (self.height, self.width), mode="bilinear")
        return self.low + (self.high - self.low) * torch.sigmoid(self.slope * x)
