"""The methods for tables and images by name: each is a list of stages through which one potential passes.

What is numeric is a `fewlabels.recipes.Recipe`.  A `Setting` scales the two numbers that decide over gain or harm.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from fewlabels.augmentation import add_noise
from fewlabels.features import width
from fewlabels.methods import PRETRAINING, Setting
from fewlabels.objective import Objective, Sum
from fewlabels.objectives.bad_gan import BadGAN
from fewlabels.objectives.catgan import CatGAN
from fewlabels.objectives.entropy import EntropyMinimisation
from fewlabels.objectives.fixmatch import FixMatch
from fewlabels.objectives.improved_gan import ImprovedGAN
from fewlabels.objectives.ladder import Ladder
from fewlabels.objectives.mean_teacher import MeanTeacher
from fewlabels.objectives.nrf import InclusiveNRF
from fewlabels.objectives.persistent_cd import PersistentCD
from fewlabels.objectives.pi_model import PiModel
from fewlabels.objectives.propagation import Propagated, spread
from fewlabels.objectives.ramp import Ramped
from fewlabels.objectives.self_training import SelfTraining
from fewlabels.objectives.simclr import SimCLR
from fewlabels.objectives.sobolev_gan import SobolevGAN
from fewlabels.objectives.supervised import Supervised
from fewlabels.objectives.teacher_labels import TeacherLabels
from fewlabels.objectives.temporal_ensembling import TemporalEnsembling
from fewlabels.objectives.vat import VAT
from fewlabels.objectives.vime import VIME
from fewlabels.optimizers import rmsprop
from fewlabels.recipes import Field, Phase, Plan, Recipe
from fewlabels.train import Stage

__all__ = ["VECTORS", "VectorPlayers"]

RISING = 0.3
"""Part of training over which weights rise that rest on what the network believes."""


class VectorPlayers(NamedTuple):
    """What the methods for vectors and images are made from.

    Attributes
    ----------
    recipe
        All that is numeric.
    potential
        What is to be trained, for those who copy it or ask for its width.
    data, rows, y
        All inputs, (N, ...), which of them have labels, (n,), and the labels, (n,).
    augmentation
        From inputs (B, ...) to other views of them, or None.
    generator
        Proposes x from a latent.
    start
        Where persistent chains start, (N', ...).
    heads
        Names of the potential's submodules that may start afresh after pre-training.
    effort
        Factor on the number of steps.
    """

    recipe: Recipe
    potential: nn.Module
    data: Tensor
    rows: Tensor
    y: Tensor
    augmentation: Callable[[Tensor], Tensor] | None
    generator: nn.Module
    start: Tensor
    heads: tuple[str, ...]
    effort: float

    def stage(self, name: str, objective: Objective, plan: Plan) -> Stage:
        """A stage by its plan."""
        steps = max(1, round(plan.steps * self.effort))
        return Stage(name, objective, steps, plan.optimizer, plan.schedule, plan.average)

    def field(self, field: Field, setting: Setting, entropy: float = 0.0, *, scalar: bool = False) -> InclusiveNRF:
        """The objective of log p(x), with the setting's factors."""
        return InclusiveNRF(
            self.generator, weight=field.weight * setting.weight, control=field.control * setting.weight,
            sample_control=field.sample_control * setting.weight, entropy=entropy * setting.weight,
            step_size=field.step_size * setting.step_size, steps=field.steps, scalar=scalar, noisy=field.noisy,
        )  # fmt: skip

    def view(self, deviation: float) -> Callable[[Tensor], Tensor]:
        """The augmentation; without one, Gaussian noise of a standard deviation."""
        return self.augmentation or partial(add_noise, deviation=deviation)

    def rival(self, name: str, objective: Objective) -> list[Stage]:
        """One stage of a method to compare with, beside labels, by the plan that all of them share.

        Labelled inputs have the noise that they have alone: what is gained over that is gained by the method.
        """
        return [self.stage(name, Sum(Supervised(noise=self.recipe.noise), objective), self.recipe.rival)]

    def ramped(self, objective: Objective) -> Ramped:
        """An objective whose weight rises over the first part of that plan."""
        return Ramped(objective, round(RISING * self.recipe.rival.steps * self.effort))

    def self_supervised(self, objective: Objective) -> list[Stage]:
        """A stage that sees no labels and learns no p(x), then one with labels alone, as in pre-training."""
        first = self.recipe.pretraining._replace(optimizer=rmsprop(1e-3))
        return [self.stage(PRETRAINING, objective.to(self.data.device), first), self.fine_tuning(self.heads)]

    def fine_tuning(self, reset: tuple[str, ...]) -> Stage:
        """Labels alone, behind pre-training, with these parts of the potential afresh."""
        stage = self.stage("fine-tune", Supervised(noise=self.recipe.noise), self.recipe.finetune)
        return stage._replace(reset=reset)


def supervised_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x) alone."""
    recipe = players.recipe
    return [players.stage("supervised", Supervised(noise=recipe.noise), recipe.supervised)]


def pretrained_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(x) alone, then -log p(y | x); the weight does nothing."""
    recipe = players.recipe
    field = players.field(recipe.prior, setting._replace(weight=1.0), scalar=recipe.head == "scalar")
    reset = () if recipe.head == "kept" else players.heads
    return [players.stage(PRETRAINING, field, recipe.pretraining), players.fine_tuning(reset)]


