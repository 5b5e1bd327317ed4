r"""The gradient of log p(x) as two loss terms, shared by every method that compares data with samples.

.. math:: ∇_θ \log p_θ(x) = ∇u_θ(x) - E_{p_θ}[∇u_θ]

is that of -(mean u(data) - mean u(samples)) with samples held fixed.  It leaves the level of u free; the control term
c mean u(data)² holds it.
"""

from torch import Tensor

from fewlabels.objective import Terms
from fewlabels.samplers import Chain

__all__ = ["likelihood_terms"]


def likelihood_terms(u_data: Tensor, u_samples: Tensor, chain: Chain, weight: float, control: float) -> Terms:
    """The terms ``likelihood`` and, unless its weight is 0, ``control``; with what tells that a chain is well.

    Parameters
    ----------
    u_data, u_samples
        u(x), shapes (B,), of data and of the chain's ends.
    chain
        Where the samples come from.
    weight, control
        Factors of the two terms.
    """
    loss = {"likelihood": weight * (u_samples.mean() - u_data.mean())}
    if control:
        loss["control"] = control * u_data.square().mean()
    info = {
        "u_data": u_data.detach().mean(),
        "u_samples": u_samples.detach().mean(),
        "displacement": chain.displacement,
        "largest": chain.x.abs().amax(),
    }
    return Terms(loss, info)
