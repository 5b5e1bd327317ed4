"""Drawing sentences from the noise model, beside the plain way."""

from typing import Any

import torch
from race import Section, at_least, race
from torch import Tensor

from fewlabels.sequence.language_model import LanguageModel

__all__ = ["sections"]

SAMPLING = 7.0
"""Bound from below on the ratio of a plain sampler's time to that of the class-factored noise model."""


def sections() -> list[Section]:
    """Speed of sampling."""
    sampling = time_sampling()
    ratios = sampling["ratios"]
    return [
        Section(
            "Sampling 64 sentences of 25 words out of 20,000 with 200 cells, ms",
            ["sampler", "ms", "ratio"],
            [[name, f"{ms:.0f}", f"{ratios[name]:.1f}"] for name, ms in sampling["milliseconds"].items()],
            sampling,
            [at_least("sampling by classes, times as fast as the plain way", list(ratios.values())[-1], SAMPLING)],
        )
    ]


def plain_sampler(model: LanguageModel, count: int, length: int) -> tuple[Tensor, Tensor]:
    """What one would write: nn.LSTM, softmax over all words and torch.multinomial, step by step."""
    token, state = torch.full((count,), model.words), None
    drawn, log_q = [], torch.zeros(count)
    with torch.no_grad():
        for _ in range(length):
            output, state = model.lstm(model.embedding(token).unsqueeze(1), state)
            p = model.output.head(output.squeeze(1)).softmax(-1)
            token = p.multinomial(1).squeeze(1)
            log_q += p.gather(1, token.unsqueeze(1)).squeeze(1).log()
            drawn.append(token)
            token = (token - 1).clamp(min=0)
    return torch.stack(drawn, 1), log_q


def time_sampling(
    rounds: int = 5, sentences: int = 64, length: int = 25, words: int = 20_000, cutoffs: tuple[int, ...] = (2000, 8000)
) -> dict[str, Any]:
    """Draw sentences of a given length from an LSTM of 200 cells: milliseconds, and ratios to the plain sampler's.

    Words have Zipf's frequencies, so that rare classes are drawn as often as in text; the stop symbol is all but
    impossible, so that every row runs its whole length.
    """
    counts = 1e6 / torch.arange(1, words + 1)

    def model(cutoffs: tuple[int, ...]) -> LanguageModel:
        q = LanguageModel(words, length, cutoffs=cutoffs)
        q.start_from(counts, 1)
        with torch.no_grad():
            q.output.head.bias[0] = -40.0
        return q

    full, factored = model(()), model(cutoffs)
    assert all(int(q.sample(sentences)[0].lengths.min()) == length for q in (full, factored))
    medians = race(
        {
            "nn.LSTM, softmax, multinomial": lambda: plain_sampler(full, sentences, length),
            "full softmax": lambda: full.sample(sentences),
            f"classes from {', '.join(map(str, cutoffs))}": lambda: factored.sample(sentences),
        },
        rounds,
    )
    plain = medians["nn.LSTM, softmax, multinomial"]
    return {"milliseconds": medians, "ratios": {name: plain / ms for name, ms in medians.items()}}
