"""A task: one record that knows all that is particular to it.

What needs libraries is named by path and loaded where it is used, so that the judge and the API know every task without
them. Each path names a function or class of the signature given here; the module of this room that describes the part
loads it.
"""

from collections.abc import Mapping
from typing import Literal

from agents.base.records import Record
from agents.data.types import Shape
from agents.models.heads import Head, Outputs
from agents.models.kinds import ModelKind

#: What rows hold beside their text: a label, several, a number, turns that a template renders, or nothing.
RowsOf = Literal["labels", "label_lists", "numbers", "conversations", "texts"]
#: Settings that only some tasks know.
TaskOption = Literal[
    "class_weights",
    "keep",
    "label_smoothing",
    "loss",
    "overlap_tokens",
    "positive_label",
    "reasoning",
    "recall_floors",
    "template",
]


class Task(Record):
    """What a model can be trained to do. `docs/agents.md` says how to add one."""

    name: str
    kind: ModelKind
    """What the base model is loaded as, and what is served."""
    rows: RowsOf
    shapes: tuple[Shape, ...]
    """The shapes of rows that it learns from, its own first."""
    read_as: Shape | None = None
    """The shape that rows of texts are read as where the dataset node names the task, and not otherwise."""
    target: Literal["label", "labels", "number", "loss_mask"]
    """The column of a split that is learned: of a row, or `loss_mask` of its tokens."""
    outputs: Outputs = "label"
    """Of a classifier: what its outputs mean."""
    options: tuple[TaskOption, ...] = ()
    """Those of these settings that it knows."""
    pipeline_tag: str
    """What model hubs call it."""
    does: str
    """What a model of it is, for its card; `{labels}` and `{template}` stand for the model's own."""
    example: str
    """Python that asks a whole model by transformers, for its card; `{folder}`, `{max_tokens}`, `{max_new_tokens}` and
    `{note}`, which says what its prompts are written by, stand for the model's own."""
    max_tokens: int
    """Tokens of a row at most, where the spec doesn't say."""
    metrics: tuple[str, ...]
    """By which a model can be judged; the first is the default. A larger value is a better one."""
    intervals: tuple[str, ...] = ()
    """Figures that are told with an interval beside the judged metric's, such as errors, which no gate goes by."""
    validation_metrics: tuple[str, ...]
    """By which a training can choose its best weights; the first is the default."""
    baselines: Mapping[str, str]
    """What a tuned model is held against -> what that is, in words; all of them are the default."""
    baselines_load_model: bool
    """Whether one of them is a model that needs a device."""
    rows_asked_at_once: int
    """That a parity proof hands to a model in one call."""
    steps_drawn_together: int
    """Steps whose rows are drawn together and shared out by length; 1 where length could tell the answer."""
    row_fault: str | None = None
    """`(Row) -> str | None`: why a row can't be learned, as validation counts it; None: any row can."""
    preparation: str
    """`PreparationType`: how rows become splits."""
    objective: str
    """`(TrainingConfig, PreprocessingOutput, Rows) -> Objective`"""
    measure: str
    """`(EvaluationConfig, Context, TrainingOutput, PreprocessingOutput) -> Measure`"""
    golden: str
    """`(Context, EvaluationOutput) -> Golden`: what exports are proven on."""
    pairs: str
    """`(ComparisonConfig, Context, PreprocessingOutput, EvaluationOutput) -> dict[str, Pair]`, by baseline."""

    @property
    def learns_tokens(self) -> bool:
        """Whether the tokens of its rows are what is learned; else each row has a target."""
        return self.target == "loss_mask"

    def head(self, thresholds: Mapping[str, float] | None = None) -> Head:
        """Return how a classifier's outputs become answers. `thresholds`: of several labels, where they were chosen."""
        return Head(outputs=self.outputs, thresholds=dict(thresholds or {}))

    def knows(self, option: TaskOption) -> bool:
        return option in self.options
