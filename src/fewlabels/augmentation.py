"""Views of an input: random changes that keep its label, drawn for each input of a batch."""

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["add_noise", "flip", "shift"]


def add_noise(x: Tensor, deviation: float = 0.3) -> Tensor:
    """x, (B, ...), with Gaussian noise of a standard deviation in units of x: the view that needs no knowledge."""
    return x + deviation * torch.randn_like(x)


def flip(x: Tensor) -> Tensor:
    """Images (B, C, H, W), half of them mirrored left to right."""
    mirrored = torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5
    return torch.where(mirrored, x.flip(3), x)


def shift(x: Tensor, pixels: int = 2) -> Tensor:
    """Images (B, C, H, W), each moved by up to so many pixels along either axis; what comes in repeats the edge.

    Examples
    --------
    >>> shift(torch.ones(2, 1, 4, 4)).mean().item()
    1.0
    """
    batch, _, height, width = x.shape
    padded = pad(x, [pixels] * 4, mode="replicate")
    down, right = torch.randint(2 * pixels + 1, (2, batch, 1), device=x.device)
    rows = (down + torch.arange(height, device=x.device))[:, None, :, None]
    columns = (right + torch.arange(width, device=x.device))[:, None, None, :]
    images = torch.arange(batch, device=x.device)[:, None, None, None]
    channels = torch.arange(x.shape[1], device=x.device)[None, :, None, None]
    return padded[images, channels, rows, columns]
