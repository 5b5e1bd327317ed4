"""The pool: what is written is what is read, prefixes are nested, memory is flat, damage is seen; and its shards."""

import json
import os
import subprocess
import sys
import tracemalloc
from collections import Counter

import numpy as np
import pytest
import torch

from fewlabels.data import pool as pool_module
from fewlabels.data.pool import Pool, write_pool
from fewlabels.data.shards import stream_text
from fewlabels.errors import InputError
from fewlabels.sequence.sentences import Sentences
from fewlabels.sequence.vocabulary import UNKNOWN

SMALL = [["b", "a"], ["c"], ["a", "b", "b", UNKNOWN], ["a", "d", "9"]]


def random_sentences(count, types=300, seed=0):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(0, 12, count)
    return [[f"w{i}" for i in generator.zipf(1.5, n) % types] for n in lengths]


def decoded(pool, index):
    batch = pool.translated(np.arange(len(pool.words)))[torch.as_tensor(index)]
    rows = zip(batch.values.tolist(), batch.lengths.tolist(), strict=True)
    return [[pool.words[i] for i in row[:length]] for row, length in rows]


@pytest.fixture
def small(tmp_path):
    write_pool(SMALL, tmp_path / "pool")
    return Pool(tmp_path / "pool")


def test_by_hand(small):
    assert small.words == [UNKNOWN, "a", "b", "9", "c", "d"]
    assert small.counts().tolist() == [1, 3, 3, 1, 1, 1]
    assert decoded(small, [3, 0, 2]) == [SMALL[3], SMALL[0], SMALL[2]]
    assert len(small) == 4 and not small.digits


@pytest.mark.parametrize("block", [1, 7, 1 << 18])
def test_what_is_written_is_what_is_read(tmp_path, monkeypatch, block):
    monkeypatch.setattr(pool_module, "_BLOCK", block)
    sentences = random_sentences(500)
    write_pool(iter(sentences), tmp_path / "pool")
    pool, kept = Pool(tmp_path / "pool"), [sentence for sentence in sentences if sentence]
    counts = Counter(word for sentence in kept for word in sentence)
    ordered = sorted(counts, key=lambda word: (-counts[word], word))
    assert pool.words == [UNKNOWN, *ordered]
    assert pool.counts().tolist() == [0, *(counts[word] for word in ordered)]
    order = np.random.default_rng(1).permutation(len(kept))
    assert decoded(pool, order) == [kept[i] for i in order]


def test_batches_equal_those_of_sentences_in_memory(tmp_path):
    sentences = [sentence for sentence in random_sentences(200) if sentence]
    write_pool(sentences, tmp_path / "pool")
    pool = Pool(tmp_path / "pool")
    ids = np.random.default_rng(2).integers(0, 50, len(pool.words)).astype(np.int32)
    number = {word: int(ids[i]) for i, word in enumerate(pool.words)}
    ours, theirs = pool.translated(ids), Sentences([[number[word] for word in s] for s in sentences])
    assert len(ours) == len(theirs) and ours.lengths.tolist() == theirs.lengths.tolist()
    for index in (torch.tensor([5]), torch.randperm(len(ours))[:64], torch.arange(len(ours)), torch.tensor([3, 3])):
        assert torch.equal(ours[index].values, theirs[index].values)
        assert torch.equal(ours[index].lengths, theirs[index].lengths)
        assert torch.equal(ours.lengths_of(index), theirs.lengths[index])
    empty = ours[torch.tensor([], dtype=torch.long)]
    assert empty.values.shape == (0, 0) and empty.lengths.shape == (0,)


def test_prefixes_are_nested_and_counted_alone(tmp_path):
    sentences = [sentence for sentence in random_sentences(300) if sentence]
    write_pool(sentences, tmp_path / "pool")
    pool = Pool(tmp_path / "pool")
    for n in (200, 50, 1):
        pool = pool.prefix(n)
        counts = Counter(word for sentence in sentences[:n] for word in sentence)
        assert len(pool) == len(pool.translated(np.arange(len(pool.words)))) == n
        assert pool.counts().tolist() == [counts[word] for word in pool.words]
        assert decoded(pool, [n - 1, 0]) == [sentences[n - 1], sentences[0]]
        with pytest.raises(IndexError):
            pool.translated(np.arange(len(pool.words)))[torch.tensor([n])]
    for n in (0, 2):
        with pytest.raises(InputError, match=f"Expected from 1 to 1 sentences of the pool .*, got {n}"):
            pool.prefix(n)


