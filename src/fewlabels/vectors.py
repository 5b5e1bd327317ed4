"""Networks and players for tables and images: the presets, and what is built from them."""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from fewlabels.errors import InputError
from fewlabels.image import ConvGenerator, ConvNet, cifar10_body, small_body, svhn_body
from fewlabels.labels import Categorical
from fewlabels.layers import INITIAL, initialise_from_data
from fewlabels.objective import noiseless
from fewlabels.objectives.latents import latents
from fewlabels.objectives.nrf import InclusiveNRF
from fewlabels.objectives.persistent_cd import PersistentCD
from fewlabels.optimizers import heads
from fewlabels.recipes import CIFAR10, DENSE, MNIST, SMALL, SVHN, WIDE, Recipe
from fewlabels.stage import Stage
from fewlabels.tabular import MLP, MLPGenerator
from fewlabels.vector_methods import VectorPlayers

__all__ = ["PRESETS", "Preset", "build_players", "build_potential", "empty_potential", "preset_for", "proposals"]

SMALLEST = 16
"""Images of fewer rows or columns are read as vectors: on digits of 8 x 8 in a tenth of the time of convolutions, which
err less."""

CHAINS = 5000

Generator = TypeVar("Generator", bound=nn.Module)


class Preset(NamedTuple):
    """A network, its generator, and the recipe that trains them.

    Attributes
    ----------
    potential
        From the shape of an input, (D,) or (C, H, W), and the number of labels, to a network.
    generator
        From the bounds (low, high) of inputs, of that shape, to a generator.
    recipe
        All that is numeric in training.
    range
        Where the pixels' range is mapped to; None: inputs are put on unit scale by their statistics.
    heavy
        Whether it is large enough for products in bfloat16, and several threads, to pay.
    shape
        Of the inputs for which it is made, where None is any size; None: of all.
    """

    potential: Callable[[Sequence[int], int], nn.Module]
    generator: Callable[[Tensor, Tensor], nn.Module]
    recipe: Recipe
    range: tuple[float, float] | None = None
    heavy: bool = True
    shape: tuple[int | None, ...] | None = None

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether it is made for inputs of a shape."""
        if self.shape is None:
            return True
        return len(shape) == len(self.shape) and all(own in (None, n) for own, n in zip(self.shape, shape, strict=True))


def _dense(shape: Sequence[int], labels: int) -> MLP:
    return MLP(math.prod(shape), labels, noise=0.5)


def _paper_dense(shape: Sequence[int], labels: int) -> MLP:
    return MLP(math.prod(shape), labels, hidden=(1000, 500, 250, 250, 250))


def _small(shape: Sequence[int], labels: int, widening: int = 1) -> ConvNet:
    width = widening * (16 if shape[0] == 1 else 32)  # grey images have less to tell
    return ConvNet(small_body(shape[0], width), 4 * width, labels)


def _wide(shape: Sequence[int], labels: int) -> ConvNet:
    return _small(shape, labels, widening=2)


def _svhn(shape: Sequence[int], labels: int) -> ConvNet:
    return ConvNet(svhn_body(), 128, labels)


def _cifar10(shape: Sequence[int], labels: int) -> ConvNet:
    return ConvNet(cifar10_body(), 128, labels)


def _small_generator(low: Tensor, high: Tensor) -> ConvGenerator:
    return ConvGenerator(50, -torch.ones_like(low), torch.ones_like(high))


def _paper_generator(low: Tensor, high: Tensor) -> ConvGenerator:
    one = torch.ones_like(low)
    return _drawn_as_the_papers(ConvGenerator(100, -one, one, widths=(512, 256, 128), slope=2.0))


def _paper_dense_generator(low: Tensor, high: Tensor) -> MLPGenerator:
    return _drawn_as_the_papers(MLPGenerator(100, torch.zeros_like(low), torch.ones_like(high), hidden=(500, 500)))


def _drawn_as_the_papers(generator: Generator) -> Generator:
    """Weights from N(0, 0.05²), against which the optimiser's steps count: batch statistics hide their scale."""
    for layer in generator.modules():
        if isinstance(layer, nn.Linear | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, std=0.05)
    return generator


PRESETS = {
    "dense": Preset(_dense, lambda low, high: MLPGenerator(20, low, high), DENSE, heavy=False),
    "small": Preset(_small, _small_generator, SMALL, range=(-1.0, 1.0), shape=(None, None, None)),
    "wide": Preset(_wide, _small_generator, WIDE, range=(-1.0, 1.0), shape=(None, None, None)),
    "mnist": Preset(_paper_dense, _paper_dense_generator, MNIST, range=(0.0, 1.0)),
    "svhn": Preset(_svhn, _paper_generator, SVHN, range=(-1.0, 1.0), shape=(3, 32, 32)),
    "cifar10": Preset(_cifar10, _paper_generator, CIFAR10, range=(-1.0, 1.0), shape=(3, 32, 32)),
}
"""Three for a laptop, and the paper's for its three data sets."""


def preset_for(name: str, shape: Sequence[int]) -> Preset:
    """A preset by name; "auto" is convolutional for images of 16 pixels a side or more, and dense for all else.

    Raises
    ------
    InputError
        Where the preset is not for inputs of this shape.
    """
    if name == "auto":
        name = "small" if len(shape) == 3 and min(shape[1:]) >= SMALLEST else "dense"
    preset = PRESETS[name]
    if not preset.fits(shape):
        assert preset.shape is not None
        size = "" if None in preset.shape else " of {} channels and {} x {} pixels".format(*preset.shape)
        raise InputError(f"Expected images{size} for preset {name!r}, got inputs of shape {tuple(shape)}.")
    return preset


