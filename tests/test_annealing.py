"""Annealed importance sampling against exact and summed partition functions, with controls that must fail."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal

from fewlabels import annealing
from fewlabels.annealing import PILOTS, annealed_log_partition, reverse_log_partition
from fewlabels.errors import InputError
from fewlabels.labels import Categorical
from fewlabels.objective import noiseless

DIMENSIONS = 8
MEAN = torch.linspace(-2, 2, DIMENSIONS, dtype=torch.float64)
COVARIANCE = 0.8 ** (torch.arange(DIMENSIONS).view(-1, 1) - torch.arange(DIMENSIONS)).abs().double()
GAUSSIAN = MultivariateNormal(MEAN, COVARIANCE)
LOG_Z = (DIMENSIONS * math.log(2 * math.pi) + COVARIANCE.logdet().item()) / 2


def wide(dimensions, scale=3.0, dtype=torch.float64):
    zero = torch.zeros(dimensions, dtype=dtype)
    return Independent(Normal(zero, zero + scale), 1)


def gaussian(x):
    return -((x - MEAN) @ COVARIANCE.inverse() * (x - MEAN)).sum(1) / 2


def normal(x):
    return -(x**2).sum(1) / 2


def mixture(x, weights=(0.3, 0.7), means=((-3.0, 0.0), (3.0, 1.0))):
    """Two Gaussians of standard deviation 1/2, whose paths between them cross a desert."""
    parts = [math.log(w) - 2 * (x - torch.tensor(m)).square().sum(1) for w, m in zip(weights, means, strict=True)]
    return torch.stack(parts).logsumexp(0)


class Bumps(nn.Module):
    """A small network with its quadratic envelope, K labels and dropout: u(x, y) = f_y(x) - ‖x‖²/2."""

    def __init__(self, inputs, labels):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(inputs, 16), nn.Tanh(), nn.Dropout(0.5), nn.Linear(16, labels))

    def forward(self, x):
        return Categorical(3 * self.body(2 * x) - x.square().sum(1, keepdim=True) / 2)


def on_a_grid(u, dimensions, low=-8.0, high=8.0, points=801):
    """Log ∫ exp u by a sum over a grid."""
    axis = torch.linspace(low, high, points)
    x = torch.cartesian_prod(*[axis] * dimensions).view(-1, dimensions)
    with torch.no_grad():
        return (u(x).double().logsumexp(0) + dimensions * math.log((high - low) / (points - 1))).item()


def z(done, truth):
    """Distance from the truth in standard errors, which must be small enough to say something."""
    assert done.standard_error < 0.1
    return abs(done.log_partition - truth) / done.standard_error


def test_a_correlated_gaussian():
    done = annealed_log_partition(gaussian, wide(DIMENSIONS), temperatures=300)
    assert z(done, LOG_Z) < 4
    assert done.effective_sample_size > 0.2
    assert 0.5 < done.acceptance < 0.8


def test_two_modes_in_two_dimensions():
    truth = on_a_grid(mixture, 2)
    assert truth == pytest.approx(math.log(math.pi / 2), abs=1e-4)  # the grid is fine enough: Z = 2πσ²
    assert z(annealed_log_partition(mixture, wide(2, dtype=torch.float32)), truth) < 4


@pytest.mark.parametrize("dimensions", [1, 2])
def test_the_density_of_a_categorical_potential(dimensions):
    """Of u(x), in float32 and without the network's noise; log p(x) then sums to 1 over the grid."""
    potential = Bumps(dimensions, 3)
    with noiseless(potential):
        u = lambda x: potential(x).log_partition  # noqa: E731
        done = annealed_log_partition(u, wide(dimensions, 2.0, torch.float32), temperatures=100)
        assert z(done, on_a_grid(u, dimensions)) < 4
        total = on_a_grid(lambda x: u(x) - done.log_partition, dimensions)
    assert abs(total) < 4 * done.standard_error
    assert done.log_weights.dtype == torch.float64  # whatever that of u


