"""The tagger as its users meet it: methods, files, words never seen, bad input."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.base import clone

import fewlabels
import fewlabels.tagger
from fewlabels import InputError, SemiSupervisedTagger
from fewlabels.data.pool import Pool, write_pool
from fewlabels.fit import fit
from fewlabels.labels import LinearChain
from fewlabels.sentence_methods import ESTIMATORS, NAMES, SCOPES, STARTS
from fewlabels.sequence.presets import PRESETS
from fewlabels.sequence.vocabulary import UNKNOWN
from fewlabels.start import Start

QUICK = {"preset": "tiny", "effort": 0.1, "random_state": 0}
NOUNS, VERBS = ["cat", "dog", "bird", "fish", "mouse"], ["sleeps", "barks", "sings", "swims", "hides"]


def text(count=60, labelled=12, seed=0):
    rng = np.random.default_rng(seed)
    sentences, tags = [], []
    for i in range(count):
        sentence = [rng.choice(["the", "a"]), rng.choice(NOUNS), rng.choice(VERBS)]
        y = ["D", "N", "V"]
        if rng.random() < 0.5:
            sentence, y = [*sentence, "."], [*y, "."]
        sentences.append([str(word) for word in sentence])
        tags.append(y if i < labelled else None)
    return sentences, tags


@pytest.mark.parametrize("method", [*NAMES.whole, "best", "joint+vat+entropy"])
def test_every_method_learns_sentences(method):
    sentences, tags = text()
    tagger = SemiSupervisedTagger(method, weight=1.0, **QUICK).fit(sentences, tags)
    assert tagger.score(sentences[:12], tags[:12]) > 0.9
    p = tagger.predict_proba(sentences[:3])
    for sentence, row, best in zip(sentences, p, tagger.predict(sentences[:3]), strict=False):
        assert row.shape == (len(sentence), 4)
        np.testing.assert_allclose(row.sum(1), 1, rtol=1e-5)
        assert len(best) == len(sentence)
        assert all(isinstance(tag, str) for tag in best)
    assert tagger.score_samples(sentences).shape == (60,)


@pytest.mark.parametrize("pretraining", STARTS)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_start_goes_with_every_estimator(pretraining, estimator):
    sentences, tags = text()
    tagger = SemiSupervisedTagger(
        "joint+self_training", pretraining=pretraining, estimator=estimator, weight=1.0, **QUICK
    )
    tagger.fit(sentences, tags)
    stages = list(dict.fromkeys(record.stage for record in tagger.history_))
    assert stages == ["pre-train"] * (pretraining != "none") + ["joint", "joint+self_training"]
    term = {"pseudo_likelihood": "pseudo_likelihood", "conditional_nce": "conditional_nce", "nce": "contrast"}[
        estimator
    ]
    assert term in tagger.history_[-1].values
    first = tagger.history_[0].values
    assert ("next_word" in first) == (pretraining == "bilm")
    assert (tagger.pretraining_seconds_ > 0) == (pretraining != "none")
    assert tagger.score(sentences[:12], tags[:12]) > 0.6


def test_the_paper_preset_trains():
    sentences, tags = text(count=20, labelled=8)
    tagger = SemiSupervisedTagger(preset="paper", estimator="nce", weight=1.0, effort=1e-4, random_state=0)
    tagger.fit(sentences, tags)
    assert tagger._potential.encoder.forwards.projection.shape == (512, 512)
    assert len(tagger.predict(sentences[:1])[0]) == len(sentences[0])
    assert tagger.history_[-1].values["data_recognised"] >= 0


def write_text_pool(folder, digits=False):
    write_pool(text(count=200, seed=1)[0], folder, digits=digits)
    return Pool(folder)


def test_a_pool_teaches_and_its_words_are_known(tmp_path):
    sentences, tags = text(count=12)
    pool = write_text_pool(tmp_path / "pool")
    tagger = SemiSupervisedTagger("pretrain", **QUICK).fit(sentences, tags, pool=pool)
    assert set(pool.words) - {UNKNOWN} <= set(tagger.vocabulary_.words)
    without = SemiSupervisedTagger("pretrain", **QUICK).fit(sentences, tags)
    a, b = (np.concatenate(model.predict_proba(sentences)) for model in (tagger, without))
    assert not np.allclose(a, b)
    both = SemiSupervisedTagger("pretrain", **QUICK).fit(
        [*sentences, ["the", "yak"]], [*tags, None], pool=pool.prefix(50)
    )
    assert int(both._lengths.sum()) == 51


def test_a_start_is_made_once_and_shared(tmp_path):
    sentences, tags = text()
    file = tmp_path / "start.safetensors"
    first = SemiSupervisedTagger("pretrain", start=file, **QUICK).fit(sentences, tags)
    written = file.read_bytes()
    again = SemiSupervisedTagger("pretrain", start=file, **QUICK).fit(sentences, tags)
    alone = SemiSupervisedTagger("pretrain", **QUICK).fit(sentences, tags)
    for model in (again, alone):
        for a, b in zip(model.predict_proba(sentences), first.predict_proba(sentences), strict=True):
            np.testing.assert_array_equal(a, b)
    assert again.pretraining_seconds_ == first.pretraining_seconds_
    assert len(again.history_) == len(first.history_)
    SemiSupervisedTagger("joint", weight=1.0, start=file, **QUICK).fit(sentences, tags)
    assert file.read_bytes() == written
    with pytest.raises(InputError, match=r"another start"):
        SemiSupervisedTagger("pretrain", start=file, preset="tiny", effort=0.1, random_state=1).fit(sentences, tags)


def test_a_start_is_known_by_its_word_vectors(tmp_path):
    sentences, tags = text()
    vectors, file = tmp_path / "vectors.txt", tmp_path / "start.safetensors"
    size = PRESETS["tiny"].size
    vectors.write_text(f"the {' '.join(['0.5'] * size)}\n")
    SemiSupervisedTagger("pretrain", start=file, **QUICK).fit(sentences, tags)
    with pytest.raises(InputError, match=r"another start"):
        SemiSupervisedTagger("pretrain", start=file, vectors=vectors, **QUICK).fit(sentences, tags)


@pytest.mark.parametrize("name", ["start.pt", "start.v1"])
def test_the_state_of_a_start_is_another_file_for_each_key(tmp_path, name):
    paths = {Start(tmp_path / name, None, key).checkpoint.path for key in ("one", "other")}
    assert len(paths) == 2 and tmp_path / name not in paths
    assert Start(tmp_path / "start.v2", None, "one").checkpoint.path not in paths
    kept = Start(tmp_path / name, None, "one")
    kept.run(torch.nn.Linear(1, 1), lambda: kept.checkpoint.save({"stage": 0}) or [])
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_pre_training_is_run_once_for_all_folds_and_candidates(monkeypatch):
    stages = []

    def counted(potential, stage, *rest, **options):
        stages.extend(one.name for one in stage)
        return fit(potential, stage, *rest, **options)

    monkeypatch.setattr("fewlabels.sentence_training.fit", counted)
    sentences, tags = text()
    tagger = SemiSupervisedTagger("joint", preset="tiny", effort=0.02, random_state=0).fit(sentences, tags)
    assert tagger.choice_.startswith("chose")
    assert stages.count("pre-train") == 1
    assert stages.count("joint") >= 2  # one for each fold
    assert stages.count("supervised") >= 2


def test_the_head_alone_learns_where_it_is_asked_to(tmp_path):
    sentences, tags = text()
    start = tmp_path / "start.safetensors"
    moved = {}
    for scope in SCOPES:
        tagger = SemiSupervisedTagger("pretrain", finetune=scope, start=start, **QUICK).fit(sentences, tags)
        begun = load_file(start)
        weights = tagger._potential.state_dict()
        moved[scope] = {name for name in weights if not torch.equal(weights[name], begun[name])}
    assert moved["head"]
    assert all("head" in name for name in moved["head"])
    assert moved["head"] < moved["all"]
    own = torch.nn.Module()
    own.site_scores = None
    with pytest.raises(InputError, match=r"with head for finetune"):
        SemiSupervisedTagger("pretrain", finetune="head", potential=own, **QUICK).fit(sentences, tags)


def test_further_features_of_tokens_decide_where_words_do_not(tmp_path):
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 2, (40, 4))
    sentences = [[("w", "NV"[k]) for k in row] for row in kinds]
    tags = [["NV"[k].lower() for k in row] for row in kinds]
    tagger = SemiSupervisedTagger("pretrain", preset="tiny", random_state=0).fit(
        [*sentences, ["w", "w"]], [*tags, None]
    )
    assert tagger.score(sentences, tags) == 1.0
    blind = [["w"] * 4] * 40
    assert tagger.score(blind, tags) < 0.8  # the control
    tagger.save(tmp_path / "model.safetensors")
    assert fewlabels.load(tmp_path / "model.safetensors").predict(sentences) == tagger.predict(sentences)
    with pytest.raises(InputError, match=r"2 further features .* sentence 0"):
        tagger.fit([[("w", "N"), ("w", "V")], [("w", "N", "x"), ("w", "N")]], [["n", "v"], ["n", "n"]])


def test_spans_are_predicted_well_formed_where_the_labels_are():
    sentences, _ = text(count=40)
    tags = [["B-NP", "I-NP", "O", "O"][: len(s)] for s in sentences]
    tagger = SemiSupervisedTagger("supervised", preset="tiny", effort=0.02, random_state=0).fit(sentences, tags)
    assert tagger.classes_.tolist() == ["B-NP", "I-NP", "O"]
    assert max(row[0, 1] for row in tagger.predict_proba(sentences)) < 1e-6
    tags[0] = ["I-NP", "I-NP", "O", "O"][: len(sentences[0])]
    free = SemiSupervisedTagger("supervised", preset="tiny", effort=0.02, random_state=0).fit(sentences, tags)
    assert max(row[0, 1] for row in free.predict_proba(sentences)) > 1e-3  # the control


def test_word_vectors_are_where_words_start(tmp_path):
    sentences, tags = text()
    file = tmp_path / "vectors.txt"
    file.write_text("cat " + " ".join(["0.5"] * 100) + "\n")
    tagger = SemiSupervisedTagger("supervised", vectors=file, preset="tiny", effort=1e-3, random_state=0)
    tagger.fit(sentences, tags)
    vector = tagger._potential.words.word.weight[tagger.vocabulary_.words.index("cat")]
    torch.testing.assert_close(vector, torch.full((100,), 0.5), atol=0.02, rtol=0)
    with pytest.raises(InputError, match="200 numbers"):
        SemiSupervisedTagger("supervised", vectors=file, effort=1e-3).fit(sentences, tags)


def test_the_untouched_default_chooses_and_says_what_and_why():
    sentences, tags = text()
    tagger = SemiSupervisedTagger(**QUICK).fit(sentences, tags)
    assert tagger.choice_.startswith("chose ")
    assert "supervised" in tagger.choice_
    assert "\n" not in tagger.choice_
    assert tagger.predict([["the", "cat", "sleeps"]]) == [["D", "N", "V"]]


def test_unlabelled_sentences_change_joint_training_and_weight_zero_is_supervised():
    sentences, tags = text()
    p = {
        name: np.concatenate(
            SemiSupervisedTagger(method, weight=weight, **QUICK).fit(s, t).predict_proba(sentences[:5])
        )
        for name, method, weight, s, t in (
            ("supervised", "supervised", 1.0, sentences, tags),
            ("zero", "joint", 0.0, sentences, tags),
            ("joint", "joint", 1.0, sentences, tags),
        )
    }
    assert (p["supervised"] == p["zero"]).all()
    assert not np.allclose(p["supervised"], p["joint"])


def test_words_never_seen_are_allowed():
    sentences, tags = text()
    tagger = SemiSupervisedTagger("supervised", **QUICK).fit(sentences, tags)
    first = tagger.predict([["the", "zebra", "sleeps"]])
    assert len(first[0]) == 3
    assert tagger.predict([["the", "zebra", "sleeps"], ["a", "yak", "sings", "."]])[:1] == first


def test_no_sentence_depends_on_those_beside_it_or_on_their_order(monkeypatch):
    sentences, tags = text()
    tagger = SemiSupervisedTagger("joint", weight=1.0, **QUICK).fit(sentences, tags)
    mixed = [*sentences[:20], ["zebra"], ["the", "cat", "the", "dog", "sleeps", "."]]
    alone = [tagger.predict_proba([sentence])[0] for sentence in mixed]
    scores = [tagger.score_samples([sentence])[0] for sentence in mixed]
    monkeypatch.setattr("fewlabels.tagger.AT_ONCE", 7)
    for ours, single in zip(tagger.predict_proba(mixed), alone, strict=True):
        np.testing.assert_allclose(ours, single, atol=1e-5)
    np.testing.assert_allclose(tagger.score_samples(mixed), scores, rtol=1e-4)
    best = [tagger.predict([sentence])[0] for sentence in mixed]
    assert tagger.predict(mixed) == best


@pytest.mark.parametrize("method", ["supervised", "joint"])
def test_a_saved_tagger_is_the_same_tagger(tmp_path, method):
    sentences, tags = text()
    tagger = SemiSupervisedTagger(method, weight=1.0, **QUICK).fit(sentences, tags)
    tagger.save(tmp_path / "model.safetensors")
    again = fewlabels.load(tmp_path / "model.safetensors")
    new = [["the", "zebra", "sleeps"], ["a", "cat", "."]]
    assert again.predict(new) == tagger.predict(new)
    np.testing.assert_array_equal(again.score_samples(new), tagger.score_samples(new))
    if method == "joint":
        assert again.sample(3, random_state=0) == tagger.sample(3, random_state=0)


def test_samples_read_like_the_text():
    sentences, tags = text(count=200)
    tagger = SemiSupervisedTagger("pretrain", preset="tiny", effort=0.5, random_state=0).fit(sentences, tags)
    drawn = tagger.sample(40, random_state=0)
    seen = {pair for sentence in sentences for pair in zip(sentence, sentence[1:], strict=False)}

    def plausible(text):
        return np.mean([pair in seen for sentence in text for pair in zip(sentence, sentence[1:], strict=False)])

    assert plausible(drawn) > 0.7
    assert plausible([sentence[::-1] for sentence in drawn]) < 0.2  # the control
    with pytest.raises(InputError, match="learns p"):
        SemiSupervisedTagger("supervised", **QUICK).fit(sentences, tags).sample()


def test_likelier_sentences_score_higher():
    sentences, tags = text(count=200)
    tagger = SemiSupervisedTagger("pretrain", preset="tiny", effort=0.5, random_state=0).fit(sentences, tags)
    right, wrong = tagger.score_samples([["the", "cat", "sleeps"], ["sleeps", "the", "cat"]])
    assert right > wrong


def test_an_interrupted_fit_resumes_to_the_identical_tagger(tmp_path):
    sentences, tags = text()
    whole = SemiSupervisedTagger(**QUICK).fit(sentences, tags)

    class Interrupted(SemiSupervisedTagger):
        calls = 0

        def _trainer(self, *arguments):
            train = super()._trainer(*arguments)

            def stop(*inner):
                Interrupted.calls += 1
                if Interrupted.calls == 5:
                    raise KeyboardInterrupt
                return train(*inner)

            return stop

    with pytest.raises(KeyboardInterrupt):
        Interrupted(checkpoint=tmp_path / "state", **QUICK).fit(sentences, tags)
    assert (tmp_path / "state" / "pretraining.pt").exists()
    assert len(json.loads((tmp_path / "state" / "choice.json").read_text())) == 4
    resumed = SemiSupervisedTagger(checkpoint=tmp_path / "state", **QUICK).fit(sentences, tags)
    for a, b in zip(resumed.predict_proba(sentences), whole.predict_proba(sentences), strict=True):
        np.testing.assert_array_equal(a, b)


class Plain(torch.nn.Module):
    """A potential of one's own without anything but emissions."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Embedding(40, 4)
        self.transition = torch.nn.Parameter(torch.zeros(4, 4))

    def forward(self, x):
        return LinearChain(self.head(x.values), self.transition, x.lengths)


