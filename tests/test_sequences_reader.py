"""Token sequences: what is read, and every file that is refused."""

import pytest

from fewlabels.data.sequences import (
    normalise_digits,
    read_columns,
    read_sentences,
    read_text,
    read_tokens,
    to_conll,
)
from fewlabels.errors import InputError
from fewlabels.sequence.spans import Span, bioes, iob2, read_spans

CONLLU = """\
# sent_id = 1
# text = vámonos al mar
1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tvamos\tir\tVERB\t_\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\t_\t_\t1\tobj\t_\t_
2.1\tghost\t_\tNOUN\t_\t_\t_\t_\t_\t_
#no blank after the sign
3\tmar azul\tmar\tNOUN\t_\t_\t1\tobl\t_\t_

# text = # 1
1\t#\t#\tSYM\t_\t_\t0\troot\t_\t_
"""


CONLL2003 = """\
-DOCSTART- -X- -X- O

EU NNP B-NP I-ORG
rejects VBZ B-VP O
German JJ B-NP I-MISC
lamb NN I-NP O

-DOCSTART- -X- O O

West NNP B-NP I-LOC
Bank NNP I-NP I-LOC
Gaza NNP I-NP B-LOC
Palestinian JJ I-NP I-MISC
Yasser NNP I-NP I-PER
Arafat NNP I-NP I-PER
1996 CD I-NP I-MISC
( ( O O
UK NNP B-NP I-LOC
) ) O O
"""
"""In the format of CoNLL-2003, IOB1: West Bank and Gaza touch and are of one type; after Gaza, types change."""


@pytest.fixture
def file(tmp_path):
    def write(text, name="a.conll"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / name

    return write


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\n\n \n\t\n"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", [" ", "\t", "   "])
def test_the_last_sentence_is_never_lost(file, end, newline, separator):
    text = "\n\ndogs_NN_B\nbark_VB_O\n\n\ncats_NN_B" + end
    tokens, tags = read_sentences(file(text.replace("_", separator).replace("\n", newline)))
    assert tokens == [["dogs", "bark"], ["cats"]]
    assert tags == [["B", "O"], ["B"]]


def test_columns_are_chosen_from_either_end(file):
    path = file("dogs NN B\nbark VB O\n")
    assert read_sentences(path, tag_column=1)[1] == [["NN", "VB"]]
    assert read_sentences(path, token_column=-1, tag_column=-2) == ([["B", "O"]], [["NN", "VB"]])
    for column in (3, -4):
        with pytest.raises(InputError, match=f"expected a column between -3 and 2, came {column}"):
            read_sentences(path, tag_column=column)


def test_document_marks_end_a_sentence(file):
    text = "-DOCSTART- -X- O\n\na X O\n-DOCSTART- -X- O\nb X O\n"
    assert read_sentences(file(text))[0] == [["a"], ["b"]]


def test_comments_and_number_signs(file):
    """`#` is also a token: CoNLL-2000 has lines such as `# # B-NP`."""
    blanks = "# a comment\npaid VBD O\n# # B-NP\n#1 CD I-NP\n\n# another\n#tag X O\n"
    assert read_sentences(file(blanks))[0] == [["paid", "#", "#1"], ["#tag"]]
    tabs = "#\tSYM\n# a comment\n#tag\tX\n\n# another\na\tX\n"
    assert read_sentences(file(tabs))[0] == [["#", "#tag"], ["a"]]
    assert read_sentences(file("# a comment\na\tX\n# 1\tY\n# a comment\nb\tX\n"))[0] == [["a", "# 1", "b"]]


def test_tokens_with_blanks(file):
    assert read_sentences(file("New York\tX\n10\u00a0000\tY\n"))[0] == [["New York", "10\u00a0000"]]
    assert read_sentences(file("10\u00a0000 Y\n"))[0] == [["10\u00a0000"]]


def test_conllu(file):
    path = file(CONLLU, "a.conllu")
    assert read_sentences(path) == ([["vamos", "nos", "mar azul"], ["#"]], [["VERB", "PRON", "NOUN"], ["SYM"]])
    assert read_sentences(path, tag_column=7)[1] == [["root", "obj", "obl"], ["root"]]
    assert read_tokens(path) == [["vamos", "nos", "mar azul"], ["#"]]


