"""Text as integers: padded batches, sentences in memory, the vocabulary and its spelling."""

import copy
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["UNKNOWN", "Columns", "Joined", "Padded", "Sentences", "Spelling", "Tags", "Vocabulary"]

UNKNOWN = "<unk>"
"""The word of id 0, which stands for every word that is not in the vocabulary."""

LARGE = 10_000
"""From so many words on, features of spelling that one word alone has are left out: no other could profit."""

NO_SYMBOL, BEGIN, END, FIRST = 0, 1, 2, 3
"""Symbols of a word: one never seen, the word's two ends, and the first id of a character."""


class Padded(NamedTuple):
    """Rows of unequal length in one tensor.

    Attributes
    ----------
    values
        Integers, shape (B, T); 0 behind each row's end.
    lengths
        Shape (B,), from 1 to T.
    columns
        Ids of C further features of each token, shape (B, T, C); 0 is an absent one.  None: all are absent.
    shift
        What is to be added to the words' vectors, shape (B, T, D).  None: nothing.
    """

    values: Tensor
    lengths: Tensor
    columns: Tensor | None = None
    shift: Tensor | None = None

    def inside(self) -> Tensor:
        """True inside each row, shape (B, T)."""
        return torch.arange(self.values.shape[1], device=self.lengths.device) < self.lengths.unsqueeze(1)

    def concatenate(self, other: "Padded") -> "Padded":
        """The rows of both, padded to the longer; where one has further features, the other has them absent."""
        width = max(self.values.shape[1], other.values.shape[1])
        values = torch.cat([_widen(part.values, width) for part in (self, other)])
        lengths = torch.cat([self.lengths, other.lengths])
        given = other.columns if self.columns is None else self.columns
        if given is None:
            return Padded(values, lengths)
        columns = [
            given.new_zeros(*part.values.shape, given.shape[2]) if part.columns is None else part.columns
            for part in (self, other)
        ]
        return Padded(values, lengths, torch.cat([_widen(part, width) for part in columns]))


def _widen(values: Tensor, width: int) -> Tensor:
    """Values (B, T, ...) with zeros up to a width."""
    return torch.cat([values, values.new_zeros(len(values), width - values.shape[1], *values.shape[2:])], 1)


