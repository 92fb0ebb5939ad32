"""The state folder: for the user that runs Tuneline alone. Keys, histories and the servers' data lie in it."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import structlog

log = structlog.get_logger()
#: What group and others may do.
OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_private(folder: Path) -> Path:
    """Make the state folder where there is none, let nobody else into it or what is in it, and return it.

    From here on this process and those it starts write files for its own user alone (umask). A folder of an earlier
    release, which others could read, is closed first, and then everything in it.
    """
    os.umask(OF_OTHERS)
    # On a disk that can't be written to, whoever needs the folder says so.
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not folder.is_dir() or not folder.stat().st_mode & OF_OTHERS:
        return folder
    try:
        # With the folder closed, nobody gets to what is in it any more.
        _close(folder)
    except PermissionError:
        log.warning("state_folder_open_to_others", folder=str(folder), cure="Give it to the user who runs Tuneline.")
        return folder
    closed = 1
    for path in _below(folder):
        with suppress(OSError):
            # Files of the embedded servers may go meanwhile; another user's stay his.
            closed += _close(path)
    log.warning("state_folder_made_private", folder=str(folder), files_and_folders=closed)
    return folder


def _below(folder: Path) -> Iterator[Path]:
    for above, folders, names in os.walk(folder):
        yield from (Path(above, name) for name in (*folders, *names))


def _close(path: Path) -> bool:
    """Take the rights of others; say whether there were any. Links are left, and so is what they lead to."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode) or not mode & OF_OTHERS:
        return False
    path.chmod(stat.S_IMODE(mode) & ~OF_OTHERS)
    return True
