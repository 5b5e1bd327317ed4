r"""Unlabelled text in several files: shards, read in the order of their names as one stream of sentences.

The one-billion-word corpus [1]_ comes in files ``news.en-00001-of-00100`` to ``news.en-00099-of-00100``, one tokenised
sentence a line. The order is fixed here, so that "the first n sentences" are the same everywhere.

References
----------
.. [1] Chelba, Mikolov, Schuster, Ge, Brants, Koehn and Robinson, "One billion word benchmark for measuring progress in
   statistical language modeling", Interspeech 2014.
"""

import re
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from fewlabels.data.lines import refuse_columns, stream_lines
from fewlabels.errors import InputError

__all__ = ["stream_text"]

_LOOKED_AT = 1000
"""Lines by which a file is told from one in columns."""

_SHARD = re.compile(r".*-[0-9]+-of-[0-9]+(\.[^.]+)?")


def stream_text(path: str | Path) -> Iterator[list[str]]:
    r"""Read plain text sentence by sentence: one a line, its tokens separated by blanks; blank lines are skipped.

    Parameters
    ----------
    path : str or Path
        A file; or a folder, whose files are read in the order of their names: those named as shards,
        `<name>-<number>-of-<number>` with or without a suffix, if there are any, else all that do not start with a dot.

    Returns
    -------
    iterator of list of str
        The tokens of each sentence. The files are opened one by one, as it proceeds.

    Raises
    ------
    InputError
        There is no such file or folder, or the folder holds no file; while reading, a file is no UTF-8 text (file and
        line are named), or its first lines are evidently columns, as of `read_text`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i, text in enumerate(["dogs bark\n", "cats\n"], 1):
    ...         _ = (Path(folder) / f"news-{i:05d}-of-00002").write_text(text)
    ...     list(stream_text(folder))
    [['dogs', 'bark'], ['cats']]
    """
    return _sentences(_files(Path(path)))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        if not path.is_file():
            raise InputError(f"{path}: expected a file of text or a folder of such files, came neither")
        return [path]
    files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    if not files:
        raise InputError(f"{path}: expected a folder with files of text, came one without files")
    return [file for file in files if _SHARD.fullmatch(file.name)] or files


def _sentences(files: list[Path]) -> Iterator[list[str]]:
    for file in files:
        lines = (line.split() for _, line in stream_lines(file))
        first = list(islice(lines, _LOOKED_AT))
        refuse_columns(file, first)
        yield from filter(None, chain(first, lines))
