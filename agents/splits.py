"""The frozen test split, as evaluation scores it and export proves its formats on it."""

import json
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


@dataclass(frozen=True)
class TestConversations:
    """`numbers` are the rows' numbers in the source; each conversation ends with the answer that is expected."""

    numbers: list[int]
    texts: list[str]
    conversations: list[list[dict[str, str]]]

    @property
    def prompts(self) -> list[list[dict[str, str]]]:
        return [messages[:-1] for messages in self.conversations]

    @property
    def expected(self) -> list[str]:
        return [messages[-1]["content"] for messages in self.conversations]


def read_test_conversations(context: Context, data: PreprocessingOutput) -> TestConversations:
    """Return the test split of conversations, checked against its digest."""
    import pyarrow.parquet as pq

    split = data.splits["test"]
    path = context.objects.get_artifact_file(split.rows, context.work_dir / "test.parquet")
    table = pq.read_table(path, columns=["row", "text", "messages"])
    messages = [json.loads(text) for text in table["messages"].to_pylist()]
    return TestConversations(table["row"].to_pylist(), table["text"].to_pylist(), messages)
