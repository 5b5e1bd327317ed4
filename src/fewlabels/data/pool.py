r"""The pool: many unlabelled sentences, tokenised once into files that are read without being loaded.

A pool is a folder of

=============  =====================================================================================================
file           content
=============  =====================================================================================================
ids.bin        the words of all sentences, one after the other: int32, numbers of words in the lexicon
offsets.bin    where each sentence begins in ids.bin, and where the last ends: int64, (N + 1,)
lengths.bin    how many words each sentence has: int32, (N,)
words.json     the lexicon, words by falling count, ties in alphabetical order; behind 0, which is an unknown word
manifest.json  how much there is of all this
=============  =====================================================================================================

Numbers are little-endian. The three arrays are mapped into memory, and the operating system keeps of them what it has
room for; only the lexicon and the batches asked for are in the process's own memory, however many sentences there are.
"""

import copy
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fewlabels.data.sequences import normalise_digits
from fewlabels.errors import InputError
from fewlabels.files import TEMPORARY, read_utf8, write_atomically
from fewlabels.sequence.sentences import Padded
from fewlabels.sequence.vocabulary import UNKNOWN

__all__ = ["LEXICON", "Pool", "PoolSentences", "write_pool"]

LEXICON = 1_000_000
"""The most words a lexicon keeps, the most frequent ones. Of the one-billion-word corpus some 800,000 words are seen 3
times or more, so what goes beyond is seen once or twice in 30 million sentences, too little to learn from."""

_FORMAT, _VERSION = "fewlabels pool", 1
_MANIFEST, _WORDS, _IDS, _OFFSETS, _LENGTHS = "manifest.json", "words.json", "ids.bin", "offsets.bin", "lengths.bin"
_INT32, _INT64 = np.dtype("<i4"), np.dtype("<i8")
_BLOCK = 1 << 18
"""How many words are in memory at once while a pool is written or counted."""
_REPAIR = "the pool is damaged: delete its folder and write it again"


class _Manifest(NamedTuple):
    format: str
    version: int
    sentences: int
    tokens: int
    words: int
    digits: bool


def write_pool(
    sentences: Iterable[Sequence[str]],
    folder: str | Path,
    report: Callable[[int], None] | None = None,
    *,
    longest: int = 60,
    digits: bool = False,
) -> None:
    """Write sentences as a pool; they are read once, one by one, and not kept.

    Words get numbers as they come up; once all have been counted, the file is renumbered block by block. While that
    goes on all words that occur are in memory, afterwards those of the lexicon. The folder takes its name only when it
    is whole: what an interrupted call leaves behind has another name and is never taken for a pool.

    Parameters
    ----------
    sentences : iterable of sequences of str
        Sentences as lists of words. Empty ones are left out.
    folder : str or Path
        Where to write; it must not exist yet. Its parents are made.
    report : callable, optional
        Called now and then, and at the end, with the number of sentences written.
    longest : int
        Sentences with more words are left out.
    digits : bool
        Whether words are written with their digits normalised (`normalise_digits`): give what the labelled words have.

    Raises
    ------
    InputError
        The folder exists or cannot be written, a sentence is no sequence of words, or none is left. Nothing is left
        behind.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     write_pool([["a", "b"], [], ["b"]], Path(parent) / "pool")
    ...     Pool(Path(parent) / "pool").words
    ['<unk>', 'b', 'a']
    """
    with _new_folder(Path(folder).resolve()) as temporary:
        lexicon = _Lexicon(digits)
        kept, tokens = _write_arrays(_blocks(sentences, lexicon, longest), temporary, report)
        if not kept:
            raise InputError(f"{folder}: expected sentences of 1 to {longest} words for a pool, came none")
        words = _renumber(temporary / _IDS, lexicon.words)
        manifest = _Manifest(_FORMAT, _VERSION, kept, tokens, len(words), digits)
        write_atomically(temporary / _WORDS, json.dumps(words).encode())
        write_atomically(temporary / _MANIFEST, json.dumps(manifest._asdict()).encode())


