"""Spans against an independent scorer of another make, and against themselves in every encoding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, IOBES, Entities

from fewlabels import InputError
from fewlabels.sequence.spans import Span, SpanScore, bioes, iob2, read_spans, read_strict_spans, score_spans

TAGS = st.sampled_from(["O", *(f"{prefix}-{kind}" for prefix in "BIES" for kind in ("LOC", "PER"))])
SENTENCE = st.lists(TAGS, min_size=1, max_size=12)
PAIRS = st.lists(st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=8), min_size=1, max_size=4)


@st.composite
def spans_of_a_sentence(draw):
    """Spans that do not overlap, some of them side by side."""
    ends = sorted(draw(st.sets(st.integers(1, 12), min_size=1)))
    kinds = [draw(st.sampled_from(["", "LOC", "PER", "A-B"])) for _ in ends]
    pieces = [Span(kind, start, end) for kind, start, end in zip(kinds, [0, *ends], ends, strict=False)]
    return [piece for piece in pieces if draw(st.booleans())], 12


@given(SENTENCE)
def test_lenient_reading_is_that_of_the_official_scorer(tags):
    theirs = [Span(kind, start, end + 1) for kind, start, end in get_entities(tags)]
    assert read_spans(tags) == theirs


@given(SENTENCE)
def test_strict_reading_is_that_of_the_usual_library(tags):
    for encoding, scheme in (("BIOES", IOBES), ("IOB2", IOB2)):
        wanted = [tag if encoding == "BIOES" or tag[0] in "OBI" else "O" for tag in tags]
        [theirs] = Entities([wanted], scheme).entities
        assert read_strict_spans(wanted, encoding) == [Span(e.tag, e.start, e.end) for e in theirs]


@given(spans_of_a_sentence())
def test_every_encoding_gives_the_spans_back(drawn):
    spans, length = drawn
    for tags in (iob2(spans, length), bioes(spans, length)):
        assert len(tags) == length
        assert read_spans(tags) == spans
    assert read_strict_spans(iob2(spans, length), "IOB2") == spans
    assert read_strict_spans(bioes(spans, length), "BIOES") == spans


@pytest.mark.filterwarnings("ignore")  # the other library warns of 0 / 0
@given(PAIRS)
def test_scores_equal_those_of_the_usual_library(sentences):
    true = [[pair[0] for pair in sentence] for sentence in sentences]
    predicted = [[pair[1] for pair in sentence] for sentence in sentences]
    for read, options in (
        (read_spans, {}),
        (lambda tags: read_strict_spans(tags, "BIOES"), {"mode": "strict", "scheme": IOBES}),
    ):
        scores = score_spans(*([read(tags) for tags in side] for side in (true, predicted)))
        ours = scores[""]
        for value, score in ((ours.f1, f1_score), (ours.precision, precision_score), (ours.recall, recall_score)):
            assert value == pytest.approx(score(true, predicted, **options))
        for field in range(3):
            assert sum(score[field] for kind, score in scores.items() if kind) == ours[field]


def test_spans_of_the_old_encoding_that_lie_side_by_side_are_told_apart():
    assert iob2(read_spans(["I-LOC", "I-PER", "B-PER", "I-PER", "O"]), 5) == ["B-LOC", "B-PER", "B-PER", "I-PER", "O"]


def test_scores_by_hand():
    true = [[Span("NP", 0, 2), Span("VP", 2, 3)], [Span("NP", 1, 2)]]
    predicted = [[Span("NP", 0, 2), Span("VP", 2, 4)], []]
    assert score_spans(true, predicted) == {
        "NP": SpanScore(1, 1, 2), "VP": SpanScore(0, 1, 1), "": SpanScore(1, 2, 3),
    }  # fmt: skip
    assert score_spans(true, predicted)[""].f1 == pytest.approx(2 * 1 / 5)
    assert score_spans([[]], [[]])[""] == SpanScore(0, 0, 0)
    assert score_spans([[]], [[]])[""].f1 == 0


def test_a_span_of_the_right_place_and_another_sentence_is_wrong():
    assert score_spans([[Span("NP", 0, 1)], []], [[], [Span("NP", 0, 1)]])[""].right == 0


@pytest.mark.parametrize("tag", ["NOUN", "", "o", "X-NP", "O-NP"])
def test_tags_that_encode_no_spans_are_named(tag):
    with pytest.raises(InputError, match="Expected tags of spans"):
        read_spans(["O", tag])
