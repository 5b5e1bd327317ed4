"""The demo's sentences: part-of-speech tags of conversational Cantonese with 100 labelled utterances.

The Hong Kong Cantonese Corpus (CC BY 4.0), as shipped by the package pycantonese: 58 recordings, tagged by people.

*Rules.*  Utterances of punctuation only are dropped.  Punctuation, which the corpus leaves untagged, is tagged ``w``.
Tags with fewer than 10 tokens merge into their first letter.  A fixed permutation of the recordings gives the first 12
to the test split and the next 6 to the dev split, by which the recipes were found; the others are for training.  Each
seed draws 100 training utterances of two words or more as labelled; all training utterances are unlabelled data.  The
test split is looked at once, by the finished model.  Joint training starts from pre-training and goes on learning from
unlabelled text beside the labels, as in the paper: it sees more text and takes longer than fine-tuning does.
"""

from collections import Counter
from functools import cache
from typing import NamedTuple, Protocol

import numpy as np
import pycantonese

from fewlabels.experiments.baselines import CRFsuite, MostFrequentTag
from fewlabels.tagger import SemiSupervisedTagger

__all__ = ["LABELLED", "Corpus", "corpus", "error", "labelled_rows", "train"]

LABELLED = 100
RARE = 10
PUNCTUATION = "w"

Utterance = tuple[list[str], list[str]]


class Corpus(NamedTuple):
    """Utterances as pairs of words and tags."""

    train: list[Utterance]
    dev: list[Utterance]
    test: list[Utterance]


class Model(Protocol):
    """Tags sentences."""

    def predict(self, sentences: list[list[str]]) -> list[list[str]]:
        """One tag a word."""
        ...


@cache
def corpus() -> Corpus:
    """The corpus under the rules above."""
    recordings = [
        [
            ([token.word for token in utterance.tokens], [token.pos or PUNCTUATION for token in utterance.tokens])
            for utterance in recording  # pyright: ignore[reportGeneralTypeIssues]
            if any(token.pos for token in utterance.tokens)
        ]
        for recording in pycantonese.hkcancor().utterances(by_file=True)
    ]
    counts = Counter(tag for recording in recordings for _, tags in recording for tag in tags)
    merged = {tag: tag if count >= RARE else tag[0] for tag, count in counts.items()}
    recordings = [[(words, [merged[tag] for tag in tags]) for words, tags in part] for part in recordings]
    order = np.random.default_rng(0).permutation(len(recordings))
    test, dev, train = ([u for i in sorted(part) for u in recordings[i]] for part in np.split(order, [12, 18]))
    return Corpus(train, dev, test)


def labelled_rows(seed: int) -> set[int]:
    """Which training utterances have labels under a seed."""
    long_enough = [i for i, (_, tags) in enumerate(corpus().train) if sum(tag != PUNCTUATION for tag in tags) >= 2]
    return set(np.random.default_rng(1000 + seed).choice(long_enough, LABELLED, replace=False).tolist())


def train(method: str, seed: int) -> Model:
    """A fitted model of a method."""
    rows = labelled_rows(seed)
    sentences = [words for words, _ in corpus().train]
    tags = [tags if i in rows else None for i, (_, tags) in enumerate(corpus().train)]
    if method == "crfsuite":
        return CRFsuite(features).fit(*zip(*(corpus().train[i] for i in sorted(rows)), strict=True))
    if method == "most_frequent_tag":
        return MostFrequentTag().fit(*zip(*(corpus().train[i] for i in sorted(rows)), strict=True))
    return SemiSupervisedTagger(method, preset="tiny", weight=1.0, random_state=seed).fit(sentences, tags)


def error(model: Model, utterances: list[Utterance]) -> float:
    """Share of tokens tagged wrongly."""
    predicted = model.predict([words for words, _ in utterances])
    wrong = [
        a != b for ours, (_, tags) in zip(predicted, utterances, strict=True) for a, b in zip(ours, tags, strict=True)
    ]
    return float(np.mean(wrong))


def features(words: list[str], i: int) -> list[str]:
    """Window features of a word: itself, its neighbours, its first and last characters and its length."""
    word = words[i]
    before = words[i - 1] if i else "<start>"
    after = words[i + 1] if i + 1 < len(words) else "<end>"
    own = ["bias", f"w={word}", f"first={word[0]}", f"last={word[-1]}", f"length={min(len(word), 5)}"]
    own += [f"prefix={word[:2]}", f"suffix={word[-2:]}", *(f"c={c}" for c in word)]
    around = [f"-1={before}", f"+1={after}", f"-1,0={before}|{word}", f"0,+1={word}|{after}"]
    return own + around + [f"-2={words[i - 2] if i > 1 else ''}", f"+2={words[i + 2] if i + 2 < len(words) else ''}"]
