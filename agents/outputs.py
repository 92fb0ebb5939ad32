"""What passes between the agents: the output of each, in the order of the pipeline.

Outputs hold references and figures only; rows, weights and reports are artifacts.
"""

from typing import Any, Literal

from agents.base.contract import Artifact, Output, Record

Verdict = Literal["PROMOTE", "HOLD", "REJECT"]
Task = Literal["classification", "sft"]
Shape = Literal["text_label", "alpaca", "prompt_completion", "input_output", "sharegpt", "messages"]
SPLITS = ("train", "validation", "test")


class PromptFormat(Record):
    """How conversations become token ids; a model answers right only to prompts of the format it learned."""

    template: str
    fingerprint: str
    """sha256 over the template's text, the special tokens and the token that ends an answer."""
    max_new_tokens: int
    """Where an answer is cut off at the latest: twice the longest answer in training."""
    clean: bool = True
    """Whether turns were cleaned (`clean_content`)."""


class DatasetOutput(Output):
    """Rows as read: JSON lines `{"row": 1-based line or row number in the source, "text": ..., "label": ...}`
    plus every other column of the source. Of conversations `text` is the prompt, `label` the last answer, and
    `messages` holds all of it: a list of `{"role": system, user, assistant or tool, "content": text}`."""

    rows: Artifact
    row_count: int
    columns: list[str]
    shape: Shape = "text_label"
    text_column: str
    label_column: str
    label_counts: dict[str, int]
    dropped: dict[str, int]
    """Why rows of the source are missing here -> how many."""
    statistics: dict[str, Any]
    source: str
    """The URI as the spec wrote it."""
    source_sha256: str


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


class Split(Record):
    """One split as Parquet: `row` int64, `text` string, `input_ids` list<int32> (with special tokens), and

    - classification: `label` int64 (index into `labels`); `input_ids` truncated to `max_tokens`;
    - sft: `messages` string (the conversation as JSON), `loss_mask` list<bool> (which tokens are to be learned).
    """

    rows: Artifact
    row_count: int
    label_counts: dict[str, int]
    token_count: int


class PreprocessingOutput(Output):
    splits: dict[str, Split]
    """`train`, `validation` and `test`. The test split is frozen: its digest goes into every verdict."""
    labels: list[str]
    """Label names by index, sorted; none for sft."""
    task: Task
    prompt: PromptFormat | None = None
    """Only for sft."""
    model: str
    """URI of the model whose tokenizer was used."""
    tokenizer_fingerprint: str
    max_tokens: int
    truncation_side: Literal["left", "right"] = "right"
    """Where a text of more than `max_tokens` is cut; travels on in the trained model's tokenizer."""
    dropped: dict[str, int]
    """`exact_duplicate`, `near_duplicate`, `empty` ... -> rows removed before the split."""
    leaked: int
    """Near duplicates between test and train; 0 unless dedup was switched off."""


class TrainingOutput(Output):
    files: dict[str, Artifact]
    """The adapter in PEFT's layout (`adapter_model.safetensors`, `adapter_config.json`), or the whole
    model for `method: full`; and the tokenizer's files."""
    method: str
    task: Task
    base_model: str
    base_model_fingerprint: str
    tokenizer_fingerprint: str
    labels: list[str]
    positive_label: str | None
    prompt: PromptFormat | None = None
    max_tokens: int
    seed: int
    trainable_parameters: int
    total_parameters: int
    steps: int
    metrics: dict[str, float]
    """`train_loss`, `validation_loss`, `validation_f1`, `tokens_per_s`, `train_s` ..."""
    curve: Artifact
    """JSON list of the streamed records: step, loss, learning rate, tokens/s."""
    resolved: dict[str, Any]
    """Every dial as used -> value (micro-batch after an out-of-memory, dtype, device ...)."""
    events: dict[str, Artifact] = {}
    """TensorBoard's files, with `report_to: [tensorboard]`."""


class Threshold(Record):
    """A probability of the positive label from which on a binary classifier would say it, chosen on the validation
    split by F1. A finding only: every runtime answers with the likelier label, which is a threshold of 0.5."""

    label: str
    value: float
    validation_rows: int
    validation_f1: float
    validation_f1_at_half: float
    test: dict[str, float]
    """`accuracy`, `precision`, `recall`, `f1` of the test split as they would be with it."""


#: Formats of one version differ in further digits, and many confidences lie close to 1.
CONFIDENCE_DIGITS = 2


class Histogram(Record):
    """`counts[i]` values lie at or above `edges[i - 1]` and below `edges[i]`; there is one count more than edges."""

    edges: list[float]
    counts: list[int]


class Reference(Record):
    """What a classifier's predictions on the test split were like, for serving to tell drift by."""

    rows: int
    labels: dict[str, int]
    """Label -> how many rows were given it."""
    confidence: Histogram
    """Rounded to `CONFIDENCE_DIGITS`."""
    length: Histogram
    """Characters of the cleaned text."""


class EvaluationOutput(Output):
    training_node: str
    """The node whose model was judged: with several trainings the best by validation score."""
    training: TrainingOutput
    """What is judged, whole, so that export needs nothing else."""
    model_name: str
    metrics: dict[str, float]
    """`accuracy`, `precision`, `recall`, `f1`, `macro_f1` ..., or `exact_match`, `json_validity`, `loss`,
    `perplexity`, on the test split."""
    metric: str
    minimum: float
    confusion: list[list[int]]
    """Rows are the true labels, columns the predicted ones, in the order of `labels`; empty for sft."""
    test_sha256: str
    test_rows: int
    predictions: Artifact
    """JSON list of `{"row", "label", "predicted", "confidence"}` of the test split; of sft
    `{"row", "prompt", "expected", "answer", "exact_match"}`."""
    champion_version: int | None
    champion_metrics: dict[str, float] | None
    """The champion scored again on this same test split."""
    verdict: Verdict
    reasons: list[str]
    positive_label: str | None = None
    """The label that `precision`, `recall`, `f1` and `threshold` are about; none for sft."""
    metric_interval: tuple[float, float] | None = None
    """Of `metric`: the middle 95 % of the bootstrap over the test rows."""
    threshold: Threshold | None = None
    """Only of two labels, and where the validation split has both."""
    report: Artifact | None = None
    """JSON: `metrics`, `confusion`, `threshold`, and the points of `roc`, `calibration` and `loss`."""
    pictures: dict[str, Artifact] = {}
    """`confusion.svg`, `roc.svg`, `reliability.svg`, `loss.svg`, and each as `.png`; those that there is data for."""
    reference: Reference | None = None
    """Only of classifiers."""
    chosen_by: str | None = None
    """With several trainings: the validation figure that decided."""
    candidates: dict[str, float] = {}
    """With several trainings: node -> that figure."""


class Compared(Record):
    """A baseline beside the tuned model on the same test rows."""

    rows: int
    metrics: dict[str, float]
    """The baseline's figures on these rows."""
    tuned: dict[str, float]
    """The tuned model's on the very same."""
    difference: float
    """Of the judged metric: tuned minus baseline."""
    difference_interval: tuple[float, float]
    """The middle 95 % of the paired bootstrap."""
    fixed: int
    """Rows that only the tuned model has right."""
    broken: int
    """Rows that only the baseline has right."""


class ComparisonOutput(Output):
    metric: str
    test_sha256: str
    compared: dict[str, Compared]
    """`majority`, `tfidf`, or `base` -> the comparison."""
    report: Artifact
    """JSON with all of this and the examples: rows that one of the two has right, as they are."""
    report_markdown: Artifact


class ExportedFile(Record):
    path: str
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
