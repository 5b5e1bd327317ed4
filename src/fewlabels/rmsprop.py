r"""RMSprop with ε inside the root, as in Lasagne, where the paper's networks were trained.

.. math:: a ← ρ a + (1 - ρ) g^2, \qquad p ← p - λ g / \sqrt{a + ε}

It damps gradients below √ε, and is no multiple of the usual form, which adds ε outside the root.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["RMSprop"]

EPSILON = 1e-6


class RMSprop(torch.optim.Optimizer):
    """RMSprop as in Lasagne: ρ = 0.9, ε = 1e-6 inside the root, no momentum.

    Parameters
    ----------
    params
        Parameters or groups of them.
    lr
        λ; 1e-3 in all of the paper's recipes for the potential.
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-3) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take one step by the gradients at hand."""
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            gradients = [p.grad for p in parameters]
            squares = [self._square(p) for p in parameters]
            torch._foreach_mul_(squares, 0.9)
            torch._foreach_addcmul_(squares, gradients, gradients, 0.1)
            root = torch._foreach_add(squares, EPSILON)
            torch._foreach_sqrt_(root)
            torch._foreach_addcdiv_(parameters, gradients, root, -group["lr"])

    def _square(self, parameter: Tensor) -> Tensor:
        """The running mean a of a parameter's squared gradients."""
        state = self.state[parameter]
        if "square" not in state:
            state["square"] = torch.zeros_like(parameter)
        return state["square"]
