r"""Persistent contrastive divergence: log p(x) of continuous x from chains that are kept between steps.

The gradient of the log-likelihood, E_data[∇u] - E_p[∇u], with the second mean over a replay buffer of samples, each
revised by a few Langevin steps whenever it is drawn and now and then restarted (Tieleman, 2008; as used by JEM,
Grathwohl et al., 2020).  The terms are

==================  ==================================================
``likelihood``      w (mean u(x_rev) - mean u(x_unl))
``control``         c mean u(x_unl)²
``sample_control``  c' mean u(x_rev)²
==================  ==================================================
"""

import torch
from torch import Tensor, nn

from fewlabels.objective import Batch, Objective, Terms, noiseless
from fewlabels.objectives.likelihood import likelihood_terms
from fewlabels.samplers import sghmc

__all__ = ["PersistentCD"]


class PersistentCD(Objective):
    """-log p(x) on the unlabelled part of a batch, by a replay buffer of Langevin chains.

    Parameters
    ----------
    start
        Where chains start, shape (N, ...): the buffer's first contents and the pool of restarts; usually data with
        noise added.  N = 5,000 to 10,000 is usual; less where there is less data.
    weight, control, sample_control
        w, c and c' above; see `fewlabels.objectives.likelihood`.  0.05, 0.005 and 0 by default, weights that do no harm
        beside labels.
    step_size, steps, momentum, noise
        The chain's; see `fewlabels.samplers.sghmc`.  0.03, 5, 0.5 and 0.03 by default, for inputs on unit scale: noise
        far below √(2ε) is what the field uses.
    restart
        Probability with which a chain that is drawn starts afresh, 0.05 as in JEM.

    Examples
    --------
    >>> from fewlabels.tabular import MLP
    >>> objective, data = PersistentCD(torch.randn(30, 4)), torch.randn(5, 4)
    >>> list(objective(MLP(4, 3), Batch(None, torch.zeros(0), data)).loss)
    ['likelihood', 'control']
    """

    buffer: Tensor
    start: Tensor

    def __init__(
        self,
        start: Tensor,
        *,
        weight: float = 0.05,
        control: float = 0.005,
        sample_control: float = 0.0,
        step_size: float = 0.03,
        steps: int = 5,
        momentum: float = 0.5,
        noise: float | None = 0.03,
        restart: float = 0.05,
    ) -> None:
        super().__init__()
        self.register_buffer("start", start.clone(), persistent=False)
        self.register_buffer("buffer", start.clone())
        self.weight, self.control, self.sample_control, self.restart = weight, control, sample_control, restart
        self.step_size, self.steps, self.momentum, self.noise = step_size, steps, momentum, noise
        self._drawn: tuple[Tensor, Tensor] | None = None

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The terms above, without those of weight 0; u is computed with the potential's noise off."""
        data = batch.x_unlabelled
        device = self.buffer.device
        slot = torch.randperm(len(self.buffer), device=device)[: len(data)]  # none twice: each is written back
        fresh = self.start[torch.randint(len(self.start), (len(slot),), device=device)]
        restarts = torch.rand(len(slot), device=device) < self.restart
        x = torch.where(restarts.view(-1, *[1] * (fresh.dim() - 1)), fresh, self.buffer[slot])
        with noiseless(potential):
            chain = sghmc(
                lambda x: potential(x).log_partition, x,
                step_size=self.step_size, steps=self.steps, momentum=self.momentum, noise=self.noise,
            )  # fmt: skip
            u_data, u_samples = potential(torch.cat([data, chain.x])).log_partition.split(len(data))
        self._drawn = slot, chain.x
        return likelihood_terms(u_data, u_samples, chain, self.weight, self.control, self.sample_control)

    def update(self, potential: nn.Module) -> None:
        """Write the revised chains back."""
        if self._drawn is not None:
            slot, x = self._drawn
            self.buffer[slot] = x
            self._drawn = None

    def calm(self) -> None:
        """Halve the chain's step size, and with it the variance of its noise: the temperature stays."""
        self.step_size /= 2
        self.noise = None if self.noise is None else self.noise * 0.5**0.5
