"""Text as integers: batches with further features, and vocabularies in which some words have spelling alone."""

import itertools
from itertools import chain
from math import ceil

import numpy as np
import pytest
import torch

from fewlabels.sequence import text
from fewlabels.sequence.text import Joined, Padded, Sentences, Vocabulary, spelling_features

ROWS = [[1, 2, 3], [4], [5, 6]]
COLUMNS = [[[1, 9], [2, 8], [3, 7]], [[4, 6]], np.array([[5, 5], [6, 4]])]
TEXT = [["b", "a", "b", "c"], ["b", "a", "dab"], ["cab"]]


def test_columns_go_with_their_rows():
    sentences = Sentences(ROWS, COLUMNS)
    x = sentences[torch.tensor([2, 0])]
    assert x.values.tolist() == [[5, 6, 0], [1, 2, 3]]
    assert x.columns.tolist() == [[[5, 5], [6, 4], [0, 0]], [[1, 9], [2, 8], [3, 7]]]
    assert sentences.at(torch.tensor([1, 2]))[torch.tensor([0])].columns.tolist() == [[[4, 6]]]
    pieces = sentences.cut(2)[torch.arange(4)]
    assert pieces.values.tolist() == [[1, 0], [2, 3], [4, 0], [5, 6]]
    assert pieces.columns.tolist() == [[[1, 9], [0, 0]], [[2, 8], [3, 7]], [[4, 6], [0, 0]], [[5, 5], [6, 4]]]
    assert Sentences(ROWS)[torch.arange(3)].columns is None


@pytest.mark.parametrize("longest", [1, 2, 3, 7, 100])
def test_pieces_are_short_even_and_lose_nothing(longest):
    rows = [list(range(n)) for n in (1, 2, 7, 8, 23, 100)]
    pieces = Sentences(rows).cut(longest)
    texts = [pieces[torch.tensor([i])].values[0].tolist() for i in range(len(pieces))]
    assert [*chain(*texts)] == [*chain(*rows)]
    assert max(map(len, texts)) <= longest
    assert len(texts) == sum(ceil(len(row) / longest) for row in rows)
    of_the_last = [len(text) for text in texts[-ceil(100 / longest) :]]
    assert max(of_the_last) - min(of_the_last) <= 1


def test_rows_without_columns_have_them_absent_beside_rows_that_have_them():
    bare, full = Sentences(ROWS)[torch.tensor([1, 2])], Sentences(ROWS, COLUMNS)[torch.tensor([0])]
    both = bare.concatenate(full)
    assert both.values.tolist() == [[4, 0, 0], [5, 6, 0], [1, 2, 3]]
    assert both.lengths.tolist() == [1, 2, 3]
    assert both.columns.tolist() == [[[0, 0]] * 3, [[0, 0]] * 3, [[1, 9], [2, 8], [3, 7]]]
    assert full.concatenate(bare).columns.tolist() == [[[1, 9], [2, 8], [3, 7]], [[0, 0]] * 3, [[0, 0]] * 3]
    assert bare.concatenate(bare).columns is None
    assert Padded(bare.values, bare.lengths).columns is None


@pytest.mark.parametrize("order", [*itertools.permutations(range(5), 3)])
def test_two_collections_are_read_as_one(order):
    joined = Joined(Sentences(ROWS, COLUMNS), Sentences([[7, 8, 9, 9], [3]]))
    one = Sentences([*ROWS, [7, 8, 9, 9], [3]], [*COLUMNS, [[0, 0]] * 4, [[0, 0]]])
    assert len(joined) == 5
    assert joined.lengths.tolist() == one.lengths.tolist()
    a, b = joined[torch.tensor(order)], one[torch.tensor(order)]
    width = b.values.shape[1]
    assert torch.equal(a.values[:, :width], b.values)
    assert a.values[:, width:].eq(0).all()
    assert torch.equal(a.lengths, b.lengths)
    assert a.columns is None or torch.equal(a.columns[:, :width], b.columns)
    assert (a.columns is None) == (min(order) >= 3)


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
    monkeypatch.setattr(text, "LARGE", 5)
    vocabulary = Vocabulary(words, [1] * 4)
    counts = {f: sum(f in spelling_features(w) for w in words) for w in words for f in spelling_features(w)}
    kept = {feature for feature, count in counts.items() if count > 1}
    assert vocabulary.features == sorted(kept)
    assert "c:z" not in kept  # twice, but in one word
    assert spelt(vocabulary) == [[f for f in spelling_features(w) if f in kept] for w in vocabulary.words]
    monkeypatch.setattr(text, "LARGE", 6)
    assert set(Vocabulary(words, [1] * 4).features) == set(counts)
