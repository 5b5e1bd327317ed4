"""The benchmarks are not run by the tests; what they measure can be built, and what they plant has its place."""

from pathlib import Path

import pytest

from fewlabels.methods import PRETRAINING
from fewlabels.sentence_methods import TINY

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


def test_the_steps_that_are_timed_can_be_made():
    from bench_steps import sentence_steps

    assert list(sentence_steps("tiny", TINY)) == ["supervised", PRETRAINING, "joint"]


def test_every_planted_bug_has_one_place_and_its_tests_a_file():
    from planted import MUTANTS

    texts = {mutant.file: (ROOT / "src" / "fewlabels" / mutant.file).read_text(encoding="utf-8") for mutant in MUTANTS}
    assert [mutant.name for mutant in MUTANTS if texts[mutant.file].count(mutant.old) != 1] == []
    assert [mutant.name for mutant in MUTANTS if not (ROOT / "tests" / mutant.tests.split()[0]).is_file()] == []
    names = [mutant.name for mutant in MUTANTS]
    assert len(set(names)) == len(names)  # by which they are selected
