"""The results of Song, Zheng and Ou, as printed: what our tables stand beside.

"An empirical comparison of joint-training and pre-training for domain-agnostic semi-supervised learning via
energy-based models", MLSP 2021.  Accuracy of part-of-speech tagging (POS), F1 of chunking and of named entities (NER),
in percent, one run each; the test sets are those of the Penn Treebank, CoNLL-2000 and CoNLL-2003.

One number is read differently here.  Table 3 prints 78.91 for supervised NER with 2 % of the labels.  All three entries
of Table 4 that rest on it, and the text's "25 of 27", agree with 78.19 and with no other: its digits were swapped.

Table 2 has the errors of image classifiers, over ten draws of the labels.  Its upper rows are of their authors' papers.
The one marked as heavy in augmentation, VAT, is of a run without any and with a smaller network, as our table notes;
the other two do use it.  Of Fig. 1 the text gives some points, and others follow from its relative differences.
"""

from typing import NamedTuple

__all__ = [
    "FIG_1",
    "JOINT_WINS",
    "PROPORTIONS",
    "RATIOS",
    "TABLE_2",
    "TASKS",
    "Published",
    "PublishedError",
    "published",
    "reductions",
]

TASKS = ("POS", "chunk", "NER")
PROPORTIONS = (0.02, 0.1, 1.0)
RATIOS = (50, 250, 500)

JOINT_WINS = {"supervised": 25, "pretrain": 23}
"""In how many of the 27 settings joint training is better."""

_SUPERVISED = {0.02: (95.57, 78.73, 78.19), 0.1: (96.81, 90.06, 86.93), 1.0: (97.41, 94.77, 90.74)}

_TABLE_3 = {  # proportion, U/L: pre-training and joint training of each task
    (0.02, 50): ((95.72, 95.92), (81.62, 82.24), (76.74, 77.61)),
    (0.02, 250): ((95.96, 96.13), (82.10, 82.26), (78.49, 78.51)),
    (0.02, 500): ((96.08, 96.24), (83.10, 83.05), (79.47, 79.17)),
    (0.1, 50): ((96.87, 96.99), (91.60, 91.85), (86.37, 87.05)),
    (0.1, 250): ((96.88, 97.00), (91.09, 91.93), (86.86, 86.77)),
    (0.1, 500): ((96.92, 97.08), (91.93, 92.23), (87.57, 87.06)),
    (1.0, 50): ((97.40, 97.49), (95.05, 95.31), (91.24, 91.34)),
    (1.0, 250): ((97.45, 97.54), (95.12, 95.48), (91.19, 91.51)),
    (1.0, 500): ((97.46, 97.57), (95.19, 95.50), (91.30, 91.52)),
}

_TABLE_4 = {  # proportion, U/L: over supervised and over pre-training, each for POS, chunk, NER
    (0.02, 50): ((7.9, 16.5, -2.7), (4.7, 3.4, 3.7)),
    (0.02, 250): ((12.6, 16.6, 1.5), (4.2, 0.9, 0.1)),
    (0.02, 500): ((15.1, 20.3, 4.5), (4.1, -0.3, -1.5)),
    (0.1, 50): ((5.6, 18.0, 0.9), (3.8, 3.0, 5.0)),
    (0.1, 250): ((6.0, 18.3, -1.2), (3.8, 9.4, -0.7)),
    (0.1, 500): ((8.5, 21.8, 1.0), (5.2, 3.7, -4.1)),
    (1.0, 50): ((3.1, 10.3, 6.5), (3.5, 5.3, 1.1)),
    (1.0, 250): ((5.0, 13.6, 8.3), (3.5, 7.4, 3.6)),
    (1.0, 500): ((6.2, 14.0, 8.4), (4.3, 6.4, 2.5)),
}


class PublishedError(NamedTuple):
    """A row of Table 2; percent.

    Attributes
    ----------
    name
        What the paper calls the method.
    mean, sd
        Over ten draws of the labels; no sd was given for VAT.
    augmented
        Whether training images were flipped and shifted.
    """

    name: str
    mean: float
    sd: float | None
    augmented: bool = False


TABLE_2 = {
    "cat_gan": PublishedError("CatGAN", 19.58, 0.46),
    "gamma_ladder": PublishedError("Γ ladder network", 20.40, 0.47),
    "improved_gan": PublishedError("Improved-GAN", 18.63, 2.32),
    "bad_gan": PublishedError("BadGAN", 14.41, 0.30),
    "sobolev_gan": PublishedError("Sobolev-GAN", 15.77, 0.19),
    "supervised": PublishedError("supervised", 25.72, 0.44),
    "pretrain": PublishedError("pre-train, fine-tune", 21.40, 0.38),
    "joint": PublishedError("joint", 15.12, 0.36),
    "vat": PublishedError("VAT", 14.87, None),
    "temporal_ensembling": PublishedError("Temporal Ensembling", 12.16, 0.31, augmented=True),
    "mean_teacher": PublishedError("Mean Teacher", 12.31, 0.28, augmented=True),
}
"""CIFAR-10 with 4,000 labels, in the paper's order."""

FIG_1 = {
    ("cifar10", "joint", 0.5): 11.14,
    ("cifar10", "supervised", 1.0): 11.49,
    ("cifar10", "joint", 1.0): 9.89,
    ("svhn", "joint", 0.5): 3.95,
    ("svhn", "supervised", 1.0): 4.04,
    ("svhn", "joint", 1.0): 3.45,
}
"""Errors in percent by data set, method and share of the labels; those of joint training with all are derived."""


class Published(NamedTuple):
    """The paper's figures of one task, proportion and ratio; percent."""

    supervised: float
    pretrain: float
    joint: float


def published(task: str, proportion: float, ratio: float) -> Published | None:
    """The entries of Table 3, with the one number read as 78.19; None where the paper has none.

    Parameters
    ----------
    task
        One of `TASKS`.
    proportion, ratio
        Share of the labels, and unlabelled sentences for each labelled one.

    Examples
    --------
    >>> published("chunk", 0.02, 500)
    Published(supervised=78.73, pretrain=83.1, joint=83.05)
    """
    pairs = _TABLE_3.get((proportion, int(ratio)))
    if pairs is None:
        return None
    place = TASKS.index(task)
    return Published(_SUPERVISED[proportion][place], *pairs[place])


def reductions(task: str, proportion: float, ratio: float) -> tuple[float, float] | None:
    """The entries of Table 4 as printed: over supervised and over pre-training, percent of the errors."""
    rows = _TABLE_4.get((proportion, int(ratio)))
    if rows is None:
        return None
    place = TASKS.index(task)
    return rows[0][place], rows[1][place]
