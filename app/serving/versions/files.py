"""A version's files on this machine: fetched by digest into a folder that appears whole or not at all."""

import glob
import hashlib
import shutil
from pathlib import Path

from agents.base.errors import InvalidModel
from agents.base.folders import fetch, make_folder
from agents.base.names import checked_file_name
from agents.base.object_store import ObjectStore
from agents.base.records import Artifact


def model_folder(objects: ObjectStore, cache_dir: Path, name: str, version: int, files: dict[str, Artifact]) -> Path:
    """Return a folder with a version's files, each checked against its digest, those kept from before too.

    Raises:
        InvalidModel: the model's name can't be that of a folder.
        NotFound, CorruptArtifact, Unavailable: the store lacks a file, holds other bytes, or doesn't answer.
    """
    listed = "\n".join(f"{path} {artifact.sha256}" for path, artifact in sorted(files.items()))
    folder = cache_dir / _folder_name(name, version, hashlib.sha256(listed.encode()).hexdigest())
    if folder.is_dir() and not all(_is_whole(folder / path, artifact) for path, artifact in files.items()):
        shutil.rmtree(folder)
    return make_folder(folder, lambda scratch: fetch(objects, files, scratch))


def sweep(cache_dir: Path, name: str, keep: set[int]) -> None:
    """Remove a model's folders of all versions but those to keep."""
    for folder in cache_dir.glob(f"{glob.escape(name)}-*-*"):
        owner, version, _ = folder.name.rsplit("-", 2)
        if owner == name and version.isdigit() and int(version) not in keep:
            shutil.rmtree(folder, ignore_errors=True)


def _folder_name(name: str, version: int, digest: str) -> str:
    try:
        return checked_file_name(f"{name}-{version}-{digest[:12]}")
    except ValueError as fault:
        raise InvalidModel(f"The model can't be served: {fault}", cure="Export it under another name.") from fault


def _is_whole(path: Path, artifact: Artifact) -> bool:
    if not path.is_file() or path.stat().st_size != artifact.size_bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == artifact.sha256
