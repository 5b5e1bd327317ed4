r"""Repair of tables: which entries of a row were swapped for other rows' entries, and what was there before.

Entries x_d of a share p of the cells are replaced by x_π(d), the same column's in another row of the batch: a change
that keeps each column's distribution and breaks what columns have to do with each other.  From the features h(x̃) of
the potential, one head tells where the value was changed, one what the row was:

.. math::
   \tilde x = m ⊙ x_π + (1 - m) ⊙ x, \quad m_d \sim \mathrm{Bernoulli}(p), \qquad t_d = 1[\tilde x_d ≠ x_d], \\
   L = \frac{w}{|U| D} Σ_{x ∈ U} Σ_d \Bigl[ -t_d \log s_d - (1 - t_d) \log(1 - s_d) + α (r_d - x_d)^2 \Bigr], \qquad
   s = \mathrm{sigmoid}(A h + a), \quad r = R h + b

(Yoon, Zhang, Jordon and van der Schaar, 2020, the self-supervised part).  A swap for an equal value is none, which
matters where columns have few values.  Labels are not asked for: a stage before fine-tuning.

==================  ===============================================
``mask``            the potential up to its features, and s
``reconstruction``  the potential up to its features, and r
==================  ===============================================
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from fewlabels.features import features
from fewlabels.layers import in_float32
from fewlabels.objective import Batch, Objective, Terms

__all__ = ["VIME", "swapped"]


class VIME(Objective):
    """The loss above on the unlabelled part of a batch; x of any shape is read as a row of its D numbers.

    Parameters
    ----------
    width
        Of the features, `fewlabels.features.width`.
    inputs
        D.
    share
        p; 0.3 as in the paper.
    alpha
        α; 2 as in the paper, whose inputs lie in [0, 1].
    weight
        w.
    """

    def __init__(self, width: int, inputs: int, share: float = 0.3, alpha: float = 2.0, weight: float = 1.0) -> None:
        super().__init__()
        self.share, self.alpha, self.weight = share, alpha, weight
        self.mask, self.reconstruction = nn.Linear(width, inputs), nn.Linear(width, inputs)

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The terms ``mask`` and ``reconstruction``."""
        x = batch.x_unlabelled.flatten(1)
        corrupted = swapped(x, self.share)
        h = features(potential, corrupted.view_as(batch.x_unlabelled))[1]
        changed = (corrupted != x).to(x.dtype)
        mask = binary_cross_entropy_with_logits(in_float32(self.mask, h), changed)
        reconstruction = mse_loss(in_float32(self.reconstruction, h), x)
        return Terms({"mask": self.weight * mask, "reconstruction": self.weight * self.alpha * reconstruction}, {})


def swapped(x: Tensor, share: float) -> Tensor:
    """x, (B, D), of which a share of the entries comes from other rows of the batch.

    Examples
    --------
    >>> x = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    >>> swapped(x, 1.0).sort(0).values.equal(x), swapped(x, 0.0).equal(x)
    (True, True)
    """
    others = x.gather(0, torch.rand_like(x).argsort(0))  # each column in an order of its own
    return torch.where(torch.rand_like(x) < share, others, x)
