"""Tables: CSV and Parquet files of numeric features, with a column of labels in which an empty cell is unlabelled."""

import csv
import difflib
import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fewlabels.errors import InputError
from fewlabels.files import read_utf8

__all__ = ["Table", "canonical", "parse_labels", "read_table", "read_table_like", "to_csv"]

_BOOLEANS = {"true": True, "false": False}
_UNLABELLED = {"", "-1", "-1.0"}
_MISSING = {"NA", "N/A", "<NA>", "NaN", "nan", "NaT", "NULL", "null"}
"""What other programs write for a missing value."""

_INDEX = re.compile(r"__index_level_\d+__")
"""How pandas names an index without a name in a Parquet file."""

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)(\.0+)?")
_DIGITS = 18
"""Of integers that 64 bits hold for sure; longer ones, such as hashes, are names."""

_SHOWN = 20


class Table(NamedTuple):
    """A table of N rows and D features.

    Attributes
    ----------
    x : float64 array (N, D)
        The features, all finite; booleans are 0 and 1.
    y : object array (N,) or None
        The labels, -1 where a row is unlabelled; None if no label column was read.
    columns : list of str
        The D names of the features.
    """

    x: NDArray[np.float64]
    y: NDArray[np.object_] | None
    columns: list[str]


def read_table(path: str | Path, label: str | None = None) -> Table:
    r"""Read a CSV file (comma-separated, UTF-8, with a header line) or a Parquet file.

    Parameters
    ----------
    path : str or Path
        A file named `.csv` or `.parquet`.
    label : str, optional
        The column of the labels, read as `parse_labels` says. All other columns are features: numbers or booleans.

    Returns
    -------
    Table
        Its `y` is None without `label`.

    Raises
    ------
    InputError
        The file is not what its name says, has no rows or features, a ragged line, an unnamed or repeated column, a
        cell that is no finite number (file, line and column are named), or no column `label`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "flowers.csv"
    ...     _ = path.write_text("width,height,species\n1.5,2,iris\n3,4,\n")
    ...     table = read_table(path, label="species")
    >>> table.columns, table.x.tolist(), table.y.tolist()
    (['width', 'height'], [[1.5, 2.0], [3.0, 4.0]], ['iris', -1])
    """
    source = _open(Path(path))
    if label is not None and label not in source.names:
        close = difflib.get_close_matches(label, source.names, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise InputError(f"{path}: expected a column {label!r}, came columns {_listed(source.names)}{hint}")
    return _table(source, [name for name in source.names if name != label], label)


def read_table_like(
    path: str | Path, columns: Sequence[str], label: str | None = None, *, labelled: bool = True
) -> Table:
    """Read a table whose features must be those of another table, in name and order.

    Parameters
    ----------
    path : str or Path
        A file named `.csv` or `.parquet`.
    columns : sequence of str
        The features of the table a model was trained with.
    label : str, optional
        A column that may be there or not; it is no feature.
    labelled : bool
        Whether that column is read; where it is not, it may hold anything.

    Returns
    -------
    Table
        Its `y` is None if the file has no column `label`, or it is not read.

    Raises
    ------
    InputError
        As `read_table`; or a feature is missing, is one too many, or stands elsewhere.
    """
    source = _open(Path(path))
    came = [name for name in source.names if name != label]
    if came != list(columns):
        raise InputError(f"{path}: expected the columns of the training table, {_difference(columns, came)}")
    return _table(source, columns, label if labelled and label in source.names else None)


def parse_labels(texts: Sequence[str], path: Path) -> NDArray[np.object_]:
    """Turn the text of labels into integers if all are integers, booleans if all are true or false, else leave text.

    Parameters
    ----------
    texts : sequence of N str
        An empty text or -1 is unlabelled. `2.0` is the integer 2; `02` is text, as are integers of 19 digits or more.
    path : Path
        The file, for messages.

    Returns
    -------
    object array (N,)
        -1 where unlabelled.

    Raises
    ------
    InputError
        All labels are numbers and some are fractions, both empty texts and -1 occur, or what other programs write for
        a missing value, such as NA.

    Examples
    --------
    >>> parse_labels(["3", "", "4"], Path("a.csv")).tolist()
    [3, -1, 4]
    >>> parse_labels(["True", "false", "-1"], Path("a.csv")).tolist()
    [True, False, -1]
    """
    texts = [text.strip() for text in texts]
    labelled = [text for text in texts if text not in _UNLABELLED]
    if "" in texts and any(text in _UNLABELLED for text in texts if text):
        raise InputError(
            f"{path}: expected one mark for unlabelled rows, came both empty labels and -1: if -1 is a class, rename it"
        )
    missing = [text for text in labelled if text in _MISSING]
    if missing:
        raise InputError(
            f"{path}: expected an empty label, or -1, where a row has none, came {missing[0]!r} in "
            f"{missing.count(missing[0])} rows: replace these, or rename the class"
        )
    convert = _converter(labelled, path)
    y = np.empty(len(texts), dtype=object)
    y[:] = [-1 if text in _UNLABELLED else convert(text) for text in texts]
    return y


def canonical(label: object) -> str:
    """Return what different spellings of a label have in common, by which files of other labels are compared.

    Examples
    --------
    >>> canonical("2.0"), canonical(2), canonical("True"), canonical("rose")
    ('2', '2', 'true', 'rose')
    """
    text = str(label).strip()
    if text.lower() in _BOOLEANS:
        return text.lower()
    return text.split(".")[0] if _INTEGER.fullmatch(text) else text


def to_csv(records: Sequence[dict[str, Any]]) -> str:
    r"""Return records, all with the keys of the first, as CSV with a header line.

    Examples
    --------
    >>> to_csv([{"row": "0", "prediction": "iris"}])
    'row,prediction\n0,iris\n'
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return stream.getvalue()


@dataclass(frozen=True)
class _Csv:
    path: Path
    names: list[str]
    rows: list[list[str]]
    lines: list[int]

    def texts(self, name: str) -> list[str]:
        """Return the cells of a column, "" where empty."""
        column = self.names.index(name)
        return [row[column] for row in self.rows]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return the cells of a column, NaN where they are no numbers."""
        return np.array([_number(text) for text in self.texts(name)], dtype=np.float64)

    def place(self, row: int) -> str:
        """Name the place of a row in messages."""
        return f"line {self.lines[row]}"


@dataclass(frozen=True)
class _Parquet:
    path: Path
    names: list[str]
    table: Any

    def texts(self, name: str) -> list[str]:
        """Return the cells of a column, "" where empty."""
        import pyarrow.types as types

        column = self.table.column(name)
        kind = column.type.value_type if types.is_dictionary(column.type) else column.type
        if not (_is_numeric(kind) or types.is_string(kind) or types.is_large_string(kind) or types.is_null(kind)):
            raise InputError(f"{self.path}: column {name!r}: expected numbers, booleans or text, came type {kind}")
        return ["" if value is None else str(value) for value in column.to_pylist()]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return the cells of a column, NaN where they are no numbers."""
        import pyarrow.types as types

        column = self.table.column(name)
        if types.is_string(column.type) or types.is_large_string(column.type):
            return np.array([_number(text) for text in self.texts(name)], dtype=np.float64)
        if not _is_numeric(column.type):
            return np.full(len(column), math.nan)
        return column.cast("float64", safe=False).to_numpy()

    def place(self, row: int) -> str:
        """Name the place of a row in messages."""
        return f"row {row} (counted from 0)"


def _open(path: Path) -> _Csv | _Parquet:
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise InputError(f"{path}: expected a table named .csv or .parquet, came {path.suffix or 'no suffix'}")
    source = _open_csv(path) if path.suffix.lower() == ".csv" else _open_parquet(path)
    if "" in source.names:
        place = source.names.index("") + 1
        raise InputError(
            f"{path}: expected a name for every column, column {place} has none: name it, or drop it if it counts rows"
        )
    index = [name for name in source.names if _INDEX.fullmatch(name)]
    if index:
        raise InputError(
            f"{path}: expected no index of pandas, came {index[0]}: write it by to_parquet(..., index=False)"
        )
    repeated = [name for name in source.names if source.names.count(name) > 1]
    if repeated:
        raise InputError(f"{path}: expected different names of columns, came {repeated[0]!r} more than once")
    return source


def _open_csv(path: Path) -> _Csv:
    reader = csv.reader(io.StringIO(read_utf8(path), newline=""), strict=True)
    rows, lines = [], []
    try:
        names = [name.strip() for name in next(filter(None, reader))]
        for separator in ";\t":
            if len(names) == 1 and separator in names[0]:
                raise InputError(
                    f"{path}: expected cells separated by commas, came {separator!r}: write it with commas"
                )
        blank: list[int] = []
        for row in reader:
            if not row:
                blank.append(reader.line_num)
                continue
            if len(names) == 1:  # of one column, a line that is empty is an empty cell, unless it is behind the last
                rows += [[""]] * len(blank)
                lines += blank
            blank.clear()
            if len(row) != len(names):
                raise InputError(
                    f"{path}:{reader.line_num}: expected {len(names)} cells as in the header, came {len(row)}"
                )
            rows.append(row)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: expected comma-separated cells, came: {error}") from error
    return _Csv(path, names, rows, lines)


def _open_parquet(path: Path) -> _Parquet:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(f"{path}: reading Parquet needs pyarrow: pip install 'fewlabels[parquet]'") from error
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            table = file.read()
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: expected a whole Parquet file, came something else ({reason})") from error
    return _Parquet(path, table.column_names, table)


def _table(source: _Csv | _Parquet, columns: Sequence[str], label: str | None) -> Table:
    if not columns:
        raise InputError(f"{source.path}: expected columns of features, came only the labels")
    x = np.column_stack([_features(source, name) for name in columns])
    if len(x) == 0:
        raise InputError(f"{source.path}: expected rows below the header, came none")
    return Table(x, None if label is None else parse_labels(source.texts(label), source.path), list(columns))


def _features(source: _Csv | _Parquet, name: str) -> NDArray[np.float64]:
    values = source.numbers(name)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        text = source.texts(name)[bad[0]]
        raise InputError(
            f"{source.path}, {source.place(int(bad[0]))}, column {name!r}: expected a finite number, "
            f"came {repr(text) if text.strip() else 'an empty cell'}: mend it, drop the column, or name it as the label"
        )
    return values


def _number(text: str) -> float:
    """Return the number or boolean a text stands for, NaN if it is neither; `1_2`, to Python 12, is neither."""
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return float(_BOOLEANS.get(text.strip().lower(), math.nan))


def _converter(labelled: list[str], path: Path) -> Callable[[str], object]:
    if all(text.lower() in _BOOLEANS for text in labelled):
        return lambda text: _BOOLEANS[canonical(text)]
    if all(_INTEGER.fullmatch(text) and len(canonical(text).lstrip("-")) <= _DIGITS for text in labelled):
        return lambda text: int(canonical(text))
    if all(_is_number(text) for text in labelled):
        fractions = [text for text in labelled if not float(text).is_integer()]
        if fractions:
            raise InputError(
                f"{path}: expected labels that are text, integers or booleans, came the number {fractions[0]}"
            )
    return str


def _is_number(text: str) -> bool:
    return text.lower() not in _BOOLEANS and not math.isnan(_number(text))


def _is_numeric(kind: Any) -> bool:
    """Tell whether a type of Arrow is a number or a boolean."""
    import pyarrow.types as types

    return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind)


def _difference(expected: Sequence[str], came: Sequence[str]) -> str:
    """Say how two lists of columns differ."""
    missing = [name for name in expected if name not in came]
    extra = [name for name in came if name not in expected]
    parts = [f"missing {_listed(missing)}"] * bool(missing) + [f"not known {_listed(extra)}"] * bool(extra)
    return " and ".join(parts) or f"came another order: expected {_listed(expected)}, came {_listed(came)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f", ... ({len(names)} in all)" if len(names) > _SHOWN else "")
