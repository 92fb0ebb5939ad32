"""Digests of files and folders; big files are hashed once and remembered by path, size and time."""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

from agents.base.beneath import open_file, real_file
from agents.base.folders import write_file

#: Smaller files are hashed every time: it costs nothing, and no file system's clock can fool it.
REMEMBERED_BYTES = 8 << 20


def file_digest(path: Path, cache_dir: Path) -> str:
    """Return the sha256 (hex) of a file's content; of big ones as remembered below `cache_dir`.

    Raises:
        NotAllowed: it is no file, or a link that `real_file` refuses.
    """
    found = real_file(path)
    stat = found.stat()
    if stat.st_size < REMEMBERED_BYTES:
        return _hashed(found)
    key = hashlib.sha256(json.dumps([str(found), stat.st_size, stat.st_mtime_ns]).encode()).hexdigest()
    memory = cache_dir / "digests" / key
    remembered = memory.read_text() if memory.exists() else ""
    return remembered if re.fullmatch(r"[0-9a-f]{64}", remembered) else _remember(memory, _hashed(found))


def folder_digest(folder: Path, files: Iterable[Path], cache_dir: Path) -> str:
    """Return a sha256 (hex) over the sorted relative names and the contents of `files`, all below `folder`."""
    names = sorted((file.relative_to(folder).as_posix(), file_digest(file, cache_dir)) for file in files)
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()


def _hashed(path: Path) -> str:
    with open_file(path) as file:
        # A `BufferedReader` of a real file, whatever it is declared as.
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _remember(memory: Path, digest: str) -> str:
    write_file(memory, digest)
    return digest
