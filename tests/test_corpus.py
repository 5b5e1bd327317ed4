"""What the tagger learns from, decoded again and compared with what it was given."""

import numpy as np
import pytest
import torch

from fewlabels import InputError
from fewlabels.corpus import LONGEST, Corpus
from fewlabels.data.pool import Pool, write_pool

SENTENCES = [["a", "cat"], ["the", "dog", "sat"], ["a", "dog"], ["mice"]]
TAGS = [["D", "N"], None, ["D", "N"], None]
TEXT = [["dogs", "bark"], ["the", "end"], ["a", "zebra", "sat"], ["bark"]]


def words(corpus, sentences):
    x = sentences[torch.arange(len(sentences))]
    return [corpus.vocabulary.decode(row[:n]) for row, n in zip(x.values.tolist(), x.lengths.tolist(), strict=True)]


@pytest.fixture
def pool(tmp_path):
    write_pool(TEXT, tmp_path / "pool")
    return Pool(tmp_path / "pool")


def test_without_a_pool_all_sentences_teach():
    corpus = Corpus.of([*SENTENCES, ["long"] * (LONGEST + 1)], [*TAGS, None], None)
    assert words(corpus, corpus.x)[:4] == SENTENCES
    assert words(corpus, corpus.unlabelled) == [*SENTENCES, ["long"] * (LONGEST // 2), ["long"] * (LONGEST // 2 + 1)]
    assert corpus.labelled.tolist() == [0, 2]
    assert corpus.classes.tolist() == ["D", "N"]
    assert corpus.y[torch.tensor([0, 2])].values.tolist() == [[0, 1], [0, 1]]
    assert corpus.lengths[:4].tolist() == [0, 1, 2, 1] and corpus.lengths.sum() == 6


def test_with_a_pool_its_sentences_and_the_untagged_ones_teach(pool):
    corpus = Corpus.of(SENTENCES, TAGS, pool)
    assert words(corpus, corpus.unlabelled) == [SENTENCES[1], SENTENCES[3], *TEXT]
    counts = dict(zip(corpus.vocabulary.words, corpus.vocabulary.counts, strict=True))
    assert (counts["a"], counts["sat"], counts["bark"], counts["mice"]) == (3, 2, 2, 1)
    tagged = Corpus.of(SENTENCES[:1] * 2, TAGS[:1] * 2, pool.prefix(2))
    assert words(tagged, tagged.unlabelled) == TEXT[:2]
    assert "zebra" not in tagged.vocabulary.words


def test_tags_of_spans_keep_their_rules_unless_a_labelled_sentence_breaks_them():
    kept = Corpus.of(SENTENCES, [["B-X", "I-X"], None, ["O", "O"], None], None)
    assert not kept.moves.allow([2, 1])  # O, I-X
    broken = Corpus.of(SENTENCES, [["B-X", "I-X"], None, ["O", "I-X"], None], None)
    assert all(np.all(part) for part in broken.moves)


def test_tags_that_do_not_match_are_refused(pool):
    with pytest.raises(InputError, match=r"2 tags for sentence 0"):
        Corpus.of(SENTENCES, [["D"], None, ["D", "N"], None], pool)
