"""Token sequences: tagged sentences in columns (CoNLL, TSV, CoNLL-U) and plain text, one sentence a line."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fewlabels.data.lines import refuse_columns
from fewlabels.errors import InputError
from fewlabels.files import read_utf8

__all__ = [
    "normalise_digits",
    "read_columns",
    "read_partly_tagged",
    "read_sentences",
    "read_text",
    "read_tokens",
    "to_conll",
]

_CONLLU_WIDTH = 10
_CONLLU_FORM, _CONLLU_UPOS = 1, 3
_BLANKS = re.compile(r"[ \t]+")
_HEADINGS = set("token tokens word words form text tag tags label labels pos ner chunk".split())
_DIGITS = str.maketrans("123456789", "000000000")


def read_sentences(
    path: str | Path, token_column: int | None = None, tag_column: int | None = None
) -> tuple[list[list[str]], list[list[str]]]:
    r"""Read tagged sentences: one token a line in columns, a blank line between sentences.

    Columns are separated by tabs if the first token line holds one, else by blanks and tabs. Lines of `-DOCSTART-` are
    skipped; so are comments, which start with `# ` (inside a sentence only where tabs separate columns and the line has
    none, because `#` may be a token). A file named `.conllu` is CoNLL-U: 10 columns, every line that starts with `#` is
    a comment, multiword ranges and empty nodes are skipped.  What looks like a header is refused.

    Parameters
    ----------
    path : str or Path
        The file.
    token_column, tag_column : int, optional
        Counted from 0, or from the end if negative. Default: the first and the last; in CoNLL-U, FORM and UPOS.

    Returns
    -------
    tokens, tags : list of N lists of str
        Sentence by sentence, of equal lengths.

    Raises
    ------
    InputError
        The file is no text, holds no token, starts with a header, a line has another number of columns than the first
        token line or an empty cell (file and line are named), or a column does not exist.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "small.conll"
    ...     _ = path.write_text("dogs NOUN\nbark VERB\n\ncats NOUN")
    ...     read_sentences(path)
    ([['dogs', 'bark'], ['cats']], [['NOUN', 'VERB'], ['NOUN']])
    """
    path = Path(path)
    rows = _sentences(path)
    width = len(rows[0][0].cells)
    if width < 2:
        raise InputError(f"{path}:{rows[0][0].line}: expected a token and a tag in each line, came one column")
    conllu = _is_conllu(path)
    if token_column is None:
        token_column = _CONLLU_FORM if conllu else 0
    if tag_column is None:
        tag_column = _CONLLU_UPOS if conllu else -1
    tokens, tags = _column(rows, token_column, path), _column(rows, tag_column, path)
    if tokens[0][0].lower() in _HEADINGS and tags[0][0].lower() in _HEADINGS:
        raise InputError(
            f"{path}:{rows[0][0].line}: expected a token and its tag, came what looks like a header, {tokens[0][0]!r} "
            f"and {tags[0][0]!r}: delete that line"
        )
    return tokens, tags


def read_partly_tagged(path: str | Path) -> tuple[list[list[str]], list[list[str] | None]]:
    """As `read_sentences`, with None for the tags of a sentence that CoNLL-U leaves open: `_` for each of its words.

    Raises
    ------
    InputError
        As `read_sentences`; or a sentence of CoNLL-U is open in part.
    """
    path = Path(path)
    tokens, tags = read_sentences(path)
    if not _is_conllu(path):
        return tokens, list(tags)
    mixed = [i for i, row in enumerate(tags) if "_" in row and set(row) != {"_"}]
    if mixed:
        raise InputError(
            f"{path}: expected a tag for each word of a sentence or for none, came both in sentence {mixed[0]} "
            "(counted from 0): tag its other words, too"
        )
    return tokens, [None if "_" in row else row for row in tags]


def read_tokens(path: str | Path) -> list[list[str]]:
    """Read the tokens of a file in columns, tagged or not; any other column is ignored.

    Parameters
    ----------
    path : str or Path
        A file as `read_sentences` takes, or one with a single column.

    Returns
    -------
    list of N lists of str
        The first column, in CoNLL-U the FORM.

    Raises
    ------
    InputError
        As `read_sentences`.
    """
    path = Path(path)
    return _column(_sentences(path), _CONLLU_FORM if _is_conllu(path) else 0, path)


def read_columns(path: str | Path, columns: Sequence[int]) -> list[list[tuple[str, ...]]]:
    r"""Read chosen columns of a file, for example a token and features of it.

    Parameters
    ----------
    path : str or Path
        A file as `read_sentences` takes, or one with a single column.
    columns : sequence of C int
        Counted from 0, or from the end if negative.

    Returns
    -------
    list of N lists of tuples of C str
        Sentence by sentence, a tuple for each token.

    Raises
    ------
    InputError
        As `read_sentences`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "small.conll"
    ...     _ = path.write_text("dogs NNS B-NP\nbark VBP B-VP\n")
    ...     read_columns(path, [0, 1])
    [[('dogs', 'NNS'), ('bark', 'VBP')]]
    """
    path = Path(path)
    rows = _sentences(path)
    chosen = [_column(rows, column, path) for column in columns]
    return [list(zip(*cells, strict=True)) for cells in zip(*chosen, strict=True)]


def read_text(path: str | Path) -> list[list[str]]:
    r"""Read plain text: one sentence a line, its tokens separated by blanks; blank lines are skipped.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    list of N lists of str
        The tokens of each sentence.

    Raises
    ------
    InputError
        The file is no text, is empty, or is evidently in columns: at least 10 lines, blank lines between them, and all
        with the same number of words, which is 2 or more.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "small.txt"
    ...     _ = path.write_text("dogs bark\n\ncats\n")
    ...     read_text(path)
    [['dogs', 'bark'], ['cats']]
    """
    lines = [line.split() for line in read_utf8(path).strip().split("\n")]
    refuse_columns(path, lines)
    return [words for words in lines if words]


def normalise_digits(word: str) -> str:
    """Return a word with 0 in place of every ASCII digit, so that numbers of one shape are one word.

    Examples
    --------
    >>> normalise_digits("1989-90")
    '0000-00'
    """
    return word.translate(_DIGITS)


def to_conll(tokens: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> str:
    r"""Return tagged sentences as lines of token, tab, tag, with a blank line after each sentence.

    Examples
    --------
    >>> to_conll([["dogs", "bark"]], [["NOUN", "VERB"]])
    'dogs\tNOUN\nbark\tVERB\n\n'
    """
    pairs = (zip(words, marks, strict=True) for words, marks in zip(tokens, tags, strict=True))
    return "".join("".join(f"{word}\t{mark}\n" for word, mark in sentence) + "\n" for sentence in pairs)


class _Row(NamedTuple):
    """One line of a file, counted from 1; no cells where a sentence ends."""

    line: int
    cells: list[str]


def _is_conllu(path: Path) -> bool:
    return path.suffix.lower() == ".conllu"


def _sentences(path: Path) -> list[list[_Row]]:
    """Group the token lines of a file, all with the same number of cells, into sentences; there is at least one."""
    sentences: list[list[_Row]] = [[]]
    width = _CONLLU_WIDTH if _is_conllu(path) else None
    for row in _rows(path):
        if not row.cells:
            sentences.append([])
            continue
        width = width or len(row.cells)
        if len(row.cells) != width:
            raise InputError(
                f"{path}:{row.line}: expected {width} columns, found {len(row.cells)}: {' '.join(row.cells)[:80]!r}"
            )
        sentences[-1].append(row)
    sentences = [sentence for sentence in sentences if sentence]
    if not sentences:
        raise InputError(f"{path}: expected sentences with one token a line, came a file without tokens")
    return sentences


def _rows(path: Path) -> Iterator[_Row]:
    """Split the lines of a file into cells; comments and what is no token are left out."""
    conllu = _is_conllu(path)
    tabs = True if conllu else None
    inside = False
    for number, text in enumerate(read_utf8(path).split("\n"), 1):
        line = text.rstrip("\r")
        if not line.strip() or line.startswith("-DOCSTART-"):
            inside = False
            yield _Row(number, [])
        elif not _is_comment(line, conllu, inside and (not tabs or "\t" in line)):
            tabs = "\t" in line if tabs is None else tabs
            cells = line.split("\t") if tabs else _BLANKS.split(line.strip(" \t"))
            if not (conllu and re.match(r"[0-9]+[-.][0-9]+$", cells[0])):
                inside = True
                yield _Row(number, cells)


def _is_comment(line: str, conllu: bool, may_be_token: bool) -> bool:
    return line.startswith("#") if conllu else line.startswith("# ") and not may_be_token


def _column(sentences: list[list[_Row]], column: int, path: Path) -> list[list[str]]:
    """Return one cell of every row, none of them empty."""
    width = len(sentences[0][0].cells)
    if not -width <= column < width:
        raise InputError(f"{path}: expected a column between {-width} and {width - 1}, came {column}")
    for row in (row for sentence in sentences for row in sentence):
        if not row.cells[column].strip():
            raise InputError(
                f"{path}:{row.line}: expected a token or tag in column {column % width}, came an empty cell"
            )
    return [[row.cells[column] for row in sentence] for sentence in sentences]
