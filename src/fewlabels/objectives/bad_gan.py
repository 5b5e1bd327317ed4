r"""Bad GAN: real or fake as in the Improved GAN, by a generator that is kept from collapsing.

A generator that only matches means of features may put all samples in one place.  Bad samples, those that lie between
the classes, push boundaries there if they are spread out: besides matching features the generator is to raise its
entropy (Dai, Yang, Yang, Cohen and Salakhutdinov, 2017).  Two stand-ins for the entropy, either of which is
minimised, are the variational bound, with an encoder q_ψ(h | x) = N(h; μ(x), diag σ(x)²), and pull-away, the mean
squared cosine between features of different samples x' = G(h) (Zhao, Mathieu and LeCun, 2017):

.. math::
   L_{vi}(φ, ψ) &= -\overline{\log q_ψ(h | G_φ(h))} \\
   L_{pt}(φ) &= \frac{1}{B (B - 1)} Σ_{i ≠ j} \cos^2 \bigl( h_θ(x'_i), h_θ(x'_j) \bigr)

The classifier is to be sure of data besides.

================  ======================================================  ===================
``real_or_fake``  w × that of `fewlabels.objectives.improved_gan`         θ
``confidence``    w e mean H[p(y | x_unl)]                                θ
``generator``     that of `fewlabels.objectives.improved_gan`             φ
``spread``        s L_vi or s L_pt                                        φ, and ψ
================  ======================================================  ===================

The paper's third part, samples kept from where a density model finds data likely, is left out: that is a model of its
own, and in the paper for MNIST alone.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from fewlabels.labels import Categorical
from fewlabels.layers import in_float32
from fewlabels.objective import Batch, Objective, Terms
from fewlabels.objectives.improved_gan import told_apart
from fewlabels.objectives.latents import latents

__all__ = ["BadGAN", "Encoder", "pull_away"]

VARIATIONAL, PULL_AWAY = 0.01, 0.8


class BadGAN(Objective):
    """The terms above on the unlabelled part of a batch and as many samples, for continuous x and a `Categorical`.

    Parameters
    ----------
    generator
        G, a module from latents (B, H) to inputs (B, ...), with an attribute ``latent``, the integer H.
    inputs
        D, how many numbers an input holds, for the encoder of the variational bound; None: pull-away, which needs none.
        The paper has the former for CIFAR-10, the latter for SVHN.
    weight
        w; 1 by default as in the paper.
    confidence
        e; 0.1 by default, as in the paper's recipe for SVHN.
    spread
        s; None stands for the paper's 0.01 for the variational bound, 0.8 for pull-away.

    Examples
    --------
    >>> from fewlabels.tabular import MLP, MLPGenerator
    >>> objective = BadGAN(MLPGenerator(2, torch.zeros(4), torch.ones(4)), inputs=4)
    >>> list(objective(MLP(4, 3), Batch(None, torch.zeros(0), torch.rand(5, 4))).loss)
    ['real_or_fake', 'generator', 'confidence', 'spread']
    """

    def __init__(
        self,
        generator: nn.Module,
        inputs: int | None,
        weight: float = 1.0,
        confidence: float = 0.1,
        spread: float | None = None,
    ) -> None:
        super().__init__()
        assert isinstance(generator.latent, int), "the generator needs an integer attribute latent"
        self.generator, self.weight, self.confidence = generator, weight, confidence
        self.encoder = None if inputs is None else Encoder(inputs, generator.latent)
        self.spread = (PULL_AWAY if inputs is None else VARIATIONAL) if spread is None else spread

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The terms above."""
        data = batch.x_unlabelled
        latent = latents(self.generator, len(data))
        samples = in_float32(self.generator, latent)
        terms, labels, h_samples = told_apart(potential, data, samples, self.weight)
        of_data = Categorical(labels.scores[: len(data)])
        spread = pull_away(h_samples) if self.encoder is None else self.encoder(samples, latent).mean()
        terms.loss["confidence"] = self.weight * self.confidence * of_data.entropy().mean()
        terms.loss["spread"] = self.spread * spread
        return terms


class Encoder(nn.Module):
    """-log q(h | x), (B,), in nats: a Gaussian of which a small network gives mean and log σ, the latter at least -3.

    Without that bound, latents that can be read off a sample exactly would lower the loss without end.
    """

    def __init__(self, inputs: int, latent: int, hidden: int = 128) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(inputs, hidden), nn.Linear(hidden, 2 * latent)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """Of latents h, (B, H), given inputs x, (B, ...)."""
        mean, log_sigma = in_float32(self.head, relu(self.body(x.flatten(1)))).chunk(2, 1)
        return -torch.distributions.Normal(mean, log_sigma.clamp(min=-3).exp()).log_prob(h).sum(1)


def pull_away(h: Tensor) -> Tensor:
    """The mean squared cosine of features (B, F) of different inputs; 0 where there is one input alone; a scalar."""
    with torch.autocast(h.device.type, enabled=False):
        directions = normalize(h.float())
        squares = (directions @ directions.T).square()
    return (squares.sum() - squares.trace()) / max(1, len(h) * (len(h) - 1))
