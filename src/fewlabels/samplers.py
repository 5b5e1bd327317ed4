r"""Langevin samplers of p(x) ∝ exp u(x), as pure functions: a potential and a start go in, a `Chain` comes out.

The step of overdamped Langevin dynamics of step size ε,

.. math:: x ← x + ε ∇u(x) + \sqrt{2ε}\, ξ, \qquad ξ ∼ N(0, I)

leaves p unchanged up to O(ε).  With momentum β (stochastic-gradient Hamiltonian Monte Carlo; Chen, Fox and Guestrin,
2014, eq. 15),

.. math:: v ← β v + ε ∇u(x) + \sqrt{2 (1 - β) ε}\, ξ, \qquad x ← x + v

and β = 0 is Langevin.  The paper's image experiments inject no noise (``noise=0``): a short, nearly deterministic
ascent of u whose bias the training has to live with.  ``noise=None`` means the exact coefficient above.

No gradient flows through a chain: its result is a constant to whatever loss it enters.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Chain", "backtracked", "langevin", "revise", "sghmc"]


class Chain(NamedTuple):
    """Where a chain ended, and what it did on its way.

    Attributes
    ----------
    x
        The revised x, of the start's shape, detached.
    displacement
        Mean absolute change of a coordinate from start to end, a scalar: 0 means that nothing moved.
    """

    x: Tensor
    displacement: Tensor


def langevin(
    u: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    step_size: float,
    steps: int,
    noise: float | None = None,
    generator: torch.Generator | None = None,
) -> Chain:
    r"""Run unadjusted Langevin dynamics on exp u(x).

    Parameters
    ----------
    u
        Maps x of shape (B, ...) to u(x) of shape (B,).
    x
        The start, shape (B, ...).
    step_size
        ε, in squared units of x.
    steps
        How many steps.
    noise
        Standard deviation of the injected noise; None is the exact √(2ε), 0 an ascent.
    generator
        Source of the noise; None is torch's global one.

    Examples
    --------
    >>> start = torch.zeros(2000, 1)
    >>> chain = langevin(lambda x: -(x**2).sum(1) / 2, start, step_size=0.05, steps=100)  # a standard Gaussian
    >>> 0.9 < chain.x.std().item() < 1.1
    True
    """
    return sghmc(u, x, step_size=step_size, steps=steps, momentum=0.0, noise=noise, generator=generator)


def sghmc(
    u: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    step_size: float,
    steps: int,
    momentum: float = 0.5,
    noise: float | None = None,
    generator: torch.Generator | None = None,
) -> Chain:
    """Run stochastic-gradient Hamiltonian Monte Carlo on exp u(x); the velocity starts at 0.

    Parameters are those of `langevin`, and ``momentum``, β in [0, 1): 0.5 as in the paper's code.  ``noise=None``
    injects √(2 (1 - β) ε).

    Examples
    --------
    >>> start = torch.zeros(2, 3)
    >>> sghmc(lambda x: x.sum(1), start, step_size=0.1, steps=2, momentum=0.5, noise=0.0).x[0, 0].item()
    0.25
    """
    scale = (2 * (1 - momentum) * step_size) ** 0.5 if noise is None else noise
    start = x = x.detach()
    velocity = torch.zeros_like(x)
    for _ in range(steps):
        _kick(velocity, _gradient(u, x), momentum, step_size, scale, generator)
        x = x + velocity
    return Chain(x, (x - start).abs().mean())


def revise(
    u: Callable[[Tensor], Tensor],
    generate: Callable[[Tensor], Tensor],
    h: Tensor,
    *,
    step_size: float,
    steps: int,
    momentum: float = 0.5,
    noise: float | None = None,
    sigma: float = 0.1,
    latent_step_size: float | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Chain, Tensor]:
    r"""Revise x and the latent h together, from the ancestral pair (h, G(h)), towards p(x) q(h | x).

    The auxiliary generator is q(x, h) = N(h; 0, I) N(x; G(h), σ² I).  With q(x) in ∇ log q(h | x) estimated at the same
    h, the two terms in q cancel in the x-gradient, which leaves ∇u(x); the h-gradient is

    .. math:: ∇_h \log q(x, h) = -∇_h \left( ‖x - G(h)‖² / (2σ²) + ‖h‖² / 2 \right)

    In each step x moves first, then h on the *new* x, and G is evaluated again at the new h every time; both carry a
    velocity.  The latent's prior is Gaussian throughout.

    Parameters are those of `sghmc`, and

    Parameters
    ----------
    generate
        G, from h of shape (B, H) to x of shape (B, ...).
    h
        The latent to start from, shape (B, H).
    sigma
        σ, in units of x; 0.1 is the value implied by the paper's code.
    latent_step_size
        ε of the h-steps; None is 2σ² ``step_size``, as in the paper's code, whose step is along
        -∇_h (‖x - G(h)‖² + 2σ² ‖h‖² / 2).

    Returns
    -------
    The chain of x, and the revised h.
    """
    latent_step_size = 2 * sigma**2 * step_size if latent_step_size is None else latent_step_size
    scale_x, scale_h = (
        (2 * (1 - momentum) * eps) ** 0.5 if noise is None else noise for eps in (step_size, latent_step_size)
    )
    h = h.detach()
    with torch.no_grad():
        start = x = generate(h)
    velocity_x, velocity_h = torch.zeros_like(x), torch.zeros_like(h)
    for _ in range(steps):
        _kick(velocity_x, _gradient(u, x), momentum, step_size, scale_x, generator)
        x = x + velocity_x

        def log_q(h: Tensor, x: Tensor = x) -> Tensor:
            return -(x - generate(h)).flatten(1).square().sum(1) / (2 * sigma**2) - h.square().sum(1) / 2

        _kick(velocity_h, _gradient(log_q, h), momentum, latent_step_size, scale_h, generator)
        h = h + velocity_h
    return Chain(x, (x - start).abs().mean()), h


def backtracked(u: Callable[[Tensor], Tensor], start: Tensor, chain: Chain, cuts: int) -> Chain:
    """Cut short, row by row, what ended lower in u than it began: the backtracking of a line search, for ascents.

    Steps too long for the curvature of u overshoot, and u falls.  A field that learns from such ends pushes u down
    where it has fallen already, whence it curves more and chains overshoot by more: training diverges.

    Parameters
    ----------
    u
        Maps x of shape (B, ...) to u(x) of shape (B,); without noise of its own.
    start, chain
        Where a chain without injected noise began, (B, ...), and where it ended.
    cuts
        How often the way is cut to a quarter, at most; where u(x) is then still below u(start), x is the start.

    Examples
    --------
    >>> start = torch.tensor([[1.0]])
    >>> chain = sghmc(lambda x: -(x**2).sum(1), start, step_size=2.0, steps=1, noise=0.0)  # from 1 to -3
    >>> backtracked(lambda x: -(x**2).sum(1), start, chain, cuts=1).x
    tensor([[0.]])
    """
    x = chain.x
    with torch.no_grad():
        least = u(start)
        for cut in range(cuts + 1):
            fell = ~(u(x) >= least)  # what is not a number fell, too
            if not fell.any():
                break
            nearer = start.lerp(x, 0.25) if cut < cuts else start
            x = torch.where(fell.view(-1, *[1] * (x.dim() - 1)), nearer, x)
    return Chain(x, (x - start).abs().mean())


def _gradient(u: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """∇u(x) for each row by itself: the gradient of the sum, by x alone (parameters cost nothing here)."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(u(x).sum(), x)[0]


def _kick(
    velocity: Tensor, gradient: Tensor, momentum: float, step_size: float, noise: float,
    generator: torch.Generator | None,
) -> None:  # fmt: skip
    """Momentum times a velocity, ε times a gradient, and noise of a standard deviation, in the velocity's place."""
    velocity.mul_(momentum).add_(gradient, alpha=step_size)
    if noise:
        z = torch.randn(velocity.shape, dtype=velocity.dtype, device=velocity.device, generator=generator)
        velocity.add_(z, alpha=noise)
