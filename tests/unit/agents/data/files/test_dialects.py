"""Tables as programs write them: any dialect gives the rows that were written, and quotes swallow none."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.base.errors import InvalidData
from agents.data.files import Broken, RawRecord, open_rows

WriteFile = Callable[..., Path]
Rows = list[list[str]]
#: What csv.writer can write and a reader can tell by itself.
DIALECTS: dict[str, dict[str, Any]] = {
    "excel": {"delimiter": ","},
    "semicolons": {"delimiter": ";"},
    "all quoted": {"delimiter": ",", "quoting": csv.QUOTE_ALL},
    "tabs": {"delimiter": "\t"},
    "tabs, all quoted": {"delimiter": "\t", "quoting": csv.QUOTE_ALL},
    "pipes": {"delimiter": "|"},
    "apostrophes": {"delimiter": ",", "quotechar": "'", "quoting": csv.QUOTE_ALL},
    "backslashes": {"delimiter": ",", "doublequote": False, "escapechar": "\\", "quoting": csv.QUOTE_ALL},
    "backslashes where needed": {"delimiter": ";", "doublequote": False, "escapechar": "\\"},
    "tabs and backslashes": {"delimiter": "\t", "doublequote": False, "escapechar": "\\"},
    "tabs and apostrophes": {"delimiter": "\t", "quotechar": "'", "quoting": csv.QUOTE_ALL},
    "CRLF": {"delimiter": ",", "lineterminator": "\r\n"},
    "CR": {"delimiter": ",", "lineterminator": "\r"},
}
WORDS = st.sampled_from(
    [
        "lamp",
        "arrived",
        "late,",
        "again;",
        "said",
        '"never',
        'again"',
        '"',
        "5\u20ac",
        "1,50",
        "it's",
        "a|b",
        "C:\\new",
        "\u597d",
    ]
)
TEXT = st.lists(WORDS, min_size=2, max_size=7).map(" ".join)
LINES = st.lists(TEXT, min_size=1, max_size=3).map("\n".join)
LABELS = ["bad", "good", "no idea"]


def read(path: Path, form: Any = None) -> tuple[Any, Rows, list[Broken]]:
    reading = open_rows(path, form, None, set())
    items = list(reading.records)
    good = [list(item.values.values()) for item in items if isinstance(item, RawRecord)]
    return reading, good, [item for item in items if isinstance(item, Broken)]


def written(rows: Rows, dialect: dict[str, Any]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, **{"lineterminator": "\n", **dialect}).writerows(rows)
    return out.getvalue().encode()


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(texts=st.lists(LINES, min_size=6, max_size=12))
def test_a_table_in_any_dialect_gives_the_rows_that_were_written(
    name: str, rows_file: WriteFile, texts: list[str]
) -> None:
    dialect = DIALECTS[name]
    if dialect.get("lineterminator") == "\r":
        texts = [text.replace("\n", " ") for text in texts]
    rows = [[text, LABELS[number % 3], str(number)] for number, text in enumerate(texts)]
    _, found, broken = read(rows_file(written([["text", "label", "n"], *rows], dialect), "rows.csv"))
    assert (found, broken) == (rows, [])


SAID = 'He said "hi", then left'
TABLES: dict[str, tuple[str, str, Rows]] = {
    "pandas.tsv": (
        'text\tlabel\nA lovely lamp\tgood\n"First line\nand a second"\tbad\n"He said ""never again"""\tbad\n',
        "tsv",
        [["A lovely lamp", "good"], ["First line\nand a second", "bad"], ['He said "never again"', "bad"]],
    ),
    "uci.tsv": (
        'ham\t"Yes, he said\nspam\tok bye"\nham\t"Hello"\nspam\tnow\n',
        "tsv",
        [["ham", '"Yes, he said'], ["spam", 'ok bye"'], ["ham", '"Hello"'], ["spam", "now"]],
    ),
    "spark.csv": (
        'text,label\n"He said \\"hi\\", then left",a\nplain,b\nC:\\new,a\n',
        "csv",
        [[SAID, "a"], ["plain", "b"], ["C:\\new", "a"]],
    ),
    "excel_sep.csv": ("sep=;\ntext;label\na, 1;x\nb, 2;y\n", "csv", [["a, 1", "x"], ["b, 2", "y"]]),
    "sep_tab.csv": ("sep=\t\ntext\tlabel\na, 1\tx\nb, 2\ty\n", "csv", [["a, 1", "x"], ["b, 2", "y"]]),
    "decimal.csv": ("text;price;label\na;1,50;x\nb;2,75;y\n", "csv", [["a", "1,50", "x"], ["b", "2,75", "y"]]),
    "bare_decimal.csv": (
        "so good;1,50;x\nso bad;2,75;y\nso so;3,1;x\n",
        "csv",
        [["so good", "1,50", "x"], ["so bad", "2,75", "y"], ["so so", "3,1", "x"]],
    ),
    "comment.csv": ("# exported 2024-01-01\n# by us\ntext,label\na,x\nb,y\n", "csv", [["a", "x"], ["b", "y"]]),
    "trailing.csv": ("text,label,\na,x,\nb,y,\n", "csv", [["a", "x"], ["b", "y"]]),
    "blank_after.csv": (
        'label, text\na, "one, two"\nb, "three, four"\n',
        "csv",
        [["a", "one, two"], ["b", "three, four"]],
    ),
    "apostrophes.csv": (
        "text,label\n'one, two','a'\n'it is','b'\n'four, five','a'\n",
        "csv",
        [["one, two", "a"], ["it is", "b"], ["four, five", "a"]],
    ),
    "inch.csv": (
        'text,label\n5" pipe,good\n"Hi" he said,bad\n7" of it,bad\n',
        "csv",
        [['5" pipe', "good"], ['"Hi" he said', "bad"], ['7" of it', "bad"]],
    ),
    "opened.csv": (
        'text,label\n"Hi\nok,ham\nwell,spam\nno "x" y,ham\nfine,ham\n'.replace('"Hi\n', '"Hi,spam\n'),
        "csv",
        [['"Hi', "spam"], ["ok", "ham"], ["well", "spam"], ['no "x" y', "ham"], ["fine", "ham"]],
    ),
    "mysql.csv": (
        "text,label\none\\, two,a\nthree,b\nfour\\, five,a\n",
        "csv",
        [["one, two", "a"], ["three", "b"], ["four, five", "a"]],
    ),
    "old_mac.tsv": ("text\tlabel\rone two\ta\rthree\tb\r", "tsv", [["one two", "a"], ["three", "b"]]),
    "pandas_numbers.csv": (",0,1\n0,so good,x\n1,so bad,y\n", "csv", [["0", "so good", "x"], ["1", "so bad", "y"]]),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_read_as_it_was_meant(rows_file: WriteFile, name: str) -> None:
    content, form, rows = TABLES[name]
    reading, found, broken = read(rows_file(content.encode(), name))
    assert (found, broken, reading.format) == (rows, [], form)