class Sentences:
    """Many rows of integers in one flat array; indexing with a tensor gives a `Padded` batch.

    Parameters
    ----------
    rows
        Sequences of integers, none of them empty.
    columns
        Of each row, ids of C further features of each of its integers, (n, C); None where there are none.

    Examples
    --------
    >>> Sentences([[1, 2, 3], [4]])[torch.tensor([1, 0])].values.tolist()
    [[4, 0, 0], [1, 2, 3]]
    >>> Sentences([[1, 2], [4]], [[[7], [8]], [[9]]])[torch.tensor([1, 0])].columns.tolist()
    [[[9], [0]], [[7], [8]]]
    """

    def __init__(
        self, rows: Iterable[Sequence[int]], columns: Iterable[Sequence[Sequence[int]] | np.ndarray] | None = None
    ) -> None:
        parts = [np.asarray(row, dtype=np.int64) for row in rows]
        self.lengths = torch.tensor([len(part) for part in parts], dtype=torch.long)
        self._flat = torch.from_numpy(np.concatenate(parts)) if parts else torch.zeros(0, dtype=torch.long)
        self._starts = self.lengths.cumsum(0) - self.lengths
        self._columns = None
        if columns is not None:
            self._columns = torch.from_numpy(np.concatenate([np.asarray(part, dtype=np.int64) for part in columns]))

    def __len__(self) -> int:
        return len(self.lengths)

    def at(self, index: Tensor) -> "Sentences":
        """The rows of an index, as sentences in memory."""
        part = copy.copy(self)
        part.lengths, part._starts = self.lengths[index], self._starts[index]
        return part

    def cut(self, longest: int) -> "Sentences":
        """The rows with longer ones cut into as few pieces of about one length as bring them to ``longest`` integers.

        Examples
        --------
        >>> Sentences([[1, 2, 3, 4, 5], [6]]).cut(2)[torch.arange(4)].values.tolist()
        [[1, 0], [2, 3], [4, 5], [6, 0]]
        """
        pieces = -(-self.lengths // longest)
        row = torch.arange(len(self)).repeat_interleave(pieces)
        piece = torch.arange(len(row)) - (pieces.cumsum(0) - pieces)[row]
        first, last = (self.lengths[row] * part // pieces[row] for part in (piece, piece + 1))
        parts = copy.copy(self)
        parts.lengths, parts._starts = last - first, self._starts[row] + first
        return parts

    def __getitem__(self, index: Tensor) -> Padded:
        lengths = self.lengths[index]
        position = torch.arange(int(lengths.max()))
        inside = position < lengths.unsqueeze(1)
        source = (self._starts[index].unsqueeze(1) + position).masked_fill(~inside, 0)
        values = self._flat[source].masked_fill(~inside, 0)
        if self._columns is None:
            return Padded(values, lengths)
        return Padded(values, lengths, self._columns[source].masked_fill(~inside.unsqueeze(-1), 0))


class Joined:
    """Two collections of sentences as one; indexing with a tensor gives a `Padded` batch.

    Parameters
    ----------
    first, second
        Collections with ``lengths``, such as `Sentences`; rows of the first come first.

    Examples
    --------
    >>> both = Joined(Sentences([[1, 2]]), Sentences([[3], [4]]))
    >>> both[torch.tensor([2, 0])].values.tolist()
    [[4, 0], [1, 2]]
    """

    def __init__(self, first: Any, second: Any) -> None:
        self.first, self.second = first, second
        self.lengths = np.concatenate([np.asarray(first.lengths), np.asarray(second.lengths)]).astype(np.int32)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: Tensor) -> Padded:
        early = index < len(self.first)
        if early.all():
            return self.first[index]
        if not early.any():
            return self.second[index - len(self.first)]
        both = self.first[index[early]].concatenate(self.second[index[~early] - len(self.first)])
        order = torch.cat([early.nonzero(), (~early).nonzero()]).squeeze(1).argsort()
        columns = None if both.columns is None else both.columns[order]
        return Padded(both.values[order], both.lengths[order], columns)


class Columns:
    """The values that further features of tokens take, one collection a feature.

    Parameters
    ----------
    values
        Of each of C features, its values in order of id from 1; 0 is a value that is absent or was never seen.
    """

    def __init__(self, values: Sequence[Sequence[str]]) -> None:
        self.values = [list(part) for part in values]
        self.sizes = [1 + len(part) for part in self.values]
        self._ids = [{value: i for i, value in enumerate(part, 1)} for part in self.values]

    @classmethod
    def of(cls, features: Sequence[Sequence[Sequence[str]]]) -> "Columns":
        """The values in sentences, each a list with the features of every token; of none, an empty list.

        Examples
        --------
        >>> columns = Columns.of([[["N"], ["V"]], []])
        >>> columns.values, [part.tolist() for part in columns.encode([[["V"]], [[], []]])]
        ([['N', 'V']], [[[2]], [[0], [0]]])
        """
        width = max((len(token) for sentence in features for token in sentence), default=0)
        given = [token for sentence in features for token in sentence if token]
        return cls([sorted({token[c] for token in given}) for c in range(width)])

    def encode(self, features: Sequence[Sequence[Sequence[str]]]) -> list[np.ndarray] | None:
        """Ids of the features of each sentence's tokens, (n, C); None where there are no features at all."""
        if not self.values:
            return None
        return [
            np.array([
                [ids.get(value, 0) for ids, value in zip(self._ids, token or [""] * len(self._ids), strict=True)]
                for token in sentence
            ]).reshape(len(sentence), len(self._ids))
            for sentence in features
        ]  # fmt: skip


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
    features = ["c:" + c for c in word]
    features += ["first:" + word[0], "last:" + word[-1], f"length:{min(len(word), 8)}"]
    if len(word) > 3:
        features += ["prefix:" + word[:3], "suffix:" + word[-2:], "suffix:" + word[-3:]]
    if word[0].isupper():
        features.append("shape:capital")
    if not word.isalpha():  # neither of the two otherwise
        features += ["shape:digit"] * any(c.isdigit() for c in word)
        features += ["shape:symbol"] * (not any(c.isalnum() for c in word))
    return features


class Spelling:
    """Of each of a list of words the ids of what spells it, its features or its symbols, in flat arrays.

    Parameters
    ----------
    flat
        The ids of all words, one word after the other.
    counts
        How many each word has, (V,).
    features
        How many different ids have a vector.
    """

    def __init__(self, flat: np.ndarray, counts: np.ndarray, features: int) -> None:
        self.features = features
        self._flat = torch.from_numpy(flat.astype(np.int32))
        self._counts = torch.from_numpy(counts.astype(np.int64))
        self._starts = self._counts.cumsum(0) - self._counts

    def __len__(self) -> int:
        return len(self._counts)

    def of(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What spells words, one after the other, where each word's begins, and 1 / √(a word's number of them)."""
        counts = self._counts[ids]
        offsets = counts.cumsum(0) - counts
        owner = torch.repeat_interleave(torch.arange(len(ids)), counts)
        within = torch.arange(len(owner)) - offsets[owner]
        return self._flat[self._starts[ids][owner] + within].long(), offsets, counts[owner].float().rsqrt()


class Vocabulary:
    """Words by falling count, ties in alphabetical order, behind `UNKNOWN`; and what spells them.

    Words from the id ``own`` on have no vector of their own: they are read as unknown words of their own spelling.
    In a vocabulary of `LARGE` words or more, features that a single word has are left out.

    Parameters
    ----------
    words
        All words but `UNKNOWN`, in order of id from 1.
    counts
        How often each was seen; together with `UNKNOWN`, which counts 0, they give the unigram distribution.
    own
        Ids below it have a vector of their own; None: all.
    features
        Of spelling, in order of id; None: those of the words.
    """

    def __init__(
        self, words: Sequence[str], counts: Sequence[int], own: int | None = None, features: Sequence[str] | None = None
    ) -> None:
        self.words = [UNKNOWN, *words]
        self.counts = [0, *counts]
        self.own = len(self.words) if own is None else own
        self._given = features
        self._ids = {word: i for i, word in enumerate(self.words)}

    @classmethod
    def of(cls, sentences: Iterable[Sequence[str]], most: int | None = None, least: int = 1) -> "Vocabulary":
        """The vocabulary of sentences.

        Parameters
        ----------
        sentences
            Lists of words.
        most
            Words beyond so many of the most frequent have no vector of their own; None: all have one.
        least
            Nor have words seen fewer times than this.

        Examples
        --------
        >>> vocabulary = Vocabulary.of([["b", "a", "b"]], least=2)
        >>> vocabulary.words, vocabulary.own
        (['<unk>', 'b', 'a'], 2)
        """
        return cls.of_counts(Counter(word for sentence in sentences for word in sentence), most, least)

    @classmethod
    def of_counts(cls, counts: Mapping[str, int], most: int | None = None, least: int = 1) -> "Vocabulary":
        """The vocabulary of words by how often each was seen; ``most`` and ``least`` as in `of`."""
        ordered = sorted(((w, n) for w, n in counts.items() if w != UNKNOWN), key=lambda item: (-item[1], item[0]))
        own = sum(count >= least for _, count in ordered[:most])
        return cls([word for word, _ in ordered], [count for _, count in ordered], 1 + own)

    def __len__(self) -> int:
        return len(self.words)

    def trimmed(self) -> "Vocabulary":
        """The words with a vector of their own, and all features: it spells the other words as this one does.

        Examples
        --------
        >>> small = Vocabulary.of([["b", "a", "b"]], least=2).trimmed()
        >>> small.words, small.features
        (['<unk>', 'b'], ['c:a', 'c:b', 'first:a', 'first:b', 'last:a', 'last:b', 'length:1'])
        """
        return Vocabulary(self.words[1 : self.own], self.counts[1 : self.own], features=self.features)

    def encode(self, sentence: Sequence[str]) -> list[int]:
        """Word ids; 0 for words not seen."""
        return [self._ids.get(word, 0) for word in sentence]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The words of ids."""
        return [self.words[i] for i in ids]

    @property
    def features(self) -> list[str]:
        """The features of spelling, in order of id."""
        return list(self._spelt[0])

    def spelling(self, further: Sequence[str] = ()) -> Spelling:
        """Features of the vocabulary's words and, behind them, of further words; features never seen are left out."""
        known, flat, counts = self._spelt
        more, more_counts = _known_features(further, known)
        return Spelling(np.concatenate([flat, more]), np.concatenate([counts, more_counts]), len(known))

    def symbols(self, further: Sequence[str] = ()) -> Spelling:
        """The characters of the same words between a symbol of begin and one of end, which is all of `UNKNOWN`.

        Characters are those among the features; others are `NO_SYMBOL`, which counts for no feature.

        Examples
        --------
        >>> Vocabulary.of([["ba"]]).symbols(["a?"]).of(torch.tensor([1, 2]))[0].tolist()
        [1, 4, 3, 2, 1, 3, 0, 2]
        """
        characters = [feature[2:] for feature in self._spelt[0] if feature.startswith("c:")]
        ids = np.full(0x110000, NO_SYMBOL, np.int32)
        ids[_code_points("".join(characters))] = FIRST + np.arange(len(characters))
        words = ["", *self.words[1:], *further]
        counts = np.array([len(word) + 2 for word in words])
        ends = counts.cumsum()
        flat = np.empty(ends[-1], np.int32)
        flat[ends - counts], flat[ends - 1] = BEGIN, END
        inner = np.ones(len(flat), bool)
        inner[ends - counts] = inner[ends - 1] = False
        flat[inner] = ids[_code_points("".join(words))]
        return Spelling(flat, counts, len(characters) + FIRST - 1)

    @cached_property
    def _spelt(self) -> tuple[dict[str, int], np.ndarray, np.ndarray]:
        """Ids of features; those of all words, one after the other, and how many each word has."""
        if self._given is not None:
            known = {feature: i for i, feature in enumerate(self._given)}
            return known, *_known_features(self.words, known)
        seen: defaultdict[str, int] = defaultdict()
        seen.default_factory = seen.__len__  # a new feature has the next id
        rows, counts = array("i"), np.empty(len(self.words), np.int64)
        for i, word in enumerate(self.words):
            features = spelling_features(word)
            rows.extend(map(seen.__getitem__, features))
            counts[i] = len(features)
        flat = np.array(rows, np.int32)
        owner = np.repeat(np.arange(len(counts)), counts)
        kept = np.array(list(seen), dtype=object)[_shared(flat, owner, len(seen))] if len(self) >= LARGE else list(seen)
        known = {feature: i for i, feature in enumerate(sorted(kept))}
        flat = np.array([known.get(feature, -1) for feature in seen], np.int32)[flat]
        inside = flat >= 0
        return known, flat[inside], np.bincount(owner[inside], minlength=len(counts))


def _known_features(words: Sequence[str], known: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Ids of the known features of words, one word after the other, and how many each has."""
    rows = [[known[feature] for feature in spelling_features(word) if feature in known] for word in words]
    counts = np.array([len(row) for row in rows], np.int64)
    return np.array([feature for row in rows for feature in row], np.int32), counts


def _shared(flat: np.ndarray, owner: np.ndarray, features: int) -> np.ndarray:
    """Whether each feature is seen in two words or more; owner is the word of each place of flat, never falling."""
    first, last = np.zeros(features, np.int64), np.zeros(features, np.int64)
    first[flat[::-1]], last[flat] = owner[::-1], owner  # where a feature comes again, the later assignment stands
    return first != last


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
