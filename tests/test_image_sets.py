"""Published image sets: files written here byte by byte, every file that is refused."""

import gzip
import os
import pickle
import pickletools
import struct
import tracemalloc

import numpy as np
import pytest
from scipy.io import savemat

from fewlabels.data.image_sets import read_cifar10, read_mnist, read_svhn
from fewlabels.errors import InputError

NAMES = "airplane automobile bird cat deer dog frog horse ship truck".split()
BATCHES = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]


class Refused:
    """Expects an `InputError` of one line."""

    def __init__(self, match):
        self.raises = pytest.raises(InputError, match=match)

    def __enter__(self):
        self.caught = self.raises.__enter__()

    def __exit__(self, *error):
        done = self.raises.__exit__(*error)
        assert "\n" not in str(self.caught.value)
        return done


def images(n, seed=0, size=(32, 32, 3)):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, *size), dtype=np.uint8), rng.integers(0, 10, n)


def planes(x):
    """Each image as the bytes of its red, its green and its blue, row by row."""
    return [b"".join(bytes(pixel for row in image[:, :, c] for pixel in row) for c in range(3)) for image in x]


def text(value):
    """A string of Python 2."""
    short = len(value) < 256
    return (b"U" + bytes([len(value)]) if short else b"T" + struct.pack("<i", len(value))) + value


def numbers(values):
    return b"](" + b"".join(b"J" + struct.pack("<i", value) for value in values) + b"e"


def array(raw, rows, width=3072, kind=b"u1", order=b"\x89", module=b"numpy.core.multiarray"):
    made = b"c" + module + b"\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
    dtype = b"cnumpy\ndtype\n" + text(kind) + b"K\x00K\x01\x87R(K\x03" + text(b"|") + b"NNN" + 2 * b"J\xff\xff\xff\xff"
    shape = b"".join(b"J" + struct.pack("<i", size) for size in (rows, width)) + b"\x86"
    return made + b"(K\x01" + shape + dtype + b"K\x00tb" + order + text(raw) + b"tb"


def python2(**values):
    """A dictionary as Python 2 pickles it, of values that are pickled already."""
    return b"\x80\x02}(" + b"".join(text(key.encode()) + value for key, value in values.items()) + b"u."


def pickled2(x, y):
    raw = b"".join(planes(x))
    return python2(batch_label=text(b"one of six"), labels=numbers(y), data=array(raw, len(x)), filenames=b"]")


def pickled3(x, y):
    raw = np.frombuffer(b"".join(planes(x)), np.uint8).reshape(-1, 3072)
    return pickle.dumps({b"labels": [int(label) for label in y], b"data": raw, b"filenames": [b"a.png"]}, protocol=2)


def binary(x, y):
    return b"".join(bytes([label]) + row for label, row in zip(y, planes(x), strict=True))


META = python2(label_names=b"](" + b"".join(text(name.encode()) for name in NAMES) + b"e", num_vis=b"M\x00\x0c")
WRITERS = {"python2": pickled2, "python3": pickled3, "binary": binary}


