"""What the comparison is told and gives."""

from pydantic import Field

from agents.base.names import Digest
from agents.base.records import Artifact, Config, Output
from agents.metrics.compared import Compared
from agents.tasks import BaselineName


class ComparisonOutput(Output):
    metric: str
    test_sha256: Digest
    compared: dict[str, Compared]
    """`majority`, `tfidf`, or `base` -> the comparison."""
    report: Artifact
    """JSON with all of this and the examples: rows that one of the two has right, as they are."""
    report_markdown: Artifact


class ComparisonConfig(Config):
    """What the tuned model is held against, and how much of it is shown."""

    baselines: list[BaselineName] | None = Field(None, min_length=1)
    """Unset: `majority` and `tfidf` of classifiers, `base` of models that answer."""
    rows: int = Field(64, ge=1)
    """Test rows that the base model answers at most: it writes slowly, and often to the longest answer allowed."""
    examples: int = Field(20, ge=0)
    """Rows shown of each baseline that one of the two has right, at most."""
    batch_size: int = Field(32, ge=1)
