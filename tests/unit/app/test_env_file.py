"""A file of settings says where keys and data go: it is read only where nobody else can have written it."""

import os
import stat
from pathlib import Path

import pytest

from agents.base.errors import NotAllowed
from app.settings import Settings, written_by_others


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUNELINE_API_URL", raising=False)
    found = tmp_path / ".env"
    found.write_text("TUNELINE_API_URL=http://elsewhere.example\n")
    found.chmod(0o664)
    return found


def test_a_users_own_file_is_read(file: Path) -> None:
    for mode in (0o600, 0o644, 0o664):
        file.chmod(mode)
        assert Settings().api_url == "http://elsewhere.example"


@pytest.mark.parametrize("mode", [0o666, 0o602, 0o777])
def test_one_that_everybody_may_write_to_is_refused_with_a_cure_that_cures(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(NotAllowed, match="everybody may write to that file"):
        Settings()
    file.chmod(mode & ~0o002)
    assert Settings().api_url == "http://elsewhere.example"


OWNERS = [
    # owner, user, SUDO_UID, refused
    (1000, 1000, None, False),
    (0, 1000, None, False),
    (1001, 1000, None, True),
    (1000, 0, None, True),
    (1000, 0, "1000", False),
    (1001, 0, "1000", True),
    (1001, 1000, "1001", True),
    (1000, 0, "1000 ", True),
]


@pytest.mark.parametrize(("owner", "user", "sudo", "refused"), OWNERS)
@pytest.mark.parametrize("kind", [stat.S_IFREG, stat.S_IFLNK])
def test_it_belongs_to_the_user_or_to_root(
    monkeypatch: pytest.MonkeyPatch, owner: int, user: int, sudo: str | None, refused: bool, kind: int
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: user)
    monkeypatch.delenv("SUDO_UID", raising=False)
    if sudo is not None:
        monkeypatch.setenv("SUDO_UID", sudo)
    found = os.stat_result((kind | 0o600, 0, 0, 1, owner, 0, 0, 0, 0, 0))

    assert (written_by_others(found) is not None) == refused


def test_a_link_to_a_file_is_judged_as_both(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    file.rename(target)
    file.symlink_to(target)
    assert Settings().api_url == "http://elsewhere.example"
    target.chmod(0o666)
    with pytest.raises(NotAllowed):
        Settings()


def test_none_is_no_fault_and_one_that_is_not_asked_for_is_not_looked_at(file: Path) -> None:
    file.chmod(0o666)
    assert Settings(_env_file=None).api_url == "http://127.0.0.1:8000"
    file.unlink()
    assert Settings().api_url == "http://127.0.0.1:8000"
