r"""Bidirectional language model: the baseline of pre-training that is no energy-based model.

The forward state of the encoder before each place predicts its word, and so does the backward state behind it, by two
output layers of their own,

.. math:: L = -\frac{1}{N} Σ_i \big[\log p_f(x_i | x_{<i}) + \log p_b(x_i | x_{>i})\big], \qquad
          p_f(w | x_{<i}) ∝ \exp(W_w f_{i-1} + c_w),

each with a full softmax, as in the paper, or estimated by ranking (`fewlabels.objectives.ranking`) against M words
drawn from unigram^{3/4}.  The mean is over tokens; the paper's code sums over a sentence and takes the mean over
sentences, which is some 25 times as large.  It also drops no words' vectors, predicts the sentence's ends, and takes
batches of 64 with momentum, where `fewlabels.sentence_methods.PAPER` has 32 by Adam.  Places whose word has no vector
of its own are left out.

=================  ==============================================
``next_word``      forward states of θ, output layer ``forwards``
``previous_word``  backward states of θ, output layer ``backwards``
=================  ==============================================
"""

from typing import Protocol

from torch import Tensor, nn
from torch.nn.functional import cross_entropy, embedding

from fewlabels.objective import Batch, Objective, Terms
from fewlabels.objectives.ranking import draw_words, mean_of, noise_of, rank, targets
from fewlabels.sequence.sentences import Padded

__all__ = ["BidirectionalLM", "Contextual"]


class Contextual(Protocol):
    """A potential that gives what is known of every place without its word."""

    def contexts(self, x: Padded) -> tuple[Tensor, Tensor]:
        """Forward states before and backward states behind each of the N places, in order of rows, (N, H) each."""
        ...


class BidirectionalLM(Objective):
    """Prediction of each word of the unlabelled sentences from its left and from its right.

    The potential must be `Contextual`.

    Parameters
    ----------
    counts
        How often each word that has a vector of its own was seen, (V,); words never seen are not asked for.
    hidden
        H, the size of the states.
    weight
        Of L, in nats a word.
    draws
        M; None takes the full softmax.
    """

    log_noise: Tensor

    def __init__(self, counts: Tensor, hidden: int, *, weight: float = 1.0, draws: int | None = None) -> None:
        super().__init__()
        self.register_buffer("log_noise", noise_of(counts, 0.75))
        self.forwards, self.backwards = nn.Linear(hidden, len(counts)), nn.Linear(hidden, len(counts))
        self.weight, self.draws = weight, draws

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The terms ``next_word`` and ``previous_word``."""
        x: Padded = batch.x_unlabelled
        before, behind = potential.contexts(x)  # pyright: ignore[reportCallIssue]: Contextual
        present, asked = targets(x, self.log_noise)
        words = None if self.draws is None else draw_words(self.log_noise, (self.draws,))
        next_word = self._loss(self.forwards, before[asked], present[asked], words)
        previous_word = self._loss(self.backwards, behind[asked], present[asked], words)
        return Terms({"next_word": self.weight * next_word, "previous_word": self.weight * previous_word}, {})

    def _loss(self, layer: nn.Linear, states: Tensor, present: Tensor, words: Tensor | None) -> Tensor:
        """Mean -log p of the present words, (N,), after states, (N, H)."""
        if words is None:
            return mean_of(cross_entropy(layer(states), present, reduction="none"))
        own = (states * embedding(present, layer.weight)).sum(1) + layer.bias[present]
        others = states @ embedding(words, layer.weight).T + layer.bias[words]
        return mean_of(rank(own, others, self.log_noise, present, words)[0])
