"""Tables 3 and 4 from stored runs, with the paper's figures beside: as text, as CSV and as a page.

Table 3 is the mean over seeds of each task, share of the labels, ratio U/L and method.  Table 4 is the relative error
reduction of joint training, 100 (1 - (100 - joint) / (100 - reference)) percent, in which accuracy or F1 is percent.
Differences and reductions are taken between runs of the same seeds.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich import box
from rich.table import Table

from fewlabels.data.tables import to_csv
from fewlabels.experiments.plain_text import plain_text
from fewlabels.experiments.published import JOINT_WINS, published, reductions
from fewlabels.files import write_atomically
from fewlabels.results import Run, deviation, percent, read_runs, versions

__all__ = [
    "METHODS",
    "TASK_OF",
    "Cell",
    "Difference",
    "Grid",
    "error_reduction",
    "grid",
    "notes",
    "text",
    "wins",
    "write_tables",
]

METHODS = {
    "supervised": "supervised",
    "crfsuite": "CRFsuite",
    "pretrain": "pre-train",
    "joint": "joint",
    "bilm": "biLM",
    "self_training": "self-train",
    "bilm_self_training": "biLM + self-train",
    "pretrain_self_training": "pre-train + self-train",
    "joint_self_training": "joint + self-train",
    "pretrain_pseudo_label": "pre-train + pseudo-label",
    "pretrain_entropy": "pre-train + entropy",
    "pretrain_mean_teacher": "pre-train + mean teacher",
    "pretrain_vat": "pre-train + VAT",
    "pretrain_conditional_nce": "pre-train, conditional NCE",
    "pretrain_nce": "pre-train, NCE",
    "joint_nce": "joint, NCE",
}
"""Rows of results in their order, and their headings."""

TASK_OF = {
    "conll2000_chunk": "chunk",
    "ewt_pos": "POS",
    "ptb_pos": "POS",
    "wikigold_ner": "NER",
    "conll2003_ner": "NER",
}
"""Which of the paper's tasks a data set stands for."""

SAME_DATA = ("conll2000_chunk", "ptb_pos", "conll2003_ner")
"""Data sets of the paper."""

NAN = float("nan")


class Difference(NamedTuple):
    """A method minus a reference, over the seeds that both have; fractions.

    Attributes
    ----------
    mean, sd
        Of the paired differences; NaN where there are none, or one only.
    reduction
        Percent of the reference's errors that the method avoids.
    """

    mean: float = NAN
    sd: float = NAN
    reduction: float = NAN


class Cell(NamedTuple):
    """A method at one setting.

    Attributes
    ----------
    dataset, labelled, ratio, method, metric
        As in `fewlabels.results.Run`; ``labelled`` is a proportion.
    mean, sd, seeds
        Of the test metric, a fraction.
    sentences, unlabelled
        How many labelled and unlabelled ones there were.
    supervised, pretrain
        Differences from these, at the same proportion, and ratio where it has one.
    paper
        The paper's figure, a fraction; NaN where it has none.
    """

    dataset: str
    labelled: float
    ratio: float
    method: str
    metric: str
    mean: float
    sd: float
    seeds: int
    sentences: int
    unlabelled: int
    supervised: Difference
    pretrain: Difference
    paper: float

    @property
    def capped(self) -> bool:
        """Whether there were too few unlabelled sentences for the ratio."""
        return self.unlabelled < int(self.ratio * self.sentences)


Grid = dict[tuple[str, float, float, str], Cell]
"""Cells by data set, proportion, ratio and method."""


def error_reduction(value: float, reference: float) -> float:
    """Percent of a reference's errors that a method avoids; both are fractions.

    Examples
    --------
    >>> round(error_reduction(0.8224, 0.7873), 1)
    16.5
    """
    return 100 * (1 - (1 - value) / (1 - reference)) if reference < 1 else NAN


