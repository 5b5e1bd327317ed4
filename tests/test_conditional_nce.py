"""Corruption and its balance by enumeration, and the optimum on a domain small enough to sum over."""

import itertools

import pytest
import torch
from torch import nn

from fewlabels.batches import Batches
from fewlabels.labels import Categorical
from fewlabels.objective import Batch
from fewlabels.objectives.conditional_nce import ConditionalNCE
from fewlabels.objectives.corruption import corrupt
from fewlabels.objectives.ranking import noise_of
from fewlabels.sequence.sentences import Padded, Sentences
from fewlabels.train import train

COUNTS = torch.tensor([9, 50, 30, 15])  # the unknown word is counted and yet never drawn
NOISE = noise_of(COUNTS, 0.9)
SUPPORT = [list(x) for n in (1, 2) for x in itertools.product((1, 2, 3), repeat=n)]
ALL = Sentences(SUPPORT)[torch.arange(len(SUPPORT))]


def code(x):
    """The place of each sentence in SUPPORT: those of one word first; then words are digits."""
    place = torch.zeros_like(x.lengths)
    for word, inside in zip(x.values.T, x.inside().T, strict=True):
        place = torch.where(inside, 3 * place + word, place)
    return place - 1


def test_sentences_are_found_in_the_support():
    assert torch.equal(code(ALL), torch.arange(len(SUPPORT)))


class Table(nn.Module):
    """u(x) free for every sentence; what it was shown is kept."""

    def __init__(self, u=None):
        super().__init__()
        self.u = nn.Parameter(torch.zeros(len(SUPPORT)) if u is None else u)

    def forward(self, x):
        self.seen = x
        return Categorical(self.u[code(x)].unsqueeze(1))


def test_noise_is_a_power_of_the_counts_without_the_unknown_word():
    by_hand = torch.tensor([0.0, 50**0.9, 30**0.9, 15**0.9])
    torch.testing.assert_close(NOISE.exp(), by_hand / by_hand.sum())


def test_copies_have_the_frequencies_of_the_formula():
    """p(x' | x) of a sentence of two words, by hand: the sets {1}, {2}, {1, 2}, and one of the first two if none."""
    rate, n = 0.3, 200_000
    x = Padded(torch.tensor([[1, 3]]).expand(n, -1), torch.full((n,), 2))
    copies, chosen = corrupt(x, NOISE, rate)
    single = rate * (1 - rate) + (1 - rate) ** 2 / 2
    p = NOISE.exp()
    expected = torch.zeros(4, 4)
    expected[:, 3] += single * p
    expected[1, :] += single * p
    expected += rate**2 * p.unsqueeze(1) * p
    frequency = (copies.values[:, 0] * 4 + copies.values[:, 1]).bincount(minlength=16).view(4, 4) / n
    z = (frequency - expected) / (expected * (1 - expected) / n).sqrt().clamp(min=1e-9)
    assert z.abs().max() < 4.5
    without_the_rule = expected - (1 - rate) ** 2 / 2 * ((torch.arange(4) == 3) * p.unsqueeze(1))  # the control
    assert ((frequency - without_the_rule).abs() / (expected / n).sqrt().clamp(min=1e-9)).max() > 10
    assert chosen.any(1).all()


def test_corruption_is_reversible_under_the_carrier_measure():
    """Counted over many copies: Π π(x_i) p(x' | x) is symmetric.  Control: under a uniform measure it is not."""
    n = 100_000
    pairs = [s for s in SUPPORT if len(s) == 2]
    flow = []
    for s in pairs:
        copies, _ = corrupt(Padded(torch.tensor([s]).expand(n, -1), torch.full((n,), 2)), NOISE, 0.3)
        flow.append((code(copies) - 3).bincount(minlength=9) / n)
    flow = torch.stack(flow)
    weight = torch.tensor([NOISE[s].sum().exp() for s in map(torch.tensor, pairs)]).unsqueeze(1)

    def imbalance(measure):
        forth = measure * flow
        error = (measure**2 * flow / n + (measure**2 * flow / n).T).sqrt().clamp(min=1e-9)
        return ((forth - forth.T).abs() / error).max()

    assert imbalance(weight) < 4.5
    assert imbalance(torch.full_like(weight, 1 / 9)) > 20


def test_words_that_cannot_be_drawn_stay_and_every_other_sentence_loses_at_least_one():
    x = Padded(torch.tensor([[0, 7, 1, 4], [2, 0, 0, 0], [4, 0, 0, 0]]), torch.tensor([4, 1, 2]))
    for rate in (0.0, 0.5, 1.0):
        copies, chosen = corrupt(x, NOISE, rate)
        assert chosen.sum(1).tolist() == [1, 1, 0]
        assert chosen[0, 2]
        assert chosen[1, 0]
        assert torch.equal(copies.values[~chosen], x.values[~chosen])
        assert ((copies.values[chosen] >= 1) & (copies.values[chosen] <= 3)).all()


