"""Speed as ratios of one run on one thread, and how exact the fast recursion is.

``make bench``.  Variants take turns, so that a busy machine slows all of them alike; times are processor time.  What
has a bound is judged at the end: a bound that is missed ends the run with code 1.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torchcrf import CRF

from fewlabels.batches import Batches
from fewlabels.files import write_atomically
from fewlabels.labels import LinearChain
from fewlabels.methods import VECTORS, Setting
from fewlabels.sentence_methods import SENTENCES, TINY, SentencePlayers
from fewlabels.results import code_version, environment
from fewlabels.scaling import Scaling
from fewlabels.sequence.potential import TaggingPotential
from fewlabels.sequence.text import Sentences, Tags, Vocabulary
from fewlabels.train import Stage, train
from fewlabels.vectors import build_players, build_potential

RESULTS = Path("bench/results.json")
STEPS = 10
"""Training steps timed at once."""

FASTER, COSTLIER, INEXACT = 5.0, 3.5, 1e-5
"""Bounds: on the log-partition's ratio from below, on a joint step's and on the error of marginals from above."""


class Verdict(NamedTuple):
    """A figure beside its bound, in words, and whether it keeps to it."""

    text: str
    met: bool


class Case(NamedTuple):
    """Random chains on which the log-partition is timed."""

    name: str
    labels: int = 23
    deviation: float = 1.0
    ragged: bool = False


CASES = [
    Case("23 labels"),
    Case("ragged lengths", ragged=True),
    Case("emissions of sd 200", deviation=200.0),
    Case("9 labels", labels=9),
    Case("46 labels", labels=46),
]


def race(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median milliseconds of processor time of each call, after two rounds that do not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 2):
        for name, call in calls.items():
            start = time.process_time()
            call()
            times[name].append(time.process_time() - start)
    return {name: 1000 * float(np.median(taken[2:])) for name, taken in times.items()}


def random_lengths(sentences: int, longest: int, ragged: bool) -> Tensor:
    """Lengths of sentences, the first of which is the longest."""
    lengths = torch.randint(longest // 5, longest + 1, (sentences,)) if ragged else torch.full((sentences,), longest)
    lengths[0] = longest
    return lengths


def time_log_partition(case: Case, sentences: int = 128, longest: int = 25, rounds: int = 25) -> dict[str, Any]:
    """Forward and backward, pytorch-crf beside ours."""
    crf = CRF(case.labels, batch_first=True)
    emissions = (case.deviation * torch.randn(sentences, longest, case.labels)).requires_grad_()
    lengths = random_lengths(sentences, longest, case.ragged)
    mask = (torch.arange(longest) < lengths.unsqueeze(1)).T

    def theirs() -> None:
        crf._compute_normalizer(emissions.transpose(0, 1), mask).sum().backward()

    def ours() -> None:
        LinearChain(emissions, crf.transitions, lengths).log_partition.sum().backward()

    medians = race({"pytorch-crf": theirs, "fewlabels": ours}, rounds)
    return {"case": case.name, "milliseconds": medians, "ratio": medians["pytorch-crf"] / medians["fewlabels"]}


def forbid_moves(transitions: Tensor, score: float) -> Tensor:
    """Transitions over O, B-1, I-1, B-2, I-2, ... in which an I follows its own B or I alone."""
    label = torch.arange(len(transitions))
    kind, inner = (label + 1) // 2, (label > 0) & (label % 2 == 0)
    return transitions.masked_fill(inner & (kind.unsqueeze(1) != kind), score)


def plain_chain(emissions: np.ndarray, transitions: np.ndarray) -> tuple[float, np.ndarray]:
    """Log Z and the marginals (T, K) of one sentence: the textbook's loops in the log domain."""
    forward, backward = [emissions[0]], [np.zeros(emissions.shape[1])]
    for scores in emissions[1:]:
        forward.append(np.logaddexp.reduce(forward[-1][:, None] + transitions, axis=0) + scores)
    for scores in emissions[:0:-1]:
        backward.append(np.logaddexp.reduce(transitions + scores + backward[-1], axis=1))
    log_z = np.logaddexp.reduce(forward[-1])
    return float(log_z), np.exp(np.array(forward) + np.array(backward[::-1]) - log_z)


