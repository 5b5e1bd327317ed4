"""Scores of outliers against finite differences, closed forms and counted pairs."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from fewlabels.labels import Categorical
from fewlabels.outliers import auroc, outlier_scores
from fewlabels.tabular import MLP


class Gaussian(nn.Module):
    """u(x) = -‖x‖²/2, of one label."""

    def forward(self, x):
        return Categorical(-(x**2).sum(1, keepdim=True) / 2)


class Clusters(nn.Module):
    """u(x, y) = -(x - m_y)²/2 in one dimension."""

    def __init__(self, *means):
        super().__init__()
        self.means = torch.tensor(means)

    def forward(self, x):
        return Categorical(-((x - self.means) ** 2) / 2)


class Smooth(nn.Module):
    """A network without kinks."""

    def __init__(self, inputs, labels):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 16), nn.Tanh(), nn.Linear(16, labels))

    def forward(self, x):
        return Categorical(self.body(x))


def by_pairs(inside, outside):
    """The share of pairs in order, ties counting half."""
    return np.mean([[(a > b) + (a == b) / 2 for b in outside] for a in inside])


def test_scores_of_a_gaussian_by_hand():
    scores = outlier_scores(Gaussian(), torch.tensor([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0]]))
    np.testing.assert_allclose(scores["u"], [-12.5, 0, -0.5])
    np.testing.assert_allclose(scores["gradient"], [-5, 0, -1])
    np.testing.assert_allclose(scores["confidence"], 1)


def test_scores_of_two_clusters_by_hand():
    x = np.array([-3.0, -1.0, 0.2, 2.5])
    weights = np.exp([-((x + 1) ** 2) / 2, -((x - 1) ** 2) / 2])
    scores = outlier_scores(Clusters(-1.0, 1.0), torch.tensor(x[:, None]))
    np.testing.assert_allclose(scores["u"], np.log(weights.sum(0)))
    np.testing.assert_allclose(scores["confidence"], weights.max(0) / weights.sum(0))
    np.testing.assert_allclose(scores["gradient"], -abs(np.tanh(x) - x))  # ∇u = E[m_y | x] - x


def test_gradient_is_that_of_finite_differences_on_images():
    potential = Smooth(12, 3).double()
    x = torch.randn(4, 1, 3, 4, dtype=torch.float64)
    steps = 1e-5 * torch.eye(12, dtype=torch.float64).view(12, 1, 3, 4)
    u = [[potential(x + sign * step).scores.logsumexp(1) for step in steps] for sign in (1, -1)]
    slope = (torch.stack(u[0], 1) - torch.stack(u[1], 1)) / 2e-5
    np.testing.assert_allclose(outlier_scores(potential, x)["gradient"], -slope.norm(dim=1).detach(), rtol=1e-6)


def test_auroc_of_a_wider_gaussian_is_the_closed_form():
    """|a| < |b| for a ~ N(0, 1), b ~ N(0, s²) has probability 2/π arctan s; one label makes confidence chance."""
    n, s = 4000, 3.0
    inside, outside = (outlier_scores(Gaussian(), scale * torch.randn(n, 1)) for scale in (1.0, s))
    area = auroc(inside, outside)
    assert area["u"] == pytest.approx(2 / math.pi * math.atan(s), abs=4 * math.sqrt(1 / (12 * n / 2)))
    assert area["gradient"] == pytest.approx(area["u"], abs=1e-6)
    assert area["confidence"] == 0.5  # control
    assert auroc(outside, inside)["u"] == pytest.approx(1 - area["u"])


def test_auroc_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    inside, outside = rng.integers(0, 6, 40), rng.integers(0, 4, 25)  # with many ties
    assert auroc({"u": inside}, {"u": outside}) == {"u": pytest.approx(by_pairs(inside, outside))}


def test_confidence_far_from_the_boundary_still_ranks():
    x = torch.tensor([[10.0], [12.0], [14.0]])  # 1 - p is e^-20, e^-24, e^-28: all 1 in float32
    confidence = outlier_scores(Clusters(-1.0, 1.0), x)["confidence"]
    assert confidence[0] < confidence[1] < confidence[2]
    assert np.float32(confidence[0]) == np.float32(confidence[2])  # control


@pytest.mark.parametrize("training", [True, False])
def test_noise_is_off_and_the_potential_left_as_it_was(training):
    potential = MLP(3, 2, hidden=(8,), noise=0.5).train(training)
    x = torch.randn(7, 3)
    together, parts = outlier_scores(potential, x), outlier_scores(potential, x, batch=3)
    for name in together:
        np.testing.assert_allclose(together[name], parts[name], atol=1e-5)
    assert potential.training == training
    assert all(parameter.grad is None for parameter in potential.parameters())
    assert not x.requires_grad


def test_scores_are_the_same_under_no_grad():
    x = torch.randn(7, 3)
    potential = MLP(3, 2)
    with torch.no_grad():
        inside = outlier_scores(potential, x)
    np.testing.assert_array_equal(inside["gradient"], outlier_scores(potential, x)["gradient"])
