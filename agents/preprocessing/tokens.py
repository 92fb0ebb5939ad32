"""Token ids: the rows of a split as a Parquet file that training reads as it is."""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow
import pyarrow.parquet

from agents.base.object_store import ObjectStore
from agents.data.types import Row, Split
from agents.preprocessing.token_facts import TokenFacts
from agents.tasks.preparation import Cells

BATCH_ROWS = 1000
MEDIA_TYPE = "application/vnd.apache.parquet"


class WrittenSplit(NamedTuple):
    """A split, and how many of its texts were cut to fit `max_tokens`."""

    split: Split
    cut_rows: int


def write_split(
    rows: Iterable[Row],
    cells: Cells,
    path: Path,
    objects: ObjectStore,
    progress: Callable[[int], None],
    facts: TokenFacts,
) -> WrittenSplit:
    """Write and store one split, with the columns that `Split` names, a thousand rows at a time, and add to `facts`."""
    columns = {"row": pyarrow.int64(), "text": pyarrow.string(), **cells.types()}
    schema = pyarrow.schema({**columns, "input_ids": pyarrow.list_(pyarrow.int32())})
    row_count = token_count = cut_rows = 0
    label_counts: Counter[str] = Counter()
    waiting = iter(rows)
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while batch := list(islice(waiting, BATCH_ROWS)):
            found, cut = cells.columns(batch)
            row_count += len(batch)
            token_count += sum(map(len, found["input_ids"]))
            cut_rows += cut
            facts.add(batch, found["input_ids"], cut)
            label_counts += cells.label_counts(batch)
            plain = {"row": [row.number for row in batch], "text": [row.text for row in batch]}
            writer.write_table(pyarrow.table({**plain, **found}, schema=schema))
            progress(len(batch))
    split = Split(
        rows=objects.put_artifact_file(path, MEDIA_TYPE),
        row_count=row_count,
        label_counts=dict(sorted(label_counts.items())),
        token_count=token_count,
    )
    return WrittenSplit(split, cut_rows)
