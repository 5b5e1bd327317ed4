"""What the benchmarks share: variants that take turns, and what becomes of their figures."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Section", "Verdict", "at_least", "at_most", "race"]


class Verdict(NamedTuple):
    """A figure beside its bound, in words, and whether it keeps to it."""

    text: str
    met: bool


class Section(NamedTuple):
    """A table for people, its figures for machines, and those of them that have a bound."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    figures: Any
    verdicts: Sequence[Verdict] = ()


def race(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median milliseconds of processor time of each call, after two rounds that do not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 2):
        for name, call in calls.items():
            start = time.process_time()
            call()
            times[name].append(time.process_time() - start)
    return {name: 1000 * float(np.median(taken[2:])) for name, taken in times.items()}


def at_least(what: str, figure: float, bound: float) -> Verdict:
    """A figure with a bound from below."""
    return Verdict(f"{what}: {figure:,.3g} (at least {bound:,g} wanted)", figure >= bound)


def at_most(what: str, figure: float, bound: float) -> Verdict:
    """A figure with a bound from above."""
    return Verdict(f"{what}: {figure:,.3g} (at most {bound:,g} wanted)", figure <= bound)
