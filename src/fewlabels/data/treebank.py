r"""The Penn Treebank's tagged text [1]_ (LDC99T42, ``tagged/pos/wsj``): folders 00 to 24 of ``.pos`` files.

A token is ``word/TAG``; ``[`` and ``]`` stand around noun phrases, lines of ``=`` between paragraphs. Blank lines stand
between sentences and at many places inside them, so they do not tell sentences apart; final punctuation does. A slash
of the word itself is written ``\/`` and stays so; where annotators hesitated between tags, ``NN|JJ``, the first counts.

References
----------
.. [1] Marcus, Santorini and Marcinkiewicz, "Building a large annotated corpus of English: the Penn Treebank",
   Computational Linguistics 19, 1993.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from fewlabels.errors import InputError
from fewlabels.files import read_utf8

__all__ = ["Splits", "read_treebank", "read_treebank_splits"]

TaggedSentence = tuple[list[str], list[str]]

_TOKEN = re.compile(r"(?P<word>.*)(?<!\\)/(?P<tag>.*)", re.DOTALL)
_RULE = "====="
_FINAL = "."
_CLOSING = {".", "''", ")", "-RRB-", "-RCB-", "-RSB-"}
"""Tags of what still belongs to a sentence behind its final punctuation."""


class Splits(NamedTuple):
    """Tagged sentences, each a list of tokens and the list of their tags."""

    train: list[TaggedSentence]
    dev: list[TaggedSentence]
    test: list[TaggedSentence]


def read_treebank_splits(folder: str | Path, pieces: bool = False) -> Splits:
    """Read sections 00-20 for training, 21-22 for development and 23-24 for tests.

    Parameters
    ----------
    folder : str or Path
        `tagged/pos/wsj`, with the folders 00 to 24.
    pieces : bool
        As in `read_treebank`.

    Returns
    -------
    Splits

    Raises
    ------
    InputError
        As `read_treebank`; also where a section is missing.
    """
    parts = (range(0, 21), range(21, 23), range(23, 25))
    return Splits(*([s for i in part for s in read_treebank(Path(folder) / f"{i:02d}", pieces)] for part in parts))


def read_treebank(path: str | Path, pieces: bool = False) -> list[TaggedSentence]:
    r"""Read a `.pos` file, or all of a folder in the order of their names.

    Parameters
    ----------
    path : str or Path
        A file, or a folder with files named `.pos` in it.
    pieces : bool
        False: sentences end behind a token tagged `.`, with the closing quotes and brackets that follow it, and at
        lines of `=`. True: at every blank line and lines of `=`, as Song, Zheng and Ou's code reads them; many pieces
        are then parts of sentences, down to a lone quotation mark.

    Returns
    -------
    list of (tokens, tags)
        Tags are upper-case.

    Raises
    ------
    InputError
        A file cannot be read or has no tagged token, a token lacks its word or its tag (file and line are named), or a
        folder has no such file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "small.pos"
    ...     _ = path.write_text("[ Dogs/NNS ]\nbark/VBP|NN ./. \n\n''/'' \n\n[ 1\\/2/CD ]\n")
    ...     read_treebank(path)
    [(['Dogs', 'bark', '.', "''"], ['NNS', 'VBP', '.', "''"]), (['1\\/2'], ['CD'])]
    """
    path = Path(path)
    files = sorted(path.glob("*.pos")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: expected a folder with files named .pos, came one without")
    return [sentence for file in files for sentence in _read(file, pieces)]


def _read(path: Path, pieces: bool) -> list[TaggedSentence]:
    blocks = _blocks(path, pieces)
    parts = blocks if pieces else [sentence for block in blocks for sentence in _split(block)]
    if not parts:
        raise InputError(f"{path}: expected tokens such as dogs/NNS, came a file without any")
    return [([word for word, _ in part], [tag for _, tag in part]) for part in parts]


def _blocks(path: Path, blank_ends: bool) -> list[list[tuple[str, str]]]:
    """Group the tokens between lines of `=`, or also between blank lines; none of the groups is empty."""
    blocks: list[list[tuple[str, str]]] = [[]]
    for number, line in enumerate(read_utf8(path).split("\n"), 1):
        if line.startswith(_RULE) or (blank_ends and not line.strip()):
            blocks.append([])
        else:
            blocks[-1].extend(_tokens(line, f"{path}:{number}"))
    return [block for block in blocks if block]


def _tokens(line: str, place: str) -> Iterator[tuple[str, str]]:
    """Words and tags of a line; what has no slash of its own, such as the brackets of noun phrases, is none."""
    for text in line.split():
        match = _TOKEN.fullmatch(text)
        if match:
            word, tag = match["word"], match["tag"].split("|")[0].upper()
            if not (word and tag):
                raise InputError(f"{place}: expected a word, a slash and a tag, came {text[:80]!r}")
            yield word, tag


def _split(tokens: Iterable[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Split a paragraph behind final punctuation and what closes with it."""
    sentences: list[list[tuple[str, str]]] = []
    ended = True
    for token in tokens:
        if ended and not (sentences and token[1] in _CLOSING):
            sentences.append([])
            ended = False
        sentences[-1].append(token)
        ended = ended or token[1] == _FINAL
    return sentences
