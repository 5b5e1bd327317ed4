"""Networks for sentences: two for a laptop, and the paper's."""

from collections.abc import Sequence
from typing import NamedTuple

from fewlabels.sequence.vocabulary import Spelling, Vocabulary

__all__ = ["PAPER", "PRESETS", "SMALL", "TINY", "Preset"]


class Preset(NamedTuple):
    """The sizes and switches of a `fewlabels.sequence.potential.TaggingPotential`; change some by ``_replace``.

    Attributes
    ----------
    size
        Length of words' own vectors.
    filters
        Of the convolutions over characters, for each width; their result stands beside a word's own vector.  0: the
        features of its spelling have vectors, which are added to it.
    hidden, projection
        LSTM cells of each direction, and the length of the state that they hand on; None: without a projection.
    drop, site_drop
        Dropout in training, of words' vectors and of states where tags are scored; and where words are.
    spelling_drop
        Dropout of what the convolutions give, before that of the whole vector.
    word_dropout
        Probability with which a word is read as unknown in training; its spelling is kept.
    reads_word
        Emissions see a word's own vector beside the states.
    boundary
        Labels have start and stop scores.
    tied
        The word potential is the paper's eq. 3: a rectified layer for each direction, scores of the very vectors that
        the encoder read, and sentence ends among what is scored.  Otherwise one linear layer, and a level for each
        word over the unigram distribution.
    word_weight
        Factor of the word potential ψ in u(x, y).
    uniform
        Weights start from U(-uniform, uniform), and biases from 0; None: from what suits each layer.
    """

    size: int = 100
    filters: int = 0
    hidden: int = 100
    projection: int | None = None
    drop: float = 0.5
    site_drop: float = 0.2
    spelling_drop: float = 0.0
    word_dropout: float = 0.1
    reads_word: bool = True
    boundary: bool = True
    tied: bool = False
    word_weight: float = 1.0
    uniform: float | None = None

    def spelling(self, vocabulary: Vocabulary, further: Sequence[str] = ()) -> Spelling:
        """What such a network reads of a vocabulary's words and of further ones: symbols, or else features."""
        return vocabulary.symbols(further) if self.filters else vocabulary.spelling(further)


TINY = Preset()
"""For a first look; it learns from 100 labelled sentences in seconds."""

SMALL = Preset(size=200, hidden=200, site_drop=0.1)
"""For a laptop; it learns from some hundred thousand sentences in a quarter of an hour."""

PAPER = Preset(
    size=300,
    filters=100,
    hidden=512,
    projection=512,
    site_drop=0.5,
    spelling_drop=0.5,
    word_dropout=0.0,
    reads_word=False,
    boundary=False,
    tied=True,
    word_weight=0.0,
    uniform=0.1,
)
"""The paper's network and its authors' code: 512 cells, joint training on the chain's log-partition alone.

It differs in two things: the labels are the tags alone, where the code's include the sentence's two ends; and those
ends have vectors of 600 numbers that are learnt, where the code spells them, too.
"""

PRESETS = {"tiny": TINY, "small": SMALL, "paper": PAPER}
