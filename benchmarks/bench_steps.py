"""What a training step costs, beside a supervised one of the same labelled batch, and what bounds it."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from bench_encoder import made_up_text
from race import Section, at_most, race
from sklearn.datasets import load_digits
from torch import nn

from fewlabels.batches import Batches
from fewlabels.methods import PRETRAINING, Setting
from fewlabels.scaling import Scaling
from fewlabels.sentence_methods import SMALL, TINY, Recipe, SentencePlayers, sentence_stages
from fewlabels.sequence.potential import TaggingPotential
from fewlabels.sequence.presets import PRESETS
from fewlabels.sequence.sentences import Sentences, Tags
from fewlabels.sequence.vocabulary import Vocabulary
from fewlabels.stage import Stage
from fewlabels.train import train
from fewlabels.vector_methods import vector_stages
from fewlabels.vectors import build_players, build_potential, preset_for

__all__ = ["sections"]

STEPS = 10
"""Training steps timed at once."""

COSTLIER = 3.5
"""Bound from above on a joint step's ratio to a supervised one."""

Steps = dict[str, Callable[[], None]]


def sections() -> list[Section]:
    """Steps of all kinds, and what one joint step on sentences spends its time on."""
    small = sentence_steps("small", SMALL)
    steps = (
        compare_steps("digits", digit_steps(), 15)
        + compare_steps("sentences, tiny", sentence_steps("tiny", TINY), 5)
        + compare_steps("sentences, small", small, 5)
    )
    profile = profile_of(small["joint"])
    bounded = [row for row in steps if row["kind"] != "sentences, tiny" and row["stage"] != PRETRAINING]
    return [
        Section(
            "A training step, ms",
            ["data", "stage", "ms", "ratio"],
            [[row["kind"], row["stage"], f"{row['milliseconds']:.2f}", f"{row['ratio']:.2f}"] for row in steps],
            steps,
            [
                at_most(f"joint step on {kind}, times a supervised step", max(
                    row["ratio"] for row in bounded if row["kind"] == kind), COSTLIER)
                for kind in dict.fromkeys(row["kind"] for row in bounded)
            ],
        ),
        Section(
            f"A joint step on sentences, small: {profile['milliseconds']:.0f} ms, {profile['GFLOP']:.1f} GFLOP, "
            f"{profile['of peak']:.0%} of the machine's rate of matrix products ({profile['peak']:.0f} GFLOP/s)",
            ["operation", "share"],
            [[name, f"{share:.1%}"] for name, share in profile["shares"].items()],
            profile,
        ),
    ]  # fmt: skip


def blocks(potential: nn.Module, stage: Stage, batches: Batches, bfloat16: bool = False) -> Callable[[], None]:
    """A call that trains on for some steps, as the stage has it."""
    potential.train()
    optimizer = stage.optimizer(potential, stage.objective)

    def endless() -> Iterator[None]:
        steps = train(potential, stage.objective, batches, optimizer, sys.maxsize, clip=stage.clip, bfloat16=bfloat16)
        for done, _ in enumerate(steps):
            if done % STEPS == STEPS - 1:
                yield

    running = endless()
    return lambda: next(running)


def compare_steps(kind: str, calls: Steps, rounds: int) -> list[dict[str, Any]]:
    """Milliseconds a step of every stage, and ratios to the supervised one."""
    medians = {name: value / STEPS for name, value in race(calls, rounds).items()}
    return [
        {"kind": kind, "stage": name, "milliseconds": value, "ratio": value / medians["supervised"]}
        for name, value in medians.items()
    ]


def digit_steps() -> Steps:
    """Stages of supervised and joint training on scikit-learn's digits: 50 labels, 1,297 images in all."""
    images, truth = load_digits(return_X_y=True)
    kept = np.random.default_rng(0).permutation(len(images))[:1297]
    data = torch.from_numpy(Scaling.of(images[kept]).apply(images[kept]))
    batches = Batches(data[:50], torch.from_numpy(truth[kept[:50]]), data, labelled=50, unlabelled=50, seed=0)

    def stages(method: str) -> Steps:
        potential = build_potential(None, preset_for("dense", (64,)), data, 10)
        rows, y = torch.arange(50), torch.from_numpy(truth[kept[:50]])
        players = build_players(None, preset_for("dense", (64,)), potential, data, rows, y, 1.0)
        return {stage.name: blocks(potential, stage, batches) for stage in vector_stages(method, players, Setting())}

    return stages("supervised") | stages("joint")


def sentence_steps(preset: str, recipe: Recipe, labels: int = 23) -> Steps:
    """Stages of supervised and joint training on made-up text: 200 labelled sentences, 6,000 in all."""
    text = made_up_text(6000)
    vocabulary = Vocabulary.of(text)
    words = Sentences(map(vocabulary.encode, text))
    labelled = torch.arange(200)
    tags = Tags(Sentences([[i % labels for i in vocabulary.encode(text[row])] for row in labelled]))
    counts = torch.tensor(vocabulary.counts)

    def stages(method: str) -> Steps:
        potential = TaggingPotential(PRESETS[preset].spelling(vocabulary), vocabulary.counts, labels, PRESETS[preset])
        players = SentencePlayers(
            recipe, potential, "field", "pseudo_likelihood", "all", counts, potential.log_unigram,
            recipe.unigram, words.lengths.bincount(), 200, potential.encoder.state, ("head",), 1.0,
        )  # fmt: skip
        calls = {}
        for stage in sentence_stages(method, players, Setting()):
            batches = Batches(
                words.at(labelled), tags, words, labelled=recipe.labelled,
                unlabelled=recipe.unlabelled[stage.name != PRETRAINING], seed=0,
                lengths=words.lengths[labelled].numpy(), unlabelled_lengths=words.lengths.numpy(),
            )  # fmt: skip
            calls[stage.name] = blocks(potential, stage, batches)
        return calls

    return stages("supervised") | stages("joint")


def profile_of(block: Callable[[], None]) -> dict[str, Any]:
    """Where the time of some steps goes by operation, and how near their matrix products come to the machine's rate."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, record_shapes=True, with_flops=True) as profiler:
        block()
    events = profiler.key_averages()
    total = sum(event.self_cpu_time_total for event in events)  # microseconds
    greatest = sorted(events, key=lambda event: -event.self_cpu_time_total)[:10]
    products = sum(event.flops for event in events) + sum(map(recurrent_products, profiler.events()))
    peak = matrix_rate()
    return {
        "milliseconds": total / 1000 / STEPS,
        "GFLOP": products / 1e9 / STEPS,
        "peak": peak,
        "of peak": products / (total * 1e3) / peak,
        "shares": {event.key: event.self_cpu_time_total / total for event in greatest},
    }


def recurrent_products(event: Any) -> int:
    """Operations of a recurrent layer's matrix products, which the profiler does not count; backwards twice as many."""
    if event.name != "aten::mkldnn_rnn_layer":
        return 0
    (time, batch, size), (gates, _) = event.input_shapes[:2]
    return 3 * 2 * time * batch * gates * (size + gates // 4)


def matrix_rate(size: int = 1024, dtype: torch.dtype = torch.float32) -> float:
    """GFLOP/s of a product of two square matrices, the median of ten: what this machine can do."""
    a, b = torch.randn(size, size, dtype=dtype), torch.randn(size, size, dtype=dtype)
    milliseconds = race({"product": lambda: [a @ b for _ in range(5)]}, 10)["product"] / 5
    return 2 * size**3 / milliseconds / 1e6
