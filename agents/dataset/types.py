"""Config and output of the dataset agent."""

from typing import Any

from pydantic import Field, model_validator

from agents.base.names import Digest
from agents.base.records import Artifact, Output
from agents.data.types import Preference, ReaderConfig, Shape
from agents.tasks import TASKS, TaskName


class DatasetConfig(ReaderConfig):
    """Which rows, and how they are read."""

    task: TaskName | None = Field(
        None, description="What the rows are for; rows of another kind stop the job. Unset: by the shape of the rows."
    )

    maximum_lost_share: float = Field(
        0.6,
        ge=0,
        le=1,
        description="A larger share of rows that can't be used stops the job; over 0.2 is a warning. Rows over `limit` "
        "or not in `label_map` are not counted.",
    )

    @model_validator(mode="before")
    @classmethod
    def _shape_of_the_task(cls, given: Any) -> Any:
        # Rows of texts can be read in several ways, of which their columns don't tell which is wanted.
        task = TASKS.get(str(given.get("task"))) if isinstance(given, dict) else None
        wanted = task.read_as if task and given.get("shape") is None else None
        return {**given, "shape": wanted} if wanted else given


class DatasetOutput(Output):
    """Rows as read: JSON lines `{"row": 1-based line or row number in the source, "text": ..., "label": ...}`
    plus every other column of the source. Of conversations `text` is the prompt, `label` the last answer, and
    `messages` holds all of it: a list of `{"role": system, user, assistant or tool, "content": text}`. Rows may also
    have `labels`, `tools`, `rejected` and `split`, as `Row` has."""

    rows: Artifact
    row_count: int
    columns: list[str]
    shape: Shape = "text_label"
    text_column: str
    label_column: str
    columns_why: str = ""
    """The reason for the choice of the columns, as a sentence."""
    label_counts: dict[str, int]
    dropped: dict[str, int]
    """Why rows of the source are missing here -> how many."""
    labels_cleaned: int = 0
    """Labels that marks which nobody sees, or odd blanks, were taken off of."""
    unused_fields: dict[str, int] = {}
    """Fields of rows, and of turns as `messages.<field>`, that hold something which is not used -> how many do."""
    unlearned: dict[str, int] = {}
    """Why answers within conversations carry no loss, or turns are left off -> how many."""
    preference: Preference | None = None
    """How rows of the shape `preference` say which answers are better."""
    statistics: dict[str, Any]
    task: TaskName | None = None
    """What the rows are for, where the config says so."""
    source: str
    """The URI as the spec wrote it."""
    source_sha256: Digest
