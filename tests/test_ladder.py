"""The ladder network: its squares by hand, a Gaussian's best denoiser in closed form, who learns, what hooks leave."""

import copy
import math
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from fewlabels.batches import Batches
from fewlabels.checkpoint import Checkpoint
from fewlabels.fit import fit
from fewlabels.image import ConvNet, small_body
from fewlabels.labels import Categorical
from fewlabels.normalisation import over_batches
from fewlabels.objective import Batch, Sum
from fewlabels.objectives.ladder import Ladder
from fewlabels.objectives.supervised import Supervised
from fewlabels.optimizers import adam
from fewlabels.stage import Stage
from fewlabels.tabular import MLP
from fewlabels.train import total, train
from networks import Net


class Line(nn.Module):
    """Scores W x + b: a ladder of two rungs."""

    def __init__(self, inputs=3, labels=2):
        super().__init__()
        self.head = nn.Linear(inputs, labels)

    def forward(self, x):
        return Categorical(self.head(x))


def unlabelled(x):
    return Batch(x[:1], torch.zeros(1, dtype=torch.long), x)


def stirred(ladder):
    """With a decoder that is somewhere, not at its start, where u has no say."""
    for parameter in ladder.parameters():
        nn.init.normal_(parameter)
    return ladder


def normalised(z):
    return (z - z.mean(0)) / (z.var(0, correction=0) + 1e-6).sqrt()


def g(a, z, u):
    """Unit by unit, the five numbers of μ and the five of v."""
    columns = []
    for d in range(z.shape[1]):
        (a1, a2, a3, a4, a5), (b1, b2, b3, b4, b5) = a[0, :, d, 0, 0].tolist(), a[1, :, d, 0, 0].tolist()
        mean = a1 / (1 + (-a2 * u[:, d] - a3).exp()) + a4 * u[:, d] + a5
        slope = b1 / (1 + (-b2 * u[:, d] - b3).exp()) + b4 * u[:, d] + b5
        columns.append((z[:, d] - mean) * slope + mean)
    return torch.stack(columns, 1)


def test_two_rungs_by_hand():
    potential, x = Line(), torch.randn(7, 3)
    ladder = stirred(Ladder(potential, x, weight=2.0, noise=0.4, input_noise=0.6, weights=(5.0, 0.7)))
    torch.manual_seed(3)
    loss = ladder(potential, unlabelled(x)).loss
    torch.manual_seed(3)
    z = potential(x).scores.detach()
    noisy_x = x + 0.6 * torch.randn(7, 3)
    seen = normalised(potential(noisy_x).scores.detach()) + 0.4 * torch.randn(7, 2)
    noisy_z = z.mean(0) + z.std(0, correction=0) * seen
    top = g(ladder.a[1], seen, normalised(noisy_z.softmax(1)))
    bottom = g(ladder.a[0], noisy_x, normalised(top @ ladder.v[0].weight.T))
    torch.testing.assert_close(loss["denoise_1"], 2 * 0.7 * (top - normalised(z)).square().mean(), rtol=1e-4, atol=0)
    torch.testing.assert_close(loss["denoise_0"], 2 * 5.0 * (bottom - x).square().mean(), rtol=1e-4, atol=0)


def test_the_gamma_model_is_the_last_term_alone():
    potential, x = Net(), torch.randn(9, 3)
    full, gamma = Ladder(potential, x, weights=(3.0, 2.0, 0.5)), Ladder(potential, x, weights=(0.5,), gamma=True)
    losses = []
    for ladder in (full, gamma):
        torch.manual_seed(1)
        losses.append(ladder(potential, unlabelled(x)).loss)
    assert set(losses[0]) == {"denoise_0", "denoise_1", "denoise_2"}
    assert losses[1] == {"denoise_2": losses[0]["denoise_2"]}
    assert full.weights == [3.0, 2.0, 0.5] and len(gamma.a) == 1 and not len(gamma.v)


@pytest.mark.parametrize("noise", [0.3, 1.0])
def test_the_right_denoiser_attains_the_best_error_of_a_gaussian(noise):
    """Of z ~ N(0, 1) under noise of variance σ² the best linear estimate errs by σ² / (1 + σ²); other slopes err more.

    Behind a linear layer the input's noise comes through in the same proportion, and what is normalised there is
    z̃ = (z + σ n) / √(1 + σ²) + σ n': with z it has the covariance (1 + σ²)^(-1/2), by itself the variance 1 + σ².
    """
    potential, x = Line(), torch.randn(100_000, 3)
    ladder = Ladder(potential, x, noise=noise, input_noise=noise, weights=(1.0,))

    def errors(slope):
        with torch.no_grad():
            ladder.a[1][1, 4] = slope
        return ladder(potential, unlabelled(x)).loss

    whole = 1 + noise**2
    best = errors(whole**-1.5)
    assert best["denoise_0"].item() == pytest.approx(noise**2 / (1 + noise**2), rel=0.02)  # its start is right
    assert best["denoise_1"].item() == pytest.approx(1 - whole**-2, rel=0.02)
    for slope in (0.8, 1.2):
        assert errors(slope * whole**-1.5)["denoise_1"] > 1.01 * best["denoise_1"]


