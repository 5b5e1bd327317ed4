"""What a training step minimises: a batch goes in, named loss terms come out.

An objective owns only the auxiliary players (a generator, a noise model) and their state (a replay buffer); the
potential is handed to it.  All terms of a step add up to one scalar, on which one backward pass serves every player:
stop-gradients keep the players apart.  The terms of θ see detached samples, the generator and the noise model see
detached targets.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import Tensor, nn

from fewlabels.errors import InputError

__all__ = ["Batch", "Objective", "Sum", "Terms", "frozen", "noiseless"]


class Batch(NamedTuple):
    """What one step sees.

    Attributes
    ----------
    x
        Labelled inputs: whatever the potential takes, e.g. a tensor (B, D) or padded sentences.
    y
        Their labels, (B,) or (B, T), integers.
    x_unlabelled
        Inputs from which log p(x) is learnt, of the form of x; labelled inputs may be among them, without labels.
    rows
        Which of all unlabelled inputs these are, (B',), for methods that remember something about each.
    """

    x: Any
    y: Tensor
    x_unlabelled: Any
    rows: Tensor | None = None


class Terms(NamedTuple):
    """The outcome of a step.

    Attributes
    ----------
    loss
        Name to weighted scalar; their sum is minimised.  Named apart, so that a term that is dead shows.
    info
        Name to detached scalar, for people and for the guard against divergence.
    """

    loss: dict[str, Tensor]
    info: dict[str, Tensor]


class Objective(nn.Module):
    """Base class of the methods' mathematics.  Subclasses are final and define `forward`."""

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """Loss terms of a batch, of which gradients reach the potential and the objective's own players.

        It changes no parameter of the potential, whose weights are held for a step; see `fewlabels.layers`.
        """
        raise NotImplementedError

    def update(self, potential: nn.Module) -> None:
        """Follow an optimiser step, e.g. write a replay buffer back.  Default: nothing."""

    def calm(self) -> None:
        """Halve whatever step size lets training diverge; called by the guard.  Default: nothing."""


class Sum(Objective):
    """Several objectives on the same potential: their terms are added.

    Joint training is ``Sum(Supervised(), InclusiveNRF(...))``.

    Raises
    ------
    InputError
        Where two parts give a term of the same name.
    """

    def __init__(self, *parts: Objective) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, potential: nn.Module, batch: Batch) -> Terms:
        """The parts' terms side by side."""
        loss: dict[str, Tensor] = {}
        info: dict[str, Tensor] = {}
        for part in self.parts:
            terms = part(potential, batch)
            twice = (loss.keys() & terms.loss.keys()) | (info.keys() & terms.info.keys())
            if twice:
                raise InputError(
                    f"Expected a sum of distinct terms, got {', '.join(sorted(twice))} twice: leave one out."
                )
            loss.update(terms.loss)
            info.update(terms.info)
        return Terms(loss, info)

    def update(self, potential: nn.Module) -> None:
        """Update every part."""
        for part in self._objectives():
            part.update(potential)

    def calm(self) -> None:
        """Calm every part."""
        for part in self._objectives():
            part.calm()

    def _objectives(self) -> Iterator[Objective]:
        for part in self.parts:
            assert isinstance(part, Objective)
            yield part


@contextmanager
def noiseless(potential: nn.Module) -> Iterator[nn.Module]:
    """The potential with dropout and noise off.

    Wherever p(x) is at stake, all passes are made one way or the other: noise in passes over data but not in chains
    would compare u on two different functions.
    """
    training = potential.training
    potential.eval()
    try:
        yield potential
    finally:
        potential.train(training)


@contextmanager
def frozen(potential: nn.Module) -> Iterator[nn.Module]:
    """The potential as a yardstick for another player: what is computed meanwhile has no gradient for its weights."""
    learning = [parameter for parameter in potential.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield potential
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
