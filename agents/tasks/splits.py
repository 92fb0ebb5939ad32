"""The splits as evaluation scores them and export proves its formats on them; the test split is frozen."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray
from pyarrow import parquet

from agents.base.agent import Context
from agents.chat.answers import Conversation, answer_of
from agents.preprocessing.types import PreprocessingOutput


@dataclass(frozen=True)
class LabelledRows:
    """`numbers` are the rows' numbers in the source; `labels` is int64 of shape (rows,)."""

    numbers: list[int]
    texts: list[str]
    labels: NDArray[numpy.int64]


def read_labelled(context: Context, data: PreprocessingOutput, split: str) -> LabelledRows:
    """Return a split of labelled rows, in its order, checked against its digest."""
    table = parquet.read_table(_file(context, data, split), columns=["row", "text", "label"])
    return LabelledRows(table["row"].to_pylist(), table["text"].to_pylist(), table["label"].to_numpy())


def read_texts(
    context: Context, data: PreprocessingOutput, split: str, target: str
) -> tuple[list[int], list[str], list[Any]]:
    """Return the numbers of a split's rows in the source, their texts and what is in the column `target`, in its order,
    checked against its digest."""
    table = parquet.read_table(_file(context, data, split), columns=["row", "text", target])
    return table["row"].to_pylist(), table["text"].to_pylist(), table[target].to_pylist()


def _file(context: Context, data: PreprocessingOutput, split: str) -> Path:
    return context.objects.get_artifact_file(data.splits[split].rows, context.work_dir / f"{split}.parquet")


@dataclass(frozen=True)
class TestConversations:
    """`numbers` are the rows' numbers in the source; each conversation ends with the answer that is expected."""

    numbers: list[int]
    texts: list[str]
    conversations: list[Conversation]

    @property
    def prompts(self) -> list[Conversation]:
        return [Conversation(one.messages[:-1], one.tools) for one in self.conversations]

    @property
    def expected(self) -> list[str]:
        return [answer_of(one.messages[-1]).text for one in self.conversations]


def read_test_conversations(context: Context, data: PreprocessingOutput) -> TestConversations:
    """Return the test split of conversations, checked against its digest."""
    return read_conversations(context, data, "test")


def read_conversations(context: Context, data: PreprocessingOutput, split: str) -> TestConversations:
    """Return a split of conversations, in its order, checked against its digest."""
    file = _file(context, data, split)
    # Where no row has tools there is no such column.
    columns = [name for name in ("row", "text", "messages", "tools") if name in parquet.read_schema(file).names]
    table = parquet.read_table(file, columns=columns)
    messages = [json.loads(text) for text in table["messages"].to_pylist()]
    tools = table["tools"].to_pylist() if "tools" in table.column_names else [None] * len(messages)
    conversations = [
        Conversation(turns, json.loads(text) if text else None) for turns, text in zip(messages, tools, strict=True)
    ]
    return TestConversations(table["row"].to_pylist(), table["text"].to_pylist(), conversations)