def test_what_is_known_above_helps_below():
    """Two inputs that are one number under noises of their own: knowing both, an estimate errs by σ² / (2 + σ²)."""
    x = torch.randn(500, 1).repeat(1, 2)
    potential = Line(2, 2)
    with torch.no_grad():
        potential.head.weight.copy_(torch.tensor([[1.0, 1.0], [-1.0, -1.0]]))
    ladder = Ladder(potential, x, noise=1.0, input_noise=1.0, weights=(1.0, 0.0))
    batches = Batches(x[:1], torch.zeros(1, dtype=torch.long), x, labelled=1, unlabelled=500, seed=0)
    optimizer = torch.optim.Adam(ladder.parameters(), 0.03)
    last = [terms.loss["denoise_0"].item() for terms in train(potential, ladder, batches, optimizer, 300)][-100:]
    assert sum(last) / 100 < 0.46  # 1/3 but for the noise of the layer above; 1/2 for who sees one input alone


def test_weights_gain_nothing_by_growing():
    """Scores and noise grow alike, so along the weights themselves the gradient is 0, and it is not across them."""
    potential, x = Line(), torch.randn(50, 3)
    Ladder(potential, x, gamma=True)(potential, unlabelled(x)).loss["denoise_1"].backward()
    w, b = potential.head.weight, potential.head.bias
    along = (w * w.grad).sum() + (b * b.grad).sum()
    assert w.grad.norm() > 1e-3
    assert abs(along) < 1e-3 * w.grad.norm() * w.norm()


NET = {"body.0.weight", "body.0.bias", "head.weight", "head.bias"}
PLAYERS = [
    (True, "denoise_2", NET, {"a.0"}),
    (False, "denoise_2", NET, {"a.2"}),
    (False, "denoise_1", NET, {"a.1", "a.2", "v.1.weight"}),
    (False, "denoise_0", NET, {"a.0", "a.1", "a.2", "v.0.weight", "v.1.weight"}),
]


@pytest.mark.parametrize(("gamma", "term", "potential_learns", "objective_learns"), PLAYERS)
def test_players(gamma, term, potential_learns, objective_learns):
    potential, x = Net(), torch.randn(20, 3)
    ladder = stirred(Ladder(potential, x, gamma=gamma))
    ladder(potential, unlabelled(x)).loss[term].backward()

    def reached(module):
        return {name for name, p in module.named_parameters() if p.grad is not None and p.grad.any()}

    assert reached(potential) == potential_learns
    assert reached(ladder) == objective_learns


def problem(dropout=0.0, seed=1):
    torch.manual_seed(seed)
    x = torch.randn(60, 3)
    return Net(dropout), Batches(x[:12], torch.arange(12) % 2, x, labelled=5, unlabelled=8, seed=0)


def weights_after(joined, dropout):
    potential, batches = problem(dropout)
    objective = joined(potential, batches.x_unlabelled)
    list(train(potential, objective, batches, adam(0.01)(potential, objective), 40))
    return torch.cat([p.detach().flatten() for p in potential.parameters()])


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("gamma", [True, False])
def test_weight_zero_is_supervised_training_to_the_bit_and_a_positive_one_is_not(dropout, gamma):
    supervised = weights_after(lambda potential, x: Supervised(noise=0.3), dropout)
    for weight in (0.0, 1.0):
        joint = weights_after(
            lambda potential, x: Sum(Supervised(noise=0.3), Ladder(potential, x, weight, gamma=gamma)),  # noqa: B023
            dropout,
        )
        assert torch.equal(supervised, joint) == (weight == 0)


def images():
    return ConvNet(small_body(1, width=2), 8, 3), torch.randn(16, 1, 9, 9)


def rows():
    return MLP(6, 3, hidden=(8, 5), noise=0.5), torch.randn(16, 6)


def flat_images():
    return MLP(9, 3, hidden=(8, 5)), torch.randn(16, 1, 3, 3)


@pytest.mark.parametrize("make", [images, rows, flat_images])
@pytest.mark.parametrize("gamma", [True, False])
def test_vectors_and_images_one_row_and_bfloat16(make, gamma):
    potential, x = make()
    ladder = stirred(Ladder(potential, x, gamma=gamma, noise=0.1, input_noise=0.1))
    potential.train()
    for count in (1, 16):
        torch.manual_seed(0)
        exact = total(ladder(potential, unlabelled(x[:count])))
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = total(ladder(potential, unlabelled(x[:count])))
        rounded.backward()
        assert rounded.dtype == torch.float32
        if count > 1:  # of one row the clean pass is its own mean, and rounding its whole deviation
            torch.testing.assert_close(rounded, exact, rtol=0.1, atol=0)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in potential.parameters())


