"""Files beneath a folder: no link leads out of it, and nothing but a file is read."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agents.base.beneath import move_below, open_file, real_file, write_below
from agents.base.digests import file_digest
from agents.base.errors import NotAllowed


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.csv").write_text("secret")
    return folder


@pytest.fixture
def folder(tmp_path: Path, outside: Path) -> Path:
    found = tmp_path / "folder"
    found.mkdir()
    return found


def test_files_are_written_whole_below_their_folder(folder: Path) -> None:
    with write_below(folder, "a/b/c.txt") as file:
        file.write(b"first")
        assert not (folder / "a/b/c.txt").exists()
    with write_below(folder, "a/b/c.txt") as file:
        file.write(b"2")

    assert (folder / "a/b/c.txt").read_bytes() == b"2"
    assert [path.name for path in (folder / "a/b").iterdir()] == ["c.txt"]


def test_what_fails_half_way_leaves_what_was_there(folder: Path) -> None:
    (folder / "c.txt").write_bytes(b"kept")
    with suppress(ZeroDivisionError), write_below(folder, "c.txt") as file:
        file.write(b"half")
        raise ZeroDivisionError

    assert (folder / "c.txt").read_bytes() == b"kept"
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("name", ["/x", "../x", "a/../../x", "", ".x", "a\x00", "a\\b", "x" * 300])
def test_no_name_leads_out(folder: Path, name: str) -> None:
    with pytest.raises(NotAllowed, match="is not a name below a folder"), write_below(folder, name):
        pytest.fail("it was opened")

    assert list(folder.iterdir()) == []


def test_a_link_in_place_of_a_folder_is_not_followed(folder: Path, outside: Path) -> None:
    (folder / "a").symlink_to(outside)
    with pytest.raises(NotAllowed, match="stands in its way"), write_below(folder, "a/x"):
        pytest.fail("it was opened")

    assert [path.name for path in outside.iterdir()] == ["secret.csv"]


def test_a_link_in_place_of_a_file_is_replaced_and_not_followed(folder: Path, outside: Path) -> None:
    (folder / "x.csv").symlink_to(outside / "secret.csv")
    with write_below(folder, "x.csv") as file:
        file.write(b"new")

    assert (outside / "secret.csv").read_text() == "secret"
    assert not (folder / "x.csv").is_symlink()


def test_a_file_and_a_folder_of_one_name_are_refused_in_a_sentence(folder: Path) -> None:
    (folder / "a").write_text("a file")
    (folder / "b").mkdir()
    for name in ("a/x", "b"):
        with pytest.raises(NotAllowed, match="stands in its way"), write_below(folder, name) as file:
            file.write(b"x")


def test_moving_follows_no_link_either(folder: Path, outside: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    with write_below(scratch, "a/x") as file:
        file.write(b"x")
    (folder / "a").symlink_to(outside)
    with pytest.raises(NotAllowed):
        move_below(scratch, folder, "a/x")
    (folder / "a").unlink()

    assert move_below(scratch, folder, "a/x").read_bytes() == b"x"


@pytest.mark.parametrize("target", ["../outside/secret.csv", "/etc/passwd", ".hidden.csv", ".git/rows.csv", "link.csv"])
def test_a_link_out_of_its_folder_to_a_hidden_file_or_to_itself_is_refused(folder: Path, target: str) -> None:
    (folder / ".git").mkdir()
    for hidden in (".hidden.csv", ".git/rows.csv"):
        (folder / hidden).write_text("hidden")
    (folder / "link.csv").symlink_to(target)
    with pytest.raises(NotAllowed, match=r"is a link"), open_file(folder / "link.csv"):
        pytest.fail("it was opened")


def test_links_within_a_folder_and_to_the_blobs_of_a_hubs_snapshot_are_followed(folder: Path) -> None:
    snapshot = folder / "models--org--tiny" / "snapshots" / "abc"
    for path in (folder / "rows.csv", folder / "models--org--tiny" / "blobs" / "123", snapshot / "x"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    (folder / "link.csv").symlink_to("rows.csv")
    (snapshot / "config.json").symlink_to("../../blobs/123")
    (snapshot / "evil.json").symlink_to("../../../rows.csv")

    assert real_file(folder / "link.csv").name == "rows.csv"
    with open_file(snapshot / "config.json") as file:
        assert file.read() == b"123"
    with pytest.raises(NotAllowed):
        real_file(snapshot / "evil.json")


def test_a_link_that_is_put_into_the_way_after_the_look_is_not_followed(
    folder: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a").mkdir()
    (folder / "a" / "secret.csv").write_text("harmless")

    def look_then_swap(path: Path) -> Path:
        (folder / "a").rename(folder / "b")
        (folder / "a").symlink_to(outside)
        return path

    monkeypatch.setattr("agents.base.beneath.real_file", look_then_swap)
    with pytest.raises(NotAllowed, match="A link was put into the way"), open_file(folder / "a" / "secret.csv"):
        pytest.fail("it was opened")


@pytest.fixture(params=["pipe", "socket", "folder", "device"])
def special(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = folder / "rows.csv"
    with socket.socket(socket.AF_UNIX) as listener:
        if request.param == "pipe":
            os.mkfifo(path)
        elif request.param == "socket":
            # The path of a socket may have a hundred characters only.
            monkeypatch.chdir(folder)
            listener.bind("rows.csv")
        elif request.param == "folder":
            path.mkdir()
        yield Path("/dev/null") if request.param == "device" else path


def test_what_is_not_a_file_is_refused_without_waiting_for_it(special: Path, tmp_path: Path) -> None:
    found: list[BaseException] = []

    def look() -> None:
        for read in (lambda: open_file(special).__enter__(), lambda: file_digest(special, tmp_path)):
            try:
                read()
            except NotAllowed as fault:
                found.append(fault)

    # In a thread, so that one that waits for a writer for ever fails the test instead of keeping it.
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(30)

    assert [str(fault).partition(": ")[0] for fault in found] == [f"'{special.name}' is not a file"] * 2
