"""Checkpoints: the state of a training run in a file."""

import io
import time
from pathlib import Path
from typing import Any

import torch

from fewlabels.errors import InputError
from fewlabels.files import write_atomically

__all__ = ["Checkpoint"]


class Checkpoint:
    """A file from which `fit` resumes to the identical result; it holds tensors and numbers, nothing executable.

    Parameters
    ----------
    path
        The file; written atomically: every ``seconds``, when a stage ends or has gone back, upon an interrupt.
    seconds
        20 by default: what a kill can cost, beside the step under way.
    """

    def __init__(self, path: Path, seconds: float = 20.0) -> None:
        self.path, self.seconds, self._last = Path(path), seconds, time.monotonic()

    def due(self) -> bool:
        """Whether it is time to save again."""
        return time.monotonic() - self._last >= self.seconds

    def save(self, state: dict[str, Any]) -> None:
        """Write the state."""
        content = io.BytesIO()
        torch.save(state, content)
        write_atomically(self.path, content.getvalue())
        self._last = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """The state, or None where there is no file."""
        if not self.path.exists():
            return None
        try:
            return torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise InputError(
                f"Expected a checkpoint of fewlabels in {self.path}, got a file that cannot be read: delete it to "
                "start afresh."
            ) from error
