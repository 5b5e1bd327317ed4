"""Images: folders of class folders, folders of unlabelled images, and `.npz` archives, all as one uint8 array."""

import struct
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fewlabels.data.contact_sheet import as_rgb
from fewlabels.data.tables import parse_labels
from fewlabels.errors import InputError

__all__ = ["Images", "read_images"]

_GREY_MODES = {"1", "L", "LA", "La"}
_DEEP_MODES = ("I", "F")
_DAMAGES = (OSError, ValueError, EOFError, RuntimeError, SyntaxError, struct.error, zipfile.BadZipFile, zlib.error)
_RESERVED = {"unlabelled", "unlabeled"}


class Images(NamedTuple):
    """N images of one size.

    Attributes
    ----------
    x : uint8 array (N, H, W, C)
        C is 1 (grey) or 3 (RGB).
    y : object array (N,)
        The labels, -1 where an image is unlabelled.
    names : list of str
        The N files, or in an archive the numbers of the rows.
    """

    x: NDArray[np.uint8]
    y: NDArray[np.object_]
    names: list[str]


def read_images(path: str | Path, unlabelled: str | Path | None = None) -> Images:
    """Read images of one size; grey ones become RGB if any is RGB, transparency is dropped.

    Parameters
    ----------
    path : str or Path
        A folder of class folders, each name of which is the label of its images; or a folder of images, all unlabelled;
        or an `.npz` archive with `x` (N, H, W) or (N, H, W, C), uint8 or float in [0, 1] (rounded to 1/255), optionally
        `y` (N,) with -1 for unlabelled, and `x_unlabelled` like `x`. Names that start with a dot are skipped.
    unlabelled : str or Path, optional
        More images of the same kinds, whose labels are ignored. A folder inside `path` is then no class folder.

    Returns
    -------
    Images
        The labels of folders are text; those of archives follow `parse_labels`.

    Raises
    ------
    InputError
        A file is no image of 8 bits, is truncated or of another size than the first (both are named), a folder is empty
        or mixes files with folders, or an array has another shape, type or range.
    """
    excluded = None if unlabelled is None else Path(unlabelled).resolve()
    images = _read(Path(path), excluded)
    if unlabelled is None:
        return images
    more = _read(Path(unlabelled), None)
    return _joined(images, more._replace(y=_without_labels(len(more.x))))


def _read(path: Path, excluded: Path | None) -> Images:
    if path.is_dir():
        return _read_folder(path, excluded)
    if path.suffix.lower() == ".npz":
        return _read_archive(path)
    raise InputError(
        f"{path}: expected a folder of images or an .npz archive, came {'a file' if path.exists() else 'nothing'}"
    )


def _read_folder(path: Path, excluded: Path | None) -> Images:
    folders = [entry for entry in _entries(path) if entry.is_dir() and entry.resolve() != excluded]
    if not folders:
        files = _files(path, excluded)
        return _decoded(files, _without_labels(len(files)))
    stray = [entry for entry in _entries(path) if not entry.is_dir()]
    if stray:
        raise InputError(
            f"{path}: expected class folders only, came the file {stray[0].name} beside them: move it away"
        )
    reserved = [folder for folder in folders if folder.name.lower() in _RESERVED]
    if reserved:
        raise InputError(
            f"{path}: expected class folders, came {reserved[0].name}: give that folder as the unlabelled data"
        )
    files = {folder: _files(folder, None) for folder in folders}
    labels = np.array([folder.name for folder, members in files.items() for _ in members], dtype=object)
    return _decoded([file for members in files.values() for file in members], labels)


