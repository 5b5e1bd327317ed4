"""Errors that a user can mend: what was expected, what came, where, and what to do."""

__all__ = ["DivergenceError", "InputError"]


class InputError(ValueError):
    """Data, an argument or a file is not what it should be.

    The message is one line: what was expected, what came, where (file and line where there is one), what to do.
    The command line prints it and exits with code 2.
    """


class DivergenceError(RuntimeError):
    """Training diverged and restarting from the last good state with smaller steps did not mend it."""
