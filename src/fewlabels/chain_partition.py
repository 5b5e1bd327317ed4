"""The log-partition of a linear chain, log Σ_y exp(Σ_t e_{t, y_t} + Σ_t A_{y_{t-1}, y_t}), and its exact gradient.

`log_partition` is fast, and knows where it is certain; `log_forward` is the plain recursion in the log domain.
"""

from typing import Any

import torch
from torch import Tensor

__all__ = ["FORBIDDEN", "log_forward", "log_partition"]

FORBIDDEN = -1e30
"""Stands in for -∞ in log-domain recursions: finite, so that no gradient is NaN."""


def log_forward(emissions: Tensor, transitions: Tensor, lengths: Tensor) -> Tensor:
    """Log α_t(k), shape (B, T, K): the forward recursion in the log domain; carried unchanged behind the end."""
    transitions = transitions.clamp(min=FORBIDDEN)
    alpha = [emissions[:, 0].clamp(min=FORBIDDEN)]
    for t in range(1, emissions.shape[1]):
        following = (alpha[-1].unsqueeze(2) + transitions).logsumexp(1) + emissions[:, t].clamp(min=FORBIDDEN)
        alpha.append(torch.where((t < lengths).unsqueeze(1), following, alpha[-1]))
    return torch.stack(alpha, 1)


def log_partition(emissions: Tensor, transitions: Tensor, lengths: Tensor) -> Tensor:
    """Log Z, shape (B,), of emissions (B, T, K), transitions (K, K) and lengths (B,); its gradient are the marginals.

    Examples
    --------
    >>> round(log_partition(torch.zeros(1, 3, 2), torch.zeros(2, 2), torch.tensor([3])).exp().item(), 4)
    8.0
    """
    return _LogPartition.apply(emissions, transitions, lengths)


