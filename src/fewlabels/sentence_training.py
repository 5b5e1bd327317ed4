"""Training of a tagger: from what there is to learn from, a method and a setting to a trained potential."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from fewlabels.batches import Batches
from fewlabels.checkpoint import Checkpoint
from fewlabels.corpus import Corpus
from fewlabels.estimation import seeded
from fewlabels.fit import fit
from fewlabels.methods import PRETRAINING, Setting
from fewlabels.optimizers import heads
from fewlabels.progress import Report
from fewlabels.sentence_methods import Recipe, SentencePlayers, sentence_stages
from fewlabels.sequence.potential import TaggingPotential
from fewlabels.sequence.sentences import Tags
from fewlabels.stage import Record, Stage
from fewlabels.start import Start

__all__ = ["SentenceTraining", "TrainedTagger"]

PRETRAINING_RUN = 1000
"""Tells the seeds of pre-training from those of other runs."""


class TrainedTagger(NamedTuple):
    """The outcome of one training run."""

    potential: nn.Module
    history: list[Record]


class SentenceTraining:
    """A `fewlabels.estimation.Trainer`: each call trains on the tags of some sentences and on all text.

    A first stage that sees no labels runs once, and every later call goes on from its outcome.

    Parameters
    ----------
    corpus
        What there is to learn from.
    network
        Makes a potential with fresh weights.
    method, pretraining, estimator, finetune
        As of `fewlabels.SemiSupervisedTagger`.
    recipe
        All that is numeric.
    effort
        Factor on the number of steps.
    start
        Keeps the outcome of the stage without labels.
    seed
        Of everything random.
    """

    def __init__(
        self,
        corpus: Corpus,
        network: Callable[[], nn.Module],
        method: str,
        pretraining: str,
        estimator: str,
        finetune: str,
        recipe: Recipe,
        effort: float,
        start: Start,
        seed: int,
    ) -> None:
        self.corpus, self.network, self.method = corpus, network, method
        self.pretraining, self.estimator, self.finetune = pretraining, estimator, finetune
        self.recipe, self.effort, self.start, self.seed = recipe, effort, start, seed
        self.counts = corpus.counts
        self._begun: TrainedTagger | None = None

    def __call__(
        self, rows: np.ndarray, setting: Setting, share: float, run: int, report: Report, checkpoint: Checkpoint | None
    ) -> TrainedTagger:
        """The potential trained on the tags of some rows, with a share of the full number of steps."""
        potential, stages = self._built(setting, rows, share, run)
        history: list[Record] = []
        if stages[0].name == PRETRAINING:
            begun = self._pretrained(setting, rows, report)
            potential.load_state_dict(begun.potential.state_dict())
            stages, history = stages[1:], begun.history
        together = self._batches(rows, self.recipe.unlabelled[1])
        later = fit(potential, stages, together, seed=self.seed + run, checkpoint=checkpoint, report=report)
        return TrainedTagger(potential, history + later)

    def _pretrained(self, setting: Setting, rows: np.ndarray, report: Report) -> TrainedTagger:
        """The outcome of the stage without labels."""
        if self._begun is None:
            potential, stages = self._built(setting, rows, 1.0, PRETRAINING_RUN)
            text, kept = self._batches(rows, self.recipe.unlabelled[0]), self.start.checkpoint
            history = self.start.run(
                potential, lambda: fit(potential, stages[:1], text, seed=self.seed, checkpoint=kept, report=report)
            )
            self._begun = TrainedTagger(potential, history)
        return self._begun

    def _built(self, setting: Setting, rows: np.ndarray, share: float, run: int) -> tuple[nn.Module, list[Stage]]:
        """A fresh potential, and the stages that it is to pass."""
        with seeded(self.seed, run):
            potential = self.network()
            built_in = isinstance(potential, TaggingPotential)
            frequency = self.counts.clamp(min=0.1)
            players = SentencePlayers(
                self.recipe, potential, self.pretraining, self.estimator, self.finetune, self.counts,
                potential.log_unigram if built_in else (frequency / frequency.sum()).log(),
                built_in and self.recipe.unigram, self.corpus.lengths, len(rows),
                potential.encoder.state if built_in else 0, heads(potential), share * self.effort,
            )  # fmt: skip
            return potential, sentence_stages(self.method, players, setting)

    def _batches(self, rows: np.ndarray, size: int) -> Batches:
        """The tagged sentences of some rows beside so many untagged ones."""
        x, y, text, index = self.corpus.x, self.corpus.y, self.corpus.unlabelled, torch.from_numpy(rows)
        return Batches(
            x.at(index), Tags(y.at(index)), text, labelled=self.recipe.labelled, unlabelled=size, seed=self.seed,
            lengths=x.lengths[index].numpy(),
            unlabelled_lengths=None if self.estimator == "nce" else np.asarray(text.lengths),
        )  # fmt: skip
