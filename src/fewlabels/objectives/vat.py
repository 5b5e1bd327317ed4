r"""Virtual adversarial training: p(y | x) is to stay as it is under the small change of x that alters it most.

.. math::
   L(θ) = \frac{w}{|U|} Σ_{x ∈ U} D\bigl(x, r(x)\bigr), \qquad
   D(x, r) = KL\bigl(p_{\bar θ}(y | x) \,\|\, p_θ(y | x + r)\bigr), \qquad
   r(x) = \arg\max_{‖r‖ ≤ ε} D(x, r)

(Miyato, Maeda, Koyama and Ishii, 2018).  Near r = 0, where D and its gradient vanish, D(x, r) ≈ ½ rᵀ H r, and the
maximum lies along the first eigenvector of H.  The power method finds it from a random unit vector d without H:

.. math:: d ← \frac{g}{‖g‖}, \qquad g = ∇_r D(x, r) \big|_{r = ξ d} ≈ ξ H d, \qquad r(x) = ε d

p(y | x) and r are held fixed where θ learns (θ̄); both are found without dropout and noise.

Words cannot be changed a little, but their vectors can (Miyato, Dai and Goodfellow, 2017): a `Space` says
where r lives.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fewlabels.labels import Labels
from fewlabels.objective import Batch, Objective, Terms, noiseless

__all__ = ["INPUTS", "VAT", "Space", "divergence"]


class Space(NamedTuple):
    """Where r lives.

    Attributes
    ----------
    room
        From a potential and inputs to a tensor (B, ...) of the shape of r: 1 where r may be other than 0, else 0.
    moved
        From inputs and r to the changed inputs.
    """

    room: Callable[[nn.Module, Any], Tensor]
    moved: Callable[[Any, Tensor], Any]


INPUTS = Space(lambda potential, x: torch.ones_like(x), torch.add)
"""x itself, which is continuous."""


class VAT(Objective):
    """The divergence above on the unlabelled part of a batch.

    Parameters
    ----------
    weight
        w; 1 by default as in the paper.
    radius
        ε / √D, in units of x: the root mean square change of a coordinate, so that a value serves inputs of all sizes,
        D numbers where there is room for r.  It matters most; what suits depends on the data.
    probe
        ξ, as a part of ε.  Small enough for the power method, large enough for the precision of the machine.
    iterations
        Of the power method; 1 is usual.
    space
        Where r lives; by default in x.

    Examples
    --------
    >>> from fewlabels.labels import Categorical
    >>> class Scores(nn.Module):
    ...     def forward(self, x):
    ...         return Categorical(torch.stack([x[:, 0], -x[:, 0]], 1))
    >>> terms = VAT(radius=0.25)(Scores(), Batch(None, torch.zeros(0), torch.zeros(1, 4)))
    >>> round(terms.loss["vat"].item(), 4)  # KL of (1/2, 1/2) to the softmax of (1/2, -1/2): log cosh(1/2)
    0.1201
    """

    def __init__(
        self, weight: float = 1.0, radius: float = 0.3, probe: float = 0.1, iterations: int = 1, space: Space = INPUTS
    ) -> None:
        super().__init__()
        self.weight, self.radius, self.probe, self.iterations, self.space = weight, radius, probe, iterations, space

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The term ``vat``."""
        x = batch.x_unlabelled
        with noiseless(potential):
            with torch.no_grad():
                p: Labels = potential(x)
            change = self._change(potential, x, p)
        loss = divergence(p, potential(self.space.moved(x, change))).mean()
        return Terms({"vat": self.weight * loss}, {})

    def _change(self, potential: nn.Module, x: Any, p: Labels) -> Tensor:
        """r(x), by the power method."""
        room = self.space.room(potential, x)
        length = self.radius * room.flatten(1).sum(1).sqrt().view(-1, *[1] * (room.dim() - 1))
        d = _unit(torch.randn_like(room) * room)
        for _ in range(self.iterations):
            d.requires_grad_()
            moved = self.space.moved(x, self.probe * length * d)
            d = _unit(torch.autograd.grad(divergence(p, potential(moved)).sum(), d)[0] * room)
        return length * d


def divergence(p: Labels, q: Labels) -> Tensor:
    """KL(p ‖ q) of marginals, summed over whatever labels an input has, (B,)."""
    log_p, log_q = p.log_marginals(), q.log_marginals()
    return (log_p.exp() * (log_p - log_q)).flatten(1).sum(1)


def _unit(d: Tensor) -> Tensor:
    """Each input's vector divided by its norm."""
    return nn.functional.normalize(d.flatten(1)).view_as(d)
