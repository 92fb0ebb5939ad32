"""A version's manifest as a record: every file with its digest, the lineage, the figures and the verdict.

`SCHEMA` counts the shapes that a manifest has had. Older ones are brought up to date by `read_manifest`, which is the
only way in; newer ones are refused.
"""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import ConfigDict, Field, ValidationError

from agents.base.errors import CorruptArtifact
from agents.base.names import Digest, FileName
from agents.base.records import Artifact, Record
from agents.chat.format import PromptFormat
from agents.evaluation.types import Verdict
from agents.export.types import ExportedFile, Parity
from agents.metrics.compared import Compared
from agents.metrics.types import Calibration, Figures, Reference, Threshold

SCHEMA = 2


class DataFacts(Record):
    """What a version was trained and judged on, as far as its pipeline recorded it."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    test_sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$", description="The digest of the frozen test split.")
    test_rows: int = Field(0, description="How many rows the test split has.", examples=[557])
    source: str | None = Field(None, description="The rows, as the spec named them.", examples=["rows/spam.csv"])
    source_sha256: Digest | None = Field(None, description="The digest of the rows as they were read.")
    rows: int | None = Field(None, description="How many rows there were.", examples=[5572])
    splits: dict[str, int] = Field({}, description="Split -> how many rows it has.")
    split_sha256: dict[str, Digest] = Field({}, description="Split -> the digest of its rows.")
    dropped: dict[str, int] = Field({}, description="Why rows were left out before the split -> how many.")
    leaked: int = Field(0, description="Near duplicates between test and training rows.", examples=[0])


class Manifest(Record):
    """Everything that is known of a version. The version exists once this is in the object store."""

    model_config = ConfigDict(
        populate_by_name=True, serialize_by_alias=True, json_schema_serialization_defaults_required=True
    )

    schema_number: int = Field(SCHEMA, alias="schema", description="The number of this shape.", examples=[SCHEMA])
    name: str = Field(description="The model's name.", examples=["spam"])
    version: int = Field(description="The version's number.", examples=[3])
    created_at: str | None = Field(
        None, description="When the export wrote it (ISO 8601, UTC).", examples=["2026-01-01T00:00:00+00:00"]
    )
    job: str | None = Field(None, description="The job that made it.", examples=["job_01JY3Z9S2M"])
    node: str | None = Field(None, description="The node that exported it.", examples=["export"])
    attempt: int | None = Field(None, description="That node's attempt.", examples=[1])
    pipeline: str | None = Field(None, description="The spec's name.", examples=["spam"])
    task: str = Field(description="What the model does.", examples=["classification"])
    labels: list[str] = Field([], description="A classifier's labels, by index.", examples=[["ham", "spam"]])
    positive_label: str | None = Field(None, description="The label that `precision` and `recall` are about.")
    prompt: PromptFormat | None = Field(None, description="How a decoder is asked.")
    answer_schema: str | None = Field(
        None, description="JSON Schema of a decoder's answers, as JSON text; null where they are not JSON objects."
    )
    max_tokens: int = Field(0, description="The longest text it takes, in tokens.", examples=[256])
    formats: dict[str, list[ExportedFile]] = Field({}, description="Format -> its files.")
    trained_files: list[ExportedFile] = Field([], description="The files that training wrote.")
    base_model: str | None = Field(None, description="The model that was tuned.")
    base_model_fingerprint: Digest | None = Field(None, description="The digest of that model's files.")
    tokenizer_fingerprint: Digest | None = Field(None, description="The digest of the tokenizer.")
    method: str | None = Field(None, description="How it was tuned.", examples=["lora"])
    training: dict[str, Any] = Field(
        {}, description="Hyperparameters as used; which there are depends on the method.", examples=[{"epochs": 3}]
    )
    training_metrics: Figures = Field({}, description="Metric -> value, of the training.")
    training_node: str | None = Field(None, description="The node whose model was judged.", examples=["training"])
    chosen_by: str | None = Field(None, description="With several trainings: the metric that decided.")
    candidates: Figures = Field({}, description="With several trainings: node -> that metric.")
    trainable_parameters: int = Field(0, description="Weights that were tuned.")
    total_parameters: int = Field(0, description="All weights.")
    seed: int | None = Field(None, description="The seed of all that is random.", examples=[42])
    metrics: Figures = Field({}, description="Metric -> value on the test split.", examples=[{"f1": 0.93}])
    metric: str | None = Field(None, description="The metric that the verdict is about.", examples=["f1"])
    metric_interval: tuple[float, float] | None = Field(
        None, description="Between which bounds it lies with 95 % confidence."
    )
    confusion: list[list[int]] = Field([], description="True labels by row, predicted ones by column.")
    threshold: Threshold | None = Field(None, description="The best threshold of a binary classifier.")
    thresholds: dict[str, float] = Field(
        {}, description="Of several labels: label -> the probability from which on it is given."
    )
    intervals: dict[str, tuple[float, float]] = Field(
        {}, description="Further metrics -> the middle 95 % of their bootstrap."
    )
    calibration: Calibration | None = Field(None, description="How a classifier's probabilities are calibrated.")
    pictures: dict[FileName, Artifact] = Field({}, description="Name -> picture that the card shows.")
    comparison: dict[str, Compared] = Field({}, description="Baseline -> how the tuned model did beside it.")
    verdict: Verdict = Field(description="What the gate said.")
    reasons: list[str] = Field([], description="Why.")
    reference: Reference | None = Field(None, description="What predictions on the test split were like.")
    judged_against: int | None = Field(None, description="The champion that it was judged beside.", examples=[2])
    champion_metrics: Figures | None = Field(None, description="That champion's metrics on the same rows.")
    data: DataFacts = Field(DataFacts(), description="What it was trained and judged on.")
    environment: dict[str, str | None] = Field(
        {}, description="Python, platform, device and libraries -> version.", examples=[{"python": "3.11.9"}]
    )
    parity: dict[str, Parity] = Field({}, description="Format -> how it answers beside the trained model.")
    license: str | None = Field(None, description="Under which it may be used.", examples=["apache-2.0"])
    languages: list[str] = Field([], description="Of the texts that it was trained on.", examples=[["en"]])
    card: Artifact | None = Field(None, description="The model card.")
    cards: dict[str, Artifact] = Field({}, description="Format -> the card beside its files.")
    unreadable: tuple[str, ...] = Field((), exclude=True)
    """Parts that were left out when it was read, because they are damaged and the version is as good without them."""

    @property
    def title(self) -> str:
        """Name and version as messages write them."""
        return f"Version {self.version} of '{self.name}'"

    def files(self, form: str) -> dict[str, Artifact]:
        """Return a format's files: path inside the folder -> artifact; none where the version lacks the format."""
        return {file.path: file.artifact for file in self.formats.get(form, [])}

    def with_cards(self, card: Artifact, cards: Mapping[str, Artifact]) -> Self:
        return self.model_copy(update={"card": card, "cards": dict(cards)})

    def as_json(self) -> dict[str, Any]:
        """Return the manifest as it is stored and sent."""
        return self.model_dump(mode="json")


