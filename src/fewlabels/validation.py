"""What estimators accept; everything else is an `InputError` of one line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from fewlabels.errors import InputError
from fewlabels.model_selection import as_labels, is_unlabelled

__all__ = [
    "check_count",
    "check_finite",
    "check_folds",
    "check_labels",
    "check_match",
    "check_parts",
    "check_sentences",
    "check_tags",
    "input_errors",
    "refuse_dates",
    "split_features",
]


@contextmanager
def input_errors() -> Iterator[None]:
    """Turn what scikit-learn says of bad input into an `InputError` of the same text, on one line."""
    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        text = re.sub(r"\s(array=)?\[.*\]\.?\s", " ", str(error), flags=re.DOTALL)  # scikit-learn shows all of X
        raise InputError(" ".join(text.split())) from error


def check_finite(x: np.ndarray) -> None:
    """Refuse NaN and infinity, naming the first place."""
    bad = ~np.isfinite(x)
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"Expected finite numbers, but X contains {'NaN' if np.isnan(x[place]) else 'infinity'} at row {place[0]}, "
            f"feature {', '.join(map(str, place[1:]))} (counted from 0): fill in or drop such values."
        )


def refuse_dates(X: Any) -> None:
    """Refuse a DataFrame with a column of dates or times, which scikit-learn may read as nanoseconds."""
    columns = getattr(getattr(X, "dtypes", None), "items", dict)()
    dated = [name for name, kind in columns if getattr(kind, "kind", "") in ("m", "M")]
    if dated:
        raise InputError(f"Expected numbers, got dates or times in column {dated[0]!r}: turn them into numbers.")


def check_labels(y: Any, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The classes of y and each row's class number, -1 where unlabelled.

    Parameters
    ----------
    y
        Labels of all rows: integers, text or booleans; -1, None or NaN for unlabelled.
    rows
        How many there must be.

    Returns
    -------
    classes, shape (K,), sorted; codes, shape (N,).

    Raises
    ------
    InputError
        No labelled row, one class only, labels of unknown type, a wrong number of labels.
    """
    if y is None:
        raise InputError("fit requires y to be passed, but the target y is None: use -1 for unlabelled rows.")
    with input_errors():
        y = column_or_1d(as_labels(y), warn=True)
    if len(y) != rows:
        raise InputError(f"Expected one label a row, got {len(y)} labels for {rows} rows: use -1 for unlabelled rows.")
    marks = {"-1", "nan"} & set(y.tolist()) if y.dtype.kind in "US" else set()
    if marks:
        raise InputError(
            f"Expected labels, got the text {min(marks)!r}: in an array of text use dtype=object and -1 (or None) for "
            "unlabelled."
        )
    labelled = ~is_unlabelled(y)
    if not labelled.any():
        raise InputError("Expected labelled rows, but all labels are -1: label at least two rows of each class.")
    classes, codes = _classes_of(y[labelled])
    if len(classes) < 2:
        raise InputError(
            f"Expected at least two classes, got one class only, {classes.tolist()[0]!r}: label rows of another (-1 "
            "stands for unlabelled: where it is a class, rename it)."
        )
    full = np.full(len(y), -1)
    full[labelled] = codes
    return classes, full


def check_folds(classes: np.ndarray, codes: np.ndarray) -> int:
    """How many folds the rarest class allows; one labelled row of a class is refused.  The code -1 is unlabelled."""
    counts = np.bincount(codes[codes >= 0])
    rarest = classes.tolist()[counts.argmin()]
    if counts.min() < 2:
        raise InputError(
            f"Expected at least two labelled rows of each class, got one of class {rarest!r}: label another, leave "
            "that class out, or have nothing chosen, by method='supervised' or by giving weight and step_size."
        )
    return int(counts.min())


def check_count(n: Any) -> None:
    """Refuse a number of samples that is no integer of 0 or more."""
    if not isinstance(n, Integral) or n < 0:
        raise InputError(f"Expected how many to draw, an integer of 0 or more, got {n!r}.")


