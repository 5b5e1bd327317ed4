"""Loading whatever model a file holds."""

from pathlib import Path

from torch import nn

from fewlabels.classifier import SemiSupervisedClassifier
from fewlabels.errors import InputError
from fewlabels.model_file import read_model
from fewlabels.tagger import SemiSupervisedTagger

__all__ = ["load"]

ESTIMATORS = {"classifier": SemiSupervisedClassifier, "tagger": SemiSupervisedTagger}


def load(path: str | Path, potential: nn.Module | None = None) -> SemiSupervisedClassifier | SemiSupervisedTagger:
    """Read a fitted model; nothing in its file is executed.

    Parameters
    ----------
    path
        A file written by an estimator's ``save``.
    potential
        Needed only for a model that was trained with your own network: the same network, whatever its weights.  The
        model keeps it, and a clone trains it; a recipe, generator or augmentation of your own is not in the file.

    Raises
    ------
    InputError
        Where the file is absent, truncated, of another program, no fitted model, or holds another network.
    """
    description, tensors = read_model(path)
    kind = description.get("kind")
    if kind not in ESTIMATORS:
        raise InputError(f"Expected a fitted model in {path}, got a file of kind {kind!r}: give what `save` wrote.")
    return ESTIMATORS[kind].restore(description, tensors, potential)
