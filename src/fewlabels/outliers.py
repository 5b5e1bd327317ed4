r"""Telling inputs unlike the data by what a trained potential says of them: scores meant to be larger for what is like.

With u(x) = log Σ_y exp u(x, y), so that p(x) ∝ exp u(x),

==============  =========================================================================================
``u``           u(x): the log density up to a constant, which ranking does not need
``confidence``  max_y p(y | x): knows p(y | x) alone, and so the baseline that a model of p(x) has to beat
                (Hendrycks and Gimpel, 2017)
``gradient``    -‖∇_x u(x)‖₂: the approximate mass of Grathwohl et al. (2020).  A point of high density
                but little volume around it is as rare as an outlier; there u changes fast
==============  =========================================================================================

Whether a score does what it is meant to is to be measured on data like one's own: u of a network of ReLUs grows along
straight lines for ever, so that far away it may exceed all its values on the data.

Scores are compared by the area under the ROC curve: the chance that an input of the data's kind scores higher than one
of another kind, ties counting half.
"""

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from fewlabels.labels import Categorical
from fewlabels.objective import noiseless

__all__ = ["auroc", "outlier_scores"]


def outlier_scores(potential: nn.Module, x: Tensor, batch: int = 500) -> dict[str, np.ndarray]:
    """Score inputs by a potential without its training noise; its mode and its parameters' gradients are left alone.

    Parameters
    ----------
    potential
        Maps x to `Categorical` labels.
    x
        Inputs, shape (N, ...), floating, on the potential's device.
    batch
        How many go through the network at once.

    Returns
    -------
    Name to scores of shape (N,), float64.

    Examples
    --------
    >>> from fewlabels.tabular import MLP
    >>> scores = outlier_scores(MLP(4, 3), torch.zeros(5, 4))
    >>> list(scores), scores["u"].shape
    (['u', 'confidence', 'gradient'], (5,))
    """
    with noiseless(potential):
        parts = [_scores(potential, rows) for rows in x.split(batch)]
    return {name: torch.cat([part[name] for part in parts]).cpu().numpy() for name in parts[0]}


def _scores(potential: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """In float64 from the scores on: in float32 the softmax is 1 for every clear-cut x, and ranks nothing."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        labels = Categorical(potential(x).scores.double())
        u = labels.log_partition
        slope = torch.autograd.grad(u.sum(), x)[0]
    confidence = labels.log_marginals().exp().amax(-1)
    return {"u": u.detach(), "confidence": confidence.detach(), "gradient": -slope.double().flatten(1).norm(dim=1)}


def auroc(inside: dict[str, np.ndarray], outside: dict[str, np.ndarray]) -> dict[str, float]:
    """Area under the ROC curve of each score; 1 tells the kinds apart, 1/2 is chance, 0 has them the wrong way round.

    Parameters
    ----------
    inside, outside
        Name to scores, shapes (N,) and (M,), of inputs like the data and unlike them: from `outlier_scores`.

    Examples
    --------
    >>> auroc({"u": np.array([2.0, 1.0])}, {"u": np.array([0.0, 1.0])})  # 3 pairs of 4 in order, and a tie
    {'u': 0.875}
    """
    return {
        name: float(roc_auc_score(np.repeat([1, 0], [len(own), len(outside[name])]), np.r_[own, outside[name]]))
        for name, own in inside.items()
    }
