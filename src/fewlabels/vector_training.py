"""Training of a classifier: from inputs, labels and a setting to a trained potential."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fewlabels.batches import Batches
from fewlabels.checkpoint import Checkpoint
from fewlabels.estimation import seeded
from fewlabels.fit import fit
from fewlabels.machine import device_of, fast_bfloat16
from fewlabels.methods import Setting
from fewlabels.progress import Report
from fewlabels.stage import Record
from fewlabels.vector_methods import vector_stages
from fewlabels.vectors import Preset, build_players, build_potential, proposals

__all__ = ["TrainedClassifier", "VectorTraining"]

PROPOSALS = 512
"""How many proposals a fitted model keeps to sample from."""


class TrainedClassifier(NamedTuple):
    """The outcome of one training run."""

    potential: nn.Module
    proposals: Tensor | None
    history: list[Record]


class VectorTraining:
    """A `fewlabels.estimation.Trainer`: each call trains on the labels of some rows and on all inputs.

    Parameters
    ----------
    data, y
        All inputs, (N, ...), and numbers of classes, (N,).
    labels
        K.
    method, effort, accelerator, precision
        As of `fewlabels.SemiSupervisedClassifier`.
    preset
        Network, generator and recipe.
    potential, generator, augmentation
        The user's own, or None.
    seed
        Of everything random.
    """

    def __init__(
        self,
        data: Tensor,
        y: Tensor,
        labels: int,
        *,
        method: str,
        effort: float,
        accelerator: str,
        precision: str,
        preset: Preset,
        potential: nn.Module | None,
        generator: nn.Module | None,
        augmentation: Callable[[Tensor], Tensor] | None,
        seed: int,
    ) -> None:
        self.data, self.labels, self.method, self.effort = data, labels, method, effort
        self.preset, self.potential, self.generator, self.augmentation = preset, potential, generator, augmentation
        self.device, self.seed = device_of(accelerator), seed
        suits = preset.heavy and potential is None  # of our networks the heads, and so u(x), stay in float32
        self.bfloat16 = precision == "bfloat16" or (precision == "auto" and suits and fast_bfloat16(self.device))
        self._there, self._y = data.to(self.device), y.to(self.device)

    def __call__(
        self, rows: np.ndarray, setting: Setting, share: float, run: int, report: Report, checkpoint: Checkpoint | None
    ) -> TrainedClassifier:
        """The potential trained on the labels of some rows, with a share of the full number of steps."""
        with seeded(self.seed, run):
            potential = build_potential(self.potential, self.preset, self.data, self.labels).to(self.device)
            x, y, recipe = self._there[rows], self._y[rows], self.preset.recipe
            players = build_players(
                self.generator, self.preset, potential, self._there, torch.from_numpy(rows), y, share * self.effort,
                self.augmentation,
            )  # fmt: skip
            stages = vector_stages(self.method, players, setting)
            seed = self.seed + run
            batches = Batches(x, y, self._there, labelled=recipe.labelled, unlabelled=recipe.unlabelled, seed=seed)
            history = fit(
                potential, stages, batches, seed=seed, bfloat16=self.bfloat16, checkpoint=checkpoint, report=report
            )
            return TrainedClassifier(potential.cpu(), proposals(stages, PROPOSALS), history)