def _classes_of(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if labels.dtype.kind == "O":
        values = [value.item() if isinstance(value, np.generic) else value for value in labels]
        kinds = {type(value).__name__ for value in values}
        if len(kinds) > 1 or not kinds <= {"str", "int", "bool"}:
            raise InputError(
                f"Unknown label type: expected labels that are all text, all integers or all booleans, got "
                f"{', '.join(sorted(kinds))}: convert them to one."
            )
        labels = np.array(values)
    with input_errors():
        check_classification_targets(labels)
    classes, codes = np.unique(labels, return_inverse=True)
    return classes, codes


def split_features(sentences: Sequence[Sequence[Any]]) -> tuple[Sequence[Sequence[str]], list[list[tuple[str, ...]]]]:
    """Words of sentences, and the further features of each word: none of words that stand alone.

    Raises
    ------
    InputError
        What `check_sentences` refuses; features that are no text, or not as many as other tokens have, naming the first
        such sentence.

    Examples
    --------
    >>> split_features([[("a", "D"), ("cat", "N")], ["it"]])
    ([['a', 'cat'], ['it']], [[('D',), ('N',)], [()]])
    """
    check_sentences(sentences)
    if not any(isinstance(token, tuple) for row in sentences for token in row):
        return sentences, [[()] * len(row) for row in sentences]
    words = [[token[0] if isinstance(token, tuple) else token for token in row] for row in sentences]
    features = [[token[1:] if isinstance(token, tuple) else () for token in row] for row in sentences]
    width = max(len(token) for row in features for token in row)
    for i, row in enumerate(features):
        for token in row:
            if len(token) not in (0, width) or not all(isinstance(value, str) for value in token):
                raise InputError(
                    f"Expected a word alone or with {width} further features of text in sentence {i} (counted from "
                    f"0), got {token!r}: give every token as many."
                )
    return words, features


def check_sentences(sentences: Any) -> None:
    """Refuse what is no list of non-empty lists of words, or of words with features, naming the first such sentence."""
    came = "none" if hasattr(sentences, "__len__") and len(sentences) == 0 else type(sentences).__name__
    if came in ("none", "str") or not hasattr(sentences, "__len__"):
        raise InputError(f"Expected a list of sentences, each a list of words, got {came}: give at least one sentence.")
    for i, sentence in enumerate(sentences):
        if isinstance(sentence, str):
            raise InputError(f"Expected sentence {i} to be a list of words, got the text {sentence!r}: split it.")
        if not hasattr(sentence, "__len__"):
            raise InputError(f"Expected sentence {i} to be a list of words, got {sentence!r}: drop it.")
        if not len(sentence):
            raise InputError(f"Expected sentence {i} (counted from 0) to have words, got an empty sentence: drop it.")
        for token in sentence:
            word = token[0] if isinstance(token, tuple) and token else token
            if not isinstance(word, str) or not word:
                raise InputError(
                    f"Expected the words of sentence {i} to be text, of a character at least, got {token!r}: convert "
                    "it, or leave it out."
                )


def check_match(sentences: Sequence[Sequence[Any]], tags: Sequence[Sequence[Any] | None]) -> None:
    """Refuse tags that do not match the sentences in number, naming the first such sentence."""
    if not hasattr(tags, "__len__"):
        raise InputError(f"Expected tags, or None, for each sentence, got {tags!r}: give a list.")
    if len(tags) != len(sentences):
        raise InputError(
            f"Expected tags, or None, for each of {len(sentences)} sentences, got {len(tags)}: add None for the others."
        )
    for i, (sentence, y) in enumerate(zip(sentences, tags, strict=True)):
        if y is not None and not hasattr(y, "__len__"):
            raise InputError(f"Expected tags or None for sentence {i} (counted from 0), got {y!r}: give it a list.")
        if y is not None and len(y) != len(sentence):
            raise InputError(
                f"Expected {len(sentence)} tags for sentence {i} (counted from 0), got {len(y)}: give each word a tag."
            )


def check_tags(sentences: Sequence[Sequence[str]], tags: Sequence[Sequence[Any] | None]) -> np.ndarray:
    """The kinds of tags, sorted, (K,).

    Raises
    ------
    InputError
        Tags that do not match, fewer than two labelled sentences, one kind of tag only, tags of unknown type.
    """
    check_match(sentences, tags)
    labelled = [y for y in tags if y is not None]
    if len(labelled) < 2:
        raise InputError(
            f"Expected at least two labelled sentences, got {len(labelled)}: tags that are None mean unlabelled; label "
            "some sentences."
        )
    classes, _ = _classes_of(np.array([tag for y in labelled for tag in y], dtype=object))
    if len(classes) < 2:
        raise InputError(
            f"Expected at least two kinds of tags, got one only, {classes.tolist()[0]!r}: label with another."
        )
    return classes


def check_parts(potential: object, needs: Mapping[str, str]) -> None:
    """Refuse a network of the user's own without an attribute that something needs; ``needs`` says what for."""
    for name, purpose in needs.items():
        if not hasattr(potential, name):
            raise InputError(
                f"Expected a potential with {name} for {purpose}, got {type(potential).__name__}: add it, or choose "
                "another method, estimator or finetune."
            )
