"""What the paper has not: which sentences learn, which are tested, and what is stored."""

from pathlib import Path

import numpy as np
import pytest

from fewlabels.experiments import beyond
from fewlabels.experiments.baselines import MostFrequentTag, residue_features
from fewlabels.results import read_runs


@pytest.fixture
def data(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    for name in ("wnut17", "cb513", "wiki"):
        (folder / name).mkdir(parents=True)
    for i, part in enumerate(("train", "dev", "test")):
        names = "".join(f"visit\tO\nPort{k}\tB-place\n{i}{k}\tO\n\n" for k in range(40 - 10 * i))
        (folder / "wnut17" / f"{part}.conll").write_text(names)
    chains = "".join(f"{residue}\tX\t{'HEC'[k % 3]}\n" * 4 + "\n" for k in range(410) for residue in "ACD"[k % 3])
    (folder / "cb513" / "cb513.conll").write_text(chains)
    (folder / "wiki" / "a.txt").write_text("the year was long\n" * 30)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def calls(monkeypatch, serially):
    """The experiment in this process, with the most frequent tag for a tagger; what each was given."""
    made = []

    class Tagger:
        def __init__(self, method="untouched", **parameters):
            self.given = {"method": method, **parameters}
            self.choice_ = "as given"

        def fit(self, sentences, tags, pool=None):
            known = [i for i, row in enumerate(tags) if row is not None]
            made.append(self.given | {"labelled": len(known), "all": len(sentences), "pool": pool and len(pool)})
            self.model = MostFrequentTag().fit([sentences[i] for i in known], [tags[i] for i in known])
            return self

        def predict(self, sentences):
            made[-1]["tested"] = made[-1].get("tested", 0) + len(sentences)
            return self.model.predict(sentences)

    monkeypatch.setattr(beyond, "SemiSupervisedTagger", Tagger)
    monkeypatch.setattr(beyond, "run_jobs", serially)
    monkeypatch.setitem(beyond.CASES, "wnut17_ner", beyond.CASES["wnut17_ner"]._replace(pool=25))
    return made


def test_every_case_is_run_and_stored_once(data, calls):
    beyond.run_beyond(data, seeds=2)
    runs = read_runs(Path("results/beyond-bench.jsonl"))
    assert [(one.dataset, one.method, one.seed) for one in runs] == [
        ("wnut17_ner", "supervised", 0), ("wnut17_ner", "supervised", 1), ("wnut17_ner", "crfsuite", 0),
        ("wnut17_ner", "untouched", 0), ("wnut17_ner", "untouched", 1),
        ("cb513", "supervised", 0), ("cb513", "supervised", 1), ("cb513", "crfsuite", 0),
        *[("cb513", method, seed) for method in ("pretrain", "joint") for seed in (0, 1)],
    ]  # fmt: skip
    assert all(np.isfinite([one.value, one.seconds]).all() and one.split == "test" for one in runs)
    untouched = [call for call in calls if call["method"] == "untouched"]
    assert [set(call) for call in untouched] == [{"method", "random_state", "labelled", "all", "pool", "tested"}] * 2
    assert {(call["labelled"], call["all"], call["pool"], call["tested"]) for call in untouched} == {(4, 4, 25, 20)}
    proteins = [call for call in calls if call["pool"] is None]
    assert {(call["labelled"], call["all"], call["tested"]) for call in proteins} == {(20, 400, 10)}
    before = len(calls)
    beyond.run_beyond(data, seeds=2)
    assert len(calls) == before
    table = Path("results/beyond-bench.txt").read_text()
    assert "cb513, accuracy" in table
    assert "wnut17_ner, untouched, seed 1: as given" in table


def test_windows_of_residues_by_hand():
    assert residue_features("ACD", 1) == ["bias", "r[-1]=A", "r[0]=C", "r[1]=D", "r[-1,0]=A|C", "r[0,1]=C|D"]
    assert len(residue_features("A" * 40, 20)) == 1 + 15 + 14
