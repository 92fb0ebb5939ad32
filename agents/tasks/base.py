"""A task: one record that knows all that is particular to it.

What needs libraries is named by path and loaded when it is asked for, so that the judge and the API know every task
without them. Each path names a function or class with the signature given here.
"""

from typing import TYPE_CHECKING, Any, Literal

from agents.base.loading import load_object
from agents.base.records import Record
from agents.models.kinds import ModelKind

if TYPE_CHECKING:
    from agents.base.agent import Context
    from agents.comparison.types import ComparisonConfig
    from agents.data.batches import Rows
    from agents.evaluation.types import EvaluationConfig, EvaluationOutput
    from agents.preprocessing.types import PreprocessingOutput
    from agents.tasks.golden import Golden
    from agents.tasks.measure import Measure
    from agents.tasks.objective import Objective
    from agents.tasks.pairs import Pair
    from agents.tasks.preparation import PreparationType
    from agents.training.types import TrainingConfig, TrainingOutput


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

    def load_preparation(self) -> "PreparationType":
        found: PreparationType = load_object(self.preparation)
        return found

    def make_objective(self, config: "TrainingConfig", data: "PreprocessingOutput", train: "Rows") -> "Objective":
        found: Objective = load_object(self.objective)(config, data, train)
        return found

    def make_measure(
        self, config: "EvaluationConfig", context: "Context", training: "TrainingOutput", data: "PreprocessingOutput"
    ) -> "Measure[Any]":
        found: Measure[Any] = load_object(self.measure)(config, context, training, data)
        return found

    def make_golden(self, context: "Context", judged: "EvaluationOutput") -> "Golden[Any]":
        found: Golden[Any] = load_object(self.golden)(context, judged)
        return found

    def make_pairs(
        self, config: "ComparisonConfig", context: "Context", data: "PreprocessingOutput", judged: "EvaluationOutput"
    ) -> "dict[str, Pair]":
        found: dict[str, Pair] = load_object(self.pairs)(config, context, data, judged)
        return found
