r"""Label structures: what may be asked of y once x has been scored.

A potential maps x to one of these objects.  It holds u(x, y) for every y and, with
p(x, y) ∝ exp u(x, y), answers everything that the methods ask:

- u(x) = log Σ_y exp u(x, y), the log-partition over y: an unnormalised log density of x;
- p(y | x) = exp(u(x, y) - u(x)), which needs no normaliser over x.

`Categorical` is one label for one input; `LinearChain` is a label for every token of a sentence, a conditional random
field.  A method that speaks only the `Labels` protocol serves both.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

__all__ = ["Categorical", "Labels", "LinearChain"]

FORBIDDEN = -1e30
"""Stands in for -∞ in log-domain recursions: finite, so that no gradient is NaN."""


@runtime_checkable
class Labels(Protocol):
    """u(x, ·) as an object.  B is the batch, K the number of labels, T the longest sentence."""

    @property
    def log_partition(self) -> Tensor:
        """u(x) = log Σ_y exp u(x, y), shape (B,)."""
        ...

    def score(self, y: Tensor) -> Tensor:
        """u(x, y), shape (B,), of labels y of shape (B,) or (B, T)."""
        ...

    def log_conditional(self, y: Tensor) -> Tensor:
        """Log p(y | x) = u(x, y) - u(x), shape (B,)."""
        ...

    def mode(self) -> Tensor:
        """argmax_y u(x, y), shape (B,) or (B, T)."""
        ...

    def log_marginals(self) -> Tensor:
        """Log p(y_t = k | x), shape (B, K) or (B, T, K)."""
        ...

    def entropy(self) -> Tensor:
        """-Σ_y p(y | x) log p(y | x), shape (B,), in nats."""
        ...

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """A draw from p(y | x), shape (B,) or (B, T)."""
        ...


class Categorical:
    """One label for each input; the scores are u(x, y).

    Parameters
    ----------
    scores
        u(x, y), shape (B, K).  K = 1 gives a potential of x alone.

    Examples
    --------
    >>> labels = Categorical(torch.tensor([[0.0, 0.0, 0.0]]))
    >>> round(labels.log_partition.exp().item(), 4)
    3.0
    """

    def __init__(self, scores: Tensor) -> None:
        self.scores = scores

    @property
    def log_partition(self) -> Tensor:
        """u(x) = log Σ_y exp u(x, y), shape (B,)."""
        return self.scores.logsumexp(-1)

    def score(self, y: Tensor) -> Tensor:
        """u(x, y), shape (B,), of labels y of shape (B,)."""
        return self.scores.gather(-1, y.unsqueeze(-1)).squeeze(-1)

    def log_conditional(self, y: Tensor) -> Tensor:
        """Log p(y | x) = u(x, y) - u(x), shape (B,)."""
        return -cross_entropy(self.scores, y, reduction="none")

    def mode(self) -> Tensor:
        """argmax_y u(x, y), shape (B,)."""
        return self.scores.argmax(-1)

    def log_marginals(self) -> Tensor:
        """Log p(y = k | x), shape (B, K)."""
        return self.scores.log_softmax(-1)

    def entropy(self) -> Tensor:
        """-Σ_y p(y | x) log p(y | x), shape (B,), in nats."""
        log_p = self.log_marginals()
        return -(log_p.exp() * log_p).sum(-1)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """A draw from p(y | x), shape (B,)."""
        return self.log_marginals().exp().multinomial(1, generator=generator).squeeze(-1)


class LinearChain:
    r"""A label for every token: the linear-chain conditional random field, with an optional potential of x alone.

    .. math:: u(x, y) = ψ(x) + Σ_{t=1}^{n} e_{t, y_t} + Σ_{t=2}^{n} A_{y_{t-1}, y_t}

    Start and stop scores, where wanted, are added to the first and last emission by whoever builds the chain.

    Parameters
    ----------
    emissions
        e, shape (B, T, K).  Positions at and after a sentence's length are ignored, whatever they hold.
    transitions
        A, shape (K, K), from the row's label to the column's.  -inf forbids a transition exactly.
    lengths
        n, shape (B,), integers from 1 to T.
    offset
        Computes ψ, shape (B,), when u is asked for; it cancels in p(y | x), which never asks.  None means 0.

    Examples
    --------
    >>> chain = LinearChain(torch.zeros(1, 3, 2), torch.zeros(2, 2), torch.tensor([3]))
    >>> round(chain.log_partition.exp().item(), 4)  # 2 ** 3 label sequences, each of weight 1
    8.0
    """

    def __init__(
        self,
        emissions: Tensor,
        transitions: Tensor,
        lengths: Tensor,
        offset: Callable[[], Tensor] | None = None,
    ) -> None:
        self.emissions, self.transitions, self.lengths = emissions, transitions, lengths
        self._offset = offset

    @cached_property
    def offset(self) -> Tensor | None:
        """ψ(x), shape (B,), or None."""
        return None if self._offset is None else self._offset()

    @cached_property
    def log_partition(self) -> Tensor:
        """u(x) = ψ(x) + log Σ_y exp(...), shape (B,)."""
        return self._chain_partition if self.offset is None else self._chain_partition + self.offset

    def score(self, y: Tensor) -> Tensor:
        """u(x, y), shape (B,), of labels y of shape (B, T); y is ignored behind a sentence's end."""
        score = self._chain_score(y)
        return score if self.offset is None else score + self.offset

    def log_conditional(self, y: Tensor) -> Tensor:
        """Log p(y | x) = u(x, y) - u(x), shape (B,): ψ is never computed."""
        return self._chain_score(y) - self._chain_partition

    @cached_property
    def _chain_partition(self) -> Tensor:
        """Log Σ_y exp(...) without ψ, by the forward recursion."""
        return _ChainLogPartition.apply(self.emissions, self.transitions, self.lengths)

    def _chain_score(self, y: Tensor) -> Tensor:
        """u(x, y) - ψ(x)."""
        inside = self._inside()
        y = y.masked_fill(~inside, 0)
        emitted = self.emissions.gather(-1, y.unsqueeze(-1)).squeeze(-1)
        moved = self.transitions[y[:, :-1], y[:, 1:]]
        return emitted.masked_fill(~inside, 0).sum(1) + moved.masked_fill(~inside[:, 1:], 0).sum(1)

    def mode(self) -> Tensor:
        """argmax_y u(x, y), shape (B, T), by the Viterbi recursion; 0 behind a sentence's end."""
        emissions, inside = self.emissions.detach(), self._inside()
        transitions = self.transitions.detach().clamp(min=FORBIDDEN)
        best, pointers = emissions[:, 0], []
        for t in range(1, emissions.shape[1]):
            value, pointer = (best.unsqueeze(2) + transitions).max(1)
            best = torch.where(inside[:, t, None], value + emissions[:, t], best)
            pointers.append(pointer)
        y = [best.argmax(1)]
        for t in range(len(pointers), 0, -1):  # behind the end the last label is carried along unchanged
            back = pointers[t - 1].gather(1, y[-1].unsqueeze(1)).squeeze(1)
            y.append(torch.where(inside[:, t], back, y[-1]))
        return torch.stack(y[::-1], 1).masked_fill(~inside, 0)

    def log_marginals(self) -> Tensor:
        """Log p(y_t = k | x), shape (B, T, K), by forward and backward recursions; uniform behind a sentence's end."""
        emissions, transitions = self.emissions.double().clamp(min=FORBIDDEN), self.transitions.double()
        forward = _log_forward(emissions, transitions, self.lengths)
        mirrored = _log_forward(_mirror(emissions, self.lengths), transitions.T, self.lengths)
        joint = forward + _mirror(mirrored, self.lengths) - emissions  # log Σ over all y with y_t = k
        joint = joint.masked_fill(~self._inside().unsqueeze(-1), 0.0)
        return joint.log_softmax(-1).to(self.emissions.dtype)

    def entropy(self) -> Tensor:
        r"""-Σ_y p(y | x) log p(y | x) over all labellings, shape (B,), in nats.

        By the chain rule along the forward recursion (Hernando, Crespi and Cybenko, 2005): with H_t(k) the entropy of
        y_1 ... y_{t-1} given y_t = k and the emissions up to t,

        .. math:: H_t(k) = Σ_j c_{jk} \bigl(H_{t-1}(j) - \log c_{jk}\bigr), \quad
                  c_{jk} = p(y_{t-1} = j | y_t = k) ∝ α_{t-1}(j) \exp A_{jk}
        """
        emissions, transitions = self.emissions.double(), self.transitions.double().clamp(min=FORBIDDEN)
        forward = _log_forward(emissions, transitions, self.lengths)
        earlier = torch.zeros_like(forward[:, 0])
        for t in range(1, forward.shape[1]):
            log_c = (forward[:, t - 1].unsqueeze(2) + transitions).log_softmax(1)
            following = (log_c.exp() * (earlier.unsqueeze(2) - log_c)).sum(1)
            earlier = torch.where((t < self.lengths).unsqueeze(1), following, earlier)
        log_p = forward[:, -1].log_softmax(1)
        return (log_p.exp() * (earlier - log_p)).sum(1).to(self.emissions.dtype)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """A draw from p(y | x), shape (B, T), by forward filtering and backward sampling; 0 behind the end."""
        inside, transitions = self._inside(), self.transitions.detach().double().clamp(min=FORBIDDEN)
        forward = _log_forward(self.emissions.detach().double(), transitions, self.lengths)
        last = forward.shape[1] - 1
        y = [_draw(forward[:, last], generator)]
        for t in range(last, 0, -1):
            earlier = _draw(forward[:, t - 1] + transitions[:, y[-1]].T, generator)
            at_end = _draw(forward[:, t - 1], generator)  # a sentence that ends at t - 1 starts its walk back there
            y.append(torch.where(inside[:, t], earlier, at_end))
        return torch.stack(y[::-1], 1).masked_fill(~inside, 0)

    def _inside(self) -> Tensor:
        """True at the positions inside each sentence, shape (B, T)."""
        return torch.arange(self.emissions.shape[1], device=self.lengths.device) < self.lengths.unsqueeze(1)