def test_a_potential_of_ones_own(tmp_path):
    sentences, tags = text()
    tagger = SemiSupervisedTagger("supervised", potential=Plain(), preset="tiny", effort=2.0, random_state=0).fit(
        sentences, tags
    )
    assert tagger.score(sentences[:12], tags[:12]) > 0.9
    tagger.save(tmp_path / "model.safetensors")
    again = fewlabels.load(tmp_path / "model.safetensors", potential=Plain())
    assert again.predict(sentences) == tagger.predict(sentences)
    with pytest.raises(InputError, match="with site_scores for pseudo-likelihood"):
        SemiSupervisedTagger("joint", potential=Plain(), **QUICK).fit(sentences, tags)
    scored = Plain()
    scored.site_scores = None
    with pytest.raises(InputError, match="with words for vat"):
        SemiSupervisedTagger("vat", potential=scored, **QUICK).fit(sentences, tags)
    with pytest.raises(InputError, match="'field' or 'none' for a potential of your own, got 'bilm'"):
        SemiSupervisedTagger("pretrain", pretraining="bilm", potential=scored, **QUICK).fit(sentences, tags)
    with pytest.raises(InputError, match="with word_potential for pre-training by estimator='nce'"):
        SemiSupervisedTagger("pretrain", estimator="nce", potential=scored, **QUICK).fit(sentences, tags)
    SemiSupervisedTagger("self_training", pretraining="none", potential=Plain(), **QUICK).fit(sentences, tags)


