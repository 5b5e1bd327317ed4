"""The methods' mathematics: who learns from what, exact gradients, equality of degenerate cases."""

import pytest
import torch
from torch import nn

from fewlabels.augmentation import add_noise
from fewlabels.batches import Batches
from fewlabels.labels import Categorical
from fewlabels.objective import Batch, Objective, Sum
from fewlabels.objectives.bidirectional_lm import BidirectionalLM
from fewlabels.objectives.conditional_nce import ConditionalNCE
from fewlabels.objectives.entropy import EntropyMinimisation
from fewlabels.objectives.fixmatch import FixMatch
from fewlabels.objectives.likelihood import likelihood_terms
from fewlabels.objectives.mean_teacher import MeanTeacher
from fewlabels.objectives.nce import NCE
from fewlabels.objectives.nrf import InclusiveNRF
from fewlabels.objectives.persistent_cd import PersistentCD
from fewlabels.objectives.pi_model import PiModel
from fewlabels.objectives.propagation import Propagated
from fewlabels.objectives.pseudo_likelihood import PseudoLikelihood
from fewlabels.objectives.ramp import Ramped
from fewlabels.objectives.self_training import SelfTraining
from fewlabels.objectives.supervised import Supervised
from fewlabels.objectives.teacher_labels import TeacherLabels
from fewlabels.objectives.temporal_ensembling import TemporalEnsembling
from fewlabels.objectives.vat import VAT
from fewlabels.optimizers import adam
from fewlabels.samplers import Chain
from fewlabels.sentence_methods import WORD_VECTORS
from fewlabels.sequence.language_model import LanguageModel
from fewlabels.sequence.potential import TaggingPotential
from fewlabels.sequence.presets import TINY
from fewlabels.sequence.sentences import Padded, Sentences
from fewlabels.sequence.vocabulary import Vocabulary
from fewlabels.train import total, train
from networks import Generator, Net


def vectors(n_labelled=6, n_unlabelled=20):
    rows = torch.arange(n_unlabelled)
    return Batch(torch.randn(n_labelled, 3), torch.arange(n_labelled) % 2, torch.randn(n_unlabelled, 3), rows)


def sentences():
    text = [["a", "b", "c"], ["b", "a"], ["c", "c", "a", "b"], ["a"]]
    vocabulary = Vocabulary.of(text)
    rows = Sentences([vocabulary.encode(s) for s in text])
    tags = Sentences([[i % 2 for i in range(len(s))] for s in text])
    index = torch.arange(4)
    potential = TaggingPotential(vocabulary.spelling(), vocabulary.counts, 2, TINY._replace(size=5, hidden=4))
    return potential, Batch(rows[index], tags[index].values, rows[index]), vocabulary


def on_sentences(make):
    """The objective that is made from the words' counts, beside potential and batch."""

    def everything():
        potential, batch, vocabulary = sentences()
        return potential, make(torch.tensor(vocabulary.counts)), batch

    return everything


def nce(**settings):
    prior = torch.full((6,), 1 / 6)
    return on_sentences(lambda counts: NCE(LanguageModel(len(counts), 5, embedding=4, hidden=4), prior, **settings))


def bidirectional_lm(draws):
    return on_sentences(lambda counts: BidirectionalLM(counts, 4, draws=draws))


def pseudo_likelihood(**settings):
    return on_sentences(lambda counts: PseudoLikelihood(counts, draws=10, **settings))


def conditional_nce(**settings):
    return on_sentences(lambda counts: ConditionalNCE(counts, rate=0.5, pairs=20, **settings))


def on_vectors(objective):
    return lambda: (Net(), objective(), vectors())


def met_before():
    """Temporal Ensembling that has met every input once."""
    objective = TemporalEnsembling(60, 2, add_noise)
    objective.met.fill_(1)
    return objective


def second_round():
    """Self-training in rounds whose first is over."""
    objective = TeacherLabels(Net(), steps=1, threshold=0.0)
    objective.update(Net())
    return objective


def propagated(weight=1.0):
    return Propagated(torch.tensor([0.9, 0.1]).repeat(60, 1), weight)


WORDS = {"words.word.weight", "words.speller.feature.weight", "words.edge"}


def lstm(way):
    return {f"encoder.{way}.{kind}_{part}_l0" for kind in ("weight", "bias") for part in ("ih", "hh")}


