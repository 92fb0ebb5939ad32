"""Token ids: the rows of a split as a Parquet file that training reads as it is."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agents.base.objects import ObjectStore
from agents.outputs import Split
from agents.rows import Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BATCH_ROWS = 1000
MEDIA_TYPE = "application/vnd.apache.parquet"


def write_split(
    rows: Sequence[Row],
    labels: Sequence[str],
    tokenizer: "PreTrainedTokenizerFast",
    max_tokens: int,
    path: Path,
    objects: ObjectStore,
    progress: Callable[[int], None],
) -> tuple[Split, int]:
    """Write and store one split; return it and how many of its rows fill `max_tokens` and may have been cut.

    Columns: `row` int64, `text` string, `label` int64 (index into `labels`), `input_ids` list<int32>.
    """
    import pyarrow
    import pyarrow.parquet

    columns = {"row": pyarrow.int64(), "text": pyarrow.string(), "label": pyarrow.int64()}
    schema = pyarrow.schema({**columns, "input_ids": pyarrow.list_(pyarrow.int32())})
    number = {label: index for index, label in enumerate(labels)}
    token_count = filled = 0
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, len(rows), BATCH_ROWS):
            batch = rows[start : start + BATCH_ROWS]
            texts = [row["text"] for row in batch]
            input_ids = tokenizer(texts, truncation=True, max_length=max_tokens)["input_ids"]
            token_count += sum(map(len, input_ids))
            filled += sum(len(ids) == max_tokens for ids in input_ids)
            cells = {"row": [row["row"] for row in batch], "text": texts, "input_ids": input_ids}
            cells["label"] = [number[row["label"]] for row in batch]
            writer.write_table(pyarrow.table(cells, schema=schema))
            progress(len(batch))
    split = Split(
        rows=objects.put_artifact_file(path, MEDIA_TYPE),
        row_count=len(rows),
        label_counts=dict(sorted(Counter(str(row["label"]) for row in rows).items())),
        token_count=token_count,
    )
    return split, filled
