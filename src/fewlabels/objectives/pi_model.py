r"""The Π-model: two views of an input, through two draws of dropout, are to get the same p(y | x).

.. math:: L(θ) = \frac{w}{|U| K} Σ_{x ∈ U} \bigl\| p_θ(· | v(x)) - p_{θ'}(· | v'(x)) \bigr\|²

(Laine and Aila, 2017), with v and v' augmentations drawn apart.  Both sides learn; dropout and noise, drawn apart for
each row, make θ and θ' two draws of one network, so that the loss is not dead even without an augmentation.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fewlabels.labels import Categorical
from fewlabels.objective import Batch, Objective, Terms

__all__ = ["PiModel", "disagreement"]


class PiModel(Objective):
    """The squared difference above on the unlabelled part of a batch.

    Parameters
    ----------
    view
        v, from inputs (B, ...) to inputs; see `fewlabels.augmentation`.
    weight
        w, which is to be ramped up (`fewlabels.objectives.ramp`): at first the net knows nothing to agree upon.
    """

    def __init__(self, view: Callable[[Tensor], Tensor], weight: float = 1.0) -> None:
        super().__init__()
        self.view, self.weight = view, weight

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The term ``pi``."""
        x = batch.x_unlabelled
        labels: Categorical = potential(torch.cat([self.view(x), self.view(x)]))
        one, other = labels.log_marginals().exp().split(len(x))
        return Terms({"pi": self.weight * disagreement(one, other)}, {})


def disagreement(p: Tensor, q: Tensor) -> Tensor:
    """The mean squared difference of probabilities (B, K): ‖p - q‖² / K, a mean over inputs.

    Examples
    --------
    >>> disagreement(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]])).item()
    0.25
    """
    return (p - q).square().mean()
