"""Jobs in several processes, each stored as soon as it ends; what is stored already is not run again.

A stored job is one or more lines of a file of runs.  Any number of invocations may share that file on one machine:

- A job belongs to the process that holds its lock.  Whoever has the lock looks again whether the job has been stored in
  the meantime, runs it, stores its runs, and only then lets go.
- The file of runs is read and replaced under a lock of its own, so that no line is lost.
- Locks (`fewlabels.lock`) end with their process, however it ends.  A killed invocation blocks nobody, and its workers
  end with it.

What several jobs need, such as a pre-trained model, is held by `making` while it is made.  A job that needs what
another process has in hand is `Busy`: it is set aside, and its worker takes another.
"""

import hashlib
import os
import signal
import threading
import time
from bisect import insort
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from typing import NamedTuple

from fewlabels.errors import DivergenceError, InputError
from fewlabels.lock import Busy, locked
from fewlabels.progress import Report
from fewlabels.results import Run, read_runs, write_runs

__all__ = ["CACHE", "Job", "making", "refuse_unknown", "run_jobs"]

CACHE = ".cache"
"""The folder, beside the stored runs, of locks and of what jobs share."""

PATIENCE = 2.0
"""Seconds before a job that was set aside is tried again."""


def refuse_unknown(option: str, names: Iterable[str], known: Collection[str]) -> None:
    """Raise an `InputError` that names what there is, where one of the names is not among them."""
    for name in names:
        if name not in known:
            raise InputError(f"{option}: expected some of {', '.join(known)}, came {name!r}")


class Job(NamedTuple):
    """What can be run in another process.

    Attributes
    ----------
    name
        For the progress bar.
    key
        By which its stored runs are known again.
    work
        Runs it; can be pickled.  Of the runs that it returns one at least has this key.
    """

    name: str
    key: Hashable
    work: Callable[[], list[Run]]


def any_run(run: Run) -> bool:
    """Whether to keep a stored run: yes."""
    return True


def run_jobs(
    jobs: Sequence[Job],
    path: Path,
    report: Report,
    *,
    key: Callable[[Run], Hashable] = Run.key,
    kept: Callable[[Run], bool] = any_run,
    workers: int | None = None,
) -> list[Run]:
    """Run what is not stored yet, in processes of one thread each.

    A job that fails does not stop the others, unless by `InputError`: bad input is likely to be met by all.

    Parameters
    ----------
    jobs
        In the order in which they start.
    path
        The file of runs, in a folder that exists.
    report
        Told of each finished job.
    key
        The key of a stored run; a module's function, as ``kept``.
    kept
        Which stored runs count; the others are dropped from the file when the first job ends.
    workers
        How many processes; default: as many as there are cores.

    Returns
    -------
    list of Run
        All runs of the file that count.

    Raises
    ------
    InputError
        A job met bad input, or the system killed a worker.
    DivergenceError, RuntimeError
        Jobs failed otherwise, the first of them by diverging or not; that is the cause.  All others have run.
    """
    store = _Store(path, key, kept)
    missing = [job for job in jobs if job.key not in store.keys()]
    failures = []
    report("", 0, len(missing))
    for done, (job, error) in enumerate(_in_processes(missing, store, workers or os.cpu_count() or 1), start=1):
        report(job.name, done, len(missing))
        if error is not None:
            failures.append((job, error))
    if failures:
        job, error = failures[0]
        kind = DivergenceError if isinstance(error, DivergenceError) else RuntimeError
        raise kind(f"{len(failures)} of {len(missing)} jobs failed, the first is {job.name}: {error}") from error
    return store.runs()


@contextmanager
def making(path: Path, wait: bool = False) -> Iterator[None]:
    """Hold the making of a file or folder that several jobs share, during a `with` block.

    If it exists, nothing is held.  What makes it must do so atomically.

    Parameters
    ----------
    path
        Of what is made.
    wait
        Wait while another process makes it, rather than being `Busy`; look again afterwards whether it exists.
    """
    if path.exists():
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(f"{path.name}.lock"), wait):
        yield


class _Store(NamedTuple):
    """The file of runs."""

    path: Path
    key: Callable[[Run], Hashable]
    kept: Callable[[Run], bool]

    def runs(self) -> list[Run]:
        return [run for run in read_runs(self.path) if self.kept(run)]

    def keys(self) -> set[Hashable]:
        return {self.key(run) for run in self.runs()}

    def add(self, runs: list[Run]) -> None:
        with locked(self._lock(self.path.name), wait=True):
            write_runs(self.path, [*self.runs(), *runs])

    def attempt(self, job: Job) -> bool:
        """Run and store a job, unless it is stored; False where another process has it, or what it needs, in hand."""
        name = hashlib.sha256(repr((self.path.name, job.key)).encode()).hexdigest()
        try:
            with locked(self._lock(name[:24])):
                if job.key not in self.keys():
                    runs = job.work()
                    assert job.key in map(self.key, runs), f"{job.name} came without its own run"
                    self.add(runs)
        except Busy:
            return False
        return True

    def _lock(self, name: str) -> Path:
        folder = self.path.parent / CACHE / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.lock"


def _in_processes(jobs: list[Job], store: _Store, workers: int) -> Iterator[tuple[Job, Exception | None]]:
    """Each job as it ends, with its failure if it failed."""
    if not jobs:
        return
    count = min(len(jobs), workers)
    waiting, running = list(range(len(jobs))), {}
    due = [0.0] * len(jobs)
    with _pool(count) as pool:
        while waiting or running:
            now = time.monotonic()
            for i in [i for i in waiting if due[i] <= now][: count - len(running)]:
                waiting.remove(i)
                running[pool.submit(store.attempt, jobs[i])] = i
            for future in _ended(running):
                i = running.pop(future)
                error = _failure(future)
                if error is None and not future.result():
                    due[i] = time.monotonic() + PATIENCE
                    insort(waiting, i)
                else:
                    yield jobs[i], error


def _ended(running: dict[Future[bool], int]) -> set[Future[bool]]:
    """What has ended, after a little waiting."""
    if not running:
        time.sleep(PATIENCE / 4)
        return set()
    return wait(running, timeout=PATIENCE, return_when=FIRST_COMPLETED).done


def _failure(future: Future[bool]) -> Exception | None:
    """A failure that concerns one job only; others are raised."""
    error = future.exception()
    if isinstance(error, BrokenProcessPool):
        raise InputError(
            "Expected the workers to live, but the system killed one, most likely for want of memory: "
            "the same command goes on from what is stored; give it fewer workers."
        ) from error
    if error is not None and (isinstance(error, InputError) or not isinstance(error, Exception)):
        raise error
    return error


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes of one thread each, which share the cores; they are ended if the block does not end well."""
    os.environ["OMP_NUM_THREADS"] = "1"
    others = set(active_children())
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin)
    try:
        yield pool
        pool.shutdown()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in set(active_children()) - others:
            worker.terminate()
        raise


def _begin() -> None:
    """Leave Ctrl-C to the parent, and end when it does, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
