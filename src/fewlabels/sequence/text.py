"""Text as integers: padded batches, sentences in memory, the vocabulary and its spelling."""

import copy
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["UNKNOWN", "Padded", "Sentences", "Spelling", "Tags", "Vocabulary"]

UNKNOWN = "<unk>"
"""The word of id 0, which stands for every word that is not in the vocabulary."""


class Padded(NamedTuple):
    """Rows of unequal length in one tensor.

    Attributes
    ----------
    values
        Integers, shape (B, T); 0 behind each row's end.
    lengths
        Shape (B,), from 1 to T.
    """

    values: Tensor
    lengths: Tensor

    def inside(self) -> Tensor:
        """True inside each row, shape (B, T)."""
        return torch.arange(self.values.shape[1], device=self.lengths.device) < self.lengths.unsqueeze(1)

    def concatenate(self, other: "Padded") -> "Padded":
        """The rows of both, padded to the longer."""
        width = max(self.values.shape[1], other.values.shape[1])
        values = [torch.nn.functional.pad(part.values, (0, width - part.values.shape[1])) for part in (self, other)]
        return Padded(torch.cat(values), torch.cat([self.lengths, other.lengths]))


class Sentences:
    """Many rows of integers in one flat array; indexing with a tensor gives a `Padded` batch.

    Parameters
    ----------
    rows
        Sequences of integers, none of them empty.

    Examples
    --------
    >>> Sentences([[1, 2, 3], [4]])[torch.tensor([1, 0])].values.tolist()
    [[4, 0, 0], [1, 2, 3]]
    """

    def __init__(self, rows: Iterable[Sequence[int]]) -> None:
        parts = [np.asarray(row, dtype=np.int64) for row in rows]
        self.lengths = torch.tensor([len(part) for part in parts], dtype=torch.long)
        self._flat = torch.from_numpy(np.concatenate(parts)) if parts else torch.zeros(0, dtype=torch.long)
        self._starts = self.lengths.cumsum(0) - self.lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def at(self, index: Tensor) -> "Sentences":
        """The rows of an index, as sentences in memory."""
        part = copy.copy(self)
        part.lengths, part._starts = self.lengths[index], self._starts[index]
        return part

    def shorter(self, longest: int) -> "Sentences":
        """The rows of at most ``longest`` integers; all where there are none such."""
        kept = (self.lengths <= longest).nonzero().squeeze(1)
        return self.at(kept) if len(kept) else self

    def __getitem__(self, index: Tensor) -> Padded:
        lengths = self.lengths[index]
        position = torch.arange(int(lengths.max()))
        inside = position < lengths.unsqueeze(1)
        source = (self._starts[index].unsqueeze(1) + position).masked_fill(~inside, 0)
        return Padded(self._flat[source].masked_fill(~inside, 0), lengths)


class Tags:
    """The tags of sentences; indexing with a tensor gives the padded integers, (B, T), alone."""

    def __init__(self, rows: Sentences) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Tensor) -> Tensor:
        return self._rows[index].values


def spelling_features(word: str) -> list[str]:
    """What of a word's form may carry over to words never seen; none for `UNKNOWN`.

    Its characters, the first and the last, its length, prefix and suffixes, and whether it has capitals, digits or
    neither letters nor digits.

    Examples
    --------
    >>> spelling_features("Ah")
    ['c:A', 'c:h', 'first:A', 'last:h', 'length:2', 'shape:capital']
    """
    if word == UNKNOWN:
        return []
    features = [f"c:{c}" for c in word] + [f"first:{word[0]}", f"last:{word[-1]}", f"length:{min(len(word), 8)}"]
    if len(word) > 3:
        features += [f"prefix:{word[:3]}", f"suffix:{word[-2:]}", f"suffix:{word[-3:]}"]
    shapes = {
        "capital": word[0].isupper(),
        "digit": any(c.isdigit() for c in word),
        "symbol": not any(c.isalnum() for c in word),
    }
    return features + [f"shape:{name}" for name, has in shapes.items() if has]


class Spelling:
    """Features of the spelling of each of a list of words, in flat arrays.

    Parameters
    ----------
    rows
        Feature ids of each word.
    features
        How many feature ids there are.
    """

    def __init__(self, rows: Sequence[Sequence[int]], features: int) -> None:
        self.features = features
        self._counts = torch.tensor([len(row) for row in rows], dtype=torch.long)
        self._starts = self._counts.cumsum(0) - self._counts
        self._flat = torch.tensor([feature for row in rows for feature in row], dtype=torch.long)

    def __len__(self) -> int:
        return len(self._counts)

    def of(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features of words, one after the other, where each word's begin, and 1 / √(a word's number of them)."""
        counts = self._counts[ids]
        offsets = counts.cumsum(0) - counts
        owner = torch.repeat_interleave(torch.arange(len(ids)), counts)
        within = torch.arange(len(owner)) - offsets[owner]
        return self._flat[self._starts[ids][owner] + within], offsets, counts[owner].float().rsqrt()


class Vocabulary:
    """Words by falling count, ties in alphabetical order, behind `UNKNOWN`; and the features that spell them.

    Parameters
    ----------
    words
        All words but `UNKNOWN`, in order of id from 1.
    counts
        How often each was seen; together with `UNKNOWN`, which counts 0, they give the unigram distribution.
    """

    def __init__(self, words: Sequence[str], counts: Sequence[int]) -> None:
        self.words = [UNKNOWN, *words]
        self.counts = [0, *counts]
        self._ids = {word: i for i, word in enumerate(self.words)}
        seen = {feature for word in words for feature in spelling_features(word)}
        self._features = {feature: i for i, feature in enumerate(sorted(seen))}

    @classmethod
    def of(cls, sentences: Iterable[Sequence[str]]) -> "Vocabulary":
        """The vocabulary of sentences.

        Examples
        --------
        >>> Vocabulary.of([["b", "a", "b"]]).words
        ['<unk>', 'b', 'a']
        """
        counts = Counter(word for sentence in sentences for word in sentence)
        counts.pop(UNKNOWN, None)
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return cls([word for word, _ in ordered], [count for _, count in ordered])

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, sentence: Sequence[str]) -> list[int]:
        """Word ids; 0 for words not seen."""
        return [self._ids.get(word, 0) for word in sentence]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The words of ids."""
        return [self.words[i] for i in ids]

    def spelling(self, further: Sequence[str] = ()) -> Spelling:
        """Features of the vocabulary's words and, behind them, of further words; features never seen are left out."""
        rows = [
            [self._features[feature] for feature in spelling_features(word) if feature in self._features]
            for word in [*self.words, *further]
        ]
        return Spelling(rows, len(self._features))
