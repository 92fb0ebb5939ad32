"""What export is told and gives."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from agents.base.names import RelativeName
from agents.base.records import Artifact, Config, Output, Record
from agents.evaluation.types import Verdict
from agents.formats import FormatName

LanguageCode = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]


class ExportedFile(Record):
    path: RelativeName
    artifact: Artifact


class Parity(Record):
    """How a format answers beside the trained model."""

    texts: int
    agreement: float
    """Share of the texts with the trained model's label."""
    bound: float
    """The least agreement that was asked for."""
    largest_difference: float
    """Of any label's probability, over all texts."""
    metric: str = ""
    """The judged one; its values are those on the same texts, None where nothing says what is right."""
    value: float | None = None
    trained_value: float | None = None


class ExportOutput(Output):
    model_name: str
    version: int
    verdict: Verdict
    champion_version: int | None
    """The champion that the verdict was given against."""
    formats: dict[str, list[ExportedFile]]
    """`adapter`, `merged` ... -> its files."""
    parity: dict[str, Parity]
    """Format -> its proof; formats that are the trained files themselves need none."""
    metrics: dict[str, float]
    manifest_key: str


class ExportConfig(Config):
    """What is written, and under which name."""

    model_name: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    """Unset: as `named_after` says."""
    named_after: Literal["pipeline", "data"] = "pipeline"
    """Whose name the model takes where none is set: the pipeline's, or that of the file, folder or repository with the
    rows. Rows of a package, such as the shipped samples, have no name of their own: the pipeline's again."""
    license: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9.-]{0,40}$")
    """Under which the model may be used, as the hub writes it (`apache-2.0`); unset: that of its base, where known."""
    languages: list[LanguageCode] = []
    """Of the texts (`en`); unset: those that the validation found."""
    formats: list[FormatName] = Field(["adapter", "merged"], min_length=1)
