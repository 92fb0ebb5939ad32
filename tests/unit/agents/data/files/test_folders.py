"""Folders, archives, spreadsheets and documents: which parts are rows, of which split, and what is left out."""

import bz2
import gzip
import io
import json
import lzma
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.base.errors import InvalidData
from agents.base.row_budget import RowBudget
from agents.data.files.folders import row_files
from agents.data.files.splits import WORDS, choose, split_of
from agents.data.reader import RowsReader
from agents.dataset.types import DatasetConfig
from tests.fuzz.parsers import Quiet
from tests.support.archives import zip_of
from tests.support.workbooks import workbook

WriteFile = Callable[..., Path]


def csv_of(*texts: str) -> str:
    return "text,label\n" + "".join(f"{text},{'ab'[place % 2]}\n" for place, text in enumerate(texts))


def rows_of(*texts: str) -> list[dict[str, str]]:
    return [{"text": text, "label": "ab"[place % 2]} for place, text in enumerate(texts)]


def read(path: Path, part: str | None = None, **options: Any) -> tuple[dict[str, str | None], RowsReader]:
    """Return text -> split of all rows, and the reader."""
    config = DatasetConfig(source=path.name, part=part, **options)
    reader = RowsReader(config, Quiet(), row_files(path, part=part))
    return {row.text: row.split for row in reader.rows()}, reader


