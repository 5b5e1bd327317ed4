"""The methods for tables and images by name: each is a list of stages through which one potential passes.

What unlabelled inputs teach is either a *term*, which stands beside labels or is added to another method ("joint+vat"),
or a method that has players of its own.  What is numeric is a `fewlabels.recipes.Recipe`.  A `Setting` scales the two
numbers that decide over gain or harm.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from fewlabels.augmentation import add_noise
from fewlabels.features import width
from fewlabels.methods import PRETRAINING, Names, Setting
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
from fewlabels.optimizers import adam, hold, rmsprop
from fewlabels.recipes import Field, Phase, Plan, Recipe
from fewlabels.stage import Stage

__all__ = ["NAMES", "TERMS", "WHOLE", "VectorPlayers", "vector_stages"]

ADDED = 0.1
"""Weight of a term beside joint training, as a part of that of labels."""

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
            smoothing=field.smoothing, cuts=field.cuts,
        )  # fmt: skip

    def view(self, deviation: float) -> Callable[[Tensor], Tensor]:
        """The augmentation; without one, Gaussian noise of a standard deviation."""
        return self.augmentation or partial(add_noise, deviation=deviation)

    def rival(self, name: str, objective: Objective, normalised: bool = False) -> list[Stage]:
        """One stage of a method to compare with, beside labels, by the plan that all of them share.

        Labelled inputs have the noise that they have alone: what is gained over that is gained by the method.
        """
        stage = self.stage(name, Sum(Supervised(noise=self.recipe.noise), objective), self.recipe.rival)
        return [stage._replace(normalised=normalised)]

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


def supervised(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x) alone."""
    recipe = players.recipe
    return [players.stage("supervised", Supervised(noise=recipe.noise), recipe.supervised)]


def pretrained(players: VectorPlayers, setting: Setting, terms: Sequence[str] = ()) -> list[Stage]:
    """-log p(x) alone, then -log p(y | x), with terms or a rival beside it if there are any; the weight is theirs."""
    recipe = players.recipe
    field = players.field(recipe.prior, setting._replace(weight=1.0), scalar=recipe.head == "scalar")
    reset = () if recipe.head == "kept" else players.heads
    second = players.fine_tuning(reset)
    if terms:
        (second,) = _beside_labels(players, setting, terms)
    return [players.stage(PRETRAINING, field, recipe.pretraining), second._replace(reset=reset)]


def _beside_labels(players: VectorPlayers, setting: Setting, terms: Sequence[str]) -> list[Stage]:
    """One stage of terms, not normalised, or of a single rival."""
    if terms[0] in RIVALS:
        return RIVALS[terms[0]](players, setting)
    return players.rival("+".join(terms), Sum(*(TERMS[name](players, setting.weight) for name in terms)))


def joint(players: VectorPlayers, setting: Setting, terms: Sequence[str] = ()) -> list[Stage]:
    """Both at once; in later phases the net may be asked to be confident about unlabelled data, too.

    It is asked of as many inputs as have no label, up to as many as have one: about the others labels say what there is
    to be sure of.  Terms that are added weigh `ADDED` of what labels do.
    """
    recipe = players.recipe
    unknown = min(1.0, len(players.data) / len(players.rows) - 1.0)
    added = [TERMS[name](players, setting.weight * recipe.label_weight * ADDED) for name in terms]

    def phase(phase: Phase) -> Stage:
        confidence = unknown * phase.entropy
        field = players.field(recipe.field, setting, confidence)
        name = "joint, confident" if confidence else "joint"
        labels = Supervised(recipe.label_weight, noise=recipe.joint_noise)
        return players.stage("+".join([name, *terms]), Sum(labels, field, *added), phase.plan)

    first, *later = map(phase, recipe.joint)
    return [first, *(stage._replace(continues=True) for stage in later)]


