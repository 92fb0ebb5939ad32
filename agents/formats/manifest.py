"""A version's manifest as a record: every file with its digest, the lineage, the figures and the verdict.

`SCHEMA` counts the shapes that a manifest has had. Older ones are brought up to date by `read_manifest`, which is the
only way in; newer ones are refused.
"""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import ConfigDict, Field, ValidationError

from agents.base.errors import CorruptArtifact
from agents.base.records import Artifact, Record
from agents.chat.format import PromptFormat
from agents.comparison.types import Compared
from agents.evaluation.types import Reference, Threshold, Verdict
from agents.export.types import ExportedFile, Parity

SCHEMA = 2


class DataFacts(Record):
    """Where the rows came from, as far as the pipeline recorded it."""

    test_sha256: str = ""
    test_rows: int = 0
    source: str | None = None
    source_sha256: str | None = None
    rows: int | None = None
    splits: dict[str, int] | None = None
    """Split -> rows."""
    split_sha256: dict[str, str] | None = None
    dropped: dict[str, int] = {}
    """Why rows were left out before the split -> how many."""
    leaked: int = 0


class Manifest(Record):
    """A model version. It exists once this is in the object store."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)

    schema_number: int = Field(SCHEMA, alias="schema")
    name: str
    version: int
    created_at: str | None = None
    """ISO 8601, UTC."""
    job: str | None = None
    node: str | None = None
    attempt: int | None = None
    pipeline: str | None = None
    task: str
    labels: list[str]
    positive_label: str | None = None
    prompt: PromptFormat | None = None
    answer_schema: str | None = None
    """JSON Schema of the answers in training, as text whose order of keys counts; None: they are not JSON objects."""
    max_tokens: int
    formats: dict[str, list[ExportedFile]]
    trained_files: list[ExportedFile] = []
    base_model: str | None = None
    base_model_fingerprint: str | None = None
    tokenizer_fingerprint: str | None = None
    method: str | None = None
    training: dict[str, Any] = {}
    """Every hyperparameter as used."""
    training_metrics: dict[str, float] = {}
    training_node: str | None = None
    chosen_by: str | None = None
    candidates: dict[str, float] = {}
    trainable_parameters: int = 0
    total_parameters: int = 0
    seed: int | None = None
    metrics: dict[str, float]
    metric: str | None = None
    metric_interval: tuple[float, float] | None = None
    confusion: list[list[int]] = []
    threshold: Threshold | None = None
    pictures: dict[str, Artifact] = {}
    comparison: dict[str, Compared] = {}
    verdict: Verdict
    reasons: list[str]
    reference: Reference | None = None
    judged_against: int | None = None
    """The champion's version that the verdict was given against."""
    champion_metrics: dict[str, float] | None = None
    data: DataFacts = DataFacts()
    environment: dict[str, str | None] = {}
    parity: dict[str, Parity] = {}
    card: Artifact | None = None
    unreadable: tuple[str, ...] = Field((), exclude=True)
    """Parts that were left out when it was read, because they are damaged and the version is as good without them."""

    @property
    def title(self) -> str:
        """Name and version as messages write them."""
        return f"Version {self.version} of '{self.name}'"

    def files(self, form: str) -> dict[str, Artifact]:
        """Return a format's files: path inside the folder -> artifact; none where the version lacks the format."""
        return {file.path: file.artifact for file in self.formats.get(form, [])}

    def with_card(self, card: Artifact) -> Self:
        return self.model_copy(update={"card": card})

    def as_json(self) -> dict[str, Any]:
        """Return the manifest as it is stored and sent."""
        return self.model_dump(mode="json")


def read_manifest(written: Mapping[str, Any]) -> Manifest:
    """Return a stored manifest of any release as a record of this one.

    Raises:
        CorruptArtifact: it is of a newer release, or not a manifest.
    """
    number = written.get("schema", 1)
    if not isinstance(number, int) or number > SCHEMA:
        raise CorruptArtifact(
            f"The manifest of '{written.get('name')}' has schema {number}; this release reads up to {SCHEMA}.",
            cure="Update Tuneline on this machine.",
        )
    found = upgraded(written)
    try:
        return Manifest.model_validate(found)
    except ValidationError as fault:
        if {error["loc"][0] for error in fault.errors()} == {"reference"}:
            # Answers matter more than how far they drift.
            return Manifest.model_validate({**found, "reference": None, "unreadable": ("reference",)})
        first = fault.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CorruptArtifact(
            f"Version {written.get('version')} of '{written.get('name')}' has a manifest that can't be read: "
            f"{place}: {first['msg']}.",
            cure="Export it again.",
        ) from fault


def upgraded(written: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest in the present shape. Schema 1 (0.1.0) was written by many versions of the code: what came
    later may be missing in it, and its schema of answers was told by the metrics alone at first."""
    found = {**written, "schema": SCHEMA}
    if written.get("schema", 1) == 1:
        found.setdefault("task", "classification")
        found.setdefault(
            "answer_schema", '{"type": "object"}' if "json_validity" in written.get("metrics", {}) else None
        )
        found["comparison"] = found.get("comparison") or {}
        found["pictures"] = found.get("pictures") or {}
        found["data"] = {key: value for key, value in (found.get("data") or {}).items() if value is not None}
    return found
