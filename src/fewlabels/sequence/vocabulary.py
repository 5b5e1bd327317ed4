"""Words as integers: the vocabulary, and what spells each of its words."""

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

__all__ = ["UNKNOWN", "Spelling", "Vocabulary"]

UNKNOWN = "<unk>"
"""The word of id 0, which stands for every word that is not in the vocabulary."""

LARGE = 10_000
"""From so many words on, features of spelling that one word alone has are left out: no other could profit."""

NO_SYMBOL, BEGIN, END, FIRST = 0, 1, 2, 3
"""Symbols of a word: one never seen, the word's two ends, and the first id of a character."""


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
        flat, counts = self._written
        more, more_counts = _symbols(further, self._alphabet)
        return Spelling(
            np.concatenate([flat, more]), np.concatenate([counts, more_counts]), int(self._alphabet.max(initial=END))
        )

    @cached_property
    def _alphabet(self) -> np.ndarray:
        """Ids of symbols by code point."""
        characters = "".join(feature[2:] for feature in self._spelt[0] if feature.startswith("c:"))
        ids = np.full(0x110000, NO_SYMBOL, np.int32)
        ids[_code_points(characters)] = FIRST + np.arange(len(characters))
        return ids

    @cached_property
    def _written(self) -> tuple[np.ndarray, np.ndarray]:
        """Symbols of the vocabulary's words, one after the other, and how many each has."""
        return _symbols(["", *self.words[1:]], self._alphabet)

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


def _symbols(words: Sequence[str], alphabet: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Symbols of words between those of begin and end, one word after the other, and how many each has."""
    counts = np.array([len(word) + 2 for word in words], np.int64)
    ends = counts.cumsum()
    flat = np.empty(counts.sum(), np.int32)
    flat[ends - counts], flat[ends - 1] = BEGIN, END
    inner = np.ones(len(flat), bool)
    inner[ends - counts] = inner[ends - 1] = False
    flat[inner] = alphabet[_code_points("".join(words))]
    return flat, counts


def _shared(flat: np.ndarray, owner: np.ndarray, features: int) -> np.ndarray:
    """Whether each feature is seen in two words or more; owner is the word of each place of flat, never falling."""
    first, last = np.zeros(features, np.int64), np.zeros(features, np.int64)
    first[flat[::-1]], last[flat] = owner[::-1], owner  # where a feature comes again, the later assignment stands
    return first != last


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
