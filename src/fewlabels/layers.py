r"""Layers that the paper's continuous networks are made of.

*Weight normalisation with a fixed scale*: w = g v / ‖v‖ for each output unit, where g is set once from data so
that every pre-activation has mean 0 and a given standard deviation, and is trained in the last layer only
(Salimans and Kingma, 2016).  It bounds the norm of every hidden filter, the structural stabiliser of u; since v is free
of scale, its growth is an implicit fall of the learning rate.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "INITIAL",
    "BatchStatistics",
    "Dropout",
    "WeightNormConv",
    "WeightNormDeconv",
    "WeightNormLinear",
    "holding_weights",
    "in_float32",
    "initialise_from_data",
]

EPSILON = 1e-6

INITIAL = 500
"""Inputs by which weight-normalised layers are initialised."""


class _WeightNorm(nn.Module):
    """What weight-normalised layers share: v, g and b, and their initialisation from data; units lie along an axis."""

    g: Tensor

    def __init__(self, shape: tuple[int, ...], train_scale: bool, spread: float, axis: int = 0) -> None:
        super().__init__()
        self.axis = axis
        self.v = nn.Parameter(torch.empty(shape))
        self.b = nn.Parameter(torch.empty(shape[axis]))
        scale = torch.ones([n if i == axis else 1 for i, n in enumerate(shape)])
        if train_scale:
            self.g = nn.Parameter(scale)
        else:
            self.register_buffer("g", scale)
        self.spread = spread
        self.holding = False
        self._held: dict[tuple[bool, bool], Tensor] = {}
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw v from N(0, 0.05²), set b = 0 and g = spread, for which `initialise` puts the measured value."""
        with torch.no_grad():
            self.v.normal_(std=0.05)
            self.b.zero_()
            self.g.fill_(self.spread)

    @property
    def weight(self) -> Tensor:
        """W = g v / ‖v‖; while it is held, one tensor for all uses (by autocast its own, and where v is frozen)."""
        if not self.holding:
            return self._normalised()
        v = self.v
        use = torch.is_autocast_enabled(v.device.type), v.requires_grad
        if use not in self._held:
            with torch.enable_grad():  # the first use may be without gradient, another with it
                self._held[use] = _as_autocast(self._normalised())
        return self._held[use]

    def _normalised(self) -> Tensor:
        """W from v and g, by the kernel that torch.nn.utils.parametrizations.weight_norm calls."""
        return torch._weight_norm(self.v, self.g, self.axis)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set g and b so that outputs on x have mean 0 and standard deviation ``spread`` for each unit.

        A unit that is constant on x, whose standard deviation no g makes larger, keeps g = ``spread``.
        """
        self.g.fill_(1.0)
        self.b.zero_()
        units = self(x).transpose(0, 1).flatten(1)
        deviation = units.std(1)
        scale = self.spread / torch.where(deviation > EPSILON, deviation + EPSILON, 1.0)
        self.b.copy_(-units.mean(1) * scale)
        self.g.copy_(scale.view_as(self.g))


def _as_autocast(weight: Tensor) -> Tensor:
    """A weight as autocast, if there is one, would have it at every use."""
    device = weight.device.type
    return weight.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else weight


@contextmanager
def holding_weights(network: nn.Module) -> Iterator[None]:
    """Meanwhile each weight-normalised layer of a network computes its weight once, and keeps its gradient.

    For a step of training: labels, data and samples, and all revisions of the latter, meet the same parameters.

    Examples
    --------
    >>> layer = WeightNormLinear(2, 1)
    >>> with holding_weights(layer):
    ...     layer.weight is layer.weight
    True
    """
    layers = [layer for layer in network.modules() if isinstance(layer, _WeightNorm)]
    for layer in layers:
        layer.holding = True
    try:
        yield
    finally:
        for layer in layers:
            layer.holding, layer._held = False, {}


class WeightNormLinear(_WeightNorm):
    """A dense layer, weight-normalised.

    Parameters
    ----------
    inputs, outputs
        Widths.
    train_scale
        Whether g is trained: in the last layer only.
    spread
        Standard deviation of the outputs after initialisation from data: 1 in the paper's hidden layers, and 0.1 in the
        last of its convolutional networks.
    """

    def __init__(self, inputs: int, outputs: int, *, train_scale: bool = False, spread: float = 1.0) -> None:
        super().__init__((outputs, inputs), train_scale, spread)

    def forward(self, x: Tensor) -> Tensor:
        """W x + b."""
        return functional.linear(x, self.weight, self.b)


def in_float32(layer: nn.Module, x: Tensor) -> Tensor:
    """A layer's output in float32 whatever the autocast: for heads, since u(x) is compared in small differences."""
    with torch.autocast(x.device.type, enabled=False):
        return layer(x.float() if x.dtype == torch.bfloat16 else x)


