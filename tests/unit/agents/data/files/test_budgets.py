"""Budgets of readers: what would become too much is refused by a sentence with the figure, and its cure cures."""

import gzip
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.base.confined import Limits, confined
from agents.base.errors import InvalidData
from agents.base.row_budget import RowBudget
from agents.data.files import Broken, RawRecord, open_rows
from agents.data.files.encoding import NO_ENCODINGS, is_encoding
from agents.data.files.folders import row_files
from agents.data.files.headers import column_names
from agents.data.files.records import depth_of
from agents.data.reader import RowsReader
from agents.data.types import ReaderConfig
from agents.preprocessing.preview import _Quiet
from tests.support.bombs import count_findings

WriteFile = Callable[..., Path]
LINE = json.dumps({"text": "a", "label": "x"}) + "\n"
SMALL = RowBudget(unpacked_floor_mib=1, unpacked_ratio=10)
#: So little that a bomb of some megabytes is one.
TIGHT = RowBudget(memory_mib=32)
#: 128 MiB for some rows of Parquet.
NARROW = RowBudget(memory_mib=256)


def records(path: Path, budget: RowBudget | None = None, **options: Any) -> list[RawRecord | Broken]:
    return list(open_rows(path, options.get("form"), options.get("encoding"), set(), budget).records)


def rows(path: Path, budget: RowBudget | None = None, **options: Any) -> RowsReader:
    reader = RowsReader(ReaderConfig(source="x", **options), _Quiet(), row_files(path), budget)
    for _ in reader.rows():
        pass
    return reader


def refusal(read: Callable[[], object], otherwise: str) -> str:
    """Return the sentence by which a file is refused, and `otherwise` where it is read; nothing else may be raised."""
    with suppress_refusal() as said:
        read()
        said.append(otherwise)
    return said[0]


@contextmanager
def suppress_refusal() -> Iterator[list[str]]:
    said: list[str] = []
    try:
        yield said
    except InvalidData as fault:
        said.append(str(fault))


def as_parquet(table: pyarrow.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    pyarrow.parquet.write_table(table, out, **options)
    return out.getvalue()


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.json.gz", "rows.csv.gz", "rows.tsv.gz", "rows.txt", "rows"])
def test_a_gzip_file_that_becomes_much_more_is_refused_and_the_cures_cure(rows_file: WriteFile, name: str) -> None:
    content = {"json": json.dumps([json.loads(LINE)] * 60_000), "csv": "text,label\n" + "a,x\n" * 300_000}
    content["tsv"] = content["csv"].replace(",", "\t")
    text = next((made for kind, made in content.items() if f".{kind}." in name), LINE * 60_000)
    packed = gzip.compress(text.encode())
    with pytest.raises(InvalidData, match=rf"'{name}' of {len(packed):,} bytes unpacks to more than .* 10 times"):
        records(rows_file(packed, name), SMALL)
    assert len(records(rows_file(packed, name), RowBudget(unpacked_floor_mib=1, unpacked_ratio=1000))) >= 60_000
    assert len(records(rows_file(text, name.removesuffix(".gz")), SMALL)) >= 60_000


def test_a_packed_parquet_file_is_bounded_as_any_other(rows_file: WriteFile) -> None:
    table = pyarrow.table({"text": ["a" * 1000] * 4000, "label": ["x", "y"] * 2000})
    packed = gzip.compress(as_parquet(table, compression="none", use_dictionary=False))
    with pytest.raises(InvalidData, match="unpacks to more than"):
        records(rows_file(packed, "rows.parquet.gz"), SMALL)


def big_cell() -> pyarrow.Table:
    return pyarrow.table({"text": ["a" * (1 << 20)] * 160, "label": ["x", "y"] * 80})


def big_lists() -> pyarrow.Table:
    text = pyarrow.array(["a" * (1 << 20)])
    indices = pyarrow.array([0] * 200, pyarrow.int32())
    turns = pyarrow.DictionaryArray.from_arrays(indices, text).dictionary_decode()
    return pyarrow.table({"messages": pyarrow.ListArray.from_arrays(pyarrow.array([0, 200]), turns)})


def empty_lists() -> pyarrow.Table:
    return pyarrow.table({"text": ["a"], "label": ["b"], "flags": [[False] * 6_000_000]})


def runs() -> pyarrow.Table:
    cell = pyarrow.array(["a" * (1 << 20)])
    column = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 160, pyarrow.int32()), cell)
    return pyarrow.table({"text": column, "label": ["x", "y"] * 80})


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (big_cell, "needs more than 128 MiB of memory"),
        (big_lists, "needs more than 128 MiB of memory"),
        (runs, "needs more than 128 MiB of memory"),
        (empty_lists, r"1 rows with \d,\d+,\d+ values in their lists"),
    ],
)
def test_rows_of_parquet_that_need_much_memory_are_refused(
    rows_file: WriteFile, table: Callable[[], pyarrow.Table], said: str
) -> None:
    path = rows_file(as_parquet(table(), compression="zstd"), "rows.parquet")
    assert path.stat().st_size < 1 << 20
    with pytest.raises(InvalidData, match=f"'rows.parquet' (has )?{said}.*use_dictionary=False"):
        records(path, NARROW)


