"""The learning curve: figures by hand, what each fit sees, verdicts where the truth is known, and going on."""

import json

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from fewlabels.classifier import SemiSupervisedClassifier
from fewlabels.data.pool import Pool, write_pool
from fewlabels.diagrams import learning_curve_diagram
from fewlabels.errors import InputError
from fewlabels.experiments.page import picture
from fewlabels.learning_curve import LearningCurve
from fewlabels.methods import Setting
from fewlabels.model_selection import is_unlabelled
from fewlabels.recipes import DENSE
from fewlabels.tagger import SemiSupervisedTagger


class Labelled(ClassifierMixin, BaseEstimator):
    """Logistic regression on the labelled rows."""

    def fit(self, X, y):
        self.known = ~is_unlabelled(y)
        self.model = LogisticRegression(max_iter=200).fit(X[self.known], y[self.known])
        return self

    def predict(self, X):
        return self.model.predict(X)


class Spy(BaseEstimator):
    """Remembers what each fit and each prediction was given, and errs on the first row of each."""

    fits: list
    trials: list
    stop_after = None

    def __init__(self, weight="auto", step_size="auto", checkpoint=None):
        self.weight, self.step_size, self.checkpoint = weight, step_size, checkpoint

    def fit(self, X, y, pool=None):
        if len(Spy.fits) == Spy.stop_after:
            raise KeyboardInterrupt
        Spy.fits.append((list(map(tuple, X)), list(y), pool, self.get_params()))
        return self

    def predict(self, X):
        Spy.trials.append(list(map(tuple, X)))
        return [TRUTH[one] if i else WRONG[one] for i, one in enumerate(Spy.trials[-1])]


TRUTH, WRONG = {}, {}


@pytest.fixture
def spy(monkeypatch):
    monkeypatch.setattr(Spy, "fits", [], raising=False)
    monkeypatch.setattr(Spy, "trials", [], raising=False)
    monkeypatch.setattr(Spy, "stop_after", None)
    TRUTH.clear()
    WRONG.clear()
    return Spy()


def rows(labelled=24, unlabelled=5, classes=2):
    x = np.arange(labelled + unlabelled, dtype=float)[:, None]
    y = np.array([i % classes if i < labelled else -1 for i in range(len(x))])
    TRUTH.update({(i,): label for (i,), label in zip(x.tolist(), y.tolist(), strict=True)})
    WRONG.update({row: 1 - label for row, label in TRUTH.items()})
    return x, y


def sentences(labelled=24, unlabelled=5):
    words = [[f"word{i}", "the", "end"][: 1 + i % 3] for i in range(labelled + unlabelled)]
    tags = [["A", "B", "C"][: len(one)] if i < labelled else None for i, one in enumerate(words)]
    TRUTH.update({tuple(one): own for one, own in zip(words, tags, strict=True)})
    WRONG.update({tuple(one): ["Z"] * len(one) for one in words})
    return words, tags


def curve(*wrong, size=None, labelled=(10, 20, 40)):
    wrong = np.array(wrong, dtype=int)
    return LearningCurve(np.array(labelled, dtype=float), wrong, np.ones(wrong.shape[1]) if size is None else size)


def of_errors(*counts, n=1000, labelled=(10, 20, 40)):
    """So many of n rows wrong, the later ones among the earlier."""
    return curve(*(np.arange(n) < count for count in counts), labelled=labelled)


def test_figures_by_hand():
    one = of_errors(64, 48, 36, n=100)
    assert one.errors.tolist() == [0.64, 0.48, 0.36]
    assert one.gain == pytest.approx(0.36 / 4)  # a quarter goes by each doubling
    assert one.error_with(80) == pytest.approx(0.27) and one.error_with(160) == pytest.approx(0.2025)
    np.testing.assert_allclose(one.standard_errors**2, [p * (1 - p) / 100 + 1 / 100**2 for p in one.errors])