def folder_of(path: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


#: Files of a folder -> the splits of those that are read; the others are left out by name.
FOLDERS: dict[str, tuple[list[str], dict[str, str | None]]] = {
    "capitals": (["Train.csv", "Test.csv"], {"Train.csv": "train", "Test.csv": "test"}),
    "inside_a_word": (["restraints.csv", "lamps.csv"], {"restraints.csv": None, "lamps.csv": None}),
    "checkpoints": ([".ipynb_checkpoints/data-checkpoint.csv", "data.csv"], {"data.csv": None}),
    "fork": (["._data.csv", "data.csv", "__MACOSX/data.csv"], {"data.csv": None}),
    "shards": (
        ["data/train-00000-of-00002.csv", "data/train-00001-of-00002.csv", "data/validation-00000-of-00001.csv"],
        {
            "data/train-00000-of-00002.csv": "train",
            "data/train-00001-of-00002.csv": "train",
            "data/validation-00000-of-00001.csv": "validation",
        },
    ),
    "languages": (
        ["en/train.csv", "de/train.csv", "en/dev.csv"],
        dict.fromkeys(["en/train.csv", "de/train.csv"], "train") | {"en/dev.csv": "validation"},
    ),
    "by_folder": (["Training/a.csv", "HoldOut/b.csv"], {"Training/a.csv": "train", "HoldOut/b.csv": "test"}),
    "camel": (["myTrainData.csv", "myEvalData.csv"], {"myTrainData.csv": "train", "myEvalData.csv": "test"}),
    "pretrained": (["pretrained/a.csv", "contest/b.csv"], {"pretrained/a.csv": None, "contest/b.csv": None}),
    "no_train": (["data.csv", "test.csv"], {"data.csv": "train", "test.csv": "test"}),
    "only_test": (["test_1.csv", "test_2.csv"], {"test_1.csv": None, "test_2.csv": None}),
    "beside_train": (["train.csv", "categories.csv", "README.md"], {"train.csv": "train"}),
    "two_splits": (["train.csv", "train_test.csv"], {"train.csv": "train"}),
    "texts_beside_tables": (["rows.csv", "notes.txt", "LICENSE"], {"rows.csv": None}),
    "years": (["train2023.csv", "held-out.csv"], {"train2023.csv": "train", "held-out.csv": "test"}),
}


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("name", FOLDERS)
def test_files_are_read_by_whole_words_of_their_names_and_the_others_are_told(
    tmp_path: Path, name: str, packed: bool
) -> None:
    names, expected = FOLDERS[name]
    files = {file: csv_of(f"one of {file}", f"two of {file}") for file in names}
    path = tmp_path / name
    if packed:
        path = tmp_path / f"{name}.zip"
        path.write_bytes(zip_of(files))
    else:
        folder_of(path, files)
    found, reader = read(path)
    assert found == {f"{which} of {file}": split for file, split in expected.items() for which in ("one", "two")}
    told = [part.rstrip("/") for part in reader.left_out]
    assert all(file in expected or any(file.startswith(part) for part in told) for file in names)
    assert all(reader.left_out.values())


@given(st.sampled_from(sorted(word for words in WORDS.values() for word in words)), st.text("abcxyz", min_size=1))
def test_a_word_inside_of_a_word_is_no_split(word: str, letters: str) -> None:
    assert split_of(f"data_{word.upper()}.csv") == split_of(f"{word}/x.csv") == split_of(f"x-{word}-00000.csv")
    assert split_of(f"{word}{letters}zz.csv") is None
    assert choose([f"{letters}.csv"]).taken == {f"{letters}.csv": None}


def test_archives_in_a_folder_are_read_as_what_is_in_them(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "train.csv.zip": zip_of({"train.csv": csv_of("a", "b"), "__MACOSX/._train.csv": "x", "more.zip": zip_of({})}),
        "test.csv.zip": zip_of({"test.csv": csv_of("c", "d")}),
        "sample_submission.csv": "id,label\n1,a\n",
    }
    found, reader = read(folder_of(tmp_path / "contest", files))
    assert found == {"a": "train", "b": "train", "c": "test", "d": "test"}
    assert set(reader.left_out) == {"sample_submission.csv", "train.csv.zip/__MACOSX/", "train.csv.zip/more.zip"}


def test_texts_are_read_where_there_are_no_tables(tmp_path: Path) -> None:
    lines = "__label__a one text\n__label__b two texts\n"
    found, reader = read(
        folder_of(tmp_path / "texts", {"train.txt": lines, "test.txt": "__label__a three\n", "README.txt": "x"})
    )
    assert found == {"one text": "train", "two texts": "train", "three": "test"}
    assert list(reader.left_out) == ["README.txt"]


@pytest.mark.parametrize("name", ["split", "Set", "usage"])
def test_a_column_of_splits_says_the_split_of_each_row(rows_file: WriteFile, name: str) -> None:
    lines = [f"{name},text,label", "Train,a,x", "train,b,y", "val,c,x", "PrivateTest,d,y", ",e,x"]
    found, reader = read(rows_file("\n".join(lines) + "\n", "rows.csv"))
    assert found == {"a": "train", "b": "train", "c": "validation", "d": "test", "e": None}
    assert reader.files_read[0]["split_column"] == name
    assert not reader.notes.unused_fields
    graded = "".join(f"{'train' if n % 3 else 'test'},say {n} {'well' * n},{'ab'[n % 2]}\n" for n in range(12))
    assert list(read(rows_file(f"{name},review,grade\n{graded}", "grades.csv"))[0].values()).count("test") == 4
    other = read(rows_file(f"{name},text,label\nTrain,a,x\nboat,b,y\n", "other.csv"))[0]
    assert other == {"a": None, "b": None}


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_a_folder_for_each_label_holds_a_file_for_each_text(tmp_path: Path, packed: bool) -> None:
    names = [f"{split}/{label}/{n}.txt" for split in ("train", "test") for label in ("pos", "neg") for n in (1, 2)]
    files = {name: f"text of\n\n{name}\n" for name in names} | {"README": "about"}
    path = tmp_path / "reviews"
    if packed:
        path.write_bytes(zip_of(files))
    else:
        folder_of(path, files)
    found, reader = read(path)
    assert found == {f"text of\n\n{name}": name.partition("/")[0] for name in names}
    assert [row.label for row in reader.rows()] == ["neg", "neg", "pos", "pos"] * 2


def test_folders_of_a_partitioned_table_are_columns(tmp_path: Path) -> None:
    files = {f"label={label}/split=train/part-0.csv": f"text\n{label} one\n{label} two\n" for label in ("a b", "c%3Ad")}
    reader = read(folder_of(tmp_path / "table", files))[1]
    labels = {"a b": "a b", "c%3Ad": "c:d"}
    expected = [(f"{name} {which}", label, "train") for name, label in labels.items() for which in ("one", "two")]
    assert [(row.text, row.label, row.split) for row in reader.rows()] == expected


def test_a_test_file_without_answers_is_left_out_and_told_unless_none_are_wanted(tmp_path: Path) -> None:
    found, reader = read(folder_of(tmp_path / "contest", {"train.csv": csv_of("a", "b"), "test.csv": "id,text\n1,c\n"}))
    assert found == {"a": "train", "b": "train"}
    assert reader.left_out == {"test.csv": "it has no column 'label'"}
    assert read(tmp_path / "contest", shape="text")[0] == {"a": "train", "b": "train", "c": "test"}


def test_a_part_is_what_is_read(tmp_path: Path) -> None:
    files = {"en/train.csv": csv_of("a", "b"), "de/train.csv": csv_of("c", "d"), "de/test.csv": csv_of("e", "f")}
    folder = folder_of(tmp_path / "languages", files)
    assert read(folder, "de/*")[0] == {"c": "train", "d": "train", "e": "test", "f": "test"}
    assert read(folder, "en/train.csv")[0] == {"a": "train", "b": "train"}
    book = {"January": [["text", "label"], ["a", "x"]], "February": [["text", "label"], ["b", "y"]]}
    (tmp_path / "book.xlsx").write_bytes(workbook(book))
    assert read(tmp_path / "book.xlsx", "February")[0] == {"b": None}
    (tmp_path / "deep.json").write_text(json.dumps({"x": {"good": rows_of("a", "b"), "bad": rows_of("c")}}))
    assert read(tmp_path / "deep.json", "x.good")[0] == {"a": None, "b": None}
    for name, part in (("book.xlsx", "March"), ("deep.json", "y")):
        with pytest.raises(InvalidData, match=f"'{part}'; it has: .* Set `part`"):
            read(tmp_path / name, part)


#: JSON documents -> text of a row -> its split.
DOCUMENTS: dict[str, tuple[Any, dict[str, str | None]]] = {
    "splits": ({"test": rows_of("t"), "train": rows_of("a", "b")}, {"a": "train", "b": "train", "t": "test"}),
    "splits_of_pairs": (
        {"oos_train": [["o", "x"]], "val": [["v", "y"]], "train": [["a", "x"], ["b", "y"], ["c", "x"]]},
        {"o": "train", "a": "train", "b": "train", "c": "train", "v": "validation"},
    ),
    "splits_of_columns": (
        {"train": {"text": ["a", "b"], "label": ["x", "y"]}, "dev": {"text": ["c"], "label": ["x"]}},
        {"a": "train", "b": "train", "c": "validation"},
    ),
    "splits_deeper": (
        {"data": {"train": rows_of("a", "b"), "test": rows_of("t")}},
        {"a": "train", "b": "train", "t": "test"},
    ),
    "named_rows": ({"labels": [{"id": 0, "name": "ham"}], "rows": rows_of("a", "b")}, {"a": None, "b": None}),
    "deeper": ({"data": {"rows": rows_of("a", "b")}}, {"a": None, "b": None}),
    "deepest": ({"meta": {"x": 1}, "a": {"b": {"c": rows_of("a", "b")}}}, {"a": None, "b": None}),
    "data_items": ({"data": {"items": rows_of("a", "b"), "total": 2}}, {"a": None, "b": None}),
    "columns": ({"text": ["a", "b"], "label": ["x", "y"]}, {"a": None, "b": None}),
    "by_number": ({"0": {"text": "a", "label": "x"}, "1": {"text": "b", "label": "y"}}, {"a": None, "b": None}),
    "pandas_columns": ({"text": {"0": "a", "1": "b"}, "label": {"0": "x", "1": "y"}}, {"a": None, "b": None}),
    "pandas_split": (
        {"columns": ["text", "label"], "index": [0, 1], "data": [["a", "x"], ["b", "y"]]},
        {"a": None, "b": None},
    ),
    "hub_rows": (
        {
            "features": [
                {"name": "text", "type": {"dtype": "string"}},
                {"name": "label", "type": {"names": ["x", "y"]}},
            ],
            "rows": [
                {"row_idx": 0, "row": {"text": "a", "label": 0}},
                {"row_idx": 1, "row": {"text": "b", "label": 1}},
            ],
        },
        {"a": None, "b": None},
    ),
    "pairs_with_names": ([["text", "label"], ["a", "x"], ["b", "y"]], {"a": None, "b": None}),
}


@pytest.mark.parametrize("indent", [None, 1], ids=["one_line", "pretty"])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_rows_of_a_document_are_found_by_name_of_split_and_however_deep(
    rows_file: WriteFile, name: str, indent: int | None
) -> None:
    document, expected = DOCUMENTS[name]
    assert read(rows_file(json.dumps(document, indent=indent), f"{name}.json"))[0] == expected


def test_class_labels_of_the_viewer_are_names(rows_file: WriteFile) -> None:
    reader = read(rows_file(json.dumps(DOCUMENTS["hub_rows"][0]), "rows.json"))[1]
    assert [row.label for row in reader.rows()] == ["x", "y"]


def test_several_lists_that_nothing_tells_apart_are_refused_with_their_paths(rows_file: WriteFile) -> None:
    document = json.dumps({"good": rows_of("a", "b"), "deep": {"bad": rows_of("c")}})
    with pytest.raises(InvalidData, match=r"several lists.*'good' \(2\), 'deep\.bad' \(1\)\. Set `part`"):
        read(rows_file(document, "lists.json"))


def test_a_document_of_rows_on_lines_of_their_own_is_one(rows_file: WriteFile) -> None:
    lines = ",\n".join(json.dumps(row) for row in rows_of("a", "b", "c"))
    assert set(read(rows_file(f'{{"data": [\n{lines}\n]}}', "compact.json"))[0]) == {"a", "b", "c"}
    pretty = "\n".join(json.dumps(row, indent=1) for row in rows_of("a", "b", "c"))
    assert set(read(rows_file(pretty, "after_each_other.json"))[0]) == {"a", "b", "c"}


def test_yaml_is_read_as_json_is_but_for_aliases(rows_file: WriteFile) -> None:
    assert set(read(rows_file("- text: a\n  label: x\n- text: b\n  label: y\n", "rows.yaml"))[0]) == {"a", "b"}
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
    with pytest.raises(InvalidData, match="uses aliases"):
        read(rows_file(bomb, "rows.yaml"))


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda content: pyarrow.compress(content, "zstd", asbytes=True),
}