def test_a_start_is_known_by_the_potential_of_ones_own(monkeypatch):
    keys = []

    def spied(path, folder, key):
        keys.append(key)
        raise KeyboardInterrupt

    monkeypatch.setattr("fewlabels.tagger.Start", spied)
    first, second = Plain(), Plain()  # of other weights
    for potential in (first, first, second, None):
        with pytest.raises(KeyboardInterrupt):
            SemiSupervisedTagger("supervised", potential=potential, start="start", **QUICK).fit(*text())
    assert keys[0] == keys[1] and len(set(keys)) == 3


@pytest.mark.parametrize("estimator", ["nce", "conditional_nce"])
def test_what_a_potential_does_not_hold_is_not_taken_out_of_it(estimator, monkeypatch):
    seen = []

    def spied(potential, stages, *rest, **options):
        seen.append(stages[-1].objective.parts[1])
        raise KeyboardInterrupt

    monkeypatch.setattr("fewlabels.sentence_training.fit", spied)
    for own in (Plain(), None):
        with pytest.raises(KeyboardInterrupt):
            SemiSupervisedTagger(weight=1.0, pretraining="none", estimator=estimator, potential=own, **QUICK).fit(
                *text()
            )
    if estimator == "nce":
        assert [one.unigram is None for one in seen] == [True, False] and all(one.carrier for one in seen)
        words = sum(map(len, text()[0]))
        for one in seen:  # a stop for each of 60 sentences
            assert one.noise_model.output.head.bias[0].exp().item() == pytest.approx(60 / (words + 60), rel=0.02)
    else:
        assert [one.carrier for one in seen] == [True, False]


