"""The command line: every command on every kind of data, exit codes, and that bad input changes nothing.

Small stand-ins take the place of the estimators: the nearest class mean, and the last tag seen for a word.
"""

import importlib.metadata
import importlib.util
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image
from sklearn.base import BaseEstimator
from typer.testing import CliRunner

import fewlabels
from fewlabels.claim import in_hand
from fewlabels.cli import app
from fewlabels.errors import DivergenceError, InputError
from fewlabels.kinds import Data
from fewlabels.run_folder import digest

TABLE = "a,b,species\n0,0,iris\n0,1,iris\n9,9,rose\n9,8,rose\n1,0,\n8,9,\n"
CONLL = "dogs NOUN\nbark VERB\n\ncats NOUN\n"


def conllu(*tokens):
    """A sentence in ten columns, from words and parts of speech."""
    lines = [
        "\t".join([str(i), word, "_", part, *"_" * 6]) for i, (word, part) in enumerate(map(str.split, tokens), start=1)
    ]
    return "\n".join(lines) + "\n\n"


class Saved(BaseEstimator):
    """What both stand-ins share: settings, and a file of JSON."""

    fits = 0
    order: ClassVar = []
    choice_ = "weight 0.1 of [0, 0.1, 1]: lowest error on held-out labels"

    def __init__(self, method="joint", *, random_state=None, verbose=False, checkpoint=None, accelerator=None):
        self.method, self.random_state, self.verbose = method, random_state, verbose
        self.checkpoint, self.accelerator = checkpoint, accelerator

    def _start(self, classes):
        Saved.fits += 1
        if len(classes) < 2:
            raise InputError("expected two classes or more, came one")
        self.classes_ = np.array(classes, dtype=object)

    def fit_keeping_state(self, *examples, **pool):
        self.fit(*examples, **pool)
        return SimpleNamespace(done=lambda: Saved.order.append("forgotten"))

    def save(self, path):
        Saved.order.append("saved")
        Path(path).write_text(json.dumps([type(self).__name__, self.state]))


class Means(Saved):
    def fit(self, X, y):
        assert isinstance(X, np.ndarray) and y.dtype in (object, int)  # as read; in a curve, numbers of classes
        self._start(sorted({label for label in y if label != -1}, key=str))
        means = [X[y == label].mean(axis=0).tolist() for label in self.classes_]
        self.state = [means, [label for label in self.classes_]]
        return self

    def restore(self, state):
        self.state, self.classes_ = state, np.array(state[1])
        return self

    def _distances(self, X):
        difference = X[:, None] - np.array(self.state[0])[None]
        return (difference.reshape(*difference.shape[:2], -1) ** 2).sum(axis=2)

    def predict(self, X):
        return self.classes_[self._distances(X).argmin(axis=1)]

    def predict_proba(self, X):
        nearness = 1 / (1 + self._distances(X))
        return nearness / nearness.sum(axis=1, keepdims=True)

    def score_samples(self, X):
        return -self._distances(X).min(axis=1)

    def sample(self, n):
        return np.resize(np.array(self.state[0]), (n, *np.shape(self.state[0])[1:]))


class Words(Saved):
    def fit(self, sentences, tags, pool=None):
        assert pool is None or pool.words
        self.state = {w: t for s, m in zip(sentences, tags, strict=True) if m for w, t in zip(s, m, strict=True)}
        self._start(sorted(set(self.state.values())))
        return self

    def restore(self, state):
        self.state, self.classes_ = state, np.array(sorted(set(state.values())))
        return self

    def predict(self, sentences):
        return [[self.state.get(word, "NOUN") for word in sentence] for sentence in sentences]

    def score_samples(self, sentences):
        return np.array([-float(len(sentence)) for sentence in sentences])

    def sample(self, n):
        return [list(self.state)] * n


def load(path):
    try:
        name, state = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a model, came something else") from error
    return {"Means": Means, "Words": Words}[name]().restore(state)


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch):
    for name, value in {"SemiSupervisedClassifier": Means, "SemiSupervisedTagger": Words, "load": load}.items():
        monkeypatch.setattr(fewlabels, name, value, raising=False)
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "0.0.0")
    monkeypatch.setattr(Saved, "fits", 0)


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder of good data of every kind, which is the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    Path("flowers.csv").write_text(TABLE)
    Path("more.csv").write_text("a,b\n7,7\n")
    Path("small.conll").write_text(CONLL)
    Path("text.txt").write_text("dogs bark loudly\ncats\n")
    for file, value in (("dark/1.png", 0), ("dark/2.png", 10), ("light/1.png", 250)):
        Path("pictures", file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((2, 3), value, dtype=np.uint8)).save(Path("pictures", file))
    Path("unlabelled").mkdir()
    Image.fromarray(np.full((2, 3), 200, dtype=np.uint8)).save("unlabelled/1.png")
    return tmp_path