def joint_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """Both at once; in later phases the net may be asked to be confident about unlabelled data, too."""
    recipe = players.recipe

    def phase(phase: Phase) -> Stage:
        field = players.field(recipe.field, setting, phase.entropy)
        name = "joint, confident" if phase.entropy else "joint"
        return players.stage(name, Sum(Supervised(recipe.label_weight, noise=recipe.joint_noise), field), phase.plan)

    return [phase(one) for one in recipe.joint]


def persistent_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """Joint training with persistent chains in place of a generator."""
    field = PersistentCD(
        players.start, weight=0.05 * setting.weight, control=0.005 * setting.weight, step_size=0.3 * setting.step_size,
        noise=0.1 * setting.step_size**0.5,
    )  # fmt: skip
    return [players.stage("joint", Sum(Supervised(), field), players.recipe.persistent)]


def virtual_adversarial_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x), and p(y | x) is to withstand small changes of x."""
    return players.rival("vat", VAT(setting.weight, players.recipe.radius))


def entropy_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x), and p(y | x) is to be sure of itself."""
    return players.rival("entropy", players.ramped(EntropyMinimisation(setting.weight)))


def pseudo_label_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x), also with the labels that the network is sure of."""
    return players.rival("pseudo-label", players.ramped(SelfTraining(setting.weight, threshold=0.95)))


def self_training_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x), also with the labels that the network was sure of at the end of the last of five rounds."""
    steps = max(1, round(players.recipe.rival.steps * players.effort / 5))
    return players.rival("self-training", TeacherLabels(players.potential, steps, setting.weight))


def fixmatch_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x), also for views of what the network is sure of."""
    return players.rival("fixmatch", FixMatch(players.view(players.recipe.view), setting.weight))


def pi_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x), and two views are to agree."""
    weight = setting.weight * players.recipe.consistency
    return players.rival("pi", players.ramped(PiModel(players.view(players.recipe.view), weight)))


def temporal_ensembling_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x), and a view is to agree with earlier ones."""
    weight, labels = setting.weight * players.recipe.consistency, int(players.y.max()) + 1
    objective = TemporalEnsembling(len(players.data), labels, players.view(players.recipe.view), weight).to(
        players.data.device
    )
    return players.rival("temporal ensembling", players.ramped(objective))


def mean_teacher_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x), and a view is to agree with a moving average of the network on another."""
    weight = setting.weight * players.recipe.consistency
    objective = MeanTeacher(
        players.potential, players.view(players.recipe.view), weight, players.recipe.rival.average or 0.999
    )
    return players.rival("mean teacher", players.ramped(objective))


def propagation_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x), also with labels that spread over a graph of neighbours."""
    q = spread(players.data, players.rows, players.y)
    return players.rival("label propagation", Propagated(q, setting.weight))


def cat_gan_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x), sure of data and unsure of what a generator makes."""
    return players.rival("CatGAN", CatGAN(players.generator, setting.weight))


def improved_gan_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x), and data are told from what a generator makes by u(x)."""
    return players.rival("Improved-GAN", ImprovedGAN(players.generator, setting.weight))


def bad_gan_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """As in the Improved GAN, with a generator that is kept from collapsing."""
    objective = BadGAN(players.generator, players.data[0].numel(), setting.weight)
    return players.rival("Bad-GAN", objective.to(players.data.device))


def sobolev_gan_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x), and the scores are part of a smooth critic that tells data from what a generator makes."""
    objective = SobolevGAN(players.generator, width(players.potential, players.data), setting.weight)
    return players.rival("Sobolev-GAN", objective.to(players.data.device))


def ladder_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x), and the last layer is to find its clean values again; the decoder learns ten times as fast."""
    recipe = players.recipe
    faster = players._replace(recipe=recipe._replace(rival=recipe.rival._replace(optimizer=rmsprop(1e-3, 1e-2))))
    return faster.rival("ladder", Ladder(players.potential, players.data, setting.weight))


def contrast_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """Two views of an input are to be told from those of others, then -log p(y | x); the weight does nothing."""
    objective = SimCLR(width(players.potential, players.data), players.view(players.recipe.far_view))
    return players.self_supervised(objective)


def repair_vectors(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """Swapped entries are to be found and repaired, then -log p(y | x); the weight does nothing."""
    return players.self_supervised(VIME(width(players.potential, players.data), players.data[0].numel()))


VECTORS: dict[str, Callable[[VectorPlayers, Setting], list[Stage]]] = {
    "supervised": supervised_vectors,
    "pretrain": pretrained_vectors,
    "joint": joint_vectors,
    "persistent_cd": persistent_vectors,
    "vat": virtual_adversarial_vectors,
    "entropy": entropy_vectors,
    "pseudo_label": pseudo_label_vectors,
    "self_training": self_training_vectors,
    "fixmatch": fixmatch_vectors,
    "pi": pi_vectors,
    "temporal_ensembling": temporal_ensembling_vectors,
    "mean_teacher": mean_teacher_vectors,
    "label_propagation": propagation_vectors,
    "cat_gan": cat_gan_vectors,
    "improved_gan": improved_gan_vectors,
    "bad_gan": bad_gan_vectors,
    "sobolev_gan": sobolev_gan_vectors,
    "ladder": ladder_vectors,
    "simclr": contrast_vectors,
    "vime": repair_vectors,
}
