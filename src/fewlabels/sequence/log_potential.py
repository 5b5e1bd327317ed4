"""u(x) of sentences: the log-partition over tags, or, before there are tags, the word potential ψ(x) alone."""

from typing import Protocol

from torch import Tensor, nn

from fewlabels.sequence.sentences import Padded

__all__ = ["WordPotential", "log_potential"]


class WordPotential(Protocol):
    """A potential that knows its part that needs no tags."""

    def word_potential(self, x: Padded) -> Tensor:
        """ψ(x), shape (B,)."""
        ...


def log_potential(potential: nn.Module, x: Padded, words_alone: bool) -> Tensor:
    """u(x), shape (B,): the log-partition over tags, or the word potential alone of a `WordPotential`."""
    if words_alone:
        return potential.word_potential(x)  # pyright: ignore[reportCallIssue]: a WordPotential
    return potential(x).log_partition
