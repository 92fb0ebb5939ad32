"""A task: one record that knows all that is particular to it.

What needs libraries is named by path and loaded where it is used, so that the judge and the API know every task without
them. Each path names a function or class of the signature given here; the module of this room that describes the part
loads it.
"""

from typing import Literal

from agents.base.records import Record
from agents.models.kinds import ModelKind


class Task(Record):
    """What a model can be trained to do. `docs/agents.md` says how to add one."""

    name: str
    kind: ModelKind
    """What the base model is loaded as, and what is served."""
    rows: Literal["labels", "conversations"]
    """What rows hold beside their text: a label, or turns that a template renders."""
    pipeline_tag: str
    """What model hubs call it."""
    max_tokens: int
    """Tokens of a row at most, where the spec doesn't say."""
    metrics: tuple[str, ...]
    """By which a model can be judged; the first is the default. A larger value is a better one."""
    validation_metrics: tuple[str, ...]
    """By which a training can choose its best weights; the first is the default."""
    baselines: tuple[str, ...]
    """What a tuned model is held against; all of them are the default."""
    baselines_load_model: bool
    """Whether one of them is a model that needs a device."""
    rows_asked_at_once: int
    """That a parity proof hands to a model in one call."""
    steps_drawn_together: int
    """Steps whose rows are drawn together and shared out by length; 1 where length could tell the answer."""
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
    def has_labels(self) -> bool:
        return self.rows == "labels"