def test_the_cure_for_parquet_cures(rows_file: WriteFile) -> None:
    path = rows_file(as_parquet(big_cell(), use_dictionary=False, row_group_size=10), "rows.parquet")
    assert len(records(path, NARROW)) == 160


def test_what_rows_of_a_small_file_become_is_bounded(rows_file: WriteFile) -> None:
    path = rows_file(as_parquet(big_cell(), compression="zstd"), "rows.parquet")
    with pytest.raises(InvalidData, match=r"up to row \d+: the rows take more than [\d,]+ bytes, over 200 times"):
        rows(path)
    assert rows(path, RowBudget(unpacked_floor_mib=200)).columns is not None


@pytest.mark.parametrize("document", ["[" + "[]," * 500_000 + "[]]", "[" + "{}," * 200_000 + "{}]"])
def test_a_json_document_that_needs_much_memory_is_refused(rows_file: WriteFile, document: str) -> None:
    path = rows_file(document, "rows.json")
    with pytest.raises(InvalidData, match=r"'rows\.json' needs more than 32 MiB of memory as one JSON document"):
        records(path, TIGHT)
    assert len(records(path)) > 200_000
    lines = rows_file(document.strip("[]").replace("},", "}\n"), "rows.jsonl")
    assert records(lines, TIGHT)


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        ("," * 130_000 + "\n1\n", "rows.csv", "has 130,001 columns; at most 10,000 are read"),
        ("a\t" * 20_000 + "\n1\n", "rows.tsv", "has 20,001 columns"),
        ("a;" * 20_000 + "\n1\n", "rows.csv", "has 20,001 columns"),
        (f"text,label,{'n' * 1001}\na,b,c\n", "rows.csv", r"column 3 has a name of 1,001 characters: 'n{60}…'"),
        (f"text,label,{','.join('n' * 900 for _ in range(1200))}\na\n", "rows.csv", "line 1 is longer than 1,048,576"),
        (f'"{"long " * 300_000}",a\n', "rows.csv", "line 1 is longer than 1,048,576 characters"),
    ],
)
def test_headers_are_bounded(rows_file: WriteFile, content: str, name: str, said: str) -> None:
    with pytest.raises(InvalidData, match=said):
        records(rows_file(content, name))


def test_a_long_first_row_is_read_once_there_are_names(rows_file: WriteFile) -> None:
    content = f'text,label\n"{"long " * 300_000}",a\n'
    assert len(records(rows_file(content, "rows.csv"))) == 1


def test_a_header_of_many_names_is_read_whole(rows_file: WriteFile) -> None:
    names = [f"a_column_with_a_long_name_{number}" for number in range(4000)]
    content = f"{','.join(names)}\n{','.join('x' for _ in names)}\n"
    assert len(content) > 100_000
    (found,) = records(rows_file(content, "rows.csv"))
    assert isinstance(found, RawRecord)
    assert list(found.values) == names


def test_blank_lines_before_the_first_row_are_passed_over(rows_file: WriteFile) -> None:
    assert len(records(rows_file("\n" * 100_000 + LINE))) == 1


@given(st.lists(st.sampled_from(["a", "a_2", "a_3", "", "b", "column_1", "a_2_3"]), max_size=12))
def test_columns_have_names_of_their_own(header: list[str]) -> None:
    names = column_names(header)
    assert len(set(names)) == len(names) == len(header)


def test_many_equal_names_are_no_long_work(rows_file: WriteFile) -> None:
    content = ",".join(["a"] * 10_000) + "\n" + ",".join(["x"] * 10_000) + "\n"
    (found,) = records(rows_file(content, "rows.csv"))
    assert isinstance(found, RawRecord)
    assert len(found.values) == 10_000


def test_an_object_of_many_keys_is_left_out_and_counted(rows_file: WriteFile) -> None:
    wide = json.dumps({f"key{number}": 1 for number in range(10_001)}) + "\n"
    found = records(rows_file(LINE * 2 + wide))
    assert [one.reason for one in found if isinstance(one, Broken)] == ["too_many_columns"]


@pytest.mark.parametrize("opened", ["[", '{"a":', '[{"a":'])
@pytest.mark.parametrize("column", ["other", "text", "label"])
def test_cells_that_are_deep_are_left_out_and_counted(rows_file: WriteFile, opened: str, column: str) -> None:
    closed = opened.replace('"a":', "").translate(str.maketrans("[{", "]}"))[::-1]
    deep = "".join([opened * 150, "1", closed * 150])
    cells = {"text": '"a"', "label": '"y"', "other": "1", column: deep}
    line = "{" + ", ".join(f'"{name}": {value}' for name, value in cells.items()) + "}\n"
    path = rows_file(LINE * 3 + line)
    assert rows(path).dropped.total() == 1