def test_a_header_that_comes_again_is_counted_and_an_index_has_a_name(rows_file: WriteFile) -> None:
    reading, found, _ = read(rows_file(b",text,label\n0,so good,a\n1,so bad,b\n,text,label\n0,so so,a\n", "rows.csv"))
    assert found == [["0", "so good", "a"], ["1", "so bad", "b"], [], ["0", "so so", "a"]]
    first = next(open_rows(reading.source.path, None, None, set()).records)
    assert isinstance(first, RawRecord)
    assert list(first.values) == ["index", "text", "label"]


def test_a_stray_quote_breaks_its_own_line_alone(rows_file: WriteFile) -> None:
    enclosed = 'text,label\n"one, two",ham\n"three, four",spam\n'
    content = enclosed + '"Hi, ham\nok,ham\nwell,spam\nno,"x"y\n"five, six",ham\n'
    _, found, broken = read(rows_file(content.encode(), "rows.csv"))
    assert [(one.row, one.reason, one.line_count) for one in broken] == [(4, "bad_quotes", 1)]
    assert [cells[0] for cells in found] == ["one, two", "three, four", "ok", "well", "no", "five, six"]


HEADERS: dict[str, tuple[str, bool]] = {
    "spam\tWin a prize now\nspam\tWin again\nham\tsee you\n": (False),
    "class,great teacher\nclass,lecture was good\nfood,pizza was good\n": False,
    "type,it is loud\nbrand,it is new\ntype,it is old\n": False,
    "y,it is loud\nn,it is new\ny,it is old\n": False,
    "spam,text\n1,it is loud\n0,it is new\n": True,
    "text,label\na,b\ntext,label\nc,d\n": True,
    "label,said\nlabel,it is old\nbrand,it is new\n": False,
    "timestamp,How was it?\n2024-01-02,so good\n2024-01-03,so bad\n": True,
    "what,kind\nit is loud,a\nit is new,b\n": True,
    "It broke on the first day.,bad\nIt works as it should,good\n": False,
    "\U0001f600,it is loud\n\U0001f622,it is new\n\U0001f600,it is old\n": False,
}  # fmt: skip


