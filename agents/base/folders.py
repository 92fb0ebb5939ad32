"""Folders and files that appear whole or not at all, and folders between a disk and the object store.

What is made by several processes at once is made beside its place and then renamed: readers never see a half, and
whoever comes second finds the first one's, which is as good.
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import uuid4

from agents.base.beneath import write_below
from agents.base.object_store import ObjectStore
from agents.base.records import Artifact

MEDIA_TYPES = {
    ".json": "application/json",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".jinja": "text/plain",
}


def make_folder(folder: Path, fill: Callable[[Path], object]) -> Path:
    """Return `folder`, made by `fill` unless it is there; `fill` gets an empty folder to write to."""
    if folder.is_dir():
        return folder
    scratch = _beside(folder)
    scratch.mkdir(parents=True)
    try:
        fill(scratch)
        _put_in_place(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def write_file(path: Path, text: str) -> None:
    """Write a text file, in place of any that is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = _beside(path)
    try:
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def upload(objects: ObjectStore, folder: Path) -> dict[str, Artifact]:
    """Store every file below a folder; return them by their paths inside it, with `/` between the parts."""
    return {
        file.relative_to(folder).as_posix(): objects.put_artifact_file(
            file, MEDIA_TYPES.get(file.suffix, "application/octet-stream")
        )
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def fetch(objects: ObjectStore, files: Mapping[str, Artifact], folder: Path) -> Path:
    """Write files to a folder, each checked against its digest; return the folder.

    Raises:
        NotAllowed: a name leads out of the folder.
        NotFound, CorruptArtifact, Unavailable: the store lacks a file, holds other bytes, or doesn't answer.
    """
    for name, artifact in files.items():
        with write_below(folder, name) as file:
            objects.copy_artifact(artifact, file)
    return folder


def _beside(path: Path) -> Path:
    return path.with_name(f".{uuid4().hex}")


def _put_in_place(scratch: Path, folder: Path) -> None:
    try:
        scratch.rename(folder)
    except OSError:
        # Another process was first.
        if not folder.is_dir():
            raise
