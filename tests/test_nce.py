"""The noise model against the enumeration of its support, and NCE on a domain small enough to sum over."""

import copy
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
from fewlabels.sequence.sentences import Padded, Sentences
from fewlabels.train import train

WORDS, LONGEST = 3, 3
SUPPORT = [list(x) for n in range(1, LONGEST + 1) for x in itertools.product(range(WORDS), repeat=n)]
ALL = Sentences(SUPPORT)[torch.arange(len(SUPPORT))]


def code(x: Padded) -> torch.Tensor:
    """The place of each sentence in SUPPORT: those of one word first; then words are digits."""
    place = torch.zeros_like(x.lengths)
    for word, inside in zip(x.values.T, x.inside().T, strict=True):
        place = torch.where(inside, WORDS * place + word + 1, place)
    return place - 1


class Table(nn.Module):
    """u(x) free for every sentence of the support: NCE can reach its optimum exactly."""

    def __init__(self, u=None):
        super().__init__()
        self.u = nn.Parameter(torch.zeros(len(SUPPORT)) if u is None else u)

    def forward(self, x):
        return Categorical(self.u[code(x)].unsqueeze(1))


@pytest.fixture(params=[(), (1, 2)], ids=["full softmax", "classes"])
def q(request):
    return noise_model(request.param)


def noise_model(cutoffs=()):
    model = LanguageModel(WORDS, LONGEST, embedding=4, hidden=4, cutoffs=cutoffs)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, generator=generator)
    return model


def test_sentences_are_found_in_the_support():
    assert torch.equal(code(ALL), torch.arange(len(SUPPORT)))


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


@pytest.mark.parametrize("cutoffs", [(), (150, 400)])
def test_many_words_and_long_sentences_are_drawn_and_scored_alike(cutoffs):
    """1,000 words, so that blocks matter, in several portions; log q of 30 words is exact to 1e-4."""
    model = LanguageModel(1000, 30, embedding=20, hidden=20, cutoffs=cutoffs)
    model.start_from(1000 / torch.arange(1, 1001), 300)
    with torch.no_grad():
        model.lstm.weight_hh_l0.mul_(10)
        model.output.head.weight.mul_(10)
    x, log_q = model.sample(5000, torch.Generator().manual_seed(0))
    assert len(x.lengths) == 5000
    assert len(x.lengths.unique()) > 20
    assert x.lengths.max() == 30  # where the stop is certain
    assert (x.values[~x.inside()] == 0).all()
    torch.testing.assert_close(log_q, model(x).detach(), atol=1e-4, rtol=0.0)


@pytest.mark.parametrize("cutoffs", [(), (150, 400)])
def test_it_can_start_from_the_unigram_distribution(cutoffs):
    """Scored by hand; and words of every class come as often as they are counted.  Control: an untouched model."""
    counts = 1000.0 / torch.arange(1, 1001)
    model = LanguageModel(1000, 30, embedding=4, hidden=4, cutoffs=cutoffs)
    untouched = model.sample(3000)[0]
    model.start_from(counts, 800)
    with torch.no_grad():
        model.output.head.weight.zero_()
        for tail in model.output.tails:
            tail[1].weight.zero_()
    x = Padded(torch.tensor([[0, 500]]), torch.tensor([2]))
    total = counts.sum() + 800
    by_hand = (counts[0] / counts.sum()).log() + (counts[500] / total).log() + (800 / total).log()
    torch.testing.assert_close(model(x)[0], by_hand)

    def misfit(x):
        groups = torch.bucketize(x.values[x.inside()], torch.tensor([2, 20, 149, 399, 700, 999]))
        expected = torch.stack([part.sum() for part in counts.split([3, 18, 129, 250, 301, 299])]) / counts.sum()
        n = len(groups)
        return ((groups.bincount() / n - expected).abs() / (expected * (1 - expected) / n).sqrt()).max()

    assert misfit(model.sample(3000)[0]) < 4.5
    assert misfit(untouched) > 20


def fit_table(objective, steps=400, lr=0.1):
    """u, a and b at the optimum of NCE against a fixed noise model, from many sentences of p_data."""
    p_data = torch.randn(len(SUPPORT), generator=torch.Generator().manual_seed(5)).softmax(0)
    draws = p_data.multinomial(20000, replacement=True, generator=torch.Generator().manual_seed(6))
    data = Sentences([SUPPORT[i] for i in draws.tolist()])
    objective.noise_model.requires_grad_(False)
    potential = Table()
    batches = Batches(data, data, data, labelled=1, unlabelled=500, seed=0)
    optimizer = torch.optim.Adam([potential.u, objective.log_normaliser.a, objective.log_normaliser.b], lr=lr)
    for step, _ in enumerate(train(potential, objective, batches, optimizer, steps)):
        for group in optimizer.param_groups:
            group["lr"] = lr * (1 - step / steps)
    log_q = objective.noise_model(ALL).detach()
    log_p = objective.log_density(potential(ALL).log_partition, log_q, ALL).detach()
    p_data = draws.bincount(minlength=len(SUPPORT)) / len(draws)
    return log_p.exp().float(), p_data, log_q.exp()