class _LogPartition(torch.autograd.Function):
    r"""log Σ_y exp(Σ_t e_{t, y_t} + Σ_t A_{y_{t-1}, y_t}) and its exact gradient, the marginals.

    Forward-backward in the probability domain with float64 state, rescaled at each step (Rabiner, 1989):

    .. math:: α̂_t ∝ (α̂_{t-1} E) ⊙ ε_t, \quad Σ_k α̂_t(k) = 1, \quad \log Z = Σ_t \log c_t

    with E = exp(A - max A), ε_t = exp(e_t - max e_t) and c_t the sum before rescaling; backward,
    β̂_{t-1} = E (ε_t ⊙ β̂_t / c_t), and α̂ ⊙ β̂ are the marginals.

    *When that is certain.*  An entry below 2^-1022 is lost.  Lost mass is at most a fraction 1e-308 / c_t of the whole
    when it arises, and from then on grows, relative to what is kept, by at most g_t / c_t a step, where
    g_t = max_j Σ_k E_jk ε_t(k) bounds what a unit of mass can become.  So all that is lost ends below
    1e-308 exp(Σ_t log(g_t / c_t) - min_t log c_t), a fraction of 1e-40 or less where that exponent is below 600; no
    entry of β̂ can exceed e^600 either.  Sentences beyond the bound are computed again in the log domain.

    Sentences are sorted by length, so that step t works on those that reach it and padding costs nothing.
    """

    @staticmethod
    def forward(ctx: Any, emissions: Tensor, transitions: Tensor, lengths: Tensor) -> Tensor:
        order = lengths.argsort(descending=True)
        chain = _Scaled(emissions.detach().index_select(0, order), transitions.detach(), lengths[order])
        back = order.argsort()
        log_z, unsafe = chain.log_z[back], chain.unsafe[back].nonzero().squeeze(1)
        ctx.chain, ctx.order, ctx.back, ctx.dtype, ctx.exact = chain, order, back, emissions.dtype, None
        if len(unsafe):
            with torch.enable_grad():
                e = emissions.detach()[unsafe].double().requires_grad_()
                a = transitions.detach().double().requires_grad_()
                exact = log_forward(e, a, lengths[unsafe])[:, -1].logsumexp(1)
            log_z[unsafe] = exact.detach()
            ctx.exact = (unsafe, e, a, exact)
        return log_z.to(emissions.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        grad = grad.double()
        chain_grad = grad[ctx.order].masked_fill(ctx.chain.unsafe, 0.0)
        marginals, d_transitions = ctx.chain.gradients(chain_grad)
        d_emissions = marginals.to(ctx.dtype).index_select(0, ctx.back)
        if ctx.exact is not None:
            unsafe, e, a, exact = ctx.exact
            d_e, d_a = torch.autograd.grad(exact, (e, a), grad[unsafe])
            d_emissions[unsafe] = d_e.to(ctx.dtype)
            d_transitions = d_transitions + d_a
        return d_emissions, d_transitions.to(ctx.dtype), None


class _Scaled:
    """The rescaled recursions of `_LogPartition`, on sentences sorted by falling length, in layout (T, K, B).

    That layout makes every step one product of a contiguous (K, K) by a (K, n) matrix: twice as fast as (n, K) by
    (K, K) at the sizes of tag sets.
    """

    def __init__(self, emissions: Tensor, transitions: Tensor, lengths: Tensor) -> None:
        position = torch.arange(emissions.shape[1], device=lengths.device).unsqueeze(1)
        self.inside = position < lengths  # (T, B)
        self.active = self.inside.sum(1).tolist()  # how many sentences reach step t
        emissions = emissions.permute(1, 2, 0).contiguous()
        emission_max = emissions.amax(1, keepdim=True)
        self.epsilon = (emissions.double() - emission_max).exp_()
        transition_max = transitions.max().double()
        self.e = (transitions.double() - transition_max).exp_()
        self.alpha = torch.zeros_like(self.epsilon)
        self.c = torch.ones_like(self.epsilon[:, :1])  # (T, 1, B); 1 behind the end
        self._run_forward()
        log_c = self.c.squeeze(1).log()
        outside = ~self.inside
        maxima = emission_max.squeeze(1).masked_fill(outside, 0.0)
        self.log_z = maxima.sum(0, dtype=log_c.dtype) + log_c.sum(0) + (lengths - 1) * transition_max
        self.unsafe = self._unsafe(self.epsilon.sum(1), log_c, outside)
        if self.unsafe.any():  # the bound g_t <= Σ_k ε_t(k) is cheap; the exact g_t decides
            self.unsafe = self._unsafe((self.e @ self.epsilon).amax(1), log_c, outside)
            kept = ~self.unsafe
            self.epsilon, self.alpha = (torch.where(kept, part, 0.0) for part in (self.epsilon, self.alpha))
            self.c = torch.where(kept, self.c, 1.0)

    @staticmethod
    def _unsafe(growth: Tensor, log_c: Tensor, outside: Tensor) -> Tensor:
        """Sentences (B,) whose bound on the lost mass is not negligible; growth is g, shape (T, B)."""
        exponent = (growth.log() - log_c).masked_fill_(outside, 0.0)[1:].sum(0) - log_c.amin(0)
        return ~(exponent < 600.0)  # also where it is NaN

    def _run_forward(self) -> None:
        alpha, epsilon, c = (self._steps(values) for values in (self.alpha, self.epsilon, self.c))
        e_transposed = self.e.T.contiguous()
        torch.sum(epsilon[0], 0, keepdim=True, out=c[0])
        torch.div(epsilon[0], c[0], out=alpha[0])
        for t in range(1, len(alpha)):
            torch.mm(e_transposed, _first(alpha[t - 1], self.active[t]), out=alpha[t])
            alpha[t].mul_(epsilon[t])
            torch.sum(alpha[t], 0, keepdim=True, out=c[t])
            alpha[t].div_(c[t])

    def _steps(self, values: Tensor) -> list[Tensor]:
        """Views of (T, ·, B) values: at step t, those of the sentences that reach it."""
        return [_first(value, n) for value, n in zip(values.unbind(0), self.active, strict=True)]

    def gradients(self, grad: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of Σ_b grad_b log Z_b by emissions (B, T, K) and transitions (K, K); grad has shape (B,)."""
        ratio = self.epsilon / self.c  # becomes ε_t ⊙ β̂_t / c_t
        beta = torch.ones_like(self.alpha)
        ratios, betas = self._steps(ratio), self._steps(beta)
        for t in range(len(betas) - 1, 0, -1):
            torch.mm(self.e, ratios[t].mul_(betas[t]), out=_first(betas[t - 1], self.active[t]))
        weight = (self.inside * grad).unsqueeze(1)  # (T, 1, B)
        later = ratio[1:].mul_(weight[1:])
        pairs = self.e * torch.bmm(self.alpha[:-1], later.transpose(1, 2)).sum(0)
        marginals = beta.mul_(self.alpha).mul_(weight)
        return marginals.permute(2, 0, 1), pairs


def _first(values: Tensor, n: int) -> Tensor:
    """The first n columns; the tensor itself where that is all of them, since a view costs as much as a small sum."""
    return values if values.shape[1] == n else values[:, :n]
