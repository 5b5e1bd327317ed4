r"""The ladder network: what noise does to a layer is undone from that layer and the one above.

A clean pass finds z_0 = x and what the layers with weights give, z_1, ..., z_L; a corrupted one adds noise
n ~ N(0, σ²) to each on its way up, a decoder comes down.  With N the normalisation of a unit over the batch at hand
and m, s the mean and standard deviation of the scores z_L over the clean one,

.. math::
   z_l = N(W_l h_{l-1} + b_l) \ (0 < l < L), \quad \tilde z_l = z_l(\tilde h_{l-1}) + n_l \ (l < L), \quad
   \tilde z_L = N(z_L(\tilde h_{L-1})) + n_L, \quad u_L = N(\mathrm{softmax}(m + s \tilde z_L)), \\
   u_l = N(V_l \hat z_{l+1}), \quad \hat z_l = g_l(\tilde z_l, u_l), \quad
   L = Σ_l \frac{w_l}{|U| d_l} Σ_{x ∈ U} \| \hat z_l - z_l \|^2 \ (\text{N}(z_L)\ \text{for}\ z_L), \\
   g(z, u) = (z - μ(u)) v(u) + μ(u), \qquad μ(u), v(u) = a_1 \mathrm{sigmoid}(a_2 u + a_3) + a_4 u + a_5

(Rasmus et al., 2015; their Γ-model denoises z_L alone).  The best denoiser of a Gaussian is linear; g, for each unit
apart, lets its mean and slope follow what the layer above knows.  The N of the hidden layers is that of a *normalised*
stage (`fewlabels.stage.Stage`, `fewlabels.normalisation`), in which labels are learnt through it, too; outside of one
the layers are as they are.  θ learns through m, s and N, so that weights gain nothing by growing, and through the
target, which comes to meet the estimate, as in the paper's code.  The potential's own noise is off.  -log p(y | x) is
left to `Supervised`, whose pass is to be corrupted by noise of the same deviations, on z_L as it is, not on N(z_L).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from fewlabels.features import through_layers
from fewlabels.layers import EPSILON
from fewlabels.normalisation import normalised
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
        σ of the layers, whose deviation is 1 where they are normalised, and of x, in its units; 0.3 as in the paper.
    weight, weights
        A factor on all of w_0, w_1, ..., whose last holds for all later layers; the paper's: (1000, 10, 0.1) for MNIST.
    gamma
        Denoise z_L alone, with the last of the weights.
    """

    def __init__(
        self, potential: nn.Module, x: Tensor, weight: float = 1.0, *, noise: float = 0.3,
        input_noise: float = 0.3, weights: Sequence[float] = (1000.0, 10.0, 0.1), gamma: bool = False,
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
            clean, seen = _levels(potential, x), _levels(potential, x, self.noise)
        scores, seen[-1] = _maps(clean[-1]), _maps(seen[-1])
        variance, m = torch.var_mean(scores, (0, 2, 3), correction=0, keepdim=True)
        clean[-1] = normalised(scores)
        loss, u = {}, (m + (variance + EPSILON).sqrt() * seen[-1]).softmax(1)
        for i in reversed(range(len(self.a))):
            level = self.lowest + i
            target = _maps(clean[level])
            u = interpolate(normalised(u), target.shape[2:], mode="area")
            estimate = _denoised(self.a[i], _maps(seen[level]), u)
            loss[f"denoise_{level}"] = self.weights[level] * (estimate - target).square().mean()
            u = _maps(self.v[i - 1](estimate.movedim(1, -1)).movedim(-1, 1)) if i else u  # V, at each pixel
        return Terms(loss, {})


def _levels(potential: nn.Module, x: Tensor, noise: Sequence[float] = ()) -> list[Tensor]:
    """z_0, ..., z_L, (B, F) or (B, F, H, W); with noise of these deviations, those of the corrupted pass."""
    levels: list[Tensor] = []

    def enter(z: Tensor) -> Tensor:
        if noise:
            z = normalised(z) if len(levels) == len(noise) - 1 else z
            z = z + noise[len(levels)] * _gaussian(z)
        levels.append(z)
        return z.clone()  # activations may work in place

    through_layers(potential, x, enter)
    return [levels[0].flatten(1) if levels[1].dim() == 2 else levels[0], *levels[1:]]


def _gaussian(z: Tensor) -> Tensor:
    """Numbers from N(0, 1) in the form and the layout of z; drawn in a row, which is several times as fast."""
    flat = torch.randn(z.numel(), device=z.device, dtype=z.dtype)
    return flat.as_strided(z.shape, torch.empty_like(z).stride())


def _maps(z: Tensor) -> Tensor:
    """Vectors (B, F) as maps of one pixel, maps as they are; in float32 where they were in bfloat16."""
    return (z.float() if z.dtype == torch.bfloat16 else z).view(*z.shape, *[1] * (4 - z.dim()))


def _denoised(a: Tensor, z: Tensor, u: Tensor) -> Tensor:
    """The estimate g(z, u), with five numbers for μ of each unit and five for v."""
    mean, slope = (b[0] * torch.sigmoid(b[1] * u + b[2]) + b[3] * u + b[4] for b in a)
    return (z - mean) * slope + mean
