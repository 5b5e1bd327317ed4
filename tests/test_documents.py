"""What the documents say against what is stored."""

import re
from collections import defaultdict
from pathlib import Path

import pytest

from fewlabels.results import percent, read_runs, summarise

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
FIGURE = re.compile(r"-?\d+\.\d\d ± \d+\.\d\d")


@pytest.fixture(scope="module")
def stored():
    """Every mean ± sd of stored runs, and every mean ± sd of their paired differences."""
    figures = set()
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


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\(([^)#:]+)", text):
        assert ((ROOT / document).parent / target).exists(), target
