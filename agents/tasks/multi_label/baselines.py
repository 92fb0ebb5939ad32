"""Baselines of models of several labels: the commonest ones, and words with a logistic regression for each label."""

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression

from agents.base.agent import Context
from agents.base.errors import InvalidData
from agents.comparison.types import ComparisonConfig
from agents.evaluation.types import EvaluationOutput
from agents.metrics.multi_label import choose_thresholds, set_metric, set_metrics
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.classification.tfidf import words
from agents.tasks.multi_label.measure import LabelSetRows, read_label_sets
from agents.tasks.pairs import Pair, Side

#: Split -> its rows.
Splits = dict[str, LabelSetRows]


def label_set_pairs(
    config: ComparisonConfig, context: Context, data: PreprocessingOutput, evaluation: EvaluationOutput
) -> dict[str, Pair]:
    """Return baseline -> its answers beside the tuned model's, on all test rows; right is just the right set.

    Raises:
        InvalidData: the training rows have no words.
    """
    splits = {name: read_label_sets(context, data, name) for name in ("train", "validation", "test")}
    test, names = splits["test"], data.labels
    rows = context.objects.get_json(evaluation.predictions)
    answers = np.array([[name in row["predicted"] for name in names] for row in rows], dtype=bool)
    tuned = _side(test.labels, answers, evaluation.metrics, names)
    pairs = {}
    baselines = config.baselines or list(BASELINES)
    for done, name in enumerate(baselines):
        context.progress(done, len(baselines))
        given, scores = BASELINES[name](splits, names)
        side = _side(test.labels, given, set_metrics(test.labels, given, scores, names), names)
        pairs[name] = Pair(test.numbers, test.texts, _said(test.labels, names), side, tuned)
    return pairs


def frequent_labels(splits: Splits, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the commonest labels of the training rows for every test row, as many as a row has on average, and the
    share of rows of each label: both of shape (rows, labels)."""
    shares, rows = splits["train"].labels.mean(axis=0), len(splits["test"].texts)
    given = np.zeros(len(names), dtype=bool)
    given[np.argsort(-shares, kind="stable")[: max(1, round(float(shares.sum())))]] = True
    return np.tile(given, (rows, 1)), np.tile(shares, (rows, 1))


def tfidf_labels(splits: Splits, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return which labels are given to the test rows, and their probabilities, by a logistic regression for each over
    TF-IDF of words and pairs of words; thresholds are chosen on the validation rows.

    Raises:
        InvalidData: the training rows have no words.
    """
    train, vectors = splits["train"], words()
    try:
        learned = vectors.fit_transform(train.texts)
    except ValueError as fault:
        raise InvalidData(
            f"The baseline 'tfidf' can't learn these training rows: {fault}", cure="Set baselines: [frequency]."
        ) from fault
    asked = [vectors.transform(splits[name].texts) for name in ("validation", "test")]
    found = [np.zeros((matrix.shape[0], len(names))) for matrix in asked]
    for index in range(len(names)):
        target = train.labels[:, index]
        if target.all() or not target.any():
            # Nothing to tell apart.
            for scores in found:
                scores[:, index] = float(target.all())
            continue
        model = LogisticRegression(C=10.0, max_iter=1000).fit(learned, target)
        for scores, matrix in zip(found, asked, strict=True):
            scores[:, index] = model.predict_proba(matrix)[:, 1]
    thresholds = choose_thresholds(splits["validation"].labels, found[0], names)
    return found[1] >= np.array([thresholds[name] for name in names]), found[1]


BASELINES: dict[str, Callable[[Splits, list[str]], tuple[np.ndarray, np.ndarray]]] = {
    "frequency": frequent_labels,
    "tfidf": tfidf_labels,
}


def _side(true: np.ndarray, given: np.ndarray, metrics: dict[str, float], names: list[str]) -> Side:
    return Side(
        said=_said(given, names),
        right=(true == given).all(axis=1),
        metrics=metrics,
        value=lambda metric, rows: set_metric(true[rows], given[rows], metric),
    )


def _said(given: np.ndarray, names: list[str]) -> list[str]:
    return [", ".join(name for name, one in zip(names, row, strict=True) if one) or "none" for row in given.tolist()]