def write_cifar10(folder, kind, parts):
    folder.mkdir(parents=True, exist_ok=True)
    suffix = ".bin" if kind == "binary" else ""
    for name, part in zip(BATCHES, parts, strict=True):
        (folder / f"{name}{suffix}").write_bytes(WRITERS[kind](*part))
    if kind == "binary":
        (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    else:
        (folder / "batches.meta").write_bytes(META)
    return folder


@pytest.fixture(params=WRITERS)
def cifar10(tmp_path, request):
    """Six batches of different lengths, in each of the three kinds of files."""
    parts = [images(n, seed=n) for n in (3, 1, 2, 5, 4, 6)]
    return write_cifar10(tmp_path, request.param, parts), parts


@pytest.fixture
def batch(tmp_path):
    """Write something else as the third batch of Python 2."""

    def make(data):
        write_cifar10(tmp_path, "python2", [images(2)] * 6)
        (tmp_path / "data_batch_3").write_bytes(data)
        return tmp_path

    return make


def test_cifar10(cifar10):
    folder, parts = cifar10
    splits = read_cifar10(str(folder))
    for read, expected in ((splits.train, parts[:5]), (splits.test, parts[5:])):
        np.testing.assert_array_equal(read.x, np.concatenate([x for x, _ in expected]))
        np.testing.assert_array_equal(read.y, np.concatenate([y for _, y in expected]))
        assert read.x.dtype == np.uint8 and read.y.dtype == np.int64
        assert read.x.flags.c_contiguous and read.x.flags.writeable
    assert splits.classes == tuple(NAMES)


def test_cifar10_without_names(cifar10):
    folder, _ = cifar10
    next(folder.glob("batches.meta*")).unlink()
    assert read_cifar10(folder).classes == tuple(NAMES)


def test_cifar10_in_the_folder_of_its_archive(tmp_path):
    for kind, name, seed in (("python2", "cifar-10-batches-py", 1), ("binary", "cifar-10-batches-bin", 2)):
        parts = [images(1, seed)] * 6
        write_cifar10(tmp_path / name, kind, parts)
        np.testing.assert_array_equal(read_cifar10(tmp_path).test.x, parts[5][0])
    with Refused("expected a folder with data_batch_1 or .* came none: give the folder into"):
        read_cifar10(tmp_path / "absent")


def test_pickles_written_here_are_pickles():
    x, y = images(2)
    read = pickle.loads(pickled2(x, y), encoding="bytes")
    assert read[b"labels"] == y.tolist() and planes(x) == [bytes(row) for row in read[b"data"]]
    assert pickle.loads(META)["label_names"] == NAMES


def test_arrays_by_columns_and_of_numpy_2(batch):
    x, y = images(2)
    columns = b"".join(bytes(pair) for pair in zip(*planes(x), strict=True))
    folder = batch(python2(labels=numbers(y), data=array(columns, 2, order=b"\x88", module=b"numpy._core.multiarray")))
    np.testing.assert_array_equal(read_cifar10(folder).train.x[4:6], x)


def test_no_second_copy_in_memory(tmp_path):
    rng = np.random.default_rng(0)
    for name in BATCHES:
        rows = rng.integers(0, 10, (200, 3073), dtype=np.uint8)
        (tmp_path / f"{name}.bin").write_bytes(rows.tobytes())
        (tmp_path / name).write_bytes(python2(labels=numbers(rows[:, 0]), data=array(rows[:, 1:].tobytes(), 200)))
    for _ in range(2):
        tracemalloc.start()
        splits = read_cifar10(tmp_path)
        peak, size = tracemalloc.get_traced_memory()[1], splits.train.x.nbytes + splits.test.x.nbytes
        both = len(np.concatenate([splits.train.x, splits.test.x]).tobytes()) and tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1.3 * size, "about a file beyond the arrays"
        assert both > 1.3 * size, "the control: a copy shows"
        for file in tmp_path.glob("*.bin"):
            file.unlink()


class Attack:
    """Runs a command where it is unpickled."""

    def __init__(self, command, *args):
        self.run = command, args

    def __reduce__(self):
        return self.run


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("file", ["data_batch_3", "batches.meta"])
def test_what_a_pickle_would_run_is_refused(batch, tmp_path, file, protocol):
    folder, mark = batch(pickled2(*images(2))), tmp_path / "executed"
    data = pickle.dumps({b"labels": [Attack(os.mkdir, str(mark))]}, protocol=protocol)
    (folder / file).write_bytes(data)
    with Refused(
        rf"{file}: expected a pickle of an array.* came one that asks for '(posix|nt)\.mkdir', which was not run"
    ):
        read_cifar10(folder)
    assert not mark.exists()
    pickle.loads(data)
    assert mark.exists(), "the control: it does run"


@pytest.mark.parametrize(
    ("code", "asked"),
    [
        (b"cbuiltins\neval\n" + text(b"1") + b"\x85R", "builtins.eval"),
        (b"(" + text(b"true") + b"ios\nsystem\n", "os.system"),
        (b"(cos\nsystem\n" + text(b"true") + b"o", "os.system"),
        (b"cnumpy\nload\n", "numpy.load"),
        (b"cnumpy\nndarray.tofile\n", "numpy.ndarray.tofile"),
        (b"cnumpy.core.multiarray\nfromfile\n", "numpy.core.multiarray.fromfile"),
        (b"c_codecs\ndecode\n", "_codecs.decode"),
        (b"X\x03\x00\x00\x00a\nbX\x03\x00\x00\x00c\nd\x93", r"a\\nb.c\\nd"),
    ],
)
def test_other_names_are_refused(batch, code, asked):
    with Refused(f"came one that asks for '{asked}', which was not run"):
        read_cifar10(batch(python2(labels=code)))


def test_names_of_arrays_do_nothing(batch):
    """Of numpy's own, the first would take the memory of 2 GB, and the second would change what files to come get."""
    x, y = images(2)
    good = {"labels": numbers(y), "data": array(b"".join(planes(x)), 2)}
    huge = b"cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85R"
    defaults = b"c_codecs\nencode\nN}X\x0c\x00\x00\x00__defaults__X\x01\x00\x00\x00a\x85s\x86b"
    np.testing.assert_array_equal(read_cifar10(batch(python2(a=huge, b=defaults, **good))).train.x[4:6], x)
    with Refused("data_batch_3: expected a whole pickle, came .* missing 1 required positional argument"):
        read_cifar10(batch(python2(a=b"c_codecs\nencode\nX\x01\x00\x00\x00a\x85R", **good)))


@pytest.mark.parametrize("kind", [b"O8", b"i1", b"u2", b"V1"])
def test_arrays_of_another_kind_are_refused(batch, kind):
    with Refused(r"data_batch_3, data: expected an array of uint8, came something else \(dtype"):
        read_cifar10(batch(python2(labels=numbers([1]), data=array(bytes(3072), 1, kind=kind))))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "data: expected an array of uint8"),
        ({"data": text(bytes(3072))}, "data: expected an array of uint8"),
        ({"data": array(bytes(3071), 1)}, "data: expected an array of uint8.*cannot reshape"),
        ({"data": array(bytes(3072), 3072, 1)}, r"data: expected shape \(N, 3072\), came \(3072, 1\)"),
        ({"data": array(bytes(3072), -1, -1)}, "data: expected an array of uint8"),
        ({"data": array(b"", 0)}, r"data: expected shape \(N, 3072\), came \(0, 3072\)"),
        ({"labels": numbers([1, 2])}, "data_batch_3: expected a label for each of 1 images, came 2"),
        ({"labels": numbers([])}, "expected a label for each of 1 images, came 0"),
        ({"labels": numbers([10])}, "expected labels from 0 to 9, came 10: get the file again"),
        ({"labels": numbers([-1])}, "expected labels from 0 to 9, came -1"),
        ({"labels": b"](" + text(b"1") + b"e"}, "labels: expected a list of integers"),
        ({"labels": b"](\x88e"}, "labels: expected a list of integers"),
        ({"labels": b"N"}, "labels: expected a list of integers"),
        ({"labels": b"](\x8a\x09" + bytes(8) + b"\x01e"}, "expected labels that are numbers, came object"),
    ],
)
def test_batches_that_are_refused(batch, values, message):
    given = {"labels": numbers([1]), "data": array(bytes(3072), 1)}
    assert read_cifar10(batch(python2(**given))).train.y[4] == 1
    with Refused(message):
        read_cifar10(batch(python2(**{**given, **values}) if values else python2()))


