r"""A left-to-right LSTM language model: the noise of noise-contrastive estimation.

q(x) = Π_t q(x_t | x_{<t}) over sentences of 1 to L words, which end with a stop symbol.  The stop symbol cannot come
first and is certain after L words, in sampling and in scoring alike, so that q sums to one over exactly the sentences
that it can draw.

The softmax over the stop symbol and V words may be factored by frequency (Grave et al., 2017): a head that holds the
stop symbol, the most frequent words and one entry for each class of rarer words,

.. math:: q(w | x_{<t}) = q(\text{class of } w | x_{<t})\; q(w | \text{class of } w, x_{<t}),

which is as exact, normalised and samplable as the full softmax, but another family of distributions: rarer words are
told apart by a projection of the state to a quarter of its size, the next class by a sixteenth.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, pad

from fewlabels.sequence.sentences import Padded

__all__ = ["LanguageModel"]

BLOCK = 64
"""Classes whose probabilities are summed together, to draw a block first and then a class inside it."""

CACHED = 2**21
"""Scores computed at once, at most: few enough to stay in the processor's cache (104 sentences of 20,000 classes)."""

STOP = 0
"""The class of the stop symbol; word w is class w + 1."""


class LanguageModel(nn.Module):
    """q(x), with exact log-probabilities and exact samples, in float32 whatever autocast is on.

    Parameters
    ----------
    words
        Number of word ids, V; ids are 0 to V - 1.
    longest
        L, the most words a sentence may have.
    embedding, hidden
        Sizes of the word vectors and of the LSTM's state; 200 and 200 in the paper's noise model, which has the full
        softmax.
    cutoffs
        Rising word ids where the classes of rarer words begin; ids must be by falling frequency.  None of them, the
        default, is the full softmax.

    Examples
    --------
    >>> q = LanguageModel(words=30, longest=2, cutoffs=(5, 10))
    >>> x, log_q = q.sample(4)
    >>> bool(torch.allclose(q(x), log_q, atol=1e-5))
    True
    """

    def __init__(
        self, words: int, longest: int, embedding: int = 200, hidden: int = 200, cutoffs: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.words, self.longest = words, longest
        self.embedding = nn.Embedding(words + 1, embedding)  # the last row starts a sentence
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)
        self.output = _WordSoftmax(hidden, words, cutoffs)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start as the paper's code does: all weights uniform in ±0.1, no bias in the LSTM, of which one is kept."""
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)
        for name in ("bias_ih_l0", "bias_hh_l0"):
            nn.init.zeros_(self.lstm.get_parameter(name))
        self.lstm.get_parameter("bias_hh_l0").requires_grad_(False)  # added, two would learn at double rate

    @torch.no_grad()
    def start_from(self, counts: Tensor, sentences: int) -> None:
        """Set the softmax's biases to the unigram distribution: what is drawn at first is not uniform over all words.

        Parameters
        ----------
        counts
            How often each word was seen, (V,); less than 0.1 is taken for 0.1.
        sentences
            In how many sentences: how often the stop symbol was seen.
        """
        self.output.start_from(counts.float().clamp(min=0.1), float(sentences))

    def forward(self, x: Padded) -> Tensor:
        """Log q(x), shape (B,); lengths must not exceed ``longest``, ids must be below V."""
        assert int(x.lengths.max()) <= self.longest, "a sentence is longer than the model's support"
        start = x.values.new_full((len(x.values), 1), self.words)
        position = torch.arange(x.values.shape[1] + 1, device=x.lengths.device)
        target = pad(x.values + 1, (0, 1)).masked_fill(position >= x.lengths.unsqueeze(1), STOP)
        later = position[1:] <= x.lengths.unsqueeze(1).clamp(max=self.longest - 1)  # after L words the stop is certain
        with torch.autocast(x.values.device.type, enabled=False):
            state, _ = self.lstm(self.embedding(torch.cat([start, x.values], 1)))  # (B, T + 1, H)
            first = self.output(state[:, 0], target[:, 0], opening=True)
            others = self.output(state[:, 1:][later], target[:, 1:][later])
        others = torch.zeros(later.shape, dtype=others.dtype, device=others.device).masked_scatter(later, others)
        return (first + others.sum(1, dtype=torch.double)).to(first.dtype)

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator | None = None) -> tuple[Padded, Tensor]:
        """Sentences drawn from q, and their log q(x), shape (count,), from the very numbers they were drawn with."""
        parts = -(-count * len(self.output.head.weight) // CACHED)
        sizes = [count * (i + 1) // parts - count * i // parts for i in range(parts)]
        with torch.autocast(self.embedding.weight.device.type, enabled=False):
            sampler = _Sampler(self, max(sizes))
            drawn = [sampler.draw(n, generator) for n in sizes]
            values, lengths, log_q = (torch.cat(part) for part in zip(*drawn, strict=True))
        return Padded(values[:, : int(lengths.max())], lengths), log_q.to(self.embedding.weight.dtype)


class _WordSoftmax(nn.Module):
    """Log q(. | state) over the stop symbol and V words: a head, and a tail for each class of rarer words."""

    def __init__(self, hidden: int, words: int, cutoffs: Sequence[int]) -> None:
        super().__init__()
        edges = [*cutoffs, words]
        self.spans = list(pairwise(edges))  # words of each tail, first and behind the last
        assert all(a < b for a, b in [(0, edges[0]), *self.spans]), "cutoffs must rise from above 0 to below V"
        self.listed = 1 + edges[0]  # entries of the head that are classes themselves; those of tails follow
        self.head = nn.Linear(hidden, self.listed + len(self.spans))
        sizes = [max(1, hidden // 4**j) for j in range(1, len(edges))]
        self.tails = nn.ModuleList(
            nn.Sequential(nn.Linear(hidden, size, bias=False), nn.Linear(size, end - start))
            for size, (start, end) in zip(sizes, self.spans, strict=True)
        )

    def start_from(self, counts: Tensor, stops: float) -> None:
        """Biases of a unigram distribution."""
        tails = [counts[start:end] for start, end in self.spans]
        head = [counts.new_tensor([stops]), counts[: self.listed - 1], *(tail.sum().view(1) for tail in tails)]
        self.head.bias.copy_((torch.cat(head) / (counts.sum() + stops)).log())
        for module, tail in zip(self.tails, tails, strict=True):
            module.get_submodule("1").get_parameter("bias").copy_((tail / tail.sum()).log())

    def forward(self, state: Tensor, target: Tensor, opening: bool = False) -> Tensor:
        """Log-probabilities (N,) of classes (N,) after states (N, H); as the first word, where there is no stop."""
        entry = target
        for j, (start, end) in enumerate(self.spans):
            entry = entry.masked_fill((target > start) & (target <= end), self.listed + j)
        skipped = int(opening)
        scores = linear(state, self.head.weight[skipped:], self.head.bias[skipped:])
        log_q = -cross_entropy(scores, entry - skipped, reduction="none")
        for j, tail in enumerate(self.tails):
            rows = (entry == self.listed + j).nonzero().squeeze(1)
            inner = target[rows] - 1 - self.spans[j][0]
            log_q = log_q.index_add(0, rows, -cross_entropy(tail(state[rows]), inner, reduction="none"))
        return log_q


class _Sampler:
    """A language model laid out for drawing: states are columns, (H, N), and a step is few and large products.

    A table of E W for all words would save half of the recurrence's product and cost V / N times as much.
    """

    def __init__(self, model: LanguageModel, rows: int) -> None:
        lstm, output = model.lstm, model.output
        self.start, self.longest, self.vectors = model.words, model.longest, model.embedding.weight
        bias = (lstm.get_parameter("bias_ih_l0") + lstm.get_parameter("bias_hh_l0")).unsqueeze(1)
        self.recurrence = torch.cat([lstm.get_parameter("weight_ih_l0"), lstm.get_parameter("weight_hh_l0"), bias], 1)
        self.listed, self.spans = output.listed, output.spans
        self.head = _Layer(output.head, rows)
        self.projections = [tail.get_parameter("0.weight") for tail in output.tails]
        self.tails = [_Layer(tail.get_submodule("1"), rows) for tail in output.tails]

    def draw(self, count: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor, Tensor]:
        """Word ids (count, L), lengths and log q, (count,)."""
        device, dtype = self.vectors.device, self.vectors.dtype
        values = torch.zeros(count, self.longest, dtype=torch.long, device=device)
        lengths = torch.full((count,), self.longest, device=device)
        log_q = torch.zeros(count, dtype=torch.double, device=device)
        alive = torch.arange(count, device=device)  # rows not yet stopped; the others cost nothing
        token = torch.full((count,), self.start, device=device)
        h = c = torch.zeros(len(self.recurrence) // 4, count, dtype=dtype, device=device)
        for t in range(self.longest):
            h, c = self._cell(token, h, c)
            drawn, log_p = self._draw(h, t == 0, generator)
            log_q[alive] += log_p
            going = drawn != STOP
            if not going.all():
                lengths[alive[~going]] = t
                alive, drawn, h, c = alive[going], drawn[going], h[:, going], c[:, going]
            if not len(alive):
                break
            token = drawn - 1
            values[alive, t] = token
        return values, lengths, log_q

    def _cell(self, token: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The LSTM's next h and c."""
        into, keep, new, out = (self.recurrence @ _with_one(self.vectors[token].T, h)).chunk(4)
        c = keep.sigmoid() * c + into.sigmoid() * new.tanh()
        return out.sigmoid() * c.tanh(), c

    def _draw(self, h: Tensor, opening: bool, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """A class for each state, and its log-probability; as the first word, where there is no stop."""
        scores = self.head.scores(h)
        if opening:
            scores[STOP] = float("-inf")
        entry, log_p = _inverse_cdf(scores, generator)
        drawn = entry.clone()
        for j, tail in enumerate(self.tails):
            rows = (entry == self.listed + j).nonzero().squeeze(1)
            if len(rows):
                inner, log_inner = _inverse_cdf(tail.scores(self.projections[j] @ h[:, rows]), generator)
                drawn[rows] = 1 + self.spans[j][0] + inner
                log_p[rows] += log_inner
        return drawn, log_p


class _Layer:
    """A linear layer onto classes, filled up to whole blocks by classes of probability 0, and room for its scores."""

    def __init__(self, layer: nn.Module, rows: int) -> None:
        weight = torch.cat([layer.get_parameter("weight"), layer.get_parameter("bias").unsqueeze(1)], 1)
        self.weight = pad(weight, (0, 0, 0, -len(weight) % BLOCK))
        self.weight[len(weight) :, -1] = float("-inf")
        self._room = weight.new_empty(len(self.weight) * rows)

    def scores(self, h: Tensor) -> Tensor:
        """Scores (C, N) of states (H, N); the next call overwrites them."""
        room = self._room[: len(self.weight) * h.shape[1]].view(len(self.weight), -1)
        return torch.mm(self.weight, _with_one(h), out=room)


def _with_one(*parts: Tensor) -> Tensor:
    """Rows of columns (·, N) one below the other, and below them a row of ones, on which biases act."""
    return torch.cat([*parts, torch.ones_like(parts[0][:1])])


def _inverse_cdf(scores: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """An index and its log-probability for each column of scores (C, N), which are overwritten.

    One uniform variate a column is looked up in the distribution of blocks and then inside a block; what a block starts
    with is subtracted.  ``torch.multinomial`` draws a variate for every class.
    """
    p = scores.sub_(scores.amax(0)).exp_()
    blocks = p.view(-1, BLOCK, p.shape[1])
    masses = blocks.sum(1).double()
    cdf = masses.cumsum(0)
    total = cdf[-1]
    uniform = torch.rand(len(total), dtype=total.dtype, device=total.device, generator=generator)
    level = _below(total, uniform * total)
    block = (cdf <= level).sum(0)
    rest = level - (cdf - masses).gather(0, block.unsqueeze(0)).squeeze(0)
    inner = blocks[block, :, torch.arange(len(total), device=total.device)].double().cumsum(1)
    index = block * BLOCK + (inner <= _below(inner[:, -1], rest).unsqueeze(1)).sum(1)
    return index, (p.gather(0, index.unsqueeze(0)).squeeze(0) / total).log()


def _below(total: Tensor, level: Tensor) -> Tensor:
    """The level, kept in [0, total) against rounding: what it falls on has positive probability."""
    return torch.minimum(level.clamp(min=0.0), total * (1 - 2**-52))
