r"""Entropy minimisation: p(y | x) is to be sure of itself on unlabelled inputs.

.. math:: L(θ) = \frac{w}{|U|} Σ_{x ∈ U} H\bigl(p_θ(y | x)\bigr)

(Grandvalet and Bengio, 2005).  Beside log p(x) the same term belongs to `fewlabels.objectives.nrf`, which has
p(y | x) at hand.
"""

from torch import nn

from fewlabels.labels import Labels
from fewlabels.objective import Batch, Objective, Terms

__all__ = ["EntropyMinimisation"]


class EntropyMinimisation(Objective):
    """The entropy above on the unlabelled part of a batch, with the potential's dropout and noise.

    Parameters
    ----------
    weight
        w; 1 by default.

    Examples
    --------
    >>> import torch
    >>> from fewlabels.labels import Categorical
    >>> class Scores(nn.Module):
    ...     def forward(self, x):
    ...         return Categorical(x)
    >>> terms = EntropyMinimisation()(Scores(), Batch(None, torch.zeros(0), torch.zeros(1, 2)))
    >>> round(terms.loss["entropy_minimisation"].item(), 4)  # log 2
    0.6931
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The term ``entropy_minimisation``."""
        labels: Labels = potential(batch.x_unlabelled)
        return Terms({"entropy_minimisation": self.weight * labels.entropy().mean()}, {})