@pytest.mark.parametrize("suffix", PACKERS)
def test_packed_files_are_read_and_bounded(rows_file: WriteFile, suffix: str) -> None:
    pack = PACKERS[suffix]
    assert set(read(rows_file(pack(csv_of("a", "b").encode()), f"rows.csv{suffix}"))[0]) == {"a", "b"}
    bomb = rows_file(pack(csv_of("a", "b").encode() + b"\n" * (8 << 20)), f"bomb.csv{suffix}")
    reader = RowsReader(DatasetConfig(source="x"), Quiet(), row_files(bomb), RowBudget(unpacked_floor_mib=1))
    with pytest.raises(InvalidData, match="unpacks to more than"):
        list(reader.rows())
    cut = rows_file(pack(csv_of(*map(str, range(3000))).encode())[:-20], f"cut.csv{suffix}")
    with pytest.raises(InvalidData, match="is damaged or cut off"):
        read(cut)


def test_a_spreadsheet_is_read_with_its_values_dates_and_splits(rows_file: WriteFile) -> None:
    day = date(2024, 1, 5)
    book = {
        "Notes": [],
        "Test": [["text", "label"], ["t", "x"]],
        "Train": [["text", "label", "day", "n"], ["a", "x", day, 3], [None], ["=A1=b", "y", None, 2.5]],
        "Secret": [["text", "label"], ["s", "x"]],
    }
    found, reader = read(rows_file(workbook(book, hidden=["Secret"]), "book.xlsx"))
    assert found == {"a": "train", "b": "train", "t": "test"}
    assert reader.left_out == {"book.xlsx: Secret": "it is hidden", "book.xlsx: Notes": "it holds no rows"}
    row = next(read(rows_file(workbook({"One": book["Train"]}), "renamed.csv"))[1].rows())
    assert dict(row.extra) == {"day": "2024-01-05", "n": 3}


