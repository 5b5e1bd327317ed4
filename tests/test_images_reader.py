"""Images: what is read, and every image that is refused."""

import io
import os
import sys

import numpy as np
import pytest
from PIL import Image

from fewlabels.data.contact_sheet import contact_sheet
from fewlabels.data.images import read_images
from fewlabels.errors import InputError

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
COLOUR = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)


@pytest.fixture
def folder(tmp_path):
    def make(files, name="data"):
        for file, pixels in files.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
        return tmp_path / name

    return make


@pytest.fixture
def archive(tmp_path):
    def make(**arrays):
        np.savez(tmp_path / "a.npz", **arrays)
        return tmp_path / "a.npz"

    return make


def test_class_folders(folder):
    path = folder({"dog/1.png": GREY + 1, "cat/2.png": GREY + 2, "cat/1.bmp": GREY, "7/x.png": GREY + 3})
    (path / ".DS_Store").write_bytes(b"")
    (path / "cat" / ".hidden").write_bytes(b"")
    x, y, names = read_images(path)
    assert x.shape == (4, 3, 4, 1) and x.dtype == np.uint8
    assert y.tolist() == ["7", "cat", "cat", "dog"] and y.dtype == object
    np.testing.assert_array_equal(x[..., 0], [GREY + 3, GREY, GREY + 2, GREY + 1])
    assert [os.path.relpath(name, path) for name in names] == ["7/x.png", "cat/1.bmp", "cat/2.png", "dog/1.png"]


@pytest.mark.parametrize("inside", [True, False])
def test_unlabelled_folder(folder, inside):
    path = folder({"cat/1.png": GREY, "dog/1.png": GREY})
    more = folder({"1.png": GREY + 1, "2.png": GREY + 2}, "data/unlabelled" if inside else "more")
    x, y, names = read_images(path, more)
    assert y.tolist() == ["cat", "dog", -1, -1]
    np.testing.assert_array_equal(x[2:, ..., 0], [GREY + 1, GREY + 2])
    assert names[3] == str(more / "2.png")


def test_labels_of_unlabelled_data_are_ignored(folder):
    path = folder({"cat/1.png": GREY})
    assert read_images(path, folder({"dog/1.png": GREY}, "more")).y.tolist() == ["cat", -1]


def test_folder_without_classes_is_unlabelled(folder):
    assert read_images(folder({"1.png": GREY})).y.tolist() == [-1]


def test_grey_becomes_colour_where_any_is_colour(folder):
    x = read_images(folder({"a/1.png": GREY, "b/1.png": COLOUR})).x
    np.testing.assert_array_equal(x, [np.stack([GREY] * 3, axis=-1), COLOUR])
    x = read_images(folder({"a/1.png": GREY}, "grey"), folder({"1.png": COLOUR}, "colour")).x
    np.testing.assert_array_equal(x, [np.stack([GREY] * 3, axis=-1), COLOUR])


