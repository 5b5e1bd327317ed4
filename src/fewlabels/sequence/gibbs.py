r"""Gibbs sampling of sentences from the conditionals of single words.

Each word in turn is drawn afresh from p(x_i = w | x_{\i}) ∝ exp σ_i(w).  Where the conditionals come from one joint
distribution this samples it; conditionals that were specified directly define their distribution by this very procedure
(the pseudo-Gibbs sampler of dependency networks; Heckerman et al., 2000).
"""

import torch
from torch import Tensor

from fewlabels.sequence.potential import TaggingPotential
from fewlabels.sequence.sentences import Padded

__all__ = ["gibbs"]


@torch.no_grad()
def gibbs(
    potential: TaggingPotential, lengths: Tensor, *, sweeps: int = 5, generator: torch.Generator | None = None
) -> Padded:
    """Draw sentences of given lengths, from words of the unigram distribution.

    Parameters
    ----------
    potential
        Scores any word at every place.
    lengths
        Numbers of words, (B,).
    sweeps
        How often each word is drawn.
    generator
        Source of randomness; None is torch's global one.
    """
    count, width = len(lengths), int(lengths.max())
    unigram = potential.log_unigram.exp()
    vocabulary = torch.arange(1, len(unigram))  # never the unknown word
    start = 1 + unigram[1:].multinomial(count * width, replacement=True, generator=generator).view(count, width)
    inside = torch.arange(width) < lengths.unsqueeze(1)
    x = Padded(start.masked_fill(~inside, 0), lengths)
    for _ in range(sweeps):
        for place in range(width):
            _, scores = potential.site_scores(x, vocabulary)
            here = torch.zeros_like(inside).index_fill_(1, torch.tensor([place]), True)[inside]
            rows = inside[:, place]
            x.values[rows, place] = 1 + scores[here].softmax(-1).multinomial(1, generator=generator).squeeze(1)
    return x
