"""Records of data: rows, their shapes, splits, and how a source is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

from pydantic import Field, field_validator

from agents.base.records import Artifact, Config, Record
from agents.base.source_uri import SourceUri
from agents.data.files import Format

Shape = Literal[
    "text_label",
    "text_labels",
    "text",
    "alpaca",
    "prompt_completion",
    "input_output",
    "sharegpt",
    "messages",
    "preference",
]
Role = Literal["system", "user", "assistant", "tool"]
SPLITS = ("train", "validation", "test")


class ToolCall(TypedDict):
    """A call of a tool, as an answer makes it. `arguments`: a JSON value; text only where they are not JSON."""

    name: str
    arguments: Any


class Message(TypedDict):
    """A turn of a conversation, a dictionary close to OpenAI's form. `content` is "" where there is none."""

    role: Role
    content: str
    tool_calls: NotRequired[list[ToolCall]]
    """Of an answer: what it calls, after its content."""
    reasoning: NotRequired[str]
    """Of an answer: what was thought before it."""
    learned: NotRequired[bool]
    """False: an answer that carries no loss. Absent: it carries loss."""
    name: NotRequired[str]
    """Of a tool's turn: the tool."""


class Rendered(NamedTuple):
    """A conversation as tokens. `loss_mask`: True for the tokens of answers and the token that ends each."""

    input_ids: list[int]
    loss_mask: list[bool]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a source. `number`: its line, or its number where there are no lines, from 1.

    Of a conversation, which ends with an answer, `text` is the prompt and `label` the answer, its calls as JSON text.
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
    labels: tuple[str, ...] | None = None
    """The labels of a text that may have several, or none; `label` then joins them by ", ", for people only."""
    tools: list[dict[str, Any]] | None = None
    """The tools that a conversation may call, in OpenAI's form: `{"type": "function", "function": {...}}`."""
    rejected: list[Message] | None = None
    """Of preference rows: the conversation that is worse than `messages`, with the same prompt. Where answers are
    judged alone (KTO), [] of a good one; of a bad one the conversation, which in `messages` ends unlearned."""
    split: str | None = None
    """`train`, `validation` or `test`, where the source says so."""


class Preference(Record):
    """How a source of the shape `preference` says which answers are better."""

    form: Literal["pair", "dialogues", "two_answers", "judged"]
    """Two answers to a prompt; two whole dialogues; both answers in one list, the better one first; one answer a row,
    judged to be good or bad (KTO)."""
    base: Shape
    """As what its better answers can be read alone."""
    found: str
    """What it is known by, for a sentence."""
    cure: str
    """What to set, for its better answers alone."""


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
    format: Format | None = Field(
        None, description="jsonl, json, yaml, csv, tsv, xlsx, parquet, arrow or text; found out if left out."
    )
    part: str | None = Field(
        None,
        description="Which of several files, sheets or lists of the source: its name, or a pattern such as `en/*`.",
    )
    encoding: str | None = Field(None, description="Such as latin-1; found out if left out.")
    shape: Shape | None = Field(None, description="What a row is: text and label, or which form of a conversation.")
    text_column: str | None = Field(None, description="Column of the text or prompt; found if left out.")
    label_column: str | None = Field(None, description="Column of the label or answer; found if left out.")
    label_map: dict[str, str] | None = Field(
        None, description="Label in the source -> label to learn; rows of other labels are dropped."
    )
    limit: int | None = Field(None, ge=1, description="Rows to keep, drawn at random, always the same ones.")

    @field_validator("label_map", mode="before")
    @classmethod
    def _text_keys(cls, value: object) -> object:
        # YAML reads `0: ham` as a number.
        return {str(key): label for key, label in value.items()} if isinstance(value, dict) else value
