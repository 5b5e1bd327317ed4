"""The tagger: a label for every token of a sentence, with scikit-learn's manners."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.model_selection import KFold
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from fewlabels.corpus import Corpus, Token
from fewlabels.data.pool import Pool
from fewlabels.data.word_vectors import read_word_vectors
from fewlabels.errors import InputError
from fewlabels.estimation import (
    Resumable,
    Trainer,
    check_parameters,
    choose_and_train,
    load_weights,
    restore_common,
    saved_model,
    settings_of,
)
from fewlabels.fingerprint import fingerprint
from fewlabels.labels import LinearChain
from fewlabels.model_file import write_model
from fewlabels.progress import progress_bar
from fewlabels.sentence_methods import (
    ESTIMATORS,
    NAMES,
    PAPER,
    SCOPES,
    SMALL,
    STARTS,
    TINY,
)
from fewlabels.sentence_training import SentenceTraining, TrainedTagger
from fewlabels.sequence.gibbs import gibbs
from fewlabels.sequence.potential import TaggingPotential
from fewlabels.sequence.presets import PRESETS
from fewlabels.sequence.sentences import Columns, Sentences, by_length
from fewlabels.sequence.spans import Moves
from fewlabels.sequence.vocabulary import Vocabulary
from fewlabels.start import Start
from fewlabels.validation import check_count, check_match, check_parts, split_features

__all__ = ["SemiSupervisedTagger"]

RECIPES = {"tiny": TINY, "small": SMALL, "paper": PAPER}
"""How the network of each of `fewlabels.sequence.presets.PRESETS` is trained."""

NAMED = {"pretraining": STARTS, "estimator": ESTIMATORS, "finetune": SCOPES, "preset": PRESETS}
"""The parameters that are one of some names."""

WEIGHTS: dict[str, tuple[float, ...]] = dict.fromkeys(("joint", "self_training"), (1.0,))
"""Factors on the weight of log p(x) that "auto" compares with 0, by method, whatever is added to it."""

AT_ONCE = 256
"""Sentences scored at once."""


class SemiSupervisedTagger(BaseEstimator):
    """Tag the tokens of sentences with few labelled and many unlabelled sentences.

    A conditional random field over the tags is upgraded to a random field over sentences and tags, p(x, y) ∝
    exp u(x, y), and trained on log p(y | x) where there are tags and on log p(x) everywhere.

    Parameters
    ----------
    method
        "joint" (labels and log p(x) at once), "pretrain" (fine-tuning on labels alone), "supervised" (a conditional
        random field from random weights), "self_training" (labels, and the tags that the model gives to unlabelled
        sentences), or "best", the sum "joint+self_training".  To compare with: "pseudo_label", "entropy",
        "mean_teacher" and "vat", which follow fine-tuning as self-training does, and may be added to "joint", too.
    pretraining
        What comes before, without labels, in all methods but "supervised": "field" (log p(x)), "bilm" (a bidirectional
        language model) or "none".
    estimator
        Of log p(x): "pseudo_likelihood" (single words, by ranking), "conditional_nce" (sentences against copies with
        words replaced) or "nce" (dynamic noise-contrastive estimation, as in the paper: slowest to learn).
    finetune
        What learns where labels alone follow a start: "all" parameters, or the "head", as the paper's text says; it
        does not explain the paper's gains.
    preset
        Network and recipe: "small" for a laptop, "tiny" for a first look, "paper" for the paper's.
    vectors
        A file of word vectors in the text format of GloVe or word2vec, from which words' own vectors start; their
        length must be the preset's.
    potential
        Your own network in place of the built-in one: a module from `fewlabels.sequence.sentences.Padded` word ids to a
        `fewlabels.labels.LinearChain`; for log p(x) by pseudo-likelihood with a method ``site_scores`` like
        `fewlabels.sequence.potential.TaggingPotential`'s, for ``pretraining="field"`` by another estimator with its
        ``word_potential``.  Ids are those of ``vocabulary_``, and 0 for other words.
    weight
        Factor on the recipe's weight of what is learnt from text beside labels.  "auto" chooses by cross-validation on
        the labelled sentences, with supervised training among the candidates.
    folds
        Of that cross-validation.
    effort
        Factor on the number of training steps; 1 is the recipe.
    start
        A file that keeps the pre-trained network: read where it exists, otherwise written once pre-training is done, so
        that several methods share one.  None keeps nothing.
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
        The words, a `fewlabels.sequence.vocabulary.Vocabulary`.
    choice_
        One line: what was chosen, and why.
    setting_
        The chosen `fewlabels.methods.Setting`.
    history_
        Records of training, for curves.
    pretraining_seconds_
        What pre-training took, in this call or in the one that wrote ``start``; of a resumed one what was left.  0
        where there was none, and of a loaded model.

    Examples
    --------
    >>> sentences = [["the", "cat", "sleeps"], ["a", "dog", "barks"], ["the", "dog", "sleeps"]] * 5
    >>> tags = [["D", "N", "V"], ["D", "N", "V"], None] * 5
    >>> tagger = SemiSupervisedTagger(preset="tiny", effort=0.1, random_state=0).fit(sentences, tags)
    >>> tagger.predict([["a", "cat", "barks"]])
    [['D', 'N', 'V']]
    """

    def __init__(
        self,
        method: str = "joint",
        *,
        pretraining: str = "field",
        estimator: str = "pseudo_likelihood",
        finetune: str = "all",
        preset: str = "small",
        vectors: str | Path | None = None,
        potential: nn.Module | None = None,
        weight: float | str = "auto",
        folds: int = 2,
        effort: float = 1.0,
        start: str | Path | None = None,
        random_state: int | np.random.RandomState | None = None,
        checkpoint: str | Path | None = None,
        verbose: bool = False,
    ) -> None:
        self.method = method
        self.pretraining = pretraining
        self.estimator = estimator
        self.finetune = finetune
        self.preset = preset
        self.vectors = vectors
        self.potential = potential
        self.weight = weight
        self.folds = folds
        self.effort = effort
        self.start = start
        self.random_state = random_state
        self.checkpoint = checkpoint
        self.verbose = verbose

    def fit(
        self,
        sentences: Sequence[Sequence[Token]],
        tags: Sequence[Sequence[str] | None],
        pool: Pool | None = None,
    ) -> "SemiSupervisedTagger":
        """Train on labelled and unlabelled sentences.

        Parameters
        ----------
        sentences
            Lists of words; or of tuples of a word and further features, such as its part of speech, as many in each
            sentence that has any.
        tags
            For each sentence a list of as many tags, or None where it is unlabelled.
        pool
            Further unlabelled sentences.  With a pool, labelled sentences are not among those that teach log p(x).

        Raises
        ------
        InputError
            An empty sentence, tags that do not match their sentence, no or too few labelled sentences, one tag only; a
        parameter that is not as described.
        """
        self.fit_keeping_state(sentences, tags, pool).done()
        return self

    def fit_keeping_state(
        self, sentences: Sequence[Sequence[Token]], tags: Sequence[Sequence[str] | None], pool: Pool | None = None
    ) -> Resumable:
        """As `fit`, with what is kept in ``checkpoint`` left there until ``done()`` is called on the value.

        For those who save the model first, so that nothing between the two can cost the training.
        """
        first = NAMES.parts(self.method)[0]
        check_parameters(self, NAMED)
        if not isinstance(pool, Pool | None):
            raise InputError(f"Expected pool to be a fewlabels.Pool, got {pool!r}: open a folder by Pool(path).")
        corpus = Corpus.of(sentences, tags, pool)
        self.classes_, self.vocabulary_, self.columns_ = corpus.classes, corpus.vocabulary, corpus.columns
        self._moves, self._lengths, rows = corpus.moves, corpus.lengths, corpus.labelled
        vectors, known_pool = self._given_vectors(), None if pool is None else (pool.folder, len(pool))
        words = corpus.vocabulary.words
        state = Resumable(self, words, corpus.classes, corpus.x, corpus.y, corpus.labelled, known_pool, vectors)
        key = "" if self.start is None else self._start_key(corpus, vectors, state.seed)
        start = Start(self.start, state.folder, key)
        folds = KFold(min(self.folds, len(rows)), shuffle=True, random_state=state.seed).split(rows)

        @torch.no_grad()
        def judge(trained: TrainedTagger, held_out: np.ndarray) -> np.ndarray:
            wrong = []
            for index in by_length(corpus.x.lengths, torch.from_numpy(held_out), AT_ONCE):
                x, truth = corpus.x[index], corpus.y[index].values
                right = trained.potential(x).log_marginals().exp().gather(2, truth.unsqueeze(2)).squeeze(2)
                wrong.append((1 - right)[x.inside()])
            return torch.cat(wrong).numpy()

        with progress_bar(self.verbose) as report:
            (self.setting_, self.choice_), trained = choose_and_train(
                settings_of(first, self.weight, 1.0, WEIGHTS.get(first, ())), rows,
                [(rows[kept], rows[held_out]) for kept, held_out in folds],
                self._trainer(corpus, vectors, start, state.seed), judge, state.folder, report,
            )  # fmt: skip
        self._potential, self.history_ = trained
        self.pretraining_seconds_ = start.seconds
        return state

    def predict(self, sentences: Sequence[Sequence[Token]]) -> list[list[str]]:
        """The best tags of each sentence, by the Viterbi recursion."""
        modes = self._of_each(sentences, LinearChain.mode)
        return [self.classes_[row[: len(words)].numpy()].tolist() for row, words in zip(modes, sentences, strict=True)]

    def predict_proba(self, sentences: Sequence[Sequence[Token]]) -> list[np.ndarray]:
        """p(y_t | x) of each sentence, (T, K), in the order of ``classes_``."""
        marginals = self._of_each(sentences, LinearChain.log_marginals)
        return [row[: len(words)].exp().numpy() for row, words in zip(marginals, sentences, strict=True)]

    def score(self, sentences: Sequence[Sequence[Token]], tags: Sequence[Sequence[str] | None]) -> float:
        """Share of tokens tagged right, in the sentences that have tags.

        Raises
        ------
        InputError
            Sentences that are not as in `fit`; tags that do not match them, or none at all.
        """
        check_match(sentences, tags)
        if all(row is None for row in tags):
            raise InputError("Expected tags to compare with, got None for all: tag at least one sentence.")
        pairs = [
            pair
            for ours, theirs in zip(self.predict(sentences), tags, strict=True)
            if theirs is not None
            for pair in zip(ours, theirs, strict=True)
        ]
        return float(np.mean([ours == theirs for ours, theirs in pairs]))

    def score_samples(self, sentences: Sequence[Sequence[Token]]) -> np.ndarray:
        """u(x), (N,): an unnormalised log density of sentences of equal length; compare none of different lengths.

        It is ψ(x) plus the log-partition over tags; pseudo-likelihood trains ψ alone.
        """
        return np.array([u.item() for u in self._of_each(sentences, lambda chain: chain.log_partition)])

    def sample(self, n: int = 1, random_state: int | None = None) -> list[list[str]]:
        """Draw n sentences by Gibbs sampling over the model's conditionals of single words, from random words.

        Raises
        ------
        InputError
            No model of log p(x) by pseudo-likelihood, or not the built-in network; n below 0.
        """
        check_is_fitted(self)
        check_count(n)
        if not self._has_learnt_words() or not isinstance(self._potential, TaggingPotential):
            raise InputError(
                f"Expected a model of log p(x) to sample from, but this one was trained with method={self.method!r} "
                f"({self.choice_}): fit one that learns p(x), such as method='joint' with weight=1."
            )
        if n == 0:
            return []
        generator = torch.Generator().manual_seed(int(check_random_state(random_state).randint(2**31)))
        lengths = self._lengths.double().multinomial(n, replacement=True, generator=generator)
        drawn = gibbs(self._potential, lengths, generator=generator)
        rows = zip(drawn.values.tolist(), drawn.lengths.tolist(), strict=True)
        return [self.vocabulary_.decode(row[:length]) for row, length in rows]

    def save(self, path: str | Path) -> None:
        """Write the fitted model to one file, which `fewlabels.load` reads; nothing in it is executable."""
        check_is_fitted(self)
        description, tensors = saved_model(self, "tagger")
        built_in = isinstance(self._potential, TaggingPotential)  # which reads further words by their spelling
        vocabulary = self.vocabulary_.trimmed() if built_in else self.vocabulary_
        words = {"words": vocabulary.words[1:], "counts": vocabulary.counts[1:], "features": vocabulary.features}
        description |= words | {"columns": self.columns_.values, "moves": [part.tolist() for part in self._moves]}
        write_model(path, description, tensors | {"lengths": self._lengths})

    @classmethod
    def restore(
        cls, description: dict[str, Any], tensors: dict[str, Tensor], potential: nn.Module | None = None
    ) -> "SemiSupervisedTagger":
        """The fitted model that a file's contents describe; ``potential`` where it was trained with your own."""
        model = cls(**description["parameters"])
        restore_common(model, description)
        model.vocabulary_ = Vocabulary(description["words"], description["counts"], features=description["features"])
        model.columns_ = Columns(description["columns"])
        model._moves = Moves(*map(np.array, description["moves"]))
        model._lengths, model.pretraining_seconds_ = tensors["lengths"], 0.0
        model.potential = potential
        model._potential = model._network()
        load_weights(model._potential, description["network"], tensors)
        return model

    def _network(self, vectors: Tensor | None = None) -> nn.Module:
        if self.potential is not None:
            parts, start = NAMES.parts(self.method), "none" if self.method == "supervised" else self.pretraining
            if start == "bilm":
                raise InputError(
                    "Expected pretraining='field' or 'none' for a potential of your own, got 'bilm', which reads the "
                    "states of the built-in one: choose another."
                )
            by_words = self.estimator == "pseudo_likelihood"
            needs = (
                ("site_scores", by_words and (start == "field" or parts[0] == "joint"), "pseudo-likelihood"),
                ("word_potential", not by_words and start == "field", f"pre-training by estimator={self.estimator!r}"),
                ("words", "vat" in parts, "vat, which changes their vectors"),
                ("head", self.finetune == "head", "finetune='head'"),
            )
            check_parts(self.potential, {name: purpose for name, needed, purpose in needs if needed})
            return copy.deepcopy(self.potential)
        vocabulary, preset = self.vocabulary_, PRESETS[self.preset]
        return TaggingPotential(
            preset.spelling(vocabulary), vocabulary.counts, len(self.classes_), preset,
            own=vocabulary.own, columns=self.columns_.sizes, vectors=vectors, allowed=self._moves,
        )  # fmt: skip

    def _trainer(self, corpus: Corpus, vectors: Tensor | None, start: Start, seed: int) -> Trainer[TrainedTagger]:
        """Trains once, on the tags of some sentences and all text."""
        return SentenceTraining(
            corpus, lambda: self._network(vectors), self.method, self.pretraining, self.estimator, self.finetune,
            RECIPES[self.preset], self.effort, start, seed,
        )  # fmt: skip

    def _start_key(self, corpus: Corpus, vectors: Tensor | None, seed: int) -> str:
        """Tells one pre-trained network from those of other text, word vectors, settings or seeds."""
        vocabulary = corpus.vocabulary
        text = fingerprint("\n".join(vocabulary.words), np.array(vocabulary.counts), corpus.unlabelled, vectors)
        settings = (self.pretraining, self.estimator, self.preset, self.effort, self.columns_.sizes, len(self.classes_))
        if self.potential is not None:
            settings = (*settings, f"network {fingerprint(self.potential)}")
        return f"{settings} seed {seed}, {len(corpus.unlabelled)} sentences of {text}"

    def _given_vectors(self) -> Tensor | None:
        """The user's word vectors, (own, size), or None."""
        if self.vectors is None:
            return None
        words = self.vocabulary_.words[: self.vocabulary_.own]
        return torch.from_numpy(read_word_vectors(self.vectors, words, PRESETS[self.preset].size))

    def _has_learnt_words(self) -> bool:
        """Whether the conditionals of single words were trained."""
        if self.setting_.weight == 0 or self.estimator != "pseudo_likelihood":
            return False
        return self.pretraining == "field" or NAMES.parts(self.method)[0] == "joint"

    @torch.no_grad()
    def _of_each(self, sentences: Sequence[Sequence[Token]], read: Callable[[LinearChain], Tensor]) -> list[Tensor]:
        """What is read of u(x, ·) of each sentence, in their order; those of like length are scored together."""
        check_is_fitted(self)
        words, features = split_features(sentences)
        x = Sentences(self._encode(words), self.columns_.encode(features))
        values = {}
        for index in by_length(x.lengths, torch.arange(len(x)), AT_ONCE):
            values |= zip(index.tolist(), read(self._potential(x[index])), strict=True)
        return [values[i] for i in range(len(x))]

    def _encode(self, sentences: Sequence[Sequence[str]]) -> list[list[int]]:
        """Word ids; words never seen are read by their spelling where the potential can."""
        rows = [self.vocabulary_.encode(sentence) for sentence in sentences]
        if isinstance(self._potential, TaggingPotential):
            unseen: dict[str, int] = {}
            for sentence, row in zip(sentences, rows, strict=True):
                for place, word in enumerate(sentence):
                    if row[place] == 0:
                        row[place] = unseen.setdefault(word, len(self.vocabulary_) + len(unseen))
            self._potential.words.respell(self._potential.preset.spelling(self.vocabulary_, list(unseen)))
        return rows