class Scores(nn.Module):
    """A network that returns a tensor of scores u(x, y), shape (B, K), as a potential."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Categorical:
        """u(x, ·) of x."""
        return Categorical(self.network(x))


def empty_potential(own: nn.Module | None, preset: Preset, shape: Sequence[int], labels: int) -> nn.Module:
    """A potential for inputs of a shape, (D,) or (C, H, W): a copy of the user's, or the preset's.

    Raises
    ------
    InputError
        Where the user's network does not give one score for each class.
    """
    if own is not None:
        return _checked(copy.deepcopy(own).cpu(), shape, labels)
    return preset.potential(shape, labels)


def build_potential(own: nn.Module | None, preset: Preset, data: Tensor, labels: int) -> nn.Module:
    """As `empty_potential`, with weight-normalised layers initialised from some of the data, (N, ...)."""
    potential = empty_potential(own, preset, data.shape[1:], labels)
    initialise_from_data(potential, data[torch.randperm(len(data))[:INITIAL]])
    return potential


def build_players(
    own: nn.Module | None,
    preset: Preset,
    potential: nn.Module,
    data: Tensor,
    rows: Tensor,
    y: Tensor,
    effort: float,
    augmentation: Callable[[Tensor], Tensor] | None = None,
) -> VectorPlayers:
    """What the methods are made from: a generator onto the data's range, starts of chains.

    ``rows`` of the data have the labels ``y``.
    """
    if own is not None:
        generator = _checked_generator(copy.deepcopy(own).cpu(), data.shape[1:])
    else:
        generator = preset.generator(data.amin(0).cpu(), data.amax(0).cpu())
        if isinstance(generator, ConvGenerator):
            initialise_from_data(generator, torch.rand(INITIAL, generator.latent))
    generator.to(data.device)
    if augmentation is not None:
        _check_augmentation(augmentation, data[:2])
    start = data[torch.randint(len(data), (min(CHAINS, 10 * len(data)),)).to(data.device)]
    start = start + 0.3 * torch.randn(start.shape, dtype=start.dtype).to(data.device)
    return VectorPlayers(
        preset.recipe, potential, data, rows, y, augmentation, generator, start, heads(potential), effort
    )


@torch.no_grad()
def proposals(stages: Sequence[Stage], count: int) -> Tensor | None:
    """Inputs from which to sample the model that the stages trained: a generator's, or persistent chains; or None."""
    for stage in reversed(stages):
        for part in stage.objective.modules():
            if isinstance(part, InclusiveNRF):
                generator = part.generator.cpu()  # whose latents the seed fixes on every device
                return generator(latents(generator, count))
            if isinstance(part, PersistentCD):
                return part.buffer[:count].cpu().clone()
    return None


def _checked(network: nn.Module, shape: Sequence[int], labels: int) -> nn.Module:
    """The user's network as a potential, if it is one."""
    with noiseless(network):
        out = _tried("potential", network, torch.zeros(2, *shape))
    scores = out.scores if isinstance(out, Categorical) else out
    if not isinstance(scores, Tensor) or scores.shape != (2, labels):
        raise InputError(
            f"Expected the potential to map inputs of shape (2, {_listed(shape)}) to scores of shape (2, {labels}), "
            f"one for each class, got {_shape_of(scores)}: change its last layer."
        )
    return network if isinstance(out, Categorical) else Scores(network)


def _checked_generator(network: nn.Module, shape: Sequence[int]) -> nn.Module:
    """The user's network as a generator, if it is one."""
    latent = getattr(network, "latent", None)
    if not isinstance(latent, int):
        raise InputError(
            "Expected the generator to have an integer attribute latent, the width of what it maps to inputs, got "
            f"{latent!r}: set it."
        )
    with noiseless(network):
        out = _tried("generator", network, torch.zeros(2, latent))
    if not isinstance(out, Tensor) or out.shape != (2, *shape):
        raise InputError(
            f"Expected the generator to map latents of shape (2, {latent}) to inputs of shape (2, {_listed(shape)}), "
            f"got {_shape_of(out)}: change its last layer."
        )
    return network


def _check_augmentation(augmentation: Callable[[Tensor], Tensor], x: Tensor) -> None:
    """Refuse what does not give inputs of the shape of x; nothing that is drawn at random later changes by it."""
    with torch.random.fork_rng(devices=[]):
        out = _tried("augmentation", augmentation, x)
    if not isinstance(out, Tensor) or out.shape != x.shape:
        raise InputError(
            f"Expected the augmentation to keep the shape of inputs, {tuple(x.shape)}, got {_shape_of(out)}."
        )


@torch.no_grad()
def _tried(name: str, function: Callable[[Tensor], Any], x: Tensor) -> Any:
    """What a function of the user's makes of x; its own failures are his."""
    try:
        return function(x)
    except Exception as error:
        raise InputError(
            f"Expected the {name} to take a tensor of shape {tuple(x.shape)}, but it fails: "
            f"{type(error).__name__}: {error}"
        ) from error


def _shape_of(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__


def _listed(shape: Sequence[int]) -> str:
    return ", ".join(map(str, shape))