def test_a_curve_that_flattens_goes_on_from_its_last_two():
    flat = of_errors(400, 210, 200)
    assert flat.gain == pytest.approx(0.2 * (1 - 200 / 210))
    assert of_errors(400, 290, 200).gain == pytest.approx(0.2 * (1 - 0.5**0.5))  # from above it may be chance
    assert of_errors(8, 5, 4, n=20).gain == pytest.approx(0.2 * (1 - 0.5**0.5))  # of 20 rows no one can tell


@pytest.mark.parametrize("longest", [1, 30])
@pytest.mark.parametrize(("middle", "rest"), [(0.8, 0.6), (0.35, 0.8)])
def test_standard_errors_are_those_of_a_bootstrap(longest, middle, rest):
    """Of rows and of sentences; by either law, which the resamples follow."""
    rng = np.random.default_rng(0)
    size = rng.integers(1, longest + 1, 1000)
    first = rng.binomial(size, rng.beta(2, 4, 1000))
    between = rng.binomial(first, middle)
    last = rng.binomial(between, rest)
    one = curve(first, between, last, size=size)
    drawn = [curve(first[i], between[i], last[i], size=size[i]) for i in rng.integers(0, 1000, (2000, 1000))]
    assert one.gain_standard_error == pytest.approx(np.std([each.gain for each in drawn]), rel=0.07)
    assert one.standard_errors[-1] == pytest.approx(np.std([each.errors[-1] for each in drawn]), rel=0.07)


def test_the_law_minds_that_labels_were_not_quite_doubled():
    """A class with few labels keeps one at every share."""
    one = of_errors(600, 566, 540, n=1000, labelled=(10, 15, 20))
    assert one.gain == pytest.approx(0.054)
    assert one.error_with(40) == pytest.approx(0.486)


@pytest.mark.parametrize("counts", [(10, 0, 0), (0, 0, 0), (0, 5, 10), (10, 20, 40)])
def test_errors_that_are_gone_or_rise_are_not_gone_on_with(counts):
    one = of_errors(*counts)
    assert one.error_with(1000) == one.errors[-1]
    assert one.gain <= 0 < one.gain_standard_error


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (of_errors(400, 280, 200), "would help"),
        (of_errors(210, 205, 200), "would hardly help"),
        (of_errors(400, 210, 205), "would hardly help"),  # it has flattened
        (of_errors(150, 170, 200), "would hardly help"),
        (of_errors(40, 28, 20, n=100), "would help"),
        (of_errors(4, 3, 2, n=20), "may help or not"),
        (of_errors(2, 2, 2, n=20), "may help or not"),  # no change in a few rows is no certainty
        (of_errors(9, 0, 0, n=20), "may help or not"),
    ],
)
def test_verdicts(one, expected):
    assert one.verdict.startswith(f"More labels {expected}: with 10, 20 and 40 labelled examples the error is ")


def test_a_verdict_says_what_it_rests_on():
    assert of_errors(640, 480, 360).verdict == (
        "More labels would help: with 10, 20 and 40 labelled examples the error is 64.0%, 48.0% and 36.0%; twice as "
        f"many would take about 9.0 ± {100 * of_errors(640, 480, 360).gain_standard_error:.1f} points off."
    )


@pytest.mark.parametrize("make", [rows, sentences])
def test_each_label_is_tried_once_at_each_share_by_a_model_that_did_not_see_it(spy, make):
    x, y = make()
    found = LearningCurve.of(spy, x, y)
    known = [tuple(one) for one in x[:24]]
    assert found.labelled.tolist() == [4, 8, 16]
    assert [len(trial) for trial in Spy.trials] == [8] * 9
    for share in range(3):
        assert sorted(one for trial in Spy.trials[3 * share : 3 * share + 3] for one in trial) == sorted(known)
    unlabelled = -1 if make is rows else None
    learnt_from = []
    for (seen, labels, pool, _), tried in zip(Spy.fits, Spy.trials, strict=True):
        assert pool is None
        assert sorted(seen) == sorted({tuple(one) for one in x} - set(tried))
        learnt_from.append({one for one, label in zip(seen, labels, strict=True) if label != unlabelled})
        assert all(label == TRUTH[one] for one, label in zip(seen, labels, strict=True) if one in learnt_from[-1])
    assert [len(one) for one in learnt_from] == [4] * 3 + [8] * 3 + [16] * 3
    assert all(learnt_from[i] < learnt_from[i + 3] for i in range(6))
    size = {tuple(one): 1 if make is rows else len(one) for one in x}
    assert found.size.tolist() == [size[one] for one in known]
    first = {trial[0] for trial in Spy.trials[:3]}  # where the spy errs, at every share
    assert found.wrong.tolist() == [[size[one] if one in first else 0 for one in known]] * 3


