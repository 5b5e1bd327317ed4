"""The classifier as scikit-learn's users meet it: contract, labels of every kind, files, bad input."""

import json
import os
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris, make_blobs
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from torch import nn

import fewlabels.classifier
from fewlabels import InputError, LabelledKFold, SemiSupervisedClassifier
from fewlabels.fit import fit
from fewlabels.image import ConvNet
from fewlabels.labels import Categorical
from fewlabels.machine import processes
from fewlabels.methods import Setting
from fewlabels.recipes import DENSE
from fewlabels.stage import halvings
from fewlabels.tabular import MLP
from fewlabels.vector_methods import NAMES, vector_stages
from fewlabels.vectors import PRESETS, build_players, build_potential, empty_potential, preset_for

QUICK = {"effort": 0.03, "random_state": 0}


def blobs(labelled=12, seed=0):
    X, truth = make_blobs(120, centers=3, cluster_std=0.6, random_state=seed)
    y = truth.copy()
    y[labelled:] = -1
    return X, y, truth


@pytest.mark.filterwarnings("ignore")
def test_check_estimator_passes_but_for_the_one_check_that_takes_minus_one_for_a_class():
    check_estimator(
        SemiSupervisedClassifier(effort=0.01),
        expected_failed_checks={"check_classifiers_classes": "-1 marks unlabelled samples"},
    )


@pytest.mark.parametrize("method", [*NAMES.whole, "best"])
def test_every_method_learns_tables(method):
    X, y, truth = blobs()
    model = SemiSupervisedClassifier(method, weight=1.0, step_size=1.0, effort=0.2, random_state=0).fit(X, y)
    assert model.score(X, truth) > 0.9
    p = model.predict_proba(X)
    assert p.shape == (120, 3)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-6)
    assert (model.classes_[p.argmax(1)] == model.predict(X)).all()
    assert model.score_samples(X).shape == (120,)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"preset": "large"}, "preset to be one of auto, dense, small, wide, mnist"),
        ({"preset": "small"}, "Expected images for preset 'small'"),
        ({"preset": "cifar10"}, "images of 3 channels and 32 x 32 pixels"),
        ({"accelerator": "abacus"}, "accelerator to be one of auto, cpu"),
        ({"precision": "half"}, "precision to be one of auto, float32"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(parameters, message):
    X, y, _ = blobs()
    with pytest.raises(InputError, match=message):
        SemiSupervisedClassifier(**parameters).fit(X, y)


@pytest.mark.parametrize(
    ("method", "weight", "told"),
    [("ladder", 1.0, "method='ladder':"), ("joint", 0.0, "method='joint' and chose supervised training:")],
)
def test_a_model_that_learnt_no_density_is_not_sampled_from_and_says_why(method, weight, told):
    X, y, _ = blobs()
    model = SemiSupervisedClassifier(method, weight=weight, step_size=1.0, **QUICK).fit(X, y)
    with pytest.raises(InputError, match=told):
        model.sample()


def test_trainings_share_cores_but_no_gpu():
    assert [processes(torch.device(name)) for name in ("cpu", "cuda", "mps")] == [os.cpu_count(), 1, 1]


def test_a_machine_without_the_accelerator_is_told_so(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    X, y, _ = blobs()
    with pytest.raises(InputError, match="machine with cuda, got one without"):
        SemiSupervisedClassifier(accelerator="cuda", checkpoint=tmp_path / "state").fit(X, y)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(("own", "expected"), [(False, True), (True, False)])
def test_a_network_of_ones_own_in_float32_unless_told_otherwise(own, expected, monkeypatch):
    monkeypatch.setattr("fewlabels.vector_training.fast_bfloat16", lambda device: True)
    network = nn.Sequential(nn.Flatten(), nn.Linear(256, 2)) if own else None
    made = SemiSupervisedClassifier(potential=network)
    made.classes_ = np.arange(2)
    codes = np.zeros(4, dtype=int)
    assert made._trainer(PRESETS["small"], torch.zeros(4, 1, 16, 16), codes, 0).bfloat16 is expected


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (DENSE._replace(labelled=0), "a recipe of 1 labelled and 2 unlabelled inputs a step or more, got 0 and 50"),
        (DENSE._replace(unlabelled=1), "a recipe of 1 labelled and 2 unlabelled inputs a step or more, got 50 and 1"),
        (DENSE._replace(head="keep"), "a recipe whose head is one of new, scalar, kept, got 'keep'"),
    ],
)
def test_recipes_that_mean_nothing(recipe, message):
    with pytest.raises(InputError, match=message):
        SemiSupervisedClassifier(recipe=recipe).fit(*blobs()[:2])


