r"""The ladder network: what noise does to a layer is undone from that layer and the one above.

A clean pass finds z_0 = x and the pre-activations z_1, ..., z_L of the layers with weights, a corrupted one adds noise
n ~ N(0, σ²) to each on its way up, a decoder comes down.  With m, s the mean and standard deviation of a unit over the
clean batch, and N the normalisation of a unit over the batch at hand (at the input m = 0, s = 1, and there is no N),

.. math::
   r_l = N(f_l(\tilde z_{l-1})) + n_l, \quad \tilde z_l = m_l + s_l r_l, \  u_L = N(\mathrm{softmax}\, \tilde z_L), \\
   u_l = N(V_l \hat z_{l+1}), \quad \hat z_l = g_l(r_l, u_l), \qquad
   L = Σ_l \frac{w_l}{|U| d_l} Σ_{x ∈ U} \| \hat z_l - N(z_l) \|^2, \\
   g(z, u) = (z - μ(u)) v(u) + μ(u), \qquad μ(u), v(u) = a_1 \mathrm{sigmoid}(a_2 u + a_3) + a_4 u + a_5

(Rasmus et al., 2015; their Γ-model denoises z_L alone).  The best denoiser of a Gaussian is linear; g, for each unit
apart, lets its mean and slope follow what the layer above knows.  m, s and N stand for the paper's batch normalisation;
θ learns through them, so that weights gain nothing by growing.  The target learns, too: it comes to meet the estimate,
as in the paper's code.  The potential's own noise is off; -log p(y | x), without noise here, is left to `Supervised`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from fewlabels.features import through_layers
from fewlabels.objective import Batch, Objective, Terms, noiseless

__all__ = ["Ladder"]


class Ladder(Objective):
    """The squares above on the unlabelled part of a batch of vectors or images; a channel of a map is a unit.

    Parameters
    ----------
    potential
        What is to be trained; its layers are those of `fewlabels.features.through_layers`.
    x
        Some inputs, (B, ...), from which the decoder gets its widths and its device.
    noise, input_noise
        σ of the layers, in units of s, 0.3 as in the paper; and of x, in its units.
    weight, weights
        A factor on all of w_0, w_1, ..., whose last holds for all later layers; the paper's: (1000, 10, 0.1) for MNIST.
    gamma
        Denoise z_L alone, with the last of the weights.
    """

    def __init__(
        self, potential: nn.Module, x: Tensor, weight: float = 1.0, *, noise: float = 0.3,
        input_noise: float = 0.9, weights: Sequence[float] = (100.0, 1.0, 0.1), gamma: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        with noiseless(potential), torch.no_grad():
            units = [z.shape[1] for z in _levels(potential, x[:2])]
        levels = range(len(units))
        self.noise, self.lowest = [noise if level else input_noise for level in levels], levels[-1] if gamma else 0
        self.weights = [weight * weights[min(level, len(weights) - 1)] for level in levels]
        self.a = nn.ParameterList(torch.zeros(2, 5, units[i], 1, 1) for i in levels[self.lowest :])
        for a, deviation in zip(self.a, self.noise[self.lowest :], strict=True):
            a.data[:, 1], a.data[1, 4] = 1.0, 1 / (1 + deviation**2)  # the best for N(0, 1), whatever u
        self.v = nn.ModuleList(nn.Linear(units[i + 1], units[i], bias=False) for i in levels[self.lowest : -1])
        self.to(x.device)

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The terms ``denoise_0`` to ``denoise_L``; of the Γ-model the last."""
        x = batch.x_unlabelled
        with noiseless(potential):
            clean = _levels(potential, x)
            moments = [(0.0, 1.0), *map(_moments, clean[1:])]
            seen = _levels(potential, x, [*zip(self.noise, moments, strict=True)])
        loss, u = {}, (moments[-1][0] + moments[-1][1] * seen[-1]).softmax(1)
        for i in reversed(range(len(self.a))):
            level = self.lowest + i
            u = interpolate(_normalised(u), clean[level].shape[2:], mode="area")
            estimate = _denoised(self.a[i], seen[level], u)
            m, s = moments[level]
            target = (clean[level] - m) / s
            loss[f"denoise_{level}"] = self.weights[level] * (estimate - target).square().mean()
            u = _maps(self.v[i - 1](estimate.movedim(1, -1)).movedim(-1, 1)) if i else u  # V, at each pixel
        return Terms(loss, {})


def _levels(potential: nn.Module, x: Tensor, corruption: Sequence[tuple[float, Any]] = ()) -> list[Tensor]:
    """z_0, ..., z_L as maps (B, F, H, W); with σ and (m, s) of each, r_0, ..., r_L of the corrupted pass."""
    levels: list[Tensor] = []

    def enter(z: Tensor) -> Tensor:
        seen = passed = _maps(z)
        if corruption:
            noise, (m, s) = corruption[len(levels)]
            seen = (_normalised(seen) if levels else seen) + noise * torch.randn_like(seen)
            passed = m + s * seen
        levels.append(seen)
        return passed.view_as(z).to(z.dtype).clone()  # a copy: activations may work in place

    through_layers(potential, x, enter)
    return [_maps(levels[0].flatten(1)) if levels[1].shape[2:] == (1, 1) else levels[0], *levels[1:]]


def _maps(z: Tensor) -> Tensor:
    """Vectors (B, F) as maps of one pixel, maps as they are; in float32 where they were in bfloat16."""
    return (z.float() if z.dtype == torch.bfloat16 else z).view(*z.shape, *[1] * (4 - z.dim()))


def _moments(z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each unit over inputs and pixels, (1, F, 1, 1)."""
    variance, mean = torch.var_mean(z, (0, 2, 3), correction=0, keepdim=True)
    return mean, (variance + 1e-6).sqrt()


def _normalised(z: Tensor) -> Tensor:
    mean, spread = _moments(z)
    return (z - mean) / spread  # N


def _denoised(a: Tensor, z: Tensor, u: Tensor) -> Tensor:
    """The estimate g(z, u), with five numbers for μ of each unit and five for v."""
    mean, slope = (b[0] * torch.sigmoid(b[1] * u + b[2]) + b[3] * u + b[4] for b in a)
    return (z - mean) * slope + mean
