"""The recipe of an evaluation: predict, measure, compare, judge."""

from agents.base.agent import Context, input_from
from agents.base.errors import InvalidData
from agents.data.files.names import listed_labels
from agents.evaluation.agreement import disagreements
from agents.evaluation.baselines import held_to_baselines
from agents.evaluation.champion import Champion, compare, measure_challenger, measure_champion, weights_of
from agents.evaluation.choice import best_training
from agents.evaluation.gate import Challenger, Measurement, Rules, judge_challenger
from agents.evaluation.pictures import store_pictures
from agents.evaluation.report import make_report
from agents.evaluation.types import EvaluationConfig, EvaluationOutput
from agents.metrics.bootstrap import Interval, share_interval
from agents.metrics.catalogue import headline
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks import Task, find_task
from agents.tasks.measure import Measured, make_measure
from agents.training.types import TrainingOutput


def evaluate(config: EvaluationConfig, context: Context) -> EvaluationOutput:
    """Judge the best training before this node. Raises: as `EvaluationAgent.run`."""
    data = input_from(context, "preprocessing", PreprocessingOutput)
    choice = best_training(context)
    training, task = choice.training, find_task(choice.training.task)
    _check_same_rows(training, data)
    _check_floors(config, data)
    metric = config.metric or task.metrics[0]
    measure = make_measure(config, context, training, data)
    measure.progress(0)
    ours, champion = measure_challenger(measure), measure_champion(measure)
    _check_metric(metric, task, ours)
    bounds = ours.interval(metric)
    warnings = disagreements(training, ours, data.splits["validation"].row_count, measure.positive_label)
    for warning in warnings:
        context.log("figures_disagree", level="warning", message=warning)
    rules = Rules(metric, config.minimum, config.margin, config.recall_floors)
    challenger = _challenger(ours, metric, bounds, config, data, warnings)
    verdict, reasons = judge_challenger(rules, challenger, compare(ours, weights_of(training.files), champion, metric))
    reasons += _untested(task, data)
    report = make_report(context.objects, training, ours, warnings)
    output = EvaluationOutput(
        training_node=choice.node,
        training=training,
        chosen_by=choice.chosen_by,
        candidates=choice.candidates or {},
        diverged=choice.diverged or {},
        model_name=config.model_name or context.pipeline,
        metrics=ours.metrics,
        metric=metric,
        minimum=config.minimum,
        confusion=ours.confusion,
        test_sha256=data.splits["test"].rows.sha256,
        test_rows=measure.row_count,
        predictions=context.objects.put_json(ours.rows),
        champion_version=context.champion["version"] if context.champion else None,
        champion_metrics=champion.measured.metrics if isinstance(champion, Champion) else None,
        verdict=verdict,
        reasons=reasons,
        positive_label=measure.positive_label,
        metric_interval=bounds,
        threshold=ours.threshold,
        thresholds=ours.thresholds,
        intervals=_intervals(task, metric, ours),
        calibration=ours.calibration,
        report=context.objects.put_json(report),
        pictures=store_pictures(context.objects, report),
        reference=measure.reference(ours),
        warnings=warnings,
    )
    judged = held_to_baselines(config, context, data, output)
    shown = {name: round(value, 4) for name, value in headline(ours.metrics, metric).items()}
    context.log("verdict", verdict=judged.verdict, reasons=judged.reasons, metrics=shown)
    return judged


def _untested(task: Task, data: PreprocessingOutput) -> list[str]:
    """Say which labels no test row has, so that no figure knows of them."""
    counts = data.splits["test"].label_counts
    absent = [label for label in data.labels if not counts.get(label)]
    if not absent or task.target not in {"label", "labels"}:
        return []
    listed = listed_labels(absent)
    return [f"{len(absent)} of {len(data.labels)} labels have no test row, so that nothing is known of them: {listed}."]


def _challenger(
    ours: Measured,
    metric: str,
    bounds: Interval,
    config: EvaluationConfig,
    data: PreprocessingOutput,
    warnings: list[str],
) -> Challenger:
    """Return what the gate is told of the model."""
    recalls, counts = {}, data.splits["test"].label_counts
    for label in config.recall_floors:
        recall, rows = ours.metrics.get(f"recall.{label}", 0.0), counts.get(label, 0)
        recalls[label] = Measurement(recall, share_interval(recall, rows).low, rows)
    figure = Measurement(ours.metrics[metric], bounds.low, len(ours.rows))
    return Challenger(figure, recalls, data.leaked, tuple(warnings))


def _intervals(task: Task, metric: str, ours: Measured) -> dict[str, tuple[float, float]]:
    """Return metric -> its interval, of those that the task tells with one beside the judged metric."""
    wanted = [name for name in task.intervals if name != metric and name in ours.metrics]
    return {name: ours.interval(name) for name in wanted}


def _check_metric(metric: str, task: Task, ours: Measured) -> None:
    """Refuse a metric that these rows don't give, such as slot F1 where no answer is a JSON object.

    Raises:
        InvalidData: it is not among what was measured.
    """
    if metric not in ours.metrics:
        found = " or ".join(name for name in task.metrics if name in ours.metrics)
        raise InvalidData(
            f"These test rows have no {metric}: no answer is a JSON object.",
            cure=f"Set the evaluation's metric to {found}.",
        )


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
                f"recall_floors names '{label}', but the rows have {listed_labels(data.labels)}.",
                cure="Name one of these.",
            )
