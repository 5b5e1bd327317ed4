"""Normalisation over batches: by hand, folded into weights that then do the same, and a stage that has it."""

import copy

import pytest
import torch
from torch import nn

from fewlabels.batches import Batches
from fewlabels.checkpoint import Checkpoint
from fewlabels.errors import InputError
from fewlabels.features import through_layers
from fewlabels.fit import fit
from fewlabels.image import ConvNet, small_body
from fewlabels.labels import Categorical
from fewlabels.normalisation import fold, normalised, over_batches
from fewlabels.objective import Sum
from fewlabels.objectives.mean_teacher import MeanTeacher
from fewlabels.objectives.supervised import Supervised
from fewlabels.optimizers import adam
from fewlabels.stage import Stage
from fewlabels.tabular import MLP
from fewlabels.train import train
from networks import Net


@pytest.mark.parametrize("shape", [(7, 3), (7, 3, 4, 5)])
def test_mean_and_deviation_of_each_unit_by_hand(shape):
    z = 3 + 2 * torch.randn(shape)
    for unit in range(3):
        of_one = z[:, unit]
        by_hand = (of_one - of_one.mean()) / (of_one.square().mean() - of_one.mean().square() + 1e-6).sqrt()
        torch.testing.assert_close(normalised(z)[:, unit], by_hand, rtol=1e-4, atol=1e-5)


def test_one_number_by_itself_is_zero():
    assert not normalised(torch.tensor([[3.0, -5.0]])).any()


def plain():
    return Net(), torch.randn(40, 3)


def rows():
    return MLP(6, 3, hidden=(8, 5)), torch.randn(40, 6)


def images():
    return ConvNet(small_body(1, width=2), 8, 3), torch.randn(40, 1, 9, 9)


