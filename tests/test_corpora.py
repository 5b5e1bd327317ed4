"""The labelled corpora: splits and labelled sets by hand on made files, and the counts of the real ones."""

import numpy as np
import pytest

from fewlabels.data.sequences import read_sentences
from fewlabels.errors import InputError
from fewlabels.experiments import corpora
from fewlabels.experiments.corpora import (
    TABLE_3,
    Task,
    cb513,
    conll2000_chunk,
    conll2003_ner,
    ewt_pos,
    labelled,
    ptb_pos,
    unlabelled,
    wikigold_ner,
    wnut17_ner,
)
from fewlabels.sequence.spans import read_spans, read_strict_spans


def made(name, n):
    return Task(name, [([str(i)], ["X"]) for i in range(n)], [], [], "accuracy", False)


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def words(sentences):
    return [" ".join(tokens) for tokens, _ in sentences]


@pytest.mark.parametrize("n", [56_554, 14_041, 7_436])
def test_labelled_sets_of_the_paper_are_nested(n):
    """⌊N/50⌋ and ⌊N/10⌋, as the table of the unlabelled sets implies: 1,131 and 5,655; 280 and 1,404; 148 and 743."""
    task = made("toy", n)
    two, ten, whole = (labelled(task, proportion) for proportion in (0.02, 0.1, 1))
    assert (len(two), len(ten), len(whole)) == (n // 50, n // 10, n)
    assert two.tolist() == ten[: len(two)].tolist() and ten.tolist() == whole[: len(ten)].tolist()
    assert sorted(whole.tolist()) == list(range(n)) != whole.tolist()
    assert whole.tolist() == np.random.RandomState(0).permutation(n).tolist()


def test_proportions_are_exact():
    """0.1 · 3 · 10 is above 3 and 0.29 · 100 below 29 in floating point."""
    assert [len(labelled(made("toy", n), p)) for n, p in [(30, 0.1), (100, 0.29), (400, 0.05), (3, 1 / 3)]] == [
        3,
        29,
        20,
        1,
    ]


@pytest.mark.parametrize("proportion", [0, -0.1, 1.01, 0.009])
def test_no_labelled_sentence_is_refused(proportion):
    with pytest.raises(InputError, match=rf"between 1/N and 1 of the N = 100 training .* toy, got {proportion}"):
        labelled(made("toy", 100), proportion)


def test_unlabelled_sets_end_with_the_pool():
    assert [unlabelled(148, ratio, 1_000_000) for ratio in (50, 250, 500)] == [7_400, 37_000, 74_000]
    assert [unlabelled(7_436, ratio, 1_000_000) for ratio in (50, 250)] == [371_800, 1_000_000]


def test_conll2000_is_split_by_its_permutation(tmp_path, monkeypatch):
    monkeypatch.setattr(corpora, "_DEV_OF_CONLL2000", 3)
    write(tmp_path / "conll2000" / "train.txt", *(f"w{chr(97 + i)}1 P{i} B-NP\nx Q I-NP\n" for i in range(8)))
    write(tmp_path / "conll2000" / "test.txt", "t9 R B-VP")
    task = conll2000_chunk(tmp_path)
    order = np.random.RandomState(0).permutation(8)
    assert words(task.train) == [f"w{chr(97 + i)}0 x" for i in order[:5]]
    assert words(task.dev) == [f"w{chr(97 + i)}0 x" for i in order[5:]]
    assert task.features is not None
    assert task.features.train == [[(f"P{i}",), ("Q",)] for i in order[:5]]
    assert task.features.dev == [[(f"P{i}",), ("Q",)] for i in order[5:]]
    assert task.test == [(["t0"], ["S-VP"])] and task.features.test == [[("R",)]]
    assert {tuple(tags) for _, tags in task.train} == {("B-NP", "E-NP")}
    assert (task.metric, task.digits) == ("f1", True)
    monkeypatch.setattr(corpora, "_DEV_OF_CONLL2000", 8)
    with pytest.raises(InputError, match=r"train\.txt: expected more than 8 sentences, .* came 8"):
        conll2000_chunk(tmp_path)


def test_conll2003_with_neighbours_in_iob1(tmp_path):
    lines = [
        "-DOCSTART- -X- O O",
        "",
        "Rome NNP I-NP I-LOC",
        "Oslo NNP I-NP B-LOC",
        "Ann NNP I-NP I-PER",
        "7 CD I-NP O",
    ]
    for part in ("train", "testa", "testb"):
        write(tmp_path / "conll2003" / f"eng.{part}", *lines)
    task = conll2003_ner(tmp_path)
    assert task.train == task.dev == task.test == [(["Rome", "Oslo", "Ann", "0"], ["S-LOC", "S-LOC", "S-PER", "O"])]


def test_treebank_keeps_its_digits_and_comes_in_pieces(tmp_path):
    for i in range(25):
        write(tmp_path / "ptb" / f"{i:02d}" / "wsj.pos", f"[ {i}/CD ]", "", "ends/VBZ ./.")
    task = ptb_pos(tmp_path)
    assert words(task.train) == [text for i in range(21) for text in (str(i), "ends .")]
    assert words(task.dev + task.test)[::2] == ["21", "22", "23", "24"]
    assert (task.metric, task.digits) == ("accuracy", False)


def test_ewt_has_the_tags_of_the_penn_treebank(tmp_path):
    for part in ("train", "dev", "test"):
        write(tmp_path / "ud_ewt" / f"en_ewt-ud-{part}.conllu", "1\t2004\t_\tNUM\tCD" + "\t_" * 5)
    task = ewt_pos(tmp_path)
    assert task.train == task.dev == task.test == [(["2004"], ["CD"])] and not task.digits


def test_cb513_is_split_by_chains(tmp_path, monkeypatch):
    monkeypatch.setattr(corpora, "_TRAIN_OF_CB513", 3)
    chains = ["M", "K", "V", "L", "A"]
    write(tmp_path / "cb513" / "cb513.conll", *(f"{residue} G H\n" for residue in chains))
    task = cb513(tmp_path)
    order = np.random.RandomState(0).permutation(5)
    assert task.train == [([chains[i]], ["H"]) for i in order[:3]]
    assert task.test == [([chains[i]], ["H"]) for i in order[3:]] and task.dev == []


def test_every_scale_has_the_three_tasks():
    assert {scale: list(tasks) for scale, tasks in TABLE_3.items()} == {
        "bench": ["pos", "chunk", "ner"],
        "paper": ["pos", "chunk", "ner"],
    }


def sizes(task):
    return len(task.train), len(task.dev), len(task.test)


def spans_in(sentences):
    return sum(len(read_strict_spans(tags, "BIOES")) for _, tags in sentences)


def test_the_real_conll2000(corpus):
    """Its official numbers: 8,936 and 2,012 sentences, 106,978 and 23,852 chunks."""
    task = conll2000_chunk(corpus("conll2000"))
    assert sizes(task) == (8_936 - 1_500, 1_500, 2_012)
    assert [len(labelled(task, proportion)) for proportion in (0.02, 0.1, 1)] == [148, 743, 7_436]
    assert len({tag for part in task[1:4] for _, sentence in part for tag in sentence}) == 42
    assert [spans_in(task.train + task.dev), spans_in(task.test)] == [106_978, 23_852]
    assert len({word for part in task[1:4] for sentence, _ in part for word in sentence}) == 19_475
    assert all(
        len(sentence) == len(row)
        for part, rows in zip(task[1:4], task.features, strict=True)
        for (sentence, _), row in zip(part, rows, strict=True)
    )


def test_the_real_ewt(corpus):
    task = ewt_pos(corpus("ud_ewt"))
    assert sizes(task) == (12_544, 2_001, 2_077)
    assert len({tag for part in task[1:4] for _, tags in part for tag in tags}) == 49


def test_the_real_wikigold(corpus):
    data = corpus("wikigold")
    task = wikigold_ner(data)
    tokens, tags = read_sentences(data / "wikigold" / "wikigold.conll.txt")
    assert len(tokens) == sum(sizes(task)) == 1_696 and sizes(task) == (1_187, 254, 255)
    assert spans_in(task.train + task.dev + task.test) == sum(len(read_spans(sentence)) for sentence in tags)


def test_the_real_wnut17(corpus):
    task = wnut17_ner(corpus("wnut17"))
    assert sizes(task) == (3_394, 1_009, 1_287)
    assert len({tag[2:] for part in task[1:4] for _, tags in part for tag in tags if tag != "O"}) == 6


def test_the_real_cb513(corpus):
    task = cb513(corpus("cb513"))
    assert sizes(task) == (400, 0, 111) and len(labelled(task, 0.05)) == 20
    assert sum(len(tokens) for part in (task.train, task.test) for tokens, _ in part) == 144_011
    assert {tag for _, tags in task.train for tag in tags} == {"H", "E", "C"}
