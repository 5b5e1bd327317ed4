r"""Supervised training: the baseline, and the labelled half of every other method.

.. math:: L(θ) = -\frac{w}{|D|} Σ_{(x, y) ∈ D} \log p_θ(y | x), \qquad \log p_θ(y | x) = u_θ(x, y) - u_θ(x)

For a `Categorical` potential this is the cross-entropy, for a `LinearChain` the loss of a conditional random field (a
sum over the tokens of a sentence, a mean over sentences).
"""

import torch
from torch import nn

from fewlabels.labels import Categorical
from fewlabels.objective import Batch, Objective, Terms

__all__ = ["Supervised"]


class Supervised(Objective):
    """-log p(y | x) on the labelled part of a batch.

    Parameters
    ----------
    weight
        w; 1 by default, 10 in the paper's recipes for MNIST and SVHN.
    noise
        Standard deviation of Gaussian noise added to x, for continuous x: a regulariser that costs nothing.  The
        potential's own noise comes on top.
    together
        Pass the unlabelled inputs through with the labelled ones, for potentials of `Categorical` scores that are
        normalised over batches (`fewlabels.normalisation`): the labels' shares are seldom those of the classes, and
        means over labelled inputs alone are not those by which inputs are judged in the end.
    """

    def __init__(self, weight: float = 1.0, noise: float = 0.0, together: bool = False) -> None:
        super().__init__()
        self.weight, self.noise, self.together = weight, noise, together

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The term ``supervised``; dropout and input noise are as the potential's mode says."""
        x = torch.cat([batch.x, batch.x_unlabelled]) if self.together else batch.x
        labels = potential(x + self.noise * torch.randn_like(x) if self.noise else x)
        if self.together:
            labels = Categorical(labels.scores[: len(batch.x)])
        return Terms({"supervised": -self.weight * labels.log_conditional(batch.y).mean()}, {})