def test_a_step_sees_as_many_inputs_of_either_kind_as_the_recipe_says(monkeypatch):
    seen = []

    def spied(potential, stages, batches, **options):
        seen.extend([len(batches[0].x), len(batches[0].y), len(batches[0].x_unlabelled)])
        return fit(potential, stages, batches, **options)

    monkeypatch.setattr("fewlabels.vector_training.fit", spied)
    recipe = DENSE._replace(labelled=3, unlabelled=7)
    SemiSupervisedClassifier("joint", recipe=recipe, weight=1.0, step_size=1.0, effort=0.01).fit(*blobs()[:2])
    assert seen == [3, 3, 7]


@pytest.mark.parametrize("method", ["supervised", "pretrain", "joint"])
@pytest.mark.parametrize(("preset", "shape"), [("mnist", (28, 28)), ("svhn", (32, 32, 3)), ("cifar10", (32, 32, 3))])
def test_the_papers_presets_train(preset, shape, method, monkeypatch):
    few = PRESETS[preset].recipe._replace(labelled=2, unlabelled=2)
    monkeypatch.setitem(PRESETS, preset, PRESETS[preset]._replace(recipe=few))
    before = {}

    def spied(potential, stages, *rest, **options):
        players = stages[0].objective.parameters()
        watched = [*potential.parameters(), *players]
        before.update({parameter: parameter.detach().clone() for parameter in watched})
        return fit(potential, stages, *rest, **options)

    monkeypatch.setattr("fewlabels.vector_training.fit", spied)
    x = np.random.default_rng(0).integers(0, 256, (12, *shape), dtype=np.uint8)
    y = np.where(np.arange(12) < 6, np.arange(12) % 2, -1)
    model = SemiSupervisedClassifier(
        method, preset=preset, weight=1.0, step_size=1.0, effort=1e-5, precision="float32", random_state=0
    ).fit(x, y)
    assert np.isfinite(model.predict_proba(x)).all()
    assert all(not torch.equal(parameter.detach().float(), was) for parameter, was in before.items())
    assert "supervised" in model.history_[-1].values
    assert all(np.isfinite(list(record.values.values())).all() for record in model.history_)


@pytest.mark.parametrize(
    ("shape", "network"),
    [((784,), MLP), ((1, 8, 8), MLP), ((3, 15, 40), MLP), ((1, 16, 16), ConvNet), ((3, 32, 32), ConvNet)],
)
def test_untouched_images_are_read_by_convolutions_unless_they_are_tiny(shape, network):
    potential = empty_potential(None, preset_for("auto", shape), shape, 3)
    assert type(potential) is network
    assert potential(torch.randn(2, *shape)).scores.shape == (2, 3)


