r"""Word vectors trained elsewhere, in the text formats of GloVe [1]_ and word2vec [2]_: a word and its numbers a line.

References
----------
.. [1] Pennington, Socher and Manning, "GloVe: global vectors for word representation", EMNLP 2014.
.. [2] Mikolov, Chen, Corrado and Dean, "Efficient estimation of word representations in vector space", 2013.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fewlabels.data.lines import stream_lines
from fewlabels.errors import InputError

__all__ = ["read_word_vectors"]


def read_word_vectors(path: str | Path, words: Sequence[str], size: int | None = None) -> NDArray[np.float32]:
    r"""Read the vectors of given words; a word that is absent as it stands gets the vector of its lower-case form.

    Parameters
    ----------
    path : str or Path
        A UTF-8 file with a word and D numbers a line, separated by single blanks. A first line of two integers N and D
        (the format of word2vec) is a header. A word may hold blanks, as some of `glove.840B.300d` do: its vector is the
        last D fields, where D comes from the header or the first line. The first of several lines of a word counts.
    words : sequence of V str
        The words whose vectors are wanted. The file is read line by line and only their rows are kept.
    size : int, optional
        The D that is wanted; any by default.

    Returns
    -------
    float32 array (V, D)
        Row i belongs to `words[i]`; 0 where the file has neither the word nor its lower-case form.

    Raises
    ------
    InputError
        The file cannot be read, has no vectors or ones of another size, a line has too few or too many numbers or other
        lines than the header says follow, or the vector of a wanted word has a field that is no finite number. File and
        line are named.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "small.txt"
    ...     _ = path.write_text("the 1 2\n. . . 3 4\n")
    ...     read_word_vectors(path, ["The", ". . .", "dog"]).tolist()
    [[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]]
    """
    wanted = {form for word in words for form in (word, word.lower())}
    rows: dict[str, NDArray[np.float32]] = {}
    found = 0
    for number, word, fields in _rows(path):
        found = len(fields)
        if size not in (None, found):
            raise InputError(f"{path}: expected vectors of {size} numbers, came {found}: get a file of that size")
        if word in wanted and word not in rows:
            rows[word] = np.array([_number(field, f"{path}:{number}") for field in fields], dtype=np.float32)
    vectors = np.zeros((len(words), found), dtype=np.float32)
    for vector, word in zip(vectors, words, strict=True):
        vector[:] = rows.get(word, rows.get(word.lower(), 0.0))
    return vectors


def _rows(path: str | Path) -> Iterator[tuple[int, str, list[str]]]:
    """Number, word and fields of each line with a vector; there is at least one, and as many as a header says."""
    size = expected = None
    rows = 0
    for number, line in stream_lines(path):
        fields = line.rstrip(" ").split(" ")
        if number == 1 and len(fields) == 2 and all(field.isdecimal() for field in fields):
            expected, size = map(int, fields)
            continue
        size = len(fields) - 1 if size is None else size
        yield number, _word(fields, size, f"{path}:{number}"), fields[len(fields) - size :]
        rows += 1
    if not rows:
        raise InputError(f"{path}: expected lines of a word and its numbers, came a file without any")
    if expected not in (None, rows):
        raise InputError(f"{path}: expected {expected} vectors as its header says, came {rows}: get the whole file")


def _word(fields: list[str], size: int, place: str) -> str:
    """Return what stands before the last `size` fields; a number there, behind its first blank, is one too many."""
    spare = len(fields) - size
    if size < 1 or spare < 1:
        raise InputError(f"{place}: expected a word and {size or 'its'} numbers, came {len(fields)} fields in all")
    if any(math.isfinite(_parsed(field)) for field in fields[1:spare]):
        raise InputError(f"{place}: expected a word and {size} numbers, came {len(fields)} fields in all")
    return " ".join(fields[:spare])


def _number(text: str, place: str) -> float:
    value = _parsed(text)
    if not math.isfinite(value):
        raise InputError(f"{place}: expected finite numbers behind the word, came {text[:40]!r}")
    return value


def _parsed(text: str) -> float:
    """Return the number a text stands for, NaN if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
