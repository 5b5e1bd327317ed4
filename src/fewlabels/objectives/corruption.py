r"""Corruption: copies of sentences with some words drawn afresh, reversible under the words' carrier measure.

Of the places that hold a word which can be drawn, a set S is chosen: each place with probability ρ, independently; if
none was, one of them, all alike.  Each word in S is replaced by a draw from π ∝ unigram^{0.9}, which may be the same
word.  Places with other words (the unknown one, words with spelling only) never change, so the number of places to
choose from, and with it P(S), is the same for x and its copy x'.  Hence, of how copies are made, p_c,

.. math::
   \Big[Π_i π(x_i)\Big]\; p_c(x' | x) = Σ_S P(S) Π_{i ∈ S} π(x_i) π(x'_i) Π_{i ∉ S} π(x_i) 1[x_i = x'_i]

(products over those places) does not change when x and x' trade places: corruption is reversible under the carrier
measure Π π(x_i).  The rule of at least one place leaves this as it is, because it looks at S alone; drawing a word that
must differ from the old one would break it, as π(w) / (1 - π(x_i)) is not symmetric.  So with n(x) = Σ_i log π(x_i)

.. math:: \log p_c(x' | x) - \log p_c(x | x') = n(x') - n(x).
"""

import torch
from torch import Tensor

from fewlabels.objectives.ranking import draw_words
from fewlabels.sequence.sentences import Padded

__all__ = ["corrupt", "log_carrier"]


def corrupt(x: Padded, log_noise: Tensor, rate: float) -> tuple[Padded, Tensor]:
    """Copies of sentences with some words drawn afresh, and at which places, (B, T).

    Parameters
    ----------
    x
        Sentences, (B, T).
    log_noise
        log π, (V,); words of -inf, and ids from V on, are left alone.
    rate
        Probability with which a place is chosen; where none is, one is chosen all the same.

    Examples
    --------
    >>> x = Padded(torch.tensor([[1, 0, 9], [2, 1, 0]]), torch.tensor([3, 2]))
    >>> copies, chosen = corrupt(x, torch.tensor([0.0, 0.5, 0.5]).log(), rate=1.0)
    >>> chosen.tolist()
    [[True, False, False], [True, True, False]]
    """
    drawable = _drawable(x, log_noise)
    chosen = drawable & (torch.rand(x.values.shape, device=x.values.device) < rate)
    lot = torch.rand(x.values.shape, device=x.values.device).masked_fill(~drawable, -1.0)
    one = torch.zeros_like(drawable).scatter_(1, lot.argmax(1, keepdim=True), True)
    chosen = torch.where(chosen.any(1, keepdim=True), chosen, one & drawable)
    words = draw_words(log_noise, tuple(x.values.shape))
    return x._replace(values=torch.where(chosen, words, x.values)), chosen


def log_carrier(x: Padded, log_noise: Tensor) -> Tensor:
    """n(x) = Σ_i log π(x_i) over the places whose words can be drawn, (B,), in float64; log π is (V,)."""
    drawable = _drawable(x, log_noise)
    return log_noise.double()[x.values.masked_fill(~drawable, 0)].masked_fill(~drawable, 0.0).sum(1)


def _drawable(x: Padded, log_noise: Tensor) -> Tensor:
    """Places inside sentences whose word can be drawn, (B, T)."""
    known = x.inside() & (x.values < len(log_noise))
    return known & log_noise[x.values.masked_fill(~known, 0)].isfinite()
