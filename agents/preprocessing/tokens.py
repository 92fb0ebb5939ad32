"""Token ids: the rows of a split as a Parquet file that training reads as it is."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from agents.base.objects import ObjectStore
from agents.outputs import Split
from agents.rows import Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BATCH_ROWS = 1000
MEDIA_TYPE = "application/vnd.apache.parquet"


class Cells(Protocol):
    """What a task keeps of a row, beside `row`, `text` and `input_ids`."""

    def types(self) -> dict[str, Any]:
        """Return column -> type of pyarrow."""

    def columns(self, rows: Sequence[Row]) -> dict[str, list[Any]]:
        """Return the cells of these columns and of `input_ids`."""

    def label_counts(self, rows: Sequence[Row]) -> dict[str, int]: ...


@dataclass(frozen=True)
class LabelCells:
    """Classification: `label` int64, an index into `labels`; texts are cut to `max_tokens`."""

    tokenizer: "PreTrainedTokenizerFast"
    labels: Sequence[str]
    max_tokens: int

    def types(self) -> dict[str, Any]:
        import pyarrow

        return {"label": pyarrow.int64()}

    def columns(self, rows: Sequence[Row]) -> dict[str, list[Any]]:
        texts = [row["text"] for row in rows]
        number = {label: index for index, label in enumerate(self.labels)}
        input_ids = self.tokenizer(texts, truncation=True, max_length=self.max_tokens)["input_ids"]
        return {"label": [number[row["label"]] for row in rows], "input_ids": input_ids}

    def label_counts(self, rows: Sequence[Row]) -> dict[str, int]:
        return dict(sorted(Counter(str(row["label"]) for row in rows).items()))


@dataclass(frozen=True)
class ConversationCells:
    """Sft: `messages` string (JSON) and `loss_mask` list<bool>, of rows that are rendered already."""

    def types(self) -> dict[str, Any]:
        import pyarrow

        return {"messages": pyarrow.string(), "loss_mask": pyarrow.list_(pyarrow.bool_())}

    def columns(self, rows: Sequence[Row]) -> dict[str, list[Any]]:
        return {
            "messages": [json.dumps(row["messages"], ensure_ascii=False) for row in rows],
            "loss_mask": [row["loss_mask"] for row in rows],
            "input_ids": [row["input_ids"] for row in rows],
        }

    def label_counts(self, rows: Sequence[Row]) -> dict[str, int]:
        return {}


def write_split(
    rows: Sequence[Row],
    cells: Cells,
    max_tokens: int,
    path: Path,
    objects: ObjectStore,
    progress: Callable[[int], None],
) -> tuple[Split, int]:
    """Write and store one split, with the columns that `Split` names; return it and how many of its rows fill
    `max_tokens` and, in classification, may have been cut."""
    import pyarrow
    import pyarrow.parquet

    columns = {"row": pyarrow.int64(), "text": pyarrow.string(), **cells.types()}
    schema = pyarrow.schema({**columns, "input_ids": pyarrow.list_(pyarrow.int32())})
    token_count = filled = 0
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, len(rows), BATCH_ROWS):
            batch = rows[start : start + BATCH_ROWS]
            found = cells.columns(batch)
            lengths = [len(ids) for ids in found["input_ids"]]
            token_count += sum(lengths)
            filled += lengths.count(max_tokens)
            plain = {"row": [row["row"] for row in batch], "text": [row["text"] for row in batch]}
            writer.write_table(pyarrow.table({**plain, **found}, schema=schema))
            progress(len(batch))
    split = Split(
        rows=objects.put_artifact_file(path, MEDIA_TYPE),
        row_count=len(rows),
        label_counts=cells.label_counts(rows),
        token_count=token_count,
    )
    return split, filled
