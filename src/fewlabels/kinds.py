"""The kinds of data that the command line reads and writes: tables, images and sentences."""

import importlib.util
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from fewlabels.errors import InputError

__all__ = ["KINDS", "Data", "Kind", "kind_of", "plain", "refuse_label"]

CHANNELS = {1: ["grey"], 3: ["red", "green", "blue"]}
"""The features of images, by how many there are a pixel."""


class Data(NamedTuple):
    """What a command reads: inputs, labels (where there are any), the names of the rows and of the features.

    ``text`` is a file or folder of more sentences, too many to be held in memory.
    """

    x: Any
    y: Any
    names: list[str]
    columns: list[str] | None
    text: Path | None = None


class Kind(NamedTuple):
    """How one kind of data is read and written.

    ``compared`` gives, of labelled examples, the true and the predicted labels, one or many each, and p(y | x) where
    each has one.
    """

    training: Callable[[Path, Path | None, str | None], Data]
    inputs: Callable[[Path, dict[str, Any], bool], Data]
    predictions: Callable[[Any, Data], list[dict[str, Any]]]
    text: Callable[[list[dict[str, Any]]], str]
    compared: Callable[[Any, Data], tuple[list[list[Any]], list[list[Any]], Any]]
    samples: Callable[[Any, Path, dict[str, Any]], dict[Path, bytes]]
    suffix: str


def kind_of(path: Path) -> str:
    """Tell the kind of data from the name of a path, which must exist."""
    if not path.exists():
        raise InputError(f"{path}: expected data, came a path that does not exist")
    if path.is_dir():
        return "images"
    if path.suffix.lower() not in _KIND_OF_SUFFIX:
        raise InputError(f"{path}: expected a folder of images or a file named {', '.join(_KIND_OF_SUFFIX)}")
    return _KIND_OF_SUFFIX[path.suffix.lower()]


def refuse_label(data: Path, label: str | None, name: str) -> None:
    """Refuse a label column for data that have no columns."""
    if label is not None and name != "table":
        raise InputError(
            f"{data}: expected --label with a table only, came --label {label} with {name} data: tables are .csv files "
            "with commas, or .parquet"
        )


def plain(value: Any) -> Any:
    """Return a label as a plain Python value, where it is a scalar of numpy."""
    import numpy as np

    return value.item() if isinstance(value, np.generic) else value


def _table_training(data: Path, unlabelled: Path | None, label: str | None) -> Data:
    import numpy as np

    from fewlabels.data.tables import read_table, read_table_like

    if label is None:
        raise InputError(f"{data}: expected the column of the labels, came none: add --label COLUMN")
    x, y, columns = read_table(data, label)
    assert y is not None
    if unlabelled is not None:
        more = read_table_like(unlabelled, columns, label, labelled=False).x
        x, y = np.concatenate([x, more]), np.concatenate([y, np.full(len(more), -1, dtype=object)])
    return Data(x, y, _numbers(x), columns)


def _table_inputs(data: Path, run: dict[str, Any], labelled: bool) -> Data:
    from fewlabels.data.tables import read_table_like

    table = read_table_like(data, run["columns"], run["label"], labelled=labelled)
    if labelled and table.y is None:
        raise InputError(f"{data}: expected the column {run['label']!r} of the labels, came none: add --label COLUMN")
    return Data(table.x, table.y, _numbers(table.x), table.columns)


def _table_samples(x: Any, out: Path, run: dict[str, Any]) -> dict[Path, bytes]:
    from fewlabels.data.tables import to_csv

    return {out: to_csv([dict(zip(run["columns"], row.tolist(), strict=True)) for row in x]).encode()}


def _image_training(data: Path, unlabelled: Path | None, label: str | None) -> Data:
    from fewlabels.data.images import read_images

    refuse_label(data, label, "images")
    x, y, names = read_images(data, unlabelled)
    return Data(x, y, names, CHANNELS[x.shape[3]])


def _image_inputs(data: Path, run: dict[str, Any], labelled: bool) -> Data:
    from fewlabels.data.contact_sheet import as_rgb
    from fewlabels.data.images import read_images

    x, y, names = read_images(data)
    if run["columns"] == CHANNELS[3]:
        x = as_rgb(x)
    elif x.shape[3] == 3:
        raise InputError(f"{data}: expected grey images, as in training, came images of colours: convert them to grey")
    return Data(x, y, names, CHANNELS[x.shape[3]])


