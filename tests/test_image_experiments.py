"""Table 2 and Fig. 1: which labels are seen, what is stored, what the tables and pages say."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from typer.testing import CliRunner

from fewlabels.cli import app
from fewlabels.data.image_sets import ImageSet, Splits
from fewlabels.errors import InputError
from fewlabels.experiments import images, reports
from fewlabels.experiments.image_page import plot_errors
from fewlabels.experiments.image_tables import crossing, write_fig1, write_table2
from fewlabels.experiments.outside import OUTSIDE
from fewlabels.experiments.published import FIG_1, TABLE_2
from fewlabels.results import Run, read_runs, write_runs

OWN = ("supervised", "pretrain", "joint")


class Constant:
    """A classifier that always answers 0."""

    def predict(self, x):
        return np.zeros(len(x), dtype=int)


@pytest.fixture
def calls(tmp_path, monkeypatch, serially):
    """The experiments in this process on 40 + 20 images of two classes, with nearest means for a classifier."""
    made = []

    def read(data):
        rng = np.random.default_rng(0)
        y = np.arange(60) % 2
        x = (100 * y[:, None, None, None] + rng.integers(0, 120, (60, 4, 4, 1))).astype(np.uint8)
        return Splits(ImageSet(x[:40], y[:40]), ImageSet(x[40:], y[40:]), ("dark", "bright"))

    class Classifier:
        choice_ = "used joint"

        def __init__(self, method, **parameters):
            self.method, self.given = method, {"method": method, **parameters}

        def fit(self, x, y):
            made.append(self.given | {"rows": np.flatnonzero(y >= 0).tolist(), "all": len(x)})
            self.means = [x[y == k].mean() for k in (0, 1)]
            return self

        def predict_proba(self, x):
            made[-1]["tested"] = len(x)
            bright = 1 / (1 + np.exp((np.mean(self.means) - x.mean((1, 2, 3))) / 20))
            return np.stack([1 - bright, bright], 1)

        def outlier_scores(self, x):
            return {"u": x.mean((1, 2, 3)), "confidence": self.predict_proba(x).max(1), "gradient": np.zeros(len(x))}

        def sample(self, n, random_state=None, steps=20):
            return np.full((n, 4, 4, 1), 10.0 * steps)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(images, "SemiSupervisedClassifier", Classifier)
    monkeypatch.setattr(images, "run_jobs", serially)
    scales = ("bench", "long")
    shares, presets = dict.fromkeys(scales, (0.1, 0.5, 1.0)), dict.fromkeys(scales, "small")
    monkeypatch.setattr(images, "SETS", {"cifar10": images.Case(read, 4, presets, shares)})
    monkeypatch.setattr(images, "TABLE_2", dict.fromkeys(scales, ("cifar10",)))
    monkeypatch.setattr(images, "FIG_1", dict.fromkeys(scales, ("cifar10",)))
    images.load.cache_clear()
    yield made
    images.load.cache_clear()


def test_table_2_draws_as_many_labels_of_each_class_by_the_seed_and_tests_once(calls):
    images.run_table2("bench", Path("data"), seeds=2, methods=OWN)
    assert [call["method"] for call in calls] == ["supervised", "pretrain", "joint"] * 2
    assert {(len(call["rows"]), call["all"]) for call in calls} == {(4, 40)}
    assert {(call["preset"], call["effort"]) for call in calls} == {("small", 3.0)}
    assert all(sum(row % 2 for row in call["rows"]) == 2 for call in calls)
    assert calls[0]["rows"] == calls[2]["rows"] != calls[3]["rows"]
    assert [call["random_state"] for call in calls] == [0, 0, 0, 1, 1, 1]
    runs = read_runs(Path("results/table2-bench.jsonl"))
    metrics = ["error", "ece", "auroc_u", "auroc_confidence", "auroc_gradient"]
    assert [run.metric for run in runs] == metrics * 6
    assert {(run.labelled, run.ratio, run.split) for run in runs} == {(4, 10.0, "test")}
    images.run_table2("bench", Path("data"), seeds=2, methods=OWN)
    assert len(calls) == 6


def test_the_table_has_the_papers_rows_in_its_order_and_the_page_its_pictures(calls):
    images.run_table2("bench", Path("data"), seeds=2, methods=OWN)
    text = Path("results/table2-bench.txt").read_text()
    rows = [line for line in text.split("\n") if any(line.startswith(f"  {row.name}") for row in TABLE_2.values())]
    assert len(rows) == len(TABLE_2)
    assert "25.72 ± 0.44" in text and "12.16 ± 0.31, augmented" in text
    assert all(name in row for name, row in zip((row.name for row in TABLE_2.values()), rows, strict=True))
    written = list(csv.DictReader(io.StringIO(Path("results/table2-bench.csv").read_text())))
    errors = [run for run in read_runs(Path("results/table2-bench.jsonl")) if run.metric == "error"]
    assert [float(row["error"]) for row in written] == pytest.approx([run.value for run in errors])
    assert all(float(row["low"]) - 1e-9 <= float(row["error"]) < float(row["high"]) for row in written)
    page = Path("results/table2-bench.html").read_text()
    names = ("generated", "revised")
    assert all(f"cifar10-{method}-{name}" in page for method in ("pretrain", "joint") for name in names)
    assert "cifar10-supervised-revised" not in page
    assert page.count("accuracy over confidence of") == 3


def test_fig_1_goes_over_shares_of_the_labels_in_proportion(calls):
    images.run_fig1("bench", Path("data"), seeds=1)
    assert [(call["method"], len(call["rows"])) for call in calls] == [
        (method, n) for n in (4, 20, 40) for method in ("supervised", "joint")
    ]
    text = Path("results/fig1-bench.txt").read_text()
    assert "of the labels is as good as supervised training with all" in text
    assert f"{FIG_1['cifar10', 'joint', 0.5]:.2f}" in text
    assert "test error over the share" in Path("results/fig1-bench.html").read_text()


def test_the_long_scale_trains_three_times_as_long_and_has_our_own_rows_alone(calls):
    images.run_table2("long", Path("data"), seeds=1)
    assert [(call["method"], call["effort"]) for call in calls] == [(method, 9.0) for method in OWN]
    assert {run.scale for run in read_runs(Path("results/table2-long.jsonl"))} == {"long"}
    images.run_fig1("long", Path("data"), seeds=1)
    assert {call["effort"] for call in calls[3:]} == {3.0}


def test_a_set_may_have_a_length_and_sheets_of_its_own(calls, monkeypatch):
    own = images.SETS["cifar10"]
    monkeypatch.setattr(images, "SETS", {"one": own, "one_more": own._replace(effort={("table2", "bench"): 0.125})})
    images.run_table2("bench", Path("data"), seeds=1, sets=["one", "one_more"], methods=["joint"])
    images.run_table2("long", Path("data"), seeds=1, sets=["one_more"], methods=["joint"])
    assert [call["effort"] for call in calls] == [3.0, 0.125, 1.0]
    page = Path("results/table2-bench.html").read_text()
    assert page.count("one-joint-generated") == page.count("one_more-joint-generated") > 0


def test_left_to_itself_table_2_has_all_of_the_papers_methods_and_those_from_outside(calls, monkeypatch):
    monkeypatch.setattr(images, "fit_outside", lambda name, x, y: Constant())
    images.run_table2("bench", Path("data"), seeds=1)
    trained = [*TABLE_2, "supervised_normalised"]
    assert [call["method"] for call in calls] == trained
    assert {run.method for run in read_runs(Path("results/table2-bench.jsonl"))} == {*trained, *OUTSIDE}


def test_what_users_would_pick_instead_stands_beside(calls, monkeypatch):
    given = []
    monkeypatch.setattr(
        images, "fit_outside", lambda name, x, y: given.append((name, int((y >= 0).sum()))) or Constant()
    )
    for _ in range(2):  # what is stored is not run again
        images.run_table2("bench", Path("data"), seeds=1, methods=["sklearn_svc"])
    (run,) = read_runs(Path("results/table2-bench.jsonl"))
    assert given == [("sklearn_svc", 4)] and run.metric == "error" and 0 < run.value < 1
    assert "SVC, tuned" in Path("results/table2-bench.txt").read_text()


def point(method, share, error, seed=0):
    return Run("fig1", "bench", "cifar10", method, share, 1.0, seed, "error", error, "test", 1.0, "", {"tested": 9}, {})


def test_the_crossing_by_hand():
    supervised = [point("supervised", 1.0, 0.10), point("supervised", 1.0, 0.14, seed=1)]  # 0.12
    joint = [point("joint", 0.01, 0.20), point("joint", 0.1, 0.16), point("joint", 1.0, 0.08)]
    assert crossing([*supervised, *joint]) == pytest.approx(10**-0.5, rel=1e-4)
    assert crossing([*supervised, *joint[:2]]) is None
    assert crossing(joint) is None
    assert crossing([*supervised, point("joint", 0.02, 0.12)]) == 0.02


def test_the_axes_of_fig_1_read_in_plain_percent():
    figure = Figure()
    axes = figure.subplots()
    plot_errors(axes, "cifar10", [point("joint", share, error) for share, error in ((0.02, 0.44), (0.08, 0.31))])
    figure.draw_without_rendering()
    (low, high), labels = axes.get_ylim(), [text.get_text() for text in axes.get_yticklabels(which="both")]
    assert [text.get_text() for text in axes.get_xticklabels(which="both") if text.get_text()] == ["2", "8"]
    assert [label for label in labels if label and low <= float(label) <= high] == ["10", "15", "20", "30", "40"]


def test_a_table_of_one_method_alone_and_of_several_versions(tmp_path):
    path = tmp_path / "fig1-bench.jsonl"
    write_runs(path, [point("joint", 0.1, 0.3), point("joint", 0.1, 0.3, seed=1)])
    assert "at no share" in write_fig1(path)
    one = Run("table2", "bench", "mnist", "joint", 100, 600.0, 0, "error", 0.02, "test", 9.0, "a", {"tested": 100}, {})
    write_runs(path, [one, one.__class__(**{**one.__dict__, "seed": 1, "version": "b"})])
    shown = write_table2(path)
    assert "2 versions of the code: a, b" in shown
    write_runs(path, [one, one.__class__(**{**one.__dict__, "method": "joint+vat"})])
    assert "joint+vat" in write_table2(path)
    assert "CatGAN" not in shown and "VAT" not in shown  # the paper has no other data set
    write_runs(path, [one.__class__(**{**one.__dict__, "dataset": "cifar10"})])
    shown, page = write_table2(path), path.with_suffix(".html").read_text()
    assert "CatGAN" in shown and "its 14.87" in shown and "its 14.87" in page


def test_unknown_sets_are_refused_with_the_known_ones(calls):
    with pytest.raises(InputError, match="--sets at scale bench: expected some of cifar10, came 'svhn'"):
        images.run_table2("bench", Path("data"), sets=["svhn"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["table2"], "--data: expected the folder"),
        (["table2", "--data", "none"], "none: expected a folder with data_batch_1"),
        (["fig1", "--data", "none", "--sets", "faces"], "--sets at scale bench: expected some of cifar10, mnist"),
        (["table2", "--scale", "long", "--data", "none", "--sets", "mnist"], "scale long: expected some of cifar10"),
        (["fig1", "--data", "none", "--methods", "magic"], "Expected method to be one of supervised, pretrain, joint"),
    ],
)
def test_the_command_line_tells_what_it_wants(tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEWLABELS_DATA", raising=False)
    result = CliRunner().invoke(app, ["reproduce", *arguments])
    assert result.exit_code == 2
    assert told in result.stderr.strip().split("\n")[-1] and "Traceback" not in result.stderr
    assert not list(tmp_path.rglob("*.jsonl"))


def test_all_reports_of_a_folder_are_written_again(tmp_path, capsys):
    with pytest.raises(SystemExit, match="expected stored runs"):
        reports.main(tmp_path)
    write_runs(tmp_path / "fig1-bench.jsonl", [point("joint", 0.1, 0.3)])
    reports.main(tmp_path)
    assert "30.00" in (tmp_path / "fig1-bench.txt").read_text()
    assert capsys.readouterr().out == f"{tmp_path / 'fig1-bench.txt'}\n"


@pytest.mark.parametrize("case", images.SETS.values(), ids=images.SETS)
def test_fig_1_can_be_run_at_every_scale_of_a_set(case):
    assert set(case.shares) == set(case.preset)