def test_spans_of_conll_2003_by_hand(file):
    tokens, tags = read_sentences(file(CONLL2003, "eng.train"))
    assert [len(sentence) for sentence in tokens] == [4, 10]
    spans = [read_spans(sentence) for sentence in tags]
    assert spans[0] == [Span("ORG", 0, 1), Span("MISC", 2, 3)]
    assert spans[1] == [
        Span("LOC", 0, 2),
        Span("LOC", 2, 3),
        Span("MISC", 3, 4),
        Span("PER", 4, 6),
        Span("MISC", 6, 7),
        Span("LOC", 8, 9),
    ]
    assert iob2(spans[1], 10) == "B-LOC I-LOC B-LOC B-MISC B-PER I-PER B-MISC O B-LOC O".split()
    assert bioes(spans[1], 10) == "B-LOC E-LOC S-LOC S-MISC B-PER E-PER S-MISC O S-LOC O".split()


def test_the_paper_s_reading_of_iob1_loses_spans(file):
    """A control: a reader that ends spans only at B-, S- and O merges neighbours of different types."""
    tags = read_sentences(file(CONLL2003, "eng.train"))[1][1]
    begins = [tag != "O" and (tag[0] == "B" or i == 0 or tags[i - 1] == "O") for i, tag in enumerate(tags)]
    assert sum(begins) == 3 < len(read_spans(tags))


def test_several_columns(file):
    path = file(CONLL2003, "eng.train")
    first = read_columns(path, [0, 1])[0]
    assert first == [("EU", "NNP"), ("rejects", "VBZ"), ("German", "JJ"), ("lamb", "NN")]
    assert read_columns(path, [-1])[0] == [("I-ORG",), ("O",), ("I-MISC",), ("O",)]
    assert read_columns(file(CONLLU, "a.conllu"), [1, 3])[1] == [("#", "SYM")]
    with pytest.raises(InputError, match="expected a column between -4 and 3, came 4"):
        read_columns(path, [0, 4])


@pytest.mark.parametrize(
    ("word", "expected"),
    [("1234567890", "0000000000"), ("3\\/4-year", "0\\/0-year"), ("B-52s", "B-00s"), ("٣²½", "٣²½"), ("", "")],
)
def test_only_ascii_digits_are_normalised(word, expected):
    assert normalise_digits(word) == expected == normalise_digits(expected)


def test_tokens_alone(file):
    assert read_tokens(file("dogs\nbark\n\ncats\n")) == [["dogs", "bark"], ["cats"]]
    assert read_tokens(file("dogs NN\nbark VB\n")) == [["dogs", "bark"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty file"),
        ("\n \n", "empty file"),
        ("# only a comment\n\n-DOCSTART- O\n", "came a file without tokens"),
        ("a X\nb Y\n\nc\n", r"a\.conll:4: expected 2 columns, found 1: 'c'"),
        ("a X\nb Y Z\n", r"a\.conll:2: expected 2 columns, found 3: 'b Y Z'"),
        ("a\tX\nb Y\n", r"a\.conll:2: expected 2 columns, found 1"),
        ("\n# comment\na\nb\n", r"a\.conll:3: expected a token and a tag in each line, came one column"),
        ("a\tX\n\tY\n", r"a\.conll:2: expected a token or tag in column 0, came an empty cell"),
        ("a\tX\nb\t\n", r"a\.conll:2: expected a token or tag in column 1, came an empty cell"),
        (b"a X\nb\0 Y\n", "binary data"),
        (b"a X\n\xe9 Y\n", r"a\.conll:2: expected UTF-8"),
    ],
)
def test_files_that_are_refused(file, text, message):
    with pytest.raises(InputError, match=message):
        read_sentences(file(text))


def test_conllu_has_ten_columns(file):
    with pytest.raises(InputError, match=r"a\.conllu:1: expected 10 columns, found 2"):
        read_sentences(file("1\tdogs\n", "a.conllu"))


def test_text(file):
    assert read_text(file("dogs  bark\r\n\r\n\tcats\n", "a.txt")) == [["dogs", "bark"], ["cats"]]


def test_text_that_is_refused(file):
    with pytest.raises(InputError, match="empty file"):
        read_text(file("\n\n", "a.txt"))
    with pytest.raises(InputError, match=r"came columns \(2 words in every line.* rename the file to \.conll"):
        read_text(file("dogs NN\nbark VB\n\n" * 6, "a.txt"))


@pytest.mark.parametrize("text", ["dogs bark\n" * 12, "dogs\n\n" * 12, "dogs bark\n\n" * 9, "a b\n\nc d e\n" * 6])
def test_regular_text_is_not_taken_for_columns(file, text):
    assert sum(map(len, read_text(file(text, "a.txt")))) == len(text.split())


def test_what_is_written_can_be_read(file):
    tokens, tags = [["dogs", "#"], ["cats"]], [["X", "Y"], ["X"]]
    assert read_sentences(file(to_conll(tokens, tags))) == (tokens, tags)