def test_shares_are_taken_of_each_class(spy):
    LearningCurve.of(spy, *rows(labelled=48, classes=4))
    for _, labels, *_ in Spy.fits[:3]:
        assert [labels.count(label) for label in range(4)] == [2] * 4


def test_a_fitted_model_keeps_what_it_chose(spy):
    spy.setting_ = Setting(0.25, 0.5)
    spy.checkpoint = "state"
    LearningCurve.of(spy, *rows())
    assert all(given == {"weight": 0.25, "step_size": 0.5, "checkpoint": None} for *_, given in Spy.fits)
    assert spy.get_params() == {"weight": "auto", "step_size": "auto", "checkpoint": "state"}


def test_an_interrupted_curve_goes_on_to_the_same(spy, tmp_path, monkeypatch):
    x, y = rows()
    whole = LearningCurve.of(spy, x, y)
    fits, Spy.fits = Spy.fits, []
    Spy.stop_after = 4
    state = tmp_path / "state.json"
    with pytest.raises(KeyboardInterrupt):
        LearningCurve.of(spy, x, y, checkpoint=state)
    kept = len(json.loads(state.read_text())["wrong"])
    assert 3 <= kept <= 4
    Spy.stop_after, Spy.fits = None, []
    resumed = LearningCurve.of(spy, x, y, checkpoint=state)
    assert Spy.fits == fits[kept:]
    for one, other in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(one, other)
    LearningCurve.of(spy, x, y, checkpoint=state)
    assert len(Spy.fits) == 9 - kept


@pytest.mark.parametrize("change", ["x", "y", "weight", "folds", "seed", "pool"])
def test_a_state_of_anything_else_is_refused(spy, tmp_path, change):
    x, y = rows()
    state = tmp_path / "state.json"
    LearningCurve.of(spy, x, y, checkpoint=state)
    write_pool([["one", "more"]], tmp_path / "pool")
    before = state.read_bytes()
    with pytest.raises(InputError, match="of this very curve, came that of other data or parameters"):
        LearningCurve.of(
            Spy(weight=1.0) if change == "weight" else spy,
            x + 1 if change == "x" else x,
            np.where(y >= 0, 1 - y, y) if change == "y" else y,
            pool=Pool(tmp_path / "pool") if change == "pool" else None,
            folds=4 if change == "folds" else 3,
            random_state=1 if change == "seed" else 0,
            checkpoint=state,
        )
    assert state.read_bytes() == before


def test_networks_and_functions_of_ones_own(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 2))
    y = np.where(np.arange(30) < 24, np.arange(30) % 2, -1)
    given = dict(effort=0.01, weight=1.0, step_size=1.0, random_state=0, recipe=DENSE._replace(noise=0.1))
    net = torch.nn.Linear(2, 2)
    for name in ("fixmatch", "supervised"):
        model = SemiSupervisedClassifier(name, potential=net, augmentation=lambda x: x + 0.1, **given)
        first = LearningCurve.of(model, x, y)
        LearningCurve.of(model, x, y, checkpoint=tmp_path / f"{name}.json")
        again = LearningCurve.of(clone(model), x, y, checkpoint=tmp_path / f"{name}.json")
        np.testing.assert_array_equal(first.wrong, again.wrong)
    torch.nn.init.zeros_(net.weight)
    with pytest.raises(InputError, match="of this very curve"):
        LearningCurve.of(model.set_params(potential=net), x, y, checkpoint=tmp_path / "supervised.json")


