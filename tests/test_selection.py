"""The automatic choice, its folds, the scaling of inputs, and what is read off stored runs."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

from fewlabels.errors import DivergenceError, InputError
from fewlabels.estimation import choose_and_train, settings_of
from fewlabels.methods import SUPERVISED, Setting
from fewlabels.model_selection import LabelledKFold, is_unlabelled
from fewlabels.results import Run, read_runs, summarise, whole, write_runs
from fewlabels.scaling import Scaling
from fewlabels.selection import candidates, choose
from fewlabels.stage import Record

SETTINGS = [SUPERVISED, Setting(1.0, 1.0), Setting(0.1, 0.5)]
FOLDS = [(np.array([0, 1]), np.array([2, 3])), (np.array([2, 3]), np.array([0, 1]))]


class Model(NamedTuple):
    """What training comes to: here, what it was given."""

    given: object
    history: list[Record]


def judge_by(wrong):
    def judge(setting, train, held_out, fold):
        return np.full(len(held_out), wrong[SETTINGS.index(setting)])

    return judge


@pytest.mark.parametrize("best", [0, 1, 2])
def test_the_least_probability_on_wrong_labels_wins(best):
    wrong = [0.5, 0.5, 0.5]
    wrong[best] = 0.125
    choice = choose(SETTINGS, judge_by(wrong), FOLDS)
    assert choice.setting == SETTINGS[best]
    assert ("12.5 %" in choice.reason) and "ahead" not in choice.reason


@pytest.mark.parametrize(
    ("wrong", "winner"),
    [
        ([0.5, 0.36, 0.4], 0),  # of four labels ahead by 0.56, which is less than √(1/4 + 4 · 0.14²) = 0.57
        ([0.5, 0.4, 0.35], 2),  # 0.60, and √(1/4 + 4 · 0.15²) = 0.58
        ([0.5, 0.35, 0.34], 2),  # it is the first of which it has to be ahead, neither the second
        ([0.4, 0.9, 0.3], 0),  # nor the worst
    ],
)
def test_on_few_labels_a_lead_of_half_a_label_is_chance(wrong, winner):
    choice = choose(SETTINGS, judge_by(wrong), FOLDS)
    assert choice.setting == SETTINGS[winner]
    assert ("none of them ahead by more than chance" in choice.reason) == (winner == 0)


def test_half_a_label_is_a_smaller_share_of_more_labels():
    folds = [(np.arange(20), np.arange(20, 40)), (np.arange(20, 40), np.arange(20))]
    assert choose(SETTINGS, judge_by([0.5, 0.48, 0.5]), folds).setting == SETTINGS[1]


@pytest.mark.parametrize(("spread", "winner"), [(0.2, 1), (0.45, 0)])
def test_a_lead_that_labels_disagree_about_is_chance(spread, winner):
    """Of 40 labels ahead by 2 in all, but by spread more on one half of them and by as much less on the other."""
    folds = [(np.arange(20), np.arange(20, 40)), (np.arange(20, 40), np.arange(20))]
    signs = np.resize([1, -1], 20)

    def judge(setting, train, held_out, fold):
        return 0.5 + (spread * signs - 0.05) * (setting == SETTINGS[1])

    assert choose(SETTINGS, judge, folds).setting == SETTINGS[winner]


def test_any_candidate_is_ahead_of_a_first_that_diverged():
    def judge(setting, train, held_out, fold):
        if setting == SUPERVISED:
            raise DivergenceError("gone")
        return judge_by([0.0, 0.9, 0.95])(setting, train, held_out, fold)

    assert choose(SETTINGS, judge, FOLDS).setting == SETTINGS[1]


def test_where_supervised_training_is_no_candidate_the_first_is_the_one_to_beat():
    assert choose(SETTINGS[1:], judge_by([0.5, 0.5, 0.36]), FOLDS).setting == SETTINGS[1]


def test_a_tie_goes_to_supervised_training_or_else_to_the_earlier_candidate():
    assert choose(SETTINGS, judge_by([0.3] * 3), FOLDS).setting == SUPERVISED
    assert choose(SETTINGS, judge_by([0.5, 0.1, 0.1]), FOLDS).setting == SETTINGS[1]


def test_a_candidate_that_diverges_is_never_chosen():
    def judge(setting, train, held_out, fold):
        if setting.weight == 1.0:
            raise DivergenceError("gone")
        return judge_by([0.9, 0.0, 0.95])(setting, train, held_out, fold)

    assert choose(SETTINGS, judge, FOLDS).setting == SUPERVISED


def test_a_candidate_that_diverges_on_one_fold_alone_is_wrong_everywhere(tmp_path):
    def judge(setting, train, held_out, fold):
        if setting.weight == 1.0 and fold == 0:
            raise DivergenceError("gone")
        return np.full(20 * len(held_out), judge_by([0.9, 0.1, 0.95])(setting, train, held_out, fold)[0])  # by token

    for _ in range(2):  # as judged, and as read from what an interrupted selection left
        assert choose(SETTINGS, judge, FOLDS, tmp_path / "choice.json").setting == SUPERVISED


def test_every_held_out_label_is_judged_once_by_a_model_that_has_not_seen_it():
    seen = []

    def judge(setting, train, held_out, fold):
        assert not set(train) & set(held_out)
        seen.extend((setting, row) for row in held_out)
        return np.zeros(len(held_out))

    choose(SETTINGS, judge, FOLDS)
    assert sorted(seen) == sorted((setting, row) for setting in SETTINGS for row in range(4))


def test_finished_verdicts_are_kept(tmp_path):
    store, calls = tmp_path / "choice.json", []

    def judge(setting, train, held_out, fold):
        calls.append(setting)
        return judge_by([0.3, 0.2, 0.4])(setting, train, held_out, fold)

    first = choose(SETTINGS, judge, FOLDS, store)
    again = choose(SETTINGS, judge, FOLDS, store)
    assert first == again
    assert len(calls) == 6


def test_candidates_hold_supervised_training_unless_the_weight_is_fixed():
    assert candidates("auto", "auto", (1.0, 0.1)) == [Setting(0.0, 1.0), Setting(1.0, 1.0), Setting(0.1, 0.5)]
    assert candidates("auto", 2.0, (1.0, 0.1)) == [Setting(0.0, 2.0), Setting(1.0, 2.0), Setting(0.1, 2.0)]
    assert candidates(0.3, 2.0, (1.0,)) == [Setting(0.3, 2.0)]
    assert candidates(0.3, "auto", (1.0,)) == [Setting(0.3, 1.0), Setting(0.3, 0.5)]


def test_a_chosen_setting_that_diverges_on_all_labels_gives_way_to_supervised_training():
    def train(rows, setting, share, run, report, checkpoint):
        if share == 1.0 and setting.weight:
            raise DivergenceError("gone")
        return Model(setting, [])

    def judge(model, held_out):
        return np.full(len(held_out), 0.0 if model.given.weight else 0.5)

    rows, quiet = np.arange(4), lambda *arguments: None
    choice, model = choose_and_train(SETTINGS[:2], rows, FOLDS, train, judge, None, quiet)
    assert model.given == SUPERVISED
    assert "diverged" in choice.reason
    with pytest.raises(DivergenceError):  # a fixed setting is what the user wants: no silent replacement
        choose_and_train(SETTINGS[1:2], rows, FOLDS, train, judge, None, quiet)


def test_the_choice_is_made_by_models_that_have_not_seen_the_held_out_labels_and_the_last_one_sees_all():
    trained = []

    def train(rows, setting, share, run, report, checkpoint):
        trained.append(set(rows.tolist()))
        return Model(trained[-1], [])

    def judge(model, held_out):
        assert not model.given & set(held_out.tolist())
        return np.zeros(len(held_out))

    choose_and_train(SETTINGS, np.arange(4), FOLDS, train, judge, None, lambda *arguments: None)
    assert trained == [{0, 1}, {2, 3}] * 3 + [{0, 1, 2, 3}]


@pytest.mark.parametrize("times", [0, 3])
def test_the_reason_tells_of_divergence_that_was_mended(times):
    def train(rows, setting, share, run, report, checkpoint):
        return Model(None, [Record("joint", 0, {}), Record("joint", 1, {}, times)])

    rows, quiet = np.arange(4), lambda *arguments: None
    choice, _ = choose_and_train(SETTINGS[1:2], rows, FOLDS, train, judge_by([0.0]), None, quiet)
    assert ("step sizes were halved 3 x" in choice.reason) == (times == 3)
    assert ("diverged" in choice.reason) == (times == 3)


def test_no_unlabelled_row_is_ever_in_a_test_fold():
    y = np.array([0, 1, -1, 0, 1, -1, 0, 1, -1, 2])
    tested = []
    for train, test in LabelledKFold(3).split(np.zeros((10, 1)), y):
        assert (y[test] >= 0).all()
        assert set(np.flatnonzero(y == -1)) <= set(train)
        assert sorted([*train, *test]) == list(range(10))
        tested.extend(test)
    assert sorted(tested) == np.flatnonzero(y >= 0).tolist()


def test_folds_are_stratified_and_too_few_labels_are_named():
    y = np.repeat([0, 1], 6)
    for _, test in LabelledKFold(3).split(np.zeros((12, 1)), y):
        assert np.bincount(y[test]).tolist() == [2, 2]
    with pytest.raises(InputError, match="at least 4 labelled rows"):
        list(LabelledKFold(4).split(np.zeros((4, 1)), np.array([0, 1, 0, 1])))


def test_a_weight_of_nothing_leaves_nothing_to_choose():
    assert settings_of("joint", 0, "auto", (1.0, 0.1)) == [SUPERVISED]
    assert settings_of("joint", 0.5, "auto", (1.0, 0.1)) == [Setting(0.5, 1.0), Setting(0.5, 0.5)]


def test_a_list_of_text_and_marks_is_no_class_of_marks():
    y = ["a", "a", "b", "b", -1, -1, -1]
    assert is_unlabelled(y).tolist() == [False] * 4 + [True] * 3
    for train, test in LabelledKFold(2).split(np.zeros(7), y):
        assert set(test) < {0, 1, 2, 3} < set(train) | set(test) and {4, 5, 6} < set(train)


def test_unlabelled_marks():
    assert is_unlabelled([1.0, float("nan"), -1.0]).tolist() == [False, True, True]
    assert is_unlabelled(["a", "b"]).tolist() == [False, False]
    assert is_unlabelled(np.array(["a", Unknown(), -1], dtype=object)).tolist() == [False, True, True]


class Unknown:
    """As the NA of pandas: whether it equals anything is not known."""

    def __eq__(self, other):
        return self

    def __ne__(self, other):
        return self

    def __bool__(self):
        raise TypeError("neither")

    __hash__ = None


def test_scaling_is_one_for_alike_features_and_one_each_for_others():
    rng = np.random.default_rng(0)
    pixels = rng.random((100, 16)) * np.linspace(0.1, 1.0, 16)
    assert len(set(Scaling.of(pixels).scale.round(12))) == 1
    table = rng.random((100, 3)) * [1.0, 1000.0, 5.0]
    scaled = Scaling.of(table).apply(table)
    np.testing.assert_allclose(scaled.std(0), 1.0, rtol=1e-5)
    np.testing.assert_allclose(scaled.mean(0), 0.0, atol=1e-6)
    np.testing.assert_allclose(Scaling.of(table).invert(scaled), table, rtol=1e-4, atol=1e-3)
    constant = np.ones((5, 2))
    assert np.isfinite(Scaling.of(constant).apply(constant)).all()


def test_a_feature_that_is_constant_but_for_rounding_is_not_blown_up():
    table = np.stack([np.random.default_rng(0).normal(size=1000), np.full(1000, 0.1) + 1e-16 * np.arange(1000)], 1)
    assert table.std(0)[1] > 0
    assert Scaling.of(table).scale[1] == pytest.approx(0.5**0.5, abs=0.05)  # the one scale of both
    assert abs(Scaling.of(table).apply(np.array([[0.0, 0.2]]))[0, 1]) < 0.2


def test_constant_pixels_in_float32_are_not_blown_up():
    images = np.full((1000, 4), 0.1, dtype=np.float32)  # whose sum in float32 is not 1000 times as much
    images[:, 0] = np.random.default_rng(0).normal(size=1000)
    assert (Scaling.of(images).scale > 0.4).all()


def run(method, seed, value):
    return Run("demo", "bench", "digits", method, 5, 25.0, seed, "error", value, "test", 1.5, "v", {}, {})


def test_summaries_pair_runs_by_seed():
    runs = [run("supervised", s, v) for s, v in ((0, 0.2), (1, 0.3))] + [
        run("joint", s, v) for s, v in ((1, 0.1), (0, 0.1))
    ]
    supervised, joint = summarise(runs)
    assert supervised.mean == pytest.approx(0.25)
    assert np.isnan(supervised.paired_mean)
    assert joint.paired_mean == pytest.approx(-0.15)
    assert joint.paired_sd == pytest.approx(np.std([-0.1, -0.2], ddof=1))
    assert joint.seeds == 2


def test_the_seconds_of_resumed_runs_are_left_out():
    first, second = run("joint", 0, 0.1), replace(run("joint", 1, 0.2), seconds=0.1, config={"resumed": True})
    assert summarise([first, second])[0].seconds == 1.5
    assert np.isnan(summarise([second])[0].seconds) and whole(float("nan")) == ""


def test_stored_runs_come_back(tmp_path):
    runs = [run("joint", 0, 0.1), run("supervised", 0, 0.2)]
    write_runs(tmp_path / "results.jsonl", runs)
    assert read_runs(tmp_path / "results.jsonl") == runs
    assert read_runs(tmp_path / "absent.jsonl") == []
    with pytest.raises(ValueError, match="JSON"):  # which knows no NaN
        write_runs(tmp_path / "results.jsonl", [run("joint", 0, float("nan"))])
