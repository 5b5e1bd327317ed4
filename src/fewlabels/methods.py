"""The methods for vectors and images by name: each is a list of stages through which one potential passes.

A method that learns log p(x) takes a `Setting`, which scales the two numbers that decide over gain or harm; everything
else of a recipe stands here, where it is used.  A literal dict is the whole registry; that of sentences is in
`fewlabels.sentence_methods`.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

from fewlabels.objective import Objective, Sum
from fewlabels.objectives.nrf import InclusiveNRF
from fewlabels.objectives.persistent_cd import PersistentCD
from fewlabels.objectives.supervised import Supervised
from fewlabels.optimizers import adam, cosine, drop, rmsprop
from fewlabels.train import Stage

__all__ = ["PRETRAINING", "SUPERVISED", "VECTORS", "Setting", "VectorPlayers"]


class Setting(NamedTuple):
    """How strongly, and in what steps, log p(x) is learnt.

    Attributes
    ----------
    weight
        Factor on the recipe's weights of log p(x) and of what rests on it; 0 is supervised training.
    step_size
        Factor on the recipe's step size of the chain; methods without a chain ignore it.
    """

    weight: float = 1.0
    step_size: float = 1.0


SUPERVISED = Setting(0.0, 1.0)
PRETRAINING = "pre-train"
"""Name of a first stage that sees no labels: one run of it serves every setting and fold of a selection."""


class VectorPlayers(NamedTuple):
    """What the methods for vectors and images need beside the potential.

    Attributes
    ----------
    generator
        Proposes x from a latent.
    start
        Where persistent chains start, (N, ...).
    heads
        Names of the potential's submodules that fine-tuning starts afresh; none keeps the head, as the paper's code.
    effort
        Factor on the number of steps.
    """

    generator: nn.Module
    start: Tensor
    heads: tuple[str, ...]
    effort: float

    def steps(self, count: int) -> int:
        """The number of steps of a stage."""
        return max(1, round(count * self.effort))


def supervised_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x) alone."""
    return [Stage("supervised", Supervised(noise=0.8), players.steps(600), rmsprop(1e-3), drop(0.75), average=0.99)]


def pretrained_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(x) alone, then -log p(y | x) with a new head, the body all but held: its features are the gain."""
    field = InclusiveNRF(players.generator, weight=1.0, control=0.05, step_size=0.085 * setting.step_size, steps=5)
    return [
        Stage(PRETRAINING, field, players.steps(1200), rmsprop(4e-3, 3e-3), drop(0.75)),
        Stage("fine-tune", Supervised(noise=0.8), players.steps(500), rmsprop(1e-4, head_rate=3e-3), drop(0.5),
              average=0.99, reset=players.heads),
    ]  # fmt: skip


def joint_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """Both at once; in the second half the net is asked to be confident about unlabelled data, too."""

    def objective(entropy: float) -> Objective:
        field = InclusiveNRF(
            players.generator, weight=setting.weight, control=0.0, entropy=entropy * setting.weight,
            step_size=0.42 * setting.step_size, steps=1,
        )  # fmt: skip
        return Sum(Supervised(10.0, noise=0.3), field)

    half = players.steps(800)
    return [
        Stage("joint", objective(0.0), half, rmsprop(1e-3, 3e-3)),
        Stage("joint, confident", objective(10.0), half, rmsprop(1e-3, 3e-3), drop(0.5), average=0.99),
    ]


def persistent_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """Joint training with persistent chains in place of a generator."""
    field = PersistentCD(
        players.start, weight=0.05 * setting.weight, control=0.005 * setting.weight, step_size=0.3 * setting.step_size,
        noise=0.1 * setting.step_size**0.5,
    )  # fmt: skip
    return [Stage("joint", Sum(Supervised(), field), players.steps(1500), adam(1e-3), cosine)]


VECTORS: dict[str, Callable[[VectorPlayers, Setting], list[Stage]]] = {
    "supervised": supervised_vectors,
    "pretrain": pretrained_vectors,
    "joint": joint_vectors,
    "persistent_cd": persistent_vectors,
}
