"""Locks between processes: what one of them has in hand, no other touches."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Busy", "locked"]


class Busy(Exception):
    """Another process has in hand what was asked for."""


@contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[None]:
    """Hold a lock during a `with` block; it ends with the process, too, however that ends.

    Parameters
    ----------
    path
        A file that stands for what is locked, in a folder that exists; its content does not matter.
    wait
        Wait while another process holds it, rather than being `Busy`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, locked(Path(folder) / "one"):
    ...     try:
    ...         with locked(Path(folder) / "one"):
    ...             pass
    ...     except Busy:
    ...         print("busy")
    busy
    """
    from filelock import FileLock, Timeout

    try:
        lock = FileLock(path, timeout=-1 if wait else 0).acquire()
    except Timeout as error:
        raise Busy(path) from error
    with lock:
        yield
