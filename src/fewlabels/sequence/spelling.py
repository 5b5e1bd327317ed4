r"""What spells words: two modules that give a vector to each of some distinct word ids.

`FeatureBag` sums vectors of a word's features.  `CharCNN` runs convolutions over its symbols s_1 .. s_L, its
characters between a symbol of begin and one of end; with e(s) a symbol's vector, 0 beyond the word, filter bank k of
width k gives

.. math:: v_k = \max_{1≤t≤L} \operatorname{ReLU}\bigl(b_k + Σ_{j=1}^{k} W_{k,j}\, e(s_{t-⌈k/2⌉+j})\bigr)

and the word's vector is [v_2; v_3; v_4]: "same" padding with the odd place on the right.  A convolution of looked-up
vectors is a sum of rows of the tables E W_{k,j}, one table for each tap: at every symbol four rows are added, where
the convolution itself would multiply 50 by 300 numbers four times.
"""

from typing import Any

import torch
from torch import Tensor, nn

from fewlabels.sequence.vocabulary import NO_SYMBOL, Spelling

__all__ = ["CharCNN", "FeatureBag"]

WIDTHS = (2, 3, 4)
LEFT, TAPS = 1, 4
"""What the widest filters read: from one symbol before a place, four symbols."""


class FeatureBag(nn.Module):
    """The sum of the vectors of a word's features, divided by the root of their number.

    Parameters
    ----------
    spelling
        Features of words.
    size
        D, the length of a vector.
    """

    def __init__(self, spelling: Spelling, size: int) -> None:
        super().__init__()
        self.spelling, self.size = spelling, size
        self.feature = nn.EmbeddingBag(spelling.features, size, mode="sum")

    def reset_parameters(self) -> None:
        """Draw vectors afresh, from N(0, 0.1²)."""
        nn.init.normal_(self.feature.weight, std=0.1)

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors (n, D) of word ids (n,)."""
        features, offsets, weights = self.spelling.of(ids)
        return self.feature(features, offsets, per_sample_weights=weights.to(self.feature.weight.dtype))


class CharCNN(nn.Module):
    """Convolutions over a word's symbols, of widths 2, 3 and 4, and the maximum over places.

    Parameters
    ----------
    spelling
        Symbols of words, as `fewlabels.sequence.vocabulary.Vocabulary.symbols` gives them.
    filters
        F, of each width.
    embedding
        Length of a symbol's vector; a symbol never seen has the vector 0.
    """

    def __init__(self, spelling: Spelling, filters: int = 100, embedding: int = 50) -> None:
        super().__init__()
        self.spelling, self.size = spelling, len(WIDTHS) * filters
        self.symbol = nn.Parameter(torch.empty(spelling.features, embedding))
        self.kernels = nn.ParameterList(torch.empty(filters, embedding, width) for width in WIDTHS)
        self.bias = nn.Parameter(torch.empty(self.size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every weight afresh from U(-0.1, 0.1), biases 0."""
        for weight in (self.symbol, *self.kernels):
            nn.init.uniform_(weight, -0.1, 0.1)
        nn.init.zeros_(self.bias)

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors (n, 3 F) of word ids (n,)."""
        symbols, starts, _ = self.spelling.of(ids)
        counts = torch.diff(starts, append=starts.new_tensor([len(symbols)]))
        order = counts.argsort(descending=True, stable=True)
        longest = torch.arange(int(counts.max())).unsqueeze(1)
        t, word = (longest < counts[order]).nonzero().unbind(1)  # all words' first symbols, all second ones, ...
        table = self._table()
        place = t.unsqueeze(1) - LEFT + torch.arange(TAPS)
        beyond = (place < 0) | (place >= counts[order][word].unsqueeze(1))
        seen = symbols[(starts[order][word].unsqueeze(1) + place).masked_fill(beyond, 0)].masked_fill(beyond, NO_SYMBOL)
        largest = _LargestSums.apply(table, seen + torch.arange(TAPS) * (len(table) // TAPS), t.bincount().tolist())
        return (largest[order.argsort()] + self.bias).relu()

    def _table(self) -> Tensor:
        """E W_{k,j} of all widths side by side for each tap, 0 where a width has none: (TAPS · symbols, 3 F)."""
        banks = [
            nn.functional.pad(kernel, (LEFT - (width - 1) // 2, TAPS - LEFT - width + (width - 1) // 2))
            for width, kernel in zip(WIDTHS, self.kernels, strict=True)
        ]
        vectors = nn.functional.pad(self.symbol, (0, 0, 1, 0))  # the symbol never seen
        return (vectors @ torch.cat(banks).permute(2, 1, 0)).flatten(0, 1)


class _LargestSums(torch.autograd.Function):
    """The maximum over a word's places of sums of rows of a table; its gradient goes to the places that won alone.

    Places come in order: the first of all words, the second of those words that have one, and so on, where words stand
    in order of falling length.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor, active: list[int]) -> Tensor:
        sums = nn.functional.embedding_bag(rows, table, mode="sum")
        parts = sums.split(active)
        best, winner = parts[0].clone(), torch.zeros(parts[0].shape, dtype=torch.short)
        for t, part in enumerate(parts[1:], 1):
            value = best[: len(part)]
            winner[: len(part)].masked_fill_(part > value, t)
            torch.maximum(part, value, out=value)
        ctx.save_for_backward(rows, winner)
        ctx.shape, ctx.active = table.shape, active
        return best

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        rows, winner = ctx.saved_tensors
        active = torch.tensor(ctx.active)
        first = active.cumsum(0) - active
        place = first[winner.long()] + torch.arange(len(winner)).unsqueeze(1)
        column, d_table = torch.arange(ctx.shape[1]), grad.new_zeros(ctx.shape)
        for tap in (rows.T * ctx.shape[1]).contiguous():
            d_table.view(-1).scatter_add_(0, (tap[place] + column).view(-1), grad.reshape(-1))
        return d_table, None, None
