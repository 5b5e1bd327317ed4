"""What a piece of unfinished work is known by: a hash of what it starts from, the same in every process."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from pickle import PicklingError
from types import CodeType, FunctionType, ModuleType
from typing import Any

import joblib
import numpy as np
from torch import Tensor, nn

__all__ = ["fingerprint"]


def fingerprint(*parts: Any) -> str:
    """A hash of numbers, text, arrays, tensors, networks, functions, other objects, and containers of these.

    Networks are known by their class and weights; functions by their name, their code and the values that they were
    made with; other objects by their class and attributes, and what cannot be read, such as a lock, by its class.

    Examples
    --------
    >>> from fewlabels.optimizers import rmsprop
    >>> fingerprint(rmsprop(1e-3), nn.Identity()) == fingerprint(rmsprop(1e-3), nn.Identity())
    True
    >>> fingerprint(rmsprop(1e-3)) == fingerprint(rmsprop(2e-3))
    False
    """
    return str(joblib.hash(_plain(parts)))


def _plain(part: Any, above: tuple[int, ...] = ()) -> Any:
    """What joblib hashes to the same in every process, in place of a part; ``above`` are the ids of what holds it."""
    if part is None or isinstance(part, str | bytes | bool | int | float):
        return part
    if id(part) in above:  # it holds itself
        return type(part).__qualname__

    def plain(inner: Any) -> Any:
        return _plain(inner, (*above, id(part)))

    match part:
        case Mapping():
            return {name: plain(value) for name, value in part.items()}
        case list() | tuple():
            return [plain(one) for one in part]
        case Tensor():
            return str(part.dtype), part.detach().cpu().double().numpy()
        case np.ndarray():
            return np.asarray(part)  # of a memory-mapped one the numbers, not the file
        case nn.Module():
            return type(part).__qualname__, plain(part.state_dict())
        case partial():
            return plain([part.func, part.args, part.keywords])
        case FunctionType():
            made_with = [cell.cell_contents for cell in part.__closure__ or ()]
            return part.__qualname__, plain([part.__code__, part.__defaults__, made_with])
        case CodeType():
            return part.co_code, part.co_names, plain(part.co_consts)
        case type() | ModuleType():
            return part.__name__
        case Path():
            return str(part)
    if hasattr(part, "__dict__"):
        return type(part).__qualname__, plain(vars(part))
    try:
        joblib.hash(part)
    except (TypeError, PicklingError):
        return type(part).__qualname__
    return part