@pytest.mark.parametrize(("noise_ratio", "carrier", "cutoffs"), [(1, False, ()), (3, False, (1, 2)), (1, True, (1, 2))])
def test_nce_finds_the_mixture_and_its_normaliser(noise_ratio, carrier, cutoffs):
    """At the optimum exp(log p) sums to one and equals (p_data + q) / 2: neither is imposed anywhere."""
    prior = torch.tensor([0.0, 0.2, 0.3, 0.5])
    objective = NCE(noise_model(cutoffs), prior, noise_ratio=noise_ratio, carrier=carrier)
    p, p_data, q = fit_table(objective)
    target = (p_data + q) / 2
    assert p.sum().item() == pytest.approx(1.0, abs=0.04)
    assert (p - target).abs().max() < 0.012
    assert (p_data - target).abs().max() > 0.025  # the control: the data alone would not pass


def test_where_the_noise_is_the_data_the_field_is_the_data_too():
    """q is trained first, until it is all but p_data; sentences of the longest length, where it must stop, included."""
    p_data = torch.randn(len(SUPPORT), generator=torch.Generator().manual_seed(5)).softmax(0)
    model = LanguageModel(WORDS, LONGEST, embedding=16, hidden=16)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        (-(p_data * model(ALL)).sum()).backward()
        optimizer.step()
    p, seen, q = fit_table(NCE(model, torch.tensor([0.0, 0.2, 0.3, 0.5])))
    assert (q - p_data).abs().max() < 0.005
    assert (p - seen).abs().max() < 0.012
    assert p.sum().item() == pytest.approx(1.0, abs=0.04)
    assert (noise_model()(ALL).exp() - p_data).abs().max() > 0.05  # the control: an untrained q is not the data


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


PRIOR = torch.tensor([0.0, 0.2, 0.3, 0.5])


def unlabelled(x):
    return Batch(None, torch.zeros(0), x)


@pytest.mark.parametrize("carrier", [False, True])
def test_the_first_batch_calibrates_the_log_normaliser(carrier):
    objective = NCE(noise_model(), PRIOR, carrier=carrier)

    class Shifted(Table):
        def forward(self, x):
            return Categorical((50.0 * x.lengths + 7 + self.u[code(x)]).unsqueeze(1))

    terms = objective(Shifted(), unlabelled(ALL))
    assert objective.log_normaliser.a.item() == pytest.approx(50, abs=1e-3 if carrier else 3)
    assert terms.loss["contrast"].item() < 3
    a = objective.log_normaliser.a.item()
    objective(Shifted(), unlabelled(ALL))
    assert objective.log_normaliser.a.item() == a


def test_log_density_by_hand():
    objective = NCE(noise_model(), PRIOR)
    with torch.no_grad():
        objective.log_normaliser.a.fill_(2.0)
        objective.log_normaliser.b.fill_(-1.0)
    x = Padded(torch.tensor([[1, 0, 0], [1, 2, 0]]), torch.tensor([1, 3]))
    u, log_q = torch.tensor([5.0, 5.0]), torch.tensor([-3.0, -9.0])
    normaliser = 2.0 * torch.tensor([1.0, 3.0]) - 1.0
    by_hand = 5.0 + torch.tensor([0.2, 0.5]).log() - normaliser
    torch.testing.assert_close(objective.log_density(u, log_q, x).float(), by_hand)
    objective.carrier = True
    torch.testing.assert_close(objective.log_density(u, log_q, x).float(), 5.0 + log_q - normaliser)
    objective.unigram = torch.tensor([-1.0, -2.0, -4.0])
    sums = torch.tensor([-2.0, -7.0])
    torch.testing.assert_close(objective.log_density(u, log_q, x).float(), 5.0 - sums + log_q - normaliser)


def test_with_q_as_the_carrier_the_log_odds_are_u_alone():
    """Whatever q is: a flat u leaves Δ at 0 with no spread.  Control: without a carrier it has the spread of log q."""

    class Flat(nn.Module):
        def forward(self, x):
            return Categorical(torch.zeros(len(x.lengths), 1))

    spreads = [
        NCE(noise_model(), PRIOR, carrier=carrier)(Flat(), unlabelled(ALL)).info["spread"].item()
        for carrier in (True, False)
    ]
    assert spreads[0] == pytest.approx(0.0, abs=1e-6)
    assert spreads[1] > 1.0


