"""Rows between agents: JSON lines of `{"row", "text", "label", ...}`, written and read one at a time."""

import json
from collections.abc import Iterator
from pathlib import Path

from agents.base.object_store import ObjectStore
from agents.base.records import Artifact
from agents.data.types import Row

MEDIA_TYPE = "application/jsonl"


class RowsFile:
    """A file of rows that grows; a context manager that closes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.row_count = 0
        self._file = path.open("w", encoding="utf-8", newline="\n")

    def __enter__(self) -> "RowsFile":
        return self

    def __exit__(self, *fault: object) -> None:
        self._file.close()

    def add(self, row: Row) -> None:
        self._file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
        self.row_count += 1

    def store(self, objects: ObjectStore) -> Artifact:
        """Close the file and put it into the object store."""
        self._file.close()
        return objects.put_artifact_file(self.path, MEDIA_TYPE)


def fetch_rows(objects: ObjectStore, artifact: Artifact, path: Path) -> Path:
    """Write a rows artifact to `path`, checked against its digest, to be read with `read_rows`."""
    return objects.get_artifact_file(artifact, path)


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file in its order, one at a time."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            row: Row = json.loads(line)
            yield row
