"""The progress bar: what it shows where there is little room."""

import pytest

from fewlabels.progress import progress_bar


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_the_time_left_is_shown_whatever_the_width(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    with progress_bar(True) as report:
        report("trying weight 0.1 of log p(x) and step size 0.5: pre-training", 100, 100)
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("trying weight 0.1") and line.rstrip().endswith("100% 0:00:00 left 0:00:00")
    assert len(line) <= columns


def test_nothing_is_shown_to_those_who_do_not_ask(capsys):
    with progress_bar(False) as report:
        report("training", 1, 2)
    assert capsys.readouterr() == ("", "")
