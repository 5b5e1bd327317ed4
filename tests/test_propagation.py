"""Label propagation: the spread labels against the closed form, the loss by hand."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import kneighbors_graph
from torch import nn

from fewlabels.labels import Categorical
from fewlabels.objective import Batch
from fewlabels.objectives.propagation import Propagated, spread


class Scores(nn.Module):
    def forward(self, x):
        return Categorical(x)


def test_labels_spread_as_the_closed_form_says():
    data = torch.randn(40, 2)
    rows, y = torch.tensor([0, 7, 30]), torch.tensor([0, 1, 2])
    q = spread(data, rows, y, neighbours=5, alpha=0.3)
    near = kneighbors_graph(data.numpy(), 5).toarray()
    w = np.maximum(near, near.T)
    degree = w.sum(0)
    s = w / np.sqrt(degree[:, None] * degree[None, :])
    given = np.zeros((40, 3))
    given[rows, y] = 1
    f = np.linalg.solve(np.eye(40) - 0.3 * s, 0.7 * given)
    reached = f.sum(1) > 1e-4
    expected = f[reached] / f[reached].sum(1, keepdims=True)
    np.testing.assert_allclose(q.numpy()[reached], expected, atol=1e-2)


def test_two_clusters_get_their_labels_and_what_no_label_reaches_is_uncertain():
    cluster = torch.randn(20, 3)
    data = torch.cat([cluster, cluster + 100, cluster + 200])
    q = spread(data, torch.tensor([0, 20]), torch.tensor([0, 1]), neighbours=4)
    assert (q[:20, 0] > 0.99).float().mean() > 0.8 and (q[20:40, 1] > 0.99).float().mean() > 0.8
    torch.testing.assert_close(q[40:], torch.full((20, 2), 0.5))


def test_the_loss_is_the_cross_entropy_weighted_by_certainty_by_hand():
    q = torch.tensor([[0.5, 0.5], [1.0, 0.0], [0.9, 0.1]])
    x, rows = torch.tensor([[1.0, 0.0], [0.0, 3.0]]), torch.tensor([2, 0])
    loss = Propagated(q, weight=0.4)(Scores(), Batch(None, torch.zeros(0), x, rows)).loss["propagated"].item()
    log_p = x.log_softmax(1)[0]
    certain = 1 + (0.9 * np.log(0.9) + 0.1 * np.log(0.1)) / np.log(2)  # the other is not certain at all
    assert loss == pytest.approx(-0.4 * certain * (0.9 * log_p[0] + 0.1 * log_p[1]).item() / 2)
