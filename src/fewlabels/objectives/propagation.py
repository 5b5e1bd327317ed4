r"""Label propagation: labels spread over a graph of neighbours, and the network learns what arrives.

.. math::
   F^* = (1 - α) (I - α S)^{-1} Y, \qquad S = D^{-1/2} W D^{-1/2}, \qquad q_i(y) = F^*_{iy} / Σ_{y'} F^*_{iy'}

   L(θ) = -\frac{w}{|U|} Σ_{x_i ∈ U} c_i Σ_y q_i(y) \log p_θ(y | x_i), \qquad c_i = 1 - H(q_i) / \log K

(Zhou et al., 2004; certainty c and network as in Iscen et al., 2019), with W the graph of the k nearest neighbours and
Y the given labels.  The graph knows the inputs it was made from alone; the network carries q over to new ones.
"""

import warnings
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import kneighbors_graph
from sklearn.semi_supervised import LabelSpreading
from torch import Tensor, nn

from fewlabels.labels import Categorical
from fewlabels.objective import Batch, Objective, Terms

__all__ = ["Propagated", "spread"]


class Propagated(Objective):
    """Cross-entropy with the propagated labels of the unlabelled part of a batch, which names its ``rows``.

    Parameters
    ----------
    q
        q_i(y) of all unlabelled inputs, (N, K); see `spread`.
    weight
        w; 1 by default.

    Examples
    --------
    >>> from fewlabels.tabular import MLP
    >>> unknown = torch.full((8, 3), 1 / 3)  # no label has reached any input
    >>> batch = Batch(None, torch.zeros(0), torch.zeros(5, 4), rows=torch.arange(5))
    >>> round(abs(Propagated(unknown)(MLP(4, 3), batch).loss["propagated"].item()), 4)
    0.0
    """

    q: Tensor

    def __init__(self, q: Tensor, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight
        self.register_buffer("q", q)

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The term ``propagated``."""
        assert batch.rows is not None
        q = self.q[batch.rows]
        labels: Categorical = potential(batch.x_unlabelled)
        certain = 1 - torch.special.entr(q).sum(1) / np.log(q.shape[1])
        loss = -(certain * (q * labels.log_marginals()).sum(1)).mean()
        return Terms({"propagated": self.weight * loss}, {})


def spread(data: Tensor, rows: Tensor, y: Tensor, neighbours: int = 7, alpha: float = 0.9) -> Tensor:
    """q, (N, K), of all inputs (N, ...), of which ``rows`` have the labels y, by `sklearn.semi_supervised`.

    Two inputs are neighbours where either is among the nearest of the other.  Inputs that no label reaches get the
    uniform q, whose certainty is 0.  All N are held in memory; the graph takes time in N² D.  ``neighbours`` is k, 7 by
    default as in scikit-learn, and ``alpha`` α, 0.9 by default; the paper's 0.99 takes ten times as many rounds.

    Examples
    --------
    >>> line = torch.tensor([[0.0], [1.0], [2.1], [9.0], [10.0], [11.1]])
    >>> spread(line, torch.tensor([0, 5]), torch.tensor([0, 1]), neighbours=1).argmax(1).tolist()
    [0, 0, 0, 1, 1, 1]
    """
    given = np.full(len(data), -1)
    given[rows.numpy()] = y.cpu().numpy()

    def graph(x: np.ndarray, _: np.ndarray) -> Any:
        near = kneighbors_graph(x, min(neighbours, len(x) - 1))
        return near.maximum(near.T)

    spreading = LabelSpreading(kernel=graph, alpha=alpha, max_iter=200)  # pyright: ignore[reportArgumentType]
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", ConvergenceWarning)
        spreading.fit(data.flatten(1).cpu().numpy(), given)
    q = torch.from_numpy(spreading.label_distributions_).float().nan_to_num()  # 0 / 0 where no label arrives
    return torch.where(q.sum(1, keepdim=True) > 0, q, 1 / q.shape[1]).to(data.device)
