"""Draws of labelled rows: which come first, how shares are rounded, what is refused."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from fewlabels.data.draws import draw_per_class, draw_proportion
from fewlabels.errors import InputError


def labels(counts, seed=0):
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))


def test_draw_per_class_is_the_first_rows_met_in_the_permutation():
    y = labels([30, 50, 20])
    met = {0: [], 1: [], 2: []}
    for row in np.random.RandomState(7).permutation(100):
        if len(met[y[row]]) < 15:
            met[y[row]].append(row)
    assert draw_per_class(y, 15, seed=7).tolist() == met[0] + met[1] + met[2]
    assert draw_per_class(y, 15, seed=8).tolist() != met[0] + met[1] + met[2]


def test_draws_per_class_are_nested():
    y = labels([30, 50, 20])
    draws = [set(draw_per_class(y, count, seed=3).tolist()) for count in range(1, 21)]
    assert [len(draw) for draw in draws] == [3 * count for count in range(1, 21)]
    assert all(smaller < larger for smaller, larger in pairwise(draws))


@pytest.mark.parametrize("counts", [[100] * 10, [7, 1, 300, 45], [5923, 6742, 5958, 5421], [1, 1, 1], [3]])
def test_draw_proportion_rounds_by_largest_remainders(counts):
    y = labels(counts)
    for hundredths in range(1, 101):
        share = Fraction(hundredths, 100)
        rows = draw_proportion(y, hundredths / 100, seed=1)
        drawn = np.bincount(y[rows], minlength=len(counts))
        assert len(set(rows.tolist())) == len(rows)
        assert len(rows) == max(round(share * len(y)), sum(max(int(share * n), 1) for n in counts))
        # Each is its share, rounded; and none that is rounded down has a larger remainder than one rounded up.
        exact = [max(share * n, Fraction(1)) for n in counts]
        up = [e - int(e) for d, e in zip(drawn, exact, strict=True) if d > e]
        down = [e - int(e) for d, e in zip(drawn, exact, strict=True) if d < e]
        assert all(abs(d - e) < 1 for d, e in zip(drawn, exact, strict=True))
        assert min(up, default=1) >= max(down, default=0)


def test_draw_proportion_takes_the_rows_that_draw_per_class_takes():
    y = labels([100] * 10)
    np.testing.assert_array_equal(draw_proportion(y, 0.04, seed=5), draw_per_class(y, 4, seed=5))
    assert sorted(draw_proportion(y, 1, seed=5)) == list(range(1000))
    assert len(draw_proportion(y, 1e-9, seed=5)) == 10


def test_draws_by_proportion_are_nested_but_for_a_row_of_each_class():
    y = labels([7, 1, 300, 45])
    shares = np.linspace(0.01, 1, 100)
    for smaller, larger in pairwise(shares):
        lost = np.setdiff1d(draw_proportion(y, smaller, seed=2), draw_proportion(y, larger, seed=2))
        assert np.bincount(y[lost], minlength=4).max() <= 1


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: draw_per_class([0, 1, 0], 2, 0), "expected a count of 1 to 1, the rows of class 1, came 2"),
        (lambda: draw_per_class([0, 1, 0], 0, 0), "expected a count of 1 to 1, .* came 0"),
        (lambda: draw_per_class([0, -1, 0], 1, 0), "expected labels from 0, came -1: give the rows that have labels"),
        (lambda: draw_per_class([], 1, 0), r"expected integers of shape \(N,\) as labels, came float64 of \(0,\)"),
        (
            lambda: draw_per_class([[0, 1]], 1, 0),
            r"expected integers of shape \(N,\) as labels, came int64 of \(1, 2\)",
        ),
        (lambda: draw_per_class(["a"], 1, 0), "expected integers of shape"),
        (lambda: draw_proportion([0, 1, 0], 0, 0), "expected a proportion above 0 and at most 1, came 0"),
        (lambda: draw_proportion([0, 1, 0], 1.1, 0), "expected a proportion above 0 and at most 1, came 1.1"),
        (lambda: draw_proportion([0, 1, 0], float("nan"), 0), "expected a proportion above 0 and at most 1, came nan"),
    ],
)
def test_draws_that_are_refused(draw, message):
    with pytest.raises(InputError, match=message):
        draw()
