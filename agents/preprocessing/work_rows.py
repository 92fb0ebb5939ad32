"""Rows at work: cleaned rows on disk; in memory only what they are compared by."""

import json
from array import array
from collections.abc import Iterable, Iterator
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, BinaryIO

import numpy
from numpy.typing import NDArray

from agents.data.row_keys import answer_text, seen_key, seen_text
from agents.data.types import Message, Rendered, Row

#: Of a row without labels, tools, a rejected conversation and a split of its own.
NO_MORE = (None,) * 4


class WorkRows:
    """Rows that are added once and then read by their index, in any order; a context manager that closes the file.

    `label_names`: key of a label -> the label, only where labels are named. `document` of a row
    with parts is the number of its source's row: parts of one text belong together.
    """

    def __init__(self, path: Path, seed: int, *, named_labels: bool) -> None:
        self.label_names: dict[int, str] = {}
        self._path = path
        self._seed = seed
        self._named_labels = named_labels
        self._file: BinaryIO = path.open("w+b")
        self._ends = array("Q")
        self._keys = array("Q")
        self._labels = array("Q")
        self._ranks = array("Q")
        self._documents = array("Q")

    def __enter__(self) -> "WorkRows":
        return self

    def __exit__(self, *fault: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, row: Row, document: int) -> None:
        """Add a row, its other columns left out."""
        values: tuple[Any, ...] = (row.number, row.text, row.label, row.messages, row.rendered)
        more = (row.labels, row.tools, row.rejected, row.split)
        if more != NO_MORE:
            values += more
        self._file.write(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
        self._ends.append(self._file.tell())
        digest = blake2b(seen_key(row).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        self._keys.extend((int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big")))
        answer = answer_text(row)
        label_key = int.from_bytes(blake2b(answer.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
        self._labels.append(label_key)
        if self._named_labels:
            self.label_names[label_key] = row.label
        ranked = sha256(f"{self._seed}\n{seen_text(row)}".encode("utf-8", "surrogatepass")).digest()
        self._ranks.append(int.from_bytes(ranked[:8], "big"))
        self._documents.append(document)

    def read(self, indices: Iterable[int] | NDArray[numpy.int64]) -> Iterator[Row]:
        """Yield the rows at `indices`; quickest where these go up."""
        self._file.flush()
        with self._path.open("rb") as file:
            for index in map(int, indices):
                start = self._ends[index - 1] if index else 0
                file.seek(start)
                values = json.loads(file.read(self._ends[index] - start).decode("utf-8", "surrogatepass"))
                yield _row(*values)

    @property
    def keys(self) -> NDArray[numpy.uint64]:
        """Digests of what a model sees of rows, without case, blanks and forms; uint64 of shape (rows, 2)."""
        return _numbers(self._keys).reshape(-1, 2)

    @property
    def labels(self) -> NDArray[numpy.uint64]:
        """Digests of labels or answers; uint64 of shape (rows,)."""
        return _numbers(self._labels)

    @property
    def ranks(self) -> NDArray[numpy.uint64]:
        """Where the split's seed puts each text; uint64 of shape (rows,)."""
        return _numbers(self._ranks)

    @property
    def documents(self) -> NDArray[numpy.uint64]:
        """The source's row that each came from; uint64 of shape (rows,)."""
        return _numbers(self._documents)


def _row(
    number: int,
    text: str,
    label: str,
    messages: list[Message] | None,
    rendered: list[Any] | None,
    labels: list[str] | None = None,
    tools: list[dict[str, Any]] | None = None,
    rejected: list[Message] | None = None,
    split: str | None = None,
) -> Row:
    """Return the row of the values of a line; most lines have no more than the first five."""
    tokens = Rendered(*rendered) if rendered else None
    several = None if labels is None else tuple(labels)
    return Row(number, text, label, messages, {}, tokens, several, tools, rejected, split)


def _numbers(values: "array[int]") -> NDArray[numpy.uint64]:
    return numpy.frombuffer(values, dtype=numpy.uint64)
