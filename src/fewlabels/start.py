"""A pre-trained network in a file, so that several methods and several calls share one."""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

from torch import nn

from fewlabels.checkpoint import Checkpoint
from fewlabels.errors import InputError
from fewlabels.model_file import read_model, write_model
from fewlabels.stage import Record

__all__ = ["Start"]

KIND = "start"


class Start:
    """Where pre-training keeps its outcome, and meanwhile its state.

    Parameters
    ----------
    path
        The file of the outcome, beside which, under a name of its own, the state of an interrupted run is kept; None
        keeps no outcome.
    folder
        Where the state of an interrupted run goes if there is no path; None for nowhere.
    key
        Tells this pre-training from any other; nobody asks where there is no path.

    Attributes
    ----------
    checkpoint
        The state of an interrupted run; None where nothing is kept.
    seconds
        How long pre-training took.
    """

    def __init__(self, path: str | Path | None, folder: Path | None, key: str) -> None:
        self.path, self.key, self.seconds = None if path is None else Path(path), key, 0.0
        state = None if folder is None else folder / "pretraining.pt"
        if self.path is not None:
            state = self.path.with_name(f"{self.path.name}.{hashlib.sha256(key.encode()).hexdigest()[:12]}.pt")
        self.checkpoint = None if state is None else Checkpoint(state)

    def run(self, potential: nn.Module, train: Callable[[], list[Record]]) -> list[Record]:
        """Put the outcome into a potential, read from the file where there is one; the records of its training.

        Raises
        ------
        InputError
            Where the file is damaged or holds another pre-training.
        """
        if self.path is not None and self.path.exists():
            return self._read(self.path, potential)
        began = time.perf_counter()
        records = train()
        self.seconds = time.perf_counter() - began
        if self.path is not None:
            description = {"kind": KIND, "key": self.key, "seconds": self.seconds, "history": json.dumps(records)}
            write_model(self.path, description, potential.state_dict())
            if self.checkpoint is not None:
                self.checkpoint.path.unlink(missing_ok=True)
        return records

    def _read(self, path: Path, potential: nn.Module) -> list[Record]:
        description, tensors = read_model(path)
        if description.get("kind") != KIND or description["key"] != self.key:
            raise InputError(
                f"Expected in {path} the network that this very data, settings and seed begin from, got another "
                f"({description.get('key', 'a fitted model')}): choose another start or delete the file."
            )
        potential.load_state_dict(tensors)
        self.seconds = description["seconds"]
        return [Record(*record) for record in json.loads(description["history"])]
