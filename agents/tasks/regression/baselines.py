"""Baselines of models of numbers: the mean, and words with ridge regression. Both learn the training split."""

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from agents.base.agent import Context
from agents.base.errors import InvalidData
from agents.comparison.types import ComparisonConfig
from agents.data.numbers import shortest
from agents.evaluation.types import EvaluationOutput
from agents.metrics.regression import value_metric
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.classification.tfidf import words
from agents.tasks.pairs import Pair, Side
from agents.tasks.regression.measure import NumberedRows, figures, read_numbered

#: Digits of answers that are shown.
SHOWN_DIGITS = 6


def number_pairs(
    config: ComparisonConfig, context: Context, data: PreprocessingOutput, evaluation: EvaluationOutput
) -> dict[str, Pair]:
    """Return baseline -> its answers beside the tuned model's, on all test rows; right is whichever comes nearer.

    Raises:
        InvalidData: the training rows have no words.
    """
    training, test = read_numbered(context, data, "train"), read_numbered(context, data, "test")
    tuned = np.array([row["value"] for row in context.objects.get_json(evaluation.predictions)], dtype=np.float64)
    expected = [shortest(value) for value in test.values.tolist()]
    pairs = {}
    baselines = config.baselines or list(BASELINES)
    for done, name in enumerate(baselines):
        context.progress(done, len(baselines))
        answers = BASELINES[name](training, test.texts)
        sides = _side(test.values, answers, tuned), _side(test.values, tuned, answers)
        pairs[name] = Pair(test.numbers, test.texts, expected, *sides)
    return pairs


def mean_values(training: NumberedRows, texts: list[str]) -> np.ndarray:
    """Return the training rows' mean for every text: float64 of shape (texts,)."""
    return np.full(len(texts), training.values.mean())


def tfidf_values(training: NumberedRows, texts: list[str]) -> np.ndarray:
    """Return numbers by ridge regression over TF-IDF of words and pairs of words.

    Raises:
        InvalidData: the training rows have no words.
    """
    model = make_pipeline(words(), Ridge(alpha=1.0))
    try:
        model.fit(training.texts, training.values)
    except ValueError as fault:
        raise InvalidData(
            f"The baseline 'tfidf' can't learn these training rows: {fault}", cure="Set baselines: [mean]."
        ) from fault
    found: np.ndarray = model.predict(texts)
    return found


BASELINES: dict[str, Callable[[NumberedRows, list[str]], np.ndarray]] = {"mean": mean_values, "tfidf": tfidf_values}


def _side(true: np.ndarray, answers: np.ndarray, others: np.ndarray) -> Side:
    return Side(
        said=[f"{value:.{SHOWN_DIGITS}g}" for value in answers.tolist()],
        right=np.abs(answers - true) < np.abs(others - true),
        metrics=figures(true, answers),
        value=lambda metric, rows: value_metric(true[rows], answers[rows], metric),
    )