@pytest.mark.parametrize("depth", [90, 150, 400, 900, 990, 5_000, 100_000])
def test_no_depth_breaks_a_reader(rows_file: WriteFile, depth: int) -> None:
    line = '{"text": "a", "label": "b", "messages": ' + "[" * depth + "]" * depth + "}\n"
    for name in ("rows.jsonl", "rows.json"):
        path = rows_file(LINE * 200 + line, name)
        assert name in refusal(lambda path=path: rows(path, shape="text_label"), otherwise=name)


@given(st.recursive(st.text(alphabet='[]{}"\\a'), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_depth_counts_what_lies_inside_each_other_and_no_text(value: Any) -> None:
    def deep(value: Any) -> int:
        below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if below is None else 1 + max(map(deep, below), default=0)

    assert depth_of(json.dumps(value)) == deep(value)


@pytest.mark.parametrize(
    "name",
    [
        *sorted(NO_ENCODINGS),
        "hex",
        "base64",
        "zip",
        "rot13",
        "u\0tf-8",
        " ",
        "utf-8\n",
        "x" * 6000,
        "../utf-8",
        "é",
    ],
)
def test_what_is_no_encoding_of_text_is_refused(rows_file: WriteFile, name: str) -> None:
    with pytest.raises(InvalidData, match=r"is not an encoding of text\. Write utf-8"):
        records(rows_file(LINE), encoding=name)


@pytest.mark.parametrize("name", ["utf-8", "UTF8", "latin-1", "latin1", "iso-8859-15", "cp1252", "windows-1252", "gbk"])
def test_encodings_of_text_are_taken_by_all_their_names(rows_file: WriteFile, name: str) -> None:
    assert is_encoding(name)
    assert len(records(rows_file(LINE), encoding=name)) == 1


@settings(max_examples=200)
@given(
    content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode),
    encoding=st.sampled_from([None, "utf-16", "utf-7", "utf-32", "big5", "iso2022_jp", "cp037", "hz"]) | st.text(),
    form=st.sampled_from([None, "csv", "tsv", "json", "jsonl", "text", "parquet"]),
)
def test_no_bytes_break_a_reader(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, encoding: str | None, form: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    path.write_bytes(content)
    said = refusal(lambda: rows(path, format=form, encoding=encoding), otherwise="'fuzzed'")
    assert "'fuzzed'" in said or "is not an encoding" in said


@settings(max_examples=40)
@given(st.data())
def test_no_damage_to_a_parquet_file_breaks_its_reader(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    table = pyarrow.table({"text": ["a", "b"], "label": ["x", "y"]})
    named = {"huggingface": data.draw(st.text(max_size=20) | st.sampled_from(['{"info": null}', "[]", '{"info": 1}']))}
    content = bytearray(as_parquet(table.replace_schema_metadata(named)))
    for place in data.draw(st.lists(st.integers(4, len(content) - 1), max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "fuzzed.parquet"
    path.write_bytes(content)
    said = refusal(
        lambda: records(path),
        otherwise="fuzzed.parquet",
    )
    assert "fuzzed.parquet" in said


@pytest.mark.parametrize(
    ("piece", "count"),
    [
        ("me@example.org ", 40_000),
        ("192.168.1.1 ", 40_000),
        ("+49 170 1234567, ", 40_000),
        ("4111 1111 1111 1111 ; ", 40_000),
        ("GB82 WEST 1234 5698 7654 32; ", 20_000),
    ],
)
def test_personal_data_is_found_in_long_cells_in_linear_time(piece: str, count: int) -> None:
    limits = Limits(memory_mib=1024, cpu_s=60, wall_s=300)
    assert confined(count_findings, {"piece": piece, "count": count}, limits, subject="It") >= count


@pytest.mark.parametrize("piece", ["a.", "a@", "a-", "%", "1.", "1 ", "0", "a:", "::", "+", "(", "AB12", "a@b.", "@a."])
def test_texts_that_nearly_are_personal_data_are_no_long_work(piece: str) -> None:
    limits = Limits(memory_mib=1024, cpu_s=60, wall_s=300)
    assert confined(count_findings, {"piece": piece, "count": 500_000}, limits, subject="It") >= 0


def test_a_name_that_is_nearly_a_column_is_guessed_without_long_work(rows_file: WriteFile) -> None:
    wide = "".join(json.dumps({"text": "a", "label": "b", "n" * 900: 1}) + "\n" for _ in range(3))
    for wanted in ("t" * 200_000, "texts"):
        with pytest.raises(InvalidData, match=r"has no column 'te?x?t") as found:
            rows(rows_file(wide), text_column=wanted, label_column="label")
        assert len(str(found.value)) < 500