@pytest.mark.parametrize("content", HEADERS)
def test_a_first_row_whose_cells_come_again_is_a_row(rows_file: WriteFile, content: str) -> None:
    reading, _, _ = read(rows_file(content.encode(), "rows.tsv" if "\t" in content else "rows.csv"))
    assert reading.has_header is HEADERS[content]


MARKED: dict[str, list[dict[str, Any]]] = {
    "i love this lamp;joy\ni fear the dark;fear\ni love this; chair;joy\n": [
        {"text": "i love this lamp", "label": "joy"},
        {"text": "i fear the dark", "label": "fear"},
        {"text": "i love this; chair", "label": "joy"},
    ],
    "Profit rose by 5 %, they said .@positive\nNothing changed@home.@neutral\nIt fell .@neutral\n": [
        {"text": "Profit rose by 5 %, they said .", "label": "positive"},
        {"text": "Nothing changed@home.", "label": "neutral"},
        {"text": "It fell .", "label": "neutral"},
    ],
    "1 a good film\n0 so bad\n1 the best of all\n": [
        {"text": "a good film", "label": "1"},
        {"text": "so bad", "label": "0"},
        {"text": "the best of all", "label": "1"},
    ],
    "__label__lamp __label__broken It broke\n__label__chair Lovely\n": [
        {"text": "It broke", "labels": ["lamp", "broken"]},
        {"text": "Lovely", "labels": ["chair"]},
    ],
    "It broke __label__bad\nLovely __label__good\n": [
        {"text": "It broke", "label": "bad"},
        {"text": "Lovely", "label": "good"},
    ],
    "One line, and more\nAnother line\nAnd a third; with more\n": [
        {"text": "One line, and more"},
        {"text": "Another line"},
        {"text": "And a third; with more"},
    ],
}


@pytest.mark.parametrize("content", MARKED)
def test_lines_hold_their_labels_behind_a_mark(rows_file: WriteFile, content: str) -> None:
    reading = open_rows(rows_file(content.encode(), "rows.txt"), None, None, set())
    assert [record.values for record in reading.records] == MARKED[content]
    assert reading.format == "text"


def test_lines_of_one_delimiter_are_a_table_and_plain_lines_where_the_format_is_text(rows_file: WriteFile) -> None:
    path = rows_file(b"i love this lamp;joy\ni fear the dark;fear\ni love this chair;joy\n", "rows.txt")
    reading, found, _ = read(path)
    assert (reading.format, reading.delimiter, found[1]) == ("csv", ";", ["i fear the dark", "fear"])
    assert read(path, "text")[1][0] == ["i love this lamp;joy"]


TAGGED = [
    "Anna\tB-person\nlives\tO\nin\tO\nOslo\tB-place\n\nBob\tB-person\ncooks\tO\n",
    "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\nGerman JJ B-NP B-MISC\ncall NN I-NP O\n",
    "Anna S-PER\nlives O\nin O\nNew B-LOC\nYork E-LOC\n",
    "The DET\ndog NOUN\nsees VERB\na DET\ncat NOUN\n. PUNCT\n",
    "# text = Dogs bark\n" + "".join(f"{n}\tDogs\tdog\tNOUN\tNNS\t_\t2\tnsubj\t_\t_\n" for n in range(1, 6)),
]


@pytest.mark.parametrize("name", ["ner.conll", "rows.txt", "rows.tsv"])
@pytest.mark.parametrize("content", TAGGED)
def test_a_word_and_its_tag_a_line_are_token_labels(rows_file: WriteFile, content: str, name: str) -> None:
    with pytest.raises(InvalidData, match="has token labels: a word and its tag"):
        read(rows_file(content.encode(), name))