def test_candidates_are_judged_by_the_probability_they_give_to_wrong_labels(monkeypatch):
    X, y, _ = blobs()
    seen = {}

    def spied(settings, rows, folds, train, judge, folder, report):
        seen.update(rows=rows, judge=judge)
        raise KeyboardInterrupt

    monkeypatch.setattr(fewlabels.classifier, "choose_and_train", spied)
    model = SemiSupervisedClassifier(random_state=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    p = torch.tensor([0.2, 0.3, 0.5])
    trained = SimpleNamespace(potential=lambda x: Categorical(p.log().expand(len(x), 3)))
    wrong = 1 - p[np.searchsorted(model.classes_, y[seen["rows"]])].numpy()
    np.testing.assert_allclose(seen["judge"](trained, seen["rows"]), wrong, rtol=1e-5)


def test_a_recipe_of_ones_own_takes_the_presets_place(tmp_path):
    X, y, _ = blobs()
    recipe = DENSE._replace(supervised=DENSE.supervised._replace(steps=3))
    model = SemiSupervisedClassifier("supervised", recipe=recipe, random_state=0).fit(X, y)
    assert model.history_[-1].step == 2
    model.save(tmp_path / "model.safetensors")
    again = fewlabels.load(tmp_path / "model.safetensors")
    assert again.recipe is None and (again.predict_proba(X) == model.predict_proba(X)).all()
    with pytest.raises(InputError, match=r"recipe to be a fewlabels.recipes.Recipe, got 'fast'"):
        SemiSupervisedClassifier("supervised", recipe="fast").fit(X, y)


@pytest.mark.parametrize(
    ("head", "scalar", "reset"), [("new", False, ("head",)), ("scalar", True, ("head",)), ("kept", False, ())]
)
def test_what_becomes_of_the_head_between_pretraining_and_finetuning(head, scalar, reset):
    data = torch.randn(20, 2)
    dense = PRESETS["dense"]
    preset = dense._replace(recipe=dense.recipe._replace(head=head))
    potential = build_potential(None, preset, data, 3)
    players = build_players(None, preset, potential, data, torch.arange(3), torch.arange(3), 1.0)
    first, second = vector_stages("pretrain", players, Setting())
    assert (first.objective.scalar, first.reset, second.reset) == (scalar, (), reset)


def test_a_small_network_trains_on_one_thread_and_the_callers_threads_come_back(monkeypatch):
    X, y, _ = blobs()
    seen, before = set(), torch.get_num_threads()

    class Own(nn.Linear):
        def forward(self, x):
            seen.add(torch.get_num_threads())
            return super().forward(x)

    monkeypatch.setattr("fewlabels.vector_training.fit", lambda *a, **k: seen.add(torch.get_num_threads()) or [])
    torch.set_num_threads(3)
    try:
        SemiSupervisedClassifier("supervised", **QUICK).fit(X, y)
        assert seen == {1} and torch.get_num_threads() == 3
        SemiSupervisedClassifier("supervised", potential=Own(2, 3), **QUICK).fit(X, y)
        assert seen == {1, 3}
    finally:
        torch.set_num_threads(before)


def test_outlier_scores_hold_u_and_confidence_and_samples_may_be_left_unrevised():
    X, y, _ = blobs()
    model = SemiSupervisedClassifier("joint", weight=1.0, step_size=1.0, **QUICK).fit(X, y)
    scores = model.outlier_scores(X)
    np.testing.assert_allclose(scores["u"], model.score_samples(X))
    np.testing.assert_allclose(scores["confidence"], model.predict_proba(X).max(1))
    assert (scores["gradient"] <= 0).all() and scores["gradient"].std() > 0
    proposed, revised = (model.sample(50, random_state=0, steps=steps) for steps in (0, 20))
    kept = model._scaling.invert(model._proposals.numpy())
    assert all(np.isclose(kept, row).all(1).any() for row in proposed)
    assert not np.isclose(proposed, revised).all()


@pytest.mark.parametrize("shape", [(120, 4, 5), (120, 4, 5, 3), (40, 36, 36)])
def test_images_keep_their_form(shape):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, shape[0])
    X = (rng.random(shape) * 100 + 100 * truth.reshape(-1, *[1] * (len(shape) - 1))).astype(np.uint8)
    y = np.where(np.arange(shape[0]) < 10, truth, -1)
    model = SemiSupervisedClassifier("joint", weight=1.0, step_size=1.0, effort=0.002, random_state=0).fit(X, y)
    assert model.predict(X).shape == shape[:1]
    assert model.sample(3, random_state=0).shape == (3, *shape[1:])
    with pytest.raises(InputError, match="of shape"):
        model.predict(X[:, 1:])


@pytest.mark.parametrize(
    "names",
    [np.array(["a", "b", "c"], dtype=object), np.array([5, 7, 9]), np.array([True, False], dtype=object)],
    ids=["text", "integers", "booleans"],
)
def test_labels_of_every_kind(names):
    X, y, truth = blobs()
    truth = truth % len(names)
    named = names[truth]
    given = (
        np.where(y == -1, np.array(-1, dtype=object), named) if names.dtype == object else np.where(y < 0, -1, named)
    )
    model = SemiSupervisedClassifier("supervised", **QUICK).fit(X, given)
    assert set(model.classes_.tolist()) == set(names.tolist())
    assert model.score(X, named.astype(model.classes_.dtype)) > 0.6


def test_none_stands_for_unlabelled_too():
    X, y, _ = blobs()
    a = SemiSupervisedClassifier("supervised", **QUICK).fit(X, y)
    b = SemiSupervisedClassifier("supervised", **QUICK).fit(X, [None if v == -1 else int(v) for v in y])
    np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))


