"""Seeded streams of labelled and unlabelled batches; batch t is a pure function of (seed, t).

Nothing of a stream's past has to be kept for training to resume exactly, and the labelled half is the same whatever
the unlabelled half does.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from fewlabels.objective import Batch

__all__ = ["Batches", "Cut", "Indexable", "OfLikeLength", "Shuffled", "cut_by_number", "cut_by_tokens"]

WINDOW, RUNS = 100, 100_000
"""Batches that are sorted by length together; runs of neighbours that are dealt out at the most."""


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

    A pass deals the sentences into windows of about 100 batches at random; each window is sorted by length, ties in a
    new order, and cut into batches, which come in a new order.  However many sentences there are, no more than a
    window's lengths are looked at, and at most 100,000 numbers drawn, at a time: sentences are dealt in runs of
    neighbours, of one sentence where there are at most 100,000.

    Parameters
    ----------
    lengths
        Of the sentences, (n,); may be memory-mapped.
    size
        Sentences a batch, on average.
    cut
        Where to cut a window: `cut_by_tokens` or `cut_by_number`.
    seed
        Any sequence of integers that tells this stream from others.

    Examples
    --------
    >>> stream = OfLikeLength(np.array([1, 6, 1, 2, 1, 1]), 2, cut_by_tokens, seed=(0,))
    >>> sorted(sorted(stream[t].tolist()) for t in range(3))
    [[0, 2, 4, 5], [1], [3]]
    """

    def __init__(self, lengths: np.ndarray, size: int, cut: "Cut", seed: Sequence[int]) -> None:
        n = len(lengths)
        self.lengths, self.cut, self.seed = lengths, cut, tuple(seed)
        self.windows = -(-n // (WINDOW * size))
        self.batches = min(-(-n // (self.windows * size)), n // self.windows)  # of each window
        self.run = -(-n // RUNS)  # neighbours that stay together
        self._dealt = lru_cache(maxsize=2)(self._deal)
        self._window = lru_cache(maxsize=2)(self._order)

    def __len__(self) -> int:
        """Batches of a pass."""
        return self.windows * self.batches

    def __getitem__(self, t: int) -> Tensor:
        window, position = divmod(t, self.batches)
        return torch.from_numpy(self._window(*divmod(window, self.windows))[position])

    def _deal(self, epoch: int) -> list[np.ndarray]:
        """Which runs each window of a pass gets."""
        runs = np.random.default_rng([*self.seed, epoch]).permutation(-(-len(self.lengths) // self.run))
        return np.array_split(runs, self.windows)

    def _order(self, epoch: int, window: int) -> list[np.ndarray]:
        rng = np.random.default_rng([*self.seed, epoch, window])
        rows = (np.sort(self._dealt(epoch)[window])[:, None] * self.run + np.arange(self.run)).ravel()
        rows = rng.permutation(rows[rows < len(self.lengths)])
        lengths = np.asarray(self.lengths[rows])
        order = np.argsort(lengths, kind="stable")
        batches = np.split(rows[order], self.cut(lengths[order], self.batches))
        return [batches[i] for i in rng.permutation(len(batches))]


Cut = Callable[[np.ndarray, int], np.ndarray]
"""(lengths in rising order, number of parts) -> the positions at which a next part begins; no part is empty."""


def cut_by_tokens(lengths: np.ndarray, count: int) -> np.ndarray:
    """Parts of about as many tokens each, so that tokens weigh alike in a mean over tokens, and steps cost alike.

    Examples
    --------
    >>> cut_by_tokens(np.array([1, 1, 1, 1, 2, 6]), 3)
    array([4, 5])
    """
    ends = lengths.cumsum()
    step, n = np.arange(1, count), len(lengths)
    cuts = np.searchsorted(ends, ends[-1] * step / count, side="left") + 1
    cuts = np.maximum.accumulate(cuts - step) + step  # each part has a sentence, whatever the others hold
    return np.minimum(cuts, n - count + step)


def cut_by_number(lengths: np.ndarray, count: int) -> np.ndarray:
    """Parts of equal number, or one less: sentences weigh alike in a mean over sentences.

    Examples
    --------
    >>> cut_by_number(np.ones(7), 3)
    array([2, 4])
    """
    return len(lengths) * np.arange(1, count) // count


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
            else OfLikeLength(lengths, labelled, cut_by_number, (seed, 0))
        )
        self._unlabelled = (
            Shuffled(len(x_unlabelled), min(unlabelled, len(x_unlabelled)), (seed, 1))
            if unlabelled_lengths is None
            else OfLikeLength(unlabelled_lengths, unlabelled, cut_by_tokens, (seed, 1))
        )

    def __getitem__(self, step: int) -> Batch:
        """The batch of a step."""
        i, j = self._labelled[step], self._unlabelled[step]
        return Batch(self.x[i], self.y[i], self.x_unlabelled[j], j)
