"""Table 2 and Fig. 1 from stored runs, with the paper's figures beside: as text, as CSV and as a page."""

import base64
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fewlabels.calibration import error_interval
from fewlabels.data.tables import to_csv
from fewlabels.experiments.plain_text import plain_text, titled
from fewlabels.experiments.published import FIG_1, TABLE_2
from fewlabels.files import write_atomically
from fewlabels.results import Run, Summary, percent, read_runs, summarise, versions, whole

__all__ = ["METHODS", "crossing", "sheets", "write_fig1", "write_table2"]

METHODS = {
    **{name: row.name for name, row in TABLE_2.items()},
    "ladder": "ladder network",
    "supervised_normalised": "supervised, normalised",
    "persistent_cd": "joint, persistent chains",
    "pi": "Π-model",
    "fixmatch": "FixMatch",
    "pseudo_label": "pseudo-labels",
    "self_training": "self-training in rounds",
    "entropy": "entropy minimisation",
    "label_propagation": "label propagation",
    "simclr": "SimCLR, fine-tune",
    "vime": "VIME, fine-tune",
    "sklearn_svc": "SVC, tuned",
    "sklearn_self_training": "self-training with SVC",
    "sklearn_label_spreading": "label spreading, tuned",
}
"""Rows of results in their order, and what they are called; sums follow under their own names."""

ON_VAT = (
    "The paper counts VAT among methods that make heavy use of augmentation; its 14.87 is, as far as can be told, of a "
    "smaller network without any."
)
Rows = list[list[str]]
TABLE_2_HEADINGS = (
    "method", "test error, %", "minus supervised", "minus joint", "calibration error, %",
    "AUROC of u, confidence, gradient", "seconds", "seeds", "paper, %",
)  # fmt: skip
FIG_1_HEADINGS = ("method", "labelled", "test error, %", "minus supervised", "seconds", "seeds", "paper, %")


def write_table2(path: Path) -> str:
    """Write Table 2 of a file of stored runs beside it, as .txt, .csv and .html, and return the text."""
    runs = read_runs(path)
    tables = {name: table2_rows(_of(runs, name), name) for name in _sets(runs)}
    titles = {name: f"Table 2, {name}, {_of(runs, name)[0].labelled:g} labels" for name in tables}
    notes = [ON_VAT] if "cifar10" in tables else []
    shown = _text({titles[name]: (TABLE_2_HEADINGS, rows) for name, rows in tables.items()}, [*notes, *versions(runs)])
    from fewlabels.experiments.image_page import table2_page

    _write(path, shown, runs, table2_page(titles, tables, runs, sheets(path), notes))
    return shown


def write_fig1(path: Path) -> str:
    """Write the numbers of Fig. 1 beside a file of stored runs, as .txt and .csv, and its picture as .html."""
    runs = read_runs(path)
    tables = {name: fig1_rows(_of(runs, name), name) for name in _sets(runs)}
    notes = [_crossing_note(name, crossing(_of(runs, name))) for name in tables]
    shown = _text(
        {f"Fig. 1, {name}": (FIG_1_HEADINGS, rows) for name, rows in tables.items()}, [*notes, *versions(runs)]
    )
    from fewlabels.experiments.image_page import fig1_page

    _write(path, shown, runs, fig1_page(tables, runs, notes))
    return shown


def table2_rows(runs: Sequence[Run], dataset: str) -> Rows:
    """A row for each of the paper's methods and each of ours, in the paper's order; empty where there is no run."""
    errors = [run for run in runs if run.metric == "error"]
    ours, over_joint = ({row.method: row for row in summarise(errors, base)} for base in ("supervised", "joint"))
    wanted = [name for name in METHODS if name in ours or (dataset == "cifar10" and name in TABLE_2)]
    wanted += [name for name in ours if name not in METHODS]
    return [
        [
            METHODS.get(name, name),
            *_figures(ours.get(name)),
            _figures(over_joint.get(name))[1],
            *_further(runs, name),
            *_cost(ours.get(name)),
            _paper(dataset, name),
        ]
        for name in wanted
    ]


def fig1_rows(runs: Sequence[Run], dataset: str) -> Rows:
    """A row for each method and share of the labels."""
    rows = []
    errors = [run for run in runs if run.metric == "error"]
    for labelled in sorted({run.labelled for run in errors}):
        for row in summarise([run for run in errors if run.labelled == labelled]):
            paper = FIG_1.get((dataset, row.method, labelled))
            rows.append(
                [
                    METHODS.get(row.method, row.method),
                    f"{labelled:.1%}",
                    *_figures(row),
                    *_cost(row),
                    f"{paper:.2f}" if paper else "",
                ]
            )
    order = [*METHODS.values(), *(row[0] for row in rows)]
    return sorted(rows, key=lambda row: order.index(row[0]))


