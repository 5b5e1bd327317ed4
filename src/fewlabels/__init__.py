"""Better models from few labels and many unlabelled examples, by energy-based models.

The estimators speak scikit-learn; everything under them is plain PyTorch: potentials that return label structures,
objectives that turn a batch into loss terms, one training loop.  One sign throughout: p ∝ exp u, with u the potential.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fewlabels.classifier import SemiSupervisedClassifier
    from fewlabels.data.pool import Pool, write_pool
    from fewlabels.data.shards import stream_text
    from fewlabels.errors import DivergenceError, InputError
    from fewlabels.learning_curve import LearningCurve
    from fewlabels.loading import load
    from fewlabels.model_selection import LabelledKFold
    from fewlabels.tagger import SemiSupervisedTagger

__all__ = [
    "DivergenceError",
    "InputError",
    "LabelledKFold",
    "LearningCurve",
    "Pool",
    "SemiSupervisedClassifier",
    "SemiSupervisedTagger",
    "load",
    "stream_text",
    "write_pool",
]

_HOME = {
    "DivergenceError": "errors",
    "InputError": "errors",
    "LabelledKFold": "model_selection",
    "LearningCurve": "learning_curve",
    "Pool": "data.pool",
    "SemiSupervisedClassifier": "classifier",
    "SemiSupervisedTagger": "tagger",
    "load": "loading",
    "stream_text": "data.shards",
    "write_pool": "data.pool",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that the command line starts without torch."""
    if name not in _HOME:
        raise AttributeError(f"module 'fewlabels' has no attribute {name!r}")
    return getattr(import_module(f"fewlabels.{_HOME[name]}"), name)
