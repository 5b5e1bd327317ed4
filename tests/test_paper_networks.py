"""The paper's networks for images: sizes to the last parameter, their parts against plain torch, and precision."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fewlabels.image import ConvNet, cifar10_body, small_body, svhn_body
from fewlabels.layers import WeightNormDeconv, initialise_from_data
from fewlabels.samplers import sghmc
from fewlabels.tabular import MLP
from fewlabels.vectors import PRESETS

COUNTS = {
    "mnist": ((1, 28, 28), 1_538_770, 1_536_500, 694_568, 692_000),
    "svhn": ((3, 32, 32), 626_580, 121_505_024, 4_933_382, 108_134_400),
    "cifar10": ((3, 32, 32), 3_119_764, 731_383_040, 4_933_382, 108_134_400),
}
"""Shape of an input; parameters and multiply-adds an input of the potential, and of the generator."""


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def multiply_adds(network, x):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(x)
    return counter.get_total_flops() / 2 / len(x)


@pytest.mark.parametrize("name", COUNTS)
def test_sizes_are_the_papers(name):
    shape, of_potential, work, of_generator, generator_work = COUNTS[name]
    bounds = torch.zeros(shape), torch.ones(shape)
    potential, generator = PRESETS[name].potential(shape, 10), PRESETS[name].generator(*bounds)
    assert parameters(potential) == of_potential
    assert parameters(generator) == of_generator
    assert multiply_adds(potential, torch.zeros(2, *shape)) == work
    assert multiply_adds(generator, torch.zeros(2, generator.latent)) == generator_work


@pytest.mark.parametrize("name", COUNTS)
def test_a_generator_spans_the_range_of_the_pixels(name):
    shape = COUNTS[name][0]
    generator = PRESETS[name].generator(torch.zeros(shape), torch.ones(shape))
    with torch.no_grad():
        x = generator(50 * torch.randn(20, generator.latent))
        generator.head.b.fill_(1e3)
        top = generator(torch.rand(20, generator.latent))
    low, high = PRESETS[name].range
    assert low <= x.min() and x.max() <= high
    torch.testing.assert_close(top, torch.full_like(top, high))


def test_a_transposed_convolution_has_filters_of_norm_g_for_each_output():
    layer = WeightNormDeconv(3, 2, 5, stride=2, padding=2, output_padding=1, train_scale=True, spread=0.7)
    plain = nn.ConvTranspose2d(3, 2, 5, stride=2, padding=2, output_padding=1)
    with torch.no_grad():
        norms = torch.stack([layer.v[:, unit].norm() for unit in range(2)])
        plain.weight.copy_(0.7 * layer.v / norms[None, :, None, None])
        plain.bias.copy_(layer.b)
    x = torch.randn(4, 3, 4, 4)
    torch.testing.assert_close(layer(x), plain(x), atol=1e-5, rtol=1e-4)
    initialise_from_data(layer, x)
    out = layer(x).transpose(0, 1).flatten(1)
    torch.testing.assert_close(out.mean(1), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(out.std(1), torch.full((2,), 0.7), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    "network",
    [MLP(48, 5), ConvNet(small_body(3, 8), 32, 5), ConvNet(svhn_body(), 128, 5), ConvNet(cifar10_body(), 128, 5)],
    ids=["dense", "small", "svhn", "cifar10"],
)
def test_u_is_in_float32_under_autocast_and_close_to_the_exact(network):
    side = 4 if isinstance(network, MLP) else 16
    x = torch.randn(8, 3, side, side)
    network.eval()
    initialise_from_data(network, torch.randn(64, 3, side, side))
    exact = network(x)
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(x)
    assert rough.scores.dtype == torch.float32
    assert not torch.equal(rough.scores, exact.scores)  # autocast is on
    torch.testing.assert_close(rough.log_partition, exact.log_partition, atol=0.05, rtol=0.02)


def test_a_chain_in_bfloat16_goes_where_the_exact_one_goes():
    network = ConvNet(small_body(3), 128, 10).eval()
    x = torch.rand(16, 3, 16, 16)
    initialise_from_data(network, x)

    def move(network, enabled):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            chain = sghmc(lambda x: network(x).log_partition, x, step_size=1.0, steps=3, noise=0.0)
        return (chain.x - x).flatten()

    def cosine(a, b):
        return nn.functional.cosine_similarity(a, b, dim=0).item()

    exact, rough = move(network, False), move(network, True)
    assert rough.dtype == torch.float32
    assert cosine(exact, rough) > 0.97
    other = ConvNet(small_body(3), 128, 10).eval()
    initialise_from_data(other, x)
    assert cosine(exact, move(other, False)) < 0.9  # another network goes elsewhere


@pytest.mark.parametrize("shape", [(1, 3, 3), (2, 5, 9), (3, 32, 32)])
def test_the_small_network_takes_images_of_any_size(shape):
    scores = ConvNet(small_body(shape[0]), 128, 4)(torch.zeros(2, *shape)).scores
    assert scores.shape == (2, 4)


@pytest.mark.parametrize("channels", [1, 3])
def test_all_maps_lie_channels_last_in_memory_also_those_of_one_channel(channels):
    """Strides of one channel do not say so by themselves, and the whole network would take the slower way."""
    network = ConvNet(small_body(channels, 4), 16, 4)
    seen = []
    for layer in network.body:
        layer.register_forward_hook(
            lambda module, inputs, out: seen.append(out.is_contiguous(memory_format=torch.channels_last))
        )
    network(torch.zeros(2, channels, 12, 12))
    assert len(seen) == len(network.body) and all(seen)
