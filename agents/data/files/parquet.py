"""Reader of Parquet and Arrow files, unpacked some rows at a time in a process that has limits.

What the pages of a file become is known only when they are unpacked: a cell of a dictionary may stand in every row.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from agents.base.confined import Limits, confined_stream
from agents.base.errors import InvalidData, first_line
from agents.data.files.records import Broken, Format, RawRecord
from agents.data.files.source import SourceFile

#: Of processor time, in all, and of waiting for some rows: a node's own timeout comes before.
PROCESSOR_S, WAIT_S = 1_000_000, 600.0
ARROW_MAGIC = b"ARROW1\x00\x00"
#: Of a message in a stream, before its size.
STREAM_START = b"\xff\xff\xff\xff"
SMALLER = (
    "Write it without dictionaries and with small row groups (pyarrow: use_dictionary=False, row_group_size=1000), or "
    "with smaller cells."
)


def is_arrow(source: SourceFile, wanted: Format | None) -> bool:
    """Say whether a file is Arrow, by its magic number or, of a stream, which has none, by its name and first bytes.

    Raises:
        InvalidData: its format says so, and it isn't.
    """
    first = source.sample(len(ARROW_MAGIC))
    named = wanted == "arrow" or source.suffix == ".arrow"
    found = first == ARROW_MAGIC or (named and first.startswith(STREAM_START))
    if named and not found:
        raise InvalidData(
            f"'{source.name}' is not an Arrow file: it doesn't start as one.",
            cure="Copy it again, or name its `format`.",
        )
    return found


def read_columnar(source: SourceFile, form: Literal["parquet", "arrow"]) -> Iterator[RawRecord | Broken]:
    """Yield the rows of a Parquet or Arrow file, numbered from 1; class labels of Hugging Face's datasets become names.

    Raises:
        InvalidData: the file is damaged, or some of its rows take more memory than they may.
    """
    told = "Parquet" if form == "parquet" else "Arrow"
    try:
        # Where pyarrow is not installed, other formats are read all the same.
        import pyarrow
        import pyarrow.ipc

        from agents.data.files.unpacking import unpack_arrow, unpack_parquet
    except ImportError as fault:
        raise InvalidData(
            f"'{source.name}' is {told}, and pyarrow is not installed here.",
            cure="Install the extra `train`, or write CSV or JSON lines.",
        ) from fault
    number = 0
    arguments: dict[str, Any] = {
        "path": str(source.path),
        "member": source.member,
        "budget": source.budget.model_dump(),
    }
    unpack = unpack_parquet if form == "parquet" else unpack_arrow
    subject = f"The {told} file '{source.name}'"
    try:
        for piece in _apart(source, subject, unpack, arguments) if source.budget.apart else unpack(**arguments):
            with pyarrow.ipc.open_stream(piece) as stream:
                names = class_names(stream.schema.metadata or {})
                for batch in stream:
                    size = batch.nbytes // max(1, batch.num_rows)
                    for values in batch.to_pylist(maps_as_pydicts="lossy"):
                        number += 1
                        for key, classes in names.items():
                            if key in values:
                                values[key] = named(values[key], classes)
                        yield RawRecord(number, values, size)
    except MemoryError:
        # Only where this process has limits already: whoever set them says so.
        raise
    except (pyarrow.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError) as fault:
        raise InvalidData(
            f"{subject} is damaged, from row {number + 1} on: {first_line(fault)}",
            cure="Write it again.",
        ) from fault


def _apart(
    source: SourceFile, subject: str, unpack: Callable[..., Iterator[bytes]], arguments: dict[str, Any]
) -> Iterator[bytes]:
    budget = source.budget
    limits = Limits(
        # A packed file has to be in memory.
        memory_mib=budget.batch_mib + (budget.memory_mib if source.packed else 0),
        cpu_s=PROCESSOR_S,
        wall_s=WAIT_S,
        answer_mib=budget.batch_mib,
        memory_cure=SMALLER,
        time_cure=SMALLER,
        answer_cure=SMALLER,
    )
    return confined_stream(unpack, arguments, limits, subject=subject)


def class_names(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Return column -> names of its classes, from what Hugging Face's `datasets` writes into a schema.

    Of a column of lists the classes are those of what is in the lists.
    """
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        classes = {column: _names(feature) for column, feature in features.items()}
        return {column: names for column, names in classes.items() if names}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # Written by something else.
        return {}


def _names(feature: Any) -> list[str] | None:
    """Return the names of a feature's classes: those of `ClassLabel`, or of a list of them in each of its spellings."""
    if isinstance(feature, list) and len(feature) == 1:
        return _names(feature[0])
    if not isinstance(feature, dict):
        return None
    if isinstance(feature.get("names"), list):
        return [str(name) for name in feature["names"]]
    return _names(feature.get("feature"))


def named(value: Any, names: list[str] | None) -> Any:
    """Return the name of a class, or of each in a list; -1 is how `datasets` writes that there is none."""
    if names is None or isinstance(value, bool):
        return value
    if isinstance(value, list):
        return [one for cell in value if (one := named(cell, names)) is not None]
    if isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    return None if value == -1 else value
