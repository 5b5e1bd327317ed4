r"""FixMatch: what the net is sure of on an input, it is taught to say of another view of the input.

.. math::
   L(θ) = -\frac{w}{|U|} Σ_{x ∈ U} 1[p_{\bar θ}(ŷ(x) | x) ≥ τ] \log p_θ(ŷ(x) | v(x)), \qquad
   ŷ(x) = \arg\max_y u_{\bar θ}(x, y)

(Sohn et al., 2020), with v an augmentation drawn anew.  ŷ is found without dropout and held fixed (θ̄) on x itself, the
weakest of views.  How well it works is up to v: published figures rest on strong augmentations of images.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fewlabels.labels import Labels
from fewlabels.objective import Batch, Objective, Terms, noiseless
from fewlabels.objectives.self_training import cross_entropy_of_the_sure

__all__ = ["FixMatch"]


class FixMatch(Objective):
    """-log p(ŷ | v(x)) of the unlabelled part of a batch, where ŷ is sure.

    Parameters
    ----------
    view
        v, from inputs (B, ...) to inputs; see `fewlabels.augmentation`.
    weight
        w; 1 by default as in the paper.
    threshold
        τ; 0.95 by default as there.

    Examples
    --------
    >>> from fewlabels.labels import Categorical
    >>> class Scores(nn.Module):
    ...     def forward(self, x):
    ...         return Categorical(torch.cat([x, -x], 1))
    >>> batch = Batch(None, torch.zeros(0), torch.tensor([[5.0], [0.1]]))  # it is sure of the first alone
    >>> round(FixMatch(lambda x: 0 * x)(Scores(), batch).loss["fixmatch"].item(), 4)  # half of log 2
    0.3466
    """

    def __init__(self, view: Callable[[Tensor], Tensor], weight: float = 1.0, threshold: float = 0.95) -> None:
        super().__init__()
        self.view, self.weight, self.threshold = view, weight, threshold

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The term ``fixmatch``."""
        x = batch.x_unlabelled
        with torch.no_grad(), noiseless(potential):
            given: Labels = potential(x)
        loss = cross_entropy_of_the_sure(given, potential(self.view(x)), self.threshold)
        return Terms({"fixmatch": self.weight * loss}, {})
