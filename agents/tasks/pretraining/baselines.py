"""The baseline of models that have read on: their own base model. Evaluation has asked it already."""

import numpy as np

from agents.base.agent import Context
from agents.comparison.types import ComparisonConfig
from agents.evaluation.types import EvaluationOutput
from agents.metrics.generation import loss_metrics, perplexity
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.pairs import Pair, Side
from agents.tasks.pretraining.measure import TextLosses, losses_from, read_documents, text_metric


def text_pairs(
    _config: ComparisonConfig, context: Context, data: PreprocessingOutput, evaluation: EvaluationOutput
) -> dict[str, Pair]:
    """Return `base` -> its losses beside the tuned model's; right is whichever foresees a text better."""
    test = read_documents(context, data, "test")
    rows = context.objects.get_json(evaluation.predictions)
    tuned, base = losses_from(rows), losses_from(rows, "base_")
    sides = _side(base, base, tuned), _side(tuned, base, base)
    return {"base": Pair(test.numbers, test.texts, ["lower is better"] * len(rows), *sides)}


def _side(losses: TextLosses, base: TextLosses, others: TextLosses) -> Side:
    every = np.arange(len(losses.sums))
    each = [perplexity(losses.loss(np.array([row]))) for row in every.tolist()]
    return Side(
        said=[f"perplexity {value:.2f}" for value in each],
        right=losses.sums < others.sums,
        metrics={
            **loss_metrics(losses.loss(every)),
            "perplexity_drop": text_metric(losses, base, "perplexity_drop", every),
        },
        value=lambda metric, rows: text_metric(losses, base, metric, rows),
    )
