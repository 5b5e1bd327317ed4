r"""Supervised training: the baseline, and the labelled half of every other method.

.. math:: L(θ) = -\frac{w}{|D|} Σ_{(x, y) ∈ D} \log p_θ(y | x), \qquad \log p_θ(y | x) = u_θ(x, y) - u_θ(x)

For a `Categorical` potential this is the cross-entropy, for a `LinearChain` the loss of a conditional random field (a
sum over the tokens of a sentence, a mean over sentences).
"""

from torch import nn

from fewlabels.objective import Batch, Objective, Terms

__all__ = ["Supervised"]


class Supervised(Objective):
    """-log p(y | x) on the labelled part of a batch.

    Parameters
    ----------
    weight
        w; 1 by default, 10 in the paper's recipes for MNIST and SVHN.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The term ``supervised``; dropout and input noise are as the potential's mode says."""
        return Terms({"supervised": -self.weight * potential(batch.x).log_conditional(batch.y).mean()}, {})
