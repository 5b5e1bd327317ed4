"""Tables: what is read, and every table that is refused."""

import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fewlabels.data.tables import parse_labels, read_table, read_table_like, to_csv
from fewlabels.errors import InputError


@pytest.fixture
def csv_file(tmp_path):
    def write(text, name="a.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def parquet_file(tmp_path, columns):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    return tmp_path / "a.parquet"


def test_csv_with_everything(csv_file):
    path = csv_file('﻿a, "b, c",ok,y\r\n1,2e3,True,cat\r\n\r\n-0.5, 4 ,false,\r\n"7",8,TRUE," dog"\r\n')
    path.write_text(path.read_text(encoding="utf-8").replace(', "b, c"', ',"b, c"'), encoding="utf-8")
    x, y, columns = read_table(path, label="y")
    assert columns == ["a", "b, c", "ok"]
    assert x.dtype == np.float64
    assert x.tolist() == [[1, 2000, 1], [-0.5, 4, 0], [7, 8, 1]]
    assert y.dtype == object and y.tolist() == ["cat", -1, "dog"]


def test_label_may_stand_anywhere_and_be_left_out(csv_file):
    path = csv_file("y,a\n1,2\n3,4\n")
    assert read_table(path, "y").x.tolist() == [[2], [4]]
    assert read_table(path).y is None
    assert read_table(path).columns == ["y", "a"]


@pytest.mark.parametrize(
    ("texts", "labels"),
    [
        (["cat", "", "3"], ["cat", -1, "3"]),
        (["0", "2", ""], [0, 2, -1]),
        (["0", "2", "-1"], [0, 2, -1]),
        (["1.0", "", "2.0"], [1, -1, 2]),
        (["02", "10", ""], ["02", "10", -1]),
        (["-2", "+1", ""], ["-2", "+1", -1]),
        (["true", "FALSE", ""], [True, False, -1]),
        (["True", "-1", "no"], ["True", -1, "no"]),
        (["1.5", "2", "two"], ["1.5", "2", "two"]),
        (["1", "9223372036854775808"], ["1", "9223372036854775808"]),  # which no array of integers holds
        (["-123456789012345678", "-1"], [-123456789012345678, -1]),
        (["1_2.5", "1_3.5"], ["1_2.5", "1_3.5"]),
        (["123456789012345678", "-1"], [123456789012345678, -1]),
        (["", " "], [-1, -1]),
    ],
)
def test_types_of_labels(tmp_path, texts, labels):
    y = parse_labels(texts, tmp_path)
    assert y.tolist() == labels
    assert [type(label) for label in y] == [type(label) for label in labels]


@pytest.mark.parametrize(
    ("texts", "message"),
    [(["1.5", "2", ""], "came the number 1.5"), (["1", "-1", ""], "both empty")]
    + [(["a", text, text, "b"], f"came {text!r} in 2 rows") for text in ("NA", "nan", "NaN", "<NA>", "null")],
)
def test_labels_of_unknown_meaning(tmp_path, texts, message):
    with pytest.raises(InputError, match=message):
        parse_labels(texts, tmp_path)


def test_parquet_equals_csv(tmp_path, csv_file):
    columns = {"a": [1, 2, 3], "b": [0.5, 1.5, 2.5], "ok": [True, False, True], "y": ["cat", None, "dog"]}
    table = read_table(parquet_file(tmp_path, columns), "y")
    same = read_table(csv_file("a,b,ok,y\n1,0.5,true,cat\n2,1.5,false,\n3,2.5,true,dog\n"), "y")
    np.testing.assert_array_equal(table.x, same.x)
    assert (table.y.tolist(), table.columns) == (same.y.tolist(), same.columns)


@pytest.mark.parametrize(
    ("column", "labels"),
    [
        (pa.array([1.0, None, 2.0]), [1, -1, 2]),
        (pa.array([7, None, -1], pa.int8()), None),
        (pa.array([True, None, False]), [True, -1, False]),
        (pa.array(["a", "b", None]).dictionary_encode(), ["a", "b", -1]),
        (pa.nulls(3), [-1, -1, -1]),
    ],
)
def test_labels_in_parquet(tmp_path, column, labels):
    path = parquet_file(tmp_path, {"a": [1, 2, 3], "y": column})
    if labels is None:
        with pytest.raises(InputError, match="both empty labels and -1"):
            read_table(path, "y")
    else:
        assert read_table(path, "y").y.tolist() == labels


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([1.0, None]), r"row 1 \(counted from 0\), column 'b': expected a finite number, came an empty cell"),
        (pa.array([float("nan"), 1.0]), "row 0 .*column 'b'.* came 'nan'"),
        (pa.array([1.0, float("inf")]), "row 1 .*column 'b'.* came 'inf'"),
        (pa.array(["x", "y"]), "row 0 .*column 'b'.* came 'x'"),
        (pa.array([[1], [2]]), "column 'b': expected numbers, booleans or text, came type list"),
        (pa.array([b"1", b"2"]), "column 'b': expected numbers, booleans or text, came type binary"),
    ],
)
def test_parquet_features_that_are_no_numbers(tmp_path, column, message):
    with pytest.raises(InputError, match=message):
        read_table(parquet_file(tmp_path, {"a": [1, 2], "b": column}))


def test_parquet_numbers_as_text_are_read_as_in_csv(tmp_path):
    path = parquet_file(tmp_path, {"a": pa.array(["1.5", " 2", "true"]), "y": ["p", "q", ""]})
    assert read_table(path, "y").x.tolist() == [[1.5], [2.0], [1.0]]


