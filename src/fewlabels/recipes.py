"""Recipes for vectors and images: everything that is numeric in their methods.

`DENSE`, `SMALL` and `WIDE` are for a laptop; `MNIST`, `SVHN` and `CIFAR10` are as the paper's code has them.
"""

from typing import Any, NamedTuple

from fewlabels.errors import InputError
from fewlabels.optimizers import Maker, Schedule, adam, constant, cosine, drop, rmsprop

__all__ = ["CIFAR10", "DENSE", "MNIST", "SMALL", "SVHN", "WIDE", "Field", "Phase", "Plan", "Recipe", "check_recipe"]


HEADS = ("new", "scalar", "kept")
"""What becomes of the head between pre-training and fine-tuning; see `Recipe`."""


class Plan(NamedTuple):
    """How long and by which steps a stage learns; fields as of a `fewlabels.stage.Stage`."""

    steps: int
    optimizer: Maker
    schedule: Schedule = constant
    average: float = 0.0


class Field(NamedTuple):
    """How log p(x) is learnt; see `fewlabels.objectives.nrf.InclusiveNRF`."""

    weight: float
    control: float
    step_size: float
    steps: int
    sample_control: float = 0.0
    noisy: bool = False
    smoothing: float = 0.0
    cuts: int | None = None


class Phase(NamedTuple):
    """A part of joint training: its plan, and the weight of the confidence term in it."""

    plan: Plan
    entropy: float = 0.0


class Recipe(NamedTuple):
    """Everything numeric of the methods for vectors.

    Attributes
    ----------
    labelled, unlabelled
        Inputs of either kind a step, and as many samples as unlabelled ones; of these 2 at least, since a generator's
        layers are normalised over them.
    supervised, pretraining, finetune, joint, persistent, rival
        Plans of the stages; joint training has one or more phases.  The methods that are compared share one plan.
    noise, joint_noise
        Standard deviation of noise on labelled inputs, alone or in the methods that are compared, and beside log p(x).
    label_weight
        Of -log p(y | x) in joint training; persistent chains know neither it nor noise.
    radius
        Of virtual adversarial training; see `fewlabels.objectives.vat`.
    consistency
        Weight of the agreement of views, in methods that ask for it.
    view, far_view
        Standard deviations of the noise that makes another view of an input where no augmentation is given; the latter
        for views that are to share but what matters.
    corruption
        Standard deviation of the noise on inputs from which a ladder network is to find them again.  What is fine in a
        photograph is faint: noise of 0.3 hides it, and scores that are to withstand the noise then lose it.
    prior, field, chains
        How log p(x) is learnt alone, and beside labels; and beside labels by persistent chains.
    chain_noise
        Standard deviation of the noise in a step of those chains, far below that of exact Langevin steps, as is usual.
    head
        What becomes of the head between pre-training and fine-tuning.  "new": u(x) = log Σ_y exp u(x, y), and the head
        starts afresh; "scalar": u(x) is one score, w · h(x), and the head starts afresh, as in the paper's text;
        "kept": u(x) as in "new", and the head stays, as in the paper's code.
    """

    labelled: int
    unlabelled: int
    supervised: Plan
    pretraining: Plan
    finetune: Plan
    joint: tuple[Phase, ...]
    persistent: Plan
    rival: Plan
    prior: Field
    field: Field
    chains: Field = Field(0.05, 0.005, 0.3, 5)
    chain_noise: float = 0.1
    label_weight: float = 1.0
    noise: float = 0.0
    joint_noise: float = 0.0
    radius: float = 0.1
    consistency: float = 30.0
    view: float = 0.3
    far_view: float = 1.0
    corruption: float = 0.1
    head: str = "new"


def check_recipe(recipe: Any) -> None:
    """Refuse, by an `InputError`, what is neither None nor a recipe that means something."""
    if recipe is None:
        return
    if not isinstance(recipe, Recipe):
        raise InputError(f"Expected recipe to be a fewlabels.recipes.Recipe, got {recipe!r}.")
    if recipe.labelled < 1 or recipe.unlabelled < 2:
        raise InputError(
            "Expected a recipe of 1 labelled and 2 unlabelled inputs a step or more, got"
            f" {recipe.labelled!r} and {recipe.unlabelled!r}."
        )
    if recipe.head not in HEADS:
        raise InputError(f"Expected a recipe whose head is one of {', '.join(HEADS)}, got {recipe.head!r}.")


DENSE = Recipe(
    labelled=50,
    unlabelled=50,
    supervised=Plan(600, rmsprop(1e-3), drop(0.75), average=0.99),
    pretraining=Plan(1200, rmsprop(4e-3, 3e-3), drop(0.75)),
    finetune=Plan(500, rmsprop(1e-4, head_rate=3e-3), drop(0.5), average=0.99),  # the body all but held
    joint=(
        Phase(Plan(800, rmsprop(1e-3, 3e-3))),
        Phase(Plan(800, rmsprop(1e-3, 3e-3), drop(0.5), average=0.99), entropy=10.0),
    ),
    persistent=Plan(1500, adam(1e-3), cosine),
    rival=Plan(1600, rmsprop(1e-3), drop(0.5), average=0.99),
    prior=Field(1.0, 0.05, 0.085, 5),
    field=Field(1.0, 0.0, 0.42, 1, cuts=2),
    label_weight=10.0,
    noise=0.8,
    joint_noise=0.3,
    corruption=0.9,
)
"""For tables and small images read as vectors: found on digits, on draws of the labels that no figure is quoted for.
There hardly a revision lowers u(x); of a few features, steps of that length overshoot unless they are cut."""

