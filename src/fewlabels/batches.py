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

__all__ = ["Batches", "Indexable", "Shuffled"]

WINDOW = 20
"""Batches within which sentences are sorted by length: padding falls from 2.3 to 1.1 positions a token."""


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
    lengths
        Where given, (n,): every pass is sorted by length inside windows of 20 batches, and the order of the batches is
        shuffled, so that a batch holds sentences of about one length.  The end of a pass that fills no batch is left
        out; other examples are left out the next time.

    Examples
    --------
    >>> stream = Shuffled(4, 2, seed=(0,))
    >>> sorted([*stream[0].tolist(), *stream[1].tolist()])
    [0, 1, 2, 3]
    """

    def __init__(self, n: int, size: int, seed: Sequence[int], lengths: np.ndarray | None = None) -> None:
        self.n, self.size, self.seed = n, size, tuple(seed)
        self.lengths = lengths if lengths is not None and n >= 2 * size else None
        self._pass = lru_cache(maxsize=2)(self._order)

    def __getitem__(self, t: int) -> Tensor:
        per_pass = self.n // self.size * self.size if self.lengths is not None else self.n
        first, last = t * self.size, (t + 1) * self.size
        parts = []
        while first < last:
            epoch, position = divmod(first, per_pass)
            parts.append(self._pass(epoch)[position : position + last - first])
            first += len(parts[-1])
        return torch.from_numpy(np.concatenate(parts))

    def _order(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([*self.seed, epoch])
        order = rng.permutation(self.n)
        if self.lengths is None:
            return order
        order = order[: self.n // self.size * self.size]
        window = WINDOW * self.size
        windows = [order[i : i + window] for i in range(0, len(order), window)]
        windows = [part[np.argsort(self.lengths[part], kind="stable")] for part in windows]
        return rng.permutation(np.concatenate(windows).reshape(-1, self.size)).reshape(-1)


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
    seed
        Fixes both orders; each half has a stream of its own.
    """

    def __init__(
        self, x: Indexable, y: Indexable, x_unlabelled: Indexable, *, labelled: int, unlabelled: int, seed: int
    ) -> None:
        self.x, self.y, self.x_unlabelled = x, y, x_unlabelled
        self._labelled = Shuffled(len(x), min(labelled, len(x)), (seed, 0), _lengths(x))
        self._unlabelled = Shuffled(
            len(x_unlabelled), min(unlabelled, len(x_unlabelled)), (seed, 1), _lengths(x_unlabelled)
        )

    def __getitem__(self, step: int) -> Batch:
        """The batch of a step."""
        i, j = self._labelled[step], self._unlabelled[step]
        return Batch(self.x[i], self.y[i], self.x_unlabelled[j])


def _lengths(examples: Indexable) -> np.ndarray | None:
    lengths = None if isinstance(examples, Tensor) else getattr(examples, "lengths", None)
    return None if lengths is None else lengths.numpy()
