"""The claim of a run on its output folder: a folder belongs to one run, which may go on in it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fewlabels.errors import InputError
from fewlabels.files import TEMPORARY, as_json, read_utf8, write_atomically
from fewlabels.lock import Busy, locked

__all__ = ["LOCK", "SETTINGS", "claim_folder", "claimed_folder", "in_hand", "owns_folder", "read_run"]

SETTINGS = "run.json"
"""The file of a run's settings in its folder."""

LOCK = f"{TEMPORARY}lock"
"""The file that is locked while a process works in a folder."""

_SHOWN = 60


def read_run(folder: str | Path) -> dict[str, Any]:
    """Return the settings of the run that owns a folder.

    Raises
    ------
    InputError
        The folder holds no `run.json`, or one that is not a JSON object.
    """
    path = Path(folder) / SETTINGS
    if not path.is_file():
        raise InputError(f"{path}: expected the settings of a run, came no such file: give the folder that `fit` wrote")
    try:
        run = json.loads(read_utf8(path))
    except ValueError as error:
        raise InputError(f"{path}: expected the settings of a run, came something else ({error})") from error
    if not isinstance(run, dict):
        raise InputError(f"{path}: expected the settings of a run as a JSON object, came a {type(run).__name__}")
    return run


def claim_folder(path: str | Path, run: dict[str, Any]) -> bool:
    """Make a folder the output of one run, or recognise it as such.

    Parameters
    ----------
    path : str or Path
        A folder: absent (it is made, with its parents), empty, or claimed earlier by the same run.
    run : dict
        The settings that make the run what it is, all of them JSON values; written to `run.json`.

    Returns
    -------
    bool
        True if the folder held this very run, which is to be resumed.

    Raises
    ------
    InputError
        The folder holds another run or foreign files, or cannot be written. Nothing was changed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [claim_folder(folder, {"method": "joint", "seed": 0}) for _ in range(2)]
    [False, True]
    """
    path = Path(path)
    if owns_folder(path, run):
        return True
    made = _make_folder(path)
    foreign = _content(path)
    if foreign:
        raise InputError(
            f"folder {path} holds files of something else ({', '.join(foreign[:3])}): choose another --out or empty it"
        )
    try:
        write_atomically(path / SETTINGS, as_json(run, indent=2))
    except InputError:
        _remove_folders(made)
        raise
    return False


@contextmanager
def claimed_folder(path: str | Path, run: dict[str, Any]) -> Iterator[bool]:
    """Claim a folder for the work of a `with` block, and give it back if bad input ends the work before it began.

    Parameters and the value of `as` are those of `claim_folder`. If the block raises `InputError` and the folder was
    absent or empty, it is so again, unless the block has already left files in it: then all stay, to be resumed from.
    Meanwhile the folder is `in_hand`.
    """
    path = Path(path)
    made = _make_folder(path)
    try:
        with in_hand(path):
            resumed = claim_folder(path, run)
            try:
                yield resumed
            except InputError:
                own = {path / SETTINGS, path / LOCK}
                if not resumed and not any(file.is_file() and file not in own for file in path.rglob("*")):
                    (path / SETTINGS).unlink()
                    _remove_folders([folder for folder in path.rglob("*") if folder.is_dir()])
                raise
    except InputError:
        _remove_folders(made)
        raise


def owns_folder(path: str | Path, run: dict[str, Any]) -> bool:
    """Tell whether a folder holds this very run; nothing is changed.

    Raises
    ------
    InputError
        It holds another.
    """
    if not (Path(path) / SETTINGS).exists():
        return False
    _check_same_run(Path(path), run)
    return True


@contextmanager
def in_hand(path: Path) -> Iterator[None]:
    """Keep other processes from working in a folder during a `with` block.

    Raises
    ------
    InputError
        Another process works there.
    """
    try:
        with locked(path / LOCK):
            try:
                yield
            finally:
                with suppress(OSError):
                    (path / LOCK).unlink()
    except Busy as error:
        raise InputError(
            f"folder {path}: expected one process at work in it, came a second: wait for the other, or choose another"
        ) from error


def _content(path: Path) -> list[str]:
    """List what a folder holds, apart from remains of an interrupted `write_atomically`, and its lock."""
    return sorted(entry.name for entry in path.iterdir() if not entry.name.startswith(TEMPORARY))


def _check_same_run(path: Path, run: dict[str, Any]) -> None:
    held, asked = read_run(path), json.loads(json.dumps(run))
    differing = [key for key in {**asked, **held} if key not in asked or key not in held or asked[key] != held[key]]
    if differing:
        settings = ", ".join(f"{key}={held.get(key)}"[:_SHOWN] for key in differing)
        same_files = not {"data", "unlabelled"} & set(differing)
        changed = "; its data have changed since" if "data_sha256" in differing and same_files else ""
        raise InputError(f"folder {path} holds another run ({settings}{changed}): choose another --out or delete it")


def _missing_folders(path: Path) -> list[Path]:
    """List the folders that making `path` would make, the outermost first."""
    return [folder for folder in (*reversed(path.parents), path) if not folder.exists()]


def _make_folder(path: Path) -> list[Path]:
    """Make a folder with its parents; return those that were not there."""
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: expected a folder for the output, came a file: choose another --out")
    missing = _missing_folders(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _remove_folders(missing)
        raise InputError(
            f"{path}: expected a folder that can be made, came: {error.strerror}: choose another --out"
        ) from error
    return missing


def _remove_folders(folders: list[Path]) -> None:
    """Remove empty folders, the innermost first."""
    for folder in sorted(folders, reverse=True):
        with suppress(OSError):  # another process may have removed it, or put something there
            folder.rmdir()
