"""The methods for sentences by name: where the network starts, and what it then learns from labels and from text.

A method is a list of stages through which one potential passes: first, unless ``pretraining`` is "none", one that sees
no labels; then those of `WHOLE`.  Every start goes with every method, and log p(x) is learnt by whichever estimator is
named.  *Terms* follow labels, or are added to joint training ("joint+self_training").  What is numeric (batch sizes,
steps, optimisers, weights) is a `Recipe`: `SMALL` for a laptop, `PAPER` as the paper's code has it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fewlabels.methods import PRETRAINING, Names, Setting
from fewlabels.objective import Objective, Sum
from fewlabels.objectives.bidirectional_lm import BidirectionalLM
from fewlabels.objectives.conditional_nce import ConditionalNCE
from fewlabels.objectives.entropy import EntropyMinimisation
from fewlabels.objectives.mean_teacher import MeanTeacher
from fewlabels.objectives.nce import NCE
from fewlabels.objectives.pseudo_likelihood import PseudoLikelihood
from fewlabels.objectives.self_training import SelfTraining
from fewlabels.objectives.supervised import Supervised
from fewlabels.objectives.vat import VAT, Space
from fewlabels.optimizers import Maker, Schedule, adam, head_alone, hold, inverse_root, momentum, warm
from fewlabels.sequence.language_model import LanguageModel
from fewlabels.sequence.sentences import Padded
from fewlabels.stage import Stage

__all__ = [
    "ESTIMATORS", "NAMES", "PAPER", "SCOPES", "SMALL", "STARTS", "TINY", "Plan", "Recipe", "SentencePlayers",
    "sentence_stages",
]  # fmt: skip

STARTS = ("field", "bilm", "none")
"""Before any label is seen: log p(x) of the random field, a bidirectional language model, or nothing."""

ESTIMATORS = ("pseudo_likelihood", "conditional_nce", "nce")
"""Of log p(x)."""

SCOPES = ("all", "head")
"""What learns from labels alone after a start."""


WORD_VECTORS = Space(
    lambda potential, x: x.inside().unsqueeze(-1).float().repeat(1, 1, potential.words.size),
    lambda x, change: x._replace(shift=change),
)
"""Where virtual adversarial training changes a sentence."""


class Plan(NamedTuple):
    """How long and by which steps a stage learns.

    Attributes
    ----------
    steps
        Number of steps, from the number of examples: of sentences without labels in pre-training, else of those with.
    optimizer, schedule
        As of a `fewlabels.stage.Stage`; the optimiser from the factor of the players' rate on the potential's, the
        schedule from the number of steps.
    average, clip
        As of a `fewlabels.stage.Stage`.
    """

    steps: Callable[[int], int]
    optimizer: Callable[[float], Maker]
    schedule: Callable[[int], Schedule]
    average: float = 0.0
    clip: float = 5.0


class Recipe(NamedTuple):
    """Everything numeric of the methods for sentences.

    Attributes
    ----------
    labelled, unlabelled
        Sentences a batch; of unlabelled ones in stages without and with labels.
    pretraining, scratch, finetune, joint
        Plans: without labels; on labels from random weights, or from a start; on labels and text together.
    weights
        Of each estimator of log p(x) beside labels; of pre-training it is 1.
    ramp
        Steps over which dynamic NCE's weight rises with their square root; 0 for none.
    draws
        Rival words of pseudo-likelihood and of the bidirectional language model; None for the latter's full softmax.
    noise
        Word vectors and states of dynamic NCE's noise model, and whether its softmax is factored.
    noise_rate
        Factor of the learning rate of that model and of the log-normaliser, which it is to stay calibrated to, on the
        potential's.
    unigram
        Whether the built-in word potential holds the unigram log-probabilities.  Dynamic NCE then makes its noise model
        the carrier measure in their place, and that model starts from them.
    radius
        Of virtual adversarial training; see `fewlabels.objectives.vat`.
    consistency
        Weight of the agreement with a teacher.
    """

    labelled: int
    unlabelled: tuple[int, int]
    pretraining: Plan
    scratch: Plan
    finetune: Plan
    joint: Plan
    weights: Mapping[str, float]
    ramp: int
    draws: int | None
    noise: tuple[int, int, bool]
    noise_rate: float
    unigram: bool
    radius: float = 0.01
    consistency: float = 100.0


def growing(steps: int, examples: int, power: float) -> Callable[[int], int]:
    """So many steps up to a number of examples, and beyond it in proportion to a power of their number.

    Examples
    --------
    >>> [growing(250, 100, 0.5)(n) for n in (10, 100, 400)]
    [250, 250, 500]
    """
    return lambda n: round(steps * max(1.0, n / examples) ** power)


def _risen_and_fallen(steps: int) -> Schedule:
    return warm(0.1, hold(0.5))


def _fast(rate: float) -> Callable[[float], Maker]:
    return lambda players: adam(rate, players * rate, betas=(0.9, 0.99))


def _gently(players: float) -> Maker:
    return adam(1e-3, players * 1e-3, head_rate=3e-3)


def _labels(players: float) -> Maker:
    return momentum(0.1)


TINY = Recipe(
    labelled=16,
    unlabelled=(64, 64),
    pretraining=Plan(growing(250, 1, 0.0), _fast(6e-3), _risen_and_fallen),
    scratch=Plan(growing(250, 1, 0.0), lambda players: adam(3e-3), _risen_and_fallen, average=0.98),
    finetune=Plan(growing(200, 1, 0.0), _gently, _risen_and_fallen, average=0.98),
    joint=Plan(growing(160, 1, 0.0), _fast(6e-3), lambda steps: warm(0.1, hold(0.0)), average=0.98),
    weights={"pseudo_likelihood": 3.0, "conditional_nce": 0.3, "nce": 0.1},
    ramp=0,
    draws=400,
    noise=(100, 100, True),
    noise_rate=0.1,
    unigram=True,
)
"""For a first look: a fixed number of steps, whatever the data."""

SMALL = Recipe(
    labelled=16,
    unlabelled=(64, 32),
    pretraining=Plan(growing(400, 10_000, 0.4), _fast(4e-3), lambda steps: warm(0.1, hold(0.3))),
    scratch=Plan(growing(400, 100, 0.55), lambda players: adam(3e-3), _risen_and_fallen, average=0.99),
    finetune=Plan(growing(250, 100, 0.6), _gently, _risen_and_fallen, average=0.99),
    joint=Plan(growing(250, 100, 0.6), _gently, _risen_and_fallen, average=0.99),
    weights={"pseudo_likelihood": 3.0, "conditional_nce": 0.3, "nce": 0.1},
    ramp=0,
    draws=800,
    noise=(100, 100, True),
    noise_rate=0.1,
    unigram=True,
)
"""For a laptop: found on dev splits; the numbers of steps grow with the numbers of sentences."""

PAPER = Recipe(
    labelled=64,
    unlabelled=(32, 32),
    pretraining=Plan(lambda n: 5 * max(1, n // 32), lambda players: adam(1e-3), inverse_root, clip=10.0),
    scratch=Plan(lambda n: 20_000 if n > 6_000 else 10_000, _labels, inverse_root, clip=10.0),
    finetune=Plan(lambda n: 20_000 if n > 6_000 else 10_000, _labels, inverse_root, clip=10.0),
    joint=Plan(lambda n: 40_000 if n > 6_000 else 20_000, _labels, inverse_root, clip=10.0),
    weights={"pseudo_likelihood": 1.0, "conditional_nce": 0.1, "nce": 0.1},
    ramp=40_000,
    draws=None,
    noise=(200, 200, False),
    noise_rate=1.0,
    unigram=False,
)
"""The paper's, from its code; more than 6,000 labelled sentences are its 100 % of the labels."""


