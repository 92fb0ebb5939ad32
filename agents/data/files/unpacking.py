"""Parquet and Arrow unpacked: some rows at a time, with plain types, as Arrow's own stream of bytes."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import IO, Any

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
from pyarrow import types

from agents.base.errors import InvalidData, first_line
from agents.base.row_budget import RowBudget
from agents.data.files.parquet import ARROW_MAGIC, SMALLER
from agents.data.files.source import SourceFile
from agents.data.files.tables import check_columns

#: Of rows that are read at once, by the file's own account.
BATCH_BYTES = 64 << 20
#: Larger batches go on a few rows at a time.
PIECE_BYTES = 8 << 20
#: Values of such a number of rows, those in lists included.
VALUES_MOST = 5_000_000


def unpack_arrow(path: str, member: str | None, budget: dict[str, Any]) -> Iterator[bytes]:
    """Yield the rows of an Arrow file or stream, as `unpack_parquet` does.

    Raises:
        InvalidData: it has too many columns, or rows with too many values; it is damaged.
    """
    source = SourceFile(Path(path), RowBudget.model_validate(budget), member)
    with source.open_bytes() as bytes_file:
        try:
            for batch in _arrow_batches(source, bytes_file):
                check_columns(source, batch.schema.names)
                for start in range(0, batch.num_rows, source.budget.batch_rows):
                    yield from _as_streams(source, batch.slice(start, source.budget.batch_rows))
        except (pyarrow.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError) as fault:
            if isinstance(fault, MemoryError):
                raise
            raise InvalidData(
                f"The Arrow file '{source.name}' is damaged: {first_line(fault)}", cure="Write it again."
            ) from fault


def _arrow_batches(source: SourceFile, bytes_file: IO[bytes]) -> Iterator[pyarrow.RecordBatch]:
    if source.sample(len(ARROW_MAGIC)) != ARROW_MAGIC:
        # A stream is read from its start.
        yield from pyarrow.ipc.open_stream(bytes_file)
        return
    # A file is read from its end: a packed one has to be in memory.
    file = pyarrow.ipc.open_file(pyarrow.BufferReader(bytes_file.read()) if source.packed else bytes_file)
    for place in range(file.num_record_batches):
        yield file.get_batch(place)


def unpack_parquet(path: str, member: str | None, budget: dict[str, Any]) -> Iterator[bytes]:
    """Yield the rows of a Parquet file, some at a time, each time as a stream of Arrow with plain types.

    Raises:
        InvalidData: it has too many columns, or rows with too many values.
        pyarrow.ArrowException, OSError: it is damaged.
    """
    source = SourceFile(Path(path), RowBudget.model_validate(budget), member)
    with source.open_bytes() as bytes_file:
        try:
            # Parquet is read from its end: a packed one has to be in memory.
            file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(bytes_file.read()) if source.packed else bytes_file)
            check_columns(source, [file.schema.column(index).path for index in range(len(file.schema))])
            for row_count, groups in groupby(
                range(file.num_row_groups), lambda group: _batch_rows(file, group, source)
            ):
                options = {"batch_size": row_count, "row_groups": list(groups), "use_threads": False}
                for batch in file.iter_batches(**options):
                    yield from _as_streams(source, batch)
        except (pyarrow.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError) as fault:
            if isinstance(fault, MemoryError):
                raise
            raise InvalidData(
                f"The Parquet file '{source.name}' is damaged: {first_line(fault)}", cure="Write it again."
            ) from fault


def _batch_rows(file: pyarrow.parquet.ParquetFile, group: int, source: SourceFile) -> int:
    """Return how many rows of a row group are read at once: one of few numbers, so that groups can be read together."""
    found = file.metadata.row_group(group)
    size = found.total_byte_size / max(1, found.num_rows)
    most = source.budget.batch_rows
    return next((count for count in (most, most // 10, most // 100) if count * size <= BATCH_BYTES), 1) or 1


def _as_streams(source: SourceFile, batch: pyarrow.RecordBatch) -> Iterator[bytes]:
    columns = [_plain_column(column) for column in batch]
    if (count := sum(map(_value_count, columns))) > VALUES_MOST:
        raise InvalidData(
            f"'{source.name}' has {batch.num_rows:,} rows with {count:,} values in their lists; at "
            f"most {VALUES_MOST:,} are read at once.",
            cure=SMALLER,
        )
    fields = [field.with_type(column.type) for field, column in zip(batch.schema, columns, strict=True)]
    schema = pyarrow.schema(fields, batch.schema.metadata)
    whole = pyarrow.RecordBatch.from_arrays(columns, schema=schema)
    step = max(1, PIECE_BYTES * whole.num_rows // max(1, whole.nbytes))
    for start in range(0, whole.num_rows, step):
        sink = pyarrow.BufferOutputStream()
        with pyarrow.ipc.new_stream(sink, schema) as stream:
            stream.write_batch(whole.slice(start, step))
        yield sink.getvalue().to_pybytes()


def _plain_column(column: pyarrow.Array) -> pyarrow.Array:
    """Return a column with a plain type; numbers of 16 and 32 bits as whoever wrote them: 0.1, not 0.10000000149."""
    if types.is_float16(column.type) or types.is_float32(column.type):
        return column.cast(pyarrow.float32()).cast(pyarrow.string()).cast(pyarrow.float64())
    return column if column.type == plain(column.type) else column.cast(plain(column.type))


def plain(kind: pyarrow.DataType) -> pyarrow.DataType:
    """Return a type without dictionaries and runs, in which one value stands for many."""
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return plain(kind.value_type)
    if types.is_struct(kind):
        return pyarrow.struct(
            [kind.field(place).with_type(plain(kind.field(place).type)) for place in range(len(kind))]
        )
    if types.is_map(kind):
        return pyarrow.map_(plain(kind.key_type), plain(kind.item_type))
    if types.is_large_list(kind):
        return pyarrow.large_list(kind.value_field.with_type(plain(kind.value_type)))
    if types.is_list(kind):
        return pyarrow.list_(kind.value_field.with_type(plain(kind.value_type)))
    return kind


def _value_count(column: pyarrow.Array) -> int:
    """Return how many values a column has, those inside of lists and structs included."""
    kind = column.type
    if types.is_struct(kind):
        return sum(map(_value_count, column.flatten()))
    if types.is_map(kind):
        return _value_count(column.keys) + _value_count(column.items)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return len(column) + _value_count(column.flatten())
    return len(column)
