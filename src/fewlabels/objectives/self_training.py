r"""Self-training: the model's own labels of unlabelled inputs as if they were true; a baseline without log p(x).

.. math::
   L(θ) = -\frac{w}{|U|} Σ_{x ∈ U} 1[p_{\bar θ}(ŷ(x) | x) ≥ τ] \log p_θ(ŷ(x) | x), \qquad
   ŷ(x) = \arg\max_y u_{\bar θ}(x, y)

ŷ is found anew at every step by the current potential without dropout, and held fixed (θ̄); the loss is computed with
dropout.  With τ = 0 every input counts alike, as in the paper's comparison on sentences; with τ near 1 these are
pseudo-labels (Lee, 2013) as they are mostly used now (Oliver et al., 2018): the net is taught what it is sure of.
"""

import torch
from torch import Tensor, nn

from fewlabels.labels import Labels
from fewlabels.objective import Batch, Objective, Terms, noiseless

__all__ = ["SelfTraining", "cross_entropy_of_the_sure"]


class SelfTraining(Objective):
    """-log p(ŷ | x) of the unlabelled part of a batch.

    Parameters
    ----------
    weight
        w; 1 by default as in the paper's comparison.
    threshold
        τ, a probability; 0 by default as there.

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

    def __init__(self, weight: float = 1.0, threshold: float = 0.0) -> None:
        super().__init__()
        self.weight, self.threshold = weight, threshold

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The term ``self_training``."""
        x = batch.x_unlabelled
        with torch.no_grad(), noiseless(potential):
            given: Labels = potential(x)
        loss = cross_entropy_of_the_sure(given, potential(x), self.threshold)
        return Terms({"self_training": self.weight * loss}, {})


def cross_entropy_of_the_sure(given: Labels, labels: Labels, threshold: float) -> Tensor:
    """-log p(ŷ | x) by ``labels``, ŷ the mode of ``given``; a mean over all x, of which the unsure add nothing."""
    y = given.mode()
    sure = given.log_conditional(y).exp() >= threshold
    return -torch.where(sure, labels.log_conditional(y), 0.0).mean()