def test_a_start_is_left_alone(tmp_path):
    words = [[f"w{i % 6}", f"v{i % 4}"] for i in range(36)]
    tags = [np.array(["W" if i % 6 < 3 else "X", "V"]) if i % 3 else None for i in range(36)]
    tagger = SemiSupervisedTagger(
        "pretrain", preset="tiny", effort=0.02, random_state=0, start=tmp_path / "start.safetensors"
    )
    assert LearningCurve.of(tagger, words, tags).size.tolist() == [2] * 24
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"key": "k"}', '{"key": "k", "wrong": {"a": [1]}}'])
def test_a_damaged_state_is_refused(spy, tmp_path, content):
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(InputError, match=r"state\.json: expected the state of a learning curve, came something else"):
        LearningCurve.of(spy, *rows(), checkpoint=tmp_path / "state.json")


def test_too_few_labels(spy):
    with pytest.raises(InputError, match="y to be passed"):
        LearningCurve.of(spy, rows()[0], None)
    with pytest.raises(
        InputError, match="a half and all of those outside a fold differ in number and are two at least, got 2, 2,"
    ):
        LearningCurve.of(spy, *rows(labelled=6))
    with pytest.raises(InputError, match="and are two at least, got 1, 2, 4: label more"):
        LearningCurve.of(spy, [["a", "b"]] * 12, [["X", "Y"]] * 6 + [None] * 6)
    with pytest.raises(InputError, match="at least 3 labelled rows"):
        LearningCurve.of(spy, *rows(labelled=2))
    assert not Spy.fits


def test_processes_do_not_matter():
    x, y = load_digits(return_X_y=True)
    y = np.where(np.arange(len(y)) < 60, y, -1)
    one, two = (LearningCurve.of(Labelled(), x, y, n_jobs=n) for n in (None, 2))
    for value, other in zip(one, two, strict=True):
        np.testing.assert_array_equal(value, other)


def test_labels_help_where_there_is_something_to_learn():
    """200 digits; twice as many do leave about what the curve says."""
    x, truth = load_digits(return_X_y=True)
    x = x / 16
    said, left = [], []
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(len(x))
        x_now, y_now = x[order], truth[order]
        found = LearningCurve.of(Labelled(), x_now[:200], y_now[:200])
        said.append((found.verdict.startswith("More labels would help"), found.error_with(400)))
        model = Labelled().fit(x_now[:400], y_now[:400])
        left.append((model.predict(x_now[400:]) != y_now[400:]).mean())
    helps, expected = np.mean(said, axis=0)
    assert helps >= 0.6
    assert expected == pytest.approx(np.mean(left), abs=0.01)


def test_labels_hardly_help_where_the_classes_overlap():
    """Two Gaussians a deviation apart on either side, of which the best rule takes 15.9 % for the other."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 3000)
    found = LearningCurve.of(Labelled(), rng.normal(size=(3000, 1)) + 2 * y[:, None], y)
    assert found.verdict.startswith("More labels would hardly help")
    assert found.errors[-1] == pytest.approx(0.1587, abs=3 * found.standard_errors[-1])


def test_of_a_tagger_with_a_pool(tmp_path):
    words = [[f"w{i % 6}", f"v{i % 4}"] for i in range(36)]
    tags = [["W" if i % 6 < 3 else "X", "V"] if i % 3 else None for i in range(36)]
    write_pool([["w1", "v2"], ["w3", "v0", "w2"]] * 10, tmp_path / "pool")
    tagger = SemiSupervisedTagger("joint", preset="tiny", weight=0.1, effort=0.1, random_state=0)
    found = LearningCurve.of(tagger, words, tags, pool=Pool(tmp_path / "pool"))
    assert found.labelled.tolist() == [4, 8, 16] and found.size.tolist() == [2] * 24
    assert found.errors[-1] < found.errors[0] < 0.6


def test_the_diagram_shows_the_curve():
    one = of_errors(64, 48, 36, n=100)
    axes = learning_curve_diagram(one).axes[0]
    measured, further = axes.lines[0], axes.lines[-1]
    np.testing.assert_allclose(measured.get_xydata(), np.stack([one.labelled, 100 * one.errors], 1))
    np.testing.assert_allclose(further.get_xydata()[[0, -1]], [[40, 36], [80, 27]])
    assert len(picture(learning_curve_diagram(one))) > 1000