@pytest.mark.parametrize("carrier", [True, False])
def test_the_loss_by_hand(carrier):
    potential = Table(torch.randn(len(SUPPORT)))
    data = Sentences([[1, 2], [3], [2, 2]])[torch.arange(3)]
    objective = ConditionalNCE(COUNTS, weight=0.7, pairs=2, rate=0.5, carrier=carrier)
    loss = objective(potential, Batch(None, torch.zeros(0), data)).loss["conditional_nce"]
    seen = potential.seen
    assert torch.equal(seen.values[:3], data.values)
    rows = [row[:n] for row, n in zip(seen.values.tolist(), seen.lengths.tolist(), strict=True)]
    u = [potential.u[SUPPORT.index(row)].item() - (0 if carrier else NOISE[row].sum().item()) for row in rows]
    pairs = [(i, 3 + 3 * k + i) for k in range(2) for i in range(3)]
    by_hand = torch.tensor([u[i] - u[j] for i, j in pairs]).neg().exp().log1p().mean()
    torch.testing.assert_close(loss, 0.7 * by_hand)


def fitted(carrier):
    """Distributions of sentences of one and of two words at the optimum of the loss; and those of the data."""
    p_data = torch.randn(len(SUPPORT), generator=torch.Generator().manual_seed(3)).softmax(0)
    draws = p_data.multinomial(20_000, replacement=True, generator=torch.Generator().manual_seed(4))
    p_data = draws.bincount(minlength=len(SUPPORT)) / len(draws)
    data = Sentences([SUPPORT[i] for i in draws.tolist()])
    objective, potential = ConditionalNCE(COUNTS, rate=0.5, pairs=8, carrier=carrier), Table()
    batches = Batches(data, data, data, labelled=1, unlabelled=1000, seed=0)
    optimizer = torch.optim.Adam(potential.parameters(), lr=0.05)
    for step, _ in enumerate(train(potential, objective, batches, optimizer, 300)):
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * (1 - step / 300)
    return potential.u.detach(), p_data


@pytest.mark.parametrize("carrier", [True, False])
def test_the_optimum_is_the_data_up_to_a_constant_for_each_length(carrier):
    """Controls: the carrier measure alone, and the other reading of u, are far from it."""
    u, p_data = fitted(carrier)
    log_carrier = torch.stack([NOISE[s].sum() for s in map(torch.tensor, SUPPORT)])
    right, wrong = (u + log_carrier, u) if carrier else (u, u + log_carrier)

    def distance(log_p):
        parts = [(log_p[ALL.lengths == n].softmax(0) - p_data[ALL.lengths == n] / p_data[ALL.lengths == n].sum())
                 for n in (1, 2)]  # fmt: skip
        return torch.cat(parts).abs().max().item()

    assert distance(right) < 0.025
    assert distance(log_carrier) > 0.1
    assert distance(wrong) > 0.1


def test_sentences_without_a_word_to_replace_are_left_out():
    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.level = nn.Parameter(torch.tensor(1.0))

        def forward(self, x):
            return Categorical((self.level * x.values.sum(1)).float().unsqueeze(1))

    potential, objective = Flat(), ConditionalNCE(COUNTS)
    nothing = Padded(torch.tensor([[0, 8], [9, 0]]), torch.tensor([2, 1]))
    loss = objective(potential, Batch(None, torch.zeros(0), nothing)).loss["conditional_nce"]
    loss.backward()
    assert loss.item() == 0
    assert potential.level.grad.item() == 0
    some = Padded(torch.tensor([[0, 8], [1, 2]]), torch.tensor([2, 2]))
    losses = []
    for x in (some, Padded(some.values[1:], some.lengths[1:])):
        potential.level.data.fill_(0.0)  # both words alike: log 2, whatever the copy
        losses.append(objective(potential, Batch(None, torch.zeros(0), x)).loss["conditional_nce"].item())
    assert losses == [pytest.approx(0.6931, abs=1e-4)] * 2


def test_further_features_of_a_copy_are_its_sentences():
    class Keeps(nn.Module):
        def forward(self, x):
            self.seen = x
            return Categorical(x.values.sum(1, keepdim=True).float())

    x = Padded(torch.tensor([[1, 2], [3, 0]]), torch.tensor([2, 1]), torch.tensor([[[1], [2]], [[3], [0]]]))
    potential = Keeps()
    ConditionalNCE(COUNTS)(potential, Batch(None, torch.zeros(0), x))
    assert torch.equal(potential.seen.columns, torch.cat([x.columns, x.columns]))
