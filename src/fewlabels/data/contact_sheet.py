"""A contact sheet: images side by side in one picture."""

import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_rgb", "contact_sheet"]


def contact_sheet(x: NDArray[Any]) -> bytes:
    """Return images side by side, in a square of rows and columns, as the bytes of a PNG file; needs matplotlib.

    Parameters
    ----------
    x : array (N, H, W) or (N, H, W, C)
        uint8, or float in [0, 1], beyond which it is clipped; C is 1 or 3.
    """
    from matplotlib import image

    x = x if x.dtype == np.uint8 else np.rint(255 * np.clip(x, 0, 1)).astype(np.uint8)
    x = as_rgb(x[..., None] if x.ndim == 3 else x)
    n, height, width, _ = x.shape
    columns = math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    padded = np.full((rows * columns, height + 1, width + 1, 3), 255, dtype=np.uint8)
    padded[:n, :height, :width] = x
    grid = padded.reshape(rows, columns, height + 1, width + 1, 3).swapaxes(1, 2)
    stream = io.BytesIO()
    image.imsave(stream, grid.reshape(rows * (height + 1), columns * (width + 1), 3), format="png")
    return stream.getvalue()


def as_rgb(x: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return images (..., C) with three channels: grey ones in all three."""
    return x if x.shape[-1] == 3 else np.repeat(x, 3, axis=-1)
