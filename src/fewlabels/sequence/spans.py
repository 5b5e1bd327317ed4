"""Spans: what the tags of chunking and of named-entity recognition mean, and how well they were found.

A span is a type and a stretch of tokens.  Tags write spans down in several ways: IOB2 (``B-`` begins each span and
``I-`` continues it), IOB1 (``B-`` only where a span follows another of the same type), and BIOES (``E-`` ends a span,
``S-`` is one of a single token).  They are read in either of two ways:

- *leniently*, as the official scorer of CoNLL-2000 and CoNLL-2003 does: every tag but ``O`` belongs to a span, whatever
  stands before it.  This reads IOB1, IOB2 and BIOES alike.
- *strictly*: a span counts only if its tags are well formed in the encoding that is named.

With TP spans that are right in type and in both ends, precision is TP / predicted, recall TP / true, and
F1 = 2 TP / (predicted + true); all are 0 where the denominator is.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from fewlabels.errors import InputError

__all__ = [
    "Moves",
    "Span",
    "SpanScore",
    "allowed_moves",
    "bioes",
    "encode_spans",
    "iob2",
    "read_spans",
    "read_strict_spans",
    "score_spans",
]

OUTSIDE = "O"
TAG = re.compile("O|[BIES](-.*)?", re.DOTALL)


class Span(NamedTuple):
    """A stretch of tokens of one type: those from ``start`` up to, but without, ``end``."""

    kind: str
    start: int
    end: int


class SpanScore(NamedTuple):
    """How many spans are right, out of how many predicted and how many true."""

    right: int
    predicted: int
    true: int

    @property
    def precision(self) -> float:
        """Share of the predicted spans that are right."""
        return self.right / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Share of the true spans that were found."""
        return self.right / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of the two."""
        return 2 * self.right / (self.predicted + self.true) if self.right else 0.0


class Moves(NamedTuple):
    """What K tags may do: stand first, (K,); follow one another, (K, K), the column's the row's; stand last, (K,)."""

    start: np.ndarray
    follow: np.ndarray
    stop: np.ndarray

    def allow(self, tags: Sequence[int]) -> bool:
        """Whether a sentence's tags, by number, keep to these moves."""
        return bool(self.start[tags[0]] and self.stop[tags[-1]] and self.follow[tags[:-1], tags[1:]].all())


def split_tag(tag: str) -> tuple[str, str]:
    """Prefix and type of a tag; a prefix alone has the type "".

    Raises
    ------
    InputError
        Where the tag is none of an encoding of spans.
    """
    if not TAG.fullmatch(tag):
        raise InputError(f"Expected tags of spans, such as O, B-NP, I-NP, E-NP or S-NP, got {tag!r}.")
    prefix, _, kind = tag.partition("-")
    return prefix, kind


def encode_spans(sentences: Iterable[Iterable[str]]) -> bool:
    """Whether the tags of sentences write down spans: all of them can be read so, and one begins a span with a type.

    Examples
    --------
    >>> encode_spans([["O", "B-NP"]]), encode_spans([["DET", "NOUN"]])
    (True, False)
    """
    distinct = {tag for tags in sentences for tag in tags}
    return all(TAG.fullmatch(tag) for tag in distinct) and any("-" in tag for tag in distinct)


def read_spans(tags: Sequence[str]) -> list[Span]:
    """The spans of a sentence's tags in IOB1, IOB2 or BIOES, read leniently.

    Raises
    ------
    InputError
        Where a tag is none of an encoding of spans.

    Examples
    --------
    >>> read_spans(["I-LOC", "B-LOC", "I-LOC", "O", "S-PER"])
    [Span(kind='LOC', start=0, end=1), Span(kind='LOC', start=1, end=3), Span(kind='PER', start=4, end=5)]
    """
    spans: list[Span] = []
    start, before, inside = 0, "", OUTSIDE
    for i, tag in enumerate([*tags, OUTSIDE]):
        prefix, kind = split_tag(tag)
        begins = prefix in ("B", "S") or inside in (OUTSIDE, "E", "S") or kind != before
        if inside != OUTSIDE and (prefix == OUTSIDE or begins):
            spans.append(Span(before, start, i))
        if begins:
            start = i
        before, inside = kind, prefix
    return spans


