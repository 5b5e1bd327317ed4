r"""A teacher: a copy of the potential that does not learn but follows, for targets on unlabelled inputs."""

import copy

import torch
from torch import Tensor, nn

from fewlabels.labels import Labels

__all__ = ["Teacher", "teachers"]


class Teacher(nn.Module):
    """A copy of a potential, without dropout and noise, whose weights follow when they are told to.

    It is part of an objective's state, so that a resumed run has the teacher that it had.

    Parameters
    ----------
    potential
        What is copied; its initial weights are the teacher's first.
    """

    def __init__(self, potential: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(potential).requires_grad_(False).eval()

    @torch.no_grad()
    def forward(self, x: Tensor) -> Labels:
        """u(x, ·) by the teacher."""
        return self.network(x)

    @torch.no_grad()
    def follow(self, potential: nn.Module, decay: float) -> None:
        """Move the weights: θ' ← decay θ' + (1 - decay) θ; 0 copies; buffers are copied."""
        for own, other in zip(self.network.parameters(), potential.parameters(), strict=True):
            own.lerp_(other, 1 - decay)
        for own, other in zip(self.network.buffers(), potential.buffers(), strict=True):
            own.copy_(other)

    def train(self, mode: bool = True) -> "Teacher":
        """Stay without dropout and noise, whatever is asked."""
        return super().train(False)


def teachers(objective: nn.Module) -> list[nn.Module]:
    """The networks of the teachers that are part of an objective."""
    return [part.network for part in objective.modules() if isinstance(part, Teacher)]