def run(*arguments, code=0):
    """Run a command; return its standard output, or upon failure its one line of standard error."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    if code == 0:
        return result.stdout
    assert result.stderr.count("\n") == 1 and result.stdout == ""
    return result.stderr


def samples(path):
    with np.load(path) as archive:
        return archive["x"]


def content():
    return {path: path.read_bytes() if path.is_file() else None for path in Path().rglob("*")}


def processor_seconds():
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


@pytest.mark.parametrize(("arguments", "expected"), [(["--help"], "evaluate"), (["fit", "--help"], "--unlabelled")])
def test_help_answers_within_a_second(arguments, expected):
    """Processor time, the best of three: the clock on the wall also counts whatever else the machine does."""
    code = "import sys; from fewlabels.cli import main; sys.argv = ['fewlabels', *sys.argv[1:]]; main()"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src"), "COLUMNS": "100"}
    seconds = []
    for _ in range(3):
        start = processor_seconds()
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        seconds.append(processor_seconds() - start)
    assert expected in done.stdout
    assert min(seconds) < 1.0


def test_help_imports_nothing_heavy():
    code = "import sys, fewlabels.cli; print([n for n in ('torch', 'sklearn', 'numpy') if n in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "[]\n"


def test_table_from_fit_to_sample(work):
    shown = run("fit", "flowers.csv", "--label", "species", "--out", "out")
    for text in ("joint", "iris", "rose", "weight 0.1 of [0, 0.1, 1]", "out/model.safetensors"):
        assert text in shown
    assert sorted(path.name for path in Path("out").iterdir()) == ["model.safetensors", "run.json", "summary.json"]
    assert run("predict", "out", "more.csv").startswith("row,prediction,probability\n0,rose,")
    assert run("predict", "out/model.safetensors", "flowers.csv").count("iris") == 3
    assert "accuracy 100.00% of 4 examples" in run("evaluate", "out", "flowers.csv")
    assert run("score", "out", "more.csv") == "row,u\n0,-6.25\n".replace("-6.25", str(-(2**2 + 1.5**2)))
    run("sample", "out", "-n", "3", "--out", "new.csv")
    assert Path("new.csv").read_text() == "a,b\n0.0,0.5\n9.0,8.5\n0.0,0.5\n"


def test_fit_as_json(work):
    shown = run("fit", "flowers.csv", "--label", "species", "--unlabelled", "more.csv", "--out", "out", "--json")
    summary = json.loads(shown)
    assert summary.pop("seconds") >= 0
    assert summary == {
        "method": "joint",
        "labelled": 4,
        "unlabelled": 3,
        "classes": ["iris", "rose"],
        "choice": "weight 0.1 of [0, 0.1, 1]: lowest error on held-out labels",
        "model": "out/model.safetensors",
    }


def test_fit_hands_its_options_to_the_estimator(work, monkeypatch):
    seen = []
    monkeypatch.setattr(Means, "save", lambda self, path: (seen.append(self.get_params()), Saved.save(self, path)))
    options = "--method", "persistent_cd", "--seed", "7", "--accelerator", "cuda", "--out", "out", "--json"
    run("fit", "flowers.csv", "--label", "species", *options)
    assert seen == [
        {
            "method": "persistent_cd",
            "random_state": 7,
            "verbose": False,
            "checkpoint": Path("out/checkpoint"),
            "accelerator": "cuda",
        }
    ]


def test_sentences_take_no_accelerator(work):
    message = run("fit", "small.conll", "--accelerator", "cuda", "--out", "out", code=2)
    assert "--accelerator: expected auto or cpu for sentences" in message


def test_images_from_fit_to_sample(work):
    summary = json.loads(run("fit", "pictures", "--unlabelled", "unlabelled", "--out", "out", "--json"))
    assert (summary["labelled"], summary["unlabelled"], summary["classes"]) == (3, 1, ["dark", "light"])
    assert run("predict", "out", "unlabelled").splitlines()[1].startswith(f"{Path('unlabelled/1.png')},light,")
    assert json.loads(run("evaluate", "out", "pictures", "--json"))["error"] == 0
    assert run("score", "out", "unlabelled").startswith("row,u\n")
    run("sample", "out", "--out", "new.npz", "-n", "5")
    drawn = samples("new.npz")
    assert (drawn.shape, drawn.dtype) == ((5, 2, 3, 1), np.uint8)
    assert drawn[:, 0, 0, 0].tolist() == [5, 250, 5, 250, 5]  # what the estimator drew, as pixels
    with Image.open("new.npz.png") as sheet:
        assert sheet.size == (3 * 4, 2 * 3)
        assert [sheet.getpixel((4 * column, 0))[0] for column in range(3)] == [5, 250, 5]
    assert run("predict", "out", "new.npz").splitlines()[1].startswith("0,dark,")


def test_grey_images_are_read_by_a_model_of_colours(work):
    Image.fromarray(np.full((2, 3, 3), 240, dtype=np.uint8)).save("pictures/light/2.png")
    run("fit", "pictures", "--out", "out")
    assert run("predict", "out", "unlabelled").splitlines()[1].startswith(f"{Path('unlabelled/1.png')},light,")


def test_samples_without_matplotlib(work, monkeypatch):
    run("fit", "pictures", "--out", "out")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    run("sample", "out", "--out", "new.npz")
    assert samples("new.npz").shape == (16, 2, 3, 1) and not Path("new.npz.png").exists()


def test_images_in_archives(work):
    x = np.stack([np.zeros((2, 2)), np.ones((2, 2)), np.ones((2, 2))])
    np.savez("train.npz", x=x, y=np.array([3, 5, -1]))
    assert json.loads(run("fit", "train.npz", "--out", "out", "--json"))["classes"] == [3, 5]
    predictions = json.loads(run("predict", "out", "train.npz", "--json"))["predictions"]
    assert [(one["row"], one["prediction"]) for one in predictions] == [("0", 3), ("1", 5), ("2", 5)]


def test_sentences_from_fit_to_sample(work):
    summary = json.loads(run("fit", "small.conll", "--unlabelled", "text.txt", "--out", "out", "--json"))
    assert (summary["labelled"], summary["unlabelled"], summary["classes"]) == (2, 2, ["NOUN", "VERB"])
    assert run("predict", "out", "text.txt") == "dogs\tNOUN\nbark\tVERB\nloudly\tNOUN\n\ncats\tNOUN\n\n"
    assert run("predict", "out", "small.conll") == CONLL.replace(" ", "\t") + "\n"
    first = json.loads(run("predict", "out", "text.txt", "--json"))["predictions"][0]
    assert first == {"tokens": ["dogs", "bark", "loudly"], "tags": ["NOUN", "VERB", "NOUN"]}
    assert run("score", "out", "text.txt") == "row,u\n0,-3.0\n1,-1.0\n"
    run("sample", "out", "-n", "2", "--out", "new.txt")
    assert Path("new.txt").read_text() == "dogs bark cats\n" * 2


def many():
    """Twelve labelled rows of two kinds that no mean can tell apart, and one without a label."""
    rows = [f"{i % 3},{i},{'iris' if i % 2 else 'rose'}" for i in range(12)]
    Path("many.csv").write_text("a,b,species\n" + "\n".join(rows) + "\n5,5,\n")
    return "fit", "many.csv", "--label", "species", "--out", "out"


@pytest.fixture
def one_process(monkeypatch):
    """Stand-ins do not travel to other processes."""
    monkeypatch.setattr(fewlabels.machine, "processes", lambda device: 1)


def test_curve_of_a_table(work, one_process):
    assert "fewlabels curve out" in CliRunner().invoke(app, list(many())).stderr
    shown = run("curve", "out")
    found = json.loads(Path("out/curve.json").read_text())
    assert found["labelled"] == [2, 4, 8] and found["verdict"] in shown
    for error in found["errors"]:
        assert f"{error:.2%}" in shown
    assert f"{100 * max(found['gain'], 0):.1f} ± {100 * found['gain_standard_error']:.1f} points" in found["verdict"]
    with Image.open("out/curve.png") as picture:
        assert picture.size[0] > 300
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "curve.json", "curve.png", "model.safetensors", "run.json", "summary.json",
    ]  # fmt: skip
    assert Saved.fits == 1 + 9
    assert json.loads(run("curve", "out/model.safetensors", "--json")) == found
    assert Saved.fits == 1 + 9


def test_curve_has_the_seed_of_the_model(work, one_process, monkeypatch):
    run(*many(), "--seed", "3")
    fit, seeds = Means.fit, []
    monkeypatch.setattr(Means, "fit", lambda self, X, y: (seeds.append(self.random_state), fit(self, X, y))[1])
    run("curve", "out")
    assert seeds == [3] * 9


def test_curve_of_sentences_with_text_leaves_no_copy(work, one_process):
    Path("many.conll").write_text("dogs NOUN\nbark VERB\n\ncats NOUN\nmeow VERB\n\n" * 6)
    run("fit", "many.conll", "--unlabelled", "text.txt", "--out", "out")
    assert json.loads(run("curve", "out", "--json"))["labelled"] == [2, 4, 8]
    assert not Path("out/pool").exists()


def test_curve_without_matplotlib(work, one_process, monkeypatch):
    run(*many())
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    run("curve", "out")
    assert Path("out/curve.json").exists() and not Path("out/curve.png").exists()


def test_an_interrupted_curve_goes_on(work, one_process, monkeypatch):
    run(*many())
    fit = Means.fit

    def fit_until_interrupted(self, X, y):
        if Saved.fits == 6:
            raise KeyboardInterrupt
        return fit(self, X, y)

    monkeypatch.setattr(Means, "fit", fit_until_interrupted)
    message = run("curve", "out", "--json", code=130)
    assert message == "interrupted: what had finished is stored; the same command goes on from it\n"
    kept = len(json.loads(Path("out/curve-state.json").read_text())["wrong"])
    assert kept >= 4
    monkeypatch.setattr(Means, "fit", fit)
    run("curve", "out")
    assert Saved.fits == 6 + 9 - kept and not Path("out/curve-state.json").exists()


def test_curve_of_changed_data_or_few_labels_is_refused_and_changes_nothing(work, one_process):
    run(*many())
    before = content()
    Path("many.csv").write_text(Path("many.csv").read_text().replace("5,5,", "5,6,"))
    assert "expected the data that the model was fitted to, came others" in run("curve", "out", "--json", code=2)
    Path("many.csv").unlink()
    assert "many.csv: expected" in run("curve", "out", "--json", code=2)
    run("fit", "flowers.csv", "--label", "species", "--out", "other")
    before |= content()
    assert "at least 3 labelled rows" in run("curve", "other", "--json", code=2)
    after = content()
    assert after == {path: data for path, data in before.items() if path.name != "many.csv"}


def test_a_folder_of_text_teaches_as_a_file_does_and_leaves_no_copy(work):
    Path("text").mkdir()
    Path("text/one.txt").write_text("dogs bark loudly\n")
    Path("text/two.txt").write_text("cats\n")
    summaries = [
        json.loads(run("fit", "small.conll", "--unlabelled", text, "--out", out, "--json"))
        for text, out in (("text.txt", "out"), ("text", "other"))
    ]
    assert [summary["unlabelled"] for summary in summaries] == [2, 2]
    assert sorted(path.name for path in Path("other").iterdir()) == ["model.safetensors", "run.json", "summary.json"]


def test_sentences_that_conllu_leaves_open_are_unlabelled(work):
    Path("open.conllu").write_text(conllu("dogs NOUN", "bark VERB") * 2 + conllu("cats _", "sleep _"))
    told = json.loads(run("fit", "open.conllu", "--out", "out", "--json"))
    assert (told["labelled"], told["unlabelled"], told["classes"]) == (2, 1, ["NOUN", "VERB"])
    assert json.loads(run("evaluate", "out", "open.conllu", "--json"))["examples"] == 4
    Path("none.conllu").write_text(conllu("cats _", "sleep _"))
    assert "expected labels to compare with, came none" in run("evaluate", "out", "none.conllu", code=2)


def test_tags_of_unlabelled_sentences_are_ignored(work):
    Path("more.conll").write_text("dogs X\n\nflies Y\n")
    summary = json.loads(run("fit", "small.conll", "--unlabelled", "more.conll", "--out", "out", "--json"))
    assert (summary["unlabelled"], summary["classes"]) == (2, ["NOUN", "VERB"])


def test_evaluate_counts_errors_by_class(work):
    run("fit", "small.conll", "--out", "out")
    Path("test.conll").write_text("dogs NOUN\nbark NOUN\nbark VERB\nfly ADV\n")
    result = json.loads(run("evaluate", "out", "test.conll", "--json"))
    assert result == {
        "error": 0.5,
        "accuracy": 0.5,
        "examples": 4,
        "classes": {
            "ADV": {"examples": 1, "errors": 1, "error": 1.0},
            "NOUN": {"examples": 2, "errors": 1, "error": 0.5},
            "VERB": {"examples": 1, "errors": 0, "error": 0.0},
        },
        "confusion": {"ADV": {"NOUN": 1}, "NOUN": {"NOUN": 1, "VERB": 1}, "VERB": {"VERB": 1}},
    }
    shown = run("evaluate", "out", "test.conll")
    assert "taken for" in shown
    assert [line.split()[1:6:2] for line in shown.split("\n") if line.count("│") == 4 and "OUN" in line][-2:] == [
        ["ADV", "NOUN", "1"],
        ["NOUN", "VERB", "1"],
    ]


def test_evaluate_tells_the_scores_of_spans_where_tags_are_spans(work):
    Path("chunks.conll").write_text("the B-NP\ndog I-NP\nbarks B-VP\n\ncats B-NP\nrun B-VP\n")
    run("fit", "chunks.conll", "--out", "out")
    Path("test.conll").write_text("the B-NP\ndog B-NP\nbarks B-VP\n")
    nothing, everything = (
        dict.fromkeys(("precision", "recall", "f1"), 0.0),
        dict.fromkeys(("precision", "recall", "f1"), 1.0),
    )
    assert json.loads(run("evaluate", "out", "test.conll", "--json"))["spans"] == {
        "NP": {"spans": 2, **nothing},
        "VP": {"spans": 1, **everything},
        "": {"spans": 3, "precision": 1 / 2, "recall": 1 / 3, "f1": 2 / 5},
    }
    assert "40.00%" in run("evaluate", "out", "test.conll")
    run("fit", "small.conll", "--out", "other")
    assert "spans" not in json.loads(run("evaluate", "other", "test.conll", "--json"))


def test_evaluate_tells_how_sure_an_error_is(work):
    """Figures by hand: one of two labelled rows is wrong, since its class is unknown, at p = 1 / (1 + 1/82) each."""
    Path("train.csv").write_text("a,y\n0,p\n9,q\n")
    run("fit", "train.csv", "--label", "y", "--out", "out")
    Path("test.csv").write_text("a,y\n0,p\n4,\n0,new\n")
    result = json.loads(run("evaluate", "out", "test.csv", "--json"))
    z = 1.959964  # beyond it lie 2.5 % of a normal distribution
    half = z / (1 + z**2 / 2) * np.sqrt(1 / 8 + z**2 / 16)  # Wilson, 1927
    assert result["error_interval"] == pytest.approx([0.5 - half, 0.5 + half], abs=1e-6)
    assert result["calibration_error"] == pytest.approx(82 / 83 - 0.5)
    shown = run("evaluate", "out", "test.csv")
    assert "an error from 9.45% to 90.55%" in shown
    assert "48.8 points off" in shown
    run("fit", "small.conll", "--out", "words")
    assert "error_interval" not in json.loads(run("evaluate", "words", "small.conll", "--json"))


def test_evaluate_matches_labels_by_their_text(work):
    """A test file that happens to hold only integers must match a model whose classes were text, and the reverse."""
    Path("text.csv").write_text("a,y\n0,1\n9,b\n")
    run("fit", "text.csv", "--label", "y", "--out", "text")
    Path("test.csv").write_text("a,z\n0,1\n")
    assert json.loads(run("evaluate", "text", "test.csv", "--label", "z", "--json"))["error"] == 0
    Path("integers.csv").write_text("a,y\n0,1\n9,2\n")
    run("fit", "integers.csv", "--label", "y", "--out", "integers")
    Path("test.csv").write_text("a,y\n0,1\n9,new\n")
    assert json.loads(run("evaluate", "integers", "test.csv", "--json"))["error"] == 0.5
    Path("mixed.csv").write_text("a,y\n0,1.0\n5,true\n9,unknown\n")
    run("fit", "mixed.csv", "--label", "y", "--out", "mixed")
    for text in ("0,1.0\n", "0,1\n", "5,true\n", "5,True\n"):
        Path("test.csv").write_text("a,y\n" + text)
        assert json.loads(run("evaluate", "mixed", "test.csv", "--json"))["error"] == 0


def test_predict_writes_a_file(work):
    run("fit", "flowers.csv", "--label", "species", "--out", "out")
    assert run("predict", "out", "more.csv", "--out", "result.csv") == ""
    assert Path("result.csv").read_text() == run("predict", "out", "more.csv")


def test_a_finished_run_is_not_repeated(work):
    first = run("fit", "flowers.csv", "--label", "species", "--out", "out", "--json")
    before = content()
    assert run("fit", "flowers.csv", "--label", "species", "--out", "out", "--json") == first
    assert Saved.fits == 1 and content() == before


@pytest.mark.parametrize("lost", ["model.safetensors", "summary.json"])
@pytest.mark.parametrize("content", [None, b"\0cut"])
def test_a_run_whose_outcome_is_lost_or_damaged_is_fitted_again(work, lost, content):
    first = run("fit", "flowers.csv", "--label", "species", "--out", "out", "--json")
    Path("out", lost).unlink() if content is None else Path("out", lost).write_bytes(content)
    again = run("fit", "flowers.csv", "--label", "species", "--out", "out", "--json")
    assert Saved.fits == 2 and json.loads(again) | {"seconds": 0} == json.loads(first) | {"seconds": 0}
    assert run("predict", "out", "more.csv")


def test_a_run_that_was_moved_tells_where_it_is(work):
    run("fit", "flowers.csv", "--label", "species", "--out", "out")
    Path("out").rename("there")
    told = json.loads(run("fit", "flowers.csv", "--label", "species", "--out", "there", "--json"))
    assert told["model"] == "there/model.safetensors" and Saved.fits == 1


@pytest.mark.parametrize("arguments", [["pictures", "--out", "pictures/out"], ["pictures", "--out", "pictures"]])
def test_a_run_does_not_become_a_part_of_its_data(work, arguments):
    before = content()
    assert "expected a folder outside the data" in run("fit", *arguments, code=2)
    inside = ["small.conll", "--unlabelled", "unlabelled", "--out", "unlabelled/out"]
    assert "expected a folder outside the data" in run("fit", *inside, code=2)
    assert content() == before


def test_what_is_printed_is_utf8_whatever_the_terminal(work):
    Path("greek.csv").write_text("a,b,species\n" + "0,0,λόγος\n" * 4 + "9,9,chät\n" * 4, encoding="utf-8")
    fewlabels = [sys.executable, "-c", "from fewlabels.cli import main; main()"]
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    fit = ["fit", "greek.csv", "--label", "species", "--method", "supervised", "--out", "out"]
    told = subprocess.run([*fewlabels, *fit], env=environment, capture_output=True, check=True).stdout.decode()
    assert "λόγος" in told and "chät" in told


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["flowers.csv", "--label", "species", "--seed", "1"], "seed=0"),
        (["flowers.csv", "--label", "species", "--method", "supervised"], "method=joint"),
        (["flowers.csv", "--label", "species", "--unlabelled", "more.csv"], "unlabelled=None"),
        (["pictures"], "kind=table"),
    ],
)
def test_a_folder_of_another_run_is_not_touched(work, arguments, named):
    run("fit", "flowers.csv", "--label", "species", "--out", "out")
    before = content()
    message = run("fit", *arguments, "--out", "out", code=2)
    assert "folder out holds another run (" in message and named in message
    assert content() == before


def test_a_run_is_not_resumed_with_changed_data(work):
    run("fit", "flowers.csv", "--label", "species", "--out", "out")
    Path("flowers.csv").write_text(TABLE.replace("9,8", "9,7"))
    message = run("fit", "flowers.csv", "--label", "species", "--out", "out", code=2)
    assert "holds another run (data_sha256=" in message and "its data have changed since" in message
    message = run("fit", "flowers.csv", "--label", "species", "--unlabelled", "flowers.csv", "--out", "out", code=2)
    assert "unlabelled=None" in message and "changed" not in message


def test_the_digest_of_text_tells_its_sentences_apart(tmp_path):
    hashes = []
    for text in ("a b\nc d\n", "a bc d\n", "a b\n\nc d\n"):
        (tmp_path / "text.txt").write_text(text)
        hashes.append(digest(Data([], [], [], None, tmp_path / "text.txt")))
    assert hashes[0] == hashes[2] != hashes[1]


def interrupted(self, X, y):
    folder = self.checkpoint
    if folder.exists():
        return Means.original(self, X, y)
    folder.mkdir()
    (folder / "state").write_text("half")
    raise KeyboardInterrupt


def test_an_interrupted_run_is_resumed(work, monkeypatch):
    monkeypatch.setattr(Means, "original", Means.fit, raising=False)
    monkeypatch.setattr(Means, "fit", interrupted)
    command = ("fit", "flowers.csv", "--label", "species", "--out", "out", "--json")
    message = run(*command, code=130)
    assert message == "interrupted: the state is saved in out/checkpoint; the same command resumes from it\n"
    assert "expected a model in this folder, came none" in run("predict", "out", "more.csv", code=2)
    run(*command)
    assert not Path("out/checkpoint").exists() and Path("out/model.safetensors").exists()


def raises(error):
    def fail(*_):
        raise error

    return fail


def test_interrupted_before_any_state(work, monkeypatch):
    monkeypatch.setattr(Means, "fit", raises(KeyboardInterrupt()))
    message = run("fit", "flowers.csv", "--label", "species", "--out", "out", code=130)
    assert message == "interrupted before any state was saved: the same command starts again\n"


def test_interrupted_elsewhere(work, monkeypatch):
    run("fit", "flowers.csv", "--label", "species", "--out", "out")
    monkeypatch.setattr(Means, "predict_proba", raises(KeyboardInterrupt()))
    assert run("predict", "out", "more.csv", "--out", "r.csv", code=130) == "interrupted: nothing was written\n"
    assert not Path("r.csv").exists()


def test_paths_that_may_not_be_read(work, monkeypatch):
    monkeypatch.setattr(Path, "iterdir", raises(PermissionError(13, "Permission denied", "pictures")))
    message = run("fit", "pictures", "--out", "out", code=2)
    assert message == "error: pictures: expected a path that may be read or written, came: Permission denied\n"


def test_divergence(work, monkeypatch):
    monkeypatch.setattr(Means, "fit", raises(DivergenceError("loss is NaN\nafter 3 restarts")))
    message = run("fit", "flowers.csv", "--label", "species", "--out", "out", code=1)
    assert message == "diverged: loss is NaN after 3 restarts\n"


def test_no_space_after_training_keeps_the_state(work, monkeypatch):
    monkeypatch.setattr(Means, "original", Means.fit, raising=False)
    monkeypatch.setattr(Means, "save", raises(InputError("no space")))

    def fit(self, X, y):
        self.checkpoint.mkdir()
        (self.checkpoint / "state").write_text("hours of work")
        return Means.original(self, X, y)

    monkeypatch.setattr(Means, "fit", fit)
    assert run("fit", "flowers.csv", "--label", "species", "--out", "out", code=2) == "error: no space\n"
    assert Path("out/checkpoint/state").exists()


def test_the_state_of_a_fit_is_forgotten_when_its_model_is_saved(work, monkeypatch):
    monkeypatch.setattr(Saved, "order", [])
    Path("out/.fewlabels-0123").mkdir(parents=True)  # what killed runs left half made
    Path("out/.fewlabels-4567").write_text("half a model")
    run("fit", "flowers.csv", "--label", "species", "--out", "out")
    assert Saved.order == ["saved", "forgotten"]
    assert {path.name for path in Path("out").iterdir()} == {"model.safetensors", "run.json", "summary.json"}


def test_one_command_at_a_time_works_in_a_folder(work):
    run("fit", "flowers.csv", "--label", "species", "--out", "out")
    with in_hand(Path("out")):
        run("fit", "flowers.csv", "--label", "species", "--out", "out")  # which shows what is finished
        Path("out/summary.json").unlink()
        for command in (("curve", "out"), ("fit", "flowers.csv", "--label", "species", "--out", "out")):
            assert "folder out: expected one process at work in it, came a second" in run(*command, code=2)
    run("fit", "flowers.csv", "--label", "species", "--out", "out")


def test_labels_that_are_not_asked_for_may_be_anything(work):
    run("fit", "flowers.csv", "--label", "species", "--out", "out")
    Path("unknown.csv").write_text("a,b,species\n7,7,NA\n")
    assert run("predict", "out", "unknown.csv") == run("predict", "out", "more.csv")
    assert "came 'NA' in 1 rows" in run("evaluate", "out", "unknown.csv", code=2)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["demo", "--out", "flowers.csv"], "flowers.csv: expected a path that may be read or written"),
        (["reproduce", "methods", "--out", "flowers.csv"], "flowers.csv: expected a path that may be read or written"),
        (["reproduce", "table3", "--data", ".", "--ratios", "50.5"], "expected whole numbers with commas between"),
        (["reproduce", "table3", "--data", ".", "--ratios", "inf"], "expected whole numbers with commas between"),
        (["reproduce", "table2", "--data", ".", "--accelerator", "gpu", "--sets", "svhn"], "expected accelerator"),
    ],
)
def test_commands_that_come_to_nothing(work, command, message):
    before = content()
    assert message.lower() in run(*command, code=2).lower()
    assert content() == before


FILES = {
    "under.csv": "a,species\n1_2,iris\n3,rose\n",
    "one.csv": "a,species\n1,iris\n2,iris\n",
    "bad.csv": "a,species\n1,iris\nx,rose\n",
    "nan.csv": "a,b,species\n1,nan,iris\n",
    "other.csv": "a,c\n1,2\n",
    "ragged.conll": "a X\nb\n",
    "german.csv": "a;b;species\n1;2;iris\n",
    "missing.csv": "a,b,species\n1,2,iris\n1,3,NA\n2,2,NA\n3,3,rose\n",
    "head.tsv": "token\ttag\ndogs\tNOUN\nbark\tVERB\n",
    "half.conllu": conllu("dogs NOUN", "bark VERB") + conllu("cats _", "sleep VERB"),
    "empty.conll": "\n\n",
    "nothing.txt": "\n\n",
    "image.npz": "no archive",
    "cut.parquet": "PAR1",
    "odd.xlsx": "x",
}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one.csv", "--label", "species"], "expected two classes or more, came one"),
        (["bad.csv", "--label", "species"], "bad.csv, line 3, column 'a': expected a finite number, came 'x'"),
        (["nan.csv", "--label", "species"], "nan.csv, line 2, column 'b': expected a finite number, came 'nan'"),
        (["flowers.csv", "--label", "spices"], "came columns a, b, species; did you mean 'species'?"),
        (["flowers.csv"], "add --label COLUMN"),
        (["flowers.csv", "--label", "species", "--unlabelled", "other.csv"], "missing b and not known c"),
        (["flowers.csv", "--label", "species", "--unlabelled", "absent.csv"], "absent.csv"),
        (["german.csv", "--label", "species"], "expected cells separated by commas, came ';'"),
        (["under.csv", "--label", "species"], "expected a finite number, came '1_2'"),
        (["missing.csv", "--label", "species"], "where a row has none, came 'NA' in 2 rows"),
        (["head.tsv"], "head.tsv:1: expected a token and its tag, came what looks like a header, 'token' and 'tag'"),
        (["half.conllu"], "expected a tag for each word of a sentence or for none, came both in sentence 1"),
        (["absent.csv", "--label", "species"], "absent.csv: expected data, came a path that does not exist"),
        (["odd.xlsx"], "expected a folder of images or a file named .csv"),
        (["cut.parquet", "--label", "y"], "expected a whole Parquet file"),
        (["image.npz"], "expected an .npz archive"),
        (["pictures", "--label", "species"], "expected --label with a table only"),
        (["pictures", "--unlabelled", "absent"], "came nothing"),
        (["ragged.conll"], "ragged.conll:2: expected 2 columns, found 1"),
        (["empty.conll"], "empty file"),
        (["small.conll", "--label", "tag"], "expected --label with a table only"),
        (["small.conll", "--unlabelled", "empty.conll"], "empty file"),
        (["small.conll", "--unlabelled", "nothing.txt"], "came none"),
        (["small.conll", "--unlabelled", "absent.txt"], "absent.txt"),
    ],
)
def test_bad_input_to_fit_writes_nothing(work, arguments, message):
    for name, text in FILES.items():
        Path(name).write_text(text)
    before = content()
    assert message in run("fit", *arguments, "--out", "new/out", code=2)
    assert content() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "absent", "more.csv"], "absent: expected the folder that `fewlabels fit` wrote"),
        (["predict", "unlabelled", "more.csv"], "expected a model in this folder, came none"),
        (["predict", "more.csv", "more.csv"], "expected the settings of a run, came no such file"),
        (["predict", "table", "other.csv"], "expected the columns of the training table, missing b and not known c"),
        (["predict", "table", "absent.csv"], "absent.csv: expected data, came a path that does not exist"),
        (["predict", "table", "text.txt"], "expected table data, as the model was trained with, came sequences data"),
        (["predict", "words", "pictures"], "expected sequences data, as the model was trained with, came images data"),
        (
            ["predict", "table", "more.csv", "--out", "more.csv"],
            "expected another file than the data or those of the run",
        ),
        (["predict", "table", "more.csv", "--out", "absent/r.csv"], "nothing was changed"),
        (
            ["predict", "table", "more.csv", "--out", "table/model.safetensors"],
            "expected another file than the data or those of the run",
        ),
        (
            ["predict", "table", "more.csv", "--out", "table/run.json"],
            "expected another file than the data or those of the run",
        ),
        (["sample", "table", "--out", "flowers.csv"], "expected another file than the data or those of the run"),
        (["predict", "grey", "coloured"], "coloured: expected grey images, as in training, came images of colours"),
        (["predict", "broken", "more.csv"], "expected a model, came something else"),
        (["predict", "foreign", "more.csv"], "expected the run of `fewlabels fit`, came another"),
        (["evaluate", "table", "more.csv"], "expected the column 'species' of the labels, came none"),
        (["evaluate", "table", "empty.csv"], "expected labels to compare with, came none"),
        (["evaluate", "words", "small.conll", "--label", "tag"], "expected --label with a table only"),
        (["sample", "table", "--out", "new.npz"], "expected a name that ends in .csv"),
        (["sample", "words", "--out", "new.csv"], "expected a name that ends in .txt"),
    ],
)
def test_bad_input_to_a_model_writes_nothing(work, arguments, message):
    run("fit", "flowers.csv", "--label", "species", "--out", "table")
    run("fit", "small.conll", "--out", "words")
    run("fit", "pictures", "--out", "grey")
    Path("coloured").mkdir()
    Image.new("RGB", (3, 2), "red").save("coloured/1.png")
    run("fit", "flowers.csv", "--label", "species", "--out", "broken")
    Path("broken/model.safetensors").write_bytes(b"\0truncated")
    Path("foreign").mkdir()
    Path("foreign/model.safetensors").write_text("[]")
    Path("foreign/run.json").write_text('{"kind": "demo"}')
    Path("other.csv").write_text("a,c\n1,2\n")
    Path("empty.csv").write_text("a,b,species\n1,2,\n")
    before = content()
    assert message in run(*arguments, code=2)
    assert content() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit"],
        ["fit", "flowers.csv", "--out", "o", "--method", "magic"],
        ["fit", "flowers.csv"],
        ["fit", "flowers.csv", "--label", "species", "--out", "o", "--seed", str(2**32)],
        ["sample", "m", "-n", "0"],
    ],
)
def test_wrong_usage_ends_with_code_2(work, arguments):
    before = content()
    assert CliRunner().invoke(app, arguments).exit_code == 2
    assert content() == before


def test_demo_hands_its_options_on(work, monkeypatch):
    calls = []
    module = type(sys)("fewlabels.demo")
    monkeypatch.setattr(module, "run_demo", lambda out, seeds: calls.append((out, seeds)), raising=False)
    monkeypatch.setitem(sys.modules, "fewlabels.demo", module)
    run("demo")
    run("demo", "--out", "elsewhere", "--seeds", "2")
    assert calls == [(Path("demo"), 5), (Path("elsewhere"), 2)]
