r"""The ladder network: what noise does to a layer is undone from that layer and the one above.

A clean pass finds z_0 = x and the pre-activations z_1, ..., z_L of the layers with weights, a corrupted one adds noise
to each on its way up, a decoder comes down.  With m, s the mean and standard deviation of a unit over the clean batch
(0 and 1 at the input), N the normalisation of a unit by its own, and n ~ N(0, σ²),

.. math::
   \tilde z_l = f_l(\tilde z_{l-1}) + s_l n_l, \quad u_L = N(\mathrm{softmax}\, \tilde z_L), \\
   u_l = N(V_l \hat z_{l+1}), \quad \hat z_l = g_l\Bigl(\frac{\tilde z_l - m_l}{s_l}, u_l\Bigr), \qquad
   L = Σ_l \frac{w_l}{|U| d_l} Σ_{x ∈ U} \Bigl\| \hat z_l - \frac{z_l - m_l}{s_l} \Bigr\|^2, \\
   g(z, u) = (z - μ(u)) v(u) + μ(u), \qquad μ(u), v(u) = a_1 \mathrm{sigmoid}(a_2 u + a_3) + a_4 u + a_5

(Rasmus, Valpola, Honkala, Berglund and Raiko, 2015; their Γ-model denoises z_L alone).  The best denoiser of a Gaussian
is linear; g, for each unit apart, lets its mean and slope follow what the layer above knows.  m and s take the place of
batch normalisation; θ learns through them, so that weights gain nothing by growing.  The target is held fixed; in the
paper's code it comes to meet the estimate.  The potential's own noise is off.  -log p(y | x) is left to `Supervised`,
whose noise stands for the paper's corrupted path: beside it, weight 0 is supervised training to the bit.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from fewlabels.layers import WeightNormConv, WeightNormLinear
from fewlabels.objective import Batch, Objective, Terms, noiseless

__all__ = ["Ladder"]

LAYERS = (WeightNormLinear, WeightNormConv, nn.Linear, nn.Conv2d)


class Ladder(Objective):
    """The squares above on the unlabelled part of a batch of vectors or images; a channel of a map is a unit.

    Parameters
    ----------
    potential
        What is to be trained; its layers are its dense and convolutional modules, torch's or the package's.
    x
        Some inputs, (B, ...), from which the decoder gets its widths and its device.
    weight
        Factor on all of w.
    noise, input_noise
        σ of the layers, in units of s, 0.3 as in the paper; and of x, in its units.
    weights
        w_0, w_1, ..., of which the last holds for all later layers; (1000, 10, 0.1) is the paper's for MNIST.
    gamma
        Denoise z_L alone, with the last of the weights.
    """

    def __init__(
        self, potential: nn.Module, x: Tensor, weight: float = 1.0, *, noise: float = 0.3,
        input_noise: float = 0.9, weights: Sequence[float] = (3.0,), gamma: bool = True,
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
            m, s = zip((x.new_zeros(()), x.new_ones(())), *map(_moments, clean[1:]), strict=True)
            corrupted = _levels(potential, x, [noise * spread for noise, spread in zip(self.noise, s, strict=True)])
        loss, u = {}, corrupted[-1].softmax(1)
        for i in reversed(range(len(self.a))):
            level = self.lowest + i
            mean, spread = _moments(u)
            u = interpolate((u - mean) / spread, clean[level].shape[2:], mode="area")
            estimate = _denoised(self.a[i], (corrupted[level] - m[level]) / s[level], u)
            error = estimate - ((clean[level] - m[level]) / s[level]).detach()
            loss[f"denoise_{level}"] = self.weights[level] * error.square().mean()
            u = _maps(self.v[i - 1](estimate.movedim(1, -1)).movedim(-1, 1)) if i else u  # V, at each pixel
        return Terms(loss, {})


def _levels(potential: nn.Module, x: Tensor, noise: Sequence[Tensor] | None = None) -> list[Tensor]:
    """z_0, ..., z_L as maps (B, F, H, W), with noise of these deviations; x is a vector where the first layer is."""
    levels: list[Tensor] = []

    def enter(layer: nn.Module | None, inputs: Any, z: Tensor) -> Tensor:
        levels.append(_maps(z) if noise is None else _maps(z) + noise[len(levels)] * torch.randn_like(_maps(z)))
        return levels[-1].view_as(z).to(z.dtype).clone()  # a copy: activations may work in place

    handles = [part.register_forward_hook(enter) for part in potential.modules() if isinstance(part, LAYERS)]
    try:
        potential(enter(None, None, x))
    finally:
        for handle in handles:
            handle.remove()
    return [_maps(levels[0].flatten(1)) if levels[1].shape[2:] == (1, 1) else levels[0], *levels[1:]]


def _maps(z: Tensor) -> Tensor:
    """Vectors (B, F) as maps of one pixel, maps as they are; in float32 where they were in bfloat16."""
    return (z.float() if z.dtype == torch.bfloat16 else z).view(*z.shape, *[1] * (4 - z.dim()))


def _moments(z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each unit over inputs and pixels, (1, F, 1, 1)."""
    variance, mean = torch.var_mean(z, (0, 2, 3), correction=0, keepdim=True)
    return mean, (variance + 1e-6).sqrt()


def _denoised(a: Tensor, z: Tensor, u: Tensor) -> Tensor:
    """The estimate g(z, u), with five numbers for μ of each unit and five for v."""
    mean, slope = (b[0] * torch.sigmoid(b[1] * u + b[2]) + b[3] * u + b[4] for b in a)
    return (z - mean) * slope + mean
