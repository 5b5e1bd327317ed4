r"""Inclusive neural random fields: log p(x) of continuous x, with a generator that proposes and Langevin that revises.

The field p_θ(x) ∝ exp u_θ(x) is fitted by maximum likelihood, the auxiliary generator q_φ(x, h) = q(h) N(x; G_φ(h), σ²)
by the *inclusive* divergence KL(p_θ ‖ q_φ) (Song and Ou, 2018).  Their gradients are

.. math::
   ∇_θ &:\; E_{data}[∇u_θ(x)] - E_{p_θ}[∇u_θ(x)] \\
   ∇_φ &:\; E_{p_θ(x) q_φ(h | x)}[∇_φ \log q_φ(x, h)] = -∇_φ E ‖x - G_φ(h)‖² / (2σ²)

with E_{p_θ} taken over short chains that start at G_φ(h).  Minimised are

==================  ==================================================  ===================
``likelihood``      w (mean u(x_rev) - mean u(x_unl))                   θ
``control``         c mean u(x_unl)²                                    θ
``sample_control``  c' mean u(x_rev)², not the paper's                  θ
``entropy``         e mean H(p(y | x_unl))                              θ
``generator``       Σ ‖x_rev - G(h)‖², over the batch                    φ
==================  ==================================================  ===================

The likelihood fixes u only up to a constant; the control terms hold its level (`fewlabels.objectives.likelihood`).  The
generator's term is a sum, as in the paper's code: ε inside the root of its RMSprop makes the scale matter.  The entropy
term is a confidence penalty that the paper's MNIST and SVHN recipes add late in training; it is no part of log p(x).
"""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor, nn

from fewlabels.augmentation import add_noise
from fewlabels.labels import Categorical
from fewlabels.layers import in_float32
from fewlabels.objective import Batch, Objective, Terms, noiseless
from fewlabels.objectives.latents import latents
from fewlabels.objectives.likelihood import likelihood_terms
from fewlabels.samplers import Chain, backtracked, revise, sghmc

__all__ = ["InclusiveNRF"]


class InclusiveNRF(Objective):
    """-log p(x) on the unlabelled part of a batch, by a generator's proposals that a short chain revises.

    Parameters
    ----------
    generator
        G, a module from latents (B, H) to inputs (B, ...), with an attribute ``latent``, the integer H.
    weight, control, sample_control, entropy
        w, c, c' and e of the terms above, by default of the paper's CIFAR-10 recipe.  The likelihood's weight is the
        one to fear: too large and the classifier suffers silently.
    step_size, steps, momentum, noise, cuts
        The chain's, by default of that recipe; see `sghmc` and `backtracked` (None: no cuts) in `fewlabels.samplers`.
    revise_latent
        Revise h, drawn from N(0, I), with x (`fewlabels.samplers.revise`), uncut; otherwise h is uniform on [0, 1).
    clip
        Bounds (low, high) to which the revised x is confined, or None.  Wanted where noise is injected.
    scalar
        u(x) is the score of the first label, w · h(x), not the log-partition: the paper's potential for pre-training.
    noisy
        u(x) of chain, samples and data has the potential's dropout and noise, drawn anew, as in the paper's code.
    smoothing
        Standard deviation of Gaussian noise, drawn anew, on every x of which u(x) is asked; the paper's code has none.
    """

    def __init__(
        self,
        generator: nn.Module,
        *,
        weight: float = 0.01, control: float = 0.001, sample_control: float = 0.0, entropy: float = 0.0,
        step_size: float = 0.003, steps: int = 10, momentum: float = 0.5, noise: float | None = 0.0,
        cuts: int | None = None, revise_latent: bool = False, clip: tuple[float, float] | None = None,
        scalar: bool = False, noisy: bool = False, smoothing: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.generator = generator
        self.weight, self.control, self.sample_control, self.entropy = weight, control, sample_control, entropy
        self.step_size, self.steps, self.momentum, self.noise = step_size, steps, momentum, noise
        self.cuts, self.revise_latent, self.clip, self.scalar = cuts, revise_latent, clip, scalar
        self.noisy, self.smoothing = noisy, smoothing

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The terms above, without those of weight 0."""
        data = batch.x_unlabelled

        def smoothed(x: Tensor) -> Categorical:
            return potential(add_noise(x, self.smoothing) if self.smoothing else x)

        with nullcontext() if self.noisy else noiseless(potential):
            chain, proposals = self._propose_and_revise(lambda x: self._u(smoothed(x)), len(data))
            labels = smoothed(torch.cat([data, chain.x]))
        u_data, u_samples = self._u(labels).split(len(data))
        terms = likelihood_terms(u_data, u_samples, chain, self.weight, self.control, self.sample_control)
        terms.loss["generator"] = (chain.x - proposals).square().sum()
        if self.entropy:
            terms.loss["entropy"] = self.entropy * labels.entropy()[: len(data)].mean()
        return terms

    def calm(self) -> None:
        """Halve the chain's step size."""
        self.step_size /= 2

    def _u(self, labels: Categorical) -> Tensor:
        """u(x), (B,)."""
        return labels.scores[:, 0] if self.scalar else labels.log_partition

    def _propose_and_revise(self, u: Callable[[Tensor], Tensor], count: int) -> tuple[Chain, Tensor]:
        """The revised samples, detached, and the proposals G(h) that are to regress onto them."""
        h = latents(self.generator, count, torch.randn if self.revise_latent else torch.rand)
        generate = partial(in_float32, self.generator)
        chain_of = {"step_size": self.step_size, "steps": self.steps, "momentum": self.momentum, "noise": self.noise}
        if self.revise_latent:
            chain, h = revise(u, generate, h, **chain_of)
            proposals = generate(h)
        else:
            proposals = generate(h)
            chain = sghmc(u, proposals, **chain_of)
            chain = chain if self.cuts is None else backtracked(u, proposals.detach(), chain, self.cuts)
        return (chain if self.clip is None else chain._replace(x=chain.x.clamp(*self.clip))), proposals