def test_candidates_are_judged_by_the_probability_they_give_to_wrong_tags(monkeypatch):
    sentences, tags = text()
    seen = {}

    def spied(settings, rows, folds, train, judge, folder, report):
        seen.update(rows=rows, judge=judge)
        raise KeyboardInterrupt

    monkeypatch.setattr(fewlabels.tagger, "choose_and_train", spied)
    tagger = SemiSupervisedTagger(**QUICK)
    with pytest.raises(KeyboardInterrupt):
        tagger.fit(sentences, tags)
    p = torch.tensor([0.1, 0.2, 0.3, 0.4])

    def chain(x):
        return LinearChain(p.log().expand(*x.values.shape, 4), torch.zeros(4, 4), x.lengths)

    wrong = [1 - p[list(tagger.classes_).index(tag)].item() for row in seen["rows"] for tag in tags[row]]
    found = seen["judge"](SimpleNamespace(potential=chain), seen["rows"])
    np.testing.assert_allclose(np.sort(found), np.sort(wrong), rtol=1e-5)


def test_clone_and_parameters():
    tagger = clone(SemiSupervisedTagger("pretrain", weight=0.5))
    assert tagger.get_params()["weight"] == 0.5


S, T = text()


@pytest.mark.parametrize(
    ("sentences", "tags", "message"),
    [
        (S, [None] * 60, "two labelled sentences"),
        (S, [["D"] * len(s) for s in S], "two kinds of tags"),
        ([*S, []], [*T, None], "sentence 60 .* empty"),
        (S, T[:50], "50"),
        (S, [T[0][:-1], *T[1:]], "tags for sentence 0"),
        (["a text", *S[1:]], T, "split it"),
        ([], [], "at least one sentence"),
        ([["a", 3], *S[1:]], [None, *T[1:]], "got 3"),
        ([["a", ""], *S[1:]], [None, *T[1:]], "sentence 0 to be text, of a character at least, got ''"),
        ([["a", ()], *S[1:]], [None, *T[1:]], r"got \(\)"),
        ([["a", ("", "X")], *S[1:]], [None, *T[1:]], "got \\('', 'X'\\)"),
        ([None, *S[1:]], [None, *T[1:]], "to be a list of words, got None"),
        ([5, *S[1:]], [None, *T[1:]], "got 5"),
        (None, T, "a list of sentences, each a list of words, got NoneType"),
        (S, [[1.5] * len(S[0]), *T[1:]], "Unknown label type"),
        (S, [*T[:-1], float("nan")], "tags or None for sentence 59 .* got nan"),
        (S, None, "for each sentence, got None"),
    ],
)
def test_bad_sentences_get_one_clear_line(sentences, tags, message):
    with pytest.raises(InputError, match=message) as caught:
        SemiSupervisedTagger(**QUICK).fit(sentences, tags)
    assert "\n" not in str(caught.value)


