"""What encodes and decodes sentences: spelling, recurrent states, the Viterbi recursion."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from race import Section, at_least, race
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from fewlabels.sequence.encoder import Encoder
from fewlabels.sequence.potential import TaggingPotential
from fewlabels.sequence.presets import SMALL
from fewlabels.sequence.sentences import Sentences
from fewlabels.sequence.spelling import CharCNN
from fewlabels.sequence.vocabulary import Vocabulary

__all__ = ["made_up_text", "sections"]

SPELLING, SORTED, DECODED = 3.0, 2.0, 10_000
"""Bounds from below: ratios of the char CNN and of sorted batches, and tokens a second in decoding."""


def sections() -> list[Section]:
    """Speed of all three."""
    spelling, decoding = time_spelling(), time_decoding()
    recurrent = [time_lengths(100, 100), time_lengths(512, 600)]
    return [
        Section(
            f"Char CNN, forward and backward: {spelling['tokens']} tokens, {spelling['distinct']} distinct, ms",
            [*spelling["milliseconds"], "ratio"],
            [[*(f"{ms:.1f}" for ms in spelling["milliseconds"].values()), f"{spelling['ratio']:.1f}"]],
            spelling,
            [at_least("char CNN, times as fast as token by token", spelling["ratio"], SPELLING)],
        ),
        Section(
            "Bidirectional LSTM, forward and backward: times as fast as packed batches of any lengths",
            ["cells", *recurrent[0]["ratios"]],
            [[str(row["hidden"]), *(f"{ratio:.2f}" for ratio in row["ratios"].values())] for row in recurrent],
            recurrent,
            [at_least("LSTM of 100 cells on sorted batches, times as fast as packed random ones",
                      recurrent[0]["ratios"]["sorted, padded"], SORTED)],
        ),
        Section(
            "Decoding with the small preset", ["tokens", "tokens a second"],
            [[f"{decoding['tokens']:,}", f"{decoding['tokens a second']:,.0f}"]],
            decoding,
            [at_least("decoding, tokens a second", decoding["tokens a second"], DECODED)],
        ),
    ]  # fmt: skip


def made_up_text(sentences: int, seed: int = 0) -> list[list[str]]:
    """Sentences of about the lengths of CoNLL-2000's and of words of about English lengths and frequencies."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.gamma(4.5, 5.3, sentences).astype(int), 1, 80)
    letters, characters = np.array(list("etaoinshrdlucmfwypvbgkjqxz")), 1 / (1 + np.arange(26.0)) ** 0.6
    sizes = np.clip(rng.poisson(6.3, 20_000), 1, 19)
    words = ["".join(rng.choice(letters, n, p=characters / characters.sum())) for n in sizes]
    frequencies = 1 / (2.7 + np.arange(len(words)))
    return [list(rng.choice(words, n, p=frequencies / frequencies.sum())) for n in lengths]


class PerToken(nn.Module):
    """The same convolutions as one would write them: every token, padded to the batch's longest word."""

    def __init__(self, symbols: int, filters: int, embedding: int) -> None:
        super().__init__()
        self.symbol = nn.Embedding(symbols + 1, embedding, padding_idx=0)
        self.convolutions = nn.ModuleList(nn.Conv1d(embedding, filters, width) for width in (2, 3, 4))

    def forward(self, symbols: Tensor) -> Tensor:
        """Vectors (N, 3 F) of tokens' symbols (N, L)."""
        vectors, outside = self.symbol(symbols).transpose(1, 2), (symbols == 0).unsqueeze(1)
        parts = []
        for width, convolution in zip((2, 3, 4), self.convolutions, strict=True):
            left = (width - 1) // 2
            value = convolution(nn.functional.pad(vectors, (left, width - 1 - left)))
            parts.append(value.relu().masked_fill(outside, 0.0).amax(2))
        return torch.cat(parts, 1)


