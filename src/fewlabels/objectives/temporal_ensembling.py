r"""Temporal Ensembling: p(y | x) is to be what the network said of x on average when it met it before.

.. math::
   L(θ) = \frac{w}{|U| K} Σ_{x_i ∈ U} 1[n_i > 0] \Bigl\| p_θ(· | v(x_i)) - \frac{Z_i}{1 - α^{n_i}} \Bigr\|², \qquad
   Z_i ← α Z_i + (1 - α) p_θ(· | v(x_i)), \quad n_i ← n_i + 1

(Laine and Aila, 2017), with v an augmentation and n_i how often x_i was met: dividing by 1 - α^n makes Z, which starts
at 0, a weighted mean.  One pass serves as student now and as teacher later.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fewlabels.labels import Categorical
from fewlabels.objective import Batch, Objective, Terms
from fewlabels.objectives.pi_model import disagreement

__all__ = ["TemporalEnsembling"]


class TemporalEnsembling(Objective):
    """The squared difference from the remembered mean, on the unlabelled part of a batch, which names its ``rows``.

    Parameters
    ----------
    inputs, labels
        How many unlabelled inputs there are in all, N, and K: the memory is (N, K).
    view
        v, from inputs (B, ...) to inputs; see `fewlabels.augmentation`.
    weight
        w, which is to be ramped up (`fewlabels.objectives.ramp`).
    decay
        α; 0.6 by default as in the paper.

    Examples
    --------
    >>> from fewlabels.tabular import MLP
    >>> objective = TemporalEnsembling(8, 3, view=lambda x: x)
    >>> batch = Batch(None, torch.zeros(0), torch.zeros(5, 4), rows=torch.arange(5))
    >>> objective(MLP(4, 3), batch).loss["temporal_ensembling"].item()  # nothing is remembered yet
    0.0
    """

    mean: Tensor
    met: Tensor

    def __init__(
        self, inputs: int, labels: int, view: Callable[[Tensor], Tensor], weight: float = 1.0, decay: float = 0.6
    ) -> None:
        super().__init__()
        self.view, self.weight, self.decay = view, weight, decay
        self.register_buffer("mean", torch.zeros(inputs, labels))
        self.register_buffer("met", torch.zeros(inputs, 1, dtype=torch.long))

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The term ``temporal_ensembling``."""
        assert batch.rows is not None
        labels: Categorical = potential(self.view(batch.x_unlabelled))
        p, met = labels.log_marginals().exp(), self.met[batch.rows]
        taught = self.mean[batch.rows] / (1 - self.decay**met).clamp_min(1e-6)
        self._said = batch.rows, p.detach()
        return Terms(
            {"temporal_ensembling": self.weight * disagreement(p, torch.where(met > 0, taught, p.detach()))}, {}
        )

    def update(self, potential: nn.Module) -> None:
        """Remember what was said."""
        rows, p = self._said
        self.mean[rows] = self.decay * self.mean[rows] + (1 - self.decay) * p
        self.met[rows] += 1
