r"""Self-training in rounds: at the end of each the model labels what it is sure of, and learns from that in the next.

.. math::
   L_r(θ) = -\frac{w}{|U|} Σ_{x ∈ U} 1[p_{θ_{r-1}}(ŷ(x) | x) ≥ τ] \log p_θ(ŷ(x) | x), \qquad
   ŷ(x) = \arg\max_y u_{θ_{r-1}}(x, y), \qquad L_1 = 0

(Scudder, 1965; Yarowsky, 1995).  θ_{r-1} is a copy of the weights at the end of the last round.  Round r goes on from
them, where the classic scheme would start from random weights.
"""

import torch
from torch import Tensor, nn

from fewlabels.objective import Batch, Objective, Terms
from fewlabels.objectives.self_training import cross_entropy_of_the_sure
from fewlabels.teacher import Teacher

__all__ = ["TeacherLabels"]


class TeacherLabels(Objective):
    """-log p(ŷ | x) of the unlabelled part of a batch, ŷ given by the model of the last round.

    Parameters
    ----------
    potential
        What is to be trained; the teacher is a copy.
    steps
        Of a round.
    weight
        w; 1 by default.
    threshold
        τ; 0.75 by default, as scikit-learn's self-training has it.

    Examples
    --------
    >>> from fewlabels.tabular import MLP
    >>> student, batch = MLP(4, 3), Batch(None, torch.zeros(0), torch.zeros(5, 4))
    >>> TeacherLabels(student, steps=10)(student, batch).loss["teacher_labels"].item() == 0  # no last round yet
    True
    """

    done: Tensor

    def __init__(self, potential: nn.Module, steps: int, weight: float = 1.0, threshold: float = 0.75) -> None:
        super().__init__()
        self.teacher = Teacher(potential)
        self.steps, self.weight, self.threshold = steps, weight, threshold
        self.register_buffer("done", torch.zeros((), dtype=torch.long))

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The term ``teacher_labels``; without gradient in the first round."""
        x = batch.x_unlabelled
        weight = self.weight if self.done >= self.steps else 0.0
        loss = cross_entropy_of_the_sure(self.teacher(x), potential(x), self.threshold)
        return Terms({"teacher_labels": weight * loss}, {})

    def update(self, potential: nn.Module) -> None:
        """Count the step; at a round's end the teacher becomes the potential."""
        self.done += 1
        if self.done % self.steps == 0:
            self.teacher.follow(potential, decay=0.0)
