"""Self-training: by hand, its labels without dropout and held fixed, on either label structure; entropy."""

import pytest
import torch
from torch import nn

from fewlabels.labels import Categorical, LinearChain
from fewlabels.objective import Batch, Sum
from fewlabels.objectives.entropy import EntropyMinimisation
from fewlabels.objectives.self_training import SelfTraining
from fewlabels.objectives.supervised import Supervised


class Scores(nn.Module):
    """Scores that are the input, behind dropout; modes and gradients of each pass are kept."""

    def __init__(self, drop=0.0, chain=False):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))
        self.drop, self.chain, self.passes = nn.Dropout(drop), chain, []

    def forward(self, x):
        self.passes.append((self.training, torch.is_grad_enabled()))
        scores = self.drop(self.factor * x)
        if self.chain:
            return LinearChain(scores, torch.zeros(3, 3), torch.tensor([2, 1]))
        return Categorical(scores)


def batch(x):
    return Batch(x, torch.zeros(len(x), dtype=torch.long), x)


def test_the_loss_is_that_of_the_most_probable_label_by_hand():
    x = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 3.0]])
    loss = SelfTraining(weight=0.4)(Scores(), batch(x)).loss["self_training"]
    by_hand = -(x.log_softmax(1)[0, 0] + x.log_softmax(1)[1, 2]) / 2
    torch.testing.assert_close(loss, 0.4 * by_hand)


def test_the_entropy_is_that_of_the_labels_by_hand():
    p = torch.tensor([[0.5, 0.25, 0.25], [1.0, 1e-30, 1e-30]])
    loss = EntropyMinimisation(weight=0.4)(Scores(), batch(p.log())).loss["entropy_minimisation"]
    torch.testing.assert_close(loss, 0.4 * torch.tensor(1.5).mul(torch.tensor(2.0).log()) / 2)


def test_the_loss_of_a_chain_is_that_of_its_best_path():
    x = torch.randn(2, 2, 3)
    loss = SelfTraining()(Scores(chain=True), batch(x)).loss["self_training"]
    log_p = x.log_softmax(2).amax(2)  # no transitions: the words are independent; the second sentence has one
    torch.testing.assert_close(loss, -(log_p[0].sum() + log_p[1, 0]) / 2)


def test_labels_are_made_without_dropout_and_without_a_gradient_and_learnt_with_both():
    potential = Scores(drop=0.5).train()
    SelfTraining()(potential, batch(torch.randn(4, 3))).loss["self_training"].backward()
    assert potential.passes == [(False, False), (True, True)]
    assert potential.training
    assert potential.factor.grad.any()


def test_labels_are_those_of_the_potential_without_dropout():
    """Dropout zeroes half of the scores: the loss of a fixed label is then often above log 3, the mode's never."""
    torch.manual_seed(0)
    x = torch.tensor([[4.0, 0.0, 0.0]]).expand(4000, -1)
    loss = SelfTraining()(Scores(drop=0.5).train(), batch(x)).loss["self_training"].item()
    kept = torch.tensor([8.0, 0.0, 0.0]).log_softmax(0)[0].item()
    assert loss == pytest.approx((torch.tensor(3.0).log().item() - kept) / 2, abs=0.05)


@pytest.mark.parametrize(("weight", "equal"), [(0.0, True), (1.0, False)])
def test_weight_zero_beside_labels_is_supervised_training_to_the_bit(weight, equal):
    def end(objective):
        torch.manual_seed(1)
        potential = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 3), Scores())
        optimizer = torch.optim.SGD(potential.parameters(), lr=0.1)
        for step in range(10):
            torch.manual_seed(step)
            optimizer.zero_grad()
            sum(objective(potential, batch(torch.randn(6, 3))).loss.values()).backward()
            optimizer.step()
        return torch.cat([p.detach().flatten() for p in potential.parameters()])

    assert torch.equal(end(Supervised()), end(Sum(Supervised(), SelfTraining(weight)))) == equal
