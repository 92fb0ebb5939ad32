"""Names from outside: whatever the text, what is taken stays below its folder on every system."""

from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from agents.base.names import (
    Digest,
    RelativeName,
    checked_file_name,
    checked_name,
    is_unseen,
    printable,
    usable_file_name,
)
from agents.base.records import Artifact, artifacts_in

REFUSED = [
    *("/etc/passwd", "../x", "a/../../x", "..", ".", "", "a//b", "/", "a/", "a/./b"),
    *("a\x00b", "a\nb", "a\x1b[31m", "a\u202eb", "a\u2028b", "\ud800", "a\x7f"),
    *("a\\b", "..\\x", "C:x", "C:\\x", "\\\\host\\share", "a:stream"),
    *(".env", ".tuneline/stack.json", "a/.git/config", "...", "a.", "a ", "b/c ."),
    *("con", "NUL", "aux.txt", "a/COM1", "lpt9.tar.gz", "CONIN$", "com\u00b9"),
    *("x" * 256, "é" * 128, "/".join(["abcdefgh"] * 200)),
]
#: Texts that are mostly made of what paths are made of.
PATHS = st.text(st.sampled_from("ab./\\:\x00\n ~$") | st.characters(), max_size=40)


@pytest.mark.parametrize("name", REFUSED, ids=ascii)
def test_no_name_that_means_something_else_on_any_system_is_taken(name: str) -> None:
    with pytest.raises(ValueError, match=r"is not a name below a folder: it has .*\. Use letters"):
        checked_name(name)


@pytest.mark.parametrize(
    "name", ["config.json", "pictures/roc.svg", "model-00001-of-00002.safetensors", "données/été.csv", "a b.csv", "~x"]
)
def test_plain_names_are_taken_as_they_are(name: str) -> None:
    assert checked_name(name) == name


@given(PATHS)
def test_whatever_is_taken_lies_below_its_folder(name: str) -> None:
    try:
        taken = checked_name(name)
    except ValueError:
        return
    assert (Path("/home/x") / taken).resolve().is_relative_to("/home/x")
    for kind in (PurePosixPath, PureWindowsPath):
        assert not kind(taken).is_absolute()
        assert not kind(taken).drive
        assert ".." not in kind(taken).parts
    assert not any(part.startswith(".") for part in taken.split("/"))


@given(PATHS)
def test_any_stored_name_becomes_one_that_is_taken(name: str) -> None:
    assert checked_file_name(usable_file_name(name, otherwise="rows"))


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        ("../my rows.csv", "my rows.csv"),
        ("C:\\data\\rows.csv", "rows.csv"),
        ("..", "rows"),
        ("\x00", "rows"),
        (f"{'x' * 300}.csv.gz", f"{'x' * 248}.csv.gz"),
        (".hidden.csv", "hidden.csv"),
        ("con.csv", "rows"),
    ],
)
def test_a_name_that_was_stored_before_it_was_checked_stays_as_near_as_can_be(stored: str, name: str) -> None:
    assert usable_file_name(stored, otherwise="rows") == name


@pytest.mark.parametrize(
    "digest", ["", "0" * 63, "0" * 65, "A" * 64, "../" + "0" * 61, "0" * 63 + "\n", "\u0660" * 64, "0" * 64 + "\n"]
)
def test_a_digest_is_64_digits_and_nothing_else(digest: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Digest).validate_python(digest)
    with pytest.raises(ValidationError):
        Artifact(sha256=digest, size_bytes=1)


def test_what_only_looks_like_an_artifact_refers_to_nothing() -> None:
    lookalike = {"sha256": "../../x", "size_bytes": -1, "media_type": "a\r\nb"}
    real = {"sha256": "0" * 64, "size_bytes": 1, "media_type": "text/plain"}

    assert list(artifacts_in({"a": lookalike, "b": [real]})) == [Artifact(**real)]


def test_names_are_checked_as_keys_of_records_too() -> None:
    files = TypeAdapter(dict[RelativeName, int])

    assert files.validate_python({"a/b": 1}) == {"a/b": 1}
    with pytest.raises(ValidationError, match="is not a name below a folder"):
        files.validate_python({"../b": 1})


def test_messages_show_what_nobody_sees() -> None:
    assert printable("a\x1b]0;x\u202e") == "a\\x1b]0;x\\u202e"
    assert len(printable("x" * 6000)) == 80


@given(PATHS)
def test_no_message_carries_what_nobody_sees(text: str) -> None:
    assert not any(is_unseen(character) for character in printable(text))