@pytest.mark.parametrize("leapfrog", [1, 4])
def test_the_mean_weight_is_z_and_the_standard_error_that_of_many_runs(leapfrog):
    """With few temperatures and steps too: this is exact, so bias of any transition would show."""
    runs = [
        annealed_log_partition(normal, wide(2, 2.0), chains=100, temperatures=8, step_size=1.5, leapfrog=leapfrog)
        for _ in range(150)
    ]
    z_ratio = torch.tensor([run.log_partition - math.log(2 * math.pi) for run in runs]).exp()
    spread = z_ratio.std().item()
    assert abs(z_ratio.mean().item() - 1) < 4 * spread / math.sqrt(len(runs))
    reported = sum(run.standard_error for run in runs) / len(runs)
    assert spread == pytest.approx(reported, rel=0.25)  # 6 % by chance, and curvature of the logarithm
    assert spread < 0.1


def test_control_without_the_accept_test_the_mean_weight_is_not_z(monkeypatch):
    """As in the last test, from as many chains, but Langevin steps that are all accepted; ε stays what it was."""

    def unadjusted(u, x, step_size, leapfrog):
        _, force = annealing._value_and_force(u, x)
        x = x + step_size**2 / 2 * force + step_size * torch.randn_like(x)
        return x, torch.full((len(x),), annealing.ACCEPTANCE)

    monkeypatch.setattr(annealing, "_transition", unadjusted)
    done = annealed_log_partition(normal, wide(2, 2.0), chains=15000, temperatures=8, step_size=1.5)
    assert abs(done.log_partition - math.log(2 * math.pi)) > 8 * done.standard_error


def test_a_constant_shifts_log_z_by_itself():
    ends = []
    for constant in (0.0, 1000.0):
        torch.manual_seed(3)
        ends.append(annealed_log_partition(lambda x, c=constant: gaussian(x) + c, wide(DIMENSIONS), temperatures=50))
    assert ends[1].log_partition - ends[0].log_partition == pytest.approx(1000, abs=1e-8)
    assert ends[1].standard_error == pytest.approx(ends[0].standard_error, abs=1e-8)


def test_the_base_itself_is_known_without_error():
    base = wide(3)
    done = annealed_log_partition(base.log_prob, base, temperatures=5)
    assert done.log_partition == pytest.approx(0, abs=1e-12)
    assert done.standard_error == pytest.approx(0, abs=1e-7)
    assert done.effective_sample_size == pytest.approx(1)


def test_diagnostics_by_hand():
    """One temperature is importance sampling: weights e^u / q at draws of q."""
    torch.manual_seed(5)
    done = annealed_log_partition(normal, wide(2), chains=40, temperatures=1)
    torch.manual_seed(5)
    x = wide(2).sample((40 + PILOTS,))[:40]
    w = (normal(x) - wide(2).log_prob(x)).exp()
    assert done.log_partition == pytest.approx(w.mean().log().item())
    assert done.standard_error == pytest.approx((w.std() / w.mean() / math.sqrt(40)).item())
    assert done.effective_sample_size == pytest.approx((w.sum() ** 2 / (w**2).sum() / 40).item())
    assert math.isnan(done.acceptance)
    torch.testing.assert_close(done.log_weights, w.log())


def test_control_one_temperature_from_far_away_is_off_and_says_so():
    far = Independent(Normal(MEAN + 4, torch.ones_like(MEAN)), 1)
    one, many = (annealed_log_partition(gaussian, far, temperatures=t) for t in (1, 400))
    assert one.log_partition < LOG_Z - 2 * one.standard_error
    assert one.effective_sample_size < 0.02
    assert z(many, LOG_Z) < 4
    assert many.effective_sample_size > 0.1


