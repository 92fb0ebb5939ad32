"""Baselines of classifiers: the commonest label, and words with logistic regression. Both learn the training split.

A base model without a trained head gives random labels, so there is nothing to hold a tuned one against; what a
pipeline could have had for nothing, or for a second of training, there is.
"""

import numpy as np

from agents.base.agent import Context
from agents.comparison.types import ComparisonConfig
from agents.evaluation.types import EvaluationOutput
from agents.metrics.classification import confusion, label_metrics, metric_value
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.classification.tfidf import fit_tfidf
from agents.tasks.pairs import Pair, Side
from agents.tasks.splits import LabelledRows, read_labelled


def label_pairs(
    config: ComparisonConfig, context: Context, data: PreprocessingOutput, evaluation: EvaluationOutput
) -> dict[str, Pair]:
    """Return baseline -> its answers beside the tuned model's, on all test rows.

    Raises:
        InvalidData: the training rows have no words, or only one label.
    """
    training, test = read_labelled(context, data, "train"), read_labelled(context, data, "test")
    sides = _Sides(evaluation, data, test)
    index = {label: number for number, label in enumerate(data.labels)}
    answers = context.objects.get_json(evaluation.predictions)
    tuned = sides.side(np.array([index[row["predicted"]] for row in answers]), evaluation.metrics)
    expected = [data.labels[label] for label in test.labels]
    pairs = {}
    baselines = config.baselines or list(BASELINES)
    for done, name in enumerate(baselines):
        context.progress(done, len(baselines))
        scores = BASELINES[name](training, test.texts, len(data.labels))
        pairs[name] = Pair(test.numbers, test.texts, expected, sides.scored(scores), tuned, test.labels)
    return pairs


def majority_scores(training: LabelledRows, texts: list[str], label_count: int) -> np.ndarray:
    """Return the training rows' share of each label for every text: float64 of shape (texts, labels)."""
    shares = np.bincount(training.labels, minlength=label_count) / max(1, len(training.labels))
    return np.tile(shares, (len(texts), 1))


def tfidf_scores(training: LabelledRows, texts: list[str], label_count: int) -> np.ndarray:
    """Return probabilities by logistic regression over TF-IDF of words and pairs of words.

    Raises:
        InvalidData: the training rows have no words, or only one label.
    """
    names = [str(label) for label in range(label_count)]
    model = fit_tfidf(training.texts, training.labels, names, 0, cure="Set baselines: [majority].")
    return np.array([list(found.scores.values()) for found in model.predict(texts)]).reshape(-1, label_count)


BASELINES = {"majority": majority_scores, "tfidf": tfidf_scores}


class _Sides:
    """Makes a side of predicted labels. Precision, recall and F1 are of the label that the evaluation meant."""

    def __init__(self, evaluation: EvaluationOutput, data: PreprocessingOutput, test: LabelledRows) -> None:
        self._names, self._test = data.labels, test
        self._positive = data.labels.index(evaluation.positive_label) if evaluation.positive_label else None

    def scored(self, scores: np.ndarray) -> Side:
        predicted = scores.argmax(axis=1)
        return self.side(predicted, label_metrics(self._test.labels, predicted, scores, self._names, self._positive))

    def side(self, predicted: np.ndarray, metrics: dict[str, float]) -> Side:
        labels, count = self._test.labels, len(self._names)
        return Side(
            said=[self._names[label] for label in predicted],
            right=predicted == labels,
            metrics=metrics,
            value=lambda metric, rows: metric_value(
                confusion(labels[rows], predicted[rows], count), metric, self._positive
            ),
        )
