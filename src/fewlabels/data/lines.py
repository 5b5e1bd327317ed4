"""Lines of a text file that is too large for memory, one after the other, and what is no text but columns."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from fewlabels.errors import InputError

__all__ = ["refuse_columns", "stream_lines"]

_MARK = b"\xef\xbb\xbf"

_ENOUGH_LINES = 10


def stream_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    r"""Give the lines of a UTF-8 file with their numbers, counted from 1, without line ends and byte-order mark.

    Parameters
    ----------
    path : str or Path
        The file. Only line feeds, with or without a carriage return before them, end lines.

    Yields
    ------
    number, line : int, str

    Raises
    ------
    InputError
        The file cannot be read, is binary, or is not UTF-8 (the message names the line).

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "small.txt"
    ...     _ = path.write_bytes(b"dogs bark\r\n\ncats")
    ...     list(stream_lines(path))
    [(1, 'dogs bark'), (2, ''), (3, 'cats')]
    """
    try:
        with open(path, "rb") as stream:
            for number, data in enumerate(stream, 1):
                yield number, _decode(data.removeprefix(_MARK) if number == 1 else data, path, number)
    except OSError as error:
        raise InputError(f"{path}: expected a readable text file, came: {error.strerror}") from error


def refuse_columns(path: str | Path, lines: Sequence[Sequence[str]]) -> None:
    """Refuse lines, as lists of words, that are evidently columns and not one sentence each.

    They are, where there are at least 10 of them, blank lines between them, and all have the same number of words, 2
    or more.

    Raises
    ------
    InputError
        They are columns.
    """
    last = max((i for i, words in enumerate(lines, 1) if words), default=0)
    filled = [words for words in lines if words]
    widths = {len(words) for words in filled}
    if len(filled) >= _ENOUGH_LINES and len(filled) < last and len(widths) == 1 and widths != {1}:
        raise InputError(
            f"{path}: expected one sentence a line, came columns ({widths.pop()} words in every line, blank lines "
            "between): rename the file to .conll if it holds one token a line"
        )


def _decode(data: bytes, path: str | Path, number: int) -> str:
    if b"\0" in data:
        raise InputError(f"{path}:{number}: expected UTF-8 text, came binary data: check that it is what its name says")
    try:
        return data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}:{number}: expected UTF-8 text, came byte 0x{data[error.start]:02x}: convert it to UTF-8"
        ) from error