def test_bad_sentences_at_predict_are_named():
    tagger = SemiSupervisedTagger("supervised", **QUICK).fit(S, T)
    with pytest.raises(InputError, match="empty"):
        tagger.predict([["a"], []])
    for bad in ([["a", ""]], None, [None], [5]):
        with pytest.raises(InputError, match=r"of words|of a character"):
            tagger.predict(bad)
    assert tagger.score(S, T) == tagger.score(S[:12], T[:12])
    with pytest.raises(InputError, match="tag at least one sentence"):
        tagger.score(S, [None] * 60)
    assert tagger.predict([["\udcff"]])


def test_a_pool_is_no_path():
    with pytest.raises(InputError, match=r"a fewlabels\.Pool, got 'pool'"):
        SemiSupervisedTagger(**QUICK).fit(S, T, pool="pool")


def test_no_sentences_are_drawn_where_none_are_wanted():
    tagger = SemiSupervisedTagger("joint", weight=1.0, **QUICK).fit(S, T)
    assert tagger.sample(0) == [] and len(tagger.sample(2, random_state=0)) == 2
    assert SemiSupervisedTagger("joint", weight=1.0, **QUICK).fit([*S, ["\udcff"]], [*T, None]).sample(1)


def test_rare_words_are_read_alike_by_a_loaded_potential_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setattr("fewlabels.corpus.OWN", 3)
    sentences, tags = text()
    tagger = SemiSupervisedTagger("supervised", potential=Plain(), preset="tiny", effort=2.0, random_state=0)
    tagger.fit(sentences, tags).save(tmp_path / "model.safetensors")
    again = fewlabels.load(tmp_path / "model.safetensors", potential=Plain())
    assert again.predict([[noun] for noun in NOUNS]) == tagger.predict([[noun] for noun in NOUNS])
    np.testing.assert_array_equal(*(model.score_samples([[noun] for noun in NOUNS]) for model in (again, tagger)))


