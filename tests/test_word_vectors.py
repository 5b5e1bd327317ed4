"""Word vectors in text: both formats, which row a word gets, and every file that is refused."""

import numpy as np
import pytest

from fewlabels.data.word_vectors import read_word_vectors
from fewlabels.errors import InputError


@pytest.fixture
def file(tmp_path):
    def write(text):
        (tmp_path / "v.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / "v.txt"

    return write


def test_the_form_itself_then_lower_case_then_zero(file):
    path = file("the 1 2\nThe 3 4\nus 5 -6e-1\n")
    vectors = read_word_vectors(path, ["The", "the", "THE", "US", "us", "dog", "<unk>"])
    assert vectors.dtype == np.float32
    expected = [[3, 4], [1, 2], [1, 2], [5, -0.6], [5, -0.6], [0, 0], [0, 0]]
    np.testing.assert_array_equal(vectors, np.array(expected, dtype=np.float32))


def test_upper_case_is_never_borrowed(file):
    assert read_word_vectors(file("The 3 4\n"), ["the"]).tolist() == [[0, 0]]


@pytest.mark.parametrize("end", ["\n", " \n", "\r\n"])
def test_the_header_of_word2vec(file, end):
    path = file(end.join(["3 2", "the 1 2", "5 3 4", "a 5 6", ""]))
    assert read_word_vectors(path, ["a", "the", "5", "3"]).tolist() == [[5, 6], [1, 2], [3, 4], [0, 0]]


def test_without_a_header_the_first_line_is_a_word(file):
    assert read_word_vectors(file("3 2 1\nthe 1 2\n"), ["3", "the"]).tolist() == [[2, 1], [1, 2]]


def test_words_with_blanks(file):
    """Lines that glove.840B.300d has, shortened; a no-break space inside a word is part of it."""
    text = ", 1 2\n. . . 3 4\nat name@domain.com 5 6\n10\u00a0000 7 8\nto infinity 9 10\n"
    words = [". . .", "at name@domain.com", "10\u00a0000", "to infinity", "name@domain.com"]
    assert read_word_vectors(file(text), words).tolist() == [[3, 4], [5, 6], [7, 8], [9, 10], [0, 0]]


def test_the_first_of_two_rows_counts(file):
    assert read_word_vectors(file("a 1\na 2\n"), ["a"]).tolist() == [[1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"v\.txt: expected lines of a word and its numbers, came a file without any"),
        ("2 3\n", r"v\.txt: expected lines of a word and its numbers, came a file without any"),
        ("a\n", r"v\.txt:1: expected a word and its numbers, came 1 fields"),
        ("a 1 2\nb 3\n", r"v\.txt:2: expected a word and 2 numbers, came 2 fields in all"),
        ("a 1 2\nb 3 4 5\n", r"v\.txt:2: expected a word and 2 numbers, came 4 fields in all"),
        ("a 1 2\n\nb 3 4\n", r"v\.txt:2: expected a word and 2 numbers, came 1 fields"),
        ("2 2\na 1 2\nb 3\n", r"v\.txt:3: expected a word and 2 numbers, came 2 fields"),
        ("3 2\na 1 2\nb 3 4\n", r"v\.txt: expected 3 vectors as its header says, came 2: get the whole file"),
        ("a 1 2\nb 3 x\n", r"v\.txt:2: expected finite numbers behind the word, came 'x'"),
        ("a 1 2\nb nan 1\n", r"v\.txt:2: expected finite numbers behind the word, came 'nan'"),
        (b"a 1 2\n\xe9 3 4\n", r"v\.txt:2: expected UTF-8 text, came byte 0xe9"),
        (b"a 1 2\n\0\0\n", r"v\.txt:2: expected UTF-8 text, came binary data"),
    ],
)
def test_files_that_are_refused(file, text, message):
    with pytest.raises(InputError, match=message):
        read_word_vectors(file(text), ["a", "b"])


@pytest.mark.parametrize("text", ["a 1 2\nb 3 4\n", "2 2\na 1 2\nb 3 4\n"])
def test_vectors_of_another_size_are_refused(file, text):
    assert read_word_vectors(file(text), ["b"], 2).tolist() == [[3, 4]]
    with pytest.raises(InputError, match=r"v\.txt: expected vectors of 3 numbers, came 2"):
        read_word_vectors(file(text), ["b"], 3)


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_word_vectors(tmp_path / "v.txt", ["a"])
