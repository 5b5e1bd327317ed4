r"""Self-training: the model's own labels of unlabelled inputs as if they were true; a baseline without log p(x).

.. math:: L(θ) = -\frac{w}{|U|} Σ_{x ∈ U} \log p_θ(ŷ(x) | x), \qquad ŷ(x) = \arg\max_y u_θ(x, y)

ŷ is found anew at every step by the current potential without dropout, and held fixed; the loss is computed with
dropout.  As in the paper's comparison, every input counts alike, however sure the model is of it.
"""

import torch
from torch import nn

from fewlabels.objective import Batch, Objective, Terms, noiseless

__all__ = ["SelfTraining"]


class SelfTraining(Objective):
    """-log p(ŷ | x) of the unlabelled part of a batch.

    Parameters
    ----------
    weight
        w; 1 by default as in the paper's comparison.

    Examples
    --------
    >>> from fewlabels.labels import Categorical
    >>> class Scores(nn.Module):
    ...     def forward(self, x):
    ...         return Categorical(x)
    >>> x = torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    >>> terms = SelfTraining()(Scores(), Batch(None, torch.zeros(0), x))
    >>> round(terms.loss["self_training"].item(), 4)  # -log(1 / 2)
    0.6931
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The term ``self_training``."""
        x = batch.x_unlabelled
        with torch.no_grad(), noiseless(potential):
            y = potential(x).mode()
        return Terms({"self_training": -self.weight * potential(x).log_conditional(y).mean()}, {})
