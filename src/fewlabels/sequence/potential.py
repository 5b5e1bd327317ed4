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

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from fewlabels.errors import InputError
from fewlabels.labels import LinearChain
from fewlabels.sequence.chain_head import ChainHead, spread
from fewlabels.sequence.encoder import Encoded, Encoder
from fewlabels.sequence.presets import TINY, Preset
from fewlabels.sequence.sentences import Padded
from fewlabels.sequence.sites import LinearSites, RectifiedSites
from fewlabels.sequence.spans import Moves
from fewlabels.sequence.vocabulary import Spelling
from fewlabels.sequence.word_vectors import WordVectors

__all__ = ["TaggingPotential"]

COLUMN = 20
"""Length of the vector of a further feature of a token."""


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
            spread(self, preset.uniform)
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
    """Vectors of a further feature of tokens; that of an absent one is 0 and stays so."""
    vectors = torch.empty(ids, COLUMN).uniform_(-0.1, 0.1)
    vectors[0] = 0.0
    return nn.Embedding.from_pretrained(vectors, freeze=False, padding_idx=0)
