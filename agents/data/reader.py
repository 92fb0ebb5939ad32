"""Rows of a source: its files gone through, columns found, rows made text and label or conversations, drops counted."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn, Protocol

from agents.base.errors import InvalidData
from agents.base.row_budget import RowBudget
from agents.base.sources import matching_files
from agents.data.columns import Columns, find_columns
from agents.data.conversations import Conversation, message_text, prompt_text, read_conversation
from agents.data.fields import Notes, is_empty, is_harmless
from agents.data.files import Broken, RawRecord, Reading, open_rows
from agents.data.files.records import TooDeep, as_json, as_text, shortened
from agents.data.files.tables import check_columns
from agents.data.labels import LabelReader, refuse_objects
from agents.data.preferences import JUDGEMENTS, read_preference
from agents.data.rows import OWN_KEYS
from agents.data.shapes import TEXTS, find_shape, late_part
from agents.data.statistics import Tally
from agents.data.turns import Source, Unusable
from agents.data.types import Message, ReaderConfig, Row, Shape

SAMPLE_ROWS = 200
#: A file with this share of unreadable lines or more is refused.
MAXIMUM_BROKEN_SHARE = 0.01
#: JSON files beside rows that are not rows themselves.
#: Formats that tell numbers from texts, and those of them that give an object of a list the keys of all others.
TYPED, FILLED = frozenset({"jsonl", "json", "parquet", "arrow"}), frozenset({"parquet", "arrow"})
NO_ROWS = {"dataset_info.json", "dataset_infos.json", "state.json", "config.json", "package.json"}


class Listener(Protocol):
    """What is told how the reading goes; a `Context` is one."""

    def log(self, event: str, *, level: str = "info", **fields: Any) -> None: ...

    def progress(self, done: float, total: float, **fields: Any) -> None: ...


class RowsReader:
    """Goes through the files of a source; what it learns on the way is in its attributes."""

    def __init__(
        self, config: ReaderConfig, context: Listener, files: list[Path], budget: RowBudget | None = None
    ) -> None:
        self.config = config
        self.context = context
        self.files = files
        self.budget = budget or RowBudget()
        self.columns: Columns | None = None
        self.dropped: Counter[str] = Counter()
        self.first_dropped: dict[str, str] = {}
        self.files_read: list[dict[str, Any]] = []
        self.size_bytes = sum(file.stat().st_size for file in files)
        self.most_bytes = self.budget.unpacked_bytes(self.size_bytes)
        self.notes = Notes()
        """Fields that are not used, and answers that carry no loss."""
        self._characters = 0
        self._used: set[str] = set()
        self._known: set[str] = set()
        self._unused: set[str] = set()
        self._labels = LabelReader([], several=False, typed=True)
        self._source = Source(self.notes)

    @property
    def place(self) -> str:
        return f"'{self.files[0].name}'" if len(self.files) == 1 else f"'{self.config.source}'"

    def rows(self) -> Iterator[Row]:
        """Yield the rows; their numbers go on from file to file, of which each has its name in the column `file`."""
        rows_before = 0
        for index, path in enumerate(self.files):
            last, file = 0, {"file": path.name} if len(self.files) > 1 else {}
            for record in self._records(path, index):
                last = record.row
                try:
                    row = self._row(record, rows_before, file)
                except Unusable as reason:
                    self._drop(str(reason), path, record)
                    continue
                except (TooDeep, RecursionError):
                    self._drop("nested_too_deep", path, record)
                    continue
                yield row
            rows_before += last
        self.context.progress(len(self.files), len(self.files))

    def refuse_growth(self, what: str) -> NoReturn:
        """Raise for a source that becomes much more than its size on disk."""
        raise InvalidData(
            f"{what} take more than {self.most_bytes:,} bytes, over {self.budget.unpacked_ratio} times the size of "
            f"{self.place} ({self.size_bytes:,} bytes).",
            cure="Write it as JSON lines that are not packed, or raise TUNELINE_ROWS_UNPACKED_RATIO.",
        )

    def _drop(self, reason: str, path: Path, record: RawRecord) -> None:
        self.dropped[reason] += 1
        self.first_dropped.setdefault(reason, f"'{path.name}', row {record.row}")

    def _records(self, path: Path, index: int) -> Iterator[RawRecord]:
        wanted = {name for name in (self.config.text_column, self.config.label_column) if name}
        reading = open_rows(path, self.config.format, self.config.encoding, wanted, self.budget)
        sample = list(_first(reading.records, self.budget.sample_characters))
        self._open(reading, [item.values for item in sample if isinstance(item, RawRecord)])
        good, broken, first_broken = 0, 0, None
        for item in chain(sample, reading.records):
            if isinstance(item, Broken):
                first_broken = first_broken or item
                broken += item.line_count
                self.dropped[item.reason] += item.line_count
                continue
            good += 1
            if self.columns is None:
                self._drop_nameless(path, item, len(sample))
                continue
            self._characters += item.characters
            if self._characters > self.most_bytes:
                self.refuse_growth(f"'{path.name}', up to row {item.row}: the rows")
            if good % 1000 == 0:
                share = reading.source.position_bytes() / reading.source.size_bytes
                self.context.progress(index + share, len(self.files), rows=good)
            yield item
        if first_broken and broken >= MAXIMUM_BROKEN_SHARE * (good + broken):
            _refuse(path.name, first_broken, broken, good + broken)

    def _drop_nameless(self, path: Path, record: RawRecord, sampled: int) -> None:
        """Leave out a row without values before any with values; where rows with values begin too late, refuse."""
        if record.values:
            raise InvalidData(
                f"The first {sampled} rows of '{path.name}' are empty or can't be read: the columns can't be told "
                "from them.",
                cure="Fix these rows, or remove them.",
            )
        self._drop("missing_text", path, record)

    def _open(self, reading: Reading, sample: list[dict[str, Any]]) -> None:
        """Find the columns, from the first file with rows; others have to have the same."""
        if any(sample):
            found = self._columns(reading, sample)
            known = self.columns.names if self.columns else []
            self.columns = found._replace(names=list(dict.fromkeys([*known, *found.names])))
            self._used = {found.text, found.label, *found.parts.values()}
            self._known, self._unused = set(), set()
            self._source = Source(self.notes, filled=reading.format in FILLED)
        facts = {"file": reading.source.name, "format": reading.format, "encoding": reading.encoding}
        if reading.delimiter:
            facts["delimiter"] = reading.delimiter
        self.files_read.append(facts)
        self.context.log(
            "source_opened",
            **facts,
            has_header=reading.has_header,
            shape=self.columns.shape if self.columns else None,
            text_column=self.columns.text if self.columns else None,
            label_column=self.columns.label if self.columns else None,
        )

    def _columns(self, reading: Reading, sample: list[dict[str, Any]]) -> Columns:
        place, known = f"'{reading.source.name}'", self.columns
        names = list(dict.fromkeys(name for row in sample for name in row))
        check_columns(reading.source, names)
        shape = known.shape if known else self.config.shape or ("text_label" if self.config.label_map else None)
        text = known.text if known else self.config.text_column
        label = known.label if known else self.config.label_column
        conversation = find_shape(place, sample, shape, text, label) if reading.has_header else None
        if conversation is None:
            found = find_columns(place, sample, text, label, has_header=reading.has_header)
            return self._of_labels(reading, found, sample, shape)
        parts = conversation.parts
        answer = parts.get("messages") or parts["answer"]
        prompt = parts.get("messages") or parts.get("prompt") or answer
        return Columns(names, prompt, answer, conversation.shape, parts, conversation.preference)

    def _of_labels(
        self, reading: Reading, found: Columns, sample: list[dict[str, Any]], shape: Shape | None
    ) -> Columns:
        """Return the columns of texts and labels, by what the labels are; objects are answers, as JSON text."""
        cells = [row.get(found.label) for row in sample]
        if objects := refuse_objects(f"'{reading.source.name}'", found.label, cells):
            if shape in TEXTS:
                raise objects
            parts = {"prompt": found.text, "answer": found.label}
            return found._replace(shape="prompt_completion", parts=parts)
        several, typed = shape == "text_labels", reading.format in TYPED
        self._labels = LabelReader(cells, self.config.label_map, several=several, typed=typed)
        return found._replace(shape="text_labels" if self._labels.several else "text_label")

    def _row(self, record: RawRecord, rows_before: int, file: dict[str, str]) -> Row:
        """Return a row as it goes on, with `file` as one more column.

        Raises:
            Unusable: with the reason why it is left out.
        """
        assert self.columns is not None
        if not record.values.keys() <= self._known:
            self._look_at(record.values)
        if self._unused:
            self.notes.unused(name for name in self._unused if not is_empty(record.values.get(name)))
        extra = {
            f"source_{name}" if name in OWN_KEYS else name: as_json(value, self.budget.depth)
            for name, value in record.values.items()
            if name not in self._used
        }
        number = rows_before + record.row
        extra.update(file)
        if self.columns.shape in TEXTS:
            text, label, labels = self._text_and_label(self.columns, record.values)
            return Row(number, text, label, extra=extra, labels=labels)
        said, rejected = self._conversation(self.columns, record.values)
        text, label = prompt_text(said.messages), message_text(said.messages[-1])
        return Row(number, text, label, said.messages, extra, tools=said.tools, rejected=rejected)

    def _conversation(self, columns: Columns, values: dict[str, Any]) -> tuple[Conversation, list[Message] | None]:
        if columns.preference:
            return read_preference(columns.preference, columns.parts, values, self._source)
        return read_conversation(columns.parts, values, self._source), None

    def _look_at(self, values: dict[str, Any]) -> None:
        """Find out what columns are that were not there before: a part of the shape, harmless, or not used."""
        assert self.columns is not None
        columns, new = self.columns, [name for name in values if name not in self._known]
        for name in new:
            if values[name] is None and name.strip().casefold() in JUDGEMENTS:
                # Whether it judges answers shows in a row that has it.
                continue
            self._known.add(name)
            part = None if name in self._used else late_part(columns.shape, columns.parts, name, values[name])
            if part:
                columns = columns._replace(parts={**columns.parts, part: name})
                self._used.add(name)
            elif name not in self._used and not is_harmless(name):
                self._unused.add(name)
        self.columns = columns._replace(names=list(dict.fromkeys([*columns.names, *new])))

    def _text_and_label(self, columns: Columns, values: dict[str, Any]) -> tuple[str, str, tuple[str, ...] | None]:
        cell = values.get(columns.text)
        if isinstance(cell, list | dict | bytes):
            raise Unusable("text_is_no_text")
        text = as_text(cell)
        if text is None:
            raise Unusable("missing_text")
        label, labels = self._labels.read(values.get(columns.label))
        if labels is not None and self._labels.several and columns.shape != "text_labels":
            self.columns = columns._replace(shape="text_labels")
        return text, label, labels


def _first(records: Iterator[RawRecord | Broken], characters: int) -> Iterator[RawRecord | Broken]:
    """Yield the first records of a file, up to 200, and of long ones fewer."""
    for count, record in enumerate(records, start=1):
        yield record
        if isinstance(record, RawRecord):
            characters -= record.characters or sum(
                len(cell) for cell in record.values.values() if isinstance(cell, str)
            )
        if count == SAMPLE_ROWS or characters <= 0:
            return


def row_files(path: Path) -> list[Path]:
    """Return the files to read: the file itself, or those of a folder; of several splits the one for training."""
    if path.is_file():
        return [path]
    found = [file for file in matching_files(path, "rows") if file.name not in NO_ROWS]
    if not found:
        raise InvalidData(
            f"The folder '{path.name}' holds no rows.", cure="Put JSON lines, CSV or Parquet files there."
        )
    return [file for file in found if "train" in file.relative_to(path).as_posix()] or found


def _refuse(name: str, first: Broken, broken: int, total: int) -> None:
    raise InvalidData(
        f"'{name}', line {first.row}: {first.message}; {broken} of {total} lines can't be read.",
        cure=f"Fix these lines: fewer than {MAXIMUM_BROKEN_SHARE:.0%} would be left out and counted.",
    )


def check_rows(reader: RowsReader, tally: Tally) -> None:
    """Refuse a source without rows, or with one label only."""
    columns, place = reader.columns, reader.place
    if columns is None:
        raise InvalidData(f"{place} holds no rows.", cure="Add rows; a header alone is not enough.")
    if not tally.row_count:
        _refuse_all(reader, columns)
    if len(tally.label_counts) == 1:
        raise InvalidData(
            f"All {tally.row_count} rows of {place} have the label '{shortened(next(iter(tally.label_counts)))}' "
            f"(column '{columns.label}'): there is nothing to learn.",
            cure="Add rows with another label, or set `label_column`.",
        )


def _refuse_all(reader: RowsReader, columns: Columns) -> None:
    reasons = ", ".join(f"{count} x {reason}" for reason, count in reader.dropped.items())
    if columns.shape in TEXTS:
        raise InvalidData(
            f"{reader.place} has no usable row with text in '{columns.text}' and a label in '{columns.label}' "
            f"({reasons}).",
            cure="Check `text_column`, `label_column` and `label_map` of the dataset node.",
        )
    first = "; ".join(f"{reason} first in {place}" for reason, place in reader.first_dropped.items())
    raise InvalidData(
        f"{reader.place} has no usable row of the shape '{columns.shape}' ({reasons}; {first}).",
        cure="Check the rows, or set `shape`, `text_column` and `label_column` of the dataset node.",
    )
