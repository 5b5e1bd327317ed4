r"""Annealed importance sampling (Neal, 2001): an estimate of log Z = log ∫ exp u(x) dx, for problems of few dimensions.

It turns the potential into a density, log p(x) = u(x) - log Z.  Chains start from draws of a normalised base q and are
led to p along the geometric path of inverse temperatures 0 = β_0 < β_1 < ... < β_T = 1,

.. math:: u_β(x) = (1 - β) \log q(x) + β u(x)

Each chain weighs its state, then moves it by a transition that leaves exp u_β unchanged:

.. math:: \log w ← \log w + (β_{t+1} - β_t) (u(x) - \log q(x)), \qquad x ∼ K_{β_{t+1}}(\,· \mid x)

Then E[w] = Z exactly, for every number of temperatures, and log Z is estimated by the logarithm of the mean weight.
Going the other way, from exact samples of p down to q, E[w] = 1/Z (Grosse, Ghahramani and Adams, 2015).

*Transitions.*  Hamiltonian Monte Carlo: a fresh momentum, a few leapfrog steps of size ε and one accept test, which
makes K_β exact where Langevin steps without it (`samplers`) sample another density, of another Z.  L leapfrog steps go
about L ε far, L Langevin steps √L ε; L = 1 *is* Metropolis-adjusted Langevin.  The test compares in float64.  It
makes up for any force in the leapfrog steps that is a function of x alone; so where ∇u overflows, the force is 0.

*Step size.*  `PILOTS` further chains, which are not counted, set ε for the next temperature by their acceptance.  To
the chains that count, ε is given from outside: the weights stay independent of each other, and E[w] = Z.

*Where there is no Z.*  A network of ReLUs grows along straight lines for ever, so that exp u need not have a finite
integral over all x; an estimate from any base is then of nothing.  `within` a box there is one.

*What it cannot see.*  By Jensen's inequality E[log of the mean weight] ≤ log Z, short by about half the squared
standard error.  Weight carried by a few chains shows in ``effective_sample_size``: where n times it is below a hundred
or so, the standard error itself is not to be trusted; raise the number of temperatures.  A mode that no chain has found
shows in nothing that comes out of a forward run: take a base that covers the data, and where p can be sampled, the
reverse run as well: on average, log Z lies between the two.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Uniform

from fewlabels.errors import InputError

__all__ = ["PILOTS", "Annealed", "annealed_log_partition", "reverse_log_partition", "within"]

PILOTS = 50
"""Chains that only set the step size."""

ACCEPTANCE = 0.65
"""Best for Hamiltonian Monte Carlo in many dimensions (Beskos et al., 2013)."""

PACE = 1.0
"""Change of log ε for each unit that the acceptance is off: ε is at most halved, or two fifths longer."""

Potential = Callable[[Tensor], Tensor]
"""x of shape (n, ...) -> u(x) of shape (n,)."""


class Annealed(NamedTuple):
    """An estimate of log Z, and whether to believe it.

    Attributes
    ----------
    log_partition
        The estimate.
    standard_error
        Its standard error, by the delta method: that of the mean weight over the mean weight.
    effective_sample_size
        (Σ w)² / (n Σ w²): 1 where all weights are equal, 1/n where one chain carries all.
    acceptance
        Mean over chains and transitions; NaN where there is none, with one temperature.
    log_weights
        log w, shape (n,), float64.
    """

    log_partition: float
    standard_error: float
    effective_sample_size: float
    acceptance: float
    log_weights: Tensor


def annealed_log_partition(
    u: Potential,
    base: Distribution,
    *,
    chains: int = 500,
    temperatures: int = 200,
    step_size: float = 0.1,
    leapfrog: int = 5,
) -> Annealed:
    """Estimate log Z of p(x) ∝ exp u(x) by annealing from a base; short of log Z rather than beyond it.

    Random numbers come from torch's global generator, as those of ``base`` do: seed it.  A pass costs
    (chains + `PILOTS`) evaluations of u and its gradient, and there are about (leapfrog + 2) · temperatures passes.

    Parameters
    ----------
    u
        Maps x of shape (n, ...) to u(x) of shape (n,): of a potential, ``lambda x: potential(x).log_partition``
        under `noiseless`.  Smooth, with all of R^D as its domain.
    base
        q, a `torch.distributions` object over whole inputs: ``log_prob`` gives shape (n,).  It should be wider than p.
        Its dtype is that of the x that u gets.
    chains
        n.
    temperatures
        T; with 1 it is importance sampling from the base.
    step_size
        ε at the first temperature, in units of x.
    leapfrog
        Leapfrog steps in a transition.

    Raises
    ------
    InputError
        u or the base's ``log_prob`` is not one number an input; fewer than 2 chains or 1 temperature.

    Examples
    --------
    >>> base = torch.distributions.MultivariateNormal(torch.zeros(2), 4 * torch.eye(2))
    >>> done = annealed_log_partition(lambda x: -(x**2).sum(1) / 2, base, temperatures=50)  # Z = 2π
    >>> abs(done.log_partition - math.log(2 * math.pi)) < 0.1
    True
    """
    x = base.sample(torch.Size([chains + PILOTS]))
    return _summary(*_anneal(u, base, x, _schedule(temperatures), step_size, leapfrog))


def reverse_log_partition(
    u: Potential, base: Distribution, x: Tensor, *, temperatures: int = 200, step_size: float = 0.1, leapfrog: int = 5
) -> Annealed:
    """Estimate log Z by the way back, from exact samples of p to the base; beyond log Z rather than short of it.

    Parameters are those of `annealed_log_partition`, and

    Parameters
    ----------
    x
        Exact and independent samples of p, shape (n + `PILOTS`, ...).

    Raises
    ------
    InputError
        Fewer than two samples beside the pilots, or no temperature; a u that is not one number an input.

    Examples
    --------
    >>> base = torch.distributions.MultivariateNormal(torch.zeros(2), 4 * torch.eye(2))
    >>> u, x = lambda x: -(x**2).sum(1) / 2, torch.randn(500 + PILOTS, 2)  # Z = 2π
    >>> abs(reverse_log_partition(u, base, x, temperatures=50).log_partition - math.log(2 * math.pi)) < 0.1
    True
    """
    back = _summary(*_anneal(u, base, x, _schedule(temperatures)[::-1], step_size, leapfrog))
    return back._replace(log_partition=-back.log_partition)


def within(u: Potential, low: Tensor, high: Tensor) -> tuple[Potential, Distribution]:
    """A potential that is -∞ beyond a box, and the uniform base on it: what `annealed_log_partition` takes.

    Parameters
    ----------
    u
        Smooth inside the box.
    low, high
        Its bounds, of the shape of one x.

    Examples
    --------
    >>> done = annealed_log_partition(*within(lambda x: x.sum(1), torch.zeros(2), torch.ones(2)))  # Z = (e - 1)²
    >>> abs(done.log_partition - 2 * math.log(math.e - 1)) < 0.05
    True
    """

    def inside(x: Tensor) -> Tensor:
        here = ((x >= low) & (x <= high)).flatten(1).all(1)
        return torch.where(here, u(x), -torch.inf)

    return inside, Independent(Uniform(low, high, validate_args=False), low.dim(), validate_args=False)


def _schedule(temperatures: int) -> list[float]:
    """(t/T)² for t from 0 to T: from a wide base, the path is steepest at its start."""
    if temperatures < 1:
        raise InputError(f"Expected temperatures to be at least 1, got {temperatures}.")
    return [(t / temperatures) ** 2 for t in range(temperatures + 1)]


def _anneal(
    u: Potential, base: Distribution, x: Tensor, betas: list[float], step_size: float, leapfrog: int
) -> tuple[Tensor, float]:
    """Lead x through the inverse temperatures, up or down: log w of all but the pilots, and their mean acceptance."""
    if len(x) < PILOTS + 2:
        raise InputError(f"Expected at least 2 chains beside {PILOTS} pilots, got {len(x)} chains in all.")
    log_weights, acceptances = (betas[1] - betas[0]) * _gain(u, base, x), []
    for beta, following in pairwise(betas[1:]):
        x, acceptance = _transition(_path(u, base, beta), x, step_size, leapfrog)
        log_weights = log_weights + (following - beta) * _gain(u, base, x)
        acceptances.append(acceptance[:-PILOTS].mean().item())
        step_size *= math.exp(PACE * (acceptance[-PILOTS:].mean().item() - ACCEPTANCE))
    mean = sum(acceptances) / len(acceptances) if acceptances else float("nan")
    return log_weights[:-PILOTS], mean


def _summary(log_weights: Tensor, acceptance: float) -> Annealed:
    """What the weights say; with E the effective sample size, the squared error of log Z is (1/E - 1) / (n - 1)."""
    n = len(log_weights)
    log_sum = log_weights.logsumexp(0)
    share = (2 * log_sum - (2 * log_weights).logsumexp(0)).exp().item() / n
    error = (max(1 / share - 1, 0.0) / (n - 1)) ** 0.5  # in this order, a NaN stays one
    return Annealed(log_sum.item() - math.log(n), error, share, acceptance, log_weights)


def _transition(u: Potential, x: Tensor, step_size: float, leapfrog: int) -> tuple[Tensor, Tensor]:
    """One transition of Hamiltonian Monte Carlo on exp u(x): x, and each chain's probability of acceptance, (n,)."""
    start, momentum = x, torch.randn_like(x)
    value, force = _value_and_force(u, x)
    before = value - _kinetic(momentum)
    for _ in range(leapfrog):
        momentum = momentum + step_size / 2 * force
        x = x + step_size * momentum
        value, force = _value_and_force(u, x)
        momentum = momentum + step_size / 2 * force
    acceptance = (value - _kinetic(momentum) - before).clamp(max=0).exp().nan_to_num(0)
    accepted = torch.rand_like(acceptance) < acceptance
    return torch.where(accepted.view(-1, *[1] * (x.dim() - 1)), x, start), acceptance


def _value_and_force(u: Potential, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        value = u(x)
        force = torch.autograd.grad(value.sum(), x)[0]
    return value.detach(), force.nan_to_num(0, 0, 0)


def _kinetic(momentum: Tensor) -> Tensor:
    return momentum.double().flatten(1).square().sum(1) / 2


def _path(u: Potential, base: Distribution, beta: float) -> Potential:
    """u_β."""
    return lambda x: (1 - beta) * _one_each(base.log_prob(x), x) + beta * _one_each(u(x), x)


def _gain(u: Potential, base: Distribution, x: Tensor) -> Tensor:
    """u(x) - log q(x), the derivative of u_β by β; shape (n,)."""
    with torch.no_grad():
        return _one_each(u(x), x) - _one_each(base.log_prob(x), x)


def _one_each(values: Tensor, x: Tensor) -> Tensor:
    """In float64; anything but one number an input is refused, for (n, 1) beside (n,) would spread to (n, n)."""
    if values.shape != x.shape[:1]:
        raise InputError(
            f"Expected u(x) and the base's log_prob of shape ({len(x)},), got {tuple(values.shape)}: sum over "
            "features, or use Independent for a base that has one density a feature."
        )
    return values.double()
