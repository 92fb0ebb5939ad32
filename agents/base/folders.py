"""Folders of files between a disk and the object store."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from agents.base.object_store import ObjectStore
from agents.base.records import Artifact

if TYPE_CHECKING:
    pass


def fetch(objects: ObjectStore, files: Mapping[str, Artifact], folder: Path) -> Path:
    """Write a model's files to a folder, each checked against its digest; return the folder."""
    for name, artifact in files.items():
        objects.get_artifact_file(artifact, folder / name)
    return folder
