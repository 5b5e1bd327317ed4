r"""Published image sets in the files of their publishers.

==================  =====================================================================  =============
set                 files                                                                  images
==================  =====================================================================  =============
CIFAR-10 [1]_       ``data_batch_1`` to ``data_batch_5``, ``test_batch``; binary, pickled  32 x 32, RGB
SVHN [2]_           ``train_32x32.mat``, ``test_32x32.mat``                                32 x 32, RGB
MNIST [3]_,         ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, for tests    28 x 28, grey
Fashion-MNIST [4]_  ``t10k`` in place of ``train``; each may end in ``.gz``
==================  =====================================================================  =============

Nothing in a pickle is imported or called, not even what numpy's own arrays ask for: their dtype takes flags from the
file, and false ones make objects of mere bytes. Arrays are built here from what the pickle says of them.

References
----------
.. [1] Krizhevsky, "Learning multiple layers of features from tiny images", University of Toronto 2009.
.. [2] Netzer, Wang, Coates, Bissacco, Wu and Ng, "Reading digits in natural images with unsupervised feature
   learning", NIPS workshop 2011.
.. [3] LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proceedings of the
   IEEE 86, 1998.
.. [4] Xiao, Rasul and Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms",
   arXiv 1708.07747, 2017.
"""

import gzip
import math
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.io import loadmat

from fewlabels.errors import InputError
from fewlabels.files import read_utf8

__all__ = [
    "ImageSet",
    "Splits",
    "read_cifar10",
    "read_mnist",
    "read_svhn",
]

_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_DIGITS = tuple("0123456789")
_PLANES = 3 * 32 * 32
"""Bytes of an image of CIFAR-10: its red, its green, its blue."""
_STUBBED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}
"""What pickles of arrays ask for; numpy 2 moved the first."""
_REPAIR = "get the file again"

_Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Planes (N, 3072) and labels (N,)."""


class ImageSet(NamedTuple):
    """N labelled images of one size.

    Attributes
    ----------
    x : uint8 array (N, H, W, C)
        C is 1 (grey) or 3 (RGB).
    y : int64 array (N,)
        The labels, 0 to K - 1.
    """

    x: NDArray[np.uint8]
    y: NDArray[np.int64]


class Splits(NamedTuple):
    """The two parts of a set, and the K names of its classes in the order of the labels."""

    train: ImageSet
    test: ImageSet
    classes: tuple[str, ...]


def read_cifar10(folder: str | Path) -> Splits:
    """Read CIFAR-10, the binary version or the one for Python.

    Parameters
    ----------
    folder : str or Path
        The folder of the files, or the one that holds `cifar-10-batches-bin` or `cifar-10-batches-py`; binary files
        come first. The names of the classes are those of `batches.meta.txt` or `batches.meta` where there is one.

    Returns
    -------
    Splits
        Images in the order of the files. Beside them, no more than one file is in memory.

    Raises
    ------
    InputError
        A file is missing, truncated, of another shape, with labels that are no 0 to 9 or not as many as images; or a
        pickle asks for what such a file does not need, which is named and not run.
    """
    place, suffix = _cifar10_folder(Path(folder))
    read = _binary_batch if suffix else _pickled_batch
    train = _joined([place / f"data_batch_{i}{suffix}" for i in range(1, 6)], read)
    test = _joined([place / f"test_batch{suffix}"], read)
    return Splits(train, test, _binary_classes(place) if suffix else _pickled_classes(place))


def read_svhn(folder: str | Path) -> Splits:
    """Read the cropped digits of SVHN, without the extra ones.

    Parameters
    ----------
    folder : str or Path
        The folder with `train_32x32.mat` and `test_32x32.mat`, of MATLAB 5: `X` (32, 32, 3, N) and `y` (N, 1), where 10
        stands for the digit 0. scipy reads them, which can crash on false bytes: take them from their publisher.

    Returns
    -------
    Splits
        A digit's label is the digit.

    Raises
    ------
    InputError
        A file is missing, truncated, of another shape, or with labels that are no 1 to 10 or not as many as images.
    """
    train, test = (_read_matlab_set(Path(folder) / f"{part}_32x32.mat") for part in ("train", "test"))
    return Splits(train, test, _DIGITS)


def read_mnist(folder: str | Path) -> Splits:
    """Read MNIST, or Fashion-MNIST, whose files have the same names.

    Parameters
    ----------
    folder : str or Path
        The folder of the four idx files, each with or without `.gz`; where there are both, the one without is read.

    Returns
    -------
    Splits
        The classes are "0" to "9": the files do not name those of Fashion-MNIST.

    Raises
    ------
    InputError
        A file is missing, not of the length that its header says, no idx file of bytes, of another shape, or with
        labels that are no 0 to 9 or not as many as images.
    """
    train, test = (_read_idx_set(Path(folder), part) for part in ("train", "t10k"))
    return Splits(train, test, _DIGITS)


def _cifar10_folder(folder: Path) -> tuple[Path, str]:
    """Where the files are, and what their names end in."""
    for place in (folder, folder / "cifar-10-batches-bin", folder / "cifar-10-batches-py"):
        for suffix in (".bin", ""):
            if (place / f"data_batch_1{suffix}").is_file():
                return place, suffix
    raise InputError(
        f"{folder}: expected a folder with data_batch_1 or data_batch_1.bin of CIFAR-10, came none: give the folder "
        "into which its archive was unpacked"
    )


def _joined(files: list[Path], read: Callable[[Path], _Batch]) -> ImageSet:
    """Images of several files, channels last; the array grows in place, so that there is no second copy of it."""
    x, labels = np.empty((0, 32, 32, 3), np.uint8), []
    for file in files:
        planes, y = read(file)
        x.resize((len(x) + len(y), 32, 32, 3), refcheck=False)
        x[-len(y) :] = planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        labels.append(y)
        del planes  # before the next file comes
    return ImageSet(x, np.concatenate(labels))


def _binary_batch(path: Path) -> _Batch:
    data = _read_bytes(path)
    if not data or len(data) % (1 + _PLANES):
        raise InputError(f"{path}: expected images of {1 + _PLANES:,} bytes, came {len(data):,} in all: {_REPAIR}")
    rows = np.frombuffer(data, np.uint8).reshape(-1, 1 + _PLANES)
    return rows[:, 1:], _checked_labels(rows[:, 0], len(rows), range(10), path)


def _binary_classes(place: Path) -> tuple[str, ...]:
    path = place / "batches.meta.txt"
    return _checked_classes(read_utf8(path).split(), path) if path.exists() else _CIFAR10


def _pickled_batch(path: Path) -> _Batch:
    batch = _unpickle(path)
    planes, labels = _array(batch.get(b"data"), path), batch.get(b"labels")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise InputError(f"{path}, labels: expected a list of integers, came something else: {_REPAIR}")
    return planes, _checked_labels(labels, len(planes), range(10), path)


def _pickled_classes(place: Path) -> tuple[str, ...]:
    path = place / "batches.meta"
    if not path.exists():
        return _CIFAR10
    names = _unpickle(path).get(b"label_names")
    if not isinstance(names, list) or not all(isinstance(name, bytes) for name in names):
        raise InputError(f"{path}, label_names: expected a list of names, came something else: {_REPAIR}")
    return _checked_classes([name.decode(errors="replace") for name in names], path)


def _checked_classes(names: list[str], path: Path) -> tuple[str, ...]:
    if len(names) != len(_CIFAR10):
        raise InputError(f"{path}: expected the names of {len(_CIFAR10)} classes, came {len(names)}: {_REPAIR}")
    return tuple(names)


class _Stub:
    """Stands for a name in a pickle, and for what a call of it would make: keeps what it is given, and does nothing."""

    __slots__ = ("args", "state")

    def __init__(self, *args: object) -> None:
        self.args, self.state = args, None

    def __call__(self, *args: object) -> "_Stub":
        return _Stub(*args)

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    """Reads numbers, texts, lists, dictionaries and stubs, texts of Python 2 as bytes, and refuses every other name."""

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        super().__init__(stream, encoding="bytes")
        self.path = path

    def find_class(self, module: str, name: str) -> Any:
        """Return a stand-in that is made anew each time, lest a pickle leaves something behind in it."""
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes for Python 2
            return lambda text, codec: text.encode("latin1")
        if (module, name) in _STUBBED:
            return _Stub()
        asked = f"{module}.{name}"
        raise InputError(
            f"{self.path}: expected a pickle of an array, numbers and texts, came one that asks for {asked[:80]!r}, "
            "which was not run: get the file from its publisher"
        )


def _unpickle(path: Path) -> dict[Any, Any]:
    try:
        with open(path, "rb") as stream:
            content = _Unpickler(stream, path).load()
    except InputError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise _fault(path, "a whole pickle", error) from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a pickled dictionary, came something else: {_REPAIR}")
    return content


def _array(stub: Any, path: Path) -> NDArray[np.uint8]:
    """The planes (N, 3072) of which a pickle tells; their bytes are not copied."""
    try:
        _, shape, dtype, columns_first, raw = stub.state
        if dtype.args[0] not in ("u1", b"u1"):
            raise TypeError(f"dtype {dtype.args[0]!r}")
        array = np.frombuffer(raw, np.uint8).reshape(shape, order="F" if columns_first else "C")
    except (AttributeError, IndexError, TypeError, ValueError, OverflowError) as error:
        raise _fault(f"{path}, data", "an array of uint8", error) from error
    if array.ndim != 2 or array.shape[1] != _PLANES or not len(array):
        raise InputError(f"{path}, data: expected shape (N, {_PLANES}), came {array.shape}: {_REPAIR}")
    return array


def _read_matlab_set(path: Path) -> ImageSet:
    x, y = _load_matlab(path)
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[:3] != (32, 32, 3) or x.size == 0:
        raise InputError(f"{path}, X: expected uint8 of shape (32, 32, 3, N), came {x.dtype} of {x.shape}: {_REPAIR}")
    if y.ndim != 2 or y.shape[1] != 1:
        raise InputError(f"{path}, y: expected shape (N, 1), came {y.dtype} of {y.shape}: {_REPAIR}")
    digits = _checked_labels(y[:, 0], x.shape[3], range(1, 11), path) % 10
    return ImageSet(np.ascontiguousarray(x.transpose(3, 0, 1, 2)), digits)


def _load_matlab(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    try:
        with open(path, "rb") as stream:
            arrays = loadmat(stream, variable_names=("X", "y"))
    except Exception as error:  # a damaged file raises nearly anything
        raise _fault(path, "a file of MATLAB 5", error) from error
    if not {"X", "y"} <= arrays.keys():
        raise InputError(f"{path}: expected the variables X and y, came a file without: {_REPAIR}")
    return np.asarray(arrays["X"]), np.asarray(arrays["y"])


def _read_idx_set(folder: Path, part: str) -> ImageSet:
    images, labels = (_plain_or_gz(folder / f"{part}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
    x = _read_idx(images, 3)
    if x.shape[1:] != (28, 28) or x.size == 0:
        raise InputError(f"{images}: expected images of shape (N, 28, 28), came {x.shape}: {_REPAIR}")
    return ImageSet(x[..., None], _checked_labels(_read_idx(labels, 1), len(x), range(10), labels))


def _plain_or_gz(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    if not (path.is_file() or packed.is_file()):
        raise InputError(f"{path}: expected this file, or with .gz behind its name, came neither: give its folder")
    return path if path.is_file() else packed


def _read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """An idx file: 0, 0, the code 8 for bytes, how many dimensions; each of them in 4 bytes, big-endian; the data."""
    data, magic, start = _read_bytes(path), bytes([0, 0, 8, dimensions]), 4 + 4 * dimensions
    if data[:4] != magic:
        came = data[:4].hex() or "an empty file"
        raise InputError(f"{path}: expected the magic number {magic.hex()} of such an idx file, came {came}: {_REPAIR}")
    shape = tuple(int.from_bytes(data[i : i + 4], "big") for i in range(4, start, 4))
    size = start + math.prod(shape)
    if len(data) != size:
        raise InputError(f"{path}: expected {size:,} bytes, as its header says, came {len(data):,}: {_REPAIR}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape).copy()


def _read_bytes(path: Path) -> bytes:
    """The bytes of a file, decompressed where its name ends in .gz."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as stream:
            return stream.read()
    except (OSError, EOFError, zlib.error) as error:
        raise _fault(path, "a whole gzip file", error) from error


def _checked_labels(labels: ArrayLike, n: int, allowed: range, path: Path) -> NDArray[np.int64]:
    """Labels as int64, once there are n and all are allowed."""
    labels = np.asarray(labels)
    if labels.shape != (n,):
        raise InputError(f"{path}: expected a label for each of {n:,} images, came {labels.size:,}: {_REPAIR}")
    if labels.dtype.kind not in "iuf":
        raise InputError(f"{path}: expected labels that are numbers, came {labels.dtype}: {_REPAIR}")
    wrong = labels[~np.isin(labels, allowed)]
    if len(wrong):
        raise InputError(f"{path}: expected labels from {allowed[0]} to {allowed[-1]}, came {wrong[0]}: {_REPAIR}")
    return labels.astype(np.int64)


def _fault(place: str | Path, expected: str, error: Exception) -> InputError:
    """What to raise for an error of the file system, which has a number, or of damaged data."""
    if isinstance(error, OSError) and error.errno is not None:
        return InputError(f"{place}: expected a readable file, came: {error.strerror}")
    reason = " ".join(str(error).split())[:200]
    return InputError(f"{place}: expected {expected}, came something else ({reason}): {_REPAIR}")
