"""Sentences as integers: padded batches of them, collections in memory, their further features and tags."""

import copy
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fewlabels.errors import InputError

__all__ = ["Columns", "Joined", "Padded", "Sentences", "Tags", "by_length"]


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
        """Ids of the features of each sentence's tokens, (n, C); None where there are no features at all.

        Raises
        ------
        InputError
            Tokens with another number of features than C, or none.
        """
        for i, sentence in enumerate(features):
            for token in sentence:
                if len(token) not in (0, len(self.values)):
                    raise InputError(
                        f"Expected {len(self.values) or 'no'} further features of a word, as in fit, got {len(token)} "
                        f"in sentence {i} (counted from 0): give as many."
                    )
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


def by_length(lengths: Tensor, index: Tensor, most: int) -> tuple[Tensor, ...]:
    """An index of sentences, (n,), in parts of like length of at most so many.

    Examples
    --------
    >>> [part.tolist() for part in by_length(torch.tensor([5, 1, 4, 2]), torch.tensor([0, 1, 3]), 2)]
    [[1, 3], [0]]
    """
    return index[lengths[index].argsort(stable=True)].split(most)
