"""What all methods share, whatever the data: their names, and how strongly log p(x) is learnt.

The methods by name are the literal dicts of `fewlabels.vector_methods` and `fewlabels.sentence_methods`.  Some may have
terms added behind their name, as in "joint+vat".
"""

from collections.abc import Collection, Mapping
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
    terms
        What may be added to some, several at once; each is also a method of its own.
    sums
        To which of them terms may be added, and what else may be instead of terms, by itself.
    best
        What "best" stands for.
    """

    whole: Collection[str]
    terms: Collection[str]
    sums: Mapping[str, Collection[str]]
    best: str

    def parts(self, method: str) -> list[str]:
        """What a method consists of: the name of a whole one, and those of added terms.

        Raises
        ------
        InputError
            Where it is no method.

        Examples
        --------
        >>> names = Names(["joint", "supervised", "vat"], ["vat", "pi"], {"joint": []}, "joint+vat")
        >>> names.parts("joint+vat+pi"), names.parts("best"), names.parts("vat")
        (['joint', 'vat', 'pi'], ['joint', 'vat'], ['vat'])
        """
        first, *added = (self.best if method == "best" else str(method)).split("+")
        terms = set(added) <= set(self.terms) and len(set(added)) == len(added)
        if first in self.whole and (not added or (first in self.sums and (terms or self._alone(first, added)))):
            return [first, *added]
        others = [f"{name} with one of {', '.join(alone)} so" for name, alone in self.sums.items() if alone]
        raise InputError(
            f"Expected method to be one of {', '.join(self.whole)}, best, or {' or '.join(self.sums)} with one or more "
            f"of {', '.join(self.terms)} added by +{', or '.join(['', *others])}, got {method!r}."
        )

    def _alone(self, first: str, added: Collection[str]) -> bool:
        return len(added) == 1 and set(added) <= set(self.sums[first])
