"""The adversarial methods: each term against numpy, who learns from what, weight 0, vectors and images, resumption."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy, norm
from torch import nn

from fewlabels.batches import Batches
from fewlabels.features import features, width
from fewlabels.image import ConvGenerator, ConvNet, small_body
from fewlabels.labels import Categorical
from fewlabels.objective import Batch, Sum
from fewlabels.objectives.bad_gan import BadGAN, Encoder, pull_away
from fewlabels.objectives.catgan import CatGAN
from fewlabels.objectives.improved_gan import ImprovedGAN, feature_matching, real_or_fake
from fewlabels.objectives.latents import latents
from fewlabels.objectives.nrf import InclusiveNRF
from fewlabels.objectives.sobolev_gan import SobolevGAN
from fewlabels.objectives.supervised import Supervised
from fewlabels.optimizers import adam
from fewlabels.tabular import MLP, MLPGenerator
from fewlabels.train import train
from fewlabels.vectors import Scores
from networks import Generator, Net


class Linear(nn.Module):
    """Scores W x + b: the features are x itself."""

    def __init__(self, inputs=3, labels=2):
        super().__init__()
        self.head = nn.Linear(inputs, labels)

    def forward(self, x):
        return Categorical(self.head(x))

    def scores(self, x):
        """The same by numpy."""
        return numbers(x) @ numbers(self.head.weight).T + numbers(self.head.bias)


class Fixed(nn.Module):
    """A generator that makes the rows it is given, whatever the latent, which it keeps."""

    latent = 2

    def __init__(self, rows):
        super().__init__()
        self.rows = nn.Parameter(rows)

    def forward(self, h):
        self.seen = h
        return self.rows + 0


def numbers(tensor):
    return tensor.detach().double().numpy()


def batch(x):
    return Batch(None, torch.zeros(0), x)


def loss_of(objective, potential, data):
    return {name: term.item() for name, term in objective(potential, batch(data)).loss.items()}


def numeric_gradient(value, tensor, step=1e-5):
    """By central differences of a number, in place."""
    flat, gradient = tensor.data.view(-1), torch.zeros(tensor.numel(), dtype=tensor.dtype)
    for i in range(len(flat)):
        kept = flat[i].item()
        flat[i] = kept + step
        up = value()
        flat[i] = kept - step
        gradient[i] = (up - value()) / (2 * step)
        flat[i] = kept
    return gradient.view_as(tensor)


def test_latents_are_uniform_draws_of_the_generators_size():
    h = latents(Generator(), 5000)
    assert h.shape == (5000, 4) and h.min() >= 0 and h.max() < 1
    assert h.mean().item() == pytest.approx(0.5, abs=0.02) and h.std().item() == pytest.approx(12**-0.5, abs=0.01)


def test_features_are_found_behind_a_parametrised_layer_too():
    net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.utils.parametrizations.weight_norm(nn.Linear(8, 2)))
    potential, x = Scores(net), torch.randn(5, 3)
    labels, h = features(potential, x)
    torch.testing.assert_close(h, net[:2](x))
    torch.testing.assert_close(labels.scores, net(x))
    assert width(potential, x) == 8


def test_catgan_terms_are_scipys_entropies():
    p = np.array([[0.5, 0.3, 0.2], [0.9, 0.05, 0.05], [0.1, 0.1, 0.8]])
    q = np.array([[0.2, 0.6, 0.2], [0.3, 0.3, 0.4], [0.98, 0.01, 0.01]])
    potential = nn.Module()
    potential.forward = lambda x: Categorical(x + 1.5)
    logs = [torch.from_numpy(np.log(rows)).float() for rows in (p, q)]
    loss = loss_of(CatGAN(Fixed(logs[1]), weight=2.0), potential, logs[0])
    assert loss == pytest.approx(
        {
            "confidence": 2 * entropy(p, axis=1).mean(),
            "balance": -2 * entropy(p.mean(0)),
            "doubt": -2 * entropy(q, axis=1).mean(),
            "generator": entropy(q, axis=1).mean() - entropy(q.mean(0)),
        },
        rel=1e-5,
    )


def test_improved_gan_is_a_classifier_of_one_label_more_of_score_zero():
    potential, data, generator = Linear(), torch.randn(6, 3), Fixed(torch.randn(6, 3) + 1)
    loss = loss_of(ImprovedGAN(generator, weight=0.5), potential, data)

    def made(x):
        return softmax(np.concatenate([potential.scores(x), np.zeros((len(x), 1))], 1), 1)[:, -1]

    real_or_fake = -(np.log(1 - made(data)).mean() + np.log(made(generator.rows)).mean()) / 2
    matching = np.abs(numbers(data).mean(0) - numbers(generator.rows).mean(0)).mean()
    assert loss == pytest.approx({"real_or_fake": 0.5 * real_or_fake, "generator": matching}, rel=1e-5)


def test_real_or_fake_stays_finite_where_the_classifier_is_certain_and_wrong():
    assert real_or_fake(torch.tensor([-1e4]), torch.tensor([1e4])).item() == 1e4
    assert real_or_fake(torch.tensor([1e4]), torch.tensor([-1e4])).item() == 0


def test_matching_of_features_in_half_precision_is_computed_in_full():
    h = torch.full((1000, 1), 1.0) + torch.rand(1000, 1) / 100
    exact = feature_matching(h.bfloat16().float(), torch.zeros(1, 1))
    assert feature_matching(h.bfloat16(), torch.zeros(1, 1)).item() == exact.item()


@pytest.mark.parametrize("inputs", [None, 3])
def test_bad_gan_adds_confidence_to_the_terms_of_the_improved_gan(inputs):
    potential, data, rows = Linear(), torch.randn(6, 3), torch.randn(6, 3)
    objective = BadGAN(Fixed(rows), inputs, weight=0.5, confidence=0.2)
    loss = loss_of(objective, potential, data)
    improved = loss_of(ImprovedGAN(Fixed(rows), weight=0.5), potential, data)
    assert {name: loss[name] for name in improved} == pytest.approx(improved)
    sure = entropy(softmax(potential.scores(data), 1), axis=1).mean()
    assert loss["confidence"] == pytest.approx(0.5 * 0.2 * sure, rel=1e-5)


def test_pull_away_is_the_mean_squared_cosine_over_pairs():
    h = torch.randn(5, 4)
    cosines = [nn.functional.cosine_similarity(h[i], h[j], 0) ** 2 for i in range(5) for j in range(5) if i != j]
    torch.testing.assert_close(pull_away(h), torch.stack(cosines).mean())
    assert pull_away(torch.eye(3)).item() == 0
    assert pull_away(torch.ones(4, 2)).item() == pytest.approx(1)
    assert pull_away(h[:1]).item() == pytest.approx(0, abs=1e-6)
    for spread, factor in ((3.0, 3.0), (None, 0.8)):
        objective = BadGAN(Fixed(h), None, spread=spread)
        assert loss_of(objective, Linear(4), h)["spread"] == pytest.approx(factor * pull_away(h).item())


def test_the_variational_bound_is_the_negative_log_density_of_the_latents_drawn():
    generator, data = Fixed(torch.randn(6, 3)), torch.randn(6, 3)
    objective = BadGAN(generator, 3)
    with torch.no_grad():  # an encoder that looks at nothing
        objective.encoder.head.weight.zero_()
        objective.encoder.head.bias.copy_(torch.tensor([0.3, -0.1, 0.2, -40.0]))  # two means, two log σ
    loss = loss_of(objective, Linear(), data)["spread"]
    log_q = norm.logpdf(numbers(generator.seen), [0.3, -0.1], np.exp([0.2, -3.0]))
    assert loss == pytest.approx(-0.01 * log_q.sum(1).mean(), rel=1e-5)


def test_the_encoder_reads_images():
    assert Encoder(16, 2)(torch.randn(5, 1, 4, 4), torch.rand(5, 2)).shape == (5,)


def test_sobolev_gan_of_a_linear_critic_by_hand():
    """The slope of v = a · x + b is a everywhere; the second step has the multipliers of the first."""
    potential, data, generator = Linear(), torch.randn(6, 3), Fixed(torch.randn(6, 3))
    objective = SobolevGAN(generator, 3, weight=0.5, fisher=0.3, sobolev=0.2)

    def f(x):
        scores = potential.scores(x)
        v = numbers(x) @ numbers(objective.v.weight)[0] + objective.v.bias.item()
        return (softmax(scores, 1) * scores).sum(1) - v

    of_data, of_samples = f(data), f(generator.rows)
    fisher = (np.square(of_data).mean() + np.square(of_samples).mean()) / 2 - 1
    sobolev = np.square(numbers(objective.v.weight)).sum() - 1
    for step in range(2):
        expected = {
            "critic": 0.5 * (of_samples.mean() - of_data.mean()),
            "fisher": 0.5 * (step * 0.3 * fisher * fisher + 0.3 / 2 * fisher**2),
            "sobolev": 0.5 * (step * 0.2 * sobolev * sobolev + 0.2 / 2 * sobolev**2),
            "generator": -of_samples.mean(),
        }
        assert loss_of(objective, potential, data) == pytest.approx(expected, rel=1e-4)
        objective.update(potential)
    np.testing.assert_allclose(objective.multipliers, [2 * 0.3 * fisher, 2 * 0.2 * sobolev], rtol=1e-4)


def test_the_slope_and_its_gradient_are_those_of_finite_differences():
    potential, data, rows = Net().double(), torch.randn(4, 3).double(), torch.randn(4, 3).double()
    objective = SobolevGAN(Fixed(rows), 8).double()
    x = torch.cat([data, rows])
    slope = numeric_gradient(lambda: objective.v(potential.body(x)).sum().item(), x)
    term = objective(potential, batch(data)).loss["sobolev"]
    assert objective.excess[1].item() == pytest.approx(slope.square().sum(1).mean().item() - 1, rel=1e-6)
    term.backward()
    for weight in (potential.body[0].weight, objective.v.weight):
        by_hand = numeric_gradient(lambda: loss_of(objective, potential, data)["sobolev"], weight)
        torch.testing.assert_close(weight.grad, by_hand, rtol=1e-4, atol=1e-9)


def test_the_multipliers_bring_the_critic_to_unit_size():
    potential, data, generator = Linear(), torch.randn(50, 3) + 1, Fixed(torch.randn(50, 3))
    objective = SobolevGAN(generator, 3, fisher=0.3, sobolev=0.3)
    optimizer = torch.optim.SGD([*potential.parameters(), *objective.v.parameters()], lr=0.05)
    for _ in range(500):
        optimizer.zero_grad()
        loss = objective(potential, batch(data)).loss
        (loss["critic"] + loss["fisher"] + loss["sobolev"]).backward()
        optimizer.step()
        objective.update(potential)
    assert objective.excess.abs().max() < 0.05
    assert loss["critic"] < -0.5


GANS = {
    "cat": CatGAN,
    "improved": ImprovedGAN,
    "bad": lambda generator, **settings: BadGAN(generator, None, **settings),
    "bad, variational": lambda generator, **settings: BadGAN(generator, 3, **settings),
    "sobolev": lambda generator, **settings: SobolevGAN(generator, 8, **settings),
}

BODY, HEAD = {"body.0.weight", "body.0.bias"}, {"head.weight", "head.bias"}
NET = BODY | HEAD
GENERATOR = {f"generator.net.{i}.{kind}" for i in (0, 2) for kind in ("weight", "bias")}
ENCODER = {f"encoder.{layer}.{kind}" for layer in ("body", "head") for kind in ("weight", "bias")}
V = {"v.weight", "v.bias"}

# Which term reaches exactly which parameters: of the potential, and of the objective's own players.
PLAYERS = [
    *((name, term, NET, set()) for name, terms in {
        "cat": ("confidence", "balance", "doubt"), "improved": ("real_or_fake",), "bad": ("real_or_fake", "confidence"),
        "bad, variational": ("real_or_fake", "confidence"),
    }.items() for term in terms),
    *((name, "generator", set(), GENERATOR) for name in GANS),
    ("bad", "spread", set(), GENERATOR),
    ("bad, variational", "spread", set(), GENERATOR | ENCODER),
    ("sobolev", "critic", NET, {"v.weight"}),  # the bias cancels
    ("sobolev", "fisher", NET, V),
    ("sobolev", "sobolev", BODY, {"v.weight"}),  # v alone, not the scores; its slope has no bias
]  # fmt: skip


@pytest.mark.parametrize(("name", "term", "potential_learns", "objective_learns"), PLAYERS)
def test_players(name, term, potential_learns, objective_learns):
    potential, objective = Net(), GANS[name](Generator())
    objective(potential, batch(torch.randn(20, 3))).loss[term].backward()

    def reached(module):
        return {
            name
            for name, parameter in module.named_parameters()
            if parameter.grad is not None and parameter.grad.abs().max() > 1e-7
        }

    assert reached(potential) == potential_learns
    assert reached(objective) == objective_learns


@pytest.mark.parametrize("name", GANS)
def test_a_step_leaves_all_weights_free_to_learn_and_the_mode_as_it_was(name):
    potential, objective = Net().train(), GANS[name](Generator())
    assert set(objective(potential, batch(torch.randn(20, 3))).loss) == {
        term for gan, term, *_ in PLAYERS if gan == name
    }
    assert potential.training
    assert all(p.requires_grad and p.grad is None for p in [*potential.parameters(), *objective.parameters()])


def weights_after(objective, dropout):
    torch.manual_seed(1)
    potential = Net(dropout)
    x = torch.randn(60, 3)
    batches = Batches(x[:12], torch.arange(12) % 2, x, labelled=5, unlabelled=8, seed=0)
    objective = objective()
    list(train(potential, objective, batches, adam(0.01)(potential, objective), 20))
    return torch.cat([p.detach().flatten() for p in potential.parameters()])


@pytest.mark.parametrize("name", GANS)
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_joint_training_of_weight_zero_is_supervised_training_to_the_bit(name, dropout):
    supervised = weights_after(Supervised, dropout)
    assert torch.equal(
        supervised, weights_after(lambda: Sum(Supervised(), GANS[name](Generator(), weight=0.0)), dropout)
    )
    control = weights_after(lambda: Sum(Supervised(), GANS[name](Generator(), weight=0.1)), dropout)
    assert not torch.allclose(supervised, control)


def vectors():
    low = torch.zeros(5)
    return MLP(5, 3, hidden=(8, 6), noise=0.3), MLPGenerator(4, low, low + 1, hidden=(7,)), torch.rand(12, 5)


def images():
    low = torch.zeros(1, 8, 8)
    return ConvNet(small_body(1, 4), 16, 3), ConvGenerator(4, low, low + 1, widths=(6, 4)), torch.rand(12, 1, 8, 8)


MADE = {
    "cat": lambda generator, x, potential: CatGAN(generator),
    "improved": lambda generator, x, potential: ImprovedGAN(generator),
    "bad": lambda generator, x, potential: BadGAN(generator, None),
    "bad, variational": lambda generator, x, potential: BadGAN(generator, x[0].numel()),
    "sobolev": lambda generator, x, potential: SobolevGAN(generator, width(potential, x)),
}


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("kind", [vectors, images])
@pytest.mark.parametrize("name", GANS)
def test_vectors_and_images_learn_beside_one_labelled_row_in_either_precision(name, kind, bfloat16):
    potential, generator, x = kind()
    objective = Sum(Supervised(), MADE[name](generator, x, potential))
    before = [p.detach().clone() for p in [*potential.parameters(), *objective.parameters()]]
    batches = Batches(x[:1], torch.tensor([2]), x, labelled=1, unlabelled=6, seed=0)
    for terms in train(potential, objective, batches, adam(0.01)(potential, objective), 3, bfloat16=bfloat16):
        assert all(value.isfinite() and value.shape == () for value in (terms.loss | terms.info).values())
    after = [*potential.parameters(), *objective.parameters()]
    assert all(p.isfinite().all() and not torch.equal(p, q) for p, q in zip(after, before, strict=True))


FIELDS = {
    "field": lambda generator, x, potential: InclusiveNRF(generator),
    "field, latents revised": lambda generator, x, potential: InclusiveNRF(generator, revise_latent=True),
}


@pytest.mark.parametrize("name", MADE | FIELDS)
def test_generators_stay_in_float32_where_potentials_do_not(name):
    potential, generator, x = vectors()
    met = {potential: set(), generator: set()}
    for network, seen in met.items():
        network.body[0].register_forward_hook(lambda layer, inputs, y, seen=seen: seen.add(y.dtype))
    objective = (MADE | FIELDS)[name](generator, x, potential)
    met[potential].clear()  # `width` looks at it before training
    with torch.autocast("cpu", torch.bfloat16):
        objective(potential, batch(x))
    assert met == {potential: {torch.bfloat16}, generator: {torch.float32}}


@pytest.mark.parametrize("name", GANS)
def test_a_run_goes_on_from_its_state(name):
    x = torch.randn(60, 3)
    batches = Batches(x[:12], torch.arange(12) % 2, x, labelled=5, unlabelled=8, seed=0)

    def make():
        potential, objective = Net(0.3), Sum(Supervised(), GANS[name](Generator()))
        return potential, objective, torch.optim.SGD([*potential.parameters(), *objective.parameters()], lr=0.1)

    def steps(run, first, last):
        list(train(run[0], run[1], batches, run[2], last, start=first))
        return {key: value.clone() for module in run[:2] for key, value in module.state_dict().items()}

    whole, resumed = make(), make()
    steps(whole, 0, 10)
    for module, other in zip(resumed[:2], whole[:2], strict=True):
        module.load_state_dict(other.state_dict())
    ends = steps(whole, 10, 20), steps(resumed, 10, 20)
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


def test_finding_a_width_draws_nothing_and_leaves_the_network_as_it_was():
    network = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))
    state, before = torch.get_rng_state(), {name: value.clone() for name, value in network.state_dict().items()}
    assert width(network, torch.randn(5, 3, generator=torch.Generator().manual_seed(0))) == 8
    assert torch.equal(torch.get_rng_state(), state) and network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
