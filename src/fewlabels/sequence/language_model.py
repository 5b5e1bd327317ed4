r"""A left-to-right LSTM language model: the noise of noise-contrastive estimation.

q(x) = Π_t q(x_t | x_{<t}) over sentences of 1 to L words, which end with a stop symbol.  The stop symbol cannot come
first and is certain after L words, in sampling and in scoring alike, so that q sums to one over exactly the sentences
that it can draw.
"""

import torch
from torch import Tensor, nn

from fewlabels.sequence.text import Padded

__all__ = ["LanguageModel"]


class LanguageModel(nn.Module):
    """q(x), with exact log-probabilities and exact samples.

    Parameters
    ----------
    words
        Number of word ids, V; ids are 0 to V - 1.
    longest
        L, the most words a sentence may have.
    embedding, hidden
        Sizes of the word vectors and of the LSTM's state; the paper's noise model has 200 and 200.

    Examples
    --------
    >>> q = LanguageModel(words=3, longest=2)
    >>> x, log_q = q.sample(4)
    >>> bool(torch.allclose(q(x), log_q, atol=1e-5))
    True
    """

    def __init__(self, words: int, longest: int, embedding: int = 100, hidden: int = 100) -> None:
        super().__init__()
        self.words, self.longest = words, longest
        self.embedding = nn.Embedding(words + 1, embedding)  # the last row starts a sentence
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)
        self.output = nn.Linear(hidden, words + 1)  # the last column stops it

    def forward(self, x: Padded) -> Tensor:
        """Log q(x), shape (B,); lengths must not exceed ``longest``."""
        assert int(x.lengths.max()) <= self.longest, "a sentence is longer than the model's support"
        start = x.values.new_full((len(x.values), 1), self.words)
        state, _ = self.lstm(self.embedding(torch.cat([start, x.values], 1)))  # (B, T + 1, H)
        position = torch.arange(x.values.shape[1] + 1, device=x.lengths.device)
        target = torch.cat([x.values, x.values[:, :1]], 1)
        target = target.masked_fill(position >= x.lengths.unsqueeze(1), self.words)
        kept = position <= x.lengths.unsqueeze(1).clamp(max=self.longest - 1)  # after L words the stop is certain
        log_q = self._log_softmax(state[kept], position.expand_as(kept)[kept])
        log_q = log_q.gather(1, target[kept].unsqueeze(1)).squeeze(1)
        return torch.zeros(kept.shape, dtype=log_q.dtype, device=log_q.device).masked_scatter(kept, log_q).sum(1)

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator | None = None) -> tuple[Padded, Tensor]:
        """Sentences drawn from q, and their log q(x), shape (count,), from the very logits they were drawn with."""
        device = self.output.weight.device
        values = torch.zeros(count, self.longest, dtype=torch.long, device=device)
        lengths = torch.full((count,), self.longest, device=device)
        log_q = torch.zeros(count, device=device)
        alive = torch.arange(count, device=device)  # rows not yet stopped; the others cost nothing
        token, state = torch.full((count,), self.words, device=device), None
        for t in range(self.longest):
            output, state = self.lstm(self.embedding(token).unsqueeze(1), state)
            log_p = self._log_softmax(output.squeeze(1), torch.full_like(alive, t))
            token = _inverse_cdf(log_p, generator)
            log_q[alive] += log_p.gather(1, token.unsqueeze(1)).squeeze(1)
            going = token != self.words
            lengths[alive[~going]] = t
            alive, token = alive[going], token[going]
            state = (state[0][:, going], state[1][:, going])
            values[alive, t] = token
            if not len(alive):
                break
        return Padded(values[:, : int(lengths.max())], lengths), log_q

    def _log_softmax(self, state: Tensor, position: Tensor) -> Tensor:
        """Log q(. | history), (N, V + 1), with no stop at position 0."""
        logits = self.output(state)
        stop = logits[:, -1:].masked_fill((position == 0).unsqueeze(1), float("-inf"))
        return torch.cat([logits[:, :-1], stop], 1).log_softmax(-1)


def _inverse_cdf(log_p: Tensor, generator: torch.Generator | None) -> Tensor:
    """One index per row, by a single uniform variate each; multinomial draws one a class."""
    cdf = log_p.double().exp().cumsum(-1)
    level = torch.rand(len(cdf), 1, dtype=cdf.dtype, device=cdf.device, generator=generator) * cdf[:, -1:]
    index = torch.searchsorted(cdf, level, right=True).squeeze(1)
    return index.clamp(max=cdf.shape[1] - 1)
