r"""Which word stands at a place: the softmax over a vocabulary estimated by ranking, shared by methods that ask it.

With M words w_m drawn from π ∝ unigram^κ and shared by all places, and r_i(w) = σ_i(w) - log π(w), ranking
noise-contrastive estimation (Ma and Collins, 2018) minimises

.. math:: -\frac{1}{N} Σ_i \log \frac{e^{r_i(x_i)}}{e^{r_i(x_i)} + Σ_m e^{r_i(w_m)}}

which, but for a constant, is the exact mean of -log softmax_w σ_i(w) at x_i as M grows.
"""

import torch
from torch import Tensor

from fewlabels.sequence.sentences import Padded

__all__ = ["draw_words", "mean_of", "noise_of", "rank", "targets"]


def noise_of(counts: Tensor, power: float) -> Tensor:
    """Log π of words, (V,), from how often each was seen, (V,): ∝ counts^power, and -inf where never seen.

    The unknown word, id 0, is never drawn.

    Examples
    --------
    >>> noise_of(torch.tensor([5, 16, 1, 0]), 0.5).exp().tolist()
    [0.0, 0.80..., 0.19..., 0.0]
    """
    noise = counts.double() ** power * (counts > 0)
    noise[0] = 0.0
    return (noise / noise.sum()).log().float()


def draw_words(log_noise: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Word ids of some shape from π, by torch's global generator."""
    cdf = log_noise.double().exp().cumsum(0)
    level = torch.rand(shape, dtype=cdf.dtype, device=cdf.device) * cdf[-1]
    return torch.searchsorted(cdf, level, right=True).clamp(max=len(cdf) - 1)


def targets(x: Padded, log_noise: Tensor) -> tuple[Tensor, Tensor]:
    """The words at the N places of sentences, in order of rows, and which of them can be drawn; both (N,).

    Others (the unknown word, words that have spelling only) cannot be told apart and are not asked for.
    """
    present = x.values[x.inside()]
    known = present < len(log_noise)
    return present, known & log_noise[present.masked_fill(~known, 0)].isfinite()


def rank(own: Tensor, others: Tensor, log_noise: Tensor, present: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    """The ranking loss of N places, and whether each place's word comes before all words drawn; both (N,).

    Parameters
    ----------
    own, others
        σ_i(x_i), (N,), and σ_i of the words drawn, (N, M).
    log_noise
        log π, (V,).
    present, words
        Ids of the words x_i, (N,), and of those drawn, (M,).
    """
    ranks = torch.cat([(own - log_noise[present]).unsqueeze(1), others - log_noise[words]], 1)
    with torch.no_grad():
        first = ranks[:, 0] > ranks[:, 1:].amax(1)
    return -ranks.log_softmax(1)[:, 0], first


def mean_of(losses: Tensor) -> Tensor:
    """Their mean; 0 where there are none, with a gradient of 0."""
    return losses.sum() / max(1, len(losses))
