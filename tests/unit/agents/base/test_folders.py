"""Folders and files that several processes make: whole, once, or not there at all."""

import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from agents.base.folders import make_folder, write_file

FILES = 50


def _fill(folder: Path, content: str) -> None:
    for number in range(FILES):
        (folder / f"{number}.txt").write_text(content)


def _make_together(barrier: Barrier, folder: Path, content: str) -> None:
    def fill(scratch: Path) -> None:
        # All have seen that the folder is not there before any has filled its own.
        barrier.wait(timeout=60)
        _fill(scratch, content)

    make_folder(folder, fill)
    found = {file.read_text() for file in folder.iterdir()}
    assert len(found) == 1
    assert len(list(folder.iterdir())) == FILES


def test_of_processes_that_make_a_folder_at_once_one_wins_and_all_find_it_whole(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(3)
    folder = tmp_path / "cache" / "model"
    makers = [spawn.Process(target=_make_together, args=(barrier, folder, name)) for name in "abc"]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()

    assert [maker.exitcode for maker in makers] == [0, 0, 0]
    assert list(folder.parent.iterdir()) == [folder]


def test_what_fails_half_way_leaves_nothing_and_can_be_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "model"

    def fail(scratch: Path) -> None:
        (scratch / "half.bin").write_bytes(b"half")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        make_folder(folder, fail)
    assert list(folder.parent.iterdir()) == []

    make_folder(folder, lambda scratch: _fill(scratch, "whole"))
    assert len(list(folder.iterdir())) == FILES


def test_a_folder_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    make_folder(tmp_path / "model", lambda scratch: _fill(scratch, "first"))

    make_folder(tmp_path / "model", lambda scratch: pytest.fail("it was there"))

    assert (tmp_path / "model" / "0.txt").read_text() == "first"


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "digests" / "key"
    write_file(path, "a much longer text than the next")
    write_file(path, "short")

    assert path.read_text() == "short"
    assert list(path.parent.iterdir()) == [path]