def test_joint_training_on_few_features_runs_away_unless_revisions_are_cut():
    X, y = load_iris(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(X))[:90]
    y = np.where(np.arange(90) % 5 == 0, y[rows], -1)
    uncut = DENSE._replace(field=DENSE.field._replace(cuts=None))
    times = [
        halvings(
            SemiSupervisedClassifier(weight=1.0, step_size=1.0, effort=0.2, recipe=recipe, random_state=0)
            .fit(X[rows], y)
            .history_
        )
        for recipe in (None, uncut)
    ]
    assert times[0] == 0 < times[1]


def test_weight_zero_is_supervised_to_the_bit_and_unlabelled_rows_change_joint_training():
    X, y, _ = blobs()
    p = {
        name: SemiSupervisedClassifier(method, weight=weight, step_size=1.0, **QUICK).fit(X, y).predict_proba(X)
        for name, method, weight in (("supervised", "supervised", 1.0), ("zero", "joint", 0.0), ("joint", "joint", 1.0))
    }
    assert (p["supervised"] == p["zero"]).all()
    assert not np.allclose(p["supervised"], p["joint"])


def test_the_untouched_default_chooses_and_says_what_and_why():
    X, y, _ = blobs()
    model = SemiSupervisedClassifier(**QUICK).fit(X, y)
    assert "\n" not in model.choice_
    assert model.choice_.startswith("chose ")
    assert "supervised" in model.choice_
    assert "cross-validation on the labels" in model.choice_


def test_the_same_seed_gives_the_same_model():
    X, y, _ = blobs()
    a, b = (SemiSupervisedClassifier(weight=1.0, step_size=1.0, **QUICK).fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))


def test_works_in_pipeline_clone_and_grid_search_with_unlabelled_rows_always_in_training():
    X, y, truth = blobs(labelled=18)
    model = make_pipeline(StandardScaler(), SemiSupervisedClassifier("supervised", **QUICK))
    search = GridSearchCV(model, {"semisupervisedclassifier__effort": [0.02, 0.03]}, cv=LabelledKFold(2))
    search.fit(X, y)
    assert search.best_score_ > 0.8
    assert clone(search.best_estimator_).get_params()["semisupervisedclassifier__effort"] in (0.02, 0.03)
    assert search.predict(X).shape == truth.shape


class Mine(nn.Module):
    def __init__(self, labels=3):
        super().__init__()
        self.body = nn.Linear(2, 8)
        self.head = nn.Linear(8, labels)

    def forward(self, x):
        return self.head(torch.tanh(self.body(x)))


def test_a_network_of_ones_own(tmp_path):
    X, y, truth = blobs()
    mine = Mine()
    before = mine.body.weight.clone()
    model = SemiSupervisedClassifier(
        "joint", potential=mine, weight=1.0, step_size=1.0, effort=0.3, random_state=0
    ).fit(X, y)
    assert model.score(X, truth) > 0.8
    assert torch.equal(mine.body.weight, before)
    model.save(tmp_path / "model.safetensors")
    again = fewlabels.load(tmp_path / "model.safetensors", potential=Mine())
    np.testing.assert_array_equal(model.predict_proba(X), again.predict_proba(X))
    assert isinstance(clone(again).potential, Mine)
    with pytest.raises(InputError, match="trained with, Scores"):
        fewlabels.load(tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="one for each class"):
        SemiSupervisedClassifier(potential=Mine(labels=5), **QUICK).fit(X, y)


class Latents(nn.Linear):
    latent = 4


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"potential": nn.Linear(3, 3)}, r"potential to take a tensor of shape \(2, 2\), but it fails: RuntimeError"),
        ({"generator": nn.Linear(4, 2)}, "integer attribute latent.*got None"),
        ({"generator": Latents(5, 2)}, r"generator to take a tensor of shape \(2, 4\), but it fails"),
        ({"generator": Latents(4, 3)}, r"to inputs of shape \(2, 2\), got \(2, 3\): change its last layer"),
        ({"augmentation": lambda x: x[:, :1]}, r"keep the shape of inputs, \(2, 2\), got \(2, 1\)"),
        ({"augmentation": lambda x: x.unknown}, "augmentation to take .* fails: AttributeError"),
    ],
)
def test_networks_and_functions_of_ones_own_that_do_not_fit_are_refused(given, told):
    X, y, _ = blobs()
    with pytest.raises(InputError, match=told):
        SemiSupervisedClassifier("joint", weight=1.0, step_size=1.0, **QUICK, **given).fit(X, y)


