r"""Pseudo-likelihood of sentences: log p(x) by the conditionals of single words, each estimated by ranking.

A random field over sentences has the single-site conditionals p(x_i = w | x_{\i}) ∝ exp σ_i(w), where σ_i(w) collects
what a word w at place i contributes; maximising Σ_i log p(x_i | x_{\i}) in place of log p(x) is Besag's
pseudo-likelihood (1975), and needs no normaliser over sentences, no length model and no noise model.  The bilinear word
potential ψ(x) = Σ_i σ_i(x_i) gives σ_i for every place and every word in one pass over the sentence, because the
states on either side of place i have not seen x_i.  What is neglected is that x_i also enters the states at other
places: the conditionals are specified directly, as in a dependency network (Heckerman et al., 2000) and in Electric
(Clark et al., 2020), and need not be those of one exact joint distribution.

The sum over the vocabulary is estimated by ranking (`fewlabels.objectives.ranking`) against M words drawn from
π ∝ unigram^{3/4} and shared by the batch.  Every place of every sentence gives a choice among M + 1 words in a single
pass, where sentence-level estimation gives one bit a sentence: that is why it learns from little computation.  Places
whose word has no vector of its own are left out.
"""

from typing import Protocol

from torch import Tensor, nn

from fewlabels.objective import Batch, Objective, Terms
from fewlabels.objectives.ranking import draw_words, mean_of, noise_of, rank, targets
from fewlabels.sequence.sentences import Padded

__all__ = ["PseudoLikelihood", "SiteScorer"]


class SiteScorer(Protocol):
    """A potential that can score any word at every place."""

    def site_scores(self, x: Padded, words: Tensor) -> tuple[Tensor, Tensor]:
        """σ_i(x_i), shape (N,), and σ_i(w) of M words, shape (N, M), for the N places of padded sentences."""
        ...


class PseudoLikelihood(Objective):
    """-log p(x) of the unlabelled sentences of a batch, as the mean over places of -log p(x_i | the rest).

    The potential must be a `SiteScorer`.

    Parameters
    ----------
    counts
        How often each word that has a vector of its own was seen, (V,); words never seen are neither drawn nor asked
        for.
    weight
        Of L(θ), in nats a word; 1 to pre-train, 3 in joint training.
    draws
        M; 400 is 7 % of a vocabulary of 6,000 and costs less than the encoder.
    """

    log_noise: Tensor

    def __init__(self, counts: Tensor, *, weight: float = 1.0, draws: int = 400) -> None:
        super().__init__()
        self.register_buffer("log_noise", noise_of(counts, 0.75))
        self.weight, self.draws = weight, draws

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The term ``pseudo_likelihood``."""
        x: Padded = batch.x_unlabelled
        words = draw_words(self.log_noise, (self.draws,))
        own, others = potential.site_scores(x, words)  # pyright: ignore[reportCallIssue]: a SiteScorer
        present, asked = targets(x, self.log_noise)
        losses, first = rank(own[asked], others[asked], self.log_noise, present[asked], words)
        return Terms({"pseudo_likelihood": self.weight * mean_of(losses)}, {"recognised": mean_of(first.float())})
