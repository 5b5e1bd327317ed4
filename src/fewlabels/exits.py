"""How commands end: with an exit code, and where something went wrong one line on standard error."""

import functools
from collections.abc import Callable
from typing import NoReturn, ParamSpec

import typer

from fewlabels.errors import DivergenceError, InputError

__all__ = ["exit_codes", "run_or_keep", "stop"]

_P = ParamSpec("_P")


def exit_codes(command: Callable[_P, None]) -> Callable[_P, None]:
    """End a command on bad input, path or lack of a package (code 2), divergence (1) or Ctrl-C (130), with one line."""

    @functools.wraps(command)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except InputError as error:
            stop(f"error: {error}", 2)
        except OSError as error:
            if error.filename is None:  # of no path, such as an output that nobody reads any more
                raise
            stop(f"error: {error.filename}: expected a path that may be read or written, came: {error.strerror}", 2)
        except ModuleNotFoundError as error:
            stop(
                f"error: expected the package {error.name}, which is not installed: "
                "pip install 'fewlabels[demo,images,parquet]' brings all that the commands need",
                2,
            )
        except DivergenceError as error:
            stop(f"diverged: {error}", 1)
        except KeyboardInterrupt:
            stop("interrupted: nothing was written", 130)

    return wrapped


def stop(message: str, code: int) -> NoReturn:
    """End a command with a code and one line on standard error."""
    typer.echo(" ".join(message.split()), err=True)
    raise typer.Exit(code)


def run_or_keep(experiment: Callable[[], None]) -> None:
    """Run many jobs; upon Ctrl-C, say what was kept."""
    try:
        experiment()
    except KeyboardInterrupt:
        stop("interrupted: what had finished is stored; the same command goes on from it", 130)
