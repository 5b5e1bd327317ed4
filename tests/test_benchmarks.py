"""The benchmarks are not run by the tests; what they measure can be built, at least."""

from pathlib import Path

from fewlabels.methods import PRETRAINING
from fewlabels.sentence_methods import TINY


def test_the_steps_that_are_timed_can_be_made(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[1] / "benchmarks")
    from bench_steps import sentence_steps

    assert list(sentence_steps("tiny", TINY)) == ["supervised", PRETRAINING, "joint"]
