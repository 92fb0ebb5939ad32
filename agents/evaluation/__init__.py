"""Evaluation: the trained model on the frozen test split, beside the champion; the gate gives the verdict."""

from collections.abc import Mapping
from typing import Any, ClassVar

from agents.base.agent import Agent, Context, input_from, inputs_from
from agents.base.errors import InvalidData
from agents.base.records import Config, DeviceNeed
from agents.evaluation.choice import best_training
from agents.evaluation.gate import Challenger, Comparison, Incomparable, Rules, judge_challenger
from agents.evaluation.measure import Measure, Measured
from agents.evaluation.pictures import store_pictures
from agents.evaluation.report import make_report
from agents.evaluation.types import EvaluationConfig, EvaluationOutput, Metric
from agents.metrics.bootstrap import interval, worst_difference
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.names import Task
from agents.training.types import TrainingOutput

ANSWER_METRICS = ("exact_match", "slot_f1", "rouge_l")
DEFAULT_METRIC: dict[Task, Metric] = {"classification": "f1", "sft": "exact_match"}
METRIC_CURE = "Set the evaluation's metric to exact_match or rouge_l."
HEADLINE = (
    *("accuracy", "precision", "recall", "f1", "macro_f1", "roc_auc", "ece", "mae", "r2"),
    *("exact_match", "slot_f1", "json_validity", "rouge_l", "loss"),
)


class EvaluationAgent(Agent[EvaluationConfig, EvaluationOutput]):
    """Scores the challenger and the champion on the same rows."""

    config_type = EvaluationConfig
    output_type = EvaluationOutput
    consumes: ClassVar[tuple[str, ...]] = ("preprocessing", "training")
    consumes_one: ClassVar[tuple[str, ...]] = ("preprocessing",)
    heavy = True
    reads_champion = True

    def run(self, config: EvaluationConfig, context: Context) -> EvaluationOutput:
        """Predict, measure, compare, judge.

        Raises:
            InvalidData: a label or a metric that the rows don't have, or rows of another template than the training's.
            InvalidModel: the trained files can't be loaded.
        """
        from agents.evaluation.reference import reference_of

        data = input_from(context, "preprocessing", PreprocessingOutput)
        choice = best_training(context)
        training = choice.training
        _check_same_rows(training, data)
        _check_floors(config, data)
        metric = config.metric or DEFAULT_METRIC[training.task]
        measure = _measure(config, context, training, data)
        measure.progress(0)
        ours, champion = measure.of_training(), measure.of_champion()
        if metric not in ours.metrics:
            raise InvalidData(f"These test rows have no {metric}: no answer is a JSON object.", cure=METRIC_CURE)
        recalls = {label: ours.metrics[f"recall.{label}"] for label in data.labels}
        rules = Rules(metric, config.minimum, config.margin, config.recall_floors)
        challenger = Challenger(ours.metrics[metric], recalls, data.leaked)
        verdict, reasons = judge_challenger(rules, challenger, _beside(context, ours, champion, metric))
        context.log("verdict", verdict=verdict, reasons=reasons, metrics=_headline(ours))
        report = make_report(context.objects, training, ours)
        return EvaluationOutput(
            training_node=choice.node,
            training=training,
            chosen_by=choice.chosen_by,
            candidates=choice.candidates or {},
            model_name=config.model_name or context.pipeline,
            metrics=ours.metrics,
            metric=metric,
            minimum=config.minimum,
            confusion=ours.confusion,
            test_sha256=data.splits["test"].rows.sha256,
            test_rows=measure.row_count,
            predictions=context.objects.put_json(ours.rows),
            champion_version=context.champion["version"] if context.champion else None,
            champion_metrics=champion.metrics if isinstance(champion, Measured) else None,
            verdict=verdict,
            reasons=reasons,
            positive_label=measure.positive_label,
            metric_interval=interval(ours.figure(metric), measure.row_count),
            threshold=ours.threshold,
            report=context.objects.put_json(report),
            pictures=store_pictures(context.objects, report),
            reference=reference_of(measure, ours),
        )

    def device_need(self, config: EvaluationConfig, context: Context) -> DeviceNeed:
        """The largest of the trainings', of which one is chosen later, and of the champion, which comes after it."""
        from agents.models.memory import answering_need

        trainings = inputs_from(context, "training", TrainingOutput)
        champion = context.champion["total_parameters"] if context.champion else 0
        return answering_need(context, trainings, config.batch_size, parameters_least=champion)

    @classmethod
    def check(cls, config: EvaluationConfig, upstream: Mapping[str, Config]) -> list[str]:
        wrong = [label for label, floor in config.recall_floors.items() if not 0 <= floor <= 1]
        faults = [f"recall_floors.{label} must lie between 0 and 1" for label in wrong]
        for node, other in upstream.items():
            task = getattr(other, "task", None)
            if config.metric and task and (config.metric in ANSWER_METRICS) != (task == "sft"):
                faults.append(f"metric is '{config.metric}', but '{node}' is of task: {task}")
            if task == "sft" and (config.recall_floors or config.positive_label):
                faults.append(f"recall_floors and positive_label are about labels, but '{node}' is of task: sft")
        return faults


def _check_same_rows(training: TrainingOutput, data: PreprocessingOutput) -> None:
    """Refuse test rows that were rendered by another template than the training learned.

    Raises:
        InvalidData: they were.
    """
    if training.prompt != data.prompt or training.task != data.task:
        raise InvalidData(
            f"The test rows are of task '{data.task}' and template {data.prompt}, the training's of task "
            f"'{training.task}' and template {training.prompt}.",
            cure="Let training and evaluation need the same preprocessing node.",
        )


def _check_floors(config: EvaluationConfig, data: PreprocessingOutput) -> None:
    """Refuse a floor under the recall of a label that no row has, before anything is measured.

    Raises:
        InvalidData: there is one.
    """
    for label in config.recall_floors:
        if label not in data.labels:
            raise InvalidData(
                f"recall_floors names '{label}', but the rows have {', '.join(data.labels)}.", cure="Name one of these."
            )


def _beside(
    context: Context, ours: Measured, champion: Measured | Incomparable | None, metric: str
) -> Comparison | Incomparable | None:
    """Return what the gate is told of the champion."""
    if not isinstance(champion, Measured) or context.champion is None:
        return champion if isinstance(champion, Incomparable) else None
    worst = worst_difference(ours.figure(metric), champion.figure(metric), len(ours.rows))
    same = ours.weights == champion.weights
    return Comparison(context.champion["version"], champion.metrics[metric], worst, same)


def _measure(
    config: EvaluationConfig, context: Context, training: TrainingOutput, data: PreprocessingOutput
) -> Measure[Any]:
    from agents.evaluation.answers import AnswerMeasure
    from agents.evaluation.labels import LabelMeasure

    if training.task == "sft":
        return AnswerMeasure(context, training, data, config.batch_size)
    return LabelMeasure(context, training, data, config.batch_size, config.positive_label)


def _headline(measured: Measured) -> dict[str, float]:
    return {name: round(measured.metrics[name], 4) for name in HEADLINE if name in measured.metrics}
