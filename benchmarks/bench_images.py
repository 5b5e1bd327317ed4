"""Images: the revision chain of the paper's network for CIFAR-10, and training steps of the presets."""

from collections.abc import Callable
from typing import Any

import torch
from bench_steps import blocks, matrix_rate
from race import Section, at_least, race
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fewlabels.batches import Batches
from fewlabels.layers import initialise_from_data
from fewlabels.machine import fast_bfloat16
from fewlabels.methods import Setting
from fewlabels.objective import Sum, noiseless
from fewlabels.samplers import sghmc
from fewlabels.vector_methods import vector_stages
from fewlabels.vectors import PRESETS, build_players, build_potential

__all__ = ["sections"]

CHAIN_IMAGES, CHAIN_STEPS = 25, 2
FASTER = 2.0
"""Bound from below on both ratios to plain float32, where the machine has instructions for bfloat16."""

CASES = {"small": ((3, 32, 32), 5), "mnist": ((1, 28, 28), 3)}
"""Shape of an input, and rounds."""


def sections() -> list[Section]:
    """The chain, then the steps."""
    fast = fast_bfloat16(torch.device("cpu"))
    rate, narrow = matrix_rate(), matrix_rate(dtype=torch.bfloat16)
    chain = race_chain(fast)
    steps = [row for preset in CASES for row in race_steps(preset, fast, max(rate, narrow if fast else 0.0))]
    joint = race_paper_mnist(fast)
    return [
        Section(
            f"{CHAIN_STEPS} revision steps of {CHAIN_IMAGES} images, the paper's network for CIFAR-10",
            ["variant", "ms", "ratio"],
            [[name, f"{value:.0f}", f"{chain['plain'] / value:.2f}"] for name, value in chain.items()],
            chain,
            [at_least("revision chain of CIFAR-10, times plain float32", chain["plain"] / chain["ours"], FASTER)] * fast,
        ),
        Section(
            "A joint step of the paper's MNIST: 100 + 100 images, 100 samples, 20 revision steps",
            ["variant", "ms", "ratio"],
            [[name, f"{value:.0f}", f"{joint['plain'] / value:.2f}"] for name, value in joint.items()],
            joint,
            [at_least("joint step of the paper's MNIST, times plain float32", joint["plain"] / joint["ours"], FASTER)]
            * fast,
        ),
        Section(
            f"Training steps on images{' in bfloat16' if fast else ''}; products of 1024 x 1024 matrices reach "
            f"{rate:.0f} GFLOP/s in float32, {narrow:.0f} in bfloat16",
            ["preset", "stage", "ms", "labelled images/s", "share of the rate"],
            [
                [row["preset"], row["stage"], f"{row['milliseconds']:.1f}", f"{row['images/s']:.0f}",
                 f"{row['of peak']:.0%}"]
                for row in steps
            ],
            steps,
        ),
    ]  # fmt: skip


def race_chain(fast: bool) -> dict[str, float]:
    """The same chain as written down plainly, and as `sghmc` runs it on our network, where it pays in bfloat16."""
    preset = PRESETS["cifar10"]
    network, x = preset.potential((3, 32, 32), 10), torch.rand(CHAIN_IMAGES, 3, 32, 32) * 2 - 1
    initialise_from_data(network, x)
    network.eval()

    def ours() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            sghmc(
                lambda x: network(x).log_partition, x, step_size=0.003, steps=CHAIN_STEPS, momentum=0.5, noise=0.0
            )  # fmt: skip

    return race({"plain": lambda: plain_chain(network, x, 0.003, CHAIN_STEPS), "ours": ours}, 3)


def plain_chain(network: Any, x: Tensor, step_size: float, steps: int) -> Tensor:
    """Momentum ascent of u(x) by `torch.autograd.grad`, in float32 and the usual layout."""
    velocity = torch.zeros_like(x)
    for _ in range(steps):
        x = x.detach().requires_grad_()
        scores = plain_scores(network, x)
        velocity = 0.5 * velocity + step_size * torch.autograd.grad(scores.logsumexp(1).sum(), x)[0]
        x = x + velocity
    return x.detach()


def plain_scores(network: Any, x: Tensor) -> Tensor:
    """The scores of our network, layer by layer in the usual layout."""
    if isinstance(network.body, nn.Sequential):
        return network.head(network.body(x.contiguous()).mean((2, 3)))
    x = x.flatten(1)
    for layer in network.body:
        x = torch.relu(layer(x))
    return network.head(x)