def test_forward_and_reverse_runs_hold_log_z_between_them():
    """Few temperatures leave a gap around the truth, many close it."""
    x = GAUSSIAN.sample((500 + PILOTS,))
    gaps = []
    for temperatures in (10, 400):
        below = annealed_log_partition(gaussian, wide(DIMENSIONS), temperatures=temperatures)
        above = reverse_log_partition(gaussian, wide(DIMENSIONS), x, temperatures=temperatures)
        assert below.log_partition - 4 * below.standard_error < LOG_Z < above.log_partition + 4 * above.standard_error
        gaps.append(above.log_partition - below.log_partition)
    assert z(above, LOG_Z) < 4
    assert gaps[0] > 0.8
    assert abs(gaps[1]) < 0.3


def test_control_a_mode_that_the_base_misses_shows_in_the_reverse_run_alone():
    base = Independent(Normal(torch.tensor([3.0, 1.0]), torch.full((2,), 0.5)), 1)
    modes = torch.tensor([[-3.0, 0.0], [3.0, 1.0]])[torch.multinomial(torch.tensor([0.3, 0.7]), 500 + PILOTS, True)]
    truth = math.log(math.pi / 2)
    below = annealed_log_partition(mixture, base, temperatures=50)
    above = reverse_log_partition(mixture, base, modes + 0.5 * torch.randn(500 + PILOTS, 2), temperatures=50)
    assert below.effective_sample_size > 0.9
    assert below.log_partition == pytest.approx(truth + math.log(0.7), abs=0.01)  # the other mode's share is missing
    assert above.log_partition > truth - 4 * above.standard_error > below.log_partition + 0.2


@pytest.mark.parametrize("step_size", [1e-3, 100.0])
def test_a_step_size_that_is_far_off_is_mended_on_the_way(step_size):
    done = annealed_log_partition(gaussian, wide(DIMENSIONS), temperatures=300, step_size=step_size)
    assert z(done, LOG_Z) < 4
    assert 0.5 < done.acceptance < 0.8


def test_forces_that_overflow_are_rejected_rather_than_spread():
    quartic = lambda x: -(x**4).sum(1)  # noqa: E731
    done = annealed_log_partition(quartic, wide(2, 2.0, torch.float32), step_size=1e3)
    assert z(done, 2 * math.log(2 * math.gamma(1.25))) < 4
    stuck = annealed_log_partition(quartic, wide(2, 2.0, torch.float32), temperatures=20, step_size=1e30)
    assert stuck.acceptance < 1e-3  # control: nothing moved, which shows
    assert stuck.effective_sample_size < 0.3


def test_pilots_are_not_counted():
    done = annealed_log_partition(normal, wide(2), chains=7, temperatures=3)
    assert done.log_weights.shape == (7,)
    images = Independent(Normal(torch.zeros(1, 2, 2), 2.0), 3)
    done = annealed_log_partition(lambda x: -x.square().flatten(1).sum(1) / 2, images, temperatures=100)
    assert z(done, 2 * math.log(2 * math.pi)) < 4  # whatever the shape of x


def test_a_potential_that_is_nan_makes_no_claim():
    done = annealed_log_partition(lambda x: x.sum(1) * float("nan"), wide(2), temperatures=3)
    assert math.isnan(done.log_partition) and math.isnan(done.standard_error)


def test_the_potentials_parameters_are_left_alone():
    potential = Bumps(2, 3).eval()
    annealed_log_partition(lambda x: potential(x).log_partition, wide(2, dtype=torch.float32), temperatures=3)
    assert all(parameter.grad is None for parameter in potential.parameters())


def test_what_is_refused():
    with pytest.raises(InputError, match="Independent"):
        annealed_log_partition(normal, Normal(torch.zeros(2), 1.0))
    with pytest.raises(InputError, match=r"of shape \(550,\), got \(550, 1\)"):
        annealed_log_partition(lambda x: x.sum(1, keepdim=True), wide(2))
    with pytest.raises(InputError, match="at least 2 chains"):
        annealed_log_partition(normal, wide(2), chains=1)
    with pytest.raises(InputError, match="at least 1"):
        annealed_log_partition(normal, wide(2), temperatures=0)
    with pytest.raises(InputError, match="pilots"):
        reverse_log_partition(normal, wide(2), torch.zeros(20, 2))