def test_a_title_above_a_sheets_table_is_no_row(rows_file: WriteFile) -> None:
    rows = [["Survey of 2024"], [None], ["text", "label"], ["a", "x"], ["b", "y"]]
    found, reader = read(rows_file(workbook({"One": rows, "Two": [["other"], ["z"]]}), "titled.xlsx"))
    assert found == {"a": None, "b": None}
    assert set(reader.left_out) == {"titled.xlsx: row 1", "titled.xlsx: Two"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04rest", "is damaged"),
        (zip_of({"word/document.xml": "<w/>"}), "is a Word document"),
        (zip_of({"notes.docx": "x"}), "holds no rows; it has: 'notes.docx'"),
        (zip_of({"rows.csv": "text,label\n" + "a,x\n" * 30_000_000}), "over 200 times its size"),
        (zip_of({f"{number}.csv": "" for number in range(2001)}), "has 2,001 files in it"),
        (workbook({"A": []}), "holds no rows"),
    ],
)
@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.parquet", "rows.zip"])
def test_what_is_no_file_of_rows_is_refused_by_what_it_is(
    rows_file: WriteFile, content: bytes, said: str, name: str
) -> None:
    with pytest.raises(InvalidData) as raised:
        read(rows_file(content, name))
    assert said in str(raised.value)
    assert raised.value.cure


