"""The paper's networks for images: sizes to the last parameter, their parts against plain torch, and precision."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from fewlabels.image import ConvNet, cifar10_body, small_body, svhn_body
from fewlabels.layers import Dropout, WeightNormDeconv, initialise_from_data
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


@pytest.mark.parametrize(("channels", "first"), [(1, 16), (3, 32), (4, 32)])
def test_wide_is_small_of_twice_the_channels(channels, first):
    small, wide = (
        [layer.v.shape[:2] for layer in PRESETS[name].potential((channels, 16, 16), 5).modules() if hasattr(layer, "v")]
        for name in ("small", "wide")
    )
    inner = [(2 * outputs, 2 * inputs) for outputs, inputs in small]
    assert small[0] == (first, channels) and small[-1] == (5, 4 * first)
    assert wide == [(inner[0][0], channels), *inner[1:-1], (5, inner[-1][1])]


def normalised(layer):
    """W = g v / ‖v‖, of each unit."""
    return layer.g * layer.v / layer.v.flatten(1).norm(dim=1).view(-1, *[1] * (layer.v.dim() - 1))


def plain_dense(network, x):
    x = x.flatten(1)
    for layer in network.body:
        x = F.linear(x, normalised(layer), layer.b).clamp(min=0)
    return F.linear(x, normalised(network.head), network.head.b)


def plain_convolutions(network, x, strides, paddings, pooled):
    """Convolutions with leaky ReLU of slope 0.2, pooled behind some of them, then the mean over places and a head."""
    layers = [layer for layer in network.body if hasattr(layer, "v")]
    for number, (layer, stride, padding) in enumerate(zip(layers, strides, paddings, strict=True)):
        x = F.conv2d(x, normalised(layer), layer.b, stride=stride, padding=padding)
        x = torch.where(x > 0, x, 0.2 * x)
        if number in pooled:
            x = F.max_pool2d(x, 2)
    return F.linear(x.mean((2, 3)), normalised(network.head), network.head.b)


PLAIN = {
    "mnist": plain_dense,
    "svhn": lambda network, x: plain_convolutions(network, x, [1, 1, 2, 1, 1, 2, 1, 1, 1], [1] * 6 + [0] * 3, ()),
    "cifar10": lambda network, x: plain_convolutions(network, x, [1] * 9, [1] * 6 + [0] * 3, (2, 5)),
}


@pytest.mark.parametrize("name", COUNTS)
def test_a_potential_is_the_papers_written_plainly(name):
    shape = COUNTS[name][0]
    potential = PRESETS[name].potential(shape, 10)
    for layer_name, layer in potential.named_modules():
        if hasattr(layer, "v"):
            assert layer.v.std().item() == pytest.approx(0.05, rel=0.2), layer_name
            with torch.no_grad():
                layer.b.normal_(std=0.3)
                layer.g.uniform_(0.5, 1.5)
    x = torch.rand(3, *shape)
    potential.eval()
    torch.testing.assert_close(potential(x).scores, PLAIN[name](potential, x), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "kind", "count"), [("mnist", None, 0), ("svhn", nn.Dropout2d, 2), ("cifar10", Dropout, 2)]
)
def test_half_of_what_two_blocks_give_is_dropped_in_training(name, kind, count):
    potential = PRESETS[name].potential(COUNTS[name][0], 10)
    drops = [(number, layer) for number, layer in enumerate(potential.body) if "Dropout" in type(layer).__name__]
    assert len(drops) == count and all(type(layer) is kind and layer.p == 0.5 for _, layer in drops)
    if drops:
        kept = potential.body[: drops[0][0] + 1].train()(torch.rand(8, *COUNTS[name][0])).detach()
        zeros = (kept == 0).float()
        assert zeros.mean().item() == pytest.approx(0.5, abs=0.05)
        whole_channels = ((zeros.mean((2, 3)) == 0) | (zeros.mean((2, 3)) == 1)).all().item()
        assert whole_channels == (kind is nn.Dropout2d)


def centred(x, layer):
    """Over the batch, and places where there are any, with variance + 1e-6 under the root and a bias."""
    over = [0, *range(2, x.dim())]
    shape = [1, -1, *[1] * (x.dim() - 2)]
    x = (x - x.mean(over, keepdim=True)) / (x.var(over, unbiased=False, keepdim=True) + 1e-6).sqrt()
    return x + layer.b.view(shape)


def plain_dense_generator(generator, h):
    for layer, statistics in zip(generator.body, generator.statistics, strict=True):
        h = F.softplus(centred(h @ layer.weight.T, statistics))
    return torch.sigmoid(F.linear(h, normalised(generator.head), generator.head.b)).view(len(h), 1, 28, 28)


def plain_generator(generator, h):
    x = centred(h @ generator.dense.weight.T, generator.statistics[0]).clamp(min=0).view(len(h), 512, 4, 4)
    for layer, statistics in zip(generator.body, generator.statistics[1:], strict=True):
        x = F.conv_transpose2d(x, layer.weight, stride=2, padding=2, output_padding=1)
        x = centred(x, statistics).clamp(min=0)
    head = generator.head
    weight = head.g * head.v / head.v.transpose(0, 1).flatten(1).norm(dim=1).view(1, -1, 1, 1)
    return torch.tanh(F.conv_transpose2d(x, weight, head.b, stride=2, padding=2, output_padding=1))


@pytest.mark.parametrize("name", COUNTS)
def test_a_generator_is_the_papers_written_plainly(name):
    shape = COUNTS[name][0]
    generator = PRESETS[name].generator(torch.zeros(shape), torch.ones(shape))
    weights = [layer.weight for layer in generator.modules() if isinstance(layer, nn.Linear | nn.ConvTranspose2d)]
    assert [weight.std().item() for weight in (*weights, generator.head.v)] == [pytest.approx(0.05, rel=0.05)] * (
        len(weights) + 1
    )
    with torch.no_grad():
        for statistics in generator.statistics:
            statistics.b.normal_(std=0.3)
        generator.head.b.normal_(std=0.3)
        generator.head.g.fill_(1.2)
        h = torch.rand(6, 100)
        plain = plain_dense_generator if name == "mnist" else plain_generator
        torch.testing.assert_close(generator(h), plain(generator, h), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", ["svhn", "cifar10"])
def test_what_is_initialised_from_data_spreads_as_the_papers(name):
    shape = COUNTS[name][0]
    potential, generator = PRESETS[name].potential(shape, 10), PRESETS[name].generator(*torch.zeros(2, *shape))
    x, h = torch.rand(100, *shape), torch.rand(100, 100)
    initialise_from_data(generator, h)
    with torch.no_grad():
        assert torch.atanh(generator(h)).std().item() == pytest.approx(0.1, rel=0.05)
    if name == "svhn":  # the other has the same head, and takes long
        seen = []
        potential.head.register_forward_hook(lambda layer, inputs, out: seen.append(out))
        initialise_from_data(potential, x)
        assert seen[-1].std(0).mean().item() == pytest.approx(0.1, rel=0.05)


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
