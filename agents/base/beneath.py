"""Files opened and written beneath a folder, step by step, so that no link leads out of it, not even one that is put
there meanwhile; and files read only where they are files.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import IO
from uuid import uuid4

from agents.base.errors import NotAllowed
from agents.base.names import checked_name, printable

_FOLDER = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
#: A pipe would keep the reader waiting without O_NONBLOCK, a terminal would become the process's own without O_NOCTTY.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: What the system says of a link or a file where there should be a folder.
_NO_FOLDER = {errno.ELOOP, errno.ENOTDIR}


def real_file(path: Path) -> Path:
    """Return the file that a path names. A link counts where it leads below its own folder, or, in a snapshot of a
    hub's cache, to that cache's blobs.

    Raises:
        NotAllowed: it is a link to somewhere else, to a hidden file, or one that leads round and round.
        FileNotFoundError: nothing is there.
    """
    given = path.absolute()
    try:
        real = given.resolve(strict=True)
    except RuntimeError as fault:
        raise NotAllowed(f"'{printable(str(path))}' is a link to itself.", cure="Remove it.") from fault
    homes = [given.parent, *(above.parent / "blobs" for above in given.parents if above.name == "snapshots")]
    if real == given or any(real.is_relative_to(home) and not is_hidden(real.relative_to(home)) for home in homes):
        return real
    raise NotAllowed(
        f"'{printable(path.name)}' in '{path.parent}' is a link that leads out of its folder, or to a hidden file.",
        cure="Copy the file there in place of the link.",
    )


def is_hidden(path: PurePath) -> bool:
    """Say whether a relative path is that of a hidden file, or of one in a hidden folder."""
    return any(part.startswith(".") for part in path.parts)


@contextmanager
def open_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to read it, and nothing but a file: no pipe, socket or device, and no link but those of `real_file`.

    Raises:
        NotAllowed: it is something else.
        FileNotFoundError: nothing is there.
    """
    real = real_file(path)
    with _parent(real) as parent:
        _check_kind(path, os.stat(real.name, dir_fd=parent, follow_symlinks=False).st_mode)
        descriptor = os.open(real.name, _READ, dir_fd=parent)
    with os.fdopen(descriptor, "rb") as file:
        # It may have been replaced since it was looked at.
        _check_kind(path, os.fstat(descriptor).st_mode)
        yield file


@contextmanager
def write_below(folder: Path, name: str) -> Iterator[IO[bytes]]:
    """Open a file below a folder to write it; it gets its name when all is written, in place of any that has it.

    Raises:
        NotAllowed: the name leads elsewhere, or a link or a file stands where one of its folders should be.
    """
    with _folder_of(folder, name) as (parent, last):
        scratch = f".{uuid4().hex}"
        descriptor = os.open(scratch, _WRITE, 0o666, dir_fd=parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
            os.rename(scratch, last, src_dir_fd=parent, dst_dir_fd=parent)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(scratch, dir_fd=parent)


def move_below(source: Path, folder: Path, name: str) -> Path:
    """Move the file of this name below `source` to the same name below `folder`; return where it is now.

    Raises:
        NotAllowed: as `write_below`.
    """
    with _folder_of(source, name) as (before, last), _folder_of(folder, name) as (after, _):
        os.rename(last, last, src_dir_fd=before, dst_dir_fd=after)
    return folder / name


@contextmanager
def _folder_of(folder: Path, name: str) -> Iterator[tuple[int, str]]:
    """Give a handle of the folder that a file of this name lies in, made where it is missing, and its last part."""
    try:
        *above, last = checked_name(name).split("/")
    except ValueError as fault:
        raise NotAllowed(str(fault)) from fault
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, _FOLDER)
    try:
        for part in above:
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=handle)
            handle = _stepped(handle, part)
        yield handle, last
    except OSError as fault:
        if fault.errno not in {*_NO_FOLDER, errno.EISDIR}:
            raise
        raise NotAllowed(
            f"'{printable(name)}' can't be written below '{folder}': a link, or a file and a folder of one name, "
            "stands in its way.",
            cure="Remove it, or take another folder.",
        ) from fault
    finally:
        os.close(handle)


@contextmanager
def _parent(path: Path) -> Iterator[int]:
    """Give a handle of the folder of a path without links, each step of which is still none."""
    handle = os.open(path.anchor, _FOLDER)
    try:
        for part in path.parts[1:-1]:
            handle = _stepped(handle, part)
        yield handle
    except OSError as fault:
        if fault.errno not in _NO_FOLDER:
            raise
        raise NotAllowed(f"A link was put into the way to '{path}'.", cure="Remove it.") from fault
    finally:
        os.close(handle)


def _stepped(handle: int, part: str) -> int:
    """Return a handle of the folder `part` in place of the one of its parent, which is closed."""
    found = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=handle)
    os.close(handle)
    return found


def _check_kind(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise NotAllowed(
            f"'{printable(path.name)}' is not a file: it is a {kind_of(mode)}.",
            cure="Name a file, or a folder of files.",
        )


def kind_of(mode: int) -> str:
    """Say what a mode of `stat` is the mode of."""
    kinds = {stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
    return kinds.get(stat.S_IFMT(mode), "device")
