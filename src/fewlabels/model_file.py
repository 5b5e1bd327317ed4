"""Model files: tensors in safetensors, everything else as JSON in its header; loading executes nothing."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from fewlabels.errors import InputError
from fewlabels.files import write_atomically

__all__ = ["read_model", "write_model"]

FORMAT = 1


def write_model(path: str | Path, description: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Write a model file, atomically.

    Parameters
    ----------
    path
        The file; what was there is replaced only once the new one is whole.
    description
        What JSON can hold.
    tensors
        A ``state_dict``.
    """
    header = {"fewlabels": json.dumps({"format": FORMAT, **description})}
    write_atomically(path, save({name: value.contiguous() for name, value in tensors.items()}, metadata=header))


def read_model(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a model file: its description and its tensors.

    Raises
    ------
    InputError
        Where there is no such file, or it is truncated, foreign, or of a later format.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"Expected a model file, found none at {path}: check the path, or fit a model first.")
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get("fewlabels")
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"Expected a model file of fewlabels, got one that cannot be read, {path} ({error}): it is truncated or "
            "of another kind; fit or copy it again."
        ) from error
    if header is None:
        raise InputError(f"Expected a model file of fewlabels, got a file of another program, {path}.")
    description = json.loads(header)
    if description["format"] > FORMAT:
        raise InputError(
            f"Expected a model file of format {FORMAT} or earlier, got {description['format']} in {path}: "
            "update fewlabels."
        )
    return description, tensors
