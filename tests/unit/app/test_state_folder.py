"""The state folder is for its own user alone, also one that an earlier release left open."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.state_folder import make_private


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """The usual umask, also after the test."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode)
        for path in [folder, *folder.rglob("*")]
        if not path.is_symlink()
    }


def test_a_new_folder_and_what_is_written_to_it_are_private(tmp_path: Path) -> None:
    folder = make_private(tmp_path / "a" / "state")
    (folder / "valkey").mkdir()
    (folder / "valkey" / "appendonly.aof").write_text("x")

    assert modes(folder) == {".": 0o700, "valkey": 0o700, "valkey/appendonly.aof": 0o600}


def test_a_folder_of_an_earlier_release_is_closed_with_all_that_is_in_it_and_that_is_logged(tmp_path: Path) -> None:
    folder, outside = tmp_path / "state", tmp_path / "outside"
    for path, mode in (("stack.json", 0o644), ("s3/objects/a", 0o664), ("run.sh", 0o755), ("s3/private", 0o600)):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("x")
        (folder / path).chmod(mode)
    outside.write_text("x")
    outside.chmod(0o644)
    (folder / "link").symlink_to(outside)
    with capture_logs() as logs:
        make_private(folder)

    assert modes(folder) == {
        **{".": 0o700, "s3": 0o700, "s3/objects": 0o700},
        **{"stack.json": 0o600, "s3/objects/a": 0o600, "run.sh": 0o700, "s3/private": 0o600},
    }
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644
    assert [(entry["event"], entry["files_and_folders"]) for entry in logs] == [("state_folder_made_private", 6)]
    with capture_logs() as logs:
        make_private(folder)
    assert logs == []


def test_a_folder_that_can_not_be_made_is_left_to_whoever_needs_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    assert make_private(tmp_path / "file" / "state") == tmp_path / "file" / "state"
