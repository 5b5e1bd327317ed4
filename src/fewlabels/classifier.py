"""The classifier: scikit-learn's interface to the methods for tables and images."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from fewlabels.annealing import Annealed, annealed_log_partition, within
from fewlabels.errors import InputError
from fewlabels.estimation import (
    Resumable,
    Trainer,
    check_parameters,
    choose_and_train,
    load_weights,
    restore_common,
    saved_model,
    seeded,
    settings_of,
)
from fewlabels.labels import Categorical
from fewlabels.machine import ACCELERATORS, PRECISIONS, device_of, one_thread
from fewlabels.model_file import write_model
from fewlabels.model_selection import LabelledKFold, labelled_accuracy
from fewlabels.outliers import outlier_scores
from fewlabels.progress import progress_bar
from fewlabels.recipes import Recipe, check_recipe
from fewlabels.samplers import sghmc
from fewlabels.scaling import Scaling
from fewlabels.tabular import MLP
from fewlabels.validation import check_count, check_finite, check_folds, check_labels, input_errors, refuse_dates
from fewlabels.vector_methods import NAMES
from fewlabels.vector_training import TrainedClassifier, VectorTraining
from fewlabels.vectors import PRESETS, Preset, empty_potential, preset_for

__all__ = ["SemiSupervisedClassifier"]

WEIGHTS: dict[str, tuple[float, ...]] = dict.fromkeys(("joint", "persistent_cd"), (1.0, 0.1))
"""Factors on the weight of log p(x) that "auto" compares with 0, by method, whatever is added to it."""

AT_ONCE = 1000
"""Inputs scored at once."""


class SemiSupervisedClassifier(ClassifierMixin, BaseEstimator):
    """Classify tables and images with few labels and many unlabelled examples.

    An energy-based model p(x, y) ∝ exp u(x, y) is trained on log p(y | x) where there are labels and on log p(x)
    everywhere.  Inputs are put on unit scale by the statistics of all rows given to `fit`.

    Parameters
    ----------
    method
        "joint" (both at once), "pretrain" (log p(x), then log p(y | x)), "supervised", or "persistent_cd" (joint, with
        persistent chains in place of a generator).  To compare with, without log p(x): "supervised_normalised" (labels
        alone, with hidden layers normalised over batches, as in most of the others), "vat", "entropy", "pseudo_label",
        "self_training", "fixmatch", "pi", "temporal_ensembling", "mean_teacher", "label_propagation", "cat_gan",
        "improved_gan", "bad_gan", "sobolev_gan", "ladder", "gamma_ladder", and as stages before the labels "simclr" and
        "vime"; see their files in `fewlabels.objectives`.  The nine from "vat" to "label_propagation" may
        be added to "joint" and "pretrain", e.g. "joint+vat"; "best" is a sum of that kind.
    potential
        Your own network in place of the built-in one: a module from inputs on unit scale, (B, D) or (B, C, H, W), to
        scores (B, K) or a `fewlabels.labels.Categorical`.  A submodule named ``head`` starts afresh between
        pre-training and fine-tuning where the recipe's `head` is "new", as in `DENSE`.  Copied, not changed.
    generator
        Your own generator: a module with an integer attribute ``latent``, from latents (B, latent) to inputs.
    augmentation
        For the methods that compare views of an input: a function from inputs on unit scale, (B, D) or (B, C, H, W), to
        other inputs of the same labels, such as those of `fewlabels.augmentation`, drawn anew at every call.  None:
        Gaussian noise.
    preset
        The network, its generator and the recipe that trains them.  "auto": "small", which is convolutional, for
        images of 16 pixels a side or more, and "dense" for all else.  "wide" is "small" of twice the channels
        for a hundred labels or so.  "mnist", "svhn" and "cifar10" are the paper's; hours to days without a GPU.
    recipe
        All that is numeric in training, a `fewlabels.recipes.Recipe`; None: the preset's.  To change one number,
        ``DENSE._replace(label_weight=1.0)``.
    weight, step_size
        Factors on the recipe's weight of log p(x) and step size of the chain.  "auto" chooses by cross-validation on
        the labels, with supervised training among the candidates (`fewlabels.selection`): about 3 times the time of a
        single run.  "pretrain" uses 1 for both unless told otherwise; its weight counts only as 0, which means
        supervised training, or not 0.
    folds
        Of that cross-validation; no more than the rarest class has labels.
    effort
        Factor on the number of training steps; 1 is the recipe.
    accelerator
        "cpu", "cuda" or "mps"; "auto" is a GPU where there is one.
    precision
        Of matrix products and convolutions in training: "float32", "bfloat16", or "auto", which is bfloat16 for
        built-in networks wide enough to gain where the machine has instructions for it; their u(x) stays in float32.
    random_state
        Seed.
    checkpoint
        A folder in which an interrupted `fit` leaves what it needs to resume to the identical result, or None.
    verbose
        Show progress, with the time left, on standard error.

    Attributes
    ----------
    classes_
        The classes, sorted, (K,).
    choice_
        One line: what was chosen, and why.
    setting_
        The chosen `fewlabels.methods.Setting`.
    history_
        Records of training, for curves.
    n_features_in_
        D, for tables.
    feature_names_in_
        The names of the columns, (D,), where X was a DataFrame of columns with names.

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> X, truth = make_blobs(200, centers=3, random_state=0, cluster_std=0.5)
    >>> y = truth.copy()
    >>> y[30:] = -1  # only the first 30 rows have labels
    >>> model = SemiSupervisedClassifier(effort=0.05, random_state=0).fit(X, y)
    >>> bool(model.score(X[30:], truth[30:]) > 0.9)
    True
    """

    def __init__(
        self,
        method: str = "joint",
        *,
        potential: nn.Module | None = None,
        generator: nn.Module | None = None,
        augmentation: Callable[[Tensor], Tensor] | None = None,
        preset: str = "auto",
        recipe: Recipe | None = None,
        weight: float | str = "auto",
        step_size: float | str = "auto",
        folds: int = 2,
        effort: float = 1.0,
        accelerator: str = "auto",
        precision: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        checkpoint: str | Path | None = None,
        verbose: bool = False,
    ) -> None:
        self.method = method
        self.potential = potential
        self.generator = generator
        self.augmentation = augmentation
        self.preset, self.recipe = preset, recipe
        self.weight = weight
        self.step_size = step_size
        self.folds = folds
        self.effort = effort
        self.accelerator = accelerator
        self.precision = precision
        self.random_state = random_state
        self.checkpoint = checkpoint
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> "SemiSupervisedClassifier":
        """Train on labelled and unlabelled rows.

        Parameters
        ----------
        X
            Tables (N, D), or images (N, H, W) or (N, H, W, C).
        y
            (N,): integers, text or booleans; -1 (or None) for unlabelled rows.

        Raises
        ------
        InputError
            Where the data or a parameter is not as described.
        DivergenceError
            Where training with fixed ``weight`` and ``step_size`` diverges for good.
        """
        self.fit_keeping_state(X, y).done()
        return self

    def fit_keeping_state(self, X: Any, y: Any) -> Resumable:
        """As `fit`, with what is kept in ``checkpoint`` left there until ``done()`` is called on the value.

        For those who save the model first, so that nothing between the two can cost the training.
        """
        first = NAMES.parts(self.method)[0]
        check_parameters(self, {"preset": ("auto", *PRESETS), "accelerator": ACCELERATORS, "precision": PRECISIONS})
        check_recipe(self.recipe)
        x = self._validated(X, reset=True)
        self.classes_, codes = check_labels(y, len(x))
        preset = preset_for(self.preset, x.shape[1:])
        preset = preset if self.recipe is None else preset._replace(recipe=self.recipe)
        self._scaling = Scaling.of(x) if preset.range is None else Scaling.onto(x, *preset.range)
        data = torch.from_numpy(self._scaling.apply(x))
        rows = np.flatnonzero(codes >= 0)
        settings = settings_of(first, self.weight, self.step_size, WEIGHTS.get(first, ()))
        folds = []
        if len(settings) > 1:
            parts = min(self.folds, check_folds(self.classes_, codes))
            folds = [(rows[a], rows[b]) for a, b in LabelledKFold(parts).split(x[rows], codes[rows])]
        device_of(self.accelerator)  # refused before a folder is made
        state = Resumable(self, x, codes)
        train = self._trainer(preset, data, codes, state.seed)

        def judge(trained: TrainedClassifier, held_out: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                right = trained.potential(data[held_out]).log_conditional(torch.from_numpy(codes[held_out])).exp()
                return 1 - right.numpy()

        small = not preset.heavy and self.potential is None
        with progress_bar(self.verbose) as report, one_thread(small):
            (self.setting_, self.choice_), trained = choose_and_train(
                settings, rows, folds, train, judge, state.folder, report
            )
        self._potential, self._proposals, self.history_ = trained
        self._ready()
        return state

    def predict(self, X: Any) -> np.ndarray:
        """Most probable class of each row, (N,)."""
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """p(y | x), (N, K), in the order of ``classes_``."""
        return np.concatenate([labels.log_marginals().exp().numpy() for labels in self._labels(X)]).astype(float)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Share of rows predicted right, among those that have labels.

        Raises
        ------
        InputError
            Where y is not one label a row, or has none but -1.
        """
        return labelled_accuracy(self.predict(X), y, sample_weight)

    def score_samples(self, X: Any) -> np.ndarray:
        """u(x), (N,): log p(x) up to a constant that is the same for all x, so only differences mean anything."""
        return np.concatenate([labels.log_partition.numpy() for labels in self._labels(X)]).astype(float)

    def log_partition(
        self,
        low: Any,
        high: Any,
        *,
        chains: int = 500,
        temperatures: int = 200,
        random_state: int | np.random.RandomState | None = None,
    ) -> Annealed:
        """Log Z of p(x) = exp(u(x)) / Z on the box low ≤ x ≤ high, by annealed importance sampling; for few features.

        exp u of a network need not have an integral over all x, so p(x) is a density on a region that you give, such as
        the range of X.  There log p(x) is ``score_samples(X) - log_partition(low, high).log_partition``.

        Parameters
        ----------
        low, high
            In the units of X, one number for each feature or for all.
        chains, temperatures
            See `fewlabels.annealing.annealed_log_partition`, which also says when not to believe the estimate.
        random_state
            Seed.

        Raises
        ------
        InputError
            Where low is not below high, or there are fewer than 2 chains or 1 temperature.
        """
        check_is_fitted(self)
        shape = self._scaling.shift.shape
        bounds = [np.broadcast_to(np.asarray(bound, dtype=float), shape) for bound in (low, high)]
        if not (bounds[0] < bounds[1]).all():
            raise InputError(f"Expected low below high in every feature, got {low!r} and {high!r}.")
        ends = (torch.from_numpy(self._scaling.apply(bound)).to(self._dtype) for bound in bounds)
        u, base = within(lambda x: self._potential(x).log_partition, *ends)
        with seeded(int(check_random_state(random_state).randint(2**31)), 0):
            done = annealed_log_partition(u, base, chains=chains, temperatures=temperatures)
        volume = float(np.log(self._scaling.scale).sum())  # of a unit of the network's inputs, in units of X
        return done._replace(log_partition=done.log_partition + volume, log_weights=done.log_weights + volume)

    def outlier_scores(self, X: Any) -> dict[str, np.ndarray]:
        """Scores of rows, (N,) each, meant to be larger for what is like the data: u, confidence, gradient.

        See `fewlabels.outliers`.
        """
        check_is_fitted(self)
        return outlier_scores(self._potential, self._inputs(X))

    def sample(self, n: int = 1, random_state: int | None = None, steps: int = 20) -> np.ndarray:
        """Draw n inputs from the model, of the form of X: proposals kept from training, revised by Langevin steps.

        Raises
        ------
        InputError
            Where the model did not learn p(x), or n is below 0.
        """
        check_is_fitted(self)
        check_count(n)
        if self._proposals is None:
            chose = self.method != "supervised" and self.setting_.weight == 0
            raise InputError(
                f"Expected a model of log p(x) to sample from, but this one was trained with method={self.method!r}"
                f"{' and chose supervised training' if chose else ''}: fit one that learns p(x)."
            )
        generator = torch.Generator().manual_seed(int(check_random_state(random_state).randint(2**31)))
        start = self._proposals.to(self._dtype)[torch.randint(len(self._proposals), (n,), generator=generator)]
        chain = sghmc(
            lambda x: self._potential(x).log_partition, start, step_size=0.02 * self.setting_.step_size, steps=steps,
            noise=0.02, generator=generator,
        )  # fmt: skip
        x = self._scaling.invert(chain.x.clamp(self._proposals.amin(), self._proposals.amax()).numpy())
        return x if x.ndim == 2 else self._as_image(x)

    def save(self, path: str | Path) -> None:
        """Write the fitted model to one file, which `fewlabels.load` reads; nothing in it is executable."""
        check_is_fitted(self)
        description, tensors = saved_model(self, "classifier")
        tensors |= {"shift": torch.from_numpy(self._scaling.shift), "scale": torch.from_numpy(self._scaling.scale)}
        if self._proposals is not None:
            tensors["proposals"] = self._proposals
        names = getattr(self, "feature_names_in_", None)  # scikit-learn sets it for a DataFrame
        features = {"shape": list(self._shape), "feature_names": None if names is None else names.tolist()}
        write_model(path, description | features, tensors)

    @classmethod
    def restore(
        cls, description: dict[str, Any], tensors: dict[str, Tensor], potential: nn.Module | None = None
    ) -> "SemiSupervisedClassifier":
        """The fitted model that a file's contents describe; ``potential`` where it was trained with your own."""
        model = cls(**description["parameters"])
        restore_common(model, description)
        model._shape = tuple(description["shape"])
        if len(model._shape) == 1:
            setattr(model, "n_features_in_", model._shape[0])  # noqa: B010
        if description.get("feature_names"):
            setattr(model, "feature_names_in_", np.array(description["feature_names"], dtype=object))  # noqa: B010
        model.potential = potential
        model._scaling = Scaling(tensors["shift"].numpy(), tensors["scale"].numpy())
        model._proposals = tensors.get("proposals")
        shape = tensors["shift"].shape
        model._potential = empty_potential(potential, preset_for(model.preset, shape), shape, len(model.classes_))
        load_weights(model._potential, description["network"], tensors)
        model._ready()
        return model

    def _ready(self) -> None:
        """Score from now on: in float64 where that is cheap, so that no row's result depends on the rows beside it."""
        self._potential.eval()
        if isinstance(self._potential, MLP):
            self._potential.double()
        self._dtype = next(self._potential.parameters()).dtype

    def _validated(self, X: Any, *, reset: bool) -> np.ndarray:
        """X as floats, (N, D) or (N, C, H, W), or an InputError."""
        refuse_dates(X)
        with input_errors():
            X = np.asarray(X) if isinstance(X, list) else X
            if getattr(X, "ndim", 0) > 2:  # scikit-learn would take the rows of an image for its features
                X = check_array(X, dtype="numeric", ensure_all_finite=False, allow_nd=True)
            else:
                X = validate_data(self, X, dtype="numeric", ensure_all_finite=False, reset=reset)
            X = X if X.dtype.kind in "biuf" else X.astype(np.float64)  # columns of categories stay what they are
        check_finite(X)
        if X.ndim > 4:
            raise InputError(f"Expected tables (N, D) or images (N, H, W) or (N, H, W, C), got shape {X.shape}.")
        shape = X.shape[1:]
        if reset:
            self._shape = shape
        elif shape != self._shape:
            raise InputError(f"Expected inputs of shape {self._shape}, as in fit, got {shape}.")
        X = X[..., None] if X.ndim == 3 else X
        return X.transpose(0, 3, 1, 2).astype(np.float32) if X.ndim == 4 else X.astype(np.float64)

    def _as_image(self, x: np.ndarray) -> np.ndarray:
        x = x.transpose(0, 2, 3, 1)
        return x[..., 0] if len(self._shape) == 2 else x

    def _trainer(self, preset: Preset, data: Tensor, codes: np.ndarray, seed: int) -> Trainer[TrainedClassifier]:
        """Trains once, on the labels of some rows and all inputs."""
        return VectorTraining(
            data, torch.from_numpy(codes), len(self.classes_), method=self.method, effort=self.effort,
            accelerator=self.accelerator, precision=self.precision, preset=preset, potential=self.potential,
            generator=self.generator, augmentation=self.augmentation, seed=seed,
        )  # fmt: skip

    def _labels(self, X: Any) -> Iterator[Categorical]:
        """u(x, ·) of X, some rows at a time."""
        check_is_fitted(self)
        for part in self._inputs(X).split(AT_ONCE):
            with torch.no_grad():
                yield self._potential(part)

    def _inputs(self, X: Any) -> Tensor:
        """X as the network reads it."""
        return torch.from_numpy(self._scaling.apply(self._validated(X, reset=False))).to(self._dtype)