def largest_errors(deviation: float, forbidden: float | None, labels: int = 23, longest: int = 50) -> dict[str, Any]:
    """Our largest errors over 64 sentences: log Z, marginals from the backward pass, and `log_marginals`."""
    emissions = (deviation * torch.randn(64, longest, labels)).requires_grad_()
    transitions = torch.randn(labels, labels)
    if forbidden is not None:
        transitions = forbid_moves(transitions, forbidden)
    lengths = random_lengths(64, longest, ragged=True)
    chain = LinearChain(emissions, transitions, lengths)
    log_z = chain.log_partition
    (gradient,) = torch.autograd.grad(log_z.sum(), emissions)
    marginals = chain.log_marginals().detach().exp()
    errors: dict[str, list[float]] = {"log Z": [], "log Z, relative": [], "gradient": [], "marginals": []}
    for i, n in enumerate(lengths.tolist()):
        true_z, truth = plain_chain(emissions[i, :n].detach().double().numpy(), transitions.double().numpy())
        error = abs(log_z[i].item() - true_z)
        errors["log Z"].append(error)
        errors["log Z, relative"].append(error / abs(true_z))
        errors["gradient"].append(np.abs(gradient[i, :n].numpy() - truth).max())
        errors["marginals"].append(np.abs(marginals[i, :n].numpy() - truth).max())
    largest = {name: float(np.max(values)) for name, values in errors.items()}
    moves = "free" if forbidden is None else f"some at {forbidden:g}"
    return {"deviation": deviation, "transitions": moves, "errors": largest}


def blocks(potential: nn.Module, stage: Stage, batches: Batches) -> Callable[[], None]:
    """A call that trains on for some steps, as the stage has it."""
    potential.train()
    optimizer = stage.optimizer(potential, stage.objective)

    def endless() -> Iterator[None]:
        for done, _ in enumerate(train(potential, stage.objective, batches, optimizer, sys.maxsize, clip=stage.clip)):
            if done % STEPS == STEPS - 1:
                yield

    running = endless()
    return lambda: next(running)


def compare_steps(kind: str, calls: dict[str, Callable[[], None]], rounds: int) -> list[dict[str, Any]]:
    """Milliseconds a step of every stage, and ratios to the supervised one."""
    medians = {name: value / STEPS for name, value in race(calls, rounds).items()}
    return [
        {"kind": kind, "stage": name, "milliseconds": value, "ratio": value / medians["supervised"]}
        for name, value in medians.items()
    ]


def time_digits(rounds: int = 15) -> list[dict[str, Any]]:
    """Stages of supervised and joint training on scikit-learn's digits: 50 labels, 1,297 images in all."""
    images, truth = load_digits(return_X_y=True)
    kept = np.random.default_rng(0).permutation(len(images))[:1297]
    data = torch.from_numpy(Scaling.of(images[kept]).apply(images[kept]))
    batches = Batches(data[:50], torch.from_numpy(truth[kept[:50]]), data, labelled=50, unlabelled=50, seed=0)

    def stages(method: str) -> dict[str, Callable[[], None]]:
        potential = build_potential(None, data, 10)
        players = build_players(None, potential, data, 1.0)
        return {stage.name: blocks(potential, stage, batches) for stage in VECTORS[method](players, Setting())}

    return compare_steps("digits", stages("supervised") | stages("joint"), rounds)