class SentencePlayers(NamedTuple):
    """What the methods for sentences need beside the potential.

    Attributes
    ----------
    recipe
        All that is numeric.
    potential
        What is to be trained, for those who copy it.
    pretraining, estimator, finetune
        Out of `STARTS`, `ESTIMATORS` and `SCOPES`.
    counts
        How often each word with a vector of its own was seen, (V,).
    log_unigram
        Log-probabilities of words by themselves, (V,).
    carries
        Whether the word potential holds them, as its carrier measure.
    lengths
        How many unlabelled sentences have each number of words, (L + 1,).
    labelled
        Number of sentences with labels.
    states
        Size of the encoder's states in one direction.
    heads
        Names of the potential's submodules that start afresh after pre-training.
    effort
        Factor on the number of steps.
    """

    recipe: Recipe
    potential: nn.Module
    pretraining: str
    estimator: str
    finetune: str
    counts: Tensor
    log_unigram: Tensor
    carries: bool
    lengths: Tensor
    labelled: int
    states: int
    heads: tuple[str, ...]
    effort: float

    def field(self, weight: float, ramp: int = 0, words_alone: bool = False) -> Objective:
        """-log p(x) by the estimator, weighted."""
        if self.estimator == "pseudo_likelihood":
            return PseudoLikelihood(self.counts, weight=weight, draws=self.recipe.draws or 400)
        if self.estimator == "conditional_nce":
            return ConditionalNCE(self.counts, weight=weight, carrier=not self.carries, words_alone=words_alone)
        unigram = self.log_unigram if self.carries else None
        prior = self.lengths.float() / self.lengths.sum() + 1e-5
        prior[0] = 0.0
        return NCE(
            self._noise_model(), prior / prior.sum(), weight=weight, ramp=ramp, carrier=self.recipe.unigram,
            unigram=unigram, words_alone=words_alone,
        )  # fmt: skip

    def _noise_model(self) -> LanguageModel:
        embedding, hidden, factored = self.recipe.noise
        words = len(self.counts)
        cutoffs = [cut for cut in (2_000, 10_000) if factored and cut < words]
        noise_model = LanguageModel(words, len(self.lengths) - 1, embedding, hidden, cutoffs)
        if self.recipe.unigram:
            tokens = float((self.lengths * torch.arange(len(self.lengths))).sum())
            noise_model.start_from(self.log_unigram.exp() * tokens, int(self.lengths.sum()))
        return noise_model

    def joint_field(self, setting: Setting) -> Objective:
        """-log p(x) as it stands beside labels."""
        return self.field(self.recipe.weights[self.estimator] * setting.weight, self.recipe.ramp)

    def start(self) -> list[Stage]:
        """The stage without labels, if there is to be one."""
        if self.pretraining == "none":
            return []
        objective = (
            self.field(1.0, words_alone=True)
            if self.pretraining == "field"
            else BidirectionalLM(self.counts, self.states, draws=self.recipe.draws)
        )
        return [self._stage(PRETRAINING, objective, self.recipe.pretraining, int(self.lengths.sum()))]

    def on_labels(self) -> Stage:
        """-log p(y | x) alone, from whatever start."""
        if self.pretraining == "none":
            return self._stage("supervised", Supervised(), self.recipe.scratch, self.labelled)
        stage = self._stage("fine-tune", Supervised(), self.recipe.finetune, self.labelled, self.heads)
        return stage._replace(optimizer=head_alone(stage.optimizer)) if self.finetune == "head" else stage

    def together(self, name: str, objective: Objective, goes_on: bool = False) -> Stage:
        """Labels and text at once; where it goes on from such a stage, the head is kept."""
        return self._stage(name, objective, self.recipe.joint, self.labelled, () if goes_on else self.heads)

    def _stage(self, name: str, objective: Objective, plan: Plan, examples: int, reset: tuple[str, ...] = ()) -> Stage:
        steps = max(1, math.ceil(plan.steps(examples) * self.effort))
        noise = any(isinstance(part, NCE) for part in objective.modules())
        optimizer = plan.optimizer(self.recipe.noise_rate if noise else 1.0)
        return Stage(name, objective, steps, optimizer, plan.schedule(steps), plan.average, plan.clip, reset)


