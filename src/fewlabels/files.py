"""Safe files: text that is text, and writes that happen wholly or not at all."""

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from fewlabels.errors import InputError

__all__ = ["TEMPORARY", "as_json", "read_utf8", "write_atomically"]

TEMPORARY = ".fewlabels-"
"""How the names of files begin that an interrupted `write_atomically` may leave behind."""


def read_utf8(path: str | Path) -> str:
    """Return the text of a UTF-8 file, without its byte-order mark.

    Raises
    ------
    InputError
        The file is absent, unreadable, empty, binary, or not UTF-8 (the message names the line).
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: expected a readable text file, came: {error.strerror}") from error
    if b"\0" in data:
        raise InputError(f"{path}: expected UTF-8 text, came binary data: check that the file is what its name says")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}:{line}: expected UTF-8 text, came byte 0x{data[error.start]:02x}: convert it to UTF-8"
        ) from error
    if not text.strip():
        raise InputError(f"{path}: expected data, came an empty file")
    return text


def as_json(value: Any, indent: int | None = None) -> bytes:
    r"""Return a value as JSON in UTF-8; what is not Unicode, as the name of a file may be, is escaped.

    Examples
    --------
    >>> as_json({"name": "caf\u00e9 \udce9"}).decode()
    '{"name": "café \\udce9"}'
    """
    return json.dumps(value, ensure_ascii=False, indent=indent).encode(errors="backslashreplace")


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write a file so that its path holds either all of `data` or what it held before, even if the machine stops.

    The data go to a temporary file in the same folder, are forced to the disk, and only then take the name.

    Parameters
    ----------
    path : str or Path
        A new file or one to replace; its folder must exist.
    data : bytes
        The whole content.

    Raises
    ------
    InputError
        No space, no permission, no such folder, or `path` is no regular file. Nothing was changed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "notes.txt", b"kept")
    ...     [file.name for file in Path(folder).iterdir()]
    ['notes.txt']
    """
    path = Path(path).resolve()
    if path.exists() and not path.is_file():
        raise InputError(
            f"{path}: expected a file to write, came a folder or a device; nothing was changed: choose another path"
        )
    temporary = path.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
    try:
        with open(temporary, "xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            f"{path}: could not write {len(data):,} bytes ({error.strerror}); nothing was changed: "
            "free that space, or choose another folder that exists and may be written"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