def _figures(row: Summary | None) -> list[str]:
    return ["", ""] if row is None else [percent(row.mean, row.sd), percent(row.paired_mean, row.paired_sd)]


def _cost(row: Summary | None) -> list[str]:
    return ["", ""] if row is None else [whole(row.seconds), str(row.seeds)]


def _further(runs: Sequence[Run], method: str) -> list[str]:
    """Calibration error and areas under the curve, means over seeds."""
    values = {
        metric: [run.value for run in runs if run.method == method and run.metric == metric]
        for metric in ("ece", "auroc_u", "auroc_confidence", "auroc_gradient")
    }
    if not values["ece"]:
        return ["", ""]
    areas = [f"{np.mean(values[name]):.3f}" for name in ("auroc_u", "auroc_confidence", "auroc_gradient")]
    return [percent(float(np.mean(values["ece"]))), ", ".join(areas)]


def _paper(dataset: str, method: str) -> str:
    row = TABLE_2.get(method)
    if dataset != "cifar10" or row is None:
        return ""
    sd = "" if row.sd is None else f" ± {row.sd:.2f}"
    return f"{row.mean:.2f}{sd}{', augmented' if row.augmented else ''}"


def crossing(runs: Sequence[Run]) -> float | None:
    """The share of the labels at which joint training is as good as supervised training with all of them.

    Linear between the means of neighbouring shares, on a scale of logarithms; None where it never is, or where
    supervised training with all labels was not run.

    Examples
    --------
    >>> from fewlabels.results import Run
    >>> def run(method, labelled, error):
    ...     return Run("fig1", "bench", "cifar10", method, labelled, 1.0, 0, "error", error, "test", 1.0, "", {}, {})
    >>> crossing([run("supervised", 1.0, 0.2), run("joint", 0.01, 0.3), run("joint", 1.0, 0.1)])
    0.1
    """
    errors = [run for run in runs if run.metric == "error"]
    aim = [run.value for run in errors if run.method == "supervised" and run.labelled == 1]
    joint = {
        share: float(np.mean([run.value for run in errors if run.method == "joint" and run.labelled == share]))
        for share in sorted({run.labelled for run in errors if run.method == "joint"})
    }
    if not aim or not joint:
        return None
    level, before = float(np.mean(aim)), None
    for share, error in joint.items():
        if error <= level:
            if before is None:
                return share
            part = (before[1] - level) / (before[1] - error)
            return round(float(np.exp((1 - part) * np.log(before[0]) + part * np.log(share))), 6)
        before = share, error
    return None


def _crossing_note(dataset: str, share: float | None) -> str:
    paper = "; the paper: about 50%" if dataset in ("cifar10", "svhn") else ""
    if share is None:
        return f"{dataset}: joint training is at no share as good as supervised training with all labels{paper}"
    return f"{dataset}: joint training with {share:.1%} of the labels is as good as supervised training with all{paper}"


def sheets(path: Path) -> dict[str, str]:
    """The sheets of samples beside a file of stored runs, as the text of PNG data, by name."""
    files = sorted((path.parent / "sheets").glob(f"{path.stem}-*.png"))
    return {file.stem.removeprefix(f"{path.stem}-"): base64.b64encode(file.read_bytes()).decode() for file in files}


def _sets(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(run.dataset for run in runs))


def _of(runs: Sequence[Run], dataset: str) -> list[Run]:
    return [run for run in runs if run.dataset == dataset and run.split == "test"]


def _text(tables: dict[str, tuple[Sequence[str], Rows]], notes: Sequence[str]) -> str:
    shown = [titled(title, headings, rows) for title, (headings, rows) in tables.items()]
    return plain_text([*shown, *notes])


def _write(path: Path, shown: str, runs: Sequence[Run], page: str) -> None:
    for suffix, content in ((".txt", shown), (".csv", to_csv(_records(runs))), (".html", page)):
        write_atomically(path.with_suffix(suffix), content.encode())


def _records(runs: Sequence[Run]) -> list[dict[str, object]]:
    """A stored error each, with the 95 % interval that the number of test images allows; fractions."""
    records = []
    for run in (run for run in runs if run.metric == "error"):
        n = run.config["tested"]
        low, high = error_interval(round(run.value * n), n)
        figures = {"error": run.value, "low": low, "high": high, "seconds": run.seconds}
        setting = {"dataset": run.dataset, "method": run.method, "labelled": f"{run.labelled:g}", "seed": run.seed}
        records.append({**setting, **{name: f"{value:.6g}" for name, value in figures.items()}})
    return records
