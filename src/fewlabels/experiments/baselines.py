"""Taggers to compare with: a conditional random field on features made by hand, and each word's most frequent tag."""

import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pycrfsuite  # pyright: ignore[reportMissingTypeStubs]

__all__ = ["CRFsuite", "MostFrequentTag", "english_features", "residue_features"]

Token = str | tuple[str, ...]
"""A word, or a word with further features."""

PENALTY, ITERATIONS = 0.1, 100
"""Factor on both norms of the weights, and iterations of L-BFGS: usual ones, not tuned."""

AFFIX = 4
"""Characters of the longest prefix and suffix."""

REACH = 7
"""Residues on either side in the window of a protein, as is usual."""


class CRFsuite:
    """A conditional random field on window features, by python-crfsuite's L-BFGS.

    Parameters
    ----------
    features
        The names of the features that hold at a place of a sentence.

    Examples
    --------
    >>> sentences, tags = [["the", "dog", "barks"], ["a", "cat", "sleeps"]], [["D", "N", "V"]] * 2
    >>> CRFsuite(english_features).fit(sentences, tags).predict([["the", "cat", "barks"]])
    [['D', 'N', 'V']]
    """

    def __init__(self, features: Callable[[Any, int], list[str]]) -> None:
        self._features = features

    def fit(self, sentences: Sequence[Sequence[Token]], tags: Sequence[Sequence[str]]) -> "CRFsuite":
        """Train on labelled sentences."""
        trainer = pycrfsuite.Trainer(verbose=False)  # pyright: ignore[reportAttributeAccessIssue]
        for sentence, y in zip(sentences, tags, strict=True):
            trainer.append(self._of(sentence), list(y))
        trainer.set_params({"c1": PENALTY, "c2": PENALTY, "max_iterations": ITERATIONS})
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "model.crfsuite")
            trainer.train(path)
            self._content = Path(path).read_bytes()  # the tagger reads from these very bytes: they must live on
        self._tagger = pycrfsuite.Tagger()  # pyright: ignore[reportAttributeAccessIssue]
        self._tagger.open_inmemory(self._content)
        return self

    def predict(self, sentences: Sequence[Sequence[Token]]) -> list[list[str]]:
        """The best tags of each sentence."""
        return [self._tagger.tag(self._of(sentence)) for sentence in sentences]

    def _of(self, sentence: Sequence[Token]) -> list[list[str]]:
        return [self._features(sentence, i) for i in range(len(sentence))]


def english_features(sentence: Sequence[Token], i: int) -> list[str]:
    """The usual window features of a token of English, for chunking, parts of speech and names alike.

    The word, its lower case, affixes and shape; the words up to two places away and the pairs of neighbours; and, where
    tokens are tuples, the same window over each further feature, with triples.

    Parameters
    ----------
    sentence
        Words, or tuples of a word and further features.
    i
        The place.

    Examples
    --------
    >>> [name for name in english_features(["The", "U.S.", "won"], 1) if name.startswith(("w", "shape"))]
    ['w[-1]=the', 'w[0]=U.S.', 'w[1]=won', 'shape=A.A.', 'w[-1,0]=the|U.S.', 'w[0,1]=U.S.|won']
    """
    columns = [token if isinstance(token, tuple) else (token,) for token in sentence[max(i - 2, 0) : i + 3]]
    here = min(i, 2)
    word = columns[here][0]
    window = {k - here: (token[0] if k == here else token[0].lower()) for k, token in enumerate(columns)}
    ends = [f"{name}={part}" for n in range(1, AFFIX + 1) for name, part in (("pre", word[:n]), ("suf", word[-n:]))]
    names = ["bias", f"lower={word.lower()}", *ends, *_window("w", window), *_shape(word), *_pairs("w", window)]
    for c in range(1, len(columns[here])):
        values = {k - here: token[c] for k, token in enumerate(columns)}
        names += [*_window(f"f{c}", values), *_pairs(f"f{c}", values), *_triples(f"f{c}", values)]
    return names + [end for end, there in (("start", i == 0), ("end", i == len(sentence) - 1)) if there]


def residue_features(chain: Sequence[str], i: int) -> list[str]:
    """The residues of a protein chain around a place, and the pairs of neighbours among them.

    Examples
    --------
    >>> residue_features("MK", 1)
    ['bias', 'r[-1]=M', 'r[0]=K', 'r[-1,0]=M|K']
    """
    places = range(max(0, i - REACH), min(len(chain), i + REACH + 1))
    window = {k - i: chain[k] for k in places}
    return ["bias", *_window("r", window), *_pairs("r", window)]


def _window(name: str, window: dict[int, str]) -> list[str]:
    return [f"{name}[{k}]={value}" for k, value in window.items()]


def _pairs(name: str, window: dict[int, str]) -> list[str]:
    return [f"{name}[{k},{k + 1}]={window[k]}|{window[k + 1]}" for k in window if k + 1 in window]


def _triples(name: str, window: dict[int, str]) -> list[str]:
    return [f"{name}[{k}..{k + 2}]={window[k]}|{window[k + 1]}|{window[k + 2]}" for k in window if k + 2 in window]


def _shape(word: str) -> list[str]:
    """Kinds of characters, and what is usual to ask of them."""
    shape = "".join("A" if c.isupper() else "a" if c.islower() else "0" if c.isdigit() else c for c in word)
    short = "".join(c for k, c in enumerate(shape) if k == 0 or c != shape[k - 1])
    asked = {"title": word.istitle(), "upper": word.isupper(), "digit": any(c.isdigit() for c in word)}
    asked["hyphen"] = "-" in word
    return [f"shape={shape}", f"short={short}", *(name for name, holds in asked.items() if holds)]


class MostFrequentTag:
    """Each word's most frequent tag in the labels; for other words the most frequent tag of all.

    Examples
    --------
    >>> MostFrequentTag().fit([["a", "dog"], ["dog"]], [["D", "N"], ["N"]]).predict([["a", "cat"]])
    [['D', 'N']]
    """

    def fit(self, sentences: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> "MostFrequentTag":
        """Count."""
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for words, y in zip(sentences, tags, strict=True):
            for word, tag in zip(words, y, strict=True):
                counts[word][tag] += 1
        self._default = sum(counts.values(), Counter()).most_common(1)[0][0]
        self._best = {word: count.most_common(1)[0][0] for word, count in counts.items()}
        return self

    def predict(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """One tag a word."""
        return [[self._best.get(word, self._default) for word in words] for words in sentences]