class Pool:
    """A pool, or the first sentences of one.

    Parameters
    ----------
    folder : str or Path
        What `write_pool` wrote.

    Attributes
    ----------
    words : list of str
        The lexicon: `UNKNOWN`, which stands for all words beyond it, then words by falling count.
    folder : Path
        Where it is.
    digits : bool
        Whether digits are normalised.

    Raises
    ------
    InputError
        The folder holds no pool, or one that is damaged.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     write_pool([["a", "b"], ["b"], ["a", "b", "b"]], Path(parent) / "pool")
    ...     pool = Pool(Path(parent) / "pool").prefix(2)
    ...     batch = pool.translated(np.array([0, 10, 20]))[torch.tensor([1, 0])]
    >>> len(pool), pool.counts().tolist(), batch.values.tolist()
    (2, [0, 2, 1], [[10, 0], [20, 10]])
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        manifest = _manifest(self.folder / _MANIFEST)
        self.digits = manifest.digits
        self.words = _lexicon(self.folder / _WORDS, manifest.words)
        self._sentences = manifest.sentences
        self._ids = _mapped(self.folder / _IDS, _INT32, manifest.tokens)
        self._offsets = _mapped(self.folder / _OFFSETS, _INT64, manifest.sentences + 1)
        self._lengths = _mapped(self.folder / _LENGTHS, _INT32, manifest.sentences)

    def __len__(self) -> int:
        return self._sentences

    def prefix(self, n: int) -> "Pool":
        """The first n sentences; the lexicon stays the same.

        Raises
        ------
        InputError
            There are fewer, or n is less than 1.
        """
        if not 1 <= n <= len(self):
            raise InputError(f"Expected from 1 to {len(self)} sentences of the pool {self.folder}, got {n}.")
        part = copy.copy(self)
        part._sentences = n
        return part

    def counts(self) -> NDArray[np.int64]:
        """How often each word of the lexicon occurs, shape (words,)."""
        return _count(self._ids[: self._offsets[len(self)]], len(self.words))

    def translated(self, ids: NDArray[np.integer]) -> "PoolSentences":
        """The sentences with other numbers for their words.

        Parameters
        ----------
        ids : integer array (words,)
            For each word of the lexicon its number in the vocabulary of a model.
        """
        if np.shape(ids) != (len(self.words),):
            raise InputError(f"Expected {len(self.words)} ids, one for each word of the pool, got {np.shape(ids)}.")
        return PoolSentences(self._ids, self._offsets[: len(self) + 1], self._lengths[: len(self)], ids)


class PoolSentences:
    """Sentences of a pool in the numbers of a vocabulary; indexing with a tensor reads a `Padded` batch.

    Parameters
    ----------
    words : int32 array
        Numbers in the pool's lexicon, all sentences one after the other.
    offsets : int64 array (N + 1,)
        Where each sentence begins.
    lengths : int32 array (N,)
        How many words each has.
    ids : integer array
        Numbers in the lexicon -> numbers in the vocabulary.
    """

    def __init__(
        self,
        words: NDArray[np.int32],
        offsets: NDArray[np.int64],
        lengths: NDArray[np.int32],
        ids: NDArray[np.integer],
    ) -> None:
        self.lengths = lengths
        self._words, self._offsets = words, offsets
        self._ids = np.asarray(ids, dtype=np.int32)

    def __len__(self) -> int:
        return len(self.lengths)

    def lengths_of(self, index: Tensor) -> Tensor:
        """The lengths of some sentences, int64, shape of the index."""
        return torch.from_numpy(self.lengths[index.numpy()].astype(np.int64))

    def __getitem__(self, index: Tensor) -> Padded:
        lengths = self.lengths[index.numpy()]
        position = np.arange(lengths.max(initial=0))
        inside = position < lengths[:, None]
        source = (self._offsets[:-1][index.numpy()][:, None] + position)[inside]
        values = np.zeros(inside.shape, dtype=np.int64)
        values[inside] = self._ids[self._words[source]]
        return Padded(torch.from_numpy(values), torch.from_numpy(lengths.astype(np.int64)))


class _Lexicon(dict[str, int]):
    """Numbers of words in the order in which they come up; a word not seen before gets the next."""

    def __init__(self, digits: bool) -> None:
        super().__init__({UNKNOWN: 0})
        self.words = [UNKNOWN]
        self._digits = digits

    def __missing__(self, word: str) -> int:
        if not (isinstance(word, str) and word):
            raise InputError(f"Expected sentences that are lists of words, got {word!r} for a word.")
        form = normalise_digits(word) if self._digits else word
        if form != word:
            self[word] = self[form]
        else:
            self[word] = len(self.words)
            self.words.append(word)
        return self[word]


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder beside one that does not exist, and its name once the block has filled it."""
    if folder.exists():
        raise InputError(
            f"{folder}: expected a new folder for a pool, came one that exists: choose another, or delete it"
        )
    temporary = folder.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
    try:
        temporary.mkdir(parents=True)
        yield temporary
        os.rename(temporary, folder)
    except OSError as error:
        raise InputError(
            f"{folder}: could not write the pool ({error.strerror}); nothing is left of it: "
            "free some space, or choose a new folder that may be written"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _blocks(
    sentences: Iterable[Sequence[str]], lexicon: _Lexicon, longest: int
) -> Iterator[tuple[list[int], list[int]]]:
    """Provisional ids of the words of some sentences, one after the other, and the lengths of these sentences."""
    ids, lengths = [], []
    for sentence in sentences:
        if isinstance(sentence, str):
            raise InputError(f"Expected sentences that are lists of words, got the text {sentence[:40]!r}.")
        if 0 < len(sentence) <= longest:
            ids.extend([lexicon[word] for word in sentence])
            lengths.append(len(sentence))
            if len(ids) >= _BLOCK:
                yield ids, lengths
                ids, lengths = [], []
    if lengths:
        yield ids, lengths


def _write_arrays(
    blocks: Iterable[tuple[list[int], list[int]]], folder: Path, report: Callable[[int], None] | None
) -> tuple[int, int]:
    """Write ids, offsets and lengths; return how many sentences and words there are."""
    kept = tokens = 0
    with (
        open(folder / _IDS, "wb") as ids,
        open(folder / _OFFSETS, "wb") as offsets,
        open(folder / _LENGTHS, "wb") as lengths,
    ):
        offsets.write(np.zeros(1, dtype=_INT64).tobytes())
        for words, counts in blocks:
            ids.write(np.array(words, dtype=_INT32).tobytes())
            offsets.write((tokens + np.cumsum(counts)).astype(_INT64).tobytes())
            lengths.write(np.array(counts, dtype=_INT32).tobytes())
            kept, tokens = kept + len(counts), tokens + len(words)
            if report is not None:
                report(kept)
        for stream in (ids, offsets, lengths):
            stream.flush()
            os.fsync(stream.fileno())
    return kept, tokens


def _renumber(path: Path, provisional: list[str]) -> list[str]:
    """Give the words of a file their numbers in the lexicon, block by block; return the lexicon."""
    ids = np.memmap(path, dtype=_INT32, mode="r+")
    counts = _count(ids, len(provisional)).tolist()
    order = sorted(range(1, len(provisional)), key=lambda i: (-counts[i], provisional[i]))[:LEXICON]
    numbers = np.zeros(len(provisional), dtype=_INT32)
    numbers[order] = np.arange(1, len(order) + 1)
    for start in range(0, len(ids), _BLOCK):
        ids[start : start + _BLOCK] = numbers[ids[start : start + _BLOCK]]
    ids.flush()
    return [UNKNOWN, *(provisional[i] for i in order)]


def _count(ids: NDArray[np.int32], words: int) -> NDArray[np.int64]:
    counts = np.zeros(words, dtype=np.int64)
    for start in range(0, len(ids), _BLOCK):
        counts += np.bincount(ids[start : start + _BLOCK], minlength=words)
    return counts


def _manifest(path: Path) -> _Manifest:
    if not path.is_file():
        raise InputError(f"{path.parent}: expected the folder of a pool, came one without {path.name} or none at all")
    text = read_utf8(path)
    try:
        content = json.loads(text)
        manifest = _Manifest(*(content[name] for name in _Manifest._fields))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected the manifest of a pool, came something else") from error
    if not all(isinstance(size, int) and size > 0 for size in (manifest.sentences, manifest.tokens, manifest.words)):
        raise InputError(f"{path}: expected how many sentences and words there are, came something else: {_REPAIR}")
    if (manifest.format, manifest.version) != (_FORMAT, _VERSION):
        raise InputError(f"{path}: expected {_FORMAT!r} {_VERSION}, came {manifest.format!r} {manifest.version}")
    return manifest


def _lexicon(path: Path, size: int) -> list[str]:
    text = read_utf8(path)
    try:
        words = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: expected a list of words, came something else: {_REPAIR}") from error
    if not isinstance(words, list) or len(words) != size:
        raise InputError(f"{path}: expected a list of {size} words, came something else: {_REPAIR}")
    return words


def _mapped(path: Path, dtype: np.dtype, size: int) -> NDArray:
    """Map a file of numbers into memory, read-only."""
    expected, came = size * dtype.itemsize, path.stat().st_size if path.is_file() else 0
    if came != expected:
        raise InputError(f"{path}: expected {expected:,} bytes, came {came:,}: {_REPAIR}")
    return np.asarray(np.memmap(path, dtype=dtype, mode="r"))