def test_words_beyond_the_lexicon_are_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(pool_module, "LEXICON", 2)
    write_pool(SMALL, tmp_path / "pool")
    pool = Pool(tmp_path / "pool")
    assert pool.words == [UNKNOWN, "a", "b"] and pool.counts().tolist() == [4, 3, 3]
    assert decoded(pool, [3]) == [["a", UNKNOWN, UNKNOWN]]


def test_long_and_empty_sentences_are_left_out(tmp_path):
    write_pool([["a"] * n for n in (61, 60, 0, 1)], tmp_path / "usual")
    assert Pool(tmp_path / "usual").translated(np.arange(2)).lengths.tolist() == [60, 1]
    write_pool([["a"] * n for n in (4, 3, 2)], tmp_path / "short", longest=3)
    assert Pool(tmp_path / "short").translated(np.arange(2)).lengths.tolist() == [3, 2]


def test_digits(tmp_path):
    write_pool([["1989", "2004", "b2b", "٣"], ["0000", "x"]], tmp_path / "pool", digits=True)
    pool = Pool(tmp_path / "pool")
    assert pool.digits and decoded(pool, [0, 1]) == [["0000", "0000", "b0b", "٣"], ["0000", "x"]]
    assert pool.counts().tolist() == [0, 3, 1, 1, 1]


def test_progress_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(pool_module, "_BLOCK", 4)
    seen = []
    write_pool([["a", "b"]] * 5, tmp_path / "pool", seen.append)
    assert seen == [2, 4, 5]


def test_nothing_is_left_of_a_pool_that_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(pool_module, "_BLOCK", 1)

    def broken():
        yield ["a"]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_pool(broken(), tmp_path / "pool")
    for sentences, message in [
        ([["a"], "a b"], "Expected sentences that are lists of words, got the text 'a b'"),
        ([["a"], [("a", "DT")]], r"Expected sentences that are lists of words, got \('a', 'DT'\) for a word"),
        ([["a", ""]], "Expected sentences that are lists of words, got '' for a word"),
        ([["a"] * 61, []], "expected sentences of 1 to 60 words for a pool, came none"),
    ]:
        with pytest.raises(InputError, match=message):
            write_pool(sentences, tmp_path / "pool")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_kept(tmp_path, small):
    with pytest.raises(InputError, match="expected a new folder for a pool, came one that exists"):
        write_pool([["x"]], small.folder)
    assert Pool(small.folder).words == small.words
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"could not write the pool \(Not a directory\); nothing is left of it"):
        write_pool([["x"]], tmp_path / "file" / "pool")


def test_a_writer_that_is_killed_leaves_no_pool(tmp_path):
    """The whole process goes at once, in the middle of the sentences, so nothing can be tidied up."""
    program = """
import os, sys
from fewlabels.data import pool
pool._BLOCK = 1
def sentences():
    yield ["a"]
    yield ["b"]
    os._exit(9)
pool.write_pool(sentences(), sys.argv[1])
"""
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "pool"], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 9
    (left,) = tmp_path.iterdir()
    for folder in (tmp_path / "pool", left):
        with pytest.raises(InputError, match=r"expected the folder of a pool, came one without manifest\.json or none"):
            Pool(folder)
    write_pool(SMALL, tmp_path / "pool")
    assert len(Pool(tmp_path / "pool")) == 4


@pytest.mark.parametrize("name", ["ids.bin", "offsets.bin", "lengths.bin"])
@pytest.mark.parametrize("damage", ["short", "long", "gone"])
def test_arrays_of_another_size_are_refused(small, name, damage):
    path = small.folder / name
    data = path.read_bytes()
    path.write_bytes(data[:-4] if damage == "short" else data + b"1234")
    if damage == "gone":
        path.unlink()
    with pytest.raises(InputError, match=rf"{name}: expected {len(data)} bytes, came \d+: the pool is damaged"):
        Pool(small.folder)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("words.json", '["<unk>", "a"]', r"words\.json: expected a list of 6 words, came something else"),
        ("words.json", '["<unk>", "a', r"words\.json: expected a list of words, came something else"),
        ("words.json", "", r"words\.json: expected data, came an empty file"),
        ("manifest.json", "{", r"manifest\.json: expected the manifest of a pool, came something else"),
        ("manifest.json", "[]", r"manifest\.json: expected the manifest of a pool, came something else"),
        ("manifest.json", '{"format": "fewlabels pool"}', r"manifest\.json: expected the manifest of a pool"),
    ],
)
def test_foreign_files_are_refused(small, name, text, message):
    (small.folder / name).write_text(text)
    with pytest.raises(InputError, match=message):
        Pool(small.folder)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("format", "other", "expected 'fewlabels pool' 1, came 'other' 1"),
        ("version", 2, "expected 'fewlabels pool' 1, came 'fewlabels pool' 2"),
        ("sentences", "4", "expected how many sentences and words there are, came something else"),
        ("tokens", 0, "expected how many sentences and words there are, came something else"),
    ],
)
def test_other_manifests_are_refused(small, field, value, message):
    path = small.folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(InputError, match=rf"manifest\.json: {message}"):
        Pool(small.folder)


