"""Records of data: rows, their shapes, splits, and how a source is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypedDict

from pydantic import Field, field_validator

from agents.base.records import Artifact, Config, Record
from agents.base.source_uri import SourceUri
from agents.data.files import Format

Shape = Literal["text_label", "alpaca", "prompt_completion", "input_output", "sharegpt", "messages"]
Role = Literal["system", "user", "assistant", "tool"]
SPLITS = ("train", "validation", "test")


class Message(TypedDict):
    """A turn of a conversation: a dictionary of OpenAI's form, which templates, endpoints and files take as it is."""

    role: Role
    content: str


class Rendered(NamedTuple):
    """A conversation as tokens. `loss_mask`: True for the tokens of answers and the token that ends each."""

    input_ids: list[int]
    loss_mask: list[bool]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a source. `number`: its line, or its number where there are no lines, from 1.

    Of a conversation, which ends with an answer, `text` is the prompt and `label` the answer.
    """

    number: int
    text: str
    label: str
    messages: list[Message] | None = None
    """The conversation; None: the row is a text with its label."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """The source's other columns, as JSON can hold them."""
    rendered: Rendered | None = None
    """The conversation's tokens, once preprocessing has rendered it; never part of a rows artifact."""


class Split(Record):
    """One split as Parquet: `row` int64, `text` string, `input_ids` list<int32> (with special tokens), and

    - classification: `label` int64 (index into `labels`); `input_ids` truncated to `max_tokens`;
    - sft: `messages` string (the conversation as JSON), `loss_mask` list<bool> (which tokens are to be learned).
    """

    rows: Artifact
    row_count: int
    label_counts: dict[str, int]
    token_count: int


class ReaderConfig(Config):
    """Where the rows are, and how to read them where that can't be found out."""

    source: SourceUri = Field(description="URI of a file or folder of rows.")
    format: Format | None = Field(None, description="jsonl, json, csv, tsv, parquet or text; found out if left out.")
    encoding: str | None = Field(None, description="Such as latin-1; by default BOM, UTF-8, then cp1252.")
    shape: Shape | None = Field(None, description="What a row is: text and label, or which form of a conversation.")
    text_column: str | None = Field(None, description="Column of the text or prompt; found by its name if left out.")
    label_column: str | None = Field(None, description="Column of the label or answer; found by its name if left out.")
    label_map: dict[str, str] | None = Field(
        None, description="Label in the source -> label to learn; rows of other labels are dropped."
    )
    limit: int | None = Field(None, ge=1, description="Rows to keep, drawn at random, always the same ones.")

    @field_validator("label_map", mode="before")
    @classmethod
    def _text_keys(cls, value: object) -> object:
        # YAML reads `0: ham` as a number.
        return {str(key): label for key, label in value.items()} if isinstance(value, dict) else value
