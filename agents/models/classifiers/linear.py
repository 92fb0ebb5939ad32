"""Logistic regression over TF-IDF of words and pairs of words, in memory: needs numpy alone, and no tokenizer.

Its files are weights as safetensors and a JSON vocabulary; nothing in them can run. What it does is what scikit-learn's
`TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)` and `LogisticRegression` do, which it was trained by.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from agents.base.errors import InvalidModel, first_line
from agents.data.cleaning import clean_text
from agents.models.classifiers.base import Prediction, Runs, prediction_of
from agents.models.files import ModelFiles
from agents.models.heads import ONE_LABEL, Head

WEIGHTS_FILE = "linear.safetensors"
VOCABULARY_FILE = "linear_vocabulary.json"
#: A word of any script; the same pattern made the vocabulary.
WORD_PATTERN = r"(?u)\w+"
WORD = re.compile(WORD_PATTERN)


@dataclass(frozen=True)
class LinearClassifier:
    """`vocabulary`: words and pairs of words -> their place; `idf`: float32 of shape (features,); `weights`: float32 of
    shape (labels, features), `biases` of shape (labels,), which is minus infinity of a label that no training row had.
    """

    labels: list[str]
    max_tokens: int
    vocabulary: Mapping[str, int]
    idf: np.ndarray
    weights: np.ndarray
    biases: np.ndarray

    @property
    def head(self) -> Head:
        return ONE_LABEL

    @property
    def runs(self) -> Runs:
        """One at a time: it takes microseconds and the interpreter's lock."""
        return Runs(at_once=1, texts_most=64)

    def predict(self, texts: Sequence[str], batch_size: int = 64) -> list[Prediction]:
        """Return a prediction for each text, in order. Texts are cleaned as in training, and never cut."""
        return [prediction_of(self.labels, self._scores(text), ONE_LABEL) for text in texts]

    def _scores(self, text: str) -> list[float]:
        places, values = self._features(text)
        logits = self.biases + self.weights[:, places] @ values if len(places) else self.biases
        exponentials = np.exp(logits - logits.max())
        scores: list[float] = (exponentials / exponentials.sum()).tolist()
        return scores

    def _features(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the places of a text's words and pairs, and their TF-IDF, of length 1 together."""
        found = Counter(self.vocabulary[term] for term in terms(text) if term in self.vocabulary)
        places = np.fromiter(found, dtype=np.int64, count=len(found))
        values = np.array([1 + math.log(count) for count in found.values()]) * self.idf[places]
        return places, values / max(1e-12, float(np.linalg.norm(values)))


def terms(text: str) -> list[str]:
    """Return the words of a text and its pairs of neighbouring words."""
    words = WORD.findall(lower(text))
    return words + [f"{one} {other}" for one, other in pairwise(words)]


def lower(text: str) -> str:
    """Return a text as its words are looked for."""
    return clean_text(text).lower()


def save(model: LinearClassifier, folder: Path) -> None:
    """Write a model's files into a new folder."""
    folder.mkdir(parents=True)
    save_file({"idf": model.idf, "weights": model.weights, "biases": model.biases}, folder / WEIGHTS_FILE)
    ordered = sorted(model.vocabulary, key=model.vocabulary.__getitem__)
    written = {"labels": model.labels, "terms": ordered}
    (folder / VOCABULARY_FILE).write_text(json.dumps(written, ensure_ascii=False), encoding="utf-8")


def load(files: ModelFiles) -> LinearClassifier:
    """Load a model.

    Raises:
        InvalidModel: the files can't be read, don't fit together, or are of other labels.
    """
    try:
        tensors = load_file(files.folder / WEIGHTS_FILE)
        written = json.loads((files.folder / VOCABULARY_FILE).read_text(encoding="utf-8"))
        vocabulary = {str(term): place for place, term in enumerate(written["terms"])}
        found = {name: tensors[name].astype(np.float64) for name in ("idf", "weights", "biases")}
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as fault:
        raise InvalidModel(f"The linear model can't be loaded: {first_line(fault)}", cure="Export it again.") from fault
    model = LinearClassifier(files.labels, files.max_tokens, vocabulary, **found)
    shapes = (model.idf.shape, model.weights.shape, model.biases.shape)
    expected = ((len(vocabulary),), (len(files.labels), len(vocabulary)), (len(files.labels),))
    if shapes != expected or written.get("labels") != files.labels:
        raise InvalidModel("The linear model's weights, words and labels don't fit together.", cure="Export it again.")
    return model