def test_entities_of_a_spreadsheets_xml_are_not_expanded(rows_file: WriteFile) -> None:
    doors = "".join(f'<!ENTITY x{n} "{f"&x{n - 1};" * 10}">' for n in range(1, 12))
    head = f'<?xml version="1.0"?><!DOCTYPE b [<!ENTITY x0 "ha">{doors}]>'
    book = workbook({"A": [["text", "label"], ["a", "x"], ["b", "y"]]}, head=head)
    assert set(read(rows_file(book.replace(b"", b""), "bomb.xlsx"))[0]) == {"a", "b"}


def test_a_folder_of_save_to_disk_is_read_by_its_state(tmp_path: Path) -> None:
    features = {"info": {"features": {"label": {"names": ["x", "y"], "_type": "ClassLabel"}}}}
    for split, labels in (("train", [1, 0]), ("test", [1])):
        home = tmp_path / "saved" / split
        home.mkdir(parents=True)
        table = pyarrow.table({"text": [f"{split} {n}" for n in labels], "label": labels})
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
        for name in ("data-00000-of-00001.arrow", "cache-1234.arrow"):
            with pyarrow.ipc.new_stream(str(home / name), table.schema) as stream:
                stream.write_table(table)
        (home / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
        (home / "dataset_info.json").write_text("{}")
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    found, reader = read(tmp_path / "saved")
    assert found == {"train 1": "train", "train 0": "train", "test 1": "test"}
    assert [row.label for row in reader.rows()] == ["y", "x", "y"]
    assert {name for name in reader.left_out if "cache" in name} == {"train/cache-1234.arrow", "test/cache-1234.arrow"}
    sink = io.BytesIO()
    with pyarrow.ipc.new_file(sink, pyarrow.schema([("text", "string"), ("label", "string")])) as file:
        file.write_table(pyarrow.table({"text": ["a", "b"], "label": ["x", "y"]}))
    (tmp_path / "rows.arrow").write_bytes(sink.getvalue())
    assert set(read(tmp_path / "rows.arrow")[0]) == {"a", "b"}


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("book.txt", "One line\nand another.\n\n\nA paragraph.\n", ["One line\nand another.\n\n\nA paragraph."]),
        ("long.txt", f"{'a' * 4000}\n\nb\n\nc\n", ["a" * 4000, "b\n\nc"]),
        ("page.md", "# One\n\nSaid.\n\n# Two\n\n#no heading\n", ["# One\n\nSaid.", "# Two\n\n#no heading"]),
        ("lines.txt", "one, two\nthree\tfour\n", ["one, two", "three\tfour"]),
        ("rows.jsonl", '{"text": "a", "url": "x"}\n{"text": " "}\n{"text": "b"}\n', ["a", "b"]),
        ("one.csv", "body\na\nb\n", ["a", "b"]),
    ],
)
def test_plain_texts_need_no_labels_and_are_read_by_paragraphs(
    rows_file: WriteFile, name: str, content: str, texts: list[str]
) -> None:
    reader = read(rows_file(content, name), shape="text")[1]
    rows = list(reader.rows())
    assert [row.text for row in rows] == texts
    assert {row.label for row in rows} == {""}
    with pytest.raises(InvalidData, match="has no column 'says'; it has"):
        read(rows_file(content, name), shape="text", text_column="says")
