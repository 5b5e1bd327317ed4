r"""Sobolev GAN: the scores are part of a critic f that tells data from samples, held smooth by two constraints.

With scores S_y(x) = u(x, y) and a scalar head v on the features before the last layer, the critic is

.. math:: f(x) = Σ_y p_θ(y | x) S_y(x) - v(x) = u(x) - H[p_θ(y | x)] - v(x)

high where the classifier is sure and u is high: on data.  It maximises the gap between unlabelled data x and samples
x' = G(h), h uniform on [0, 1), where f (Fisher) and the slope of v (Sobolev) are of unit size under μ = ½ (data +
samples); the generator climbs f (Mroueh, Li, Sercu, Raj and Cheng, 2018).  By augmented Lagrangians (Mroueh and Sercu,
2017),

.. math::
   \max_{θ, v} \; \overline{f(x)} - \overline{f(x')} + Σ_c λ_c (1 - Ω_c) - Σ_c \frac{ρ_c}{2} (Ω_c - 1)^2, \qquad
   Ω_F = E_μ f^2, \quad Ω_S = E_μ ‖∇_x v‖^2

and after each step λ_c ← λ_c + ρ_c (Ω_c - 1), from 0: a constraint that is exceeded costs more and more.  What is
minimised is the negative:

=============  ==============================================  ===================
``critic``     w (mean f(x') - mean f(x_unl))                  θ, v
``fisher``     w (λ_F (Ω_F - 1) + ρ_F / 2 (Ω_F - 1)²)          θ, v
``sobolev``    w (λ_S (Ω_S - 1) + ρ_S / 2 (Ω_S - 1)²)          θ, v
``generator``  -mean f(G(h))                                   φ
=============  ==============================================  ===================

θ learns through the slope, itself a gradient: the network needs second derivatives.  Passes are made with the
potential's dropout and noise.  Unlike in the authors' recipe h is uniform, as in the other methods, v has no weight
decay, and ρ is larger (see below).
"""

import torch
from torch import Tensor, nn

from fewlabels.features import features
from fewlabels.layers import in_float32
from fewlabels.objective import Batch, Objective, Terms, frozen
from fewlabels.objectives.latents import latents

__all__ = ["SobolevGAN"]


class SobolevGAN(Objective):
    """The terms above on the unlabelled part of a batch and as many samples, for continuous x and a `Categorical`.

    Parameters
    ----------
    generator
        G, a module from latents (B, H) to inputs (B, ...), with an attribute ``latent``, the integer H.
    features
        F, how many features the potential has; see `fewlabels.features.width`.
    weight
        w; 1 by default.
    fisher, sobolev
        ρ_F and ρ_S, step sizes of the multipliers, too: 5e-5 and 2e-5 by default, a thousand times the authors', who
        train for hundreds of thousands of steps where this is for some thousands.  At 1e-2, f is of unit size soon, and
        too small to teach the classifier.

    Examples
    --------
    >>> from fewlabels.tabular import MLP, MLPGenerator
    >>> objective = SobolevGAN(MLPGenerator(2, torch.zeros(4), torch.ones(4)), features=64)
    >>> terms = objective(MLP(4, 3, hidden=(64,)), Batch(None, torch.zeros(0), torch.rand(5, 4)))
    >>> list(terms.loss)
    ['critic', 'fisher', 'sobolev', 'generator']
    """

    multipliers: Tensor
    excess: Tensor

    def __init__(
        self, generator: nn.Module, features: int, weight: float = 1.0, fisher: float = 5e-5, sobolev: float = 2e-5
    ) -> None:
        super().__init__()
        self.generator, self.weight, self.fisher, self.sobolev = generator, weight, fisher, sobolev
        self.v = nn.Linear(features, 1)
        self.register_buffer("multipliers", torch.zeros(2))  # λ_F and λ_S
        self.register_buffer("excess", torch.zeros(2), persistent=False)  # Ω - 1 of the step under way

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The terms above."""
        data = batch.x_unlabelled
        samples = in_float32(self.generator, latents(self.generator, len(data)))
        x = torch.cat([data, samples.detach()]).requires_grad_()
        f, v = self._critic(potential, x)
        f_data, f_samples = f.split(len(data))
        slope = torch.autograd.grad(v.sum(), x, create_graph=True)[0]
        fisher = f.square().mean() - 1
        sobolev = slope.flatten(1).square().sum(1).mean() - 1
        self.excess = torch.stack([fisher, sobolev]).detach()
        with frozen(potential), frozen(self.v):
            made, _ = self._critic(potential, samples)
        return Terms(
            {
                "critic": self.weight * (f_samples.mean() - f_data.mean()),
                "fisher": self.weight * (self.multipliers[0] * fisher + self.fisher / 2 * fisher.square()),
                "sobolev": self.weight * (self.multipliers[1] * sobolev + self.sobolev / 2 * sobolev.square()),
                "generator": -made.mean(),
            },
            {"u_data": f_data.detach().mean(), "u_samples": f_samples.detach().mean()},
        )

    def update(self, potential: nn.Module) -> None:
        """Move the multipliers by the step's excess."""
        self.multipliers[0] += self.fisher * self.excess[0]
        self.multipliers[1] += self.sobolev * self.excess[1]

    def _critic(self, potential: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        """The critic f and its part v, of x, (B,) each."""
        labels, h = features(potential, x)
        v = in_float32(self.v, h).squeeze(1)
        return (labels.log_marginals().exp() * labels.scores).sum(1) - v, v
