"""The hyperparameters of a training: method, adapter, steps, precision, checkpoints. See `docs/training.md`."""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from agents.base.names import Digest, RelativeName
from agents.base.records import Artifact, Config, Output
from agents.base.source_uri import SourceUri
from agents.chat.format import PromptFormat
from agents.tasks import TASKS, Task, TaskName, ValidationMetricName, find_task, names_with
from agents.tasks.base import TaskOption

Method = Literal["lora", "qlora", "full", "tfidf"]
Tracker = Literal["tensorboard", "mlflow", "wandb"]
Precision = Literal["auto", "bf16", "fp32"]


class LoraSettings(Config):
    """The adapter (LoRA, Hu et al. 2021): each chosen weight W becomes W + alpha / r * B A, of rank r."""

    r: int = Field(8, ge=1, le=1024)
    alpha: float = Field(16, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: list[str] | Literal["all-linear"] = "all-linear"
    train_modules: list[str] = Field(default_factory=list)
    """Modules trained whole beside the adapter and the head, such as `pooler`."""
    dora: bool = False
    """Weight-decomposed (DoRA, Liu et al. 2024): the length of each output's weights is learned apart."""
    rslora: bool = False
    """Rank-stabilised (rsLoRA, Kalajdzievski 2023): the adapter counts alpha / sqrt(r) times."""


class TrainingConfig(Config):
    """See `docs/training.md`; a step is one optimizer step over `batch_size * gradient_accumulation` rows."""

    task: TaskName = "classification"
    method: Method = "lora"
    model: SourceUri
    lora: LoraSettings = Field(default_factory=LoraSettings)
    epochs: float | None = Field(None, gt=0, le=1000)
    """Unset: by the number of rows, as `learning_rate` (`agents/training/by_rows.py`)."""
    batch_size: int = Field(16, ge=1)
    gradient_accumulation: int = Field(1, ge=1)
    processes: int = Field(1, ge=1, le=64)
    """That share the rows of every step, on this host."""
    learning_rate: float | None = Field(None, gt=0, le=1)
    warmup_ratio: float = Field(0.1, ge=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    scheduler: Literal["linear", "cosine", "constant"] = "cosine"
    max_grad_norm: float = Field(1.0, gt=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    base_dropout: bool | None = None
    """Keep the base model's own dropout; unset: only with `method: full`."""
    class_weights: Literal["none", "balanced"] = "none"
    positive_label: str | None = None
    metric: ValidationMetricName = "f1"
    """By which the best weights are chosen; unset: the task's own."""
    early_stopping_patience: int | None = Field(None, ge=1)
    """Validations without gain that end the training; unset: none do, where `epochs` is set."""
    keep: Literal["best", "last"] = "best"
    """Which weights: the best by the validation split, or those of the last step."""
    length_grouping: bool = True
    packing: bool | None = None
    """Several rows in one sequence, for sft; unset: on a GPU."""
    precision: Precision = "auto"
    seed: int = Field(42, ge=0, lt=2**32)
    save_steps: int = 100
    log_steps: int = Field(5, ge=1)
    report_to: list[Tracker] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _metric_of_the_task(cls, given: Any) -> Any:
        task = TASKS.get(str(given.get("task"))) if isinstance(given, dict) else None
        return {"metric": task.validation_metrics[0], **given} if task else given

    @field_validator("save_steps")
    @classmethod
    def _some_checkpoint(cls, value: int) -> int:
        if value < 1:
            raise ValueError("would never write a checkpoint; set it to 1 or more")
        return value

    @model_validator(mode="after")
    def _adapter_has_targets(self) -> "TrainingConfig":
        if self.method != "full" and self.lora.target_modules == []:
            raise ValueError("lora.target_modules is empty: nothing would be trained but the head")
        return self

    @model_validator(mode="after")
    def _only_what_the_task_knows(self) -> "TrainingConfig":
        task = self.known_task
        if self.metric not in task.validation_metrics:
            known = " or ".join(task.validation_metrics)
            raise ValueError(f"metric: {self.metric} is not of task: {self.task}, whose metric is {known}")
        if self.method == "tfidf" and self.task != "classification":
            raise ValueError(f"method: tfidf is for task: classification, not for task: {self.task}")
        given: dict[TaskOption, bool] = {
            "class_weights": self.class_weights != "none",
            "positive_label": self.positive_label is not None,
            "label_smoothing": self.label_smoothing > 0,
        }
        for name, is_given in given.items():
            if is_given and not task.knows(name):
                raise ValueError(f"{name} is for {names_with(name)}, not for task: {self.task}")
        return self

    @property
    def known_task(self) -> Task:
        return find_task(self.task)

    @property
    def keeps_base_dropout(self) -> bool:
        return self.method == "full" if self.base_dropout is None else self.base_dropout


class TrainingOutput(Output):
    files: dict[RelativeName, Artifact]
    """The adapter in PEFT's layout (`adapter_model.safetensors`, `adapter_config.json`), or the whole
    model for `method: full`; and the tokenizer's files. For `method: tfidf` weights and words."""
    method: str
    task: TaskName
    base_model: str
    base_model_fingerprint: Digest
    tokenizer_fingerprint: Digest
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
    """Every hyperparameter as used -> value (micro-batch after an out-of-memory, dtype, device ...)."""
    events: dict[str, Artifact] = {}
    """TensorBoard's files, with `report_to: [tensorboard]`."""
    diverged: str | None = None
    """Of a sweep's member: why it has no weights, since its loss was no longer a number."""