@pytest.mark.parametrize(
    ("mode", "channels"), [("1", 1), ("L", 1), ("LA", 1), ("P", 3), ("RGB", 3), ("RGBA", 3), ("CMYK", 3)]
)
def test_modes(tmp_path, mode, channels):
    image = Image.fromarray(np.full((2, 2, 3), 255, dtype=np.uint8)).convert(mode)
    image.save(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"))
    x = read_images(tmp_path).x
    assert x.shape == (1, 2, 2, channels) and (x == 255).all()


def test_palette_with_transparency(tmp_path):
    image = Image.fromarray(COLOUR).quantize(4)
    image.save(tmp_path / "a.png", transparency=bytes([0, 128, 255, 255]))
    np.testing.assert_array_equal(read_images(tmp_path).x[0], np.asarray(image.convert("RGB")))


def test_archive(archive):
    x = np.stack([GREY, GREY + 1, GREY + 2])
    images = read_images(archive(x=x, y=np.array([3, -1, 5]), x_unlabelled=x[:1]))
    np.testing.assert_array_equal(images.x[..., 0], [*x, x[0]])
    assert images.y.tolist() == [3, -1, 5, -1]
    assert images.names == ["0", "1", "2", "x_unlabelled[0]"]
    assert read_images(archive(x=COLOUR[None])).y.tolist() == [-1]


def test_archive_of_floats(archive):
    np.testing.assert_array_equal(read_images(archive(x=GREY[None] / np.float32(255))).x[0, ..., 0], GREY)


@pytest.mark.parametrize(
    ("y", "labels"),
    [
        (np.array(["cat", "-1"]), ["cat", -1]),
        (np.array([True, False]), [True, False]),
        (np.array([2.0, -1.0]), [2, -1]),
        (np.array([2, 3], np.uint8), [2, 3]),
    ],
)
def test_labels_of_archives(archive, y, labels):
    read = read_images(archive(x=np.stack([GREY, GREY]), y=y)).y.tolist()
    assert read == labels and [type(label) for label in read] == [type(label) for label in labels]


def test_archive_with_a_folder_of_unlabelled_images(archive, folder):
    assert read_images(archive(x=GREY[None], y=np.array([1])), folder({"1.png": GREY})).y.tolist() == [1, -1]


def test_sizes_that_differ(folder, archive):
    path = folder({"a/1.png": GREY, "a/2.png": GREY, "b/3.png": GREY.T, "b/4.png": GREY[:2]})
    with pytest.raises(InputError, match=r"came 3 x 4 in .*a/1\.png and 4 x 3 in .*b/3\.png"):
        read_images(path)
    first = folder({"a/1.png": GREY}, "first")
    with pytest.raises(InputError, match=r"3 x 4 in .*1\.png and 4 x 3 in .*2\.png"):
        read_images(first, folder({"2.png": GREY.T}, "second"))
    with pytest.raises(InputError, match=r"3 x 4 in 0 and 4 x 3 in x_unlabelled\[0\]"):
        read_images(archive(x=GREY[None], x_unlabelled=GREY.T[None]))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.gif", "a.tif"])
def test_truncated_images(tmp_path, name):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 30, 3), dtype=np.uint8)).save(
        stream, format={"jpg": "jpeg", "tif": "tiff"}.get(name[2:], name[2:])
    )
    whole = stream.getvalue()
    (tmp_path / "whole.png").parent.mkdir(exist_ok=True)
    for part in (0, 3, 20, len(whole) // 2, len(whole) - 40):
        (tmp_path / name).write_bytes(whole[:part])
        with pytest.raises(InputError, match=rf"{name}: expected a whole image"):
            read_images(tmp_path)


def test_files_that_are_no_images(folder, tmp_path):
    path = folder({"a/1.png": GREY})
    (path / "a" / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match=r"notes\.txt: expected a whole image"):
        read_images(path)
    Image.fromarray(GREY.astype(np.uint16) * 1000).save(tmp_path / "deep.png")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep.png").rename(tmp_path / "deep" / "1.png")
    with pytest.raises(InputError, match=r"1\.png: expected an image of 8 bits a channel, came mode I"):
        read_images(tmp_path / "deep")


def test_folders_that_are_refused(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="expected images, came an empty folder"):
        read_images(tmp_path / "empty")
    path = folder({"a/1.png": GREY})
    (path / "b").mkdir()
    with pytest.raises(InputError, match="b: expected images, came an empty folder"):
        read_images(path)
    with pytest.raises(InputError, match=r"expected class folders only, came the file 2\.png"):
        read_images(folder({"a/1.png": GREY, "2.png": GREY}, "mixed"))
    with pytest.raises(InputError, match="train: expected images, came the folder cat"):
        read_images(folder({"train/cat/1.png": GREY}, "deep"))
    with pytest.raises(InputError, match="came unlabeled: give that folder as the unlabelled data"):
        read_images(folder({"cat/1.png": GREY, "unlabeled/1.png": GREY}, "reserved"))
    with pytest.raises(InputError, match="came nothing"):
        read_images(tmp_path / "absent")
    with pytest.raises(InputError, match="came a file"):
        read_images(path / "a" / "1.png")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": GREY[None]}, "expected an array `x`, came images"),
        ({"x": GREY}, r"x: expected shape \(N, H, W\) or .* came \(3, 4\)"),
        ({"x": GREY[None, None]}, r"came \(1, 1, 3, 4\)"),
        ({"x": GREY[None][:0]}, r"came \(0, 3, 4, 1\)"),
        ({"x": GREY[None].astype(int)}, "expected uint8 or float in .* came int64"),
        ({"x": GREY[None].astype(float)}, r"expected float in \[0, 1\], came 0.0 to 11.0"),
        ({"x": np.full((1, 2, 2), np.nan)}, "came nan to nan"),
        ({"x": GREY[None], "y": np.array([1, 2])}, r"y: expected shape \(1,\) to match x, came \(2,\)"),
        ({"x": GREY[None], "y": np.array([0.5])}, "came the number 0.5"),
        ({"x": GREY[None], "y": np.array([1j])}, "labels that are text, integers or booleans, came complex128"),
        ({"x": GREY[None], "x_unlabelled": GREY}, "x_unlabelled: expected shape"),
        ({"x": GREY[None], "y": np.array([{}])}, "expected an .npz archive of plain arrays"),
    ],
)
def test_archives_that_are_refused(archive, arrays, message):
    with pytest.raises(InputError, match=message):
        read_images(archive(**arrays))


def test_archives_that_are_none(archive, tmp_path):
    whole = archive(x=GREY[None]).read_bytes()
    for data in (b"", b"text", whole[:50], whole[:-10]):
        (tmp_path / "a.npz").write_bytes(data)
        with pytest.raises(InputError, match=r"a\.npz: expected an \.npz archive"):
            read_images(tmp_path / "a.npz")
    with open(tmp_path / "a.npz", "wb") as stream:
        np.save(stream, GREY)
    with pytest.raises(InputError, match=r"came one \.npy array"):
        read_images(tmp_path / "a.npz")


def test_images_without_pillow(folder, monkeypatch):
    path = folder({"1.png": GREY})
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(InputError, match=r"pip install 'fewlabels\[images\]'"):
        read_images(path)


@pytest.mark.parametrize("scale", [1, 255.0])
def test_contact_sheet_shows_every_image(scale):
    x = np.stack([COLOUR + 10 * i for i in range(5)])
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet(x if scale == 1 else x / scale))).convert("RGB"))
    assert sheet.shape == (2 * 4, 3 * 5, 3)
    for i in range(5):
        row, column = 4 * (i // 3), 5 * (i % 3)
        np.testing.assert_array_equal(sheet[row : row + 3, column : column + 4], x[i])
    grey = np.asarray(Image.open(io.BytesIO(contact_sheet(GREY[None]))).convert("L"))
    np.testing.assert_array_equal(grey[:3, :4], GREY)
