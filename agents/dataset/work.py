"""A source read row by row, and the rows artifact that it becomes."""

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

from agents.base.agent import Context
from agents.data.checks import check_rows
from agents.data.files.folders import row_files
from agents.data.losses import check_lost
from agents.data.reader import RowsReader, told_parts
from agents.data.rows import RowsFile
from agents.data.statistics import Tally
from agents.data.types import Row
from agents.dataset.types import DatasetConfig, DatasetOutput
from agents.tasks import find_task
from agents.tasks.shapes import check_shape

LIMIT_SEED = 13
#: Reasons of rows that are left out because the config says so.
WANTED = frozenset({"over_limit", "label_not_in_map", "held_out"})
LOST_CURES = {
    "missing_label": "Label these rows, or set `label_column`",
    "missing_text": "Write the text of these rows, or set `text_column`",
    "no_answer": "End these conversations with an answer",
}
#: Fields that are not used, each of which is told in the log.
TOLD_FIELDS = 20


def open_source(config: DatasetConfig, context: Context) -> RowsReader:
    """Find the files of the source.

    Raises:
        InvalidData: it is a folder without rows.
    """
    sources = context.sources
    found = row_files(sources.local(config.source, "rows"), sources.rows, config.part)
    return RowsReader(config, context, found, sources.rows)


def write_rows(reader: RowsReader, config: DatasetConfig, context: Context) -> DatasetOutput:
    """Write the rows as an artifact, and say in the log what was left out or is damaged.

    Raises:
        InvalidData: no rows, no such column, one label only, or more than a few lines that can't be read.
    """
    tally = Tally()
    with RowsFile(context.work_dir / "rows.jsonl") as file:
        for row in _limited(reader.rows(), config.limit, reader.dropped):
            file.add(row)
            tally.add(row)
            if file.characters > reader.most_bytes:
                reader.refuse_growth(f"{reader.place}, up to row {row.number}: the rows, as JSON,")
        check_rows(reader, tally)
        _check_lost(reader, config, context, file.row_count)
        artifact = file.store(context.objects)
    _tell(reader, tally, context)
    columns = reader.columns
    assert columns is not None
    if config.task is not None:
        check_shape(find_task(config.task), columns.shape, config.source, columns.preference)
    return DatasetOutput(
        task=config.task,
        rows=artifact,
        row_count=file.row_count,
        columns=columns.names,
        shape=columns.shape,
        text_column=columns.text,
        label_column=columns.label,
        columns_why=columns.why,
        label_counts=tally.told_labels(),
        dropped=dict(reader.dropped),
        labels_cleaned=reader.labels_cleaned,
        unused_fields=dict(reader.notes.unused_fields),
        unlearned=dict(reader.notes.unlearned),
        preference=columns.preference,
        statistics={**tally.statistics(), "files": reader.files_read, **_parts(reader)},
        source=config.source,
        source_sha256=context.sources.fingerprint(config.source, "rows"),
    )


def _check_lost(reader: RowsReader, config: DatasetConfig, context: Context, left: int) -> None:
    """Tell of a large share of rows that can't be used, or refuse. What was asked for is no loss."""
    lost = {reason: count for reason, count in reader.dropped.items() if reason not in WANTED}

    def cure_of(reason: str) -> str:
        first = reader.first_dropped.get(reason)
        place = f" (first {first})" if first else ""
        return f"{LOST_CURES.get(reason, 'Look at these rows')}{place}."

    check_lost(context, "dataset", lost, left, config.maximum_lost_share, cure_of)


def _parts(reader: RowsReader) -> dict[str, Any]:
    found: dict[str, Any] = {"left_out": told_parts(reader), "splits": dict(reader.split_rows)}
    found["file_count"] = len(reader.files) if len(reader.files) > len(reader.files_read) else None
    return {name: value for name, value in found.items() if value}


def _tell(reader: RowsReader, tally: Tally, context: Context) -> None:
    if reader.left_out:
        context.log("parts_left_out", level="warning", parts=told_parts(reader))
    if reader.split_rows:
        context.log("splits_found", rows=dict(reader.split_rows))
    if reader.dropped:
        context.log("rows_dropped", level="warning", rows=reader.dropped.total(), reasons=dict(reader.dropped))
    if reader.labels_cleaned:
        context.log("labels_cleaned", rows=reader.labels_cleaned)
    if tally.damaged_rows:
        context.log("damaged_characters", level="warning", rows=tally.damaged_rows)
    for field, count in reader.notes.unused_fields.most_common(TOLD_FIELDS):
        context.log("unused_field", level="warning", field=field, count=count)
    if len(reader.notes.unused_fields) > TOLD_FIELDS:
        context.log("more_unused_fields", level="warning", fields=len(reader.notes.unused_fields) - TOLD_FIELDS)
    if reader.notes.unlearned:
        context.log("answers_not_learned", level="warning", reasons=dict(reader.notes.unlearned))
    if reader.columns and reader.columns.preference:
        context.log("preference_data", found=reader.columns.preference.found)


def _limited(rows: Iterator[Row], limit: int | None, dropped: Counter[str]) -> Iterator[Row]:
    """Draw `limit` rows with equal chances in one pass, and keep their order.

    Source: algorithm R of Vitter, "Random Sampling with a Reservoir" (1985). The first rows would not do:
    sources are often sorted by label.
    """
    if limit is None:
        yield from rows
        return
    random = Random(LIMIT_SEED)
    drawn: list[tuple[int, Row]] = []
    seen = 0
    for seen, row in enumerate(rows, start=1):
        if len(drawn) < limit:
            drawn.append((seen, row))
        elif (place := random.randrange(seen)) < limit:
            drawn[place] = (seen, row)
    if seen > limit:
        dropped["over_limit"] += seen - limit
    yield from (row for _, row in sorted(drawn, key=lambda numbered: numbered[0]))