def test_the_trial_of_an_augmentation_draws_nothing():
    X, y, _ = blobs()
    plain, tried = (
        SemiSupervisedClassifier("persistent_cd", weight=1.0, step_size=1.0, augmentation=augmentation, **QUICK)
        .fit(X, y)
        .predict_proba(X)
        for augmentation in (None, lambda x: x + torch.randn_like(x))
    )
    np.testing.assert_array_equal(plain, tried)


def test_parameters_of_numpy_are_saved(tmp_path):
    X, y, _ = blobs()
    model = SemiSupervisedClassifier("supervised", weight=np.float32(1), folds=np.int64(3), **QUICK).fit(X, y)
    model.save(tmp_path / "model.safetensors")
    assert fewlabels.load(tmp_path / "model.safetensors").get_params()["folds"] == 3


@pytest.mark.parametrize("method", ["supervised", "joint"])
def test_a_saved_model_is_the_same_model(tmp_path, method):
    X, y, _ = blobs()
    y = np.where(y == -1, np.array(-1, dtype=object), np.array(["x", "y", "z"], dtype=object)[y])
    model = SemiSupervisedClassifier(method, weight=1.0, step_size=0.5, **QUICK).fit(X, y)
    path = tmp_path / "model.safetensors"
    model.save(path)
    again = fewlabels.load(path)
    assert again.classes_.tolist() == ["x", "y", "z"]
    assert again.choice_ == model.choice_
    np.testing.assert_array_equal(model.predict_proba(X), again.predict_proba(X))
    np.testing.assert_array_equal(model.score_samples(X), again.score_samples(X))
    if method == "joint":
        np.testing.assert_array_equal(model.sample(3, random_state=1), again.sample(3, random_state=1))


