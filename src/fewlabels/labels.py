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
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from fewlabels.chain_partition import FORBIDDEN, log_forward, log_partition

__all__ = ["Categorical", "Labels", "LinearChain"]


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
        self.transitions, self.lengths, self._offset = transitions, lengths, offset
        behind = torch.arange(emissions.shape[1], device=lengths.device) >= lengths.unsqueeze(1)
        self.emissions = emissions.masked_fill(behind.unsqueeze(2), 0.0)  # whatever it held, even NaN

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
        return log_partition(self.emissions, self.transitions, self.lengths)

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
        forward = log_forward(emissions, transitions, self.lengths)
        mirrored = log_forward(_mirror(emissions, self.lengths), transitions.T, self.lengths)
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
        forward = log_forward(emissions, transitions, self.lengths)
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
        forward = log_forward(self.emissions.detach().double(), transitions, self.lengths)
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