def time_sentences(rounds: int = 6, labels: int = 23) -> list[dict[str, Any]]:
    """Stages of supervised and joint training on made-up text: 100 labelled sentences, 2,000 in all."""
    rng = np.random.default_rng(0)
    ids = [np.minimum(rng.zipf(1.3, n), 5000) for n in rng.integers(2, 21, 2000)]
    text = [[f"w{i}" for i in row] for row in ids]
    vocabulary = Vocabulary.of(text)
    words = Sentences(map(vocabulary.encode, text))
    labelled, tags = words.at(torch.arange(100)), Tags(Sentences([row % labels for row in ids[:100]]))
    batches = Batches(labelled, tags, words, labelled=16, unlabelled=84, seed=0)
    counts = torch.tensor(vocabulary.counts)
    players = SentencePlayers(
        TINY, "field", "pseudo_likelihood", counts, counts.clamp(min=0.1).log(), words.lengths.bincount(), 100, 100,
        (), 1.0,
    )  # fmt: skip

    def stages(method: str) -> dict[str, Callable[[], None]]:
        potential = TaggingPotential(vocabulary.spelling(), vocabulary.counts, labels)
        return {stage.name: blocks(potential, stage, batches) for stage in SENTENCES[method](players, Setting())}

    return compare_steps("sentences", stages("supervised") | stages("joint"), rounds)


def show(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    table = Table(*headings, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    Console(markup=False, highlight=False).print(table)


def show_results(
    partitions: list[dict[str, Any]], exactness: list[dict[str, Any]], steps: list[dict[str, Any]]
) -> None:
    """Print all figures."""
    show(
        "Log-partition, forward and backward: 128 sentences of up to 25 words, ms",
        ["case", "pytorch-crf", "fewlabels", "ratio"],
        [[row["case"], *(f"{ms:.2f}" for ms in row["milliseconds"].values()), f"{row['ratio']:.2f}"]
         for row in partitions],
    )  # fmt: skip
    show(
        "Largest errors against float64: 64 sentences of up to 50 words, 23 labels",
        ["sd", "transitions", *exactness[0]["errors"]],
        [[f"{row['deviation']:g}", row["transitions"], *(f"{error:.1e}" for error in row["errors"].values())]
         for row in exactness],
    )  # fmt: skip
    show(
        "A training step, ms",
        ["data", "stage", "ms", "ratio"],
        [[row["kind"], row["stage"], f"{row['milliseconds']:.2f}", f"{row['ratio']:.2f}"] for row in steps],
    )


def judge(
    partitions: list[dict[str, Any]], exactness: list[dict[str, Any]], steps: list[dict[str, Any]]
) -> list[Verdict]:
    """The figures that have a bound, beside it."""
    faster = partitions[0]["ratio"]
    inexact = max(row["errors"][name] for row in exactness for name in ("gradient", "marginals"))
    costlier = max(row["ratio"] for row in steps if row["kind"] == "digits")
    return [
        Verdict(f"log-partition: {faster:.1f}x pytorch-crf (at least {FASTER:g} wanted)", faster >= FASTER),
        Verdict(f"marginals: largest error {inexact:.1e} (at most {INEXACT:.0e} wanted)", inexact <= INEXACT),
        Verdict(
            f"joint step on digits: {costlier:.1f}x a supervised step (at most {COSTLIER:g} wanted)",
            costlier <= COSTLIER,
        ),
    ]


def main() -> int:
    """Run everything, store and print it; 1 where a bound is missed."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    partitions = [time_log_partition(case) for case in CASES]
    exactness = [
        largest_errors(deviation, forbidden)
        for deviation in (1.0, 30.0, 100.0, 200.0)
        for forbidden in (None, -1e4, -np.inf)
    ]
    steps = time_digits() + time_sentences()
    show_results(partitions, exactness, steps)
    verdicts = judge(partitions, exactness, steps)
    for verdict in verdicts:
        print(f"{verdict.text}: {'met' if verdict.met else 'missed'}")
    results = {
        "version": code_version(),
        "environment": environment(),
        "log_partition": partitions,
        "exactness": exactness,
        "steps": steps,
        "verdicts": [verdict._asdict() for verdict in verdicts],
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(RESULTS, (json.dumps(results, indent=1) + "\n").encode())
    return 0 if all(verdict.met for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
