"""The tagger: a label for every token of a sentence, with scikit-learn's manners."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.model_selection import KFold
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from fewlabels.batches import Batches
from fewlabels.checkpoint import Checkpoint
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
from fewlabels.labels import LinearChain
from fewlabels.methods import PRETRAINING, SENTENCES, SentencePlayers, Setting
from fewlabels.model_file import write_model
from fewlabels.progress import Report, progress_bar
from fewlabels.sequence.gibbs import gibbs
from fewlabels.sequence.potential import TaggingPotential
from fewlabels.sequence.text import Sentences, Tags, Vocabulary
from fewlabels.train import Record, Stage, fit
from fewlabels.validation import check_match, check_sentences, check_tags

__all__ = ["SemiSupervisedTagger"]

LABELLED, UNLABELLED = 16, 64
"""Sentences a step; of unlabelled ones, as many tokens as so many of mean length."""

WEIGHTS = (1.0,)
"""Factors on the weight of log p(x) that "auto" compares with 0."""

LONGEST = 200
"""Longer unlabelled sentences are left out of training: they would only pad."""

PRETRAINING_RUN = 1000
"""Tells the seeds of pre-training from those of other runs."""

AT_ONCE = 256
"""Sentences scored at once."""


class _Trained(NamedTuple):
    """The outcome of one training run."""

    potential: nn.Module
    history: list[Record]


class SemiSupervisedTagger(BaseEstimator):
    """Tag the tokens of sentences with few labelled and many unlabelled sentences.

    A conditional random field over the tags is upgraded to a random field over sentences and tags, p(x, y) ∝
    exp u(x, y), and trained on log p(y | x) where there are tags and on log p(x) everywhere.

    Parameters
    ----------
    method
        "joint" (log p(x) first, then both at once), "pretrain" (log p(x), then log p(y | x)), "supervised" (a
        conditional random field), or "nce" (joint, with dynamic noise-contrastive estimation of log p(x) in place of
        pseudo-likelihood: faithful to the paper, slower to learn).
    potential
        Your own network in place of the built-in one: a module from `fewlabels.sequence.text.Padded` word ids to a
        `fewlabels.labels.LinearChain`; for "joint" and "pretrain" with a method ``site_scores`` like
        `fewlabels.sequence.potential.TaggingPotential`'s.  Ids are those of ``vocabulary_``, and 0 for other words.
    weight
        Factor on the recipe's weight of log p(x).  "auto" chooses by cross-validation on the labelled sentences, with
        supervised training among the candidates: 2 to 3 times the time of a single run.
    folds
        Of that cross-validation.
    effort
        Factor on the number of training steps; 1 is the recipe.
    random_state
        Seed.
    checkpoint
        A folder in which an interrupted `fit` leaves what it needs to resume to the identical result, or None.
    verbose
        Show progress, with the time left, on standard error.

    Attributes
    ----------
    classes_
        The tags, sorted, (K,).
    vocabulary_
        The words, a `fewlabels.sequence.text.Vocabulary`.
    choice_
        One line: what was chosen, and why.
    setting_
        The chosen `fewlabels.methods.Setting`.
    history_
        Records of training, for curves.

    Examples
    --------
    >>> sentences = [["the", "cat", "sleeps"], ["a", "dog", "barks"], ["the", "dog", "sleeps"]] * 5
    >>> tags = [["D", "N", "V"], ["D", "N", "V"], None] * 5
    >>> tagger = SemiSupervisedTagger(effort=0.1, random_state=0).fit(sentences, tags)
    >>> tagger.predict([["a", "cat", "barks"]])
    [['D', 'N', 'V']]
    """

    def __init__(
        self,
        method: str = "joint",
        *,
        potential: nn.Module | None = None,
        weight: float | str = "auto",
        folds: int = 2,
        effort: float = 1.0,
        random_state: int | np.random.RandomState | None = None,
        checkpoint: str | Path | None = None,
        verbose: bool = False,
    ) -> None:
        self.method = method
        self.potential = potential
        self.weight = weight
        self.folds = folds
        self.effort = effort
        self.random_state = random_state
        self.checkpoint = checkpoint
        self.verbose = verbose

    def fit(self, sentences: Sequence[Sequence[str]], tags: Sequence[Sequence[str] | None]) -> "SemiSupervisedTagger":
        """Train on labelled and unlabelled sentences.

        Parameters
        ----------
        sentences
            Lists of words.
        tags
            For each sentence a list of as many tags, or None where it is unlabelled.

        Raises
        ------
        InputError
            An empty sentence, tags that do not match their sentence, no or too few labelled sentences, one tag only.
        """
        check_parameters(self, SENTENCES)
        check_sentences(sentences)
        self.classes_ = check_tags(sentences, tags)
        self.vocabulary_ = Vocabulary.of(sentences)
        rows = np.array([i for i, y in enumerate(tags) if y is not None])
        words = Sentences([self.vocabulary_.encode(sentence) for sentence in sentences])
        code = {tag: k for k, tag in enumerate(self.classes_.tolist())}
        coded = Sentences([[0] if y is None else [code[tag] for tag in y] for y in tags])
        state = Resumable(self, repr(sentences), repr(tags))
        folds = KFold(min(self.folds, len(rows)), shuffle=True, random_state=state.seed).split(rows)

        @torch.no_grad()
        def judge(trained: _Trained, held_out: np.ndarray) -> np.ndarray:
            x, y = words[torch.from_numpy(held_out)], coded[torch.from_numpy(held_out)].values
            chain = trained.potential(x)
            wrong = ((chain.mode() != y) & x.inside()).sum(1)
            surprise = -chain.log_conditional(y)
            return torch.stack([wrong, surprise]).numpy() / x.lengths.float().mean().item()

        with progress_bar(self.verbose) as report:
            (self.setting_, self.choice_), trained = choose_and_train(
                settings_of(self.method, self.weight, 1.0, WEIGHTS), rows,
                [(rows[kept], rows[held_out]) for kept, held_out in folds],
                self._trainer(words, coded, state), judge, state.folder, report,
            )  # fmt: skip
        self._potential, self.history_ = trained
        state.done()
        self._lengths = words.lengths
        return self

    def predict(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """The best tags of each sentence, by the Viterbi recursion."""
        modes = self._of_each(sentences, LinearChain.mode)
        return [self.classes_[row[: len(words)].numpy()].tolist() for row, words in zip(modes, sentences, strict=True)]

    def predict_proba(self, sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """p(y_t | x) of each sentence, (T, K), in the order of ``classes_``."""
        marginals = self._of_each(sentences, LinearChain.log_marginals)
        return [row[: len(words)].exp().numpy() for row, words in zip(marginals, sentences, strict=True)]

    def score(self, sentences: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> float:
        """Share of tokens tagged right."""
        check_sentences(sentences)
        check_match(sentences, tags)
        pairs = [
            pair
            for ours, theirs in zip(self.predict(sentences), tags, strict=True)
            for pair in zip(ours, theirs, strict=True)
        ]
        return float(np.mean([ours == theirs for ours, theirs in pairs]))

    def score_samples(self, sentences: Sequence[Sequence[str]]) -> np.ndarray:
        """u(x), (N,): an unnormalised log density of sentences of equal length; compare none of different lengths.

        It is ψ(x) plus the log-partition over tags; pseudo-likelihood trains ψ alone.
        """
        return np.array([u.item() for u in self._of_each(sentences, lambda chain: chain.log_partition)])

    def sample(self, n: int = 1, random_state: int | None = None) -> list[list[str]]:
        """Draw n sentences by Gibbs sampling over the model's conditionals of single words, from random words."""
        check_is_fitted(self)
        if self.setting_.weight == 0 or not isinstance(self._potential, TaggingPotential):
            raise InputError(
                f"Expected a model of log p(x) to sample from, but this one was trained with method={self.method!r} "
                f"({self.choice_}): fit one that learns p(x), such as method='joint' with weight=1."
            )
        generator = torch.Generator().manual_seed(int(check_random_state(random_state).randint(2**31)))
        lengths = self._lengths[torch.randint(len(self._lengths), (n,), generator=generator)]
        drawn = gibbs(self._potential, lengths.clamp(max=LONGEST), generator=generator)
        rows = zip(drawn.values.tolist(), drawn.lengths.tolist(), strict=True)
        return [self.vocabulary_.decode(row[:length]) for row, length in rows]

    def save(self, path: str | Path) -> None:
        """Write the fitted model to one file, which `fewlabels.load` reads; nothing in it is executable."""
        check_is_fitted(self)
        description, tensors = saved_model(self, "tagger")
        words = {"words": self.vocabulary_.words[1:], "counts": self.vocabulary_.counts[1:]}
        write_model(path, description | words, tensors | {"lengths": self._lengths})

    @classmethod
    def restore(
        cls, description: dict[str, Any], tensors: dict[str, Tensor], potential: nn.Module | None = None
    ) -> "SemiSupervisedTagger":
        """The fitted model that a file's contents describe; ``potential`` where it was trained with your own."""
        model = cls(**description["parameters"])
        restore_common(model, description)
        model.vocabulary_ = Vocabulary(description["words"], description["counts"])
        model._lengths = tensors["lengths"]
        model.potential = potential
        model._potential = model._network()
        load_weights(model._potential, description["network"], tensors)
        return model

    def _network(self) -> nn.Module:
        if self.potential is not None:
            if self.method in ("joint", "pretrain") and not hasattr(self.potential, "site_scores"):
                raise InputError(
                    f"Expected a potential with a method site_scores for method={self.method!r}, got "
                    f"{type(self.potential).__name__}: add it, or use method='nce' or 'supervised'."
                )
            return copy.deepcopy(self.potential)
        return TaggingPotential(self.vocabulary_.spelling(), self.vocabulary_.counts, len(self.classes_))

    def _trainer(self, words: Sentences, tags: Sentences, state: Resumable) -> Trainer[_Trained]:
        """The function that trains once on the tags of some sentences and all words.

        A first stage that sees no labels is run once and serves every later call.
        """
        pool = words.shorter(LONGEST)
        counts = torch.tensor(self.vocabulary_.counts)
        seed = state.seed
        first: list[_Trained] = []

        def built(setting: Setting, share: float, run: int) -> tuple[nn.Module, list[Stage]]:
            with seeded(seed, run):
                potential = self._network()
                heads = ("head",) if "head" in dict(potential.named_children()) else ()
                players = SentencePlayers(counts, pool.lengths, heads, share * self.effort)
                return potential, SENTENCES["supervised" if setting.weight == 0 else self.method](players, setting)

        def pretrained(setting: Setting, batches: Batches, report: Report) -> _Trained:
            if not first:
                potential, stages = built(setting, 1.0, PRETRAINING_RUN)
                checkpoint = None if state.folder is None else Checkpoint(state.folder / "pretraining.pt")
                history = fit(potential, stages[:1], batches, seed=seed, checkpoint=checkpoint, report=report)
                first.append(_Trained(potential, history))
            return first[0]

        def train(
            rows: np.ndarray, setting: Setting, share: float, run: int, report: Report, checkpoint: Checkpoint | None
        ) -> _Trained:
            potential, stages = built(setting, share, run)
            index, history = torch.from_numpy(rows), []
            batches = Batches(
                words.at(index),
                Tags(tags.at(index)),
                pool,
                labelled=LABELLED,
                unlabelled=UNLABELLED,
                seed=seed,
                lengths=words.lengths[index].numpy(),
                unlabelled_lengths=None if self.method == "nce" else pool.lengths.numpy(),
            )
            if stages[0].name == PRETRAINING:
                start = pretrained(setting, batches, report)
                potential.load_state_dict(start.potential.state_dict())
                stages, history = stages[1:], start.history
            history = history + fit(potential, stages, batches, seed=seed + run, checkpoint=checkpoint, report=report)
            return _Trained(potential, history)

        return train

    @torch.no_grad()
    def _of_each(self, sentences: Sequence[Sequence[str]], read: Callable[[LinearChain], Tensor]) -> list[Tensor]:
        """What is read of u(x, ·) of each sentence, in their order; those of like length are scored together."""
        check_is_fitted(self)
        check_sentences(sentences)
        words = self._encode(sentences)
        values = {}
        for index in words.lengths.argsort(stable=True).split(AT_ONCE):
            values |= zip(index.tolist(), read(self._potential(words[index])), strict=True)
        return [values[i] for i in range(len(words))]

    def _encode(self, sentences: Sequence[Sequence[str]]) -> Sentences:
        """Word ids; words never seen are read by their spelling where the potential can."""
        rows = [self.vocabulary_.encode(sentence) for sentence in sentences]
        if isinstance(self._potential, TaggingPotential):
            unseen: dict[str, int] = {}
            for sentence, row in zip(sentences, rows, strict=True):
                for place, word in enumerate(sentence):
                    if row[place] == 0:
                        row[place] = unseen.setdefault(word, len(self.vocabulary_) + len(unseen))
            self._potential.words.respell(self.vocabulary_.spelling(list(unseen)))
        return Sentences(rows)
