"""Reading: every format and encoding gives the same rows, and nothing is lost without a word."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.base.errors import InvalidData
from agents.data.columns import find_columns
from agents.data.files import Broken, RawRecord, Reading, open_rows
from tests.conftest import REPOSITORY

DATA_PAGE = (REPOSITORY / "docs" / "data.md").read_text(encoding="utf-8")
WriteFile = Callable[..., Path]
ROWS = [
    {"text": "Free entry; text WIN, now", "label": "spam"},
    {"text": 'She said "hi", then left — €5', "label": "ham"},
    {"text": "line one\nline two", "label": "ham"},
]


def as_table(delimiter: str = ",", header: bool = True, rows: list[dict[str, str]] = ROWS) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter)
    if header:
        writer.writerow(["label", "text"])
    writer.writerows([row["label"], row["text"]] for row in rows)
    return out.getvalue()


def as_lines() -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)


def as_parquet() -> bytes:
    import pyarrow
    import pyarrow.parquet

    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), out)
    return out.getvalue()


def read(path: Path, **options: Any) -> tuple[Reading, list[dict[str, Any]], list[Broken]]:
    reading = open_rows(path, options.get("form"), options.get("encoding"), options.get("wanted", set()))
    items = list(reading.records)
    good = [item.values for item in items if isinstance(item, RawRecord)]
    return reading, good, [item for item in items if isinstance(item, Broken)]


FORMATS: dict[str, tuple[str, bytes]] = {
    "rows.jsonl": ("jsonl", as_lines().encode()),
    "lines.json": ("jsonl", as_lines().encode()),
    "list.json": ("json", json.dumps(ROWS, indent=1).encode()),
    "inside.json": ("json", json.dumps({"version": 1, "data": ROWS}).encode()),
    "columns.json": ("json", json.dumps({key: [row[key] for row in ROWS] for key in ("text", "label")}).encode()),
    "comma.csv": ("csv", as_table().encode()),
    "semicolon.csv": ("csv", as_table(";").encode()),
    "pipe.csv": ("csv", as_table("|").encode()),
    "rows.parquet": ("parquet", as_parquet()),
    "no_suffix": ("jsonl", as_lines().encode()),
    "table_without_suffix": ("csv", as_table().encode()),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_plain_or_packed_gives_the_same_rows(rows_file: WriteFile, name: str, packed: bool) -> None:
    form, content = FORMATS[name]
    path = rows_file(gzip.compress(content) if packed else content, f"{name}.gz" if packed else name)
    reading, good, broken = read(path)
    assert (reading.format, good, broken) == (form, ROWS, [])


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_every_encoding_is_found_by_what_is_in_the_file(rows_file: WriteFile, codec: str) -> None:
    reading, good, _ = read(rows_file(as_table().encode(codec), "rows.csv"))
    assert (reading.encoding, good) == (codec, ROWS)


def test_a_few_damaged_bytes_leave_utf8_as_it_is_and_show_as_replacement(rows_file: WriteFile) -> None:
    content = "text,label\nzażółć gęślą jaźń,pos\n".encode() + b"caf\xff,neg\n"
    reading, good, _ = read(rows_file(content, "rows.csv"))
    assert reading.encoding == "utf-8 with damaged bytes"
    assert [row["text"] for row in good] == ["zażółć gęślą jaźń", "caf\ufffd"]


def test_quotes_in_tsv_are_characters_and_a_bare_table_keeps_its_first_row(rows_file: WriteFile) -> None:
    lines = ['ham\t"Yes, he said', "spam\tWIN £100 now", 'ham\tok" lar', 'ham\t""', "spam\tfree\u2028entry"]
    reading, good, broken = read(rows_file("\r\n".join(lines) + "\r\n", "SMSSpamCollection"))
    assert (reading.format, reading.has_header, broken) == ("tsv", False, [])
    assert [f"{row['column_1']}\t{row['column_2']}" for row in good] == lines
    columns = find_columns("'x'", good, None, None, has_header=False)
    assert (columns.text, columns.label) == ("column_2", "column_1")


def test_a_spreadsheets_empty_columns_are_no_columns(rows_file: WriteFile) -> None:
    content = "v1,v2,,,\nham,Ok £5,,,\nspam,Win,,,\n".encode("cp1252")
    reading, good, broken = read(rows_file(content, "spam.csv"))
    assert (reading.encoding, broken) == ("cp1252", [])
    assert good == [{"v1": "ham", "v2": "Ok £5"}, {"v1": "spam", "v2": "Win"}]
    columns = find_columns("'spam.csv'", good, None, None, has_header=True)
    assert (columns.text, columns.label) == ("v2", "v1")


def test_row_numbers_are_the_lines_that_rows_start_in(rows_file: WriteFile) -> None:
    reading = open_rows(rows_file(as_table(rows=[*ROWS, ROWS[0]]), "rows.csv"), None, None, set())
    assert [item.row for item in reading.records] == [2, 3, 4, 6]


def test_more_cells_than_columns_break_a_row_unless_they_are_empty(rows_file: WriteFile) -> None:
    _, good, broken = read(rows_file("text,label\na,x,,\nb,y,z\nc,x\nd,y\n", "rows.csv"))
    assert [row["text"] for row in good] == ["a", "c", "d"]
    assert [(one.row, one.reason) for one in broken] == [(3, "too_many_cells")]


def test_halves_of_characters_in_json_escapes_do_not_break_the_rows(rows_file: WriteFile) -> None:
    from agents.data.files.records import as_text

    _, good, _ = read(rows_file('{"text": "\\ud83d\\ude00 \\ud83d", "label": "a"}\n'))
    assert as_text(good[0]["text"]) == "😀 \ufffd"


def test_class_labels_in_parquet_come_out_as_names(rows_file: WriteFile) -> None:
    import pyarrow
    import pyarrow.parquet

    features = {"info": {"features": {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}}}
    table = pyarrow.table({"text": ["a", "b"], "label": [1, 0]})
    out = io.BytesIO()
    pyarrow.parquet.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), out)
    _, good, _ = read(rows_file(out.getvalue(), "train.parquet"))
    assert [row["label"] for row in good] == ["pos", "neg"]


LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 13085339\n"
BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty.jsonl": (b"", "'empty.jsonl' is empty."),
    "empty.csv.gz": (gzip.compress(b""), "'empty.csv.gz' is empty."),
    "blank.csv": (b"\n \n\n", "'blank.csv' holds nothing but blank lines."),
    "sheet.csv": (b"PK\x03\x04rest", "'sheet.csv' is a damaged spreadsheet:"),
    "pointer.csv": (LFS_POINTER, "'pointer.csv' is a Git LFS pointer, not the file itself."),
    "annex.jsonl": (
        b"/annex/objects/SHA256E-s9--ab.jsonl\n",
        "'annex.jsonl' is a git-annex pointer, not the file itself.",
    ),
    "login.csv": (b"<!DOCTYPE html>\n<html><body>Log in</body></html>\n", "'login.csv' is a web page"),
    "pickled.parquet": (b"\x80\x04\x95\x00\x00", "'pickled.parquet' is a Python pickle, which may run code"),
    "packed.csv": (b"7z\xbc\xaf\x27\x1c\x00", "'packed.csv' is a 7z archive, not a file of rows."),
    "table.db": (b"SQLite format 3\x00", "'table.db' is an SQLite database, not a file of rows."),
    "wrong.arrow": (b"text,label\na,b\n", "'wrong.arrow' is not an Arrow file: it doesn't start as one."),
    "several.json": (b'{"good": [{"text": "a"}], "bad": [{"text": "b"}]}', "'several.json' holds several lists"),
    "aliases.yaml": (b"a: &a [x]\nb: [*a, *a]\n", "'aliases.yaml' uses aliases"),
    "spans.jsonl": (
        b'{"text": "a", "annotations": [{"label": 1, "start_offset": 0}]}\n',
        "'spans.jsonl' is a doccano export with labels of parts of a text",
    ),
    "picture.jsonl": (b"\x89PNG\r\n\x1a\n\x00", "'picture.jsonl' is an image, not a file of rows."),
    "program.txt": (b"\x7fELF\x02\x01\x01\x00\x00\x00\x01", "'program.txt' is binary: line 1 holds a zero byte."),
    "wrong.parquet": (b"text,label\na,b\n", "'wrong.parquet' is not a Parquet file: it doesn't start with PAR1."),
    "cut.parquet": (as_parquet()[:-9], "The Parquet file 'cut.parquet' is damaged:"),
    "cut.csv.gz": (gzip.compress(as_table().encode() * 9)[:-12], "The gzip file 'cut.csv.gz' is damaged or cut off."),
    "odd.csv": (b"text,label\nok,x\n\x81\x8d,y\n", "'odd.csv' is not UTF-8, and its encoding can't be told for sure: "),
    "open.csv": (
        b'text,label\n"a, b",x\n"never closed,x\nb,y\n',
        "'open.csv', line 3: a quote is opened and never closed.",
    ),
    "comma.json": (b'[\n {"text": "a"},\n]\n', "'comma.json', line 3, column 1: Expecting value."),
    "number.json": (b"[1", "'number.json', line 1, column 3: Expecting ',' delimiter."),
    "document.json": (b'[{"text": "a", "text": "b", "label": "x"}]', "'document.json' can't be read as JSON: the key"),
    "long.jsonl": (b'{"text": "' + b"x" * (10 << 20) + b'", "label": "x"}\n', "'long.jsonl', line 1 is longer than"),
    "long.csv": (b"text,label\na,x\n" + b"x," * (5 << 20) + b"\n", "'long.csv', line 3 is longer than 10 million"),
    "settings.json": (b'{\n "a": 1\n}', "'settings.json' holds an object without a list of rows."),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_with_its_place_and_a_cure_as_the_docs_say(rows_file: WriteFile, name: str) -> None:
    content, message = BAD_FILES[name]
    with pytest.raises(InvalidData) as raised:
        read(rows_file(content, name))
    assert raised.value.message.startswith(message)
    assert raised.value.cure
    assert f"| `{name}` " in DATA_PAGE
    assert str(raised.value) in DATA_PAGE


@pytest.mark.parametrize(
    ("encoding", "message"),
    [("utf-9", "'utf-9' is not an encoding"), ("hex", "'hex' is not an encoding"), ("ascii", "line 3: byte 0x")],
)
def test_an_encoding_that_does_not_fit_is_refused(rows_file: WriteFile, encoding: str, message: str) -> None:
    with pytest.raises(InvalidData, match=message):
        read(rows_file(as_table(), "rows.csv"), encoding=encoding)


def test_a_column_that_is_absent_is_refused_with_those_present() -> None:
    with pytest.raises(InvalidData, match=r"has no column 'txt'; it has: 'text', 'label'\. Did you mean 'text'\?"):
        find_columns("'x.csv'", [{"text": "a", "label": "b"}], "txt", None, has_header=True)
    with pytest.raises(InvalidData, match="no column that is known to be the text; it has: 'a', 'b', 'c'"):
        find_columns("'x.csv'", [{"a": "1", "b": "2", "c": "3"}], None, None, has_header=True)


@pytest.mark.parametrize(
    ("columns", "text", "label"),
    [
        (["id", "Message", "Category"], "Message", "Category"),
        (["sentence", "idx", "sentiment"], "sentence", "sentiment"),
        (["review", "grade"], "review", "grade"),
        (["what", "target"], "what", "target"),
        (["input", "output"], "input", "output"),
    ],
)
def test_text_and_label_are_found_by_their_names(columns: list[str], text: str, label: str) -> None:
    found = find_columns("'x'", [dict.fromkeys(columns, "a")], None, None, has_header=True)
    assert (found.text, found.label) == (text, label)


@pytest.mark.parametrize("name", ["wide.csv", "wide.tsv", "wide.csv.gz"])
def test_a_header_that_is_longer_than_the_sample_is_not_cut(tmp_path: Path, name: str) -> None:
    delimiter = "\t" if ".tsv" in name else ","
    columns = [f"column{number:05}" for number in range(8000)]
    lines = [delimiter.join([*columns, "text", "label"]), delimiter.join("x" for _ in range(8002))]
    content = "\n".join(lines).encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)

    assert list(read(path)[1][0]) == [*columns, "text", "label"]


def test_a_long_first_line_of_json_lines_is_read(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps({"text": "x" * 100_000, "label": "a"}) + "\n")

    assert read(path)[1] == [{"text": "x" * 100_000, "label": "a"}]
