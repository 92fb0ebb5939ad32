"""A form as it comes, however it is cut: one file, of one name, within the limit."""

import errno
import io
from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.base.errors import InvalidRequest, NoSpace, TooLarge, TunelineError, Unavailable
from app.api.room import Room
from app.api.uploads import FileOfForm, file_name

KIND = "multipart/form-data; boundary=xx"


def part(name: str = "file", filename: str | None = "rows.csv", content: bytes = b"a,b\n", more: str = "") -> bytes:
    given = f'; filename="{filename}"' if filename is not None else ""
    head = f'--xx\r\nContent-Disposition: form-data; name="{name}"{given}\r\n{more}\r\n'
    return head.encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--xx--\r\n"


def received(pieces: Iterable[bytes], limit_mib: int = 1, target: Any = None) -> tuple[str, bytes]:
    """Return the name and the content of the file in a form that comes in pieces."""
    target = target or io.BytesIO()
    found = FileOfForm(KIND, target, limit_mib)
    for piece in pieces:
        found.feed(piece)
    return found.end(), target.getvalue()


@given(st.binary(min_size=1, max_size=2000), st.lists(st.integers(0, 2300), max_size=20))
def test_a_file_is_the_same_however_its_form_is_cut(content: bytes, cuts: list[int]) -> None:
    if b"\r\n--xx" in b"\r\n" + content:
        return
    whole = form(part(content=content))
    places = [0, *sorted(cuts), len(whole)]
    pieces = [whole[start:end] for start, end in pairwise(places)]

    assert received(pieces) == ("rows.csv", content)


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    for sent in (data, b"--xx\r\n" + data, part()[:40] + data, part() + data):
        with suppress(TunelineError):
            received([sent])


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (form(part(), part()), "more than one file"),
        (form(part(), part("other")), "a field 'other' that is not taken"),
        (form(part(), part("note", None)), "a field 'note' that is not taken"),
        (form(part("file", None)), "a field 'file' that is not taken"),
        (form(part("\u00e9\n\x1b")), "that is not taken"),
        (form(), "no file"),
        (b"", "no file"),
        (part(), "broke off"),
        (part()[:-3], "broke off"),
        (form(part(content=b"")), "is empty"),
        (b"no form", "can't be read"),
        (form(part(more="X-Long: " + "y" * 5000 + "\r\n")), "Maximum header size exceeded"),
        (form(part(filename="x" * 5000)), "Maximum header size exceeded"),
        *((form(part(filename=name)), "no usable file name") for name in ("", "..", ".", "a/..", "b\\..", "x" * 300)),
        *(
            (form(part(filename=name)), "no usable file name")
            for name in ("a\0b", "a\x1b]0;b", "a\u202eb", "\u00e9" * 150)
        ),
    ],
)
def test_what_is_not_one_file_is_refused(sent: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        received([sent])


@pytest.mark.parametrize(
    "kind", ["", "multipart/form-data", "multipart/form-data; boundary=", "a; boundary=" + "x" * 900]
)
def test_a_form_without_a_boundary_is_refused(kind: str) -> None:
    with pytest.raises(InvalidRequest):
        FileOfForm(kind, io.BytesIO(), 1).feed(form(part()))


def test_the_first_byte_above_the_limit_is_not_written() -> None:
    target = io.BytesIO()
    most = 1 << 20
    assert received([form(part(content=b"x" * most))])[1] == b"x" * most
    found = FileOfForm(KIND, target, 1)
    found.feed(part()[:-6])
    for _ in range(16):
        found.feed(b"x" * 65536)
    with pytest.raises(TooLarge, match=r"'rows.csv' is larger than 1 MiB\. Raise TUNELINE_UPLOAD_LIMIT_MB"):
        found.feed(b"x" * 65536)
    assert target.getvalue() == b"x" * most


def test_a_full_disk_is_said_so() -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(NoSpace, match="disk of the API is full"):
        received([form(part())], target=Full())


@given(st.text(max_size=300))
def test_a_name_is_one_that_files_can_have(text: str) -> None:
    try:
        name = file_name(text)
    except InvalidRequest:
        return
    assert name not in {"", ".", ".."}
    assert not set(name) & set("/\\\0\n\r\x1b")
    assert len(name.encode()) <= 255


def test_room_is_given_back() -> None:
    room = Room(2, "uploads are received", "TUNELINE_UPLOADS_MOST")
    with room.take(), room.take(), pytest.raises(Unavailable, match="raise TUNELINE_UPLOADS_MOST"):
        room.check()
    with pytest.raises(ValueError, match="x"), room.take():
        raise ValueError("x")
    assert room.taken == 0