class WeightNormConv(_WeightNorm):
    """A convolution, weight-normalised per output channel; arguments as in `WeightNormLinear`."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, padding: int = 0, train_scale: bool = False,
        spread: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__((outputs, inputs, kernel, kernel), train_scale, spread)
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """The convolution of x, shape (B, C, H, W)."""
        return functional.conv2d(x, self.weight, self.b, self.stride, self.padding)


class WeightNormDeconv(_WeightNorm):
    """A transposed convolution, weight-normalised per output channel; arguments as in `WeightNormConv`.

    Parameters
    ----------
    output_padding
        Rows and columns added at one side of the output, of which there would otherwise be several sizes.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, padding: int = 0, output_padding: int = 0,
        train_scale: bool = False, spread: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__((inputs, outputs, kernel, kernel), train_scale, spread, axis=1)
        self.stride, self.padding, self.output_padding = stride, padding, output_padding

    def forward(self, x: Tensor) -> Tensor:
        """The transposed convolution of x, shape (B, C, H, W)."""
        return functional.conv_transpose2d(x, self.weight, self.b, self.stride, self.padding, self.output_padding)


def initialise_from_data(network: nn.Module, x: Any, within: Sequence[nn.Module] | None = None) -> None:
    """Initialise the weight-normalised layers of a network in the order in which x reaches them.

    Parameters
    ----------
    network
        What x goes through.
    x
        Its input.
    within
        The parts to be initialised; None: all.
    """
    met: set[_WeightNorm] = set()

    def once(layer: _WeightNorm, inputs: tuple[Tensor, ...]) -> None:
        if layer not in met:  # initialise() calls the layer itself
            met.add(layer)
            layer.initialise(*inputs)

    parts = [network] if within is None else within
    layers = {module for part in parts for module in part.modules() if isinstance(module, _WeightNorm)}
    if not layers:
        return
    hooks = [layer.register_forward_pre_hook(once) for layer in layers]
    try:
        with torch.no_grad():
            network(x)
    finally:
        for hook in hooks:
            hook.remove()


class BatchStatistics(nn.Module):
    """Batch normalisation by the statistics of the batch at hand, always, with a bias and no gain."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.b = nn.Parameter(torch.zeros(features))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x, shape (B, F) or (B, F, H, W), over all but F."""
        return functional.batch_norm(x, None, None, None, self.b, training=True, eps=EPSILON)


class Dropout(nn.Module):
    """Zeroes each number with probability p while training and multiplies the others by 1/(1 - p).

    A number takes a random byte: on a CPU several times as fast as the masks of ``torch.nn.Dropout``.

    Parameters
    ----------
    p
        To the nearest 256th, as the attribute ``p`` has it.

    Examples
    --------
    >>> Dropout(0.3).p
    0.30078125
    >>> Dropout(0.5).eval()(torch.ones(3))
    tensor([1., 1., 1.])
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.below = round(256 * p)
        self.p = self.below / 256

    def forward(self, x: Tensor) -> Tensor:
        """X with its mask, in the layout of x."""
        if not self.training:
            return x
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device).random_(-(2**63), None)
        kept = (words.view(torch.uint8)[: x.numel()] >= self.below).to(x.dtype).mul_(1 / (1 - self.p))
        return x * kept.as_strided(x.shape, torch.empty_like(x).stride())
