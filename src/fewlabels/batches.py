"""Seeded streams of labelled and unlabelled batches; batch t is a pure function of (seed, t).

Nothing of a stream's past has to be kept for training to resume exactly, and the labelled half is the same whatever
the unlabelled half does.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from fewlabels.objective import Batch

__all__ = ["Batches", "Indexable", "OfLikeLength", "Shuffled", "cut_by_number", "cut_by_tokens"]


class Indexable(Protocol):
    """Examples in memory: a tensor, or sentences that pad themselves."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor, /) -> Any: ...


class Shuffled:
    """Endless passes over 0 .. n - 1, each in a new order, cut into batches of one size.

    Parameters
    ----------
    n
        How many examples.
    size
        How many a batch; may exceed n.
    seed
        Any sequence of integers that tells this stream from others.

    Examples
    --------
    >>> stream = Shuffled(4, 2, seed=(0,))
    >>> sorted([*stream[0].tolist(), *stream[1].tolist()])
    [0, 1, 2, 3]
    """

    def __init__(self, n: int, size: int, seed: Sequence[int]) -> None:
        self.n, self.size, self.seed = n, size, tuple(seed)
        self._pass = lru_cache(maxsize=2)(self._order)

    def __getitem__(self, t: int) -> Tensor:
        first, last = t * self.size, (t + 1) * self.size
        parts = []
        while first < last:
            epoch, position = divmod(first, self.n)
            parts.append(self._pass(epoch)[position : position + last - first])
            first += len(parts[-1])
        return torch.from_numpy(np.concatenate(parts))

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([*self.seed, epoch]).permutation(self.n)


class OfLikeLength:
    """Endless passes over sentences in batches of about one length, so that next to nothing is spent on padding.

    A pass is sorted by length, ties in a new order, and cut at the same places each time; its batches come in a new
    order.

    Parameters
    ----------
    lengths
        Of the sentences, (n,).
    cuts
        Positions among the sentences sorted by length where a batch ends: `cut_by_tokens` or `cut_by_number`.
    seed
        Any sequence of integers that tells this stream from others.

    Examples
    --------
    >>> lengths = np.array([1, 6, 1, 1, 1, 2])
    >>> stream = OfLikeLength(lengths, cut_by_tokens(lengths, 3), seed=(0,))
    >>> sorted(sorted(stream[t].tolist()) for t in range(3))
    [[0, 2, 3, 4], [1], [5]]
    """

    def __init__(self, lengths: np.ndarray, cuts: Sequence[int], seed: Sequence[int]) -> None:
        self.lengths, self.cuts, self.seed = lengths, cuts, tuple(seed)
        self._pass = lru_cache(maxsize=2)(self._order)

    def __getitem__(self, t: int) -> Tensor:
        epoch, position = divmod(t, len(self.cuts) + 1)
        return torch.from_numpy(self._pass(epoch)[position])

    def _order(self, epoch: int) -> list[np.ndarray]:
        rng = np.random.default_rng([*self.seed, epoch])
        order = rng.permutation(len(self.lengths))
        batches = np.split(order[np.argsort(self.lengths[order], kind="stable")], self.cuts)
        return [batches[i] for i in rng.permutation(len(batches))]


def cut_by_tokens(lengths: np.ndarray, size: int) -> list[int]:
    """Cuts into batches of about as many tokens as ``size`` sentences of mean length have, padding included.

    Every token weighs about the same in a mean over tokens, and steps cost about the same: with a fixed number of
    sentences, a batch of the longest costs ten times the average.
    """
    cuts, start, budget = [], 0, size * lengths.mean()
    for position, length in enumerate(np.sort(lengths)):
        if position > start and (position + 1 - start) * length > budget:
            cuts.append(position)
            start = position
    return cuts


def cut_by_number(n: int, size: int) -> list[int]:
    """Cuts into batches of equal number, or one less, at most ``size``: sentences weigh alike in a mean over sentences.

    Examples
    --------
    >>> cut_by_number(7, 3)
    [2, 4]
    """
    count = -(-n // size)
    return [n * i // count for i in range(1, count)]


class Batches:
    """Labelled batches beside unlabelled ones, by step.

    Parameters
    ----------
    x, y
        Labelled examples and their labels, indexable by a tensor of integers.
    x_unlabelled
        Examples from which log p(x) is learnt.
    labelled, unlabelled
        Sizes of the two halves of a batch; no more than there are.
    lengths
        Of the labelled sentences, where batches are to be of like length and of equal number.
    unlabelled_lengths
        Of the unlabelled ones, where batches are to be of like length and of about as many tokens.  That suits a loss
        that is a mean over tokens; one that is a mean over sentences, such as noise-contrastive estimation, would see
        short sentences less often than they are.  None, for either, shuffles plainly.
    seed
        Fixes both orders; each half has a stream of its own.
    """

    def __init__(
        self,
        x: Indexable,
        y: Indexable,
        x_unlabelled: Indexable,
        *,
        labelled: int,
        unlabelled: int,
        seed: int,
        lengths: np.ndarray | None = None,
        unlabelled_lengths: np.ndarray | None = None,
    ) -> None:
        self.x, self.y, self.x_unlabelled = x, y, x_unlabelled
        self._labelled = (
            Shuffled(len(x), min(labelled, len(x)), (seed, 0))
            if lengths is None
            else OfLikeLength(lengths, cut_by_number(len(x), labelled), (seed, 0))
        )
        self._unlabelled = (
            Shuffled(len(x_unlabelled), min(unlabelled, len(x_unlabelled)), (seed, 1))
            if unlabelled_lengths is None
            else OfLikeLength(unlabelled_lengths, cut_by_tokens(unlabelled_lengths, unlabelled), (seed, 1))
        )

    def __getitem__(self, step: int) -> Batch:
        """The batch of a step."""
        i, j = self._labelled[step], self._unlabelled[step]
        return Batch(self.x[i], self.y[i], self.x_unlabelled[j])
