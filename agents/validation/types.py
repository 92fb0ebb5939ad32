"""Config and output of validation."""

from typing import Literal

from pydantic import Field

from agents.base.records import Artifact, Config, Output
from agents.base.source_uri import SourceUri
from agents.tasks import TaskName


class ValidationOutput(Output):
    rows: Artifact
    """Rows that passed, in the form of `DatasetOutput.rows`."""
    row_count: int
    label_counts: dict[str, int]
    report: Artifact
    """JSON with every finding: kind, count, masked examples, row numbers."""
    report_markdown: Artifact
    findings: dict[str, int]
    """Kind of finding -> count, such as `{"duplicate": 12, "pii.phone": 80}`."""
    minimum_rows: int | None = None
    """What was asked for here, and is asked for again after preprocessing; None: by an earlier version."""


class ValidationConfig(Config):
    """What is accepted, and what happens to personal data."""

    task: TaskName | None = Field(
        None, description="What the rows are for. Unset: what the dataset node says, or else by the shape of the rows."
    )

    pii: Literal["report", "mask", "drop", "fail"] = Field(
        "report", description="Count it; replace it by its kind; leave such rows out; or stop the job."
    )
    names: bool = Field(False, description="Names of people and places are personal data, too (extra `pii`; slow).")
    names_model: str = Field(
        "en_core_web_sm",
        pattern=r"^[a-z]{2,3}(_[a-z0-9]+){1,4}$",
        description="Installed spaCy model that finds names, by its package's name.",
    )
    minimum_rows: int = Field(20, ge=2, description="Fewer rows stop the job.")
    minimum_label_rows: int = Field(3, ge=1, description="A label with fewer rows stops the job.")
    minimum_label_share: float = Field(
        0.01,
        ge=0,
        lt=1,
        description="Least share of a label of two, in proportion less of more; rarer ones stop the job.",
    )
    maximum_labels: int = Field(200, ge=2, description="More labels stop the job: the column is free text.")
    model: SourceUri | None = Field(
        None, description="URI of the model to be trained: texts are measured in its tokens."
    )
    max_tokens: int | None = Field(
        None, ge=8, description="Texts of more tokens are reported, with `model`. Unset: more than it takes."
    )
    maximum_characters: int = Field(20_000, ge=1, description="Longer texts are reported.")
    maximum_damaged_share: float = Field(0.05, ge=0, le=1, description="More rows with U+FFFD stop the job.")
    maximum_garbled_share: float = Field(
        0.05, ge=0, le=1, description="More rows that were read in a wrong encoding stop the job."
    )
    maximum_unknown_share: float = Field(
        0.5, ge=0, le=1, description="A larger share of tokens unknown to the tokenizer stops the job, with `model`."
    )
    maximum_lost_share: float = Field(
        0.6, ge=0, le=1, description="A larger share of rows left out here stops the job; over 0.2 is a warning."
    )
    maximum_conflict_share: float = Field(0.05, ge=0, le=1, description="More rows of conflicting labels stop the job.")
