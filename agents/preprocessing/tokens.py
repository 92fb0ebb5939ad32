"""Token ids: the rows of a split as a Parquet file that training reads as it is."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from agents.base.object_store import ObjectStore
from agents.data.types import Row, Split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BATCH_ROWS = 1000
MEDIA_TYPE = "application/vnd.apache.parquet"


class Cells(Protocol):
    """What a task keeps of a row, beside `row` and `text`."""

    def types(self) -> dict[str, Any]:
        """Return column -> type of pyarrow, without `input_ids`."""

    def columns(self, rows: Sequence[Row]) -> tuple[dict[str, list[Any]], int]:
        """Return the cells of these columns and of `input_ids`, and how many of the texts were cut."""

    def label_counts(self, rows: Sequence[Row]) -> Counter[str]: ...


class LabelCells:
    """Classification: `label` int64, an index into `labels`; texts are cut to `max_tokens`."""

    def __init__(self, tokenizer: "PreTrainedTokenizerFast", labels: Sequence[str], max_tokens: int) -> None:
        self._number = {label: index for index, label in enumerate(labels)}
        # A copy: truncation is set on it, and others use the tokenizer as it is. It works on all cores.
        self._tokenizer = deepcopy(tokenizer.backend_tokenizer)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens, direction=tokenizer.truncation_side)

    def types(self) -> dict[str, Any]:
        import pyarrow

        return {"label": pyarrow.int64()}

    def columns(self, rows: Sequence[Row]) -> tuple[dict[str, list[Any]], int]:
        encoded = self._tokenizer.encode_batch_fast([row["text"] for row in rows])
        cells = {"label": [self._number[row["label"]] for row in rows], "input_ids": [one.ids for one in encoded]}
        return cells, sum(bool(one.overflowing) for one in encoded)

    def label_counts(self, rows: Sequence[Row]) -> Counter[str]:
        return Counter(str(row["label"]) for row in rows)


@dataclass(frozen=True)
class ConversationCells:
    """Sft: `messages` string (JSON) and `loss_mask` list<bool>, of rows that are rendered already."""

    def types(self) -> dict[str, Any]:
        import pyarrow

        return {"messages": pyarrow.string(), "loss_mask": pyarrow.list_(pyarrow.bool_())}

    def columns(self, rows: Sequence[Row]) -> tuple[dict[str, list[Any]], int]:
        cells: dict[str, list[Any]] = {
            "messages": [json.dumps(row["messages"], ensure_ascii=False) for row in rows],
            "loss_mask": [list(map(bool, row["loss_mask"])) for row in rows],
            "input_ids": [row["input_ids"] for row in rows],
        }
        return cells, 0

    def label_counts(self, rows: Sequence[Row]) -> Counter[str]:
        return Counter()


class WrittenSplit(NamedTuple):
    """A split, and how many of its texts were cut to fit `max_tokens`."""

    split: Split
    cut_rows: int


def write_split(
    rows: Iterable[Row], cells: Cells, path: Path, objects: ObjectStore, progress: Callable[[int], None]
) -> WrittenSplit:
    """Write and store one split, with the columns that `Split` names, a thousand rows at a time."""
    import pyarrow
    import pyarrow.parquet

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
            label_counts += cells.label_counts(batch)
            plain = {"row": [row["row"] for row in batch], "text": [row["text"] for row in batch]}
            writer.write_table(pyarrow.table({**plain, **found}, schema=schema))
            progress(len(batch))
    split = Split(
        rows=objects.put_artifact_file(path, MEDIA_TYPE),
        row_count=row_count,
        label_counts=dict(sorted(label_counts.items())),
        token_count=token_count,
    )
    return WrittenSplit(split, cut_rows)
