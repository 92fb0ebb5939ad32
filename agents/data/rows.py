"""Rows between agents: JSON lines of `{"row", "text", "label", ...}`, written and read one at a time."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from agents.base.errors import InvalidData
from agents.base.object_store import ObjectStore
from agents.base.records import Artifact
from agents.data.files.records import whole_characters
from agents.data.types import SPLITS, Row

MEDIA_TYPE = "application/jsonl"
#: Keys of a row's own; columns of a source with such a name are called `source_<name>`.
OWN_KEYS = frozenset({"row", "text", "label", "messages", "labels", "tools", "rejected", "split"})


def to_json(row: Row) -> dict[str, Any]:
    """Return a row as the JSON object of its line, keys in their order there: its own, then the other columns."""
    found: dict[str, Any] = {"row": row.number, "text": row.text, "label": row.label}
    if row.messages is not None:
        found["messages"] = row.messages
    if row.labels is not None:
        found["labels"] = list(row.labels)
    if row.tools is not None:
        found["tools"] = row.tools
    if row.rejected is not None:
        found["rejected"] = row.rejected
    if row.split is not None:
        found["split"] = row.split
    if row.extra:
        found.update(row.extra)
    return found


def from_json(values: Mapping[str, Any]) -> Row:
    """Return the row of a JSON object.

    Raises:
        KeyError: it lacks `row`, `text` or `label`.
    """
    number, text, label = int(values["row"]), str(values["text"]), str(values["label"])
    if len(values) == 3:
        return Row(number, text, label)
    own = {name: values[name] for name, fits in OPTIONAL.items() if name in values and fits(values[name])}
    if "labels" in own:
        own["labels"] = tuple(own["labels"])
    extra = {name: value for name, value in values.items() if name not in REQUIRED and name not in own}
    return Row(number, text, label, own.pop("messages", None), extra, **own)


def _is_list_of(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(isinstance(one, kind) for one in value)


REQUIRED = frozenset({"row", "text", "label"})
#: Keys that a line may have -> whether a value is the row's own: in lines of 0.1.0 a column may be called so.
OPTIONAL: dict[str, Callable[[Any], bool]] = {
    "messages": lambda value: value is not None,
    "labels": _is_list_of(str),
    "tools": _is_list_of(dict),
    "rejected": _is_list_of(dict),
    "split": lambda value: value in SPLITS,
}


class RowsFile:
    """A file of rows that grows; a context manager that closes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.row_count = 0
        self.characters = 0
        self._file = path.open("w", encoding="utf-8", newline="\n")

    def __enter__(self) -> "RowsFile":
        return self

    def __exit__(self, *fault: object) -> None:
        self._file.close()

    def add(self, row: Row) -> None:
        line = json.dumps(to_json(row), ensure_ascii=False, separators=(",", ":")) + "\n"
        try:
            self._file.write(line)
        except UnicodeEncodeError:
            # Names of columns and keys may have halves of characters in them.
            self._file.write(whole_characters(line))
        self.row_count += 1
        self.characters += len(line)

    def store(self, objects: ObjectStore) -> Artifact:
        """Close the file and put it into the object store."""
        self._file.close()
        return objects.put_artifact_file(self.path, MEDIA_TYPE)


def fetch_rows(objects: ObjectStore, artifact: Artifact, path: Path) -> Path:
    """Write a rows artifact to `path`, checked against its digest, to be read with `read_rows`."""
    return objects.get_artifact_file(artifact, path)


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file in its order, one at a time.

    Raises:
        InvalidData: a line lacks what every row has; an agent of one's own may have written it.
    """
    with path.open(encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = from_json(json.loads(line))
            except KeyError as fault:
                raise InvalidData(
                    f"Line {number} of the rows has no {fault}.", cure="Write `row`, `text` and `label` in each line."
                ) from fault
            yield row
