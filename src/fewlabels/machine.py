"""What a fit runs on: the device, the precision of its matrix products, and the threads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from fewlabels.errors import InputError

__all__ = ["ACCELERATORS", "PRECISIONS", "device_of", "fast_bfloat16", "one_thread", "processes"]

ACCELERATORS = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "float32", "bfloat16")


def device_of(accelerator: str) -> torch.device:
    """The device by name; "auto" is a GPU where there is one.

    Raises
    ------
    InputError
        Where this machine has none of that kind, or there is no such kind.

    Examples
    --------
    >>> device_of("cpu")
    device(type='cpu')
    """
    if accelerator not in ACCELERATORS:
        raise InputError(f"Expected accelerator to be one of {', '.join(ACCELERATORS)}, got {accelerator!r}.")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if accelerator == "auto":
        accelerator = next(name for name in ("cuda", "mps", "cpu") if there[name])
    if not there[accelerator]:
        raise InputError(f"Expected a machine with {accelerator}, got one without: use auto, or cpu.")
    return torch.device(accelerator)


def fast_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for products in bfloat16, so that they pay; an older torch cannot tell."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(getattr(torch.cpu, "get_capabilities", dict)().get("avx512_bf16"))


def processes(device: torch.device) -> int:
    """How many trainings share the machine: one on a GPU, one a core otherwise."""
    return (os.cpu_count() or 1) if device.type == "cpu" else 1


@contextmanager
def one_thread(wanted: bool) -> Iterator[None]:
    """Let torch use one thread, for networks whose operations are too small to share.

    Threads that share small operations wait for each other after every one; as soon as another program takes a core
    from one of them, all of them wait for the system's scheduler, and training can take a hundred times as long.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if wanted else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