def _entries(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _files(folder: Path, excluded: Path | None) -> list[Path]:
    """List the images of a folder, which must hold some and nothing else."""
    entries = [entry for entry in _entries(folder) if entry.resolve() != excluded]
    if not entries:
        raise InputError(f"{folder}: expected images, came an empty folder")
    inner = [entry for entry in entries if entry.is_dir()]
    if inner:
        raise InputError(f"{folder}: expected images, came the folder {inner[0].name}: give a folder of class folders")
    return entries


def _decoded(files: list[Path], y: NDArray[np.object_]) -> Images:
    arrays = []
    for file in files:
        arrays.append(_pixels(file))
        _check_sizes(arrays[0], files[0], arrays[-1], file)
    if len({array.shape[2] for array in arrays}) > 1:
        arrays = [as_rgb(array) for array in arrays]
    return Images(np.stack(arrays), y, [str(file) for file in files])


def _pixels(file: Path) -> NDArray[np.uint8]:
    """Return an image file as an array (H, W, 1) or (H, W, 3)."""
    try:
        from PIL import Image
    except ImportError as error:
        raise InputError(f"{file}: reading image files needs Pillow: pip install 'fewlabels[images]'") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damage that matters raises
            with Image.open(file) as image:
                mode = image.mode
                pixels = np.asarray(image.convert("L" if mode in _GREY_MODES else "RGB"))
    except (*_DAMAGES, Image.DecompressionBombError) as error:
        raise InputError(f"{file}: expected a whole image, came something else ({error})") from error
    if mode.startswith(_DEEP_MODES):
        raise InputError(f"{file}: expected an image of 8 bits a channel, came mode {mode}: convert it to 8 bits")
    return pixels.reshape(*pixels.shape[:2], -1)


def _read_archive(path: Path) -> Images:
    arrays = _load_arrays(path)
    if "x" not in arrays:
        raise InputError(f"{path}: expected an array `x`, came {', '.join(arrays) or 'no array'}")
    x = _checked(arrays["x"], f"{path}, x")
    y = _labels(arrays["y"], len(x), path) if "y" in arrays else _without_labels(len(x))
    images = Images(x, y, [str(row) for row in range(len(x))])
    if "x_unlabelled" not in arrays:
        return images
    more = _checked(arrays["x_unlabelled"], f"{path}, x_unlabelled")
    names = [f"x_unlabelled[{row}]" for row in range(len(more))]
    return _joined(images, Images(more, _without_labels(len(more)), names))


def _load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with open(path, "rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            arrays = dict(archive) if isinstance(archive, np.lib.npyio.NpzFile) else None
    except _DAMAGES as error:
        raise InputError(
            f"{path}: expected an .npz archive of plain arrays, came something else ({error}); for objects save "
            "text or integers, such as y.astype(str)"
        ) from error
    if arrays is None:
        raise InputError(f"{path}: expected an .npz archive, came one .npy array: write it by np.savez(path, x=x, y=y)")
    return arrays


def _checked(x: NDArray[Any], place: str) -> NDArray[np.uint8]:
    """Return images as uint8 (N, H, W, C) once their shape, type and range are right."""
    x = x[..., None] if x.ndim == 3 else x
    if x.ndim != 4 or x.shape[3] not in (1, 3) or x.size == 0:
        raise InputError(f"{place}: expected shape (N, H, W) or (N, H, W, C) with C = 1 or 3, came {x.shape}")
    if x.dtype == np.uint8:
        return x
    if not np.issubdtype(x.dtype, np.floating):
        raise InputError(f"{place}: expected uint8 or float in [0, 1], came {x.dtype}: convert it by x.astype('uint8')")
    if not np.all((x >= 0) & (x <= 1)):
        raise InputError(f"{place}: expected float in [0, 1], came {x.min()} to {x.max()}: scale it, or save uint8")
    return np.rint(255 * x).astype(np.uint8)


def _labels(y: NDArray[Any], n: int, path: Path) -> NDArray[np.object_]:
    if y.shape != (n,):
        raise InputError(f"{path}, y: expected shape ({n},) to match x, came {y.shape}")
    if y.dtype.kind not in "iubfU":
        raise InputError(f"{path}, y: expected labels that are text, integers or booleans, came {y.dtype}")
    return parse_labels([str(label) for label in y.tolist()], path)


def _without_labels(n: int) -> NDArray[np.object_]:
    return np.full(n, -1, dtype=object)


def _joined(first: Images, second: Images) -> Images:
    _check_sizes(first.x[0], first.names[0], second.x[0], second.names[0])
    xs = [first.x, second.x]
    if first.x.shape[3] != second.x.shape[3]:
        xs = [as_rgb(x) for x in xs]
    return Images(np.concatenate(xs), np.concatenate([first.y, second.y]), first.names + second.names)


def _check_sizes(first: NDArray[Any], first_name: object, other: NDArray[Any], other_name: object) -> None:
    if first.shape[:2] != other.shape[:2]:
        raise InputError(
            f"expected images of one size (height x width), came {_size(first)} in {first_name} and {_size(other)} in "
            f"{other_name}: bring them to one size"
        )


def _size(x: NDArray[Any]) -> str:
    return f"{x.shape[0]} x {x.shape[1]}"