LSTMS = lstm("forwards") | lstm("backwards")
HEAD = {"head.emission.weight", "head.emission.bias", "head.transition", "head.start", "head.stop"}
CHAIN = WORDS | LSTMS | HEAD
SITE = {"site.context.weight", "site.context.bias", "site.level"}
NET = {"body.0.weight", "body.0.bias", "head.weight", "head.bias"}
GENERATOR = {f"generator.net.{i}.{kind}" for i in (0, 2) for kind in ("weight", "bias")}
LINE = {"log_normaliser.a", "log_normaliser.b"}
NOISE = {
    "noise_model.embedding.weight", "noise_model.output.head.weight", "noise_model.output.head.bias",
    *(f"noise_model.lstm.{kind}_l0" for kind in ("weight_ih", "weight_hh", "bias_ih")),
}  # fmt: skip


def of_chains():
    """A mean teacher of sentences that has a step behind it, so that student and teacher differ."""
    potential, batch, _ = sentences()
    objective = MeanTeacher(sentences()[0], lambda x: x)
    objective.done += 1
    return potential, objective, batch


def layer(way):
    return {f"{way}.weight", f"{way}.bias"}


# Which term reaches exactly which parameters: of the potential, and of the objective's own players.
PLAYERS = [
    ("supervised", on_vectors(Supervised), "supervised", NET, set()),
    ("nrf", on_vectors(lambda: InclusiveNRF(Generator(), entropy=1.0)), "likelihood", NET, set()),
    ("nrf", on_vectors(lambda: InclusiveNRF(Generator(), entropy=1.0)), "control", NET, set()),
    ("nrf", on_vectors(lambda: InclusiveNRF(Generator(), sample_control=1.0)), "sample_control", NET, set()),
    ("nrf", on_vectors(lambda: InclusiveNRF(Generator(), entropy=1.0)), "entropy", NET, set()),
    ("nrf", on_vectors(lambda: InclusiveNRF(Generator())), "generator", set(), GENERATOR),
    ("nrf (x, h)", on_vectors(lambda: InclusiveNRF(Generator(), revise_latent=True)), "generator", set(), GENERATOR),
    ("persistent cd", on_vectors(lambda: PersistentCD(torch.randn(30, 3))), "likelihood", NET, set()),
    ("persistent cd", on_vectors(lambda: PersistentCD(torch.randn(30, 3))), "control", NET, set()),
    (
        "persistent cd",
        on_vectors(lambda: PersistentCD(torch.randn(30, 3), sample_control=1.0)),
        "sample_control",
        NET,
        set(),
    ),
    ("vat", on_vectors(VAT), "vat", NET, set()),
    ("entropy minimisation", on_vectors(EntropyMinimisation), "entropy_minimisation", NET, set()),
    ("ramped", on_vectors(lambda: Ramped(VAT(), 10)), "vat", NET, set()),
    ("fixmatch", on_vectors(lambda: FixMatch(add_noise, threshold=0.0)), "fixmatch", NET, set()),
    ("self-training in rounds", on_vectors(second_round), "teacher_labels", NET, set()),
    ("pi", on_vectors(lambda: PiModel(add_noise)), "pi", NET, set()),
    ("mean teacher", on_vectors(lambda: MeanTeacher(Net(), add_noise)), "mean_teacher", NET, set()),
    ("temporal ensembling", on_vectors(met_before), "temporal_ensembling", NET, set()),
    ("label propagation", on_vectors(propagated), "propagated", NET, set()),
    ("nce", nce(), "contrast", WORDS | LSTMS | HEAD | SITE, LINE),
    ("nce", nce(), "noise_model", set(), NOISE),
    ("nce, carrier", nce(carrier=True), "contrast", WORDS | LSTMS | HEAD | SITE, LINE),
    ("pseudo-likelihood", pseudo_likelihood(), "pseudo_likelihood", WORDS | LSTMS | SITE, set()),
    ("conditional nce", conditional_nce(), "conditional_nce", WORDS | LSTMS | HEAD | SITE, set()),
    *(
        (f"bidirectional lm, {draws}", bidirectional_lm(draws), term, WORDS | lstm(way), layer(way))
        for draws in (None, 10)
        for term, way in (("next_word", "forwards"), ("previous_word", "backwards"))
    ),
    ("self-training", on_vectors(SelfTraining), "self_training", NET, set()),
    ("self-training of chains", on_sentences(lambda counts: SelfTraining()), "self_training", CHAIN, set()),
    ("entropy of chains", on_sentences(lambda counts: EntropyMinimisation()), "entropy_minimisation", CHAIN, set()),
    ("vat of chains", on_sentences(lambda counts: VAT(space=WORD_VECTORS)), "vat", CHAIN, set()),
    ("mean teacher of chains", of_chains, "mean_teacher", CHAIN, set()),
]