def read_strict_spans(tags: Sequence[str], encoding: str) -> list[Span]:
    """The spans whose tags are well formed in an encoding, "IOB2" or "BIOES".

    Raises
    ------
    InputError
        Where a tag is none of an encoding of spans.

    Examples
    --------
    >>> read_strict_spans(["I-LOC", "B-LOC", "I-LOC", "B-PER"], "IOB2")
    [Span(kind='LOC', start=1, end=3), Span(kind='PER', start=3, end=4)]
    >>> read_strict_spans(["B-LOC", "I-LOC", "S-PER"], "BIOES")
    [Span(kind='PER', start=2, end=3)]
    """
    return list(_well_formed([split_tag(tag) for tag in tags], encoding))


def _well_formed(tags: list[tuple[str, str]], encoding: str) -> Iterator[Span]:
    for start, (prefix, kind) in enumerate(tags):
        if encoding == "BIOES" and prefix == "S":
            yield Span(kind, start, start + 1)
        elif prefix == "B":
            end = start + 1
            while end < len(tags) and tags[end] == ("I", kind):
                end += 1
            if encoding == "IOB2":
                yield Span(kind, start, end)
            elif end < len(tags) and tags[end] == ("E", kind):
                yield Span(kind, start, end + 1)


def iob2(spans: Iterable[Span], length: int) -> list[str]:
    """The tags of a sentence's spans in IOB2.

    Examples
    --------
    >>> iob2(read_spans(["I-LOC", "B-LOC", "O"]), 3)
    ['B-LOC', 'B-LOC', 'O']
    """
    tags = [OUTSIDE] * length
    for kind, start, end in spans:
        tags[start:end] = [_tag("B", kind)] + [_tag("I", kind)] * (end - start - 1)
    return tags


def bioes(spans: Iterable[Span], length: int) -> list[str]:
    """The tags of a sentence's spans in BIOES, which tells a tagger most about where spans end.

    Examples
    --------
    >>> bioes(read_spans(["B-NP", "I-NP", "I-NP", "O", "B-VP"]), 5)
    ['B-NP', 'I-NP', 'E-NP', 'O', 'S-VP']
    """
    tags = [OUTSIDE] * length
    for kind, start, end in spans:
        within = [_tag("I", kind)] * (end - start - 2)
        tags[start:end] = [_tag("S", kind)] if end - start == 1 else [_tag("B", kind), *within, _tag("E", kind)]
    return tags


def _tag(prefix: str, kind: str) -> str:
    return f"{prefix}-{kind}" if kind else prefix


def allowed_moves(tags: Sequence[str]) -> Moves:
    """What well-formed sentences of some tags do: BIOES where one of them ends a span, and IOB2 otherwise.

    Everything is allowed to tags that do not write down spans.

    Examples
    --------
    >>> allowed_moves(["B-NP", "I-NP", "O"]).follow.astype(int).tolist()
    [[1, 1, 1], [1, 1, 1], [1, 0, 1]]
    >>> allowed_moves(["B-NP", "E-NP", "O"]).follow.astype(int).tolist()
    [[0, 1, 0], [1, 0, 1], [1, 0, 1]]
    """
    count = len(tags)
    if not encode_spans([tags]):
        return Moves(np.ones(count, bool), np.ones((count, count), bool), np.ones(count, bool))
    parts = [split_tag(tag) for tag in tags]
    ends = any(prefix in ("E", "S") for prefix, _ in parts)
    inside = np.array([prefix in ("I", "E") for prefix, _ in parts])  # goes on with a span
    begun = np.array([prefix in ("B", "I") for prefix, _ in parts])  # leaves one that may, in BIOES must, go on
    kinds = np.array([kind for _, kind in parts])
    goes_on = begun[:, None] & (kinds[:, None] == kinds)
    broken_off = begun if ends else np.zeros(count, bool)
    return Moves(~inside, np.where(inside, goes_on, ~broken_off[:, None]), ~broken_off)


def score_spans(true: Sequence[Iterable[Span]], predicted: Sequence[Iterable[Span]]) -> dict[str, SpanScore]:
    """Scores of the spans of each sentence: of each type, in alphabetical order, and of all under "".

    Examples
    --------
    >>> score_spans([[Span("LOC", 0, 2)]], [[Span("LOC", 0, 2), Span("PER", 3, 4)]])[""].f1
    0.6666666666666666
    """
    counts = [Counter(), Counter(), Counter()]
    for ours, theirs in zip(predicted, true, strict=True):
        ours, theirs = set(ours), set(theirs)
        for count, spans in zip(counts, (ours & theirs, ours, theirs), strict=True):
            count.update(span.kind for span in spans)
    kinds = sorted(set().union(*counts))
    scores = {kind: SpanScore(*(count[kind] for count in counts)) for kind in kinds}
    return {**scores, "": SpanScore(*(count.total() for count in counts))}