def read_manifest(written: Any, name: str | None = None, version: int | None = None) -> Manifest:
    """Return a stored manifest of any release as a record of this one. `name`, `version`: of the place it lies in,
    where they are known; an agent of one's own may have left them out.

    Raises:
        CorruptArtifact: it is of a newer release, or not a manifest.
    """
    place = {key: value for key, value in (("name", name), ("version", version)) if value is not None}
    if not isinstance(written, Mapping):
        title = f"Version {version} of '{name}'" if place else "A version"
        raise CorruptArtifact(f"{title} has a manifest that is not a JSON object.", cure="Export it again.")
    written = {**place, **written}
    title = f"Version {version or written.get('version')} of '{name or written.get('name')}'"
    number = written.get("schema", 1)
    if not isinstance(number, int):
        raise CorruptArtifact(
            f"{title} has a manifest whose schema is not a number: {number!r}.", cure="Export it again."
        )
    if number > SCHEMA:
        raise CorruptArtifact(
            f"{title} has a manifest of schema {number}; this release reads up to {SCHEMA}.",
            cure="Update Tuneline on this machine.",
        )
    found = upgraded(written)
    try:
        return Manifest.model_validate(found)
    except ValidationError as fault:
        if {error["loc"][:1] for error in fault.errors()} == {("reference",)}:
            # Answers matter more than how far they drift.
            return Manifest.model_validate({**found, "reference": None, "unreadable": ("reference",)})
        first = fault.errors()[0]
        # A key that is not text has no place.
        field = ".".join(map(str, first["loc"])) or "a key"
        reason = first["msg"].removeprefix("Value error, ").rstrip(".")
        raise CorruptArtifact(
            f"{title} has a manifest that can't be read: {field}: {reason}.", cure="Export it again."
        ) from fault


def upgraded(written: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest in the present shape. Schema 1 (0.1.0) was written by many versions of the code: what came
    later may be missing in it, and its schema of answers was told by the metrics alone at first."""
    found = {**written, "schema": SCHEMA}
    if written.get("schema", 1) == 1:
        found.setdefault("task", "classification")
        metrics, data = found.get("metrics") or {}, found.get("data") or {}
        makes_json = isinstance(metrics, Mapping) and "json_validity" in metrics
        found.setdefault("answer_schema", '{"type": "object"}' if makes_json else None)
        found["comparison"] = found.get("comparison") or {}
        found["pictures"] = found.get("pictures") or {}
        if isinstance(data, Mapping):
            found["data"] = {key: value for key, value in data.items() if value is not None}
    return found