def test_a_start_is_known_by_the_order_of_words(tmp_path):
    sentences, tags = text()
    file = tmp_path / "start.safetensors"
    SemiSupervisedTagger("pretrain", start=file, **QUICK).fit(sentences, tags)
    shuffled = sentences[:12] + [sentence[::-1] for sentence in sentences[12:]]
    with pytest.raises(InputError, match=r"another start"):
        SemiSupervisedTagger("pretrain", start=file, **QUICK).fit(shuffled, tags)


def test_a_start_is_no_fitted_model(tmp_path):
    file = tmp_path / "start.safetensors"
    SemiSupervisedTagger("pretrain", start=file, **QUICK).fit(*text())
    with pytest.raises(InputError, match=r"Expected a fitted model in .* got a file of kind 'start'"):
        fewlabels.load(file)


@pytest.mark.parametrize(("fitted", "asked"), [(0, 1), (1, 2), (2, 1)])
def test_words_have_as_many_further_features_as_in_fit(fitted, asked):
    def given(width):
        return [[(word, *"xy"[:width]) if width else word for word in sentence] for sentence in text()[0]]

    tagger = SemiSupervisedTagger("supervised", **QUICK).fit(given(fitted), text()[1])
    message = rf"Expected {fitted or 'no'} further features of a word, as in fit, got {asked} in sentence 0"
    with pytest.raises(InputError, match=message):
        tagger.predict(given(asked))


