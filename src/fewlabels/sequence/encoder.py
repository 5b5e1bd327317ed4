r"""A bidirectional LSTM over padded rows, with or without a recurrent projection.

The LSTM with recurrent projection (Sak et al., 2014) has H cells and hands on m = h W_p, P numbers:

.. math:: (i, f, g, o) &= x_t W + m_{t-1} U + b \\
          c_t &= σ(f) c_{t-1} + σ(i) \tanh g, \quad h_t = σ(o) \tanh c_t, \quad m_t = h_t W_p

Because m_{t-1} U = h_{t-1} (W_p U) and m_0 = 0, it is a plain LSTM of the recurrent weight W_p U whose output is
projected afterwards: one call of the library's fused recurrence, also where P = H, which `torch.nn.LSTM` refuses.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["Encoded", "Encoder", "ProjectedLSTM"]


class Encoded(NamedTuple):
    """States around and at every place of a batch.

    Attributes
    ----------
    before, after
        Forward state before the place and backward state behind it: what is known of it without its word; (B, T, S).
    at
        Forward and backward state that include the word, side by side, (B, T, 2 S).
    word, edge
        Vectors of the words and of the sentence's start and end, as the states read them, (B, T, D) and (B, 2, D).
    """

    before: Tensor
    after: Tensor
    at: Tensor
    word: Tensor
    edge: Tensor


class Encoder(nn.Module):
    """A bidirectional LSTM as two one-way LSTMs on padded rows, each row mirrored inside its own length.

    Parameters
    ----------
    size
        D, the length of the vectors read.
    hidden
        Cells of each direction.
    projection
        Length of a direction's state; None: as many as cells, without a projection.

    Examples
    --------
    >>> encoder = Encoder(3, 4, projection=2)
    >>> encoded = encoder(torch.randn(2, 5, 3), torch.zeros(2, 3), torch.tensor([5, 2]))
    >>> encoded.before.shape, encoded.at.shape
    (torch.Size([2, 5, 2]), torch.Size([2, 5, 4]))
    """

    def __init__(self, size: int, hidden: int, projection: int | None = None) -> None:
        super().__init__()
        self.state = hidden if projection is None else projection
        self.forwards, self.backwards = (
            _plain(size, hidden) if projection is None else ProjectedLSTM(size, hidden, projection) for _ in range(2)
        )

    def forward(self, vectors: Tensor, edge: Tensor, lengths: Tensor) -> Encoded:
        """Encode vectors (B, T, D) with start and end vectors ``edge``, (2, D) or (B, 2, D)."""
        count, width, size = vectors.shape
        position = torch.arange(width, device=lengths.device)
        mirror = torch.where(position < lengths.unsqueeze(1), lengths.unsqueeze(1) - 1 - position, position)
        edge = edge.expand(count, 2, size)
        start, end = edge.split(1, 1)
        forwards, _ = self.forwards(torch.cat([start, vectors], 1))
        backwards, _ = self.backwards(torch.cat([end, _take(vectors, mirror)], 1))
        after, at = (_take(part, mirror) for part in (backwards[:, :-1], backwards[:, 1:]))
        return Encoded(forwards[:, :-1], after, torch.cat([forwards[:, 1:], at], -1), vectors, edge)


class ProjectedLSTM(nn.Module):
    """A one-way LSTM with recurrent projection, from a state of zeros.

    There is one bias vector, so that a learning rate means for biases what it means for weights.

    Parameters
    ----------
    size, hidden, projection
        Length of the vectors read, cells H, and length P of what is handed on and given out.
    """

    def __init__(self, size: int, hidden: int, projection: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(4 * hidden, size))
        self.recurrent = nn.Parameter(torch.empty(4 * hidden, projection))
        self.bias = nn.Parameter(torch.empty(4 * hidden))
        self.projection = nn.Parameter(torch.empty(projection, hidden))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights afresh from U(-0.1, 0.1); biases 0, but 1 for the forget gates."""
        for weight in (self.weight, self.recurrent, self.projection):
            nn.init.uniform_(weight, -0.1, 0.1)
        _remember(self.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs m, (B, T, P), of vectors (B, T, D), and the last cell state c, (B, H)."""
        hidden = self.projection.shape[1]
        weights = [self.weight, self.recurrent @ self.projection, self.bias, torch.zeros_like(self.bias)]
        zero = x.new_zeros(1, len(x), hidden)
        states, _, cell = torch.lstm(x, (zero, zero), weights, True, 1, 0.0, self.training, False, True)
        return states @ self.projection.T, cell.squeeze(0)


def _plain(size: int, hidden: int) -> nn.LSTM:
    """An LSTM that remembers by default: forget biases of 1, orthogonal recurrences."""
    lstm = nn.LSTM(size, hidden, batch_first=True)
    with torch.no_grad():
        for name, parameter in lstm.named_parameters():
            if name.startswith("weight_ih"):
                nn.init.xavier_uniform_(parameter)
            elif name.startswith("weight_hh"):
                nn.init.orthogonal_(parameter)
            elif name.startswith("bias_ih"):
                _remember(parameter)
            else:
                parameter.zero_()
    return lstm


@torch.no_grad()
def _remember(bias: Tensor) -> None:
    """Biases of 0, and of 1 for the forget gates."""
    hidden = len(bias) // 4
    bias.zero_()
    bias[hidden : 2 * hidden] = 1.0


def _take(values: Tensor, index: Tensor) -> Tensor:
    """Rows (B, T, ·) of values in the order of an index (B, T)."""
    return values.gather(1, index.unsqueeze(-1).expand(-1, -1, values.shape[-1]))
