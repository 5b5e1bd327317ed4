r"""A weight that rises while training goes on, for terms that rest on what the net believes of unlabelled inputs.

.. math:: L_t(θ) = w(t) L(θ), \qquad w(t) = \exp\bigl(-5 (1 - t / T)^2\bigr), \quad t < T; \qquad 1 \text{ from then on}

(Laine and Aila, 2017).
"""

import math

import torch
from torch import Tensor, nn

from fewlabels.objective import Batch, Objective, Terms

__all__ = ["Ramped"]


class Ramped(Objective):
    """An objective whose terms weigh w(t) at step t.

    Parameters
    ----------
    part
        The objective.
    steps
        T, counted in steps of training; 0: the weight is 1 at once.
    """

    done: Tensor

    def __init__(self, part: Objective, steps: int) -> None:
        super().__init__()
        self.part, self.steps = part, steps
        self.register_buffer("done", torch.zeros((), dtype=torch.long))  # in the state: a resumed run goes on from here

    def factor(self) -> float:
        """W at the present step.

        Examples
        --------
        >>> round(Ramped(Objective(), steps=100).factor(), 4)
        0.0067
        """
        done = int(self.done)
        return math.exp(-5 * (1 - done / self.steps) ** 2) if done < self.steps else 1.0

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The part's terms, weighted."""
        loss, info = self.part(potential, batch)
        factor = self.factor()
        return Terms({name: factor * term for name, term in loss.items()}, info)

    def update(self, potential: nn.Module) -> None:
        """Update the part and count the step."""
        self.part.update(potential)
        self.done += 1

    def calm(self) -> None:
        """Calm the part."""
        self.part.calm()