def test_names_that_are_refused(tmp_path):
    write_cifar10(tmp_path, "python2", [images(1)] * 6)
    for meta, message in {
        python2(label_names=b"](" + text(b"cat") + b"e"): "batches.meta: expected the names of 10 classes, came 1",
        python2(label_names=b"](K\x01e"): "label_names: expected a list of names",
        python2(): "label_names: expected a list of names",
        b"\x80\x02].": "batches.meta: expected a pickled dictionary",
    }.items():
        (tmp_path / "batches.meta").write_bytes(meta)
        with Refused(message):
            read_cifar10(tmp_path)
    write_cifar10(tmp_path, "binary", [images(1)] * 6)
    (tmp_path / "batches.meta.txt").write_text("cat\ndog\n")
    with Refused(r"batches\.meta\.txt: expected the names of 10 classes, came 2"):
        read_cifar10(tmp_path)


def test_truncated_batches(cifar10):
    folder, _ = cifar10
    for file in (next(folder.glob("data_batch_4*")), next(folder.glob("test_batch*"))):
        whole = file.read_bytes()
        for end in (0, 1, 30, 300, len(whole) // 2 + 9, len(whole) - 1):
            file.write_bytes(whole[:end])
            with Refused(f"{file.name}: expected (a whole pickle|images of 3,073 bytes)"):
                read_cifar10(folder)
        file.write_bytes(whole)
    file.unlink()
    with Refused("test_batch.*: expected a readable file, came: No such file"):
        read_cifar10(folder)


def test_damaged_pickles_are_read_or_refused(batch):
    """Each instruction cut out or replaced: whatever comes of it, nothing but an `InputError`."""
    x, y = images(1)
    whole, rng, refused = pickled2(x, y), np.random.default_rng(0), 0
    folder = batch(whole)
    places = [place for _, _, place in pickletools.genops(whole)]
    for start, end in zip(places, [*places[1:], None], strict=True):
        for new in (b"", bytes(rng.integers(0, 256, 1, dtype=np.uint8)), b"R", b"b"):
            try:
                (folder / "data_batch_1").write_bytes(whole[:start] + new + (whole[end:] if end else b""))
                read_cifar10(folder)
            except InputError as error:
                refused += 1
                assert "\n" not in str(error)
    assert refused > 100


def test_binary_labels_out_of_range(tmp_path):
    x, _ = images(2)
    write_cifar10(tmp_path, "binary", [(x, [9, 0])] * 5 + [(x, [3, 10])])
    with Refused(r"test_batch\.bin: expected labels from 0 to 9, came 10"):
        read_cifar10(tmp_path)


def write_svhn(folder, **changes):
    """Two files of MATLAB, one compressed; the changes are made to that of tests."""
    for part, n, compressed in (("train", 5, True), ("test", 3, False)):
        x, y = images(n, seed=n)
        variables = {"X": x.transpose(1, 2, 3, 0), "y": np.where(y == 0, 10, y).astype(np.uint8)[:, None], "z": x}
        given = {**variables, **(changes if part == "test" else {})}
        kept = {name: value for name, value in given.items() if value is not None}
        savemat(folder / f"{part}_32x32.mat", kept, do_compression=compressed)
    return folder


def test_svhn(tmp_path):
    splits = read_svhn(str(write_svhn(tmp_path)))
    for read, n in ((splits.train, 5), (splits.test, 3)):
        x, y = images(n, seed=n)
        np.testing.assert_array_equal(read.x, x)
        np.testing.assert_array_equal(read.y, y)
        assert read.x.dtype == np.uint8 and read.y.dtype == np.int64 and read.x.flags.c_contiguous
    assert splits.classes == tuple("0123456789")


def test_svhn_digits(tmp_path):
    y = np.array([[10.0], [1], [9]])  # as MATLAB itself stores numbers
    assert read_svhn(write_svhn(tmp_path, y=y)).test.y.tolist() == [0, 1, 9]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": None}, "expected the variables X and y, came a file without"),
        ({"y": None}, "expected the variables X and y"),
        ({"X": images(3)[0]}, r"X: expected uint8 of shape \(32, 32, 3, N\), came uint8 of \(3, 32, 32, 3\)"),
        ({"X": np.zeros((32, 32, 3, 3))}, "X: expected uint8 of .* came float64"),
        ({"X": np.zeros((32, 32, 3, 0), np.uint8)}, "X: expected uint8"),
        ({"X": {"a": 1}}, "X: expected uint8"),
        ({"y": np.ones((1, 3))}, r"y: expected shape \(N, 1\), came .* \(1, 3\)"),
        ({"y": np.ones((2, 1))}, "expected a label for each of 3 images, came 2"),
        ({"y": np.array([[1], [0], [2]])}, "expected labels from 1 to 10, came 0"),
        ({"y": np.array([[1], [11], [2]])}, "expected labels from 1 to 10, came 11"),
        ({"y": np.array([[1], [1.5], [2]])}, r"expected labels from 1 to 10, came 1\.5"),
        ({"y": np.array([[1], [np.nan], [2]])}, "expected labels from 1 to 10, came nan"),
        ({"y": np.array([["1"], ["2"], ["3"]])}, "expected labels that are numbers|expected shape"),
    ],
)
def test_svhn_that_is_refused(tmp_path, changes, message):
    with Refused(rf"test_32x32\.mat.*{message}"):
        read_svhn(write_svhn(tmp_path, **changes))


