r"""The potential of tagged sentences: word vectors, a bidirectional LSTM, and two readings of its states.

With f_i the forward state after words 1..i and b_i the backward state after words n..i, and e_i the vector of word i,

.. math::
   u(x, y) &= w ψ(x) + Σ_i W_{y_i} [f_i; b_i; e_i] + s_{y_1} + Σ_{i≥2} A_{y_{i-1}, y_i} + t_{y_n} \\
   ψ(x) &= Σ_i σ_i(x_i), \qquad σ_i(w) = (G_f f_{i-1} + G_b b_{i+1}) · e_w + c_w + \log p_1(w)

The chain is a conditional random field; ψ is the bilinear word potential of the paper (eq. 3), in which the states on
either side of a place score the word that fills it; p_1 is the unigram distribution, its carrier measure.  That tags
see e_i itself beside the states lowers the supervised error by half a point or more with 100 labelled sentences.

The paper's own form (`Preset.tied`) has no e_i in the emissions, no s and t, and

.. math:: σ_i(w) = (\operatorname{ReLU}(G_f f_{i-1} + a_f) + \operatorname{ReLU}(G_b b_{i+1} + a_b)) · e_w

with the sentence's ends among what is scored: f_n scores the end, b_1 the start.  The labels are the tags alone: none
stands for an end of the sentence.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from fewlabels.errors import InputError
from fewlabels.labels import LinearChain
from fewlabels.sequence.encoder import Encoded, Encoder
from fewlabels.sequence.presets import TINY, Preset
from fewlabels.sequence.sentences import Padded
from fewlabels.sequence.spans import Moves
from fewlabels.sequence.spelling import CharCNN, FeatureBag
from fewlabels.sequence.vocabulary import Spelling

__all__ = ["ChainHead", "TaggingPotential", "WordVectors"]

COLUMN = 20
"""Length of the vector of a further feature of a token."""

IMPOSSIBLE = -1e4
"""Score of a label that may not begin or end a sentence: exp of it is 0, and sums keep their precision."""


class WordVectors(nn.Module):
    """One vector a word: its own and that of its spelling, added or side by side.

    A word without a vector of its own has that of the unknown word, and its own spelling.

    Parameters
    ----------
    spelling
        What spells the vocabulary's words.
    own
        Ids below it have a vector of their own.
    preset
        Sizes, and dropout in training.
    """

    def __init__(self, spelling: Spelling, own: int, preset: Preset) -> None:
        super().__init__()
        self.own, self.preset = own, preset
        self.word = nn.Embedding(own, preset.size)
        self.speller = CharCNN(spelling, preset.filters) if preset.filters else FeatureBag(spelling, preset.size)
        self.size = preset.size + self.speller.size * (preset.filters > 0)
        self.edge = nn.Parameter(torch.empty(2, self.size))  # vectors of sentence start and end
        nn.init.normal_(self.word.weight, std=0.1)
        self.speller.reset_parameters()
        nn.init.normal_(self.edge, std=0.1)

    @torch.no_grad()
    def start_from(self, vectors: Tensor) -> None:
        """Set words' own vectors, (own, size)."""
        expected = tuple(self.word.weight.shape)
        if tuple(vectors.shape) != expected:
            raise InputError(f"Expected {expected[0]} vectors of {expected[1]} numbers, got {tuple(vectors.shape)}.")
        self.word.weight.copy_(vectors)

    def respell(self, spelling: Spelling) -> None:
        """Read further words: ids from the vocabulary's size on are unknown words spelt as given there."""
        self.speller.spelling = spelling

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors (..., D) of word ids of any shape; each distinct word is spelt once."""
        known = ids.masked_fill(ids >= self.own, 0)
        if self.training and self.preset.word_dropout:
            known = known.masked_fill(torch.rand(known.shape, device=known.device) < self.preset.word_dropout, 0)
        distinct, place = ids.unique(return_inverse=True)
        spelt = nn.functional.embedding(place, self.speller(distinct))
        if not self.preset.filters:
            return self.word(known) + spelt
        return torch.cat([self.word(known), dropout(spelt, self.preset.spelling_drop, self.training)], -1)


class ChainHead(nn.Module):
    """Emissions, transitions, start and stop scores of a linear chain.

    Parameters
    ----------
    size
        Length of what emissions read.
    labels
        K.
    boundary
        Whether labels have start and stop scores.
    allowed
        What labels may do; p(y | x) of anything else is 0.  Training tags must keep to it.  None: everything.
    uniform
        Weights start from U(-uniform, uniform); None: emissions from the layer's default, the others from 0.
    """

    forbidden: Tensor
    edges: Tensor

    def __init__(
        self, size: int, labels: int, boundary: bool = True, allowed: Moves | None = None, uniform: float | None = None
    ) -> None:
        super().__init__()
        self.uniform = uniform
        self.emission = nn.Linear(size, labels)
        self.transition = nn.Parameter(torch.empty(labels, labels))
        self.start = nn.Parameter(torch.empty(labels)) if boundary else None
        self.stop = nn.Parameter(torch.empty(labels)) if boundary else None
        everything = np.ones(labels, bool)
        start, follow, stop = allowed or Moves(everything, np.ones((labels, labels), bool), everything)
        self.register_buffer("forbidden", torch.from_numpy(~follow), persistent=False)
        edges = torch.from_numpy(~np.stack([start, stop])) * IMPOSSIBLE
        self.register_buffer("edges", edges, persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start afresh; without ``uniform``, from no preference among transitions."""
        self.emission.reset_parameters()
        for parameter in (self.emission.bias, self.transition, self.start, self.stop):
            if parameter is not None:
                nn.init.zeros_(parameter)
        if self.uniform is not None:
            _spread(self, self.uniform)

    @property
    def transitions(self) -> Tensor:
        """A, (K, K), with -inf for what is forbidden."""
        return self.transition.masked_fill(self.forbidden, -torch.inf)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Emissions (B, T, K), start and stop scores included."""
        emissions = self.emission(states)
        emissions = emissions.to(torch.promote_types(emissions.dtype, torch.float32))  # also under autocast
        position = torch.arange(emissions.shape[1], device=lengths.device)
        start, stop = self.edges.to(emissions.dtype)
        start = start if self.start is None else start + self.start
        stop = stop if self.stop is None else stop + self.stop
        first = (position == 0).unsqueeze(-1) * start
        last = (position == lengths.unsqueeze(1) - 1).unsqueeze(-1) * stop
        return emissions + first + last


class LinearSites(nn.Module):
    """σ_i(w) as one linear layer of the states, and a level for each word over the unigram distribution.

    Parameters
    ----------
    state, size
        Length of a direction's state and of a word's vector.
    words
        How many have a level of their own.
    """

    def __init__(self, state: int, size: int, words: int) -> None:
        super().__init__()
        self.context = nn.Linear(2 * state, size)  # [G_f, G_b]
        self.level = nn.Parameter(torch.zeros(words))  # c, relative to the unigram distribution

    def forward(self, around: Tensor) -> Tensor:
        """What scores words, (..., D), of the states on either side, (..., 2 S)."""
        return self.context(around)


class RectifiedSites(nn.Module):
    """σ_i(w) by a rectified layer for each direction, as the paper's code.

    Parameters
    ----------
    state, size
        Length of a direction's state and of a word's vector.
    """

    def __init__(self, state: int, size: int) -> None:
        super().__init__()
        self.forwards, self.backwards = nn.Linear(state, size), nn.Linear(state, size)

    def forward(self, around: Tensor) -> Tensor:
        """What scores words, (..., D), of the states on either side, (..., 2 S)."""
        return self.directions(around).sum(-2)

    def directions(self, around: Tensor) -> Tensor:
        """The part of each direction, (..., 2, D)."""
        before, after = around.chunk(2, -1)
        return torch.stack([self.forwards(before), self.backwards(after)], -2).relu()


class TaggingPotential(nn.Module):
    """u(x, y) of a sentence and its tags, as a `LinearChain`.

    Parameters
    ----------
    spelling, counts
        What spells the vocabulary's words, as ``preset.spelling`` gives it, and how often each was seen, (V,), which
        gives p_1.
    labels
        K.
    preset
        Sizes and switches.
    own
        Words from this id on have no vector of their own; None: all have.
    columns
        Of each further feature of tokens, how many ids there are, that of an absent one (0) included.
    vectors
        Where words' own vectors start, (own, size); None: at random.
    allowed
        What labels may do; None: everything.

    Attributes
    ----------
    head
        What starts afresh between pre-training and fine-tuning.
    own
        How many words have a vector of their own.
    word_weight
        w, the factor of ψ in u; where it is 0, ψ is never computed.

    Examples
    --------
    >>> from fewlabels.sequence.vocabulary import Vocabulary
    >>> vocabulary = Vocabulary.of([["a", "cat"]])
    >>> potential = TaggingPotential(vocabulary.spelling(), vocabulary.counts, 3)
    >>> potential(Padded(torch.tensor([[1, 2]]), torch.tensor([2]))).log_partition.shape
    torch.Size([1])
    """

    log_unigram: Tensor

    def __init__(
        self,
        spelling: Spelling,
        counts: Sequence[int],
        labels: int,
        preset: Preset = TINY,
        *,
        own: int | None = None,
        columns: Sequence[int] = (),
        vectors: Tensor | None = None,
        allowed: Moves | None = None,
    ) -> None:
        super().__init__()
        self.preset, self.word_weight = preset, preset.word_weight
        self.own = len(counts) if own is None else own
        self.words = WordVectors(spelling, self.own, preset)
        size = self.words.size + COLUMN * len(columns)
        self.encoder = Encoder(size, preset.hidden, preset.projection)
        state = self.encoder.state
        read = 2 * state + size * preset.reads_word
        self.head = ChainHead(read, labels, preset.boundary, allowed, preset.uniform)
        self.site = (
            RectifiedSites(state, self.words.size) if preset.tied else LinearSites(state, self.words.size, self.own)
        )
        if preset.uniform is not None:
            _spread(self, preset.uniform)
        self.columns = nn.ModuleList(_column(ids) for ids in columns)
        if vectors is not None:
            self.words.start_from(vectors)
        frequency = torch.tensor([sum(counts[self.own :]), *counts[1 : self.own]], dtype=torch.float).clamp(min=0.1)
        self.register_buffer("log_unigram", (frequency / frequency.sum()).log())

    def forward(self, x: Padded) -> LinearChain:
        """u(x, ·) of padded sentences."""
        encoded = self._encode(x, self.preset.drop)
        states = dropout(encoded.at, self.preset.drop, self.training)
        read = torch.cat([states, encoded.word], -1) if self.preset.reads_word else states
        weighted = (lambda: self.word_weight * self._word_potential(x, encoded)) if self.word_weight else None
        return LinearChain(self.head(read, x.lengths), self.head.transitions, x.lengths, weighted)

    def word_potential(self, x: Padded) -> Tensor:
        """ψ(x), shape (B,): the whole of u where nothing is known of tags, as the paper pre-trains."""
        return self._word_potential(x, self._encode(x, self.preset.drop))

    def site_scores(self, x: Padded, words: Tensor) -> tuple[Tensor, Tensor]:
        """σ_i of the word at each place and of other words there.

        A word without a vector of its own is scored by its spelling, and at the level of the unknown word.

        Parameters
        ----------
        x
            Padded sentences with N words in all.
        words
            Word ids, (M,).

        Returns
        -------
        σ_i(x_i), shape (N,), and σ_i(w) for each of ``words``, shape (N, M); places in order of rows.
        """
        inside = x.inside()
        context = self.site(self._around(self._encode(x, self.preset.site_drop)))[inside]
        present = x.values[inside]
        distinct, place = torch.cat([present, words]).unique(return_inverse=True)
        vectors, levels = self.words(distinct), self._level(distinct)
        here, there = place.split([len(present), len(words)])
        own = (context * nn.functional.embedding(here, vectors)).sum(-1) + levels[here]
        return own, context @ nn.functional.embedding(there, vectors).T + levels[there]

    def contexts(self, x: Padded) -> tuple[Tensor, Tensor]:
        """Forward states before and backward states behind each of N places, (N, S) each, in order of rows."""
        inside = x.inside()
        around = self._around(self._encode(x, self.preset.site_drop))[inside]
        before, after = around.chunk(2, -1)
        return before, after

    def _word_potential(self, x: Padded, encoded: Encoded) -> Tensor:
        """ψ(x), shape (B,)."""
        context = self.site(self._around(encoded))
        if isinstance(self.site, RectifiedSites):
            vectors, ends = encoded.word[..., : self.words.size], self._ends(self.site, x.lengths, encoded)
        else:
            vectors, ends = self.words(x.values), 0.0
        scores = (context * vectors).sum(-1) + self._level(x.values)
        return scores.masked_fill(~x.inside(), 0.0).sum(1) + ends

    def _ends(self, site: RectifiedSites, lengths: Tensor, encoded: Encoded) -> Tensor:
        """What the last forward state says of the end and the first backward state of the start, shape (B,)."""
        forwards, backwards = encoded.at.chunk(2, -1)
        last = forwards[torch.arange(len(lengths)), lengths - 1]
        around = dropout(torch.cat([last, backwards[:, 0]], -1), self.preset.site_drop, self.training)
        return (site.directions(around) * encoded.edge.flip(-2)[..., : self.words.size]).sum((-2, -1))

    def _encode(self, x: Padded, drop: float) -> Encoded:
        words, edge = self.words(x.values), self.words.edge
        if x.shift is not None:
            words = words + x.shift
        if len(self.columns):
            words = torch.cat([words, self._further(x)], -1)
            edge = nn.functional.pad(edge, (0, COLUMN * len(self.columns)))
        if self.preset.tied:
            edge = dropout(edge.expand(len(words), -1, -1), drop, self.training)
        return self.encoder(dropout(words, drop, self.training), edge, x.lengths)

    def _further(self, x: Padded) -> Tensor:
        """Vectors of the tokens' further features side by side, (B, T, ·); absent ones are 0."""
        count = len(self.columns)
        given = x.values.new_zeros(*x.values.shape, count) if x.columns is None else x.columns
        if given.shape[2] != count:
            raise InputError(f"Expected {count} further features of each token, got {given.shape[2]}: give as many.")
        parts = [column(ids) for column, ids in zip(self.columns, given.unbind(-1), strict=True)]
        return torch.cat(parts, -1)

    def _around(self, encoded: Encoded) -> Tensor:
        """States on either side of each place, (B, T, 2 S)."""
        return dropout(torch.cat([encoded.before, encoded.after], -1), self.preset.site_drop, self.training)

    def _level(self, ids: Tensor) -> Tensor:
        """c_w and the log-probability of the carrier measure, of words of any shape; 0 in the paper's form."""
        if isinstance(self.site, RectifiedSites):
            return torch.zeros_like(ids, dtype=self.log_unigram.dtype)
        return (self.site.level + self.log_unigram)[ids.masked_fill(ids >= self.own, 0)]


def _column(ids: int) -> nn.Embedding:
    """Vectors of a further feature of tokens, which an absent one leaves at 0."""
    return nn.Embedding.from_pretrained(torch.empty(ids, COLUMN).uniform_(-0.1, 0.1), freeze=False, padding_idx=0)


@torch.no_grad()
def _spread(module: nn.Module, width: float) -> None:
    """Draw matrices and larger arrays from U(-width, width); biases stay as they are."""
    for parameter in module.parameters():
        if parameter.dim() > 1:
            parameter.uniform_(-width, width)
