"""Whether unlabelled data harm: what each run sees, what is stored, and what the table says of it."""

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_blobs

from fewlabels.errors import InputError
from fewlabels.experiments import every_method, no_harm, outside, small_sets
from fewlabels.experiments.every_method import run_every_method
from fewlabels.experiments.no_harm import harm, run_no_harm, worst_draw, write_table
from fewlabels.experiments.outside import OUTSIDE, fit_outside
from fewlabels.experiments.small_sets import METHODS, SETS, VARIANTS
from fewlabels.recipes import DENSE
from fewlabels.results import Run, read_runs, write_runs


def run(method, error, seed=0, dataset="iris", labelled=2):
    return Run(
        "noharm", "bench", dataset, method, labelled, 10.0, seed, "error", error, "test", 1.0, "v", {"choice": "x"}, {}
    )  # fmt: skip


@pytest.mark.parametrize("name", [name for name in SETS if name != "mnist5k"])
def test_a_seed_halves_the_rows(name):
    halves = SETS[name](3, None)
    assert abs(len(halves.y) - len(halves.y_test)) <= 1
    rows = {tuple(row) for row in np.concatenate([halves.x, halves.x_test]).reshape(-1, halves.x[0].size)}
    assert len(rows) >= 0.99 * (len(halves.y) + len(halves.y_test))  # no row lies in both halves, but for equal rows
    assert (SETS[name](3, None).x == halves.x).all()
    assert not np.array_equal(SETS[name](4, None).y, halves.y)


def test_digits_stay_images():
    assert SETS["digits"](0, None).x.shape == (899, 8, 8)


