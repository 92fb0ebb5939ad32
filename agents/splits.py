"""The frozen test split, as evaluation scores it and export proves its formats on it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.base.contract import Context
from agents.outputs import PreprocessingOutput

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class TestRows:
    """`numbers` are the rows' numbers in the source; `labels` is int64 of shape (rows,)."""

    numbers: list[int]
    texts: list[str]
    labels: "np.ndarray"


def read_test(context: Context, data: PreprocessingOutput) -> TestRows:
    """Return the test split, checked against its digest."""
    import pyarrow.parquet as pq

    split = data.splits["test"]
    path = context.objects.get_artifact_file(split.rows, context.work_dir / "test.parquet")
    table = pq.read_table(path, columns=["row", "text", "label"])
    return TestRows(table["row"].to_pylist(), table["text"].to_pylist(), table["label"].to_numpy())