def grid(runs: Sequence[Run]) -> Grid:
    """The cells of stored runs, on the test split; of runs of one setting and seed the last counts."""
    values: dict[tuple[str, float, float, str], dict[int, Run]] = {}
    for run in runs:
        if run.split == "test":
            values.setdefault((run.dataset, run.labelled, run.ratio, run.method), {})[run.seed] = run
    order = {name: place for place, name in enumerate(METHODS)}
    keys = sorted(values, key=lambda key: (key[0], key[1], key[2], order.get(key[3], len(order))))
    return {key: _cell(key, values) for key in keys}


def _cell(key: tuple[str, float, float, str], values: dict[tuple[str, float, float, str], dict[int, Run]]) -> Cell:
    dataset, labelled, ratio, method = key
    own = values[key]
    results = np.array([run.value for run in own.values()])
    last = list(own.values())[-1]
    supervised = values.get((dataset, labelled, 0, "supervised"), {}) if method != "supervised" else {}
    pretrain = values.get((dataset, labelled, ratio, "pretrain"), {}) if method != "pretrain" else {}
    return Cell(
        dataset, labelled, ratio, method, last.metric, float(results.mean()), deviation(results), len(own),
        last.config["sentences"], last.config.get("unlabelled", 0),
        _difference(own, supervised), _difference(own, pretrain), _of_paper(key),
    )  # fmt: skip


def _difference(own: dict[int, Run], reference: dict[int, Run]) -> Difference:
    seeds = [seed for seed in own if seed in reference]
    if not seeds:
        return Difference()
    ours = np.array([own[seed].value for seed in seeds])
    theirs = np.array([reference[seed].value for seed in seeds])
    return Difference(
        float((ours - theirs).mean()), deviation(ours - theirs), error_reduction(ours.mean(), theirs.mean())
    )


def _of_paper(key: tuple[str, float, float, str]) -> float:
    dataset, labelled, ratio, method = key
    figures = published(TASK_OF[dataset], labelled, ratio or 50) if dataset in TASK_OF else None
    if figures is None or method not in figures._fields:
        return NAN
    return getattr(figures, method) / 100


def wins(cells: Grid, reference: str) -> tuple[int, int]:
    """In how many settings joint training has a higher mean than a reference, and of how many; over common seeds.

    Settings are those of the paper's tasks; tokens with further features are not among them.
    """
    joint = [cell for cell in cells.values() if cell.method == "joint" and cell.dataset in TASK_OF]
    differences = [getattr(cell, reference).mean for cell in joint]
    known = [difference for difference in differences if difference == difference]
    return sum(difference > 0 for difference in known), len(known)


def notes(cells: Grid, runs: Sequence[Run]) -> list[str]:
    """What a reader must know besides the numbers: counts, caps, other data than the paper's, several versions."""
    lines = []
    for reference in JOINT_WINS:
        better, of = wins(cells, reference)
        lines.append(f"joint > {reference} in {better} of {of} settings (paper: {JOINT_WINS[reference]} of 27)")
    for dataset, labelled, ratio in dict.fromkeys(key[:3] for key, cell in cells.items() if cell.capped):
        cell = next(cell for key, cell in cells.items() if key[:3] == (dataset, labelled, ratio) and cell.capped)
        lines.append(
            f"* {dataset}, {labelled:.0%} of the labels, U/L {ratio:g}: there are only {cell.unlabelled:,} unlabelled "
            f"sentences, {cell.unlabelled / cell.sentences:.0f} for each of the {cell.sentences:,} labelled ones"
        )
    others = [name for name in dict.fromkeys(key[0] for key in cells) if name in TASK_OF and name not in SAME_DATA]
    if others:
        lines.append(f"the paper's figures are of other data than {', '.join(others)}: compare differences only")
    lines.append("the paper's supervised NER with 2 % of the labels is read as 78.19, which its Table 4 rests on")
    return [*lines, *versions(runs)]


