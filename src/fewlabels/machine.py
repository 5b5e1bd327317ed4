"""What a fit runs on: the device, and the precision of its matrix products."""

import torch

from fewlabels.errors import InputError

__all__ = ["ACCELERATORS", "PRECISIONS", "device_of", "fast_bfloat16"]

ACCELERATORS = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "float32", "bfloat16")


def device_of(accelerator: str) -> torch.device:
    """The device by name; "auto" is a GPU where there is one.

    Raises
    ------
    InputError
        Where this machine has none of that kind.

    Examples
    --------
    >>> device_of("cpu")
    device(type='cpu')
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if accelerator == "auto":
        accelerator = next(name for name in ("cuda", "mps", "cpu") if there[name])
    if not there[accelerator]:
        raise InputError(f"Expected a machine with {accelerator}, got one without: use auto, or cpu.")
    return torch.device(accelerator)


def fast_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for products in bfloat16, so that they pay."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(torch.cpu.get_capabilities().get("avx512_bf16"))
