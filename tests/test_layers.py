"""Layers, networks and the optimiser against plain computation."""

import numpy as np
import pytest
import torch
from torch import nn

from fewlabels.image import ConvGenerator, ConvNet, small_body
from fewlabels.layers import (
    BatchStatistics,
    Dropout,
    WeightNormConv,
    WeightNormLinear,
    holding_weights,
    initialise_from_data,
)
from fewlabels.objective import frozen
from fewlabels.rmsprop import RMSprop
from fewlabels.samplers import sghmc
from fewlabels.tabular import MLP, MLPGenerator


def test_weight_norm_rows_have_norm_g_whatever_v():
    layer = WeightNormLinear(5, 3, spread=2.0)
    with torch.no_grad():
        layer.v.mul_(torch.tensor([[1.0], [10.0], [0.1]]))
        layer.b.fill_(0.5)
    weight = layer(torch.eye(5)).T - 0.5  # the columns of W, from the outputs on unit vectors
    torch.testing.assert_close(weight.norm(dim=1), torch.full((3,), 2.0))
    torch.testing.assert_close(nn.functional.cosine_similarity(weight, layer.v), torch.ones(3))


def test_weight_norm_convolution_is_a_convolution_by_the_normalised_weight():
    layer = WeightNormConv(2, 4, 3, stride=2, padding=1, spread=1.5)
    x = torch.randn(3, 2, 6, 6)
    weight = layer.v / layer.v.flatten(1).norm(dim=1).view(-1, 1, 1, 1) * 1.5
    torch.testing.assert_close(layer(x), nn.functional.conv2d(x, weight, layer.b, 2, 1), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("network", [ConvNet(small_body(1, 8), 32, 3), MLP(64, 3)], ids=["convolutions", "dense"])
def test_a_chain_with_held_weights_is_the_chain_to_the_bit(network, bfloat16):
    x = torch.randn(5, 1, 8, 8)
    network.eval()

    def chain():
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            return sghmc(lambda x: network(x).log_partition, x, step_size=0.1, steps=3, noise=0.0).x

    plain = chain()
    with holding_weights(network):
        held = chain()
    assert not torch.equal(plain, x)
    assert torch.equal(held, plain)


def test_held_weights_are_computed_once_and_forgotten_afterwards(monkeypatch):
    layer, calls, plain = WeightNormLinear(4, 3), [], torch._weight_norm
    monkeypatch.setattr(torch, "_weight_norm", lambda *of: calls.append(of) or plain(*of))
    with pytest.raises(KeyError), holding_weights(nn.Sequential(layer)):
        assert layer.weight is layer.weight
        assert len(calls) == 1
        raise KeyError
    with torch.no_grad():
        layer.v.neg_()
    torch.testing.assert_close(layer.weight, nn.functional.normalize(layer.v, dim=1))
    with holding_weights(layer):
        with torch.autocast("cpu", torch.bfloat16):
            assert layer.weight.dtype == torch.bfloat16  # rounded once, not at every use
            torch.testing.assert_close(layer.weight.float(), nn.functional.normalize(layer.v, dim=1), rtol=0.01, atol=0)
        torch.testing.assert_close(layer.weight, nn.functional.normalize(layer.v, dim=1))  # as its use wants it


def test_held_weights_have_the_gradient_of_all_their_uses_even_if_the_first_has_none():
    layer, x = WeightNormLinear(4, 3), torch.randn(5, 4)
    (layer(x).square().sum() + layer(x[:2]).sum()).backward()
    plain = layer.v.grad
    layer.v.grad = None
    with holding_weights(layer):
        with torch.no_grad():
            assert not layer(x).requires_grad
        (layer(x).square().sum() + layer(x[:2]).sum()).backward()
    torch.testing.assert_close(layer.v.grad, plain)


@pytest.mark.parametrize("first", [True, False])
def test_held_weights_that_are_frozen_for_a_use_learn_from_the_others_alone(first):
    layer, x = WeightNormLinear(4, 3), torch.randn(5, 4)
    layer(x).square().sum().backward()
    plain = layer.v.grad
    layer.v.grad = None

    def disturb():
        with frozen(layer):
            return layer(x.requires_grad_()).sum()

    with holding_weights(layer):
        loss = disturb() if first else torch.tensor(0.0)
        loss = loss + layer(x).square().sum()
        (loss + disturb()).backward()
    torch.testing.assert_close(layer.v.grad, plain)


def test_units_that_are_constant_on_the_data_keep_their_scale():
    layer = WeightNormLinear(4, 3, spread=0.5)
    layer.initialise(torch.ones(20, 4))
    torch.testing.assert_close(layer.g, torch.full((3, 1), 0.5))
    torch.testing.assert_close(layer(torch.ones(1, 4)), torch.zeros(1, 3), atol=1e-6, rtol=0)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_dropout_keeps_each_number_with_its_probability_and_scales_it(layout):
    dropout, x = Dropout(0.3), torch.full((20, 32, 11, 13), 3.0).contiguous(memory_format=layout).requires_grad_()
    torch.manual_seed(0)
    y = dropout(x)
    kept = y != 0
    n, p = kept.numel(), dropout.p
    assert abs(p - 0.3) <= 1 / 512
    assert y.is_contiguous(memory_format=layout)
    assert ((kept.float().mean() - (1 - p)) / (p * (1 - p) / n) ** 0.5).abs() < 4
    torch.testing.assert_close(y[kept], torch.full_like(y[kept], 3 / (1 - p)))
    for one, other in ((kept[:10], kept[10:]), (kept[..., 1:], kept[..., :-1]), (kept[:, 1:], kept[:, :-1])):
        # masks of neighbours, of channels and of images are independent
        both = (one & other).float().mean() - (1 - p) ** 2
        assert both.abs() < 6 * (p * (1 - p) / n) ** 0.5
    y.sum().backward()
    torch.testing.assert_close(x.grad, kept / (1 - p))
    assert torch.equal(dropout.eval()(x), x)


@pytest.mark.parametrize("train_scale", [False, True])
def test_only_the_last_layers_scale_is_trained(train_scale):
    layer = WeightNormLinear(4, 2, train_scale=train_scale)
    assert ("g" in dict(layer.named_parameters())) == train_scale


@pytest.mark.parametrize(
    ("network", "x"),
    [
        (MLP(6, 3, hidden=(8, 5)), torch.randn(400, 6) * 3 + 1),
        (ConvNet(small_body(2, 4), 16, 3), torch.randn(60, 2, 8, 8) * 3 + 1),
    ],
    ids=["dense", "convolutional"],
)
def test_initialisation_from_data_standardises_every_layer(network, x):
    network.eval()
    initialise_from_data(network, x)
    seen = []
    layers = [m for m in network.modules() if isinstance(m, WeightNormLinear | WeightNormConv)]
    for layer in layers:
        layer.register_forward_hook(lambda module, inputs, output: seen.append((module.spread, output.clone())))
    network(x)
    assert len(seen) == len(layers) > 2
    for spread, output in seen:
        units = output.transpose(0, 1).flatten(1)
        torch.testing.assert_close(units.mean(1), torch.zeros(len(units)), atol=1e-3, rtol=0)
        torch.testing.assert_close(units.std(1), torch.full((len(units),), spread), atol=1e-3, rtol=1e-3)


def test_rmsprop_by_hand_with_epsilon_inside_the_root():
    p = nn.Parameter(torch.tensor([1.0, 1.0]))
    optimizer = RMSprop([p], lr=0.1)
    value, square = np.ones(2), np.zeros(2)
    for gradient in ([1.0, 1e-4], [-0.5, 1e-4], [2.0, -1e-4]):
        p.grad = torch.tensor(gradient)
        optimizer.step()
        square = 0.9 * square + 0.1 * np.square(gradient)
        value -= 0.1 * np.array(gradient) / np.sqrt(square + 1e-6)
    np.testing.assert_allclose(p.detach().numpy(), value, rtol=1e-5)


def test_batch_statistics_use_the_batch_at_hand_in_every_mode():
    layer = BatchStatistics(3).eval()
    x = torch.randn(50, 3) * 4 + 2
    torch.testing.assert_close(layer(x).mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(layer(x).var(0, unbiased=False), torch.ones(3), atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", [(6,), (1, 8, 8), (3, 9, 7)])
def test_generators_stay_inside_their_bounds(shape):
    low, high = -torch.rand(shape), torch.rand(shape) + 1
    make = MLPGenerator if len(shape) == 1 else ConvGenerator
    x = make(5, low, high)(torch.rand(30, 5))
    assert x.shape == (30, *shape)
    assert ((x >= low) & (x <= high)).all()


def test_noise_is_added_in_training_only():
    network, x = MLP(4, 2, noise=0.3), torch.randn(5, 4)
    network.train()
    assert not torch.equal(network(x).scores, network(x).scores)
    network.eval()
    assert torch.equal(network(x).scores, network(x).scores)
