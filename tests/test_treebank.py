"""The Penn Treebank's tagged files: what is a token, where sentences and pieces end, which sections are which."""

import pytest

from fewlabels.data.treebank import read_treebank, read_treebank_splits
from fewlabels.errors import InputError

STORY = """\


[ A/DT form/NN ]
of/IN
[ fibers/NNS ]

[ that/WDT ]
killed/VBD 1\\/2/CD ./.

``/``
[ It/PRP ]
burns/VBZ|NNS !/.

''/''
-RRB-/)
[ He/PRP ]
left/vbd ./. ./.

=====================================

[ Headline/NN S*/NNP&P ]
=====

''/''
[ End/NN ]
"""

SENTENCES = [
    ("A form of fibers that killed 1\\/2 .", "DT NN IN NNS WDT VBD CD ."),
    ("`` It burns ! '' -RRB-", "`` PRP VBZ . '' )"),
    ("He left . .", "PRP VBD . ."),
    ("Headline S*", "NN NNP&P"),
    ("'' End", "'' NN"),
]
PIECES = [
    "A form of fibers",
    "that killed 1\\/2 .",
    "`` It burns !",
    "'' -RRB- He left . .",
    "Headline S*",
    "'' End",
]


@pytest.fixture
def story(tmp_path):
    (tmp_path / "wsj_0001.pos").write_text(STORY)
    return tmp_path / "wsj_0001.pos"


def test_sentences_end_behind_final_punctuation_and_what_closes_with_it(story):
    assert [(" ".join(words), " ".join(tags)) for words, tags in read_treebank(story)] == SENTENCES


def test_pieces_end_at_blank_lines(story):
    pieces = read_treebank(story, pieces=True)
    assert [" ".join(words) for words, _ in pieces] == PIECES
    assert [tag for _, tags in pieces for tag in tags] == " ".join(tags for _, tags in SENTENCES).split()


@pytest.mark.parametrize(
    ("text", "word", "tag"),
    [
        ("3\\/4/CD", "3\\/4", "CD"),
        ("and\\/or/CC", "and\\/or", "CC"),
        ("//SYM", "/", "SYM"),
        ("a/b/NN", "a/b", "NN"),
        ("x/NN\\/JJ", "x", "NN\\/JJ"),
        ("open/jj|rb", "open", "JJ"),
        ("$/$", "$", "$"),
    ],
)
def test_the_last_slash_that_is_not_escaped_parts_word_and_tag(tmp_path, text, word, tag):
    (tmp_path / "a.pos").write_text(f"[ {text} ]\n")
    assert read_treebank(tmp_path / "a.pos") == [([word], [tag])]


def test_a_folder_is_read_in_the_order_of_names(tmp_path):
    for name in ("wsj_0010.pos", "wsj_0002.pos", "wsj_0001.pos", "readme"):
        (tmp_path / name).write_text(f"{name}/NN\n")
    assert [words for words, _ in read_treebank(tmp_path)] == [["wsj_0001.pos"], ["wsj_0002.pos"], ["wsj_0010.pos"]]


def test_sections(tmp_path):
    for i in range(25):
        (tmp_path / f"{i:02d}").mkdir()
        (tmp_path / f"{i:02d}" / f"wsj_{i:02d}00.pos").write_text(f"{i}/CD\n\nx/NN ./.\n")
    whole, pieces = read_treebank_splits(tmp_path), read_treebank_splits(tmp_path, pieces=True)
    assert [[int(words[0]) for words, _ in part] for part in whole] == [list(range(21)), [21, 22], [23, 24]]
    assert list(map(len, pieces)) == [42, 4, 4]
    (tmp_path / "22" / "wsj_2200.pos").unlink()
    with pytest.raises(InputError, match=r"22: expected a folder with files named \.pos, came one without"):
        read_treebank_splits(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n", "empty file"),
        ("[ ]\n=====\n", r"a\.pos: expected tokens such as dogs/NNS, came a file without any"),
        ("a/NN\n[ /NN ]\n", r"a\.pos:2: expected a word, a slash and a tag, came '/NN'"),
        ("a/NN b/\n", r"a\.pos:1: expected a word, a slash and a tag, came 'b/'"),
        ("a/NN\n\nb/|NN\n", r"a\.pos:3: expected a word, a slash and a tag, came 'b/|NN'"),
    ],
)
def test_files_that_are_refused(tmp_path, text, message):
    (tmp_path / "a.pos").write_text(text)
    with pytest.raises(InputError, match=message):
        read_treebank(tmp_path / "a.pos")


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_treebank(tmp_path / "a.pos")