def test_of_a_plane_the_density_says_nothing():
    halves = SETS["plane"](0, None)
    sides = [halves.x[halves.y == k] for k in (0, 1)]
    along = np.array([1, 1, *[0] * 8]) / 2**0.5
    both = np.sort(np.concatenate(sides) @ along)
    assert np.diff(both)[len(both) // 4 : 3 * len(both) // 4].max() < 0.05  # no gap between the sides


@pytest.fixture
def fits(monkeypatch, tmp_path, serially):
    """The experiment in this process, with a model of no use; what each was given."""
    made = []

    class Model:
        choice_ = "chose supervised"

        def __init__(self, method=small_sets.UNTOUCHED, **parameters):
            self.given = {"method": method, **parameters}

        def fit(self, x, y):
            made.append(self.given | {"x": x, "y": y})
            return self

        def predict(self, x):
            return np.zeros(len(x), dtype=int)

    monkeypatch.setattr(small_sets, "SemiSupervisedClassifier", Model)
    monkeypatch.setattr(small_sets, "run_jobs", serially)
    monkeypatch.chdir(tmp_path)
    return made


def test_every_run_is_stored_once_and_untouched_means_untouched(fits, tmp_path, capsys):
    methods = ["supervised", small_sets.UNTOUCHED]
    for _ in range(2):
        run_no_harm(None, seeds=2, sets=["wine", "moons"], methods=methods)
    stored = read_runs(tmp_path / "results" / "noharm-bench.jsonl")
    assert len(stored) == len(fits) == 2 * 2 * len(no_harm.COUNTS) * 2
    assert {tuple(one for one in fit if one not in ("x", "y")) for fit in fits if fit["method"] == methods[1]} == {
        ("method", "random_state")
    }
    drawn = [set(np.bincount(fit["y"][fit["y"] >= 0]).tolist()) for fit in fits]
    assert drawn == [{int(one.labelled)} for one in stored]  # the very number, of each class
    moons = [one for one in stored if one.dataset == "moons"]
    assert all(one.value == (SETS["moons"](one.seed, None).y_test != 0).mean() for one in moons)
    assert "worse than labels alone at 0 of 6 places" in " ".join(capsys.readouterr().out.split())


def test_mnist_is_left_out_without_data_but_not_in_silence_if_asked_for(fits):
    with pytest.raises(InputError, match="--data: expected the folder that holds MNIST/raw"):
        run_no_harm(None, seeds=1, sets=["mnist5k"])
    with pytest.raises(InputError, match=r"--sets: expected some of digits, wine.*came 'mnits'"):
        run_no_harm(None, seeds=1, sets=["mnits"])
    with pytest.raises(InputError, match=r"--methods: expected some of supervised.*came 'best'"):
        run_no_harm(None, seeds=1, methods=["best"])


def test_harm_is_counted_in_standard_errors_of_paired_differences():
    pairs = [(0.10, 0.12), (0.20, 0.21), (0.30, 0.33)]
    runs = [
        run(m, e, seed) for seed, pair in enumerate(pairs) for m, e in zip(("supervised", "joint"), pair, strict=True)
    ]
    assert harm(runs, "joint") == pytest.approx(0.02 / (0.01 / 3**0.5))
    same = [run("supervised", 0.1, s) for s in range(3)] + [run("joint", 0.1, s) for s in range(3)]
    assert harm(same, "joint") == 0.0
    assert np.isnan(harm(same, "pretrain"))


@pytest.mark.parametrize("gap", [0.136, 0.5, 0.33, 0.9])
def test_a_single_bad_draw_is_one_standard_error_however_bad_and_is_told_apart(gap, tmp_path):
    runs = [run("supervised", 0.05, s) for s in range(5)]
    runs += [run("untouched", 0.05 + gap * (s == 3), s) for s in range(5)]
    assert harm(runs) == pytest.approx(1.0)
    assert worst_draw(runs) == pytest.approx(gap)
    assert np.isnan(worst_draw(runs, "pretrain"))
    path = tmp_path / "noharm-bench.jsonl"
    write_runs(path, runs)
    assert "at 0 of 1 places" in " ".join(write_table(path).split())
    assert f"+1.0       {100 * gap:+.2f}" in write_table(path)


def test_the_table_names_the_places_of_harm(tmp_path):
    path = tmp_path / "noharm-bench.jsonl"
    good = [run("supervised", 0.3 + s / 100, s) for s in range(3)] + [run("untouched", 0.1, s) for s in range(3)]
    bad = [run("supervised", 0.1, s, "wine") for s in range(3)]
    bad += [run("untouched", 0.2 + s / 100, s, "wine") for s in range(3)]
    write_runs(path, [*good, *bad])
    text = write_table(path)
    assert text == path.with_suffix(".txt").read_text()
    assert "worse than labels alone at 1 of 2 places: wine, 2 labels a class." in " ".join(text.split())
    write_runs(path, [*good, *bad, run("vat", 0.25)])
    assert "vat" in write_table(path) and "25.00" in write_table(path)  # a row that was asked for is shown
    assert "31.00 ± 1.00" in text and "+19.1" in text and "-36.4" in text


def test_every_method_is_compared_with_joint_training_and_with_labels_alone(fits, tmp_path, monkeypatch):
    monkeypatch.setattr(
        small_sets, "fit_outside", lambda name, x, y: small_sets.SemiSupervisedClassifier(name).fit(x, y)
    )
    run_every_method(None, seeds=1)
    assert [fit["method"] for fit in fits] == ["joint" if name in VARIANTS else name for name in METHODS]
    changed = [fit for fit in fits if "recipe" in fit or "precision" in fit]
    assert len(changed) == len(VARIANTS)
    assert all(fit["recipe"] != DENSE for fit in changed if "recipe" in fit)
    path = tmp_path / "results" / "methods-bench.jsonl"
    errors = {"supervised": (0.10, 0.20), "joint": (0.04, 0.06), "vat": (0.05, 0.21)}
    write_runs(path, [run(m, e, seed, "digits", 10) for m, pair in errors.items() for seed, e in enumerate(pair)])
    rows = {line.split()[0]: line.split() for line in every_method.write_table(path).splitlines() if line.strip()}
    assert rows["vat"] == "vat 13.00 ± 11.31 8.00 ± 9.90 -2.00 ± 4.24 1 of 2 1.0".split()
    assert rows["joint"] == "joint 5.00 ± 1.41 -10.00 ± 5.66 2 of 2 1.0".split()
    assert rows["supervised"] == "supervised 15.00 ± 7.07 10.00 ± 5.66 1.0".split()


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_users_would_pick_learns_and_takes_images(name):
    x, y = make_blobs(120, n_features=4, centers=3, random_state=0)
    known = np.where(np.arange(120) < 24, y, -1)
    images = x.reshape(-1, 2, 2)
    assert (fit_outside(name, images, known).predict(images) == y).mean() > 0.95


@pytest.mark.parametrize("name", OUTSIDE)
def test_unlabelled_rows_matter_to_all_but_the_svc(name):
    x, y = make_blobs(300, n_features=2, centers=3, cluster_std=3.0, random_state=1)
    known = np.arange(300) < 30
    few = np.where(known, y, -1)
    mirrored = np.where(known[:, None], x, 2 * x[~known].mean(0) - x)  # of the same mean and deviation
    asked = x + np.random.default_rng(0).normal(size=x.shape)
    same = (fit_outside(name, x, few).predict(asked) == fit_outside(name, mirrored, few).predict(asked)).all()
    assert same == (name == "sklearn_svc")


def test_label_spreading_of_many_rows_is_over_a_graph_of_neighbours(monkeypatch):
    x, y = make_blobs(120, n_features=4, centers=3, random_state=0)
    known = np.where(np.arange(120) < 24, y, -1)
    dense = fit_outside("sklearn_label_spreading", x, known)
    monkeypatch.setattr(outside, "MANY_ROWS", 100)
    sparse = fit_outside("sklearn_label_spreading", x, known)
    assert [model[-1].kernel for model in (dense, sparse)] == ["rbf", "knn"]
    assert (sparse.predict(x) == y).mean() > 0.95 and len(sparse[-1].X_) == 120


class Noted:
    """In the place of a search or a classifier: it notes what it is fitted on."""

    def __init__(self, **best):
        self.best_params_ = best

    def fit(self, x, y):
        self.x, self.y = x, y
        return self


def test_an_svc_is_tuned_on_some_of_many_labels_of_each_class_as_many_and_learns_from_all(monkeypatch):
    tuned = []
    monkeypatch.setattr(outside, "MANY_LABELS", 30)
    monkeypatch.setattr(outside, "GridSearchCV", lambda *given, **named: tuned.append(Noted()) or tuned[-1])
    x, y = make_blobs(120, n_features=4, centers=3, random_state=0)
    svc = fit_outside("sklearn_svc", x, y)
    assert np.bincount(tuned[0].y).tolist() == [10, 10, 10]
    assert len(np.unique(tuned[0].x, axis=0)) == 30
    assert svc[-1].shape_fit_ == x.shape


def test_an_svc_is_the_same_whether_its_kernel_fits_in_memory_or_not(monkeypatch):
    x, y = load_digits(return_X_y=True)
    fits = fit_outside("sklearn_svc", x[:300], y[:300])
    monkeypatch.setattr(outside, "MANY_ROWS", 100)
    does_not = fit_outside("sklearn_svc", x[:300], y[:300])
    assert callable(fits[-1].kernel) and does_not[-1].kernel == "rbf" and fits[-1].C == does_not[-1].C
    apart = abs(fits.decision_function(x) - does_not.decision_function(x))
    assert (apart < 0.01).mean() > 0.999  # but for pairs of classes that a rounding decides


def test_label_spreading_is_tuned_on_some_of_many_rows_and_all_labels(monkeypatch):
    tuned = []
    monkeypatch.setattr(outside, "MANY_ROWS", 50)
    monkeypatch.setattr(outside, "GridSearchCV", lambda *given, **named: tuned.append(Noted(alpha=0.3)) or tuned[-1])
    x, y = make_blobs(120, n_features=4, centers=3, random_state=0)
    spreading = fit_outside("sklearn_label_spreading", x, np.where(np.arange(120) < 24, y, -1))
    assert len(np.unique(tuned[0].x, axis=0)) == 50 and sorted(tuned[0].y[tuned[0].y >= 0]) == sorted(y[:24])
    assert spreading[-1].alpha == 0.3 and len(spreading[-1].X_) == 120


def test_self_training_sees_some_of_many_rows_and_all_labels(monkeypatch):
    fits = []
    monkeypatch.setattr(outside, "MANY_ROWS", 50)
    monkeypatch.setattr(outside, "SelfTrainingClassifier", lambda *given, **named: fits.append(named) or Noted())
    x, y = make_blobs(120, n_features=4, centers=3, random_state=0)
    known = np.where(np.arange(120) < 24, y, -1)
    seen = fit_outside("sklearn_self_training", x, known)[-1]
    assert len(np.unique(seen.x, axis=0)) == 50
    assert sorted(seen.y[seen.y >= 0]) == sorted(y[:24])
    assert fits[0]["k_best"] == 2  # a tenth of the 26 without labels
