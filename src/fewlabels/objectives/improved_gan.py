r"""Improved GAN: the classifier tells data from samples by u(x), the generator matches the features of data.

A label K + 1, "made by the generator", has the score 0, so that the probability of being real is
D(x) = Σ_y exp u(x, y) / (1 + Σ_y exp u(x, y)) = σ(u(x)): real or fake is a matter of u(x), as log p(x) is
(Salimans, Goodfellow, Zaremba, Cheung, Radford and Chen, 2016).  With samples x' = G(h), h uniform on [0, 1), and h_θ
the F features before the last layer,

.. math::
   L(θ) &= \frac{w}{2} \Bigl( -\overline{\log D_θ(x)} - \overline{\log(1 - D_θ(x'))} \Bigr) \\
   L(φ) &= \frac{1}{F} \bigl\| \overline{h_θ(x)} - \overline{h_θ(x')} \bigr\|_1

a bar being a mean over the batch, x unlabelled.

================  ======================================================  ===================
``real_or_fake``  w/2 (mean softplus(-u(x_unl)) + mean softplus(u(x')))   θ
``generator``     ‖mean h(x_unl) - mean h(x')‖₁ / F                        φ
================  ======================================================  ===================

Potential and generator learn from the same batch and the same samples, which pass with the potential's dropout and
noise.  In the authors' code, by which the norm is divided by F, too, each has a batch of its own.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from fewlabels.features import features
from fewlabels.labels import Categorical
from fewlabels.layers import in_float32
from fewlabels.objective import Batch, Objective, Terms, frozen
from fewlabels.objectives.latents import latents

__all__ = ["ImprovedGAN", "feature_matching", "real_or_fake", "told_apart"]


class ImprovedGAN(Objective):
    """The terms above on the unlabelled part of a batch and as many samples, for continuous x.

    Parameters
    ----------
    generator
        G, a module from latents (B, H) to inputs (B, ...), with an attribute ``latent``, the integer H.
    weight
        w; 1 by default as in the paper.

    Examples
    --------
    >>> from fewlabels.tabular import MLP, MLPGenerator
    >>> objective = ImprovedGAN(MLPGenerator(2, torch.zeros(4), torch.ones(4)))
    >>> list(objective(MLP(4, 3), Batch(None, torch.zeros(0), torch.rand(5, 4))).loss)
    ['real_or_fake', 'generator']
    """

    def __init__(self, generator: nn.Module, weight: float = 1.0) -> None:
        super().__init__()
        self.generator, self.weight = generator, weight

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The terms above."""
        samples = in_float32(self.generator, latents(self.generator, len(batch.x_unlabelled)))
        return told_apart(potential, batch.x_unlabelled, samples, self.weight)[0]


def told_apart(potential: nn.Module, data: Tensor, samples: Tensor, weight: float) -> tuple[Terms, Categorical, Tensor]:
    """The terms of `ImprovedGAN` for these samples, which learn by their features alone.

    Beside them u(x, ·) of the data and, behind them, of the samples, and the samples' features, (B, F).
    """
    labels, h = features(potential, torch.cat([data, samples.detach()]))
    u_data, u_samples = labels.log_partition.split(len(data))
    with frozen(potential):
        h_samples = features(potential, samples)[1]
    loss = {
        "real_or_fake": weight * real_or_fake(u_data, u_samples),
        "generator": feature_matching(h[: len(data)].detach(), h_samples),
    }
    return Terms(loss, {"u_data": u_data.detach().mean(), "u_samples": u_samples.detach().mean()}), labels, h_samples


def real_or_fake(u_data: Tensor, u_samples: Tensor) -> Tensor:
    """½ (-mean log σ(u_data) - mean log(1 - σ(u_samples))), of u(x), shapes (B,); a scalar.

    Examples
    --------
    >>> round(real_or_fake(torch.zeros(2), torch.zeros(3)).item(), 4)  # log 2: it cannot tell
    0.6931
    """
    return (softplus(-u_data).mean() + softplus(u_samples).mean()) / 2


def feature_matching(h_data: Tensor, h_samples: Tensor) -> Tensor:
    """The L1 distance of the means over a batch, of features (B, F), divided by F; a scalar.

    Examples
    --------
    >>> feature_matching(torch.tensor([[1.0, 2.0], [3.0, 2.0]]), torch.zeros(5, 2)).item()
    2.0
    """
    return (h_data.float().mean(0) - h_samples.float().mean(0)).abs().mean()