def _table_3(cells: Grid, dataset: str) -> Table:
    """A row for each proportion and ratio, a column for each method."""
    own = {key[1:]: cell for key, cell in cells.items() if key[0] == dataset}
    methods = [name for name in METHODS if any(key[2] == name for key in own)]
    metric = next(iter(own.values())).metric
    table = Table(title=f"Table 3, {dataset}: test {metric}, %", box=box.SIMPLE_HEAD, title_justify="left")
    for heading in ("labelled", "U/L", *(METHODS[name] for name in methods), "paper"):
        table.add_column(heading, justify="right")
    for heading in ("joint - supervised", "joint - pre-train", "seeds"):
        table.add_column(heading, justify="right")
    for labelled, ratio in dict.fromkeys(key[:2] for key in own):
        row = [own.get((labelled, ratio, name)) for name in methods]
        joint = own.get((labelled, ratio, "joint"))
        table.add_row(
            f"{labelled:.0%}", ratio_text(row), *(percent(cell.mean, cell.sd) if cell else "" for cell in row),
            " / ".join(percent(cell.paper) for cell in row if cell and cell.paper == cell.paper),
            *((signed(joint.supervised), signed(joint.pretrain)) if joint else ("", "")),
            "/".join(sorted({str(cell.seeds) for cell in row if cell and cell.method != "crfsuite"})),
        )  # fmt: skip
    return table


def _table_4(cells: Grid) -> Table:
    table = Table(title="Table 4: errors avoided by joint training, %", box=box.SIMPLE_HEAD, title_justify="left")
    for heading in ("data", "labelled", "U/L", "over supervised", "paper", "over pre-train", "paper"):
        table.add_column(heading, justify="left" if heading == "data" else "right")
    for row in reduction_rows(cells):
        table.add_row(*row)
    return table


def reduction_rows(cells: Grid) -> list[list[str]]:
    """Table 4, a row a setting: data, proportion, ratio; over supervised, over pre-training, each with the paper's."""
    rows = []
    for cell in (cell for cell in cells.values() if cell.method == "joint"):
        paper = reductions(TASK_OF[cell.dataset], cell.labelled, cell.ratio) if cell.dataset in TASK_OF else None
        over_supervised, over_pretrain = paper or (NAN, NAN)
        figures = (cell.supervised.reduction, over_supervised, cell.pretrain.reduction, over_pretrain)
        rows.append([cell.dataset, f"{cell.labelled:.0%}", ratio_text([cell]), *map(_number, figures)])
    return rows


def _number(value: float) -> str:
    return f"{value:.1f}" if value == value else ""


def ratio_text(row: Sequence[Cell | None]) -> str:
    """The ratio of a row's cells, with a star where it is capped."""
    known = [cell for cell in row if cell]
    return f"{known[0].ratio:g}{'*' if any(cell.capped for cell in known) else ''}"


def signed(difference: Difference) -> str:
    """A difference in percent with its sign; empty where there is none."""
    return percent(difference.mean, difference.sd) if not difference.mean > 0 else f"+{percent(*difference[:2])}"


def text(cells: Grid, runs: Sequence[Run]) -> str:
    """The tables as plain text."""
    tables = [_table_3(cells, dataset) for dataset in dict.fromkeys(key[0] for key in cells)]
    return plain_text([*tables, _table_4(cells), *notes(cells, runs)])


def _records(cells: Grid) -> list[dict[str, object]]:
    """A cell each; fractions, except for the errors avoided, which are percent."""
    rows = []
    for cell in cells.values():
        row: dict[str, object] = {**cell._asdict(), "capped": cell.capped}
        for reference, difference in (("supervised", cell.supervised), ("pretrain", cell.pretrain)):
            del row[reference]
            row[f"minus_{reference}"], row[f"minus_{reference}_sd"] = difference.mean, difference.sd
            row[f"errors_avoided_over_{reference}"] = difference.reduction
        rows.append({name: _exact(value) for name, value in row.items()})
    return rows


def _exact(value: object) -> object:
    if not isinstance(value, float):
        return value
    return f"{value:.6g}" if value == value else ""


def write_tables(path: Path) -> str:
    """Write the tables of a file of stored runs beside it, as .txt, .csv and .html, and return the text."""
    from fewlabels.experiments.tables_page import page

    runs = read_runs(path)
    cells = grid(runs)
    shown = text(cells, runs)
    for suffix, content in ((".txt", shown), (".csv", to_csv(_records(cells))), (".html", page(cells, runs))):
        write_atomically(path.with_suffix(suffix), content.encode())
    return shown