class Spread(nn.Module):
    """Dense layers at each of several places of an input."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x):
        return Categorical(self.head(torch.tanh(self.body(x)).mean(1)))


def places():
    return Spread(), torch.randn(40, 5, 4)


def outputs(potential, x):
    """What the hidden layers and the last give."""
    seen = []
    through_layers(potential, x, lambda z: seen.append(z.detach().clone()) or z)
    return seen[1:-1], seen[-1]


@pytest.mark.parametrize("make", [plain, rows, images, places])
def test_folded_weights_do_what_normalisation_over_those_inputs_does(make):
    potential, x = make()
    potential.eval()
    for parameter in potential.parameters():
        nn.init.normal_(parameter)
    before = potential(x).scores
    with over_batches(potential):
        wanted = outputs(potential, x)[1]
    fold(potential, x)
    hidden, scores = outputs(potential, x)
    torch.testing.assert_close(scores, wanted, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(before, wanted, rtol=1e-2)
    for z in hidden:
        over_all = z.movedim(-1 if z.dim() == 3 else 1, 0).flatten(1)
        assert over_all.mean(1).abs().max() < 1e-4
        assert (over_all.std(1, correction=0) - 1).abs().max() < 1e-3
    torch.testing.assert_close(potential(x[:1]).scores, scores[:1], rtol=1e-4, atol=1e-4)  # alone as among others


def test_layers_that_could_not_be_folded_are_left_alone():
    potential = Net()
    potential.body[0] = nn.Linear(3, 8, bias=False)
    computed = copy.deepcopy(potential)
    computed.body[0] = nn.utils.parametrizations.weight_norm(nn.Linear(3, 8))
    x = torch.randn(20, 3)
    for network in (potential, computed):
        before = network(x).scores
        with over_batches(network):
            assert torch.equal(network(x).scores, before)
        fold(network, x)
        assert torch.equal(network(x).scores, before)


def test_nothing_is_left_behind_not_even_by_an_error():
    potential = Net()
    with pytest.raises(KeyboardInterrupt), over_batches(potential):
        raise KeyboardInterrupt
    assert not any(module._forward_hooks for module in potential.modules())


def problem(average=0.0, normalised=True):
    torch.manual_seed(0)
    x = torch.randn(60, 3) * torch.tensor([5.0, 1.0, 0.2]) + 4
    batches = Batches(x[:12], torch.arange(12) % 2, x, labelled=5, unlabelled=8, seed=0)
    stages = [
        Stage("normalised", Supervised(), 30, adam(0.01), average=average, normalised=normalised),
        Stage("plain", Supervised(), 30, adam(0.01)),
    ]
    return Net(), stages, batches


@pytest.mark.parametrize("of_all", [True, False])
def test_a_normalised_stage_is_training_with_it_and_folding_afterwards(of_all):
    potential, stages, batches = problem(normalised=of_all)
    by_hand = copy.deepcopy(potential)
    fit(potential, stages[:1], batches, seed=3)
    by_hand.train()
    with over_batches(by_hand):
        list(train(by_hand, Supervised(), batches, adam(0.01)(by_hand, Supervised()), 30, seed=(3, 0)))
    fold(by_hand.eval(), batches.x_unlabelled)
    ours, theirs = (network(batches.x_unlabelled).scores for network in (potential, by_hand))
    assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4) == of_all


def test_a_teacher_is_normalised_with_its_pupil():
    """Before the first step they are one network, and agree."""
    potential, stages, batches = problem()
    taught = Sum(Supervised(), MeanTeacher(potential, lambda x: x))
    first = fit(potential, [stages[0]._replace(objective=taught)], batches)[0]
    assert first.values["supervised"] > 0
    assert first.values["mean_teacher"] < 1e-9


def weights(potential):
    return torch.cat([parameter.detach().flatten() for parameter in potential.parameters()])


@pytest.mark.parametrize("average", [0.0, 0.9])
@pytest.mark.parametrize("stop_at", [20, 30, 31, 50])
def test_a_run_that_is_killed_folds_once(tmp_path, average, stop_at):
    potential, stages, batches = problem(average)
    fit(potential, stages, batches)

    def kill(name, done, total):
        if done == stop_at:
            raise RuntimeError("killed")

    resumed, stages, batches = problem(average)
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", seconds=0.0)
    with pytest.raises(RuntimeError, match="killed"):
        fit(resumed, stages, batches, checkpoint=checkpoint, report=kill)
    resumed, stages, batches = problem(average)
    fit(resumed, stages, batches, checkpoint=checkpoint)
    assert torch.equal(weights(resumed), weights(potential))


def test_a_network_that_uses_a_layer_twice_is_refused_where_it_would_be_normalised():
    class Twice(Net):
        def forward(self, x):
            return super().forward(x) if twice is False else super().forward(self.body[0](x)[:, :3])

    for twice in (False, True):
        torch.manual_seed(0)
        x, potential = torch.randn(40, 3), Twice()
        batches = Batches(x[:10], torch.arange(10) % 2, x, labelled=5, unlabelled=8, seed=0)
        stage = Stage("labels", Supervised(), 2, adam(0.01))
        fit(potential, [stage], batches)
        if twice:
            with pytest.raises(InputError, match=r"uses 'body\.0' again"):
                fit(potential, [stage._replace(normalised=True)], batches)
        else:
            fit(potential, [stage._replace(normalised=True)], batches)


def test_a_head_that_starts_afresh_is_measured_on_what_a_normalised_stage_gives_it():
    x, potential = torch.randn(40, 3) * torch.tensor([1.0, 5.0, 30.0]), MLP(3, 2, hidden=(8,))
    batches = Batches(x, torch.arange(40) % 2, x, labelled=5, unlabelled=8, seed=0)
    fit(potential, [Stage("labels", Supervised(), 1, adam(0.0), reset=("head",), normalised=True)], batches)
    scores = potential(x).scores
    torch.testing.assert_close(scores.mean(0), torch.zeros(2), rtol=0, atol=1e-4)
    torch.testing.assert_close(scores.std(0), torch.full((2,), potential.head.spread), rtol=1e-3, atol=0)
