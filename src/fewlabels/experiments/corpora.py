r"""The labelled corpora of the experiments: where their files are, how they are split, and which labels are used.

All lie in one folder of data, as follows; in parentheses, where the corpora themselves have these files.

=================  =================================================================================  ==============
task               files                                                                              scale
=================  =================================================================================  ==============
`conll2000_chunk`  ``conll2000/{train,test}.txt``                                                     bench, paper
`ewt_pos`          ``ud_ewt/en_ewt-ud-{train,dev,test}.conllu``                                       bench
`wikigold_ner`     ``wikigold/wikigold.conll.txt``                                                    bench
`wnut17_ner`       ``wnut17/{train,dev,test}.conll``                                                  beyond
`ptb_pos`          ``ptb/<00..24>/*.pos`` (LDC99T42, ``tagged/pos/wsj``)                              paper
`conll2003_ner`    ``conll2003/eng.{train,testa,testb}``                                              paper
`cb513`            ``cb513/cb513.conll``                                                              beyond
pools              ``wiki/``; ``one-billion-words/`` (``training-monolingual.tokenized.shuffled``)    bench; paper
=================  =================================================================================  ==============

Chunks and entities are labelled in BIOES. Digits are normalised for chunking and entities, not for parts of speech.
Every permutation is the one of numpy's legacy generator with seed 0, so that splits and labelled sets are the same
everywhere and larger labelled sets contain the smaller ones.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from fewlabels.data.sequences import normalise_digits, read_columns, read_sentences
from fewlabels.data.treebank import read_treebank_splits
from fewlabels.errors import InputError
from fewlabels.sequence.spans import bioes, read_spans

__all__ = [
    "POOLS",
    "TABLE_3",
    "Features",
    "Task",
    "cb513",
    "conll2000_chunk",
    "conll2003_ner",
    "ewt_pos",
    "labelled",
    "ptb_pos",
    "unlabelled",
    "wikigold_ner",
    "wnut17_ner",
]

TaggedSentence = tuple[list[str], list[str]]
T = TypeVar("T")

_DEV_OF_CONLL2000 = 1500
_TRAIN_OF_CB513 = 400
_XPOS = 4
_Q3 = 2


class Features(NamedTuple):
    """Further features of the tokens of a task, sentence by sentence a tuple for each token."""

    train: list[list[tuple[str, ...]]]
    dev: list[list[tuple[str, ...]]]
    test: list[list[tuple[str, ...]]]


class Task(NamedTuple):
    """A labelled corpus.

    Attributes
    ----------
    name : str
        The name of the function that reads it.
    train, dev, test : list of (tokens, tags)
        Sentences, each a list of tokens and the list of their tags.
    metric : str
        "f1" of spans or "accuracy" of tokens.
    digits : bool
        Whether digits of the tokens are normalised; a pool is to be written alike.
    features : Features or None
        What else is known of the tokens: for CoNLL-2000, the part of speech that a tagger gave them.
    """

    name: str
    train: list[TaggedSentence]
    dev: list[TaggedSentence]
    test: list[TaggedSentence]
    metric: str
    digits: bool
    features: Features | None = None


def labelled(task: Task, proportion: float) -> NDArray[np.int64]:
    """The sentences of the training set that are labelled, in the order of a fixed permutation.

    Parameters
    ----------
    task : Task
        Its training set has N sentences.
    proportion : float
        Above 0, up to 1.

    Returns
    -------
    int64 array (n,)
        Indices in `task.train`, n = ⌊N · proportion⌋. Those of a smaller proportion are the first of a larger one's.

    Raises
    ------
    InputError
        The proportion is none, or no sentence is labelled.

    Examples
    --------
    >>> sentences = [([str(i)], ["X"]) for i in range(100)]
    >>> labelled(Task("toy", sentences, [], [], "accuracy", False), 0.02).tolist()
    [26, 86]
    """
    total = len(task.train)
    n = int(total * Fraction(proportion).limit_denominator(1000)) if 0 < proportion <= 1 else 0
    if n < 1:
        raise InputError(
            f"Expected a proportion between 1/N and 1 of the N = {total} training sentences of {task.name}, "
            f"got {proportion}."
        )
    return _permutation(total)[:n]


def unlabelled(n: int, ratio: int, available: int) -> int:
    """How many sentences of a pool belong to n labelled ones: the first n · ratio, as far as there are that many.

    Examples
    --------
    >>> unlabelled(148, 50, 1_000_000), unlabelled(7436, 500, 1_000_000)
    (7400, 1000000)
    """
    return min(n * ratio, available)


def conll2000_chunk(data: Path) -> Task:
    """Chunking of CoNLL-2000; of the 8,936 training sentences, permuted, the last 1,500 are for development.

    The paper's split, by a generator of Python 2, cannot be had; this one has its sizes.
    """
    folder = data / "conll2000"
    read = {part: _spans(folder / f"{part}.txt") for part in ("train", "test")}
    columns = {part: read_columns(folder / f"{part}.txt", [1]) for part in ("train", "test")}
    order = _permutation(len(read["train"]))
    if len(order) <= _DEV_OF_CONLL2000:
        raise InputError(
            f"{folder / 'train.txt'}: expected more than {_DEV_OF_CONLL2000} sentences, of which so many are for "
            f"development, came {len(order)}: get the whole file"
        )
    train, dev = order[:-_DEV_OF_CONLL2000], order[-_DEV_OF_CONLL2000:]
    features = Features(_at(columns["train"], train), _at(columns["train"], dev), columns["test"])
    parts = _at(read["train"], train), _at(read["train"], dev), read["test"]
    return Task("conll2000_chunk", *parts, metric="f1", digits=True, features=features)


def conll2003_ner(data: Path) -> Task:
    """Entities of CoNLL-2003, English, whose IOB1 tags are read as its official scorer reads them."""
    parts = (_spans(data / "conll2003" / f"eng.{part}") for part in ("train", "testa", "testb"))
    return Task("conll2003_ner", *parts, metric="f1", digits=True)


def wnut17_ner(data: Path) -> Task:
    """Emerging entities of WNUT 2017."""
    parts = (_spans(data / "wnut17" / f"{part}.conll") for part in ("train", "dev", "test"))
    return Task("wnut17_ner", *parts, metric="f1", digits=True)


def wikigold_ner(data: Path) -> Task:
    """Entities of WikiGold; of its sentences, permuted, 70 % are for training, 15 % for development, 15 % for tests.

    Its tags have no `B-`: neighbouring entities of one type are one.
    """
    sentences = _spans(data / "wikigold" / "wikigold.conll.txt")
    total = len(sentences)
    order = _permutation(total)
    ends = total * 70 // 100, total * 70 // 100 + total * 15 // 100
    parts = (_at(sentences, part) for part in np.split(order, ends))
    return Task("wikigold_ner", *parts, metric="f1", digits=True)


def ewt_pos(data: Path) -> Task:
    """Parts of speech of the English Web Treebank: the tags of the Penn Treebank, column XPOS."""
    files = (data / "ud_ewt" / f"en_ewt-ud-{part}.conllu" for part in ("train", "dev", "test"))
    parts = (_pairs(*read_sentences(file, tag_column=_XPOS)) for file in files)
    return Task("ewt_pos", *parts, metric="accuracy", digits=False)


def ptb_pos(data: Path) -> Task:
    """Parts of speech of the Wall Street Journal, in the pieces between blank lines that the paper counts."""
    return Task("ptb_pos", *read_treebank_splits(data / "ptb", pieces=True), metric="accuracy", digits=False)


def cb513(data: Path) -> Task:
    """Secondary structure of proteins in 3 states; of the chains, permuted, 400 are for training, others for tests."""
    chains = _pairs(*read_sentences(data / "cb513" / "cb513.conll", tag_column=_Q3))
    order = _permutation(len(chains))
    train, test = _at(chains, order[:_TRAIN_OF_CB513]), _at(chains, order[_TRAIN_OF_CB513:])
    return Task("cb513", train, [], test, metric="accuracy", digits=False)


TABLE_3 = {
    "bench": {"pos": ewt_pos, "chunk": conll2000_chunk, "ner": wikigold_ner},
    "paper": {"pos": ptb_pos, "chunk": conll2000_chunk, "ner": conll2003_ner},
}
"""Scale -> the tasks of the paper's Table 3, functions of the folder of data."""

POOLS = {"bench": "wiki", "paper": "one-billion-words"}
"""Scale -> the folder of unlabelled text, inside the folder of data."""


def _spans(path: Path) -> list[TaggedSentence]:
    """Read tokens with their digits normalised, and spans, in any encoding, as BIOES."""
    return [
        ([normalise_digits(word) for word in words], bioes(read_spans(tags), len(tags)))
        for words, tags in _pairs(*read_sentences(path))
    ]


def _pairs(tokens: list[list[str]], tags: list[list[str]]) -> list[TaggedSentence]:
    return list(zip(tokens, tags, strict=True))


def _permutation(n: int) -> NDArray[np.int64]:
    return np.random.RandomState(0).permutation(n)


def _at(rows: Sequence[T], index: NDArray[np.int64]) -> list[T]:
    return [rows[i] for i in index]