def _draw(log_weights: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw an index per row of (B, K) log weights."""
    return log_weights.softmax(-1).multinomial(1, generator=generator).squeeze(1)


def _mirror(values: Tensor, lengths: Tensor) -> Tensor:
    """Reverse each row of (B, T, K) values inside its own length."""
    position = torch.arange(values.shape[1], device=values.device)
    source = torch.where(position < lengths.unsqueeze(1), lengths.unsqueeze(1) - 1 - position, position)
    return values.gather(1, source.unsqueeze(-1).expand_as(values))


def _log_forward(emissions: Tensor, transitions: Tensor, lengths: Tensor) -> Tensor:
    """Log α_t(k), shape (B, T, K): the forward recursion in the log domain; carried unchanged behind the end."""
    transitions = transitions.clamp(min=FORBIDDEN)
    alpha = [emissions[:, 0].clamp(min=FORBIDDEN)]
    for t in range(1, emissions.shape[1]):
        following = (alpha[-1].unsqueeze(2) + transitions).logsumexp(1) + emissions[:, t].clamp(min=FORBIDDEN)
        alpha.append(torch.where((t < lengths).unsqueeze(1), following, alpha[-1]))
    return torch.stack(alpha, 1)


class _ChainLogPartition(torch.autograd.Function):
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
                exact = _log_forward(e, a, lengths[unsafe])[:, -1].logsumexp(1)
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
    """The rescaled recursions of `_ChainLogPartition`, on sentences sorted by falling length, in layout (T, K, B).

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
