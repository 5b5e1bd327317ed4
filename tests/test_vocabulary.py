"""Words as integers: vocabularies in which some words have spelling alone."""

import itertools

import pytest
import torch

from fewlabels.sequence import vocabulary as module
from fewlabels.sequence.vocabulary import Vocabulary, spelling_features

TEXT = [["b", "a", "b", "c"], ["b", "a", "dab"], ["cab"]]


@pytest.mark.parametrize(
    ("most", "least", "own"), [(None, 1, 6), (2, 1, 3), (0, 1, 1), (None, 2, 3), (None, 3, 2), (1, 2, 2), (9, 1, 6)]
)
def test_rare_words_have_spelling_alone(most, least, own):
    vocabulary = Vocabulary.of(TEXT, most=most, least=least)
    assert vocabulary.words == ["<unk>", "b", "a", "c", "cab", "dab"]
    assert vocabulary.counts == [0, 3, 2, 1, 1, 1]
    assert (vocabulary.own, len(vocabulary)) == (own, 6)
    assert vocabulary.encode(["dab", "b", "new"]) == [5, 1, 0]


@pytest.mark.parametrize("kind", ["spelling", "symbols"])
def test_a_trimmed_vocabulary_spells_the_words_it_lost_as_before(kind):
    whole = Vocabulary.of(TEXT, least=2)
    small = whole.trimmed()
    lost = whole.words[whole.own :]
    assert small.words + lost == whole.words
    assert small.own == len(small)
    before, after = getattr(whole, kind)(["cod"]), getattr(small, kind)([*lost, "cod"])
    assert before.features == after.features
    for ours, theirs in zip(after.of(torch.arange(7)), before.of(torch.arange(7)), strict=True):
        assert torch.equal(ours, theirs)
    again = small.trimmed()
    assert again.features == whole.features


def spelt(vocabulary, further=()):
    """The features of each word by name, from the arrays."""
    spelling = vocabulary.spelling(further)
    ids, starts, _ = spelling.of(torch.arange(len(spelling)))
    bounds = [*starts.tolist(), len(ids)]
    return [[vocabulary.features[i] for i in ids[a:b]] for a, b in itertools.pairwise(bounds)]


def test_spelling_holds_the_features_of_each_word():
    vocabulary = Vocabulary.of(TEXT)
    known = {feature for word in vocabulary.words for feature in spelling_features(word)}
    assert vocabulary.features == sorted(known)
    expected = [
        [feature for feature in spelling_features(word) if feature in known] for word in [*vocabulary.words, "Cod"]
    ]
    assert spelt(vocabulary, ["Cod"]) == expected
    assert "shape:capital" not in expected[-1]  # the control: a feature that was never seen


def test_a_large_vocabulary_leaves_out_features_of_a_single_word(monkeypatch):
    words = ["abab", "abba", "zz", "abab1"]
    monkeypatch.setattr(module, "LARGE", 5)
    vocabulary = Vocabulary(words, [1] * 4)
    counts = {f: sum(f in spelling_features(w) for w in words) for w in words for f in spelling_features(w)}
    kept = {feature for feature, count in counts.items() if count > 1}
    assert vocabulary.features == sorted(kept)
    assert "c:z" not in kept  # twice, but in one word
    assert spelt(vocabulary) == [[f for f in spelling_features(w) if f in kept] for w in vocabulary.words]
    monkeypatch.setattr(module, "LARGE", 6)
    assert set(Vocabulary(words, [1] * 4).features) == set(counts)