def test_a_saved_model_knows_the_names_of_its_columns(tmp_path):
    X, y, _ = blobs()
    X = pd.DataFrame(X, columns=list("ab"))
    SemiSupervisedClassifier("supervised", **QUICK).fit(X, y).save(tmp_path / "model.safetensors")
    again = fewlabels.load(tmp_path / "model.safetensors")
    assert again.feature_names_in_.tolist() == ["a", "b"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again.predict(X)
    with pytest.raises(InputError, match="feature names"):
        again.predict(X[["b", "a"]])


def test_rows_without_labels_do_not_count_in_the_score():
    X, y, _ = blobs()
    model = SemiSupervisedClassifier("supervised", **QUICK).fit(X, y)
    known = y >= 0
    right = model.predict(X)[known] == y[known]
    assert model.score(X, y) == right.mean() and model.score(X, y.tolist()) == right.mean()
    y[np.flatnonzero(known)[0]] = (y[np.flatnonzero(known)[0]] + 1) % 3  # an error
    weights = np.arange(len(y)) + 1.0
    expected = np.average(model.predict(X)[known] == y[known], weights=weights[known])
    assert model.score(X, y, sample_weight=weights) == pytest.approx(expected) and expected < 1
    for wrong in (np.full(len(y), -1), y[:-1], y[:, None]):
        with pytest.raises(InputError, match="Expected"):
            model.score(X, wrong)


def test_samples_lie_where_the_data_lie():
    X, y, _ = blobs()
    model = SemiSupervisedClassifier("joint", weight=1.0, step_size=1.0, effort=0.2, random_state=0).fit(X, y)
    drawn = model.sample(200, random_state=0)
    assert np.abs(drawn.mean(0) - X.mean(0)).max() < 1.5 * X.std()
    assert 0.2 < drawn.std() / X.std() < 2
    with pytest.raises(InputError, match="learns p"):
        SemiSupervisedClassifier("supervised", **QUICK).fit(X, y).sample()


def test_an_interrupted_fit_resumes_to_the_identical_model(tmp_path):
    X, y, _ = blobs(30)
    whole = SemiSupervisedClassifier(**QUICK).fit(X, y)

    class Interrupted(SemiSupervisedClassifier):
        calls = 0

        def _trainer(self, *arguments):
            train = super()._trainer(*arguments)

            def stop(*inner):
                Interrupted.calls += 1
                if Interrupted.calls == 4:
                    raise KeyboardInterrupt
                return train(*inner)

            return stop

    with pytest.raises(KeyboardInterrupt):
        Interrupted(checkpoint=tmp_path / "state", **QUICK).fit(X, y)
    assert len(json.loads((tmp_path / "state" / "choice.json").read_text())) == 3
    with pytest.raises(InputError, match="other data or parameters"):
        SemiSupervisedClassifier(checkpoint=tmp_path / "state", **QUICK).fit(X + 1, y)
    resumed = SemiSupervisedClassifier(checkpoint=tmp_path / "state", **QUICK).fit(X, y)
    assert resumed.choice_ == whole.choice_
    np.testing.assert_array_equal(resumed.predict_proba(X), whole.predict_proba(X))
    np.testing.assert_array_equal(resumed.sample(5, random_state=0), whole.sample(5, random_state=0))
    assert not list((tmp_path / "state").iterdir())


def test_a_fit_interrupted_in_fine_tuning_keeps_its_generator(tmp_path):
    X, y, _ = blobs()
    whole = SemiSupervisedClassifier("pretrain", **QUICK).fit(X, y)
    state = tmp_path / "state"
    ends = {}

    class Impatient(SemiSupervisedClassifier):
        def _trainer(self, *arguments):
            train = super()._trainer(*arguments)

            def stop(rows, setting, share, run, report, checkpoint):
                def impatient(name, done, total):
                    ends[name] = done
                    if name == "fine-tune" and done > total - 3:
                        raise KeyboardInterrupt

                return train(rows, setting, share, run, impatient, checkpoint)

            return stop

    with pytest.raises(KeyboardInterrupt):
        Impatient("pretrain", checkpoint=state, **QUICK).fit(X, y)
    resumed = SemiSupervisedClassifier("pretrain", checkpoint=state, **QUICK).fit(X, y)
    assert "fine-tune" in ends
    np.testing.assert_array_equal(resumed.predict_proba(X), whole.predict_proba(X))
    np.testing.assert_array_equal(resumed.sample(5, random_state=0), whole.sample(5, random_state=0))


X0, Y0, _ = blobs()


def changed(array, place, value):
    array = array.astype(object if isinstance(value, str) else float).copy()
    array[place] = value
    return array


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (X0, np.full(120, -1), "labelled rows"),
        (X0, np.where(Y0 == 0, 0, -1), "one class only, 0: .*-1 stands for unlabelled"),
        (X0, changed(np.where(Y0 < 2, Y0, -1), 0, 9.0).astype(int), "one of class 9"),
        (changed(X0, (3, 1), np.nan), Y0, "NaN at row 3, feature 1"),
        (changed(X0, (3, 1), np.inf), Y0, "infinity at row 3, feature 1"),
        (X0, Y0[:50], "50 labels for 120 rows"),
        (X0, np.where(Y0 < 0, -1, Y0 + 0.5), "Unknown label type"),
        (X0, np.array([1, "a", *[-1] * 118], dtype=object), "Unknown label type"),
        (X0, np.array([(1,), (2,), *[None] * 118], dtype=object), "Unknown label type|1d"),
        (X0, np.where(Y0 < 0, "-1", "a"), "dtype=object"),
        (X0, np.where(Y0 < 0, "nan", "a"), "the text 'nan'.*dtype=object"),
        (pd.DataFrame({"a": X0[:, 0], "b": pd.Categorical(["u", "v"] * 60)}), Y0, "could not convert string to float"),
        (pd.DataFrame({"a": X0[:, 0], "b": pd.date_range("2026", periods=120)}), Y0, "dates or times in column 'b'"),
        (pd.DataFrame({"b": pd.date_range("2026", periods=120)}), Y0, "dates or times in column 'b'"),
        (X0[:, 0], Y0, "^Expected 2D array, got 1D array instead: Reshape your data"),
        (X0 + 1j, Y0, "^Complex data not supported$"),
        (changed(X0, (0, 0), "text"), Y0, "could not convert"),
        (np.zeros((0, 2)), Y0[:0], "0 sample"),
        (np.zeros((6, 2, 2, 2, 2)), [0, 0, 1, 1, -1, -1], "tables"),
    ],
)
def test_bad_data_gets_one_clear_line(X, y, message):
    with pytest.raises(InputError, match=message) as caught:
        SemiSupervisedClassifier(**QUICK).fit(X, y)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"method": "jonit"}, "method to be one of supervised"),
        ({"weight": -1.0}, "weight to be a number of 0 or more or auto"),
        ({"weight": "large"}, "weight"),
        ({"step_size": 0.0}, "step_size to be a positive number"),
        ({"effort": 0.0}, "effort to be a positive number"),
        ({"folds": 1}, "folds to be an integer of at least 2"),
        ({"folds": 2.5}, "folds to be an integer of at least 2"),
        ({"folds": "2"}, "folds to be an integer of at least 2"),
        ({"weight": None}, "weight to be a number of 0 or more or auto"),
        ({"effort": None}, "effort to be a positive number"),
    ],
)
def test_bad_parameters_get_one_clear_line(parameters, message):
    with pytest.raises(InputError, match=message):
        SemiSupervisedClassifier(**parameters).fit(X0, Y0)