def time_spelling(filters: int = 100, embedding: int = 50, rounds: int = 7) -> dict[str, Any]:
    """Forward and backward of the paper's char CNN on 64 sentences: each token, against each distinct word once."""
    text = made_up_text(64)
    vocabulary = Vocabulary.of(text)
    spelling = vocabulary.symbols()
    tokens = torch.tensor([word for sentence in text for word in vocabulary.encode(sentence)])
    flat, starts, _ = spelling.of(tokens)
    padded = nn.utils.rnn.pad_sequence([*flat.tensor_split(starts[1:])], batch_first=True)
    plain, ours = PerToken(spelling.features, filters, embedding), CharCNN(spelling, filters, embedding)

    def distinct() -> None:
        words, place = tokens.unique(return_inverse=True)
        nn.functional.embedding(place, ours(words)).sum().backward()

    medians = race({"per token": lambda: plain(padded).sum().backward(), "fewlabels": distinct}, rounds)
    ratio = medians["per token"] / medians["fewlabels"]
    counts = {"tokens": len(tokens), "distinct": len(tokens.unique()), "longest": padded.shape[1]}
    return {**counts, "milliseconds": medians, "ratio": ratio}


def batches_of(lengths: Tensor, batch: int, ordered: bool) -> list[Tensor]:
    """Every fifth batch of sentences that come at random, or sorted by length."""
    return list((lengths.sort(descending=True).values if ordered else lengths).split(batch))[2::5]


def time_lengths(hidden: int, size: int, window: int = 20, batch: int = 64, rounds: int = 3) -> dict[str, Any]:
    """Forward and backward of a bidirectional LSTM: packed batches of any lengths, padded ones sorted in a window.

    A window is 20 batches; milliseconds are for 1,000 tokens.
    """
    torch.manual_seed(0)
    lengths = torch.tensor([len(sentence) for sentence in made_up_text(window * batch)])
    lstm, encoder = nn.LSTM(size, hidden, batch_first=True, bidirectional=True), Encoder(size, hidden)
    edge = torch.zeros(2, size)

    def packed(x: Tensor, n: Tensor) -> Tensor:
        return lstm(pack_padded_sequence(x, n, batch_first=True, enforce_sorted=False))[0].data

    def padded(x: Tensor, n: Tensor) -> Tensor:
        return encoder(x, edge, n).at

    def call(states: Callable[[Tensor, Tensor], Tensor], batches: list[Tensor]) -> Callable[[], None]:
        inputs = [(torch.randn(len(n), int(n.max()), size), n) for n in batches]

        def run() -> None:
            for x, n in inputs:
                states(x, n).sum().backward()

        return run

    loose, tight = batches_of(lengths, batch, False), batches_of(lengths, batch, True)
    variants = {
        "random, packed": (packed, loose), "random, padded": (padded, loose), "sorted, packed": (packed, tight),
        "sorted, padded": (padded, tight),
    }  # fmt: skip
    medians = race({name: call(*variant) for name, variant in variants.items()}, rounds)
    tokens = {name: sum(int(n.sum()) for n in batches) for name, (_, batches) in variants.items()}
    rates = {name: 1000 * ms / tokens[name] for name, ms in medians.items()}
    waste = {
        name: sum(len(n) * int(n.max()) for n in batches) / tokens[name] for name, (_, batches) in variants.items()
    }
    ratios = {name: rates["random, packed"] / rate for name, rate in rates.items()}
    return {"hidden": hidden, "size": size, "padded / valid": waste, "milliseconds": rates, "ratios": ratios}


@torch.no_grad()
def time_decoding(labels: int = 23, sentences: int = 1024, rounds: int = 3) -> dict[str, Any]:
    """Tokens a second of the small network's encoder and Viterbi recursion, sentences of like length together."""
    text = made_up_text(sentences)
    vocabulary = Vocabulary.of(text)
    words = Sentences(map(vocabulary.encode, text))
    potential = TaggingPotential(SMALL.spelling(vocabulary), vocabulary.counts, labels).eval()

    def decode() -> None:
        for index in words.lengths.argsort(stable=True).split(256):
            potential(words[index]).mode()

    milliseconds = race({"decode": decode}, rounds)["decode"]
    return {"tokens": int(words.lengths.sum()), "tokens a second": 1000 * int(words.lengths.sum()) / milliseconds}
