"""What all methods share, whatever the data: how strongly log p(x) is learnt, and the name of a first stage.

The methods by name are the literal dicts of `fewlabels.vector_methods` and `fewlabels.sentence_methods`.
"""

from typing import NamedTuple

__all__ = ["PRETRAINING", "SUPERVISED", "Setting"]


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
