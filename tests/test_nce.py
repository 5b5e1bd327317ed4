"""The noise model against the enumeration of its support, and NCE on a domain small enough to sum over."""

import itertools

import pytest
import torch
from torch import nn

from fewlabels.batches import Batches
from fewlabels.labels import Categorical
from fewlabels.objective import Batch
from fewlabels.objectives.nce import NCE
from fewlabels.optimizers import adam
from fewlabels.sequence.language_model import LanguageModel
from fewlabels.sequence.text import Padded, Sentences
from fewlabels.train import train

WORDS, LONGEST = 3, 3
SUPPORT = [list(x) for n in range(1, LONGEST + 1) for x in itertools.product(range(WORDS), repeat=n)]
ALL = Sentences(SUPPORT)[torch.arange(len(SUPPORT))]


def code(x: Padded) -> torch.Tensor:
    """The place of each sentence in SUPPORT."""
    index = {tuple(s): i for i, s in enumerate(SUPPORT)}
    rows = zip(x.values.tolist(), x.lengths.tolist(), strict=True)
    return torch.tensor([index[tuple(row[:n])] for row, n in rows])


class Table(nn.Module):
    """u(x) free for every sentence of the support: NCE can reach its optimum exactly."""

    def __init__(self):
        super().__init__()
        self.u = nn.Parameter(torch.zeros(len(SUPPORT)))

    def forward(self, x):
        return Categorical(self.u[code(x)].unsqueeze(1))


@pytest.fixture
def q():
    model = LanguageModel(WORDS, LONGEST, embedding=4, hidden=4)
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    return model


def test_q_sums_to_one_over_its_support(q):
    assert q(ALL).exp().sum().item() == pytest.approx(1.0, abs=1e-5)


def test_samples_have_the_frequencies_of_q_and_carry_their_exact_log_q(q):
    x, log_q = q.sample(20000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(log_q, q(x).detach(), atol=1e-5, rtol=1e-5)
    p = q(ALL).exp().detach()
    frequency = code(x).bincount(minlength=len(SUPPORT)) / 20000
    z = (frequency - p) / (p * (1 - p) / 20000).sqrt()
    assert z[p > 1e-3].abs().max() < 4.5
    wrong = p.roll(1)  # the control
    assert ((frequency - wrong) / (wrong * (1 - wrong) / 20000).sqrt()).abs().max() > 10


@pytest.mark.parametrize("noise_ratio", [1, 3])
def test_nce_finds_the_mixture_and_its_normaliser(q, noise_ratio):
    """At the optimum exp(log p) sums to one and equals (p_data + q) / 2: neither is imposed anywhere."""
    p_data = torch.randn(len(SUPPORT), generator=torch.Generator().manual_seed(5)).softmax(0)
    draws = p_data.multinomial(20000, replacement=True, generator=torch.Generator().manual_seed(6))
    data = Sentences([SUPPORT[i] for i in draws.tolist()])
    for parameter in q.parameters():
        parameter.requires_grad_(False)
    prior = torch.tensor([0.0, 0.2, 0.3, 0.5])
    objective, potential = NCE(q, prior, noise_ratio=noise_ratio), Table()
    batches = Batches(data, data, data, labelled=1, unlabelled=400, seed=0)
    optimizer = torch.optim.Adam([potential.u, objective.a, objective.b], lr=0.05)
    for step, _ in enumerate(train(potential, objective, batches, optimizer, 500)):
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * (1 - step / 500)
    log_p = objective.log_density(potential(ALL).log_partition, ALL.lengths).detach()
    target = (p_data + q(ALL).exp().detach()) / 2
    assert log_p.exp().sum().item() == pytest.approx(1.0, abs=0.04)
    assert (log_p.exp() - target).abs().max() < 0.012
    assert (p_data - target).abs().max() > 0.025  # the control: the data alone would not pass


def test_the_noise_model_learns_the_data_by_maximum_likelihood():
    q = LanguageModel(WORDS, LONGEST, embedding=8, hidden=8)
    data = Sentences([[0, 1], [2], [0, 1], [0, 1]])
    prior = torch.tensor([0.0, 0.25, 0.75, 0.0]) + 1e-5
    objective = NCE(q, prior)
    batches = Batches(data, data, data, labelled=1, unlabelled=4, seed=0)
    list(train(Table(), objective, batches, adam(0.05)(Table(), objective), 150))
    p = q(data[torch.arange(4)]).exp()
    assert p[0].item() == pytest.approx(0.75, abs=0.05)
    assert p[1].item() == pytest.approx(0.25, abs=0.05)


def test_the_first_batch_calibrates_the_log_normaliser(q):
    objective = NCE(q, torch.full((LONGEST + 1,), 1 / LONGEST))

    class Shifted(Table):
        def forward(self, x):
            return Categorical((50.0 * x.lengths + 7 + self.u[code(x)]).unsqueeze(1))

    data = ALL
    terms = objective(Shifted(), Batch(None, torch.zeros(0), data))
    assert objective.a.item() == pytest.approx(50, abs=3)
    assert terms.loss["contrast"].item() < 3
    a = objective.a.item()
    objective(Shifted(), Batch(None, torch.zeros(0), data))
    assert objective.a.item() == a


def test_log_density_by_hand(q):
    objective = NCE(q, torch.tensor([0.0, 0.2, 0.3, 0.5]))
    with torch.no_grad():
        objective.a.fill_(2.0)
        objective.b.fill_(-1.0)
    by_hand = 5.0 + torch.tensor([0.2, 0.5]).log() - (2.0 * torch.tensor([1.0, 3.0]) - 1.0)
    torch.testing.assert_close(objective.log_density(torch.tensor([5.0, 5.0]), torch.tensor([1, 3])), by_hand)