SMALL = Recipe(
    labelled=25,
    unlabelled=25,
    supervised=Plan(8_000, rmsprop(1e-3), drop(0.7), average=0.999),
    pretraining=Plan(6_000, rmsprop(1e-3, 1e-3), drop(0.7)),
    finetune=Plan(8_000, rmsprop(1e-3), drop(0.7), average=0.999),
    joint=(
        Phase(Plan(2_400, rmsprop(1e-3, 1e-3))),
        Phase(Plan(5_600, rmsprop(1e-3, 1e-3), drop(0.57), average=0.999), entropy=0.5),
    ),
    persistent=Plan(8_000, adam(1e-3), cosine),
    rival=Plan(8_000, rmsprop(1e-3), drop(0.7), average=0.999),
    prior=Field(0.1, 0.01, 0.02, 1, sample_control=0.01, noisy=True, smoothing=0.3),
    field=Field(0.1, 0.01, 0.02, 1, sample_control=0.01, noisy=True),
    head="kept",
)
"""For images on a laptop: one revision step, and u(x) held between 5 on data and -5 on samples, since convolutions tell
the two apart at once where they may; without labels beside it, under noise, by which data and samples overlap, so that
u(x) has a gradient also where proposals are far from all data.  Found on the last training images of MNIST and of
CIFAR-10, on draws of the labels that no figure is quoted for.  Minutes at this length; three times the steps bring
more."""

WIDE = SMALL._replace(
    labelled=10,
    joint=(
        Phase(Plan(2_400, rmsprop(3e-3, 3e-3))),
        Phase(Plan(5_600, rmsprop(3e-3, 3e-3), drop(0.57), average=0.999), entropy=1.0),
    ),
)
"""For twice the channels and a hundred labels or so: as `SMALL`, but with fewer labelled images a step, which saves a
tenth of its time, and joint training at three times the rates, the generator's too, which otherwise falls behind;
confidence weighs as much as labels do, as in the paper's recipe for MNIST.  Found on the last training images of MNIST;
untried on photographs, and on labels so many that ten a step go round too seldom."""

MNIST = Recipe(
    labelled=100,
    unlabelled=100,
    supervised=Plan(120_000, rmsprop(1e-3), drop(0.3)),
    pretraining=Plan(120_000, rmsprop(1e-3, 3e-3), drop(0.3)),
    finetune=Plan(120_000, rmsprop(1e-3), drop(0.3)),
    joint=(
        Phase(Plan(23_400, rmsprop(1e-3, 3e-3))),
        Phase(Plan(12_600, rmsprop(1e-3, 3e-3)), entropy=10.0),
        Phase(Plan(84_000, rmsprop(1e-4, 1e-3)), entropy=10.0),
    ),
    persistent=Plan(120_000, adam(1e-4), cosine),
    rival=Plan(120_000, rmsprop(1e-3), drop(0.3), average=0.999),
    prior=Field(1.0, 0.0, 0.003, 20, noisy=True),
    field=Field(1.0, 0.0, 0.003, 20, noisy=True),
    label_weight=10.0,
    radius=0.07,
    corruption=0.3,
    head="scalar",
)
"""The paper's for MNIST: 200 passes over 60,000 images; learning rates fall at 60, confidence from 39 on."""

SVHN = MNIST._replace(
    supervised=Plan(292_800, rmsprop(1e-3), drop(0.5)),
    pretraining=Plan(292_800, rmsprop(1e-3, 1e-3), drop(0.5)),
    finetune=Plan(292_800, rmsprop(1e-3), drop(0.5)),
    joint=(
        Phase(Plan(73_200, rmsprop(1e-3, 1e-3))),
        Phase(Plan(73_200, rmsprop(1e-3, 1e-3)), entropy=10.0),
        Phase(Plan(146_400, rmsprop(1e-4, 1e-3 / 3)), entropy=10.0),
    ),
    persistent=Plan(292_800, adam(1e-4), cosine),
    rival=Plan(292_800, rmsprop(1e-3), drop(0.5), average=0.999),
    prior=Field(1.0, 0.0, 0.01, 10, noisy=True),
    field=Field(1.0, 0.0, 0.01, 10, noisy=True),
    radius=0.1,
    corruption=0.1,
)
"""The paper's for SVHN: 400 passes over 73,257 images; learning rates fall at 200, confidence from 100 on."""

CIFAR10 = MNIST._replace(
    supervised=Plan(300_000, rmsprop(1e-3)),
    pretraining=Plan(300_000, rmsprop(1e-3, 1e-3)),
    finetune=Plan(300_000, rmsprop(1e-3)),
    joint=(Phase(Plan(300_000, rmsprop(1e-3, 1e-3))),),
    persistent=Plan(300_000, adam(1e-4), cosine),
    rival=Plan(300_000, rmsprop(1e-3), average=0.999),
    prior=Field(0.01, 0.001, 0.003, 10, noisy=True),
    field=Field(0.01, 0.001, 0.003, 10, noisy=True),
    label_weight=1.0,
    radius=0.1,
    corruption=0.1,
)
"""The paper's for CIFAR-10: 600 passes over 50,000 images at one learning rate, without confidence."""