@pytest.mark.parametrize(
    ("make", "term", "potential_learns", "objective_learns"),
    [row[1:] for row in PLAYERS],
    ids=[f"{row[0]}-{row[2]}" for row in PLAYERS],
)
def test_players(make, term, potential_learns, objective_learns):
    potential, objective, batch = make()
    objective(potential, batch).loss[term].backward()

    def reached(module):
        return {
            name for name, parameter in module.named_parameters() if parameter.grad is not None and parameter.grad.any()
        }

    assert reached(potential) == potential_learns
    assert reached(objective) == objective_learns


def test_chains_leave_no_gradient_behind():
    potential, objective = Net(), InclusiveNRF(Generator())
    objective(potential, vectors())
    assert all(parameter.grad is None for parameter in [*potential.parameters(), *objective.parameters()])


class Line(nn.Module):
    """u(x) = θ x - x² / 2, so that ∇_θ log p(x) = x - θ: a Gaussian of mean θ."""

    def __init__(self, theta):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta))

    def forward(self, x):
        return Categorical(self.theta * x - x**2 / 2)


@pytest.mark.parametrize("theta", [0.5, -1.0])
def test_the_likelihood_gradient_is_exact_where_the_chain_has_mixed(theta):
    potential = Line(theta)
    objective = PersistentCD(
        torch.randn(100_000, 1), weight=1.0, control=0.0, step_size=0.1, steps=80, momentum=0.0, noise=None
    )
    data = torch.randn(100_000, 1) + 2.0
    objective(potential, Batch(None, torch.zeros(0), data)).loss["likelihood"].backward()
    assert potential.theta.grad.item() == pytest.approx(theta - data.mean().item(), abs=0.02)  # d(-log p)/dθ = θ - E[x]


def test_control_and_entropy_are_the_square_of_u_and_the_uncertainty_of_y_on_the_data_alone():
    potential, batch = Net(), vectors()
    terms = InclusiveNRF(Generator(), control=0.3, entropy=0.7)(potential, batch)
    labels = potential(batch.x_unlabelled)
    torch.testing.assert_close(terms.loss["control"], 0.3 * labels.log_partition.square().mean())
    p = labels.scores.softmax(1)
    torch.testing.assert_close(terms.loss["entropy"], -0.7 * (p * p.log()).sum(1).mean())


def test_control_on_both_sides_is_least_squares():
    u_data, u_samples = torch.randn(7), torch.randn(5)
    chain = Chain(torch.zeros(5, 3), torch.tensor(0.0))
    terms = likelihood_terms(u_data, u_samples, chain, weight=0.6, control=0.1, sample_control=0.1)
    aim = 0.6 / (2 * 0.1)
    squares = 0.1 * ((u_data - aim).square().mean() + (u_samples + aim).square().mean())
    torch.testing.assert_close(total(terms), squares - 2 * 0.1 * aim**2)
    assert set(terms.loss) == {"likelihood", "control", "sample_control"}


def test_the_scalar_potential_is_the_first_score_and_teaches_no_other():
    potential, batch = Net(), vectors()
    objective = InclusiveNRF(Generator(), weight=2.0, control=0.5, steps=0, scalar=True)
    torch.manual_seed(0)
    terms = objective(potential, batch)
    torch.manual_seed(0)
    samples = objective.generator(torch.rand(len(batch.x_unlabelled), 4)).detach()
    u_data, u_samples = potential(batch.x_unlabelled).scores[:, 0], potential(samples).scores[:, 0]
    torch.testing.assert_close(terms.loss["likelihood"], 2 * (u_samples.mean() - u_data.mean()))
    torch.testing.assert_close(terms.loss["control"], 0.5 * u_data.square().mean())
    terms.loss["likelihood"].backward()
    assert potential.head.weight.grad[0].any() and not potential.head.weight.grad[1].any()


