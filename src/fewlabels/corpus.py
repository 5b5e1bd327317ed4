"""What the tagger learns from: a user's sentences, tags and pool, as numbers."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fewlabels.data.pool import Pool, PoolSentences
from fewlabels.sequence.sentences import Columns, Joined, Sentences
from fewlabels.sequence.spans import Moves, allowed_moves
from fewlabels.sequence.vocabulary import Vocabulary
from fewlabels.validation import check_tags, split_features

__all__ = ["LONGEST", "OWN", "Corpus", "Token"]

LONGEST = 200
"""Longer unlabelled sentences, such as proteins, are cut into pieces, so that a batch of them is no larger; a pool has
a limit of its own (`fewlabels.data.pool.write_pool`)."""

OWN = 20_000
"""Words that have vectors of their own, the most frequent ones: enough to meet most of a text, few enough to update."""

Token = str | tuple[str, ...]
"""A word, or a word and further features of it."""

Unlabelled = Sentences | PoolSentences | Joined


class Corpus(NamedTuple):
    """Sentences to learn from.

    Attributes
    ----------
    classes
        The tags, sorted, (K,).
    vocabulary, columns
        The words, and the values of further features of tokens.
    x, y
        Sentences, and as many rows of tags; one tag, without a meaning, where a sentence is unlabelled.
    labelled
        Which sentences have tags.
    unlabelled
        The sentences that teach log p(x): all, or with a pool those of the pool and the untagged ones; in pieces of at
        most `LONGEST` words, or as the pool was written.
    moves
        Which tags may follow each other: the rules of BIOES or IOB2, unless a labelled sentence breaks them.
    """

    classes: np.ndarray
    vocabulary: Vocabulary
    columns: Columns
    x: Sentences
    y: Sentences
    labelled: np.ndarray
    unlabelled: Unlabelled
    moves: Moves

    @classmethod
    def of(
        cls, sentences: Sequence[Sequence[Token]], tags: Sequence[Sequence[str] | None], pool: Pool | None
    ) -> "Corpus":
        """Read what `fewlabels.SemiSupervisedTagger.fit` was given.

        Raises
        ------
        InputError
            An empty sentence, tags that do not match their sentence, no or too few labelled sentences, one tag only.
        """
        words, features = split_features(sentences)
        classes = check_tags(words, tags)
        columns, vocabulary = Columns.of(features), _vocabulary(words, pool)
        x = Sentences([vocabulary.encode(sentence) for sentence in words], columns.encode(features))
        code = {tag: k for k, tag in enumerate(classes.tolist())}
        y = [[0] if row is None else [code[tag] for tag in row] for row in tags]
        labelled = np.array([i for i, row in enumerate(tags) if row is not None])
        moves = _moves(classes.tolist(), [y[i] for i in labelled])
        unlabelled = _unlabelled(x, labelled, pool, vocabulary)
        return cls(classes, vocabulary, columns, x, Sentences(y), labelled, unlabelled, moves)

    @property
    def counts(self) -> Tensor:
        """How often each word with a vector of its own was seen, (V,)."""
        return torch.tensor(self.vocabulary.counts[: self.vocabulary.own])

    @property
    def lengths(self) -> Tensor:
        """How many unlabelled sentences have each number of words, (L + 1,)."""
        return torch.from_numpy(np.bincount(np.asarray(self.unlabelled.lengths)))


def _vocabulary(sentences: Sequence[Sequence[str]], pool: Pool | None) -> Vocabulary:
    """All words of the sentences and of the pool."""
    counts = Counter(word for sentence in sentences for word in sentence)
    if pool is not None:
        counts.update({word: int(n) for word, n in zip(pool.words, pool.counts(), strict=True) if n})
    return Vocabulary.of_counts(counts, most=OWN)


def _moves(classes: list[str], y: list[list[int]]) -> Moves:
    moves = allowed_moves([str(name) for name in classes])
    return moves if all(map(moves.allow, y)) else allowed_moves([""] * len(classes))


def _unlabelled(x: Sentences, labelled: np.ndarray, pool: Pool | None, vocabulary: Vocabulary) -> Unlabelled:
    if pool is None:
        return x.cut(LONGEST)
    more = pool.translated(np.array(vocabulary.encode(pool.words), dtype=np.int32))
    untagged = np.setdiff1d(np.arange(len(x)), labelled)
    return Joined(x.at(torch.from_numpy(untagged)).cut(LONGEST), more) if len(untagged) else more