def _image_samples(x: Any, out: Path, run: dict[str, Any]) -> dict[Path, bytes]:
    import numpy as np

    from fewlabels.data.contact_sheet import contact_sheet

    x = np.rint(x).clip(0, 255).astype(np.uint8)
    stream = io.BytesIO()
    np.savez_compressed(stream, x=x)
    sheet = {out.with_name(f"{out.name}.png"): contact_sheet(x)} if importlib.util.find_spec("matplotlib") else {}
    return {out: stream.getvalue(), **sheet}


def _row_predictions(estimator: Any, data: Data) -> list[dict[str, Any]]:
    p = estimator.predict_proba(data.x)
    labels = [plain(label) for label in estimator.classes_[p.argmax(1)]]
    highest = p.max(1).tolist()
    return [
        {"row": name, "prediction": label, "probability": probability}
        for name, label, probability in zip(data.names, labels, highest, strict=True)
    ]


def _row_text(records: list[dict[str, Any]]) -> str:
    from fewlabels.data.tables import to_csv

    return to_csv(records)


def _row_compared(estimator: Any, data: Data) -> tuple[list[list[Any]], list[list[Any]], Any]:
    labelled = data.y != -1
    if not labelled.any():
        return [], [], None
    p = estimator.predict_proba(data.x[labelled])
    return [[label] for label in data.y[labelled].tolist()], [[label] for label in estimator.classes_[p.argmax(1)]], p


def _sequence_training(data: Path, unlabelled: Path | None, label: str | None) -> Data:
    from fewlabels.data.sequences import read_partly_tagged

    refuse_label(data, label, "sequences")
    tokens, tags = read_partly_tagged(data)
    if unlabelled is None or unlabelled.is_dir() or _is_text(unlabelled):
        return Data(tokens, tags, _numbers(tokens), None, unlabelled)
    more = _untagged(unlabelled)
    return Data(tokens + more, [*tags, *[None] * len(more)], _numbers(tokens + more), None)


def _sequence_inputs(data: Path, run: dict[str, Any], labelled: bool) -> Data:
    from fewlabels.data.sequences import read_partly_tagged

    tokens, tags = read_partly_tagged(data) if labelled else (_untagged(data), None)
    return Data(tokens, tags, _numbers(tokens), None)


def _untagged(path: Path) -> list[list[str]]:
    """Read sentences without tags: plain text if the file is named `.txt`, else columns."""
    from fewlabels.data.sequences import read_text, read_tokens

    return read_text(path) if _is_text(path) else read_tokens(path)


def _is_text(path: Path) -> bool:
    return path.suffix.lower() == ".txt"


def _sequence_predictions(estimator: Any, data: Data) -> list[dict[str, Any]]:
    return [
        {"tokens": words, "tags": [plain(tag) for tag in tags]}
        for words, tags in zip(data.x, estimator.predict(data.x), strict=True)
    ]


def _sequence_text(records: list[dict[str, Any]]) -> str:
    from fewlabels.data.sequences import to_conll

    return to_conll([record["tokens"] for record in records], [record["tags"] for record in records])


def _sequence_compared(estimator: Any, data: Data) -> tuple[list[list[Any]], list[list[Any]], Any]:
    tagged = [(words, tags) for words, tags in zip(data.x, data.y, strict=True) if tags is not None]
    return [tags for _, tags in tagged], estimator.predict([words for words, _ in tagged]) if tagged else [], None


def _sequence_samples(sentences: list[list[str]], out: Path, run: dict[str, Any]) -> dict[Path, bytes]:
    return {out: "".join(" ".join(words) + "\n" for words in sentences).encode()}


def _numbers(rows: Any) -> list[str]:
    return [str(row) for row in range(len(rows))]


KINDS = {
    "table": Kind(
        _table_training, _table_inputs, _row_predictions, _row_text, _row_compared, _table_samples, suffix=".csv"
    ),
    "images": Kind(
        _image_training, _image_inputs, _row_predictions, _row_text, _row_compared, _image_samples, suffix=".npz"
    ),
    "sequences": Kind(
        _sequence_training,
        _sequence_inputs,
        _sequence_predictions,
        _sequence_text,
        _sequence_compared,
        _sequence_samples,
        suffix=".txt",
    ),
}
_KIND_OF_SUFFIX = {
    **dict.fromkeys((".csv", ".parquet"), "table"),
    ".npz": "images",
    **dict.fromkeys((".conll", ".conllu", ".tsv", ".bio", ".iob", ".txt"), "sequences"),
}