def test_persistent_chains_are_written_back_after_the_step_and_only_those_drawn():
    potential, objective = Net(), PersistentCD(torch.randn(50, 3), restart=0.0)
    before = objective.buffer.clone()
    objective(potential, vectors(n_unlabelled=10))
    assert torch.equal(objective.buffer, before)
    objective.update(potential)
    assert (objective.buffer != before).any(1).sum() == 10  # none is drawn twice


def test_a_buffer_smaller_than_a_batch_gives_all_its_chains():
    objective = PersistentCD(torch.randn(6, 3))
    terms = objective(Net(), vectors(n_unlabelled=10))
    objective.update(Net())
    assert total(terms).isfinite()


def test_calming_keeps_the_temperature_of_the_chains():
    objective = PersistentCD(torch.randn(6, 3), step_size=0.08, noise=0.2)
    objective.calm()
    assert objective.noise**2 / objective.step_size == pytest.approx(0.2**2 / 0.08)
    exact = PersistentCD(torch.randn(6, 3), noise=None)
    exact.calm()
    assert exact.noise is None


def test_restarts_come_from_the_start_pool():
    objective = PersistentCD(torch.zeros(50, 3), restart=1.0, steps=0)
    objective.buffer.fill_(9.0)
    objective(Net(), vectors(n_unlabelled=40))
    objective.update(Net())
    assert (objective.buffer == 0).all(1).any()
    assert ((objective.buffer == 0) | (objective.buffer == 9)).all()