def test_activations_in_place_leave_the_targets_as_they_were():
    losses = []
    for inplace in (True, False):
        torch.manual_seed(0)
        potential, x = images()
        for module in potential.modules():
            if isinstance(module, nn.LeakyReLU):
                module.inplace = inplace
        losses.append(stirred(Ladder(potential, x))(potential, unlabelled(x)).loss)
    assert losses[0] == losses[1] and len(losses[0]) == 8


class Fragile(Net):
    broken = False

    def forward(self, x):
        labels = super().forward(x)
        if self.broken:
            raise RuntimeError("broken")
        return labels


def test_hooks_leave_nothing_behind_not_even_by_an_error():
    potential, x = Fragile(dropout=0.5).train(), torch.randn(5, 3)
    ladder = Ladder(potential, x)
    ladder(potential, unlabelled(x))
    potential.broken = True
    with pytest.raises(RuntimeError, match="broken"):
        ladder(potential, unlabelled(x))
    assert not any(module._forward_hooks for module in potential.modules())
    assert potential.training


def test_the_potentials_own_noise_is_off_and_the_ladders_is_on():
    potential, x = Net(dropout=0.9).train(), torch.randn(2000, 3)
    seen = []
    potential.body[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    ladder = Ladder(potential, x, input_noise=0.7)
    potential.body[2].register_forward_hook(lambda module, inputs, output: seen.append(output - inputs[0]))
    ladder(potential, unlabelled(x))
    trial, clean, _, corrupted, _ = seen
    assert len(trial) == 2 and torch.equal(clean, x)
    assert (corrupted - x).std().item() == pytest.approx(0.7, rel=0.05)
    assert not seen[2].any() and not seen[4].any()


@pytest.mark.parametrize("norm", [False, True])
def test_labels_are_learnt_through_the_same_noise(norm):
    """At the input, behind the normalisation of a hidden layer, and on the scores; the network's own is off."""
    potential, x, y = Net(dropout=0.9).train(), torch.randn(7, 3), torch.arange(7) % 2
    torch.manual_seed(3)
    with over_batches(potential) if norm else nullcontext():
        loss = Supervised(2.0, noise=0.6, layer_noise=0.3)(potential, Batch(x, y, x)).loss["supervised"]
    assert potential.training
    torch.manual_seed(3)
    n_0, n_1, n_2 = 0.6 * torch.randn(7, 3), 0.3 * torch.randn(7, 8), 0.3 * torch.randn(7, 2)
    z = potential.body[0](x + n_0)
    z = normalised(z) if norm else z
    scores = potential.head(torch.tanh(z + n_1)) + n_2
    by_hand = 2.0 * nn.functional.cross_entropy(scores, y)
    torch.testing.assert_close(loss, by_hand, rtol=1e-4, atol=0)


def test_two_layers_learn_as_by_hand():
    """Γ at its start: θ is reached through both passes of both layers, the target's as well as the estimate's."""
    potential, x = Net(), torch.randn(7, 3)
    ladder = Ladder(potential, x, input_noise=0.3, weights=(1.0,), gamma=True)
    torch.manual_seed(3)
    with over_batches(potential):
        ladder(potential, unlabelled(x)).loss["denoise_2"].backward()
    torch.manual_seed(3)
    n_0, n_1, n_2 = 0.3 * torch.randn(7, 3), 0.3 * torch.randn(7, 8), 0.3 * torch.randn(7, 2)
    theirs = copy.deepcopy(potential)
    theirs.zero_grad()
    first, last = theirs.body[0], theirs.head
    h = torch.tanh(normalised(first(x + n_0)) + n_1)
    target = normalised(last(torch.tanh(normalised(first(x)))))
    ((normalised(last(h)) + n_2) / 1.09 - target).square().mean().backward()
    for ours, own in zip(potential.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, own.grad, rtol=1e-3, atol=1e-5)


def test_an_interrupted_run_resumes_to_the_bit(tmp_path):
    def start():
        potential, batches = problem()
        ladder = Ladder(potential, batches.x_unlabelled)
        return potential, [Stage("ladder", Sum(Supervised(noise=0.3), ladder), 160, adam(0.01), average=0.9)], batches

    def interrupt(name, done, total):
        if done == 131:
            raise KeyboardInterrupt

    potential, stages, batches = start()
    records = fit(potential, stages, batches)
    assert set(records[0].values) == {"supervised", "denoise_0", "denoise_1", "denoise_2"}
    resumed, stages, batches = start()
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        fit(resumed, stages, batches, checkpoint=checkpoint, report=interrupt)
    resumed, stages, batches = start()
    fit(resumed, stages, batches, checkpoint=checkpoint)
    assert all(torch.equal(a, b) for a, b in zip(potential.parameters(), resumed.parameters(), strict=True))


def test_the_decoder_starts_where_a_unit_by_itself_is_best_denoised():
    ladder = Ladder(Line(), torch.zeros(2, 3), input_noise=2.0)
    assert ladder.a[0][1, 4].flatten().tolist() == [pytest.approx(0.2)] * 3
    assert math.prod(ladder.a[0].shape) == 30  # ten numbers a unit
