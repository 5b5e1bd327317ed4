"""Samplers against the exact moments of Gaussians, with controls that must fail."""

import pytest
import torch

from fewlabels.samplers import Chain, backtracked, langevin, revise, sghmc

MEAN = torch.tensor([1.0, -2.0])
COVARIANCE = torch.tensor([[1.0, 0.6], [0.6, 0.8]])
PRECISION = COVARIANCE.inverse()
CHAINS = 6000


def gaussian(x):
    return -0.5 * ((x - MEAN) @ PRECISION * (x - MEAN)).sum(1)


def moments_z(x):
    """Largest deviation of mean and covariance from the truth, in Monte-Carlo standard errors."""
    n = len(x)
    z_mean = (x.mean(0) - MEAN) / (COVARIANCE.diag() / n).sqrt()
    products = (x - MEAN).unsqueeze(2) * (x - MEAN).unsqueeze(1)
    z_cov = (products.mean(0) - COVARIANCE) / (products.var(0) / n).sqrt()
    return max(z_mean.abs().max().item(), z_cov.abs().max().item())


def test_langevin_has_the_moments_of_a_correlated_gaussian():
    chain = langevin(gaussian, torch.zeros(CHAINS, 2), step_size=0.01, steps=500)
    assert moments_z(chain.x) < 6  # 4.5 and the bias of the discretisation, 1 % of the variance


@pytest.mark.parametrize("momentum", [0.5, 0.9])
def test_sghmc_has_the_moments_of_a_correlated_gaussian(momentum):
    chain = sghmc(gaussian, torch.zeros(CHAINS, 2), step_size=0.002, steps=1500, momentum=momentum)
    assert moments_z(chain.x) < 6


@pytest.mark.parametrize("noise", [0.1, 0.2])  # √ε and 2√ε in place of √(2ε)
def test_control_a_wrong_noise_is_told_apart(noise):
    chain = langevin(gaussian, torch.zeros(CHAINS, 2), step_size=0.01, steps=500, noise=noise)
    assert moments_z(chain.x) > 15


def test_momentum_without_noise_follows_the_recursion_by_hand():
    slope = torch.tensor([1.0, -2.0])
    x, v = torch.zeros(2), torch.zeros(2)
    for _ in range(7):
        v = 0.5 * v + 0.1 * slope
        x = x + v
    chain = sghmc(lambda x: x @ slope, torch.zeros(1, 2), step_size=0.1, steps=7, momentum=0.5, noise=0.0)
    torch.testing.assert_close(chain.x[0], x)
    assert chain.displacement.item() == pytest.approx(x.abs().mean().item())


def test_each_row_moves_by_its_own_gradient():
    u = lambda x: -(x**2).sum(1)  # noqa: E731
    together = langevin(u, torch.tensor([[1.0], [2.0]]), step_size=0.1, steps=3, noise=0.0).x
    alone = langevin(u, torch.tensor([[2.0]]), step_size=0.1, steps=3, noise=0.0).x
    torch.testing.assert_close(together[1:], alone)


def test_a_chain_is_a_constant_and_leaves_parameters_alone():
    weight = torch.ones(2, requires_grad=True)
    start = torch.zeros(3, 2, requires_grad=True)
    chain = langevin(lambda x: x @ weight, start, step_size=0.1, steps=2, generator=torch.Generator().manual_seed(0))
    assert not chain.x.requires_grad
    assert weight.grad is None
    assert start.grad is None


def test_the_same_generator_gives_the_same_chain():
    ends = [
        langevin(gaussian, torch.zeros(4, 2), step_size=0.1, steps=5, generator=torch.Generator().manual_seed(7)).x
        for _ in range(2)
    ]
    assert torch.equal(*ends)


WEIGHTS = torch.tensor([[0.8, -0.3], [0.2, 0.5]])


def linear(h):
    return h @ WEIGHTS.T


