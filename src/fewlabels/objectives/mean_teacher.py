r"""Mean Teacher: p(y | x) of one view is to be what a moving average of the network says of another.

.. math::
   L(θ) = \frac{w}{|U| K} Σ_{x ∈ U} \bigl\| p_θ(· | v(x)) - p_{θ'}(· | v'(x)) \bigr\|², \qquad
   θ' ← α_t θ' + (1 - α_t) θ, \quad α_t = \min\bigl(α, 1 - 1 / (t + 1)\bigr)

(of sentences a mean over the places of the batch, those behind an end, where the two are equal, among them;
Tarvainen and Valpola, 2017), with v and v' augmentations drawn apart.  Only the student θ learns, with dropout; the
teacher θ' speaks without; it begins as the student is at the first step.  What is kept in the end is the average of
the stage, the teacher by another name.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from fewlabels.labels import Labels
from fewlabels.objective import Batch, Objective, Terms
from fewlabels.objectives.pi_model import disagreement
from fewlabels.teacher import Teacher

__all__ = ["MeanTeacher"]


class MeanTeacher(Objective):
    """The squared difference of student and teacher on the unlabelled part of a batch.

    Parameters
    ----------
    potential
        The student; the teacher is a copy.
    view
        v, from inputs (B, ...) to inputs; see `fewlabels.augmentation`.
    weight
        w, which is to be ramped up (`fewlabels.objectives.ramp`).
    decay
        α; 0.99 by default, the paper's while the weight rises and the better one for short training; 0.999 for long.

    Examples
    --------
    >>> from fewlabels.tabular import MLP
    >>> student, batch = MLP(4, 3), Batch(None, torch.zeros(0), torch.zeros(5, 4))
    >>> MeanTeacher(student, lambda x: x)(student, batch).loss["mean_teacher"].item()  # they begin alike
    0.0
    """

    done: Tensor

    def __init__(
        self, potential: nn.Module, view: Callable[[Any], Any], weight: float = 1.0, decay: float = 0.99
    ) -> None:
        super().__init__()
        self.teacher = Teacher(potential)
        self.view, self.weight, self.decay = view, weight, decay
        self.register_buffer("done", torch.zeros((), dtype=torch.long))

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The term ``mean_teacher``."""
        x = batch.x_unlabelled
        if not self.done:
            self.teacher.follow(potential, decay=0.0)
        taught = self.teacher(self.view(x)).log_marginals().exp()
        labels: Labels = potential(self.view(x))
        return Terms({"mean_teacher": self.weight * disagreement(labels.log_marginals().exp(), taught)}, {})

    def update(self, potential: nn.Module) -> None:
        """Let the teacher follow."""
        self.done += 1
        self.teacher.follow(potential, min(self.decay, 1 - 1 / (int(self.done) + 1)))