def test_one_label_a_class_does_where_nothing_is_to_be_chosen():
    y = np.full(120, -1)
    y[[np.flatnonzero(Y0 == k)[0] for k in range(3)]] = range(3)
    for method, weight in (("supervised", "auto"), ("joint", 1.0)):
        model = SemiSupervisedClassifier(method, weight=weight, step_size=1.0, effort=0.01, random_state=0).fit(X0, y)
        assert model.predict(X0).shape == (120,)
    with pytest.raises(InputError, match="method='supervised' or by giving weight and step_size"):
        SemiSupervisedClassifier(**QUICK).fit(X0, y)


@pytest.mark.parametrize("kind", [np.int64, np.str_, np.bool_])
def test_labels_may_be_scalars_of_numpy_among_none(kind):
    y = [kind(int(v) % 2) if v >= 0 else None for v in Y0]
    model = SemiSupervisedClassifier("supervised", **QUICK).fit(X0, y)
    assert model.classes_.tolist() == [kind(0).item(), kind(1).item()]


@pytest.mark.parametrize("n", [-1, 2.5])
def test_numbers_of_samples_that_are_none_are_refused(n):
    model = SemiSupervisedClassifier("joint", weight=1.0, step_size=1.0, effort=0.01, random_state=0).fit(X0, Y0)
    assert model.sample(0).shape == (0, 2)
    with pytest.raises(InputError, match="how many to draw"):
        model.sample(n)


def test_wrong_shapes_at_predict_are_named():
    model = SemiSupervisedClassifier("supervised", **QUICK).fit(X0, Y0)
    with pytest.raises(InputError, match="X has 1 features"):
        model.predict(X0[:, :1])


@pytest.mark.parametrize("damage", ["truncated", "foreign", "absent", "other program", "later format"])
def test_model_files_that_are_none_are_named(tmp_path, damage):
    from safetensors.torch import save_file

    path = tmp_path / "model.safetensors"
    if damage == "truncated":
        SemiSupervisedClassifier("supervised", **QUICK).fit(X0, Y0).save(path)
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "foreign":
        path.write_text("not a model")
    elif damage == "other program":
        save_file({"a": torch.zeros(1)}, path)
    elif damage == "later format":
        save_file({"a": torch.zeros(1)}, path, metadata={"fewlabels": json.dumps({"format": 99})})
    with pytest.raises(InputError, match=r"model\.safetensors") as caught:
        fewlabels.load(path)
    assert "\n" not in str(caught.value)


def test_log_partition_is_that_of_a_grid_in_the_units_of_the_data():
    X = X0 * [1.0, 1000.0]
    model = SemiSupervisedClassifier("joint", weight=1.0, step_size=1.0, effort=0.1, random_state=0).fit(X, Y0)
    low, high = X.min(0), X.max(0)
    axes = [np.linspace(a, b, 301)[:-1] + (b - a) / 600 for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes), -1).reshape(-1, 2)
    cell = np.log((high - low) / 300).sum()
    exact = np.logaddexp.reduce(model.score_samples(grid)) + cell
    done = model.log_partition(low, high, random_state=0)
    assert abs(done.log_partition - exact) < 4 * done.standard_error + 0.01
    assert done.standard_error < 0.1 and done.effective_sample_size > 0.3
    again = model.log_partition(low, high, random_state=0)
    assert again.log_partition == done.log_partition
    half = model.log_partition(low, (low + high) / 2, random_state=0)  # the control: another region, another Z
    assert abs(half.log_partition - exact) > 0.1
    with pytest.raises(InputError, match="low below high"):
        model.log_partition(high, low)