def test_an_index_of_pandas_is_no_feature(tmp_path):
    path = parquet_file(tmp_path, {"a": [1], "__index_level_0__": [7]})
    with pytest.raises(InputError, match=r"no index of pandas, came __index_level_0__: .*index=False"):
        read_table(path)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_are_named(tmp_path, separator):
    path = tmp_path / "a.csv"
    path.write_text(f"a{separator}b\n1{separator}2\n")
    with pytest.raises(InputError, match="expected cells separated by commas, came "):
        read_table(path, "b")


def test_parquet_labels_of_unknown_type(tmp_path):
    path = parquet_file(tmp_path, {"a": [1], "y": pa.array([0], pa.timestamp("s"))})
    with pytest.raises(InputError, match="column 'y': expected numbers, booleans or text, came type timestamp"):
        read_table(path, "y")


@pytest.mark.parametrize("data", [b"", b"a,b\n1,2\n", b"PAR1", b"PAR1 cut off"])
def test_parquet_that_is_none(csv_file, data):
    with pytest.raises(InputError, match=r"a\.parquet: expected a whole Parquet file"):
        read_table(csv_file(data, "a.parquet"))


def test_parquet_truncated_anywhere(tmp_path):
    path = parquet_file(tmp_path, {"a": [1.0, 2.0], "y": ["p", "q"]})
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="expected a whole Parquet file"):
            read_table(path, "y")


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    path = parquet_file(tmp_path, {"a": [1.0]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install 'fewlabels\[parquet\]'"):
        read_table(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty file"),
        ("a,y\n", "expected rows below the header, came none"),
        ("y\n1\n", "expected columns of features"),
        ("a,y\n1,2\n3\n", r"a\.csv:3: expected 2 cells as in the header, came 1"),
        ("a,y\n1,2\n3,4,5\n", r"a\.csv:3: expected 2 cells as in the header, came 3"),
        ("a,y\n1,p\n\nx,q\n", r"a\.csv, line 4, column 'a': expected a finite number, came 'x'"),
        ("a,y\n1,p\n,q\n", "line 3, column 'a': expected a finite number, came an empty cell"),
        ("a,y\nnan,p\n", "line 2, column 'a': expected a finite number, came 'nan'"),
        ("a,y\n-inf,p\n", "line 2, column 'a': expected a finite number, came '-inf'"),
        ("a,a,y\n1,2,3\n", "came 'a' more than once"),
        (",a,y\n0,1,2\n", "column 1 has none: name it, or drop it if it counts rows"),
        ('a,y\n"1,2\n', r"a\.csv:3?.*comma-separated cells"),
        (b"PAR1\0\0\0PAR1", "came binary data"),
        ("a,y\n1,é\n".encode("latin-1"), r"a\.csv:2: expected UTF-8"),
    ],
)
def test_csv_that_is_refused(csv_file, text, message):
    with pytest.raises(InputError, match=message):
        read_table(csv_file(text), "y")


def test_lines_are_counted_through_quoted_line_breaks(csv_file):
    with pytest.raises(InputError, match="line 4, column 'a'"):
        read_table(csv_file('a,y\n1,"two\nlines"\nx,q\n'), "y")


def test_a_column_that_does_not_exist(csv_file):
    path = csv_file("width,species\n1,2\n")
    with pytest.raises(InputError, match="column 'speices', came columns width, species; did you mean 'species'"):
        read_table(path, "speices")
    with pytest.raises(InputError, match=r"came columns width, species$"):
        read_table(path, "colour")


def test_long_lists_of_columns_are_cut(csv_file):
    path = csv_file(",".join(f"c{i}" for i in range(30)) + "\n" + ",".join("1" * 30) + "\n")
    with pytest.raises(InputError, match=r"c19, \.\.\. \(30 in all\)"):
        read_table(path, "y")


def test_names_that_are_no_tables(csv_file, tmp_path):
    with pytest.raises(InputError, match=r"named \.csv or \.parquet, came \.xlsx"):
        read_table(csv_file("a\n1\n", "a.xlsx"))
    with pytest.raises(InputError, match="No such file"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(InputError, match=r"absent\.parquet"):
        read_table(tmp_path / "absent.parquet")


def test_a_table_like_another(csv_file):
    path = csv_file("a,y,b\n1,p,2\n")
    assert read_table_like(path, ["a", "b"], "y").y.tolist() == ["p"]
    assert read_table_like(csv_file("a,b\n1,2\n"), ["a", "b"], "y").y is None
    unread = read_table_like(csv_file("a,y,b\n1,NA,2\n"), ["a", "b"], "y", labelled=False)
    assert unread.y is None and unread.x.tolist() == [[1, 2]]


def test_an_empty_line_of_one_column_is_an_empty_cell_unless_nothing_follows(csv_file):
    with pytest.raises(InputError, match="line 3, column 'x': expected a finite number, came an empty cell"):
        read_table(csv_file("x\n1\n\n3\n"))
    assert read_table(csv_file("\nx\n1\n3\n\n\n")).x.tolist() == [[1], [3]]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("a,y", "missing b"),
        ("a,b,c,y", "not known c"),
        ("a,B,y", "missing b and not known B"),
        ("b,a", "came another order: expected a, b, came b, a"),
    ],
)
def test_a_table_unlike_another(csv_file, header, message):
    path = csv_file(header + "\n" + ",".join("1" * len(header.split(","))) + "\n")
    with pytest.raises(InputError, match=f"expected the columns of the training table, {message}$"):
        read_table_like(path, ["a", "b"], "y")


def test_csv_that_is_written_can_be_read(csv_file):
    records = [{"a": 0.1, "name, quoted": 'say "hi"'}, {"a": 1e-300, "name, quoted": "x"}]
    table = read_table(csv_file(to_csv(records)), "name, quoted")
    assert table.x.ravel().tolist() == [0.1, 1e-300]
    assert table.y.tolist() == ['say "hi"', "x"]
