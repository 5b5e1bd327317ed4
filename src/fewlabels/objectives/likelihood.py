r"""The gradient of log p(x) as two loss terms, shared by every method that compares data with samples.

.. math:: ∇_θ \log p_θ(x) = ∇u_θ(x) - E_{p_θ}[∇u_θ]

is that of -(mean u(data) - mean u(samples)) with samples held fixed.  It leaves the level of u free; the control term
c mean u(data)² holds it.  Where samples stay behind, their u may fall without end; c' mean u(samples)² holds it, too.
With weight w and c = c', the terms add up to least squares about ±w / 2c, but for a constant:

.. math:: c\, E_{data}\Bigl(u - \frac{w}{2c}\Bigr)^2 + c\, E_{samples}\Bigl(u + \frac{w}{2c}\Bigr)^2
"""

from torch import Tensor

from fewlabels.objective import Terms
from fewlabels.samplers import Chain

__all__ = ["likelihood_terms"]


def likelihood_terms(
    u_data: Tensor, u_samples: Tensor, chain: Chain, weight: float, control: float, sample_control: float
) -> Terms:
    """The terms ``likelihood``, ``control`` and ``sample_control``; with what tells that a chain is well.

    The latter two are left out where their factor is 0.

    Parameters
    ----------
    u_data, u_samples
        u(x), shapes (B,), of data and of the chain's ends.
    chain
        Where the samples come from.
    weight, control, sample_control
        w, c and c', factors of the three terms.
    """
    loss = {"likelihood": weight * (u_samples.mean() - u_data.mean())}
    if control:
        loss["control"] = control * u_data.square().mean()
    if sample_control:
        loss["sample_control"] = sample_control * u_samples.square().mean()
    info = {
        "u_data": u_data.detach().mean(),
        "u_samples": u_samples.detach().mean(),
        "displacement": chain.displacement,
        "largest": chain.x.abs().amax(),
    }
    return Terms(loss, info)
