"""TF-IDF with logistic regression, fitted by scikit-learn: the baseline, and what `method: tfidf` trains."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from agents.base.errors import InvalidData
from agents.models.classifiers.linear import WORD_PATTERN, LinearClassifier, lower

#: What scikit-learn is told; the rest are its defaults.
INVERSE_REGULARISATION = 10.0
ITERATIONS_MOST = 1000


def words() -> TfidfVectorizer:
    """Return what makes TF-IDF of words and pairs of words."""
    return TfidfVectorizer(preprocessor=lower, token_pattern=WORD_PATTERN, ngram_range=(1, 2), sublinear_tf=True)


def fit_tfidf(
    texts: Sequence[str], labels: NDArray[np.int64], names: list[str], max_tokens: int, *, cure: str
) -> LinearClassifier:
    """Return a linear model of these rows.

    Raises:
        InvalidData: they have no words, or only one label; `cure` says what to do then.
    """
    found = words()
    model = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=ITERATIONS_MOST)
    try:
        model.fit(found.fit_transform(texts), labels)
    except ValueError as fault:
        raise InvalidData(f"TF-IDF can't learn these training rows: {fault}", cure=cure) from fault
    weights, biases = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        # Of two labels there is one row, the second's; the first's is zero.
        weights, biases = np.vstack([np.zeros_like(weights), weights]), np.concatenate([[0.0], biases])
    shape = (len(names), weights.shape[1])
    all_weights, all_biases = np.zeros(shape, dtype=np.float32), np.full(len(names), -np.inf, dtype=np.float32)
    all_weights[model.classes_], all_biases[model.classes_] = weights, biases
    vocabulary = {term: int(place) for term, place in found.vocabulary_.items()}
    return LinearClassifier(names, max_tokens, vocabulary, found.idf_.astype(np.float32), all_weights, all_biases)