def supervised(players: SentencePlayers, setting: Setting) -> list[Stage]:
    """-log p(y | x) alone: a conditional random field, from random weights."""
    return [players._replace(pretraining="none").on_labels()]


def pretrained(players: SentencePlayers, setting: Setting) -> list[Stage]:
    """The start, then -log p(y | x) with a new head."""
    return [*players.start(), players.on_labels()]


def joint(players: SentencePlayers, setting: Setting, terms: Sequence[str] = ()) -> list[Stage]:
    """The start, then labels and log p(x) at once, and then, if there are any, with terms added.

    The paper's code starts from its pre-trained field, too.
    """
    field = players.joint_field(setting)
    stages = [*players.start(), players.together("joint", Sum(Supervised(), field))]
    if terms:
        added = [TERMS[name](players, setting.weight) for name in terms]
        stages.append(players.together("+".join(["joint", *terms]), Sum(Supervised(), field, *added), goes_on=True))
    return stages


def alone(term: str, players: SentencePlayers, setting: Setting) -> list[Stage]:
    """The start, labels alone, then labels and one term."""
    objective = Sum(Supervised(), TERMS[term](players, setting.weight))
    return [*pretrained(players, setting), players.together(term, objective, goes_on=True)]


def self_training(players: SentencePlayers, weight: float) -> Objective:
    """-log p(y | x) of the tags that the model itself gives to unlabelled sentences."""
    return SelfTraining(weight)


