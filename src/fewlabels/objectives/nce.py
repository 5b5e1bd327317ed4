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
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from fewlabels.objective import Batch, Objective, Terms
from fewlabels.sequence.language_model import LanguageModel
from fewlabels.sequence.text import Padded

__all__ = ["NCE"]


class NCE(Objective):
    """-log p(x) of the unlabelled sentences of a batch, by classification against a language model's samples.

    Parameters
    ----------
    noise_model
        q_φ; its ``longest`` bounds the sentences, of data too.
    length_prior
        π, shape (L + 1,), indexed by the number of words; entries of lengths that occur must be positive.
    weight
        Of L(θ); 1 to pre-train, 0.1 at the most in joint training (the paper's value, reached by a square-root ramp).
    noise_ratio
        ν, an integer; 1 by default as in the paper.
    """

    calibrated: Tensor
    length_prior: Tensor

    def __init__(
        self, noise_model: LanguageModel, length_prior: Tensor, *, weight: float = 1.0, noise_ratio: int = 1
    ) -> None:
        super().__init__()
        self.noise_model = noise_model
        self.register_buffer("length_prior", length_prior.float())
        self.register_buffer("calibrated", torch.tensor(False))
        self.a = nn.Parameter(torch.zeros(()))
        self.b = nn.Parameter(torch.zeros(()))
        self.weight, self.noise_ratio = weight, noise_ratio

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The terms ``contrast``, L(θ), and ``noise_model``, L(φ)."""
        data: Padded = batch.x_unlabelled
        count = len(data.lengths)
        drawn, log_q_drawn = self.noise_model.sample(count + self.noise_ratio * 2 * count)
        log_q_data = self.noise_model(data)
        everything = data.concatenate(drawn)
        u = potential(everything).log_partition
        log_q = torch.cat([log_q_data.detach(), log_q_drawn])
        if not self.calibrated:
            self._calibrate(u.detach(), log_q, everything.lengths)
        log_odds = self.log_density(u, everything.lengths) - log_q - torch.tensor(float(self.noise_ratio)).log()
        positives, negatives = log_odds[: 2 * count], log_odds[2 * count :]
        contrast = softplus(-positives).mean() + self.noise_ratio * softplus(negatives).mean()
        loss = {"contrast": self.weight * contrast, "noise_model": -log_q_data.mean()}
        with torch.no_grad():
            info = {
                "data_recognised": (log_odds[:count] > 0).float().mean(),
                "noise_recognised": (negatives < 0).float().mean(),
                "noise_length": drawn.lengths.float().mean(),
            }
        return Terms(loss, info)

    def log_density(self, u: Tensor, lengths: Tensor) -> Tensor:
        """Log p(x), shape (B,), from u(x) and the numbers of words."""
        return u + self.length_prior[lengths].log() - (self.a * lengths + self.b)

    @torch.no_grad()
    def _calibrate(self, u: Tensor, log_q: Tensor, lengths: Tensor) -> None:
        """Set a and b by least squares to the log-odds of the first batch, which start around 0 instead of hundreds."""
        excess = u + self.length_prior[lengths].log() - log_q
        design = torch.stack([lengths.to(u.dtype), torch.ones_like(u)], 1)
        if len(lengths.unique()) == 1:
            self.a.zero_()
            self.b.copy_(excess.mean())
        else:
            slope, level = torch.linalg.lstsq(design, excess.unsqueeze(1)).solution.squeeze(1)
            self.a.copy_(slope)
            self.b.copy_(level)
        self.calibrated.fill_(True)
