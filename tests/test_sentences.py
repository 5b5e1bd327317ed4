"""Sentences as integers: batches with further features, pieces, two collections as one."""

import itertools
from itertools import chain
from math import ceil

import numpy as np
import pytest
import torch

from fewlabels.sequence.sentences import Joined, Padded, Sentences

ROWS = [[1, 2, 3], [4], [5, 6]]
COLUMNS = [[[1, 9], [2, 8], [3, 7]], [[4, 6]], np.array([[5, 5], [6, 4]])]


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
