r"""Dynamic noise-contrastive estimation: log p(x) of token sequences, with a noise model learnt beside it.

The trans-dimensional random field over sentences of l words is

.. math:: \log p_θ(x) = u_θ(x) + \log π_l - (a l + b)

with π the prior of lengths and a log-normaliser that is linear in l; a and b are learnt.  A sample x is told to be
"data" or noise from q_φ by the log-odds Δ(x) = log p_θ(x) - log q_φ(x) - log ν.  With D from the data, and B_1, B_2
drawn from q_φ, |B_1| = |D| and |B_2| = ν (|D| + |B_1|),

.. math::
   L(θ) &= \frac{1}{|D ∪ B_1|} Σ_{x ∈ D ∪ B_1} \log(1 + e^{-Δ(x)}) + \frac{ν}{|B_2|} Σ_{x ∈ B_2} \log(1 + e^{Δ(x)}) \\
   L(φ) &= -\frac{1}{|D|} Σ_{x ∈ D} \log q_φ(x)

so that the "data" are half noise (the interpolation α = 1/2 of dynamic NCE; Wang and Ou, 2018), which keeps p_θ from
over-fitting where q is poor; the optimum is p_θ = (p_data + q) / 2, which is p_data once q is.

===============  =========  =======
``contrast``     w(t) L(θ)  θ, a, b
``noise_model``  L(φ)       φ
===============  =========  =======

*q as the carrier measure.*  Δ is a difference of two numbers of hundreds of nats, and at first u knows nothing of
log q: its spread over sentences is tens of nats, the classifier is saturated, and what it learns first is to imitate
log q.  The residual field

.. math:: p_θ(x) ∝ q_φ(x)\; e^{u_θ(x)}, \qquad Δ(x) = u_θ(x) - (a l + b) - \log ν

has the current q for its carrier measure instead (q models lengths, too, so there is no π), with φ held fixed for θ.
log q cancels from Δ exactly, which starts as small as u is and needs only what q lacks; its optimum is the same
mixture, now as u(x) - (a l + b) = log(1 + p_data / q) - log 2.  What u means changes while q learns: as q becomes
p_data, u falls to a constant for each length, and what it has learnt is lost again.  So q should start from the unigram
distribution (`LanguageModel.start_from`) and learn at a fraction of θ's rate.  Where u itself holds the unigram
log-probabilities of words as its carrier measure, they are taken out of it.

Words without a vector of their own are not among those of the noise model: the sentences that p_θ and q range over are
those in which such words are written as the unknown one, and without further features of tokens.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from fewlabels.objective import Batch, Objective, Terms
from fewlabels.objectives.log_normaliser import LogNormaliser
from fewlabels.sequence.language_model import LanguageModel
from fewlabels.sequence.log_potential import log_potential
from fewlabels.sequence.sentences import Padded

__all__ = ["NCE"]


class NCE(Objective):
    """-log p(x) of the unlabelled sentences of a batch, by classification against a language model's samples.

    Δ is computed in float64 whatever autocast is on.  Sentences must have at most ``noise_model.longest`` words.

    Parameters
    ----------
    noise_model
        q_φ over the ids 0 to ``noise_model.words`` - 1; greater ids are read as 0.
    length_prior
        π, shape (L + 1,), indexed by the number of words; positive from 1 on.
    weight
        Of L(θ); 1 to pre-train, 0.1 at the most in joint training.
    noise_ratio
        ν, an integer; 1 by default as in the paper.
    ramp
        Number of steps over which the weight rises, as w(t) = weight √(min(t, ramp) / ramp) from t = 1 on; 40,000 in
        the paper's joint training.  0 has the full weight at once.
    carrier
        Make q the carrier measure of p; the length prior is then not used.
    unigram
        Log-probabilities of words, (V,), that u(x) holds as its own carrier measure, to be taken out of it where q
        takes their place; None for a u without them.
    words_alone
        u(x) is the word potential ψ(x) alone, as in pre-training, where nothing is known of tags.

    Examples
    --------
    >>> from fewlabels.labels import Categorical
    >>> class Flat(nn.Module):
    ...     def forward(self, x):
    ...         return Categorical(torch.zeros(len(x.lengths), 1))
    >>> nce = NCE(LanguageModel(words=5, longest=3), torch.full((4,), 1 / 3), carrier=True)
    >>> x = Padded(torch.tensor([[1, 2, 0], [4, 1, 3]]), torch.tensor([2, 3]))
    >>> terms = nce(Flat(), Batch(None, torch.zeros(0), x))
    >>> round(terms.loss["contrast"].item(), 4) == round(2 * math.log(2), 4)  # of the classifier that knows nothing
    True
    """

    length_prior: Tensor
    steps: Tensor
    unigram: Tensor | None

    def __init__(
        self,
        noise_model: LanguageModel,
        length_prior: Tensor,
        *,
        weight: float = 1.0,
        noise_ratio: int = 1,
        ramp: int = 0,
        carrier: bool = False,
        unigram: Tensor | None = None,
        words_alone: bool = False,
    ) -> None:
        super().__init__()
        assert len(length_prior) == noise_model.longest + 1, "the length prior needs L + 1 entries"
        assert bool((length_prior[1:] > 0).all()), "the length prior must be positive where the noise model is"
        assert carrier or unigram is None, "the unigram stays where q is not the carrier measure"
        self.noise_model = noise_model
        self.register_buffer("length_prior", length_prior.double())
        self.register_buffer("unigram", unigram)
        self.register_buffer("steps", torch.tensor(0))
        self.log_normaliser = LogNormaliser()
        self.weight, self.noise_ratio, self.ramp, self.carrier = weight, noise_ratio, ramp, carrier
        self.words_alone = words_alone

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The terms ``contrast``, w(t) L(θ), and ``noise_model``, L(φ)."""
        values, lengths = batch.x_unlabelled.values, batch.x_unlabelled.lengths
        data, count = Padded(values.masked_fill(values >= self.noise_model.words, 0), lengths), len(lengths)
        drawn, log_q_drawn = self.noise_model.sample(count + self.noise_ratio * 2 * count)
        log_q_data = self.noise_model(data)
        everything = data.concatenate(drawn)
        u = log_potential(potential, everything, self.words_alone)
        log_q = torch.cat([log_q_data.detach(), log_q_drawn])
        with torch.autocast(values.device.type, enabled=False):
            excess = self._excess(u, log_q, everything)
            self.log_normaliser.calibrate(excess.detach(), everything.lengths)
            log_odds = excess - self.log_normaliser(everything.lengths) - math.log(self.noise_ratio)
            positives, negatives = log_odds[: 2 * count], log_odds[2 * count :]
            contrast = softplus(-positives).mean() + self.noise_ratio * softplus(negatives).mean()
        loss = {"contrast": (self.current_weight() * contrast).float(), "noise_model": -log_q_data.mean()}
        with torch.no_grad():
            info = {
                "data_recognised": (log_odds[:count] > 0).float().mean(),
                "noise_recognised": (negatives < 0).float().mean(),
                "noise_length": drawn.lengths.float().mean(),
                "spread": log_odds.float().std(),
            }
        return Terms(loss, info)

    def update(self, potential: nn.Module) -> None:
        """Count the steps, which the weight rises with."""
        self.steps += 1

    def current_weight(self) -> float:
        """w(t) of step t, the number of steps done plus one."""
        t = int(self.steps) + 1
        return self.weight * math.sqrt(min(t, self.ramp) / self.ramp) if self.ramp else self.weight

    def log_density(self, u: Tensor, log_q: Tensor, x: Padded) -> Tensor:
        """Log p(x), shape (B,), in float64, from u(x) and log q(x)."""
        return log_q.double() + self._excess(u, log_q, x) - self.log_normaliser(x.lengths)

    def _excess(self, u: Tensor, log_q: Tensor, x: Padded) -> Tensor:
        """Log p(x) - log q(x) but for the log-normaliser, (B,), in float64."""
        if not self.carrier:
            return u.double() + self.length_prior[x.lengths].log() - log_q.double()
        if self.unigram is None:
            return u.double()
        return u.double() - self.unigram.double()[x.values].masked_fill(~x.inside(), 0.0).sum(1)
