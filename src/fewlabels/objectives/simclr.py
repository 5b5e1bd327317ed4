r"""Contrast of views: what two random changes of one input have in common, and other inputs have not.

Of each of B unlabelled inputs two views are drawn; z are their projected features, 2B vectors of unit length, and
j(i) is the other view of what i is a view of.

.. math::
   L = -\frac{w}{2B} Σ_{i=1}^{2B} \log \frac{\exp(z_i · z_{j(i)} / τ)}{Σ_{k ≠ i} \exp(z_i · z_k / τ)}, \qquad
   z = \frac{P(h)}{‖P(h)‖}, \quad P(h) = W_2 \max(W_1 h + b_1, 0) + b_2

(Chen, Kornblith, Norouzi and Hinton, 2020; the loss is there called NT-Xent).  It is the cross-entropy of finding the
partner among 2B - 1 candidates.  P is a player that is dropped afterwards: it may lose what views do not share, so that
h need not.  Labels are not asked for: a stage before fine-tuning.

==============  ==================================================
``contrast``    the potential up to its features, and P
==============  ==================================================
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from fewlabels.features import features
from fewlabels.layers import in_float32
from fewlabels.objective import Batch, Objective, Terms

__all__ = ["SimCLR", "contrast"]


class SimCLR(Objective):
    """The contrast above on the unlabelled part of a batch.

    Parameters
    ----------
    width
        Of the features, `fewlabels.features.width`, and of the layers of P.
    view
        From inputs (B, ...) to a view of each, drawn anew at every call; it decides what is learnt.  See
        `fewlabels.augmentation`.
    temperature
        τ; 0.5 is the paper's for CIFAR-10.
    weight
        w.
    """

    def __init__(
        self, width: int, view: Callable[[Tensor], Tensor], temperature: float = 0.5, weight: float = 1.0
    ) -> None:
        super().__init__()
        self.view, self.temperature, self.weight = view, temperature, weight
        self.projection = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The term ``contrast``; the potential's own noise, as its mode says, adds to the views."""
        x = batch.x_unlabelled
        h = features(potential, torch.cat([self.view(x), self.view(x)]))[1]
        z = in_float32(self.projection, h)
        return Terms({"contrast": self.weight * contrast(z, self.temperature)}, {})


def contrast(z: Tensor, temperature: float) -> Tensor:
    """NT-Xent of vectors (2B, F) of any length, of which the i-th and the (i + B)-th are partners.

    Examples
    --------
    >>> z = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(2, 1)  # candidates of similarity 1, 0 and 0
    >>> round(contrast(z, 1.0).item(), 4)  # log(1 + 2 / e)
    0.5514
    """
    with torch.autocast(z.device.type, enabled=False):
        z = normalize(z)
        similarities = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
    partners = torch.arange(len(z), device=z.device).roll(len(z) // 2)
    return cross_entropy(similarities, partners)
