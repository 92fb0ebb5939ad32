"""What a batch prediction is told and gives."""

from pydantic import Field

from agents.base.names import Digest, RelativeName
from agents.base.records import Artifact, Config, Output
from agents.base.source_uri import SourceUri
from agents.formats import FormatName
from agents.models.heads import Head

#: That go through the model at once.
BATCH_TEXTS = 64


class PredictionConfig(Config):
    """A version as serving would load it, and the texts; all of it pinned, so that nothing moves while it waits."""

    model_name: str
    version: int
    format: FormatName
    labels: list[str] = Field(min_length=1)
    head: Head = Head()
    """What the model's outputs mean."""
    max_tokens: int = Field(ge=1)
    files: dict[RelativeName, Artifact] = Field(min_length=1)
    """Path inside the model's folder -> its bytes."""
    base_model: SourceUri | None = None
    """URI of the base, only of the format `adapter`."""
    base_model_fingerprint: Digest | None = None
    temperature: float | None = Field(None, gt=0)
    """At which its probabilities are given; None: as the model gives them."""
    unsure_below: float | None = None
    """Confidence under which an answer is unsure."""
    texts: Artifact
    """JSON list of texts."""
    text_count: int = Field(ge=1)


class PredictionOutput(Output):
    model_name: str
    version: int
    format: str
    text_count: int
    predictions: Artifact
    """JSON list of `{"label", "confidence", "scores", "unsure"}` and what else a task answers, in the texts' order."""