def test_revision_of_x_and_h_with_a_flat_u_samples_the_joint_of_the_generator():
    """x stays at G(h) when u is flat and x gets no noise; h must then follow p(h | x), a Gaussian known exactly."""
    sigma = 0.5
    h0 = torch.tensor([[0.7, -1.2]]).repeat(CHAINS, 1)
    x0 = linear(h0[:1])[0]
    precision = WEIGHTS.T @ WEIGHTS / sigma**2 + torch.eye(2)
    mean = torch.linalg.solve(precision, WEIGHTS.T @ x0 / sigma**2)
    chain, h = revise(
        lambda x: 0.0 * x.sum(1), linear, h0, step_size=0.0, latent_step_size=0.002, steps=1500, sigma=sigma
    )
    torch.testing.assert_close(chain.x, linear(h0))
    covariance = precision.inverse()
    z = (h.mean(0) - mean) / (covariance.diag() / CHAINS).sqrt()
    assert z.abs().max() < 6
    assert (h.T.cov() - covariance).abs().max() < 0.03
    assert (h.mean(0) - h0[0]).abs().max() > 0.05  # control: it did move


def test_revision_of_x_and_h_leaves_x_with_the_moments_of_p():
    h0 = torch.randn(CHAINS, 2)
    chain, _ = revise(gaussian, linear, h0, step_size=0.002, steps=1500)
    assert moments_z(chain.x) < 6


def test_revision_of_x_and_h_evaluates_the_generator_at_every_new_h():
    """By hand for scalars: the authors' code uses G(h) of an earlier h from the second step on."""
    w, eps, beta, sigma = 0.5, 0.1, 0.5, 0.8
    h, x, v_x, v_h = 1.0, 0.5, 0.0, 0.0
    for _ in range(3):
        v_x = beta * v_x + eps * 2.0
        x += v_x
        v_h = beta * v_h - eps * (-2 * (x - w * h) * w + 2 * sigma**2 * h)  # down ‖x - G(h)‖² + σ² ‖h‖², as theirs
        h += v_h
    chain, h_revised = revise(
        lambda x: 2.0 * x.sum(1), lambda h: w * h, torch.tensor([[1.0]]),
        step_size=eps, steps=3, momentum=beta, noise=0.0, sigma=sigma,
    )  # fmt: skip
    assert chain.x.item() == pytest.approx(x, rel=1e-5)
    assert h_revised.item() == pytest.approx(h, rel=1e-5)


def peak(x):
    return -(x**2).sum(1)


@pytest.mark.parametrize(
    ("end", "cuts", "expected"),
    [
        (-0.75, 2, -0.75),  # rose
        (-1.0, 2, -1.0),  # neither rose nor fell
        (-3.0, 2, 0.0),  # fell; a quarter of the way is uphill
        (-3.0, 0, 1.0),
        (-31.0, 1, 1.0),  # a quarter of the way, -7, is still lower, and there are no more cuts
        (-31.0, 2, -1.0),
        (-127.0, 2, 1.0),
        (float("nan"), 2, 1.0),
    ],
)
def test_a_chain_that_overshot_is_cut_to_quarters_until_it_rises_by_hand(end, cuts, expected):
    start, chain = torch.ones(2, 1), Chain(torch.tensor([[end], [0.5]]), torch.tensor(0.0))
    cut = backtracked(peak, start, chain, cuts)
    assert cut.x.tolist() == [[expected], [0.5]]  # the row beside it is left alone
    assert cut.displacement.item() == pytest.approx((abs(expected - 1) + 0.5) / 2)


@pytest.mark.parametrize("cuts", [0, 1, 3])
def test_no_image_ends_lower_than_it_began_and_none_that_rose_is_moved(cuts):
    u = lambda x: x.flatten(1).sin().sum(1)  # noqa: E731
    start = torch.randn(200, 1, 3, 2)
    chain = sghmc(u, start, step_size=8.0, steps=2, noise=0.0)
    cut = backtracked(u, start, chain, cuts)
    fell = u(chain.x) < u(start)
    assert 20 < fell.sum() < 180
    assert (u(cut.x) >= u(start)).all()
    assert torch.equal(cut.x[~fell], chain.x[~fell])
