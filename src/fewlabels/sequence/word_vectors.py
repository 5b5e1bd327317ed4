"""The vectors of words: their own and that of their spelling."""

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from fewlabels.errors import InputError
from fewlabels.sequence.presets import Preset
from fewlabels.sequence.spelling import CharCNN, FeatureBag
from fewlabels.sequence.vocabulary import Spelling

__all__ = ["WordVectors"]


class WordVectors(nn.Module):
    """One vector a word: its own and that of its spelling, added or side by side.

    A word without a vector of its own has that of the unknown word, and its own spelling.

    Parameters
    ----------
    spelling
        What spells the vocabulary's words.
    own
        Ids below it have a vector of their own.
    preset
        Sizes, and dropout in training.
    """

    def __init__(self, spelling: Spelling, own: int, preset: Preset) -> None:
        super().__init__()
        self.own, self.preset = own, preset
        self.word = nn.Embedding(own, preset.size)
        self.speller = CharCNN(spelling, preset.filters) if preset.filters else FeatureBag(spelling, preset.size)
        self.size = preset.size + self.speller.size * (preset.filters > 0)
        self.edge = nn.Parameter(torch.empty(2, self.size))  # vectors of sentence start and end
        nn.init.normal_(self.word.weight, std=0.1)
        self.speller.reset_parameters()
        nn.init.normal_(self.edge, std=0.1)

    @torch.no_grad()
    def start_from(self, vectors: Tensor) -> None:
        """Set words' own vectors, (own, size)."""
        expected = tuple(self.word.weight.shape)
        if tuple(vectors.shape) != expected:
            raise InputError(f"Expected {expected[0]} vectors of {expected[1]} numbers, got {tuple(vectors.shape)}.")
        self.word.weight.copy_(vectors)

    def respell(self, spelling: Spelling) -> None:
        """Read further words: ids from the vocabulary's size on are unknown words spelt as given there."""
        self.speller.spelling = spelling

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors (..., D) of word ids of any shape; each distinct word is spelt once."""
        known = ids.masked_fill(ids >= self.own, 0)
        if self.training and self.preset.word_dropout:
            known = known.masked_fill(torch.rand(known.shape, device=known.device) < self.preset.word_dropout, 0)
        distinct, place = ids.unique(return_inverse=True)
        spelt = nn.functional.embedding(place, self.speller(distinct))
        if not self.preset.filters:
            return self.word(known) + spelt
        return torch.cat([self.word(known), dropout(spelt, self.preset.spelling_drop, self.training)], -1)
