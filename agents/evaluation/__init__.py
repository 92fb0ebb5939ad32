"""Evaluation: the trained model on the frozen test split, beside the champion; the gate gives the verdict."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from agents.base.contract import Agent, Config, Context, input_from
from agents.base.errors import InvalidData, InvalidSpec
from agents.gate import Challenger, Comparison, Rules, judge_challenger, worst_difference
from agents.outputs import EvaluationOutput, PreprocessingOutput, TrainingOutput

if TYPE_CHECKING:
    from agents.evaluation.measure import Measured

Metric = Literal["f1", "accuracy", "macro_f1", "precision", "recall"]


class EvaluationConfig(Config):
    """What is measured, and what a model must show to be promoted."""

    metric: Metric = "f1"
    minimum: float = Field(0.85, ge=0, le=1)
    margin: float = Field(0.01, ge=0, le=1)
    """How much worse than the champion, with 95 % confidence, still counts as not worse."""
    recall_floors: dict[str, float] = {}
    """Label -> recall that it must reach."""
    model_name: str | None = None
    """Whose champion to compare with; unset: the pipeline's name."""
    positive_label: str | None = None
    """The label that F1, precision and recall are about; unset: the training's, else the rarer one."""
    batch_size: int = Field(64, ge=1)


class EvaluationAgent(Agent[EvaluationConfig, EvaluationOutput]):
    """Scores the challenger and the champion on the same rows."""

    config_type = EvaluationConfig
    output_type = EvaluationOutput
    consumes: ClassVar[tuple[str, ...]] = ("preprocessing", "training")
    heavy = True
    reads_champion = True

    def run(self, config: EvaluationConfig, context: Context) -> EvaluationOutput:
        """Predict, measure, compare, judge.

        Raises:
            InvalidData: a label that the rows don't have.
            InvalidModel: the trained files can't be loaded.
        """
        from agents.evaluation.measure import measure_champion, measure_training
        from agents.splits import read_test

        data = input_from(context, "preprocessing", PreprocessingOutput)
        node, training = best_training(context)
        test = read_test(context, data)
        positive = positive_index(config, training, data)
        context.progress(0, len(test.texts) * (2 if context.champion else 1))
        ours = measure_training(context, training, test, positive, config.batch_size)
        champion = measure_champion(context, training, test, positive, config.batch_size)
        rules = Rules(config.metric, config.minimum, config.margin, config.recall_floors)
        comparison = None
        if champion is not None and context.champion is not None:
            bound = worst_difference(
                test.labels, ours.predicted, champion.predicted, config.metric, positive, len(data.labels)
            )
            same = ours.weights == champion.weights
            comparison = Comparison(context.champion["version"], champion.metrics[config.metric], bound, same)
        recalls = {label: ours.metrics[f"recall.{label}"] for label in data.labels}
        challenger = Challenger(ours.metrics[config.metric], recalls, data.leaked)
        verdict, reasons = judge_challenger(rules, challenger, comparison)
        context.log("verdict", verdict=verdict, reasons=reasons, metrics=_headline(ours))
        return EvaluationOutput(
            training_node=node,
            training=training,
            model_name=config.model_name or context.pipeline,
            metrics=ours.metrics,
            metric=config.metric,
            minimum=config.minimum,
            confusion=ours.confusion,
            test_sha256=data.splits["test"].rows.sha256,
            test_rows=len(test.texts),
            predictions=context.objects.put_json(ours.rows(test, data.labels)),
            champion_version=context.champion["version"] if context.champion else None,
            champion_metrics=champion.metrics if champion else None,
            verdict=verdict,
            reasons=reasons,
        )

    @classmethod
    def check(cls, config: EvaluationConfig, upstream: object) -> list[str]:
        wrong = [label for label, floor in config.recall_floors.items() if not 0 <= floor <= 1]
        return [f"recall_floors.{label} must lie between 0 and 1" for label in wrong]


def best_training(context: Context) -> tuple[str, TrainingOutput]:
    """Return the node and output of the training with the best validation score (never the test's).

    Raises:
        InvalidSpec: no training stands before this node.
    """
    found = [
        (given.node, TrainingOutput.model_validate(given.output))
        for given in context.inputs
        if given.agent == "training"
    ]
    if not found:
        raise InvalidSpec(f"Node '{context.node}' needs a node of agent 'training' before it.")
    best = max(found, key=lambda pair: (pair[1].metrics["validation_f1"], -pair[1].metrics["validation_loss"]))
    if len(found) > 1:
        scores = {node: round(training.metrics["validation_f1"], 4) for node, training in found}
        context.log("training_chosen", node=best[0], validation_f1=scores)
    return best


def positive_index(config: EvaluationConfig, training: TrainingOutput, data: PreprocessingOutput) -> int:
    """Return the index of the label that F1 is about.

    Raises:
        InvalidData: the rows have no such label.
    """
    counts = data.splits["train"].label_counts
    label = config.positive_label or training.positive_label or min(data.labels, key=lambda name: counts.get(name, 0))
    if label not in data.labels:
        raise InvalidData(
            f"positive_label is '{label}', but the rows have {', '.join(data.labels)}.", cure="Name one of these."
        )
    return data.labels.index(label)


def _headline(measured: "Measured") -> dict[str, float]:
    return {name: round(measured.metrics[name], 4) for name in ("accuracy", "precision", "recall", "f1")}