def test_one_id_for_each_word(small):
    with pytest.raises(InputError, match=r"Expected 6 ids, one for each word of the pool, got \(5,\)"):
        small.translated(np.arange(5))


def repeated(count):
    """A stream of `count` sentences that takes no memory of its own."""
    ring = [sentence for sentence in random_sentences(1000) if sentence]
    return (ring[i % len(ring)] for i in range(count))


def peak_of(work, count):
    tracemalloc.start()
    try:
        work(count)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_is_flat_in_the_number_of_sentences(tmp_path, monkeypatch):
    """Ten times as many sentences need no more memory, to write, to count or to read; held in memory, they do.

    What is measured is all that Python and numpy allocate. The process's resident memory would not do: it also counts
    the pages of mapped files, which the system drops whenever it needs the room.
    """
    monkeypatch.setattr(pool_module, "_BLOCK", 1 << 14)

    def write(count):
        write_pool(repeated(count), tmp_path / str(count))

    def read(count):
        pool = Pool(tmp_path / str(count))
        assert pool.counts().sum() > count
        rows = pool.translated(np.arange(len(pool.words)))
        for _ in range(200):
            assert len(rows[torch.randint(len(rows), (64,))].lengths) == 64

    def hold(count):
        Sentences([[1] * len(sentence) for sentence in repeated(count)])

    few, many = 20_000, 200_000
    for work in (write, read):
        work(few // 2)  # what is allocated once, at the first use
        assert peak_of(work, many) < 1.2 * peak_of(work, few) + 100_000, work.__name__
    assert peak_of(hold, 20_000) > 5 * peak_of(hold, 2_000)


def test_shards_are_one_stream_in_the_order_of_their_names(tmp_path):
    for i in (10, 2, 1):
        (tmp_path / f"news.en-{i:05d}-of-00100").write_text(f"first of {i}\n\nlast  of\u00a0{i}\r\n")
    (tmp_path / "README").write_text("not a shard\n")
    (tmp_path / ".hidden-00000-of-00100").write_text("not a shard\n")
    expected = [[place, "of", str(i)] for i in (1, 2, 10) for place in ("first", "last")]
    assert list(stream_text(tmp_path)) == expected


def test_one_file_and_folders_of_other_files(tmp_path):
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbfdogs bark\ncats")
    (tmp_path / "a.txt").write_text("birds\n")
    (tmp_path / "folder").mkdir()
    assert list(stream_text(tmp_path / "b.txt")) == [["dogs", "bark"], ["cats"]]
    assert list(stream_text(str(tmp_path))) == [["birds"], ["dogs", "bark"], ["cats"]]
    (tmp_path / "wiki-00001-of-00010.txt").write_text("shard\n")
    assert list(stream_text(tmp_path)) == [["shard"]]


def test_shards_that_are_refused(tmp_path):
    for path, message in [
        (tmp_path / "none", "expected a file of text or a folder of such files, came neither"),
        (tmp_path, "expected a folder with files of text, came one without files"),
    ]:
        with pytest.raises(InputError, match=message):
            stream_text(path)
    (tmp_path / "a.txt").write_bytes(b"dogs\nb\xe9te\n")
    with pytest.raises(InputError, match=r"a\.txt:2: expected UTF-8 text, came byte 0xe9"):
        list(stream_text(tmp_path))
    (tmp_path / "a.txt").write_text("dogs NN\nbark VB\n\n" * 6)
    with pytest.raises(InputError, match=r"a\.txt: expected one sentence a line, came columns \(2 words"):
        list(stream_text(tmp_path))
    (tmp_path / "a.txt").write_bytes(b"dogs\nb\0\n")
    with pytest.raises(InputError, match=r"a\.txt:2: expected UTF-8 text, came binary data"):
        list(stream_text(tmp_path))