@pytest.mark.parametrize("part", ["train", "test"])
def test_truncated_svhn(tmp_path, part):
    file = write_svhn(tmp_path) / f"{part}_32x32.mat"
    whole = file.read_bytes()
    for data in [b"text" * 100, *(whole[:end] for end in (0, 10, 127, 130, 200, len(whole) // 2, 9000))]:
        file.write_bytes(data)
        with Refused(rf"{part}_32x32\.mat: expected (a file of MATLAB 5|the variables X and y)"):
            read_svhn(tmp_path)
    file.unlink()
    with Refused(rf"{part}_32x32\.mat: expected a readable file, came: No such file"):
        read_svhn(tmp_path)


def idx(values, magic=None):
    sizes = b"".join(struct.pack(">I", size) for size in values.shape)
    return (magic or bytes([0, 0, 8, values.ndim])) + sizes + values.astype(np.uint8).tobytes()


def write_mnist(folder, packed=False):
    parts = {}
    for part, n in (("train", 5), ("t10k", 3)):
        parts[part] = x, y = images(n, seed=n, size=(28, 28))
        for kind, values in (("images-idx3", x), ("labels-idx1", y)):
            data = gzip.compress(idx(values)) if packed else idx(values)
            (folder / f"{part}-{kind}-ubyte{'.gz' if packed else ''}").write_bytes(data)
    return parts


@pytest.mark.parametrize("packed", [False, True])
def test_mnist(tmp_path, packed):
    parts = write_mnist(tmp_path, packed)
    splits = read_mnist(str(tmp_path))
    for read, (x, y) in ((splits.train, parts["train"]), (splits.test, parts["t10k"])):
        np.testing.assert_array_equal(read.x, x[..., None])
        np.testing.assert_array_equal(read.y, y)
        assert read.x.dtype == np.uint8 and read.y.dtype == np.int64 and read.x.flags.writeable
    assert splits.classes == tuple("0123456789")


def test_each_file_of_mnist_may_be_packed_and_plain_ones_come_first(tmp_path):
    write_mnist(tmp_path)
    labels = tmp_path / "t10k-labels-idx1-ubyte"
    (tmp_path / f"{labels.name}.gz").write_bytes(gzip.compress(idx(np.array([7, 8, 9]))))
    assert read_mnist(tmp_path).test.y.tolist() == images(3, seed=3, size=(28, 28))[1].tolist()
    labels.unlink()
    assert read_mnist(tmp_path).test.y.tolist() == [7, 8, 9]
    (tmp_path / f"{labels.name}.gz").unlink()
    with Refused(r"t10k-labels-idx1-ubyte: expected this file, or with \.gz behind its name, came neither"):
        read_mnist(tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("images-idx3", b"", "expected the magic number 00000803 .* came an empty file"),
        ("images-idx3", idx(np.zeros((3, 28, 28)), bytes([0, 0, 13, 3])), "expected the magic number 00000803"),
        ("images-idx3", idx(np.zeros((3, 28, 28)), bytes([8, 0, 8, 3])), "expected the magic number 00000803"),
        ("images-idx3", idx(np.zeros(3)), "expected the magic number 00000803 .* came 00000801"),
        ("images-idx3", idx(np.zeros((3, 28, 27))), r"expected images of shape \(N, 28, 28\), came \(3, 28, 27\)"),
        ("images-idx3", idx(np.zeros((0, 28, 28))), r"expected images of shape .* came \(0, 28, 28\)"),
        ("images-idx3", idx(np.zeros((3, 28, 28)))[:-1], "expected 2,368 bytes, as its header says, came 2,367"),
        ("images-idx3", idx(np.zeros((3, 28, 28))) + b"\0", "expected 2,368 bytes, as its header says, came 2,369"),
        ("images-idx3", idx(np.zeros((3, 28, 28)))[:9], "expected .* bytes, as its header says, came 9"),
        ("images-idx3", bytes([0, 0, 8, 3]) + b"\xff" * 12, "bytes, as its header says, came 16"),
        ("images-idx3", idx(np.zeros((4, 28, 28))), "labels-.*: expected a label for each of 4 images, came 3"),
        ("labels-idx1", idx(np.zeros((3, 28, 28))), "expected the magic number 00000801 .* came 00000803"),
        ("labels-idx1", idx(np.zeros(2)), "expected a label for each of 3 images, came 2"),
        ("labels-idx1", idx(np.array([0, 10, 1])), "expected labels from 0 to 9, came 10"),
        ("labels-idx1", idx(np.zeros(3))[:-1], "expected 11 bytes, as its header says, came 10"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_mnist_that_is_refused(tmp_path, name, data, message, packed):
    write_mnist(tmp_path, packed)
    file = tmp_path / f"t10k-{name}-ubyte{'.gz' if packed else ''}"
    file.write_bytes(gzip.compress(data) if packed else data)
    with Refused(rf"t10k-.*{message}"):
        read_mnist(tmp_path)


def test_damaged_gzip(tmp_path):
    write_mnist(tmp_path, packed=True)
    file = tmp_path / "t10k-images-idx3-ubyte.gz"
    whole = file.read_bytes()
    changed = whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:]
    for data in (b"plain", whole[:5], whole[:100], whole[:-1], changed, whole + b"more"):
        file.write_bytes(data)
        with Refused(rf"{file.name}: expected a whole gzip file"):
            read_mnist(tmp_path)
