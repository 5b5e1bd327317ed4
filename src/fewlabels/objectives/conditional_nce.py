r"""Conditional noise-contrastive estimation: log p(x) of sentences against corrupted copies of themselves.

A sentence x is compared with a copy x' in which some words have been drawn afresh (Ceylan and Gutmann, 2018).  If p_c
is how copies are made, the log-odds of "x was the original, x' the copy" against the reverse are

.. math:: G(x, x') = \log \frac{p_θ(x)\; p_c(x' | x)}{p_θ(x')\; p_c(x | x')}, \qquad
          L(θ) = \text{mean} \log(1 + e^{-G(x, x')})

and L is least where p_θ is p_data, up to a factor on each set of sentences that corruption connects: those of one
length.  No normaliser, no model of lengths and no noise model is needed.

With the corruption of `fewlabels.objectives.corruption` and n(x) = Σ_i log π(x_i), the words' carrier measure,

.. math:: \log p_c(x' | x) - \log p_c(x | x') = n(x') - n(x)

exactly, and two models are on offer:

- p(x, y) ∝ Π_i π(x_i) exp u(x, y), with the carrier measure outside of u: G = u(x) - u(x');
- p(x, y) ∝ exp u(x, y), for a u that holds a carrier measure itself, as ψ(x) with its unigram log-probabilities does:
  G = (u(x) - n(x)) - (u(x') - n(x')).  In the first model those would count twice: they do not cancel between x and x',
  and until c_w has learnt to undo them they are noise of several nats for each word replaced.

Features of tokens other than words are left as they are in x': the model is then of words given those.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from fewlabels.objective import Batch, Objective, Terms
from fewlabels.objectives.corruption import corrupt, log_carrier
from fewlabels.objectives.ranking import mean_of, noise_of
from fewlabels.sequence.log_potential import log_potential
from fewlabels.sequence.sentences import Padded

__all__ = ["ConditionalNCE"]


class ConditionalNCE(Objective):
    """-log p(x) of the unlabelled sentences of a batch, by telling them from corrupted copies.

    A sentence without a word that can be replaced is left out.

    Parameters
    ----------
    counts
        How often each word that has a vector of its own was seen, (V,): π, and which words can be replaced.
    weight
        Of L(θ).
    rate
        ρ, the probability with which a word is replaced.
    pairs
        Copies of each sentence.
    carrier
        Whether the carrier measure Π π(x_i) stands beside u (the first model above) or within it (the second).
    words_alone
        u(x) is the word potential ψ(x) alone, as in pre-training, where nothing is known of tags.

    Examples
    --------
    >>> from fewlabels.labels import Categorical
    >>> class Flat(nn.Module):
    ...     def forward(self, x):
    ...         return Categorical(torch.zeros(len(x.lengths), 1))
    >>> x = Padded(torch.tensor([[1, 2, 0], [2, 1, 2]]), torch.tensor([2, 3]))
    >>> terms = ConditionalNCE(torch.tensor([0, 3, 7]))(Flat(), Batch(None, torch.zeros(0), x))
    >>> round(terms.loss["conditional_nce"].item(), 4)  # log 2: of the classifier that knows nothing
    0.6931
    """

    log_noise: Tensor

    def __init__(
        self,
        counts: Tensor,
        *,
        weight: float = 1.0,
        rate: float = 0.15,
        pairs: int = 1,
        carrier: bool = True,
        words_alone: bool = False,
    ) -> None:
        super().__init__()
        self.register_buffer("log_noise", noise_of(counts, 0.9))
        self.weight, self.rate, self.pairs, self.carrier = weight, rate, pairs, carrier
        self.words_alone = words_alone

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The term ``conditional_nce``; data and copies go through the potential in one pass."""
        data: Padded = batch.x_unlabelled
        index = torch.arange(len(data.lengths), device=data.lengths.device).repeat(1 + self.pairs)
        everything = _rows(data, index)
        copies, chosen = corrupt(_rows(data, index[len(data.lengths) :]), self.log_noise, self.rate)
        everything = everything._replace(values=torch.cat([data.values, copies.values]))
        u = log_potential(potential, everything, self.words_alone)
        with torch.autocast(u.device.type, enabled=False):
            level = u.double() if self.carrier else u.double() - log_carrier(everything, self.log_noise)
            u_data, u_copies = level[: len(data.lengths)], level[len(data.lengths) :].view(self.pairs, -1)
            log_odds = (u_data - u_copies).flatten()[chosen.any(1)]
            loss = (self.weight * mean_of(softplus(-log_odds))).float()
        return Terms({"conditional_nce": loss}, {"original_recognised": mean_of((log_odds > 0).float().detach())})


def _rows(x: Padded, index: Tensor) -> Padded:
    """The sentences of an index."""
    return Padded(x.values[index], x.lengths[index], None if x.columns is None else x.columns[index])