def test_words_that_are_not_unicode_are_saved(tmp_path):
    sentences, tags = text()
    tagger = SemiSupervisedTagger("supervised", **QUICK).fit([["caf\udce9", *row[1:]] for row in sentences], tags)
    tagger.save(tmp_path / "model.safetensors")
    assert fewlabels.load(tmp_path / "model.safetensors").vocabulary_.words == tagger.vocabulary_.words


def test_the_state_of_a_fit_is_kept_until_it_is_done_with(tmp_path):
    state = SemiSupervisedTagger("supervised", checkpoint=tmp_path, **QUICK).fit_keeping_state(*text())
    assert {"fit.json", "training.pt"} <= {path.name for path in tmp_path.iterdir()}
    state.done()
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("pretraining", "rates"), [("bilm", {1.0}), ("field", {0.1})])
def test_the_slower_rate_of_dynamic_nce_is_of_its_own_players(pretraining, rates, monkeypatch):
    seen = []

    def spied(potential, stages, *rest, **options):
        seen.append((potential, stages[0]))
        raise KeyboardInterrupt

    monkeypatch.setattr("fewlabels.sentence_training.fit", spied)
    with pytest.raises(KeyboardInterrupt):
        SemiSupervisedTagger("pretrain", pretraining=pretraining, estimator="nce", **QUICK).fit(*text())
    potential, stage = seen[0]
    made = stage.optimizer(potential, stage.objective).param_groups
    assert {round(made[-1]["lr"] / made[0]["lr"], 6)} == rates


def test_terms_beside_joint_training_go_on_with_its_noise_model(monkeypatch):
    seen = []

    def spied(potential, stages, *rest, **options):
        seen.append(stages)
        raise KeyboardInterrupt

    monkeypatch.setattr("fewlabels.sentence_training.fit", spied)
    tagger = SemiSupervisedTagger("joint+entropy", pretraining="none", estimator="nce", weight=1.0, **QUICK)
    with pytest.raises(KeyboardInterrupt):
        tagger.fit(*text())
    first, second = (stage.objective.parts[1] for stage in seen[0])
    assert first is second
