r"""Supervised training: the baseline, and the labelled half of every other method.

.. math:: L(θ) = -\frac{w}{|D|} Σ_{(x, y) ∈ D} \log p_θ(y | x), \qquad \log p_θ(y | x) = u_θ(x, y) - u_θ(x)

For a `Categorical` potential this is the cross-entropy, for a `LinearChain` the loss of a conditional random field (a
sum over the tokens of a sentence, a mean over sentences).
"""

from typing import Any

import torch
from torch import Tensor, nn

from fewlabels.features import hooked, layers
from fewlabels.objective import Batch, Objective, Terms, noiseless

__all__ = ["Supervised"]


class Supervised(Objective):
    """-log p(y | x) on the labelled part of a batch.

    Parameters
    ----------
    weight
        w; 1 by default, 10 in the paper's recipes for MNIST and SVHN.
    noise
        Standard deviation of Gaussian noise added to x, for continuous x: a regulariser that costs nothing; 0 by
        default.  The potential's own noise comes on top.
    layer_noise
        That of noise added to what each layer with weights gives, the last in units of its scores, in place of the
        potential's own, as in a ladder network (`fewlabels.objectives.ladder`); 0 by default.

    Examples
    --------
    >>> from fewlabels.labels import Categorical
    >>> class Scores(nn.Module):
    ...     def forward(self, x):
    ...         return Categorical(x)
    >>> terms = Supervised()(Scores(), Batch(torch.zeros(5, 2), torch.zeros(5, dtype=torch.long), None))
    >>> round(terms.loss["supervised"].item(), 4)  # log 2
    0.6931
    """

    def __init__(self, weight: float = 1.0, noise: float = 0.0, layer_noise: float = 0.0) -> None:
        super().__init__()
        self.weight, self.noise, self.layer_noise = weight, noise, layer_noise

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The term ``supervised``; the potential's own dropout and noise are as its mode says."""
        x = batch.x + self.noise * torch.randn_like(batch.x) if self.noise else batch.x
        if self.layer_noise:
            with noiseless(potential), hooked(layers(potential), self._disturb):
                labels = potential(x)
        else:
            labels = potential(x)
        return Terms({"supervised": -self.weight * labels.log_conditional(batch.y).mean()}, {})

    def _disturb(self, layer: nn.Module, inputs: Any, z: Tensor) -> Tensor:
        return z + self.layer_noise * torch.randn_like(z)
