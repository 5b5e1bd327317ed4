"""What the documents say against what is stored, and files against the bounds of the design."""

import re
from collections import defaultdict
from pathlib import Path

import pytest

from fewlabels.experiments.image_tables import table2_rows
from fewlabels.experiments.published import TABLE_2
from fewlabels.results import percent, read_runs, summarise

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
FIGURE = re.compile(r"-?\d+\.\d\d ± \d+\.\d\d")


@pytest.fixture(scope="module")
def stored():
    """Every mean ± sd of stored runs and of their paired differences, and those that the paper prints of Table 2."""
    figures = {percent(row.mean / 100, row.sd / 100) for row in TABLE_2.values() if row.sd is not None}
    for path in (ROOT / "results").glob("*.jsonl"):
        settings = defaultdict(list)
        for run in read_runs(path):
            settings[run.dataset, run.labelled, run.ratio, run.metric, run.split].append(run)
        for runs in settings.values():
            for reference in {run.method for run in runs}:
                for row in summarise(runs, reference):
                    figures |= {percent(row.mean, row.sd), percent(row.paired_mean, row.paired_sd)}
    return figures


def missing(text, stored):
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [figure for row in rows for figure in FIGURE.findall(row) if figure not in stored]


@pytest.mark.parametrize("document", ["README.md", "docs/results.md"])
def test_every_mean_and_deviation_in_a_table_is_that_of_stored_runs(document, stored):
    text = (ROOT / document).read_text()
    assert missing(text, set()) and missing(text, stored) == []
    assert missing("| joint | 12.34 ± 5.67 |", stored) == ["12.34 ± 5.67"]


def test_table_2_is_that_of_stored_runs_row_by_row():
    runs = [run for run in read_runs(ROOT / "results" / "table2-bench.jsonl") if run.split == "test"]
    stored = [
        row
        for dataset in ("mnist", "mnist_dense", "mnist_wide", "cifar10")
        for row in table2_rows([run for run in runs if run.dataset == dataset], dataset)
        if row[1]
    ]
    lines = (ROOT / "docs" / "results.md").read_text().split("| data | method | test error |")[1].splitlines()
    table = lines[2 : lines.index("", 2)]
    assert [[cell.strip() for cell in line.split("|")[2:-1]] for line in table] == stored


@pytest.mark.parametrize("path", sorted((ROOT / "results").glob("*.txt")), ids=lambda path: path.stem)
def test_nothing_is_cut_from_a_written_table(path):
    assert "…" not in path.read_text()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\(([^)#:]+)", text):
        assert ((ROOT / document).parent / target).exists(), target


def test_a_method_is_a_file_that_one_reads_at_a_sitting():
    lines = {path.name: path.read_text().count("\n") for path in (ROOT / "src/fewlabels/objectives").glob("*.py")}
    assert len(lines) > 20 and {name for name, count in lines.items() if count > 120} == {"nce.py"}  # of two fields