def test_the_weight_rises_with_the_root_of_the_steps_and_is_part_of_the_state():
    objective = NCE(noise_model(), PRIOR, weight=0.1, ramp=40_000)
    for t, expected in [(1, 0.0005), (1000, 0.0158), (10_000, 0.05), (20_000, 0.0707), (40_000, 0.1), (60_000, 0.1)]:
        objective.steps.fill_(t - 1)
        assert objective.current_weight() == pytest.approx(expected, abs=5e-5)
    objective.steps.fill_(9_999)
    torch.manual_seed(1)
    half = objective(Table(), unlabelled(ALL)).loss["contrast"]
    objective.steps.fill_(50_000)
    torch.manual_seed(1)
    whole = objective(Table(), unlabelled(ALL)).loss["contrast"]
    torch.testing.assert_close(half, whole / 2)
    objective.update(Table())
    again = NCE(noise_model(), PRIOR, weight=0.1, ramp=40_000)
    again.load_state_dict(objective.state_dict())
    assert again.steps.item() == 50_001
    assert NCE(noise_model(), PRIOR, weight=0.3).current_weight() == 0.3


@pytest.mark.parametrize("carrier", [False, True])
def test_autocast_costs_no_bit_of_the_log_odds(carrier):
    """u of thousands, where bfloat16 has steps of 16, minus a normaliser of thousands."""

    class Large(Table):
        def forward(self, x):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == (torch.bfloat16 if self.expected else torch.float)
            return Categorical((3000.0 + self.u[code(x)]).unsqueeze(1))

    potential = Large(torch.randn(len(SUPPORT)))
    losses = []
    for autocast in (False, True):
        torch.manual_seed(1)
        potential.expected = autocast
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            losses.append(NCE(noise_model((1, 2)), PRIOR, carrier=carrier)(potential, unlabelled(ALL)).loss)
    assert losses[0]["contrast"].dtype == torch.float
    assert losses[0] == losses[1]
    rounded = (3000.0 + potential.u).bfloat16().float() - 3000.0  # the control: what bfloat16 would have left of u
    assert (rounded - potential.u).abs().max() > 1


def test_log_q_is_exact_under_autocast():
    model = noise_model((1, 2))
    exact = copy.deepcopy(model).double()(ALL)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(model(ALL).double(), exact, atol=1e-5, rtol=0)
        drawn, log_q = model.sample(50)
    torch.testing.assert_close(log_q, model(drawn), atol=1e-5, rtol=0)


def test_u_in_bfloat16_is_taken_from_there_on_in_full():
    """Its own rounding is past help; nothing is added to it."""

    class Half(Table):
        def forward(self, x):
            return Categorical((self.u[code(x)]).to(self.dtype).unsqueeze(1))

    losses = []
    for dtype in (torch.float, torch.bfloat16):
        potential = Half(4 * torch.randn(len(SUPPORT), generator=torch.Generator().manual_seed(2)).round())
        potential.dtype = dtype  # whole numbers, which bfloat16 holds exactly
        torch.manual_seed(1)
        losses.append(NCE(noise_model(), PRIOR)(potential, unlabelled(ALL)).loss["contrast"])
    assert losses[0] == losses[1]


def test_words_that_the_noise_model_lacks_are_read_as_the_unknown_word_and_features_are_left_out():
    class Keeps(Table):
        def forward(self, x):
            self.seen = x
            return super().forward(x)

    potential, q = Keeps(), noise_model()
    x = Padded(torch.tensor([[1, 7], [3, 0]]), torch.tensor([2, 1]), torch.ones(2, 2, 1, dtype=torch.long))
    loss = NCE(q, PRIOR)(potential, unlabelled(x)).loss["noise_model"]
    assert potential.seen.values[:2, :2].tolist() == [[1, 0], [0, 0]]
    assert potential.seen.columns is None
    mapped = Padded(torch.tensor([[1, 0], [0, 0]]), torch.tensor([2, 1]))
    torch.testing.assert_close(loss, -q(mapped).mean())


def test_what_lies_outside_the_support_is_refused():
    long = Padded(torch.zeros(1, LONGEST + 1, dtype=torch.long), torch.tensor([LONGEST + 1]))
    with pytest.raises(AssertionError, match="longer"):
        NCE(noise_model(), PRIOR)(Table(), unlabelled(long))
    with pytest.raises(AssertionError, match="positive"):
        NCE(noise_model(), torch.tensor([0.0, 0.5, 0.5, 0.0]))
    with pytest.raises(AssertionError, match="entries"):
        NCE(noise_model(), torch.tensor([0.0, 1.0]))
    with pytest.raises(AssertionError, match="cutoffs"):
        LanguageModel(WORDS, LONGEST, cutoffs=(2, 2))


def test_the_language_model_starts_as_the_papers():
    model = LanguageModel(50, 5)
    assert model.embedding.weight.shape == (51, 200)
    assert model.lstm.hidden_size == 200
    for name, parameter in model.named_parameters():
        if name.startswith("lstm.bias"):
            assert not parameter.any()
        else:
            assert 0.09 < parameter.abs().max() <= 0.1
    assert [name for name, parameter in model.named_parameters() if not parameter.requires_grad] == ["lstm.bias_hh_l0"]