def pseudo_labels(players: SentencePlayers, weight: float) -> Objective:
    """The same, of the sentences of whose tags it is sure."""
    return SelfTraining(weight, threshold=0.95)


def entropy(players: SentencePlayers, weight: float) -> Objective:
    """p(y | x) is to be sure of itself."""
    return EntropyMinimisation(weight)


def mean_teacher(players: SentencePlayers, weight: float) -> Objective:
    """Agreement, through dropout, with a moving average of the network."""
    weight, decay = weight * players.recipe.consistency, players.recipe.joint.average or 0.99
    return MeanTeacher(players.potential, _as_it_is, weight, decay)


def virtual_adversarial(players: SentencePlayers, weight: float) -> Objective:
    """p(y | x) is to withstand small changes of the words' vectors."""
    return VAT(weight, players.recipe.radius, space=WORD_VECTORS)


def _as_it_is(x: Padded) -> Padded:
    """The one view of a sentence."""
    return x


TERMS: dict[str, Callable[[SentencePlayers, float], Objective]] = {
    "self_training": self_training,
    "pseudo_label": pseudo_labels,
    "entropy": entropy,
    "mean_teacher": mean_teacher,
    "vat": virtual_adversarial,
}
"""What unlabelled sentences teach beside labels, from the players and a weight."""

WHOLE: dict[str, Callable[[SentencePlayers, Setting], list[Stage]]] = {
    "supervised": supervised,
    "pretrain": pretrained,
    "joint": joint,
    **{name: partial(alone, name) for name in TERMS},
}

NAMES = Names(tuple(WHOLE), tuple(TERMS), {"joint": ()}, best="joint+self_training")


def sentence_stages(method: str, players: SentencePlayers, setting: Setting) -> list[Stage]:
    """The stages of a method by name; weight 0 is supervised training, whatever the method."""
    first, *terms = NAMES.parts(method if setting.weight else "supervised")
    return joint(players, setting, terms) if terms else WHOLE[first](players, setting)
