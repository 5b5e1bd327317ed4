r"""Categorical generative adversarial networks: sure of every input of the data, of none that a generator made.

H is the entropy of labels, U the unlabelled inputs, x' = G(h) samples with h uniform on [0, 1), and a bar a mean over
the batch (Springenberg, 2016).  The classifier is to be sure of each input of the data and to use all labels alike;
what the generator makes is to leave it unsure.  The generator wants the opposite: samples of which the classifier is
sure, and of all labels.

.. math::
   L(θ) &= w \Bigl( \overline{H[p_θ(y | x)]} - H\bigl[\overline{p_θ(y | x)}\bigr] - \overline{H[p_θ(y | x')]} \Bigr) \\
   L(φ) &= \overline{H[p_θ(y | x')]} - H\bigl[\overline{p_θ(y | x')}\bigr]

==============  =================================  ===================
``confidence``  w mean H[p(y | x_unl)]             θ
``balance``     -w H[mean p(y | x_unl)]            θ
``doubt``       -w mean H[p(y | G(h))]             θ
``generator``   mean H - H[mean], of p(y | G(h))   φ
==============  =================================  ===================

The first two are the negative mutual information of input and label, as is the generator's term.  They take the labels
to be about equally frequent: where they are not, ``balance`` does harm.  Only p(y | x) is at stake, and no level of u;
passes are made with the potential's dropout and noise.
"""

import torch
from torch import Tensor, nn

from fewlabels.labels import Categorical
from fewlabels.layers import in_float32
from fewlabels.objective import Batch, Objective, Terms, frozen
from fewlabels.objectives.latents import latents

__all__ = ["CatGAN", "entropy_of_mean"]


class CatGAN(Objective):
    """The terms above on the unlabelled part of a batch and as many samples, for continuous x and a `Categorical`.

    Parameters
    ----------
    generator
        G, a module from latents (B, H) to inputs (B, ...), with an attribute ``latent``, the integer H.
    weight
        w; 1 by default as in the paper.

    Examples
    --------
    >>> class Sure(nn.Module):
    ...     def forward(self, x):
    ...         return Categorical(torch.cat([x, -x], 1))
    >>> from fewlabels.tabular import MLPGenerator
    >>> generator = MLPGenerator(2, torch.zeros(1), torch.zeros(1))  # it can but make 0, of which none is sure
    >>> terms = CatGAN(generator)(Sure(), Batch(None, torch.zeros(0), torch.tensor([[50.0], [-50.0]])))
    >>> {name: round(term.item() + 0.0, 4) for name, term in terms.loss.items()}  # log 2 is 0.6931
    {'confidence': 0.0, 'balance': -0.6931, 'doubt': -0.6931, 'generator': 0.0}
    """

    def __init__(self, generator: nn.Module, weight: float = 1.0) -> None:
        super().__init__()
        self.generator, self.weight = generator, weight

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The terms above."""
        data = batch.x_unlabelled
        samples = in_float32(self.generator, latents(self.generator, len(data)))
        scores: Tensor = potential(torch.cat([data, samples.detach()])).scores
        of_data, of_samples = map(Categorical, scores.split(len(data)))
        with frozen(potential):
            made: Categorical = potential(samples)
        return Terms(
            {
                "confidence": self.weight * of_data.entropy().mean(),
                "balance": -self.weight * entropy_of_mean(of_data),
                "doubt": -self.weight * of_samples.entropy().mean(),
                "generator": made.entropy().mean() - entropy_of_mean(made),
            },
            {},
        )


def entropy_of_mean(labels: Categorical) -> Tensor:
    """H of the mean of p(y | x) over a batch, a scalar, in nats.

    Examples
    --------
    >>> labels = Categorical(torch.tensor([[0.0, 99.0], [99.0, 0.0]]))
    >>> round(entropy_of_mean(labels).exp().item(), 4)  # both labels alike
    2.0
    """
    log_p = labels.log_marginals()
    return Categorical(log_p.logsumexp(0, keepdim=True)).entropy().squeeze(0)
