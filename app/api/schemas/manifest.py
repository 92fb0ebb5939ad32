"""A version's manifest as the API answers with it."""

from typing import Any

from pydantic import ConfigDict, Field

from agents.base.contract import Artifact
from agents.outputs import Compared, ExportedFile, Parity, PromptFormat, Reference, Task, Threshold, Verdict
from app.schemas import PartialView


class DataView(PartialView):
    """What a version was trained and judged on."""

    source: str | None = Field(None, description="The rows, as the spec named them.", examples=["file://spam.csv"])
    source_sha256: str | None = Field(None, description="The digest of the rows as they were read.")
    rows: int | None = Field(None, description="How many rows there were.", examples=[5572])
    splits: dict[str, int] = Field({}, description="Split -> how many rows it has.")
    split_sha256: dict[str, str] = Field({}, description="Split -> the digest of its rows.")
    dropped: dict[str, int] = Field({}, description="Why rows were left out -> how many.")
    leaked: int | None = Field(None, description="Near duplicates between test and training rows.", examples=[0])
    test_sha256: str = Field(description="The digest of the frozen test split.")
    test_rows: int = Field(description="How many rows the test split has.", examples=[557])


class ManifestView(PartialView):
    """Everything that is known of a version. A field that its export did not write is absent."""

    model_config = ConfigDict(extra="allow", populate_by_name=True, protected_namespaces=())

    schema_: int | None = Field(None, alias="schema", description="The number of this form.", examples=[1])
    name: str = Field(description="The model's name.", examples=["spam"])
    version: int = Field(description="The version's number.", examples=[3])
    created_at: str | None = Field(
        None, description="When the export wrote it (ISO 8601).", examples=["2026-01-01T00:00:00+00:00"]
    )
    job: str | None = Field(None, description="The job that made it.", examples=["job_01JY3Z9S2M"])
    node: str | None = Field(None, description="The node that exported it.", examples=["export"])
    attempt: int | None = Field(None, description="That node's attempt.", examples=[1])
    pipeline: str | None = Field(None, description="The spec's name.", examples=["spam"])
    task: Task = Field("classification", description="What the model does.")
    labels: list[str] = Field([], description="A classifier's labels, by index.", examples=[["ham", "spam"]])
    positive_label: str | None = Field(None, description="The label that `precision` and `recall` are about.")
    prompt: PromptFormat | None = Field(None, description="How a decoder is asked.")
    answer_schema: str | None = Field(
        None, description="JSON Schema of a decoder's answers, as JSON text; null where they are not JSON objects."
    )
    max_tokens: int | None = Field(None, description="The longest text it takes, in tokens.", examples=[256])
    formats: dict[str, list[ExportedFile]] = Field(description="Format -> its files.")
    trained_files: list[ExportedFile] = Field([], description="The files that training wrote.")
    base_model: str | None = Field(None, description="The model that was tuned.")
    base_model_fingerprint: str | None = Field(None, description="The digest of that model's files.")
    tokenizer_fingerprint: str | None = Field(None, description="The digest of the tokenizer.")
    method: str | None = Field(None, description="How it was tuned.", examples=["lora"])
    training: dict[str, Any] = Field(
        {}, description="Hyperparameters as used; which there are depends on the method.", examples=[{"epochs": 3}]
    )
    training_metrics: dict[str, float] = Field({}, description="Figure -> value, of the training.")
    training_node: str | None = Field(None, description="The node whose model was judged.", examples=["training"])
    chosen_by: str | None = Field(None, description="With several trainings: the figure that decided.")
    candidates: dict[str, float] = Field({}, description="With several trainings: node -> that figure.")
    trainable_parameters: int | None = Field(None, description="Weights that were tuned.")
    total_parameters: int | None = Field(None, description="All weights.")
    seed: int | None = Field(None, description="The seed of all that is random.", examples=[42])
    metrics: dict[str, float] = Field(description="Figure -> value on the test split.", examples=[{"f1": 0.93}])
    metric: str | None = Field(None, description="The figure that the verdict is about.", examples=["f1"])
    metric_interval: tuple[float, float] | None = Field(None, description="The middle 95 % of its bootstrap.")
    confusion: list[list[int]] = Field([], description="True labels by row, predicted ones by column.")
    threshold: Threshold | None = Field(None, description="The best threshold of a binary classifier.")
    pictures: dict[str, Artifact] = Field({}, description="Name -> picture that the card shows.")
    comparison: dict[str, Compared] = Field({}, description="Baseline -> how the tuned model did beside it.")
    verdict: Verdict = Field(description="What the gate said.")
    reasons: list[str] = Field([], description="Why.")
    reference: Reference | None = Field(None, description="What predictions on the test split were like.")
    judged_against: int | None = Field(None, description="The champion that it was judged beside.", examples=[2])
    champion_metrics: dict[str, float] | None = Field(None, description="That champion's figures on the same rows.")
    data: DataView | None = Field(None, description="What it was trained and judged on.")
    environment: dict[str, str | None] = Field(
        {}, description="Python, platform, device and libraries -> version.", examples=[{"python": "3.11.9"}]
    )
    parity: dict[str, Parity] = Field({}, description="Format -> how it answers beside the trained model.")
    card: Artifact | None = Field(None, description="The model card.")
