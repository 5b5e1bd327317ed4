"""Stages without labels: the contrast of views and the repair of tables, against double loops and values by hand."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cosine_similarity

from fewlabels.batches import Batches
from fewlabels.features import width
from fewlabels.fit import fit
from fewlabels.image import ConvNet, small_body
from fewlabels.labels import Categorical
from fewlabels.objective import Batch
from fewlabels.objectives.simclr import SimCLR, contrast
from fewlabels.objectives.supervised import Supervised
from fewlabels.objectives.vime import VIME, swapped
from fewlabels.optimizers import adam
from fewlabels.stage import Stage
from fewlabels.tabular import MLP
from fewlabels.train import total, train
from networks import Net


class Reader(nn.Module):
    """Features that are x itself."""

    def __init__(self, inputs):
        super().__init__()
        self.head = nn.Linear(inputs, 2)

    def forward(self, x):
        return Categorical(self.head(x))


def noisy(x):
    return x + 0.1 * torch.randn_like(x)


def unlabelled(x):
    return Batch(x[:1], torch.zeros(1, dtype=torch.long), x)


BODY = {"body.0.weight", "body.0.bias"}
PROJECTION = {f"projection.{i}.{kind}" for i in (0, 2) for kind in ("weight", "bias")}
PLAYERS = [
    (lambda: SimCLR(8, noisy), "contrast", BODY, PROJECTION),
    (lambda: VIME(8, 3), "mask", BODY, {"mask.weight", "mask.bias"}),
    (lambda: VIME(8, 3), "reconstruction", BODY, {"reconstruction.weight", "reconstruction.bias"}),
]


@pytest.mark.parametrize(("make", "term", "potential_learns", "objective_learns"), PLAYERS)
def test_players(make, term, potential_learns, objective_learns):
    potential, objective = Net(), make()
    objective(potential, unlabelled(torch.randn(20, 3))).loss[term].backward()

    def reached(module):
        return {name for name, p in module.named_parameters() if p.grad is not None and p.grad.any()}

    assert reached(potential) == potential_learns
    assert reached(objective) == objective_learns


def by_double_loop(z, temperature):
    """NT-Xent in the words of the paper."""
    count, losses = len(z), []
    for i in range(count):
        like = [math.exp(cosine_similarity(z[i], z[k], dim=0).item() / temperature) for k in range(count)]
        losses.append(-math.log(like[(i + count // 2) % count] / sum(like[k] for k in range(count) if k != i)))
    return sum(losses) / count


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_contrast_is_that_of_a_double_loop(temperature):
    z = 3 * torch.randn(10, 4)
    assert contrast(z, temperature).item() == pytest.approx(by_double_loop(z, temperature), rel=1e-5)


def test_the_projected_features_of_two_views_are_contrasted():
    """The projection is set to pass its inputs on, so that h itself is contrasted."""
    potential, objective, x = Reader(3), SimCLR(3, lambda x: x + next(moves), weight=2.0), torch.rand(5, 3)
    for layer in (objective.projection[0], objective.projection[2]):
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)
    moves = iter([torch.tensor(0.0), torch.tensor([0.0, 0.0, 1.0])])
    loss = objective(potential, unlabelled(x)).loss["contrast"].item()
    views = torch.cat([x, x + torch.tensor([0.0, 0.0, 1.0])])
    assert loss == pytest.approx(2 * by_double_loop(views, 0.5), rel=1e-5)


def test_a_swap_is_of_the_same_column_in_another_order_for_each_and_for_a_share():
    x = torch.arange(4000.0).view(1000, 4)
    swaps = swapped(x, 1.0)
    assert torch.equal(swaps.sort(0).values, x)
    source = (swaps - x[0]) / 4  # the row that each entry came from
    assert all((source[:, 0] != source[:, d]).float().mean() > 0.9 for d in (1, 2, 3))
    assert (swapped(x, 0.3) != x).float().mean().item() == pytest.approx(0.3, abs=0.03)


def test_mask_and_reconstruction_by_hand():
    """Heads that know nothing of h: s is the share of changes that a bias claims, r a constant."""
    potential, objective = Reader(2), VIME(2, 2, share=0.5, alpha=3.0, weight=2.0)
    x = torch.tensor([[0.0, 1.0]]).repeat(6, 1)
    x[3:, 0] = 4.0
    for head, value in ((objective.mask, math.log(3)), (objective.reconstruction, 1.5)):
        nn.init.zeros_(head.weight)
        nn.init.constant_(head.bias, value)
    torch.manual_seed(3)
    changes = (swapped(x, 0.5) != x).sum().item()
    assert 0 < changes < 6
    torch.manual_seed(3)
    loss = objective(potential, unlabelled(x)).loss
    surprise = -(changes * math.log(0.75) + (12 - changes) * math.log(0.25)) / 12  # column 1 never changes
    assert loss["mask"].item() == pytest.approx(2 * surprise, rel=1e-5)
    squares = (3 * 1.5**2 + 3 * 2.5**2 + 6 * 0.5**2) / 12
    assert loss["reconstruction"].item() == pytest.approx(2 * 3 * squares, rel=1e-5)


def test_the_best_repair_of_dependent_columns_is_found():
    """x_2 = x_1 = ±1: where they differ, one was changed; a net learns to tell, up to which one it was."""
    x = torch.randint(2, (2000, 1)).mul(2).sub(1).float().repeat(1, 2)
    potential = MLP(2, 2, hidden=(16,))
    objective = VIME(16, 2, share=0.3)
    batches = Batches(x, torch.zeros(2000, dtype=torch.long), x, labelled=1, unlabelled=200, seed=0)
    for _ in train(potential, objective, batches, adam(0.02)(potential, objective), 200):
        pass
    mask = objective(potential, unlabelled(x)).loss["mask"].item()
    flip = 0.15  # a swap is for an equal value half of the time
    differ = 2 * flip * (1 - flip)
    both = flip**2 / (1 - differ)  # given that they are equal, both were changed
    best = differ * math.log(2) - (1 - differ) * (both * math.log(both) + (1 - both) * math.log(1 - both))
    assert mask == pytest.approx(best, abs=0.03)
    assert best < 0.75 * -(flip * math.log(flip) + (1 - flip) * math.log(1 - flip))  # of who knows nothing of x


def simclr(potential, x):
    return SimCLR(width(potential, x), noisy)


def vime(potential, x):
    return VIME(width(potential, x), x[0].numel())


KINDS = [
    (lambda: MLP(6, 3, hidden=(8, 5), noise=0.5), (6,)),
    (lambda: ConvNet(small_body(1, width=2), 8, 3), (1, 8, 8)),
]


@pytest.mark.parametrize("make", [simclr, vime])
@pytest.mark.parametrize(("network", "shape"), KINDS)
def test_a_stage_on_vectors_and_images_changes_the_body_and_lowers_the_loss(make, network, shape):
    x, potential = torch.randn(64, *shape), network()
    objective = make(potential, x)
    before, start = total(objective(potential.eval(), unlabelled(x))).item(), potential.head.v.detach().clone()
    batches = Batches(x[:1], torch.zeros(1, dtype=torch.long), x, labelled=1, unlabelled=64, seed=0)
    stages = [Stage("pre-train", objective, 60, adam(0.01)), Stage("fine-tune", Supervised(), 1, adam(0.0))]
    fit(potential, stages, batches)
    assert total(objective(potential, unlabelled(x))).item() < 0.95 * before
    assert torch.equal(potential.head.v, start)


@pytest.mark.parametrize("make", [simclr, vime])
@pytest.mark.parametrize(("network", "shape"), KINDS)
def test_one_row_and_bfloat16(make, network, shape):
    x, potential = torch.randn(20, *shape), network()
    objective = make(potential, x)
    for rows in (1, 20):
        torch.manual_seed(0)
        exact = total(objective(potential.eval(), unlabelled(x[:rows])))
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = total(objective(potential, unlabelled(x[:rows])))
        rounded.backward()
        assert rounded.dtype == torch.float32
        torch.testing.assert_close(rounded, exact, rtol=0.05, atol=1e-3)


@pytest.mark.parametrize("make", [simclr, vime])
def test_weight_zero_teaches_nothing_and_a_positive_one_does(make):
    x, potential = torch.randn(20, 6), MLP(6, 3, hidden=(8, 5))
    objective = make(potential, x)
    for weight in (0.0, 1.0):
        potential.zero_grad()
        objective.weight = weight
        total(objective(potential, unlabelled(x))).backward()
        assert potential.body[0].v.grad.any() == bool(weight)
