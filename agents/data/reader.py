"""Rows of a source: its files gone through, columns found, rows made text and label or conversations, drops counted."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any, NoReturn, Protocol

from agents.base.errors import InvalidData
from agents.base.row_budget import RowBudget
from agents.data.columns import Columns, check_named, find_columns, find_text, first_records
from agents.data.conversations import Conversation, message_text, prompt_text, read_conversation
from agents.data.evidence import evidence_of
from agents.data.fields import MEDIA_FIELDS, Notes, is_empty, is_harmless
from agents.data.files import Broken, RawRecord, Reading, open_rows
from agents.data.files.folders import Found, RowFile
from agents.data.files.names import SURE_LABELS
from agents.data.files.records import TooDeep, as_json, as_text, shortened
from agents.data.files.splits import split_column, split_of
from agents.data.files.tables import check_columns
from agents.data.labels import LabelReader, refuse_objects
from agents.data.preferences import JUDGEMENTS, read_preference
from agents.data.refusals import MAXIMUM_BROKEN_SHARE, held_out, refuse_broken, with_forms
from agents.data.rows import OWN_KEYS
from agents.data.shapes import TEXTS, are_answers, find_shape, late_part
from agents.data.token_rows import refuse_token_rows
from agents.data.turns import Source, Unusable
from agents.data.types import Message, ReaderConfig, Row, Shape

#: Formats that tell numbers from texts, and those of them that give an object of a list the keys of all others.
TYPED = frozenset({"jsonl", "json", "yaml", "xlsx", "parquet", "arrow"})
FILLED = frozenset({"parquet", "arrow"})
#: Parts of a source that are named where they are left out, and files that are where they are read.
TOLD_PARTS, TOLD_FILES = 50, 200


class Listener(Protocol):
    """What is told how the reading goes; a `Context` is one."""

    def log(self, event: str, *, level: str = "info", **fields: Any) -> None: ...

    def progress(self, done: float, total: float, **fields: Any) -> None: ...


class RowsReader:
    """Goes through the files of a source; what it learns on the way is in its attributes."""

    def __init__(self, config: ReaderConfig, context: Listener, found: Found, budget: RowBudget | None = None) -> None:
        self.config = config
        self.context = context
        self.files = found.files
        self.left_out = dict(found.left_out)
        """Files, lists and sheets of the source that are not read -> why."""
        self.budget = budget or RowBudget()
        self.columns: Columns | None = None
        self.dropped: Counter[str] = Counter()
        self.first_dropped: dict[str, str] = {}
        self.files_read: list[dict[str, Any]] = []
        self.split_rows: Counter[str] = Counter()
        """Split that the source gives -> its rows."""
        self._part = found.part
        self.size_bytes = found.size_bytes
        self.most_bytes = self.budget.unpacked_bytes(self.size_bytes)
        self.notes = Notes()
        """Fields that are not used, and answers that carry no loss."""
        self._characters = 0
        self._used: set[str] = set()
        self._split_column: str | None = None
        self._known: set[str] = set()
        self._unused: set[str] = set()
        self._labels = LabelReader([], several=False, typed=True)
        self._source = Source(self.notes)

    @property
    def place(self) -> str:
        return f"'{self.files[0].name}'" if len(self.files) == 1 else f"'{self.config.source}'"

    @property
    def labels_cleaned(self) -> int:
        """Labels that marks which nobody sees were taken off of."""
        return self._labels.cleaned

    def rows(self) -> Iterator[Row]:
        """Yield the rows; their numbers go on from file to file, of which each has its name in the column `file`."""
        rows_before = 0
        for index, file in enumerate(self.files):
            last, named = 0, {"file": file.name} if len(self.files) > 1 else {}
            for record in self._records(file, index):
                last = record.row
                try:
                    row = self._row(record, rows_before, named, self._split(file, record))
                except Unusable as reason:
                    self._drop(str(reason), file, record)
                    continue
                except (TooDeep, RecursionError):
                    self._drop("nested_too_deep", file, record)
                    continue
                if row.split:
                    self.split_rows[row.split] += 1
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

    def _split(self, file: RowFile, record: RawRecord) -> str | None:
        """Return the split of a row: as its column, its sheet or list, or its file says."""
        if self._split_column and isinstance(cell := record.values.get(self._split_column), str):
            return split_of(cell) or record.split or file.split
        return record.split or file.split

    def _drop(self, reason: str, file: RowFile, record: RawRecord) -> None:
        self.dropped[reason] += 1
        self.first_dropped.setdefault(reason, f"'{file.name}', row {record.row}")

    def _records(self, file: RowFile, index: int) -> Iterator[RawRecord]:
        wanted = {name for name in (self.config.text_column, self.config.label_column) if name}
        config = self.config
        reading = open_rows(
            file.path,
            config.format,
            config.encoding,
            wanted,
            self.budget,
            member=file.member,
            part=self._part,
            passages=config.shape == "text",
            label=None if config.shape == "text" else file.label,
        )
        if file.columns:
            reading = replace(reading, records=_with_columns(reading.records, file.columns))
        sample = list(first_records(reading.records, self.budget.sample_characters))
        if lacking := self._lacking(file, sample):
            self.left_out[file.name] = lacking
            return
        self._open(reading, file, [item.values for item in sample if isinstance(item, RawRecord)])
        good, broken, first_broken = 0, 0, None
        for item in chain(sample, reading.records):
            if isinstance(item, Broken):
                first_broken = first_broken or item
                broken += item.line_count
                self.dropped[item.reason] += item.line_count
                continue
            good += 1
            if self.columns is None:
                self._drop_nameless(file, item, len(sample))
                continue
            self._characters += item.characters
            if self._characters > self.most_bytes:
                self.refuse_growth(f"'{file.name}', up to row {item.row}: the rows")
            if good % 1000 == 0:
                share = reading.source.position_bytes() / reading.source.size_bytes
                self.context.progress(index + share, len(self.files), rows=good)
            yield item
        if first_broken and broken >= MAXIMUM_BROKEN_SHARE * (good + broken):
            raise refuse_broken(file.name, first_broken, broken, good + broken)

    def _drop_nameless(self, file: RowFile, record: RawRecord, sampled: int) -> None:
        """Leave out a row without values before any with values; where rows with values begin too late, refuse."""
        if record.values:
            raise InvalidData(
                f"The first {sampled} rows of '{file.name}' are empty or can't be read: the columns can't be told "
                "from them.",
                cure="Fix these rows, or remove them.",
            )
        self._drop("missing_text", file, record)

    def _lacking(self, file: RowFile, sample: list[RawRecord | Broken]) -> str | None:
        """Return why a file of test or validation is left out: it has no answers, as of competitions."""
        if file.split in (None, "train") or self.columns is None:
            return None
        names = {name for item in sample if isinstance(item, RawRecord) for name in item.values}
        label = self.columns.label
        return None if label in names or not (label and names) else f"it has no column '{shortened(label)}'"

    def _open(self, reading: Reading, file: RowFile, sample: list[dict[str, Any]]) -> None:
        """Find the columns, from the first file with rows; others have to have the same."""
        if any(sample):
            self._split_column = split_column(sample, {self.config.text_column, self.config.label_column})
            told = [{name: cell for name, cell in row.items() if name != self._split_column} for row in sample]
            found = self._columns(reading, told)
            known = self.columns.names if self.columns else []
            self.columns = found._replace(names=list(dict.fromkeys([*known, *found.names])))
            self._used = {found.text, found.label, *found.parts.values()}
            self._used |= {self._split_column} if self._split_column else set()
            self._known, self._unused = set(), set()
            self._source = Source(self.notes, filled=reading.format in FILLED)
        facts: dict[str, Any] = {"file": file.name, "format": reading.format, "encoding": reading.encoding}
        more = {
            "delimiter": reading.delimiter,
            "language": reading.language,
            "form": reading.form,
            "split": file.split,
            "parts": dict(reading.parts),
        }
        more["split_column"] = self._split_column
        facts |= {name: value for name, value in more.items() if value}
        if note := held_out(file, reading):
            facts["note"] = note
            self.context.log("held_out_rows_used", level="warning", file=file.name, message=note)
        self.left_out |= {f"{file.name}: {name}": why for name, why in reading.left_out.items()}
        if len(self.files_read) == TOLD_FILES:
            return
        self.files_read.append(facts)
        self.context.log(
            "source_opened",
            **facts,
            has_header=reading.has_header,
            shape=self.columns.shape if self.columns else None,
            text_column=self.columns.text if self.columns else None,
            label_column=self.columns.label if self.columns else None,
            why=self.columns.why if self.columns else None,
        )

    def _columns(self, reading: Reading, sample: list[dict[str, Any]]) -> Columns:
        place, known = f"'{reading.source.name}'", self.columns
        names = list(dict.fromkeys(name for row in sample for name in row))
        check_columns(reading.source, names)
        shape = known.shape if known else self.config.shape or ("text_label" if self.config.label_map else None)
        text = known.text if known else self.config.text_column
        label = known.label if known else self.config.label_column
        if shape == "text":
            return find_text(place, sample, text)
        if known is None:
            check_named(place, names, text, label)
        conversation = find_shape(place, sample, shape, text, label) if reading.has_header else None
        if conversation is None:
            if text is None or label is None:
                refuse_token_rows(place, sample)
            try:
                found = find_columns(place, sample, text, label, has_header=reading.has_header)
            except InvalidData as fault:
                raise with_forms(fault, sample) from fault
            return self._of_labels(reading, found, sample, shape)
        parts = conversation.parts
        answer = parts.get("messages") or parts["answer"]
        prompt = parts.get("messages") or parts.get("prompt") or answer
        why = f"its columns are those of the shape '{conversation.shape}'" if shape is None else "the shape is set"
        return Columns(names, prompt, answer, conversation.shape, parts, conversation.preference, f"{why}.")

    def _of_labels(
        self, reading: Reading, found: Columns, sample: list[dict[str, Any]], shape: Shape | None
    ) -> Columns:
        """Return the columns of texts and labels, by what the labels are; objects are answers, as JSON text."""
        cells = [row.get(found.label) for row in sample]
        objects = refuse_objects(f"'{reading.source.name}'", found.label, cells)
        if objects and shape in TEXTS:
            raise objects
        sure = found.label.strip().casefold() in SURE_LABELS
        differ = are_answers(cells) or (not sure and evidence_of(found.label, sample).is_answer)
        if objects or (shape is None and differ):
            holds = "objects, which are answers of JSON" if objects else "answers: several words, mostly different"
            parts = {"prompt": found.text, "answer": found.label}
            why = f"{found.why.removesuffix('.')}; it holds {holds}."
            return found._replace(shape="prompt_completion", parts=parts, why=why)
        several, typed = shape == "text_labels", reading.format in TYPED
        cleaned = self._labels.cleaned
        self._labels = LabelReader(cells, self.config.label_map, several=several, typed=typed)
        if separator := self._labels.separator:
            self.context.log("labels_separated", column=found.label, separator=separator)
        self._labels.cleaned = cleaned
        return found._replace(shape="text_labels" if self._labels.several else "text_label")

    def _row(self, record: RawRecord, rows_before: int, file: dict[str, str], split: str | None) -> Row:
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
            return Row(number, text, label, extra=extra, labels=labels, split=split)
        said, rejected = self._conversation(self.columns, record.values)
        text, label = prompt_text(said.messages), message_text(said.messages[-1])
        return Row(number, text, label, said.messages, extra, tools=said.tools, rejected=rejected, split=split)

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
            elif name not in self._used and not (is_harmless(name) or (columns.parts and name in MEDIA_FIELDS)):
                # A row with pictures is left out and counted as such.
                self._unused.add(name)
        self.columns = columns._replace(names=list(dict.fromkeys([*columns.names, *new])))

    def _text_and_label(self, columns: Columns, values: dict[str, Any]) -> tuple[str, str, tuple[str, ...] | None]:
        cell = values.get(columns.text)
        if isinstance(cell, list | dict | bytes):
            raise Unusable("text_is_no_text")
        text = as_text(cell)
        if text is None or (columns.shape == "text" and not text.strip()):
            raise Unusable("missing_text")
        if columns.shape == "text":
            return text, "", None
        label, labels = self._labels.read(values.get(columns.label))
        if labels is not None and self._labels.several and columns.shape != "text_labels":
            self.columns = columns._replace(shape="text_labels")
        return text, label, labels


def _with_columns(records: Iterator[RawRecord | Broken], columns: Mapping[str, str]) -> Iterator[RawRecord | Broken]:
    """Yield records with columns that each of a file has, whatever it has itself."""
    for item in records:
        yield item if isinstance(item, Broken) else item._replace(values={**columns, **item.values})


def told_parts(reader: RowsReader) -> dict[str, str]:
    """Return what of the source is left out and why, the first of it, for the log, the output and a preview."""
    told = dict(list(reader.left_out.items())[:TOLD_PARTS])
    more = len(reader.left_out) - len(told)
    return told | ({f"{more} more": "they are not named here"} if more else {})
