"""The linear chain's recursion: its speed beside pytorch-crf, and how exact it is."""

from typing import Any, NamedTuple

import numpy as np
import torch
from race import Section, at_least, at_most, race
from torch import Tensor
from torchcrf import CRF

from fewlabels.labels import LinearChain

__all__ = ["sections"]

FASTER, INEXACT = 5.0, 1e-5
"""Bounds: on the log-partition's ratio from below, on the error of marginals from above."""


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


def sections() -> list[Section]:
    """Speed and exactness."""
    speed = [time_log_partition(case) for case in CASES]
    exactness = [
        largest_errors(deviation, forbidden)
        for deviation in (1.0, 30.0, 100.0, 200.0)
        for forbidden in (None, -1e4, -np.inf)
    ]
    inexact = max(row["errors"][name] for row in exactness for name in ("gradient", "marginals"))
    return [
        Section(
            "Log-partition, forward and backward: 128 sentences of up to 25 words, ms",
            ["case", "pytorch-crf", "fewlabels", "ratio"],
            [[row["case"], *(f"{ms:.2f}" for ms in row["milliseconds"].values()), f"{row['ratio']:.2f}"]
             for row in speed],
            speed,
            [at_least("log-partition, times as fast as pytorch-crf", speed[0]["ratio"], FASTER)],
        ),
        Section(
            "Largest errors against float64: 64 sentences of up to 50 words, 23 labels",
            ["sd", "transitions", *exactness[0]["errors"]],
            [[f"{row['deviation']:g}", row["transitions"], *(f"{error:.1e}" for error in row["errors"].values())]
             for row in exactness],
            exactness,
            [at_most("marginals, largest error", inexact, INEXACT)],
        ),
    ]  # fmt: skip


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