def race_steps(preset: str, fast: bool, peak: float) -> list[dict[str, Any]]:
    """Supervised and joint steps: milliseconds, labelled images a second, and how near the machine's rate."""
    rows = []
    for method in ("supervised", "joint"):
        potential, stage, batches = stage_of(preset, method)
        rounds = CASES[preset][1]
        milliseconds = race({method: blocks(potential, stage, batches, bfloat16=fast)}, rounds)[method] / 10
        rows.append(
            {
                "preset": preset,
                "stage": stage.name,
                "milliseconds": milliseconds,
                "images/s": 1000 * PRESETS[preset].recipe.labelled / milliseconds,
                "of peak": operations(potential, stage.objective, batches) / milliseconds / 1e6 / peak,
            }
        )
    return rows


def operations(potential: nn.Module, objective: Any, batches: Batches) -> float:
    """Of a step's convolutions and products: a pass backwards costs twice one forwards, but for the chain's once.

    With L, F and G of a pass forwards of labels, of data, and through the generator: 3 L; in a joint step 2 F for each
    revision, 6 F for data and samples, and 3 G.
    """
    labels = 3 * count(potential, batches[0].x)
    if not isinstance(objective, Sum):
        return labels
    field, data = objective.parts[1], batches[0].x_unlabelled
    generator = count(field.generator, torch.rand(len(data), field.generator.latent))
    return labels + (2 * field.steps + 6) * count(potential, data) + 3 * generator


def count(network: nn.Module, x: Tensor) -> float:
    """Operations of a pass forwards."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(x)
    return counter.get_total_flops()


def stage_of(preset: str, method: str) -> tuple[nn.Module, Any, Batches]:
    """The last stage of a method on noise, with its network and data."""
    one = PRESETS[preset]
    data = torch.rand(1000, *CASES[preset][0])
    potential = build_potential(None, one, data, 10)
    players = build_players(None, one, potential, data, torch.arange(100), torch.arange(100) % 10, 1.0)
    labelled, unlabelled = one.recipe.labelled, one.recipe.unlabelled
    batches = Batches(data[:100], torch.arange(100) % 10, data, labelled=labelled, unlabelled=unlabelled, seed=0)
    return potential, vector_stages(method, players, Setting())[-1], batches


def race_paper_mnist(fast: bool) -> dict[str, float]:
    """The authors' joint step, by our loop, and written down plainly: three passes, two optimisers, float32."""
    potential, stage, batches = stage_of("mnist", "joint")
    return {
        name: value / count
        for (name, value), count in zip(
            race({"plain": plain_joint(), "ours": blocks(potential, stage, batches, bfloat16=fast)}, 3).items(),
            (1, 10),
            strict=True,
        )
    }


def plain_joint() -> Callable[[], None]:
    """A joint step of the paper's MNIST, as its pseudo-code reads."""
    network, stage, batches = stage_of("mnist", "joint")
    generator, recipe = stage.objective.parts[1].generator, PRESETS["mnist"].recipe
    of_network, of_generator = plain_rmsprop(network, 1e-4), plain_rmsprop(generator, 1e-3)
    network.train()

    def step() -> None:
        batch = batches[0]
        proposed = generator(torch.rand(recipe.unlabelled, generator.latent))
        with noiseless(network):
            revised = plain_chain(network, proposed, recipe.field.step_size, recipe.field.steps)
        labelled, data, samples = (plain_scores(network, x) for x in (batch.x, batch.x_unlabelled, revised))
        entropy = -(data.softmax(1) * data.log_softmax(1)).sum(1).mean()
        loss = (
            10 * nn.functional.cross_entropy(labelled, batch.y) + samples.logsumexp(1).mean()
            - data.logsumexp(1).mean() + 10 * entropy
        )  # fmt: skip
        loss.backward()
        of_network()
        (revised - proposed).square().sum().backward()
        of_generator()

    return step


def plain_rmsprop(network: nn.Module, rate: float) -> Callable[[], None]:
    """RMSprop with ε inside the root, parameter by parameter; gradients are forgotten."""
    means = [torch.zeros_like(p) for p in network.parameters()]

    @torch.no_grad()
    def step() -> None:
        for p, mean in zip(network.parameters(), means, strict=True):
            assert p.grad is not None
            mean.mul_(0.9).addcmul_(p.grad, p.grad, value=0.1)
            p.sub_(rate * p.grad / (mean + 1e-6).sqrt())
            p.grad = None

    return step
