"""A version's files on this machine: fetched by digest into a folder that appears whole or not at all."""

import hashlib
import shutil
import tempfile
from pathlib import Path

from agents.base.folders import fetch
from agents.base.object_store import ObjectStore
from agents.base.records import Artifact


def model_folder(objects: ObjectStore, cache_dir: Path, name: str, version: int, files: dict[str, Artifact]) -> Path:
    """Return a folder with a version's files, each checked against its digest, those kept from before too.

    Raises:
        NotFound, CorruptArtifact, Unavailable: the store lacks a file, holds other bytes, or doesn't answer.
    """
    listed = "\n".join(f"{path} {artifact.sha256}" for path, artifact in sorted(files.items()))
    folder = cache_dir / f"{name}-{version}-{hashlib.sha256(listed.encode()).hexdigest()[:12]}"
    if folder.is_dir() and not all(_is_whole(folder / path, artifact) for path, artifact in files.items()):
        shutil.rmtree(folder)
    if not folder.is_dir():
        cache_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_dir, prefix=".fetching-") as scratch:
            _put_in_place(fetch(objects, files, Path(scratch) / "model"), folder)
    return folder


def sweep(cache_dir: Path, name: str, keep: set[int]) -> None:
    """Remove a model's folders of all versions but those to keep."""
    for folder in cache_dir.glob(f"{name}-*-*"):
        owner, version, _ = folder.name.rsplit("-", 2)
        if owner == name and version.isdigit() and int(version) not in keep:
            shutil.rmtree(folder, ignore_errors=True)


def _put_in_place(fetched: Path, folder: Path) -> None:
    try:
        fetched.rename(folder)
    except OSError:
        # Another serving process of this machine was first: its folder is as good.
        if not folder.is_dir():
            raise


def _is_whole(path: Path, artifact: Artifact) -> bool:
    if not path.is_file() or path.stat().st_size != artifact.size_bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == artifact.sha256