@pytest.mark.parametrize(
    ("make", "noisy"),
    [
        (lambda: InclusiveNRF(Generator()), False),
        (lambda: InclusiveNRF(Generator(), noisy=True), True),
        (lambda: PersistentCD(torch.randn(30, 3)), False),
    ],
)
def test_u_is_computed_with_the_nets_noise_always_or_never(make, noisy):
    """Data and samples are compared on one function, and the potential is left in the mode it had."""
    potential, objective = Net(dropout=0.9).train(), make()
    seen = []
    potential.register_forward_hook(lambda module, inputs, output: seen.append(module.training))
    objective(potential, vectors())
    assert seen and all(mode == noisy for mode in seen)
    assert potential.training
    objective(potential.eval(), vectors())
    assert not any(seen[len(seen) // 2 :]) and not potential.training


def test_generator_regresses_onto_the_revised_proposals_by_hand():
    generator, potential = Generator(), Line(0.0)
    generator.net = nn.Linear(4, 1)
    objective = InclusiveNRF(generator, step_size=0.1, steps=1, momentum=0.5, noise=0.0)
    data = torch.randn(20, 1)
    torch.manual_seed(3)
    x0 = generator(torch.rand(20, 4)).detach()
    torch.manual_seed(3)
    terms = objective(potential, Batch(None, torch.zeros(0), data))
    by_hand = ((x0 - 0.1 * x0) - x0).square().sum()  # one step of 0.1 on ∇u = -x
    torch.testing.assert_close(terms.loss["generator"], by_hand)


def test_smoothing_is_noise_in_u_of_chain_data_and_samples_alike_and_no_part_of_a_sample():
    generator, potential, seen = Generator(), Line(0.0), []
    generator.net = nn.Linear(4, 1)
    potential.forward = lambda x: seen.append(x) or Categorical(0.0 * x)  # flat: the chain stays where it is
    objective, data = InclusiveNRF(generator, steps=1, noise=0.0, smoothing=0.5), torch.randn(4000, 1)
    torch.manual_seed(3)
    x0 = generator(torch.rand(4000, 4)).detach()
    torch.manual_seed(3)
    terms = objective(potential, Batch(None, torch.zeros(0), data))
    chain, (of_data, of_samples) = seen[0], seen[1].split(4000)
    noise = torch.cat([chain - x0, of_data - data, of_samples - x0], 1).detach()
    assert terms.loss["generator"] == 0
    torch.testing.assert_close(torch.cov(noise.T), 0.25 * torch.eye(3), atol=0.03, rtol=0)  # drawn anew, and apart


def test_where_the_latent_is_revised_too_the_generator_regresses_from_the_new_one():
    """On a flat u with no noise x stays at G(h), and only h moves; the regression starts at G of where it has moved."""
    generator, potential = Generator(), Line(0.0)
    generator.net = nn.Linear(4, 1, bias=False)
    potential.forward = lambda x: Categorical(0.0 * x)
    objective = InclusiveNRF(generator, step_size=0.1, steps=1, momentum=0.0, noise=0.0, revise_latent=True)
    data = torch.randn(20, 1)
    torch.manual_seed(3)
    h = torch.randn(20, 4)
    torch.manual_seed(3)
    terms = objective(potential, Batch(None, torch.zeros(0), data))
    moved = generator(h - 0.1 * 2 * h / 100)  # at x = G(h) the pull on h is that of its prior alone: ∇ ‖h‖² / 100
    torch.testing.assert_close(terms.loss["generator"], (generator(h) - moved).square().sum())


def test_where_revisions_are_cut_data_are_compared_with_and_proposals_drawn_to_what_is_left():
    """On u = -x²/2 a step of 3 leads from x to -2x, which is lower, and a quarter of the way to x/4."""
    generator, potential = Generator(), Line(0.0)
    generator.net = nn.Linear(4, 1)
    data = torch.zeros(20, 1)
    torch.manual_seed(3)
    x0 = generator(torch.rand(20, 4)).detach()
    for cuts, left in ((None, -2.0), (0, 1.0), (1, 0.25)):
        torch.manual_seed(3)
        objective = InclusiveNRF(generator, step_size=3.0, steps=1, momentum=0.0, noise=0.0, cuts=cuts)
        terms = objective(potential, Batch(None, torch.zeros(0), data))
        torch.testing.assert_close(terms.info["u_samples"] - terms.info["u_data"], -(left * x0).square().mean() / 2)
        torch.testing.assert_close(terms.loss["generator"], ((left - 1) * x0).square().sum())


def test_clip_confines_the_revised_samples():
    objective = InclusiveNRF(Generator(), step_size=100.0, clip=(-1.0, 1.0))
    assert objective(Net(), vectors()).info["largest"] <= 1.0
    assert InclusiveNRF(Generator(), step_size=100.0)(Net(), vectors()).info["largest"] > 1.0


def test_sum_adds_terms_and_refuses_duplicates():
    batch, potential = vectors(), Net()
    both = Sum(Supervised(), InclusiveNRF(Generator()))(potential, batch)
    assert set(both.loss) == {"supervised", "likelihood", "control", "generator"}
    with pytest.raises(ValueError, match="supervised"):
        Sum(Supervised(), Supervised())(potential, batch)


def test_sum_updates_and_calms_every_part():
    parts = PersistentCD(torch.randn(30, 3)), InclusiveNRF(Generator())
    steps = [part.step_size for part in parts]
    Sum(*parts).calm()
    assert [part.step_size for part in parts] == [step / 2 for step in steps]


def weights_after(objective, dropout):
    torch.manual_seed(1)
    potential = Net(dropout)
    x = torch.randn(60, 3)
    batches = Batches(x[:12], torch.arange(12) % 2, x, labelled=5, unlabelled=8, seed=0)
    objective = objective()
    optimizer = adam(0.01)(potential, objective)
    list(train(potential, objective, batches, optimizer, 40))
    return torch.cat([p.detach().flatten() for p in potential.parameters()])


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize(
    "other",
    [
        lambda: InclusiveNRF(Generator(), weight=0.0, control=0.0),
        lambda: PersistentCD(torch.randn(30, 3), weight=0.0, control=0.0),
        lambda: VAT(weight=0.0),
        lambda: EntropyMinimisation(weight=0.0),
        lambda: Ramped(SelfTraining(weight=0.0), steps=20),
        lambda: FixMatch(add_noise, weight=0.0, threshold=0.0),
        lambda: TeacherLabels(Net(), steps=10, weight=0.0, threshold=0.0),
        lambda: PiModel(add_noise, weight=0.0),
        lambda: MeanTeacher(Net(), add_noise, weight=0.0),
        lambda: TemporalEnsembling(60, 2, add_noise, weight=0.0),
        lambda: propagated(weight=0.0),
    ],
)
def test_what_is_added_with_weight_zero_is_supervised_training_to_the_bit(other, dropout):
    supervised = weights_after(Supervised, dropout)
    assert torch.equal(supervised, weights_after(lambda: Sum(Supervised(), other()), dropout))


@pytest.mark.parametrize(
    "other",
    [
        lambda: InclusiveNRF(Generator(), weight=0.1),
        lambda: VAT(),
        lambda: EntropyMinimisation(),
        lambda: Ramped(SelfTraining(), steps=20),
        lambda: FixMatch(add_noise, threshold=0.0),
        lambda: TeacherLabels(Net(), steps=10, threshold=0.0),
        lambda: PiModel(add_noise),
        lambda: MeanTeacher(Net(), add_noise),
        lambda: TemporalEnsembling(60, 2, add_noise),
        propagated,
    ],
)
def test_control_what_is_added_with_a_positive_weight_changes_the_weights(other):
    supervised = weights_after(Supervised, 0.0)
    assert not torch.allclose(supervised, weights_after(lambda: Sum(Supervised(), other()), 0.0))


@pytest.mark.parametrize(
    ("make", "equal"),
    [
        (pseudo_likelihood(weight=0.0), True),
        (conditional_nce(weight=0.0), True),
        (on_sentences(lambda counts: BidirectionalLM(counts, 4, weight=0.0)), True),
        (on_sentences(lambda counts: SelfTraining(0.0)), True),
        (nce(weight=0.0), True),
        (conditional_nce(weight=0.1), False),  # the control
    ],
)
def test_sentences_with_log_p_of_x_of_weight_zero_are_supervised_training_to_the_bit(make, equal):
    ends = []
    for joint in (False, True):
        torch.manual_seed(2)
        potential, other, batch = make()
        objective = Sum(Supervised(), other) if joint else Supervised()
        optimizer = torch.optim.SGD(potential.parameters(), lr=0.1)
        for step in range(10):
            torch.manual_seed(step)
            optimizer.zero_grad()
            sum(objective(potential, batch).loss.values()).backward()
            optimizer.step()
        ends.append(torch.cat([p.detach().flatten() for p in potential.parameters()]))
    assert torch.equal(*ends) == equal


def test_words_without_a_vector_of_their_own_are_no_targets_of_the_pseudo_likelihood():
    """Word 3 has spelling only, word 0 is the unknown one: the mean is over the others, by hand with one draw."""

    class Sites(nn.Module):
        def __init__(self):
            super().__init__()
            self.level = nn.Parameter(torch.tensor([0.3, -1.0, 2.0, 0.7, 0.1]))

        def site_scores(self, x, words):
            self.words = words
            places = x.values[x.inside()]
            return self.level[: len(places)], self.level[: len(places)].unsqueeze(1) + words

    potential, objective = Sites(), PseudoLikelihood(torch.tensor([7, 4, 2]), weight=0.5, draws=1)
    x = Padded(torch.tensor([[1, 3, 0], [2, 0, 0]]), torch.tensor([3, 1]))
    loss = objective(potential, Batch(None, torch.zeros(0), x)).loss["pseudo_likelihood"]
    log_noise = torch.tensor([0.0, 4**0.75, 2**0.75]).log() - torch.tensor(4**0.75 + 2**0.75).log()
    drawn = int(potential.words)
    assert drawn in (1, 2)
    gaps = [drawn - log_noise[drawn] + log_noise[word] for word in (1, 2)]  # r(w_m) - r(x_i)
    torch.testing.assert_close(loss, 0.5 * torch.stack([gap.exp().log1p() for gap in gaps]).mean())
    nothing = Padded(torch.tensor([[3, 0]]), torch.tensor([2]))
    loss = objective(potential, Batch(None, torch.zeros(0), nothing)).loss["pseudo_likelihood"]
    loss.backward()
    assert loss.item() == 0
    assert not potential.level.grad.any()


def test_supervised_noise_falls_on_the_inputs():
    potential, batch = Net(), vectors(n_labelled=2000)
    seen = []
    potential.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    Supervised(noise=0.7)(potential, batch)
    assert (seen[0] - batch.x).std().item() == pytest.approx(0.7, rel=0.05)
    Supervised()(potential, batch)
    assert torch.equal(seen[1], batch.x)


def test_objectives_say_that_forward_is_theirs_to_write():
    with pytest.raises(NotImplementedError):
        Objective()(Net(), vectors())