def persistent(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """Joint training with persistent chains in place of a generator."""
    recipe, weight = players.recipe, setting.weight
    chains = recipe.chains
    field = PersistentCD(
        players.start, weight=chains.weight * weight, control=chains.control * weight,
        sample_control=chains.sample_control * weight, step_size=chains.step_size * setting.step_size,
        steps=chains.steps, noise=recipe.chain_noise * setting.step_size**0.5,
    )  # fmt: skip
    return [players.stage("joint", Sum(Supervised(), field), recipe.persistent)]


def supervised_normalised(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x) alone, normalised over batches: what terms that are normalised have to be better than."""
    recipe = players.recipe
    stage = players.stage("supervised, normalised", Supervised(noise=recipe.noise), recipe.rival)
    return [stage._replace(normalised=True)]


def virtual_adversarial(players: VectorPlayers, weight: float) -> Objective:
    """p(y | x) is to withstand small changes of x."""
    return VAT(weight, players.recipe.radius)


def entropy(players: VectorPlayers, weight: float) -> Objective:
    """p(y | x) is to be sure of itself."""
    return players.ramped(EntropyMinimisation(weight))


def pseudo_labels(players: VectorPlayers, weight: float) -> Objective:
    """-log p(y | x) of the labels that the network is sure of."""
    return players.ramped(SelfTraining(weight, threshold=0.95))


def self_training(players: VectorPlayers, weight: float) -> Objective:
    """-log p(y | x) of the labels that the network was sure of at the end of the last of five rounds."""
    steps = max(1, round(players.recipe.rival.steps * players.effort / 5))
    return TeacherLabels(players.potential, steps, weight)


def fixmatch(players: VectorPlayers, weight: float) -> Objective:
    """-log p(y | x) of views of what the network is sure of."""
    return FixMatch(players.view(players.recipe.view), weight)


def pi_model(players: VectorPlayers, weight: float) -> Objective:
    """Two views are to agree."""
    return players.ramped(PiModel(players.view(players.recipe.view), weight * players.recipe.consistency))


def temporal_ensembling(players: VectorPlayers, weight: float) -> Objective:
    """A view is to agree with earlier ones."""
    weight, labels = weight * players.recipe.consistency, int(players.y.max()) + 1
    objective = TemporalEnsembling(len(players.data), labels, players.view(players.recipe.view), weight)
    return players.ramped(objective.to(players.data.device))


def mean_teacher(players: VectorPlayers, weight: float) -> Objective:
    """A view is to agree with a moving average of the network on another."""
    weight, decay = weight * players.recipe.consistency, players.recipe.rival.average or 0.999
    return players.ramped(MeanTeacher(players.potential, players.view(players.recipe.view), weight, decay))


def label_propagation(players: VectorPlayers, weight: float) -> Objective:
    """-log p(y | x) of labels that spread over a graph of neighbours."""
    return Propagated(spread(players.data, players.rows, players.y), weight)


def alone(term: str, players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x), and one term, normalised over batches."""
    return players.rival(term, TERMS[term](players, setting.weight), normalised=True)


def cat_gan(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x), sure of data and unsure of what a generator makes."""
    return players.rival("CatGAN", CatGAN(players.generator, setting.weight))


def improved_gan(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x), and data are told from what a generator makes by u(x)."""
    return players.rival("Improved-GAN", ImprovedGAN(players.generator, setting.weight))


def bad_gan(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """As in the Improved GAN, with a generator that is kept from collapsing."""
    objective = BadGAN(players.generator, players.data[0].numel(), setting.weight)
    return players.rival("Bad-GAN", objective.to(players.data.device))


def sobolev_gan(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x), and the scores are part of a smooth critic that tells data from what a generator makes."""
    objective = SobolevGAN(players.generator, width(players.potential, players.data), setting.weight)
    return players.rival("Sobolev-GAN", objective.to(players.data.device))


def ladder(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x), and every layer is to find its clean values again."""
    plan = players.recipe.rival._replace(optimizer=adam(3e-3), schedule=hold(2 / 3))
    variance = float(players.data.var(correction=0).clamp(min=1e-6))
    weights = (100.0 / variance, 10.0, 0.1)  # the paper's for MNIST, whose pixels have about a tenth of unit variance
    return _with_decoder(players, plan, partial(Ladder, weight=setting.weight, weights=weights))


def gamma_ladder(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x), and the last layer is to find its clean values again."""
    plan = players.recipe.rival._replace(optimizer=rmsprop(1e-3, 1e-2))  # the decoder learns ten times as fast
    return _with_decoder(players, plan, partial(Ladder, weight=setting.weight, weights=(3.0,), gamma=True))


def _with_decoder(players: VectorPlayers, plan: Plan, ladder: Callable[..., Ladder]) -> list[Stage]:
    """The stage of a ladder, whose labelled pass is corrupted as its other one."""
    objective = ladder(players.potential, players.data, input_noise=players.recipe.corruption)
    labels = Supervised(noise=objective.noise[0], layer_noise=objective.noise[-1])
    return [players.stage("ladder", Sum(labels, objective), plan)._replace(normalised=True)]


def contrast(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """Two views of an input are to be told from other inputs', then -log p(y | x); 0 is the only weight that counts."""
    objective = SimCLR(width(players.potential, players.data), players.view(players.recipe.far_view))
    return players.self_supervised(objective)


def repair(players: VectorPlayers, setting: Setting) -> list[Stage]:
    """Swapped entries are to be found and repaired, then -log p(y | x); 0 is the only weight that counts."""
    return players.self_supervised(VIME(width(players.potential, players.data), players.data[0].numel()))


Method = Callable[[VectorPlayers, Setting], list[Stage]]

TERMS: dict[str, Callable[[VectorPlayers, float], Objective]] = {
    "vat": virtual_adversarial,
    "entropy": entropy,
    "pseudo_label": pseudo_labels,
    "self_training": self_training,
    "fixmatch": fixmatch,
    "pi": pi_model,
    "temporal_ensembling": temporal_ensembling,
    "mean_teacher": mean_teacher,
    "label_propagation": label_propagation,
}
"""What unlabelled inputs teach beside labels, from the players and a weight."""

RIVALS: dict[str, Method] = {
    "cat_gan": cat_gan,
    "improved_gan": improved_gan,
    "bad_gan": bad_gan,
    "sobolev_gan": sobolev_gan,
    "ladder": ladder,
    "gamma_ladder": gamma_ladder,
}
"""Methods of one stage with players of their own, which may follow pre-training, too."""

WHOLE: dict[str, Method] = {
    "supervised": supervised,
    "pretrain": pretrained,
    "joint": joint,
    "persistent_cd": persistent,
    "supervised_normalised": supervised_normalised,
    **{name: partial(alone, name) for name in TERMS},
    **RIVALS,
    "simclr": contrast,
    "vime": repair,
}

SUMS = {"pretrain": pretrained, "joint": joint}

NAMES = Names(tuple(WHOLE), tuple(TERMS), {"pretrain": tuple(RIVALS), "joint": ()}, best="joint+label_propagation+vat")


def vector_stages(method: str, players: VectorPlayers, setting: Setting) -> list[Stage]:
    """The stages of a method by name; weight 0 is supervised training, whatever the method."""
    first, *terms = NAMES.parts(method if setting.weight else "supervised")
    return SUMS[first](players, setting, terms) if terms else WHOLE[first](players, setting)
