"""What all methods share, whatever the data: their names, and how strongly log p(x) is learnt.

The methods by name are the literal dicts of `fewlabels.vector_methods` and `fewlabels.sentence_methods`.  Some may have
terms added behind their name, as in "joint+vat".
"""

from collections.abc import Collection
from typing import NamedTuple

from fewlabels.errors import InputError

__all__ = ["PRETRAINING", "SUPERVISED", "Names", "Setting"]


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


class Names(NamedTuple):
    """How the methods for one kind of data may be called.

    Attributes
    ----------
    whole
        Names that stand alone.
    sums
        Those of them to which terms may be added.
    terms
        What may be added; each is also a method of its own.
    best
        What "best" stands for.
    """

    whole: Collection[str]
    sums: Collection[str]
    terms: Collection[str]
    best: str

    def parts(self, method: str) -> list[str]:
        """What a method consists of: the name of a whole one, and those of added terms.

        Raises
        ------
        InputError
            Where it is no method.

        Examples
        --------
        >>> names = Names(["joint", "supervised", "vat"], ["joint"], ["vat", "pi"], "joint+vat")
        >>> names.parts("joint+vat+pi"), names.parts("best"), names.parts("vat")
        (['joint', 'vat', 'pi'], ['joint', 'vat'], ['vat'])
        """
        first, *added = (self.best if method == "best" else str(method)).split("+")
        known = first in self.whole and set(added) <= set(self.terms) and len(set(added)) == len(added)
        if not known or (added and first not in self.sums):
            raise InputError(
                f"Expected method to be one of {', '.join(self.whole)}, best, or {' or '.join(self.sums)} with one or "
                f"more of {', '.join(self.terms)} added by +, got {method!r}."
            )
        return [first, *added]
