"""Measuring a classifier on the test split, with the very code that serves it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agents.base.contract import Artifact, Context
from agents.base.errors import InvalidModel, NotFound
from agents.classifier import LoadedClassifier, fetch, load_merged, load_trained
from agents.gate import confusion
from agents.outputs import TrainingOutput
from agents.prediction import Prediction
from agents.splits import TestRows

if TYPE_CHECKING:
    import numpy as np

#: Predicted between two words of progress.
CHUNK_ROWS = 256


@dataclass(frozen=True)
class Measured:
    """A model's answers and figures; `weights`: the digests of what it was loaded from."""

    predictions: list[Prediction]
    predicted: "np.ndarray"
    metrics: dict[str, float]
    confusion: list[list[int]]
    weights: frozenset[str]

    def rows(self, test: TestRows, labels: list[str]) -> list[dict[str, Any]]:
        """Return every test row with its label and the model's answer."""
        return [
            {
                "row": number,
                "label": labels[int(label)],
                "predicted": prediction.label,
                "confidence": round(prediction.confidence, 6),
            }
            for number, label, prediction in zip(test.numbers, test.labels, self.predictions, strict=True)
        ]


def measure_training(
    context: Context, training: TrainingOutput, test: TestRows, positive: int, batch_size: int
) -> Measured:
    """Measure what a training left."""
    folder = fetch(context.objects, training.files, context.work_dir / "challenger")
    base = context.sources.local(training.base_model, "model")
    model = load_trained(folder, base, training.labels, training.max_tokens, cache_dir=context.sources.cache_dir)
    return _measure(context, model, test, positive, batch_size, _weights(training.files), done=0)


def measure_champion(
    context: Context, training: TrainingOutput, test: TestRows, positive: int, batch_size: int
) -> Measured | None:
    """Measure the present champion on the same rows; None where there is none that could be measured so."""
    manifest = context.champion
    if manifest is None:
        return None
    if manifest["labels"] != training.labels:
        context.log("champion_incomparable", level="warning", labels=manifest["labels"], version=manifest["version"])
        return None
    try:
        model = _load_champion(context, manifest)
    except (InvalidModel, NotFound) as fault:
        context.log("champion_unreadable", level="warning", version=manifest["version"], message=str(fault))
        return None
    adapter = {file["path"]: Artifact.model_validate(file["artifact"]) for file in manifest["trained_files"]}
    return _measure(context, model, test, positive, batch_size, _weights(adapter), done=len(test.texts))


def _load_champion(context: Context, manifest: Any) -> LoadedClassifier:
    labels, max_tokens = manifest["labels"], manifest["max_tokens"]
    if "merged" in manifest["formats"]:
        files = {f["path"]: Artifact.model_validate(f["artifact"]) for f in manifest["formats"]["merged"]}
        return load_merged(fetch(context.objects, files, context.work_dir / "champion"), labels, max_tokens)
    files = {f["path"]: Artifact.model_validate(f["artifact"]) for f in manifest["trained_files"]}
    folder = fetch(context.objects, files, context.work_dir / "champion")
    base = context.sources.local(manifest["base_model"], "model")
    return load_trained(folder, base, labels, max_tokens, cache_dir=context.sources.cache_dir)


def _measure(
    context: Context,
    model: LoadedClassifier,
    test: TestRows,
    positive: int,
    batch_size: int,
    weights: frozenset[str],
    *,
    done: int,
) -> Measured:
    import numpy as np

    total = len(test.texts) * (2 if context.champion else 1)
    predictions: list[Prediction] = []
    for start in range(0, len(test.texts), CHUNK_ROWS):
        predictions += model.predict(test.texts[start : start + CHUNK_ROWS], batch_size)
        context.progress(done + len(predictions), total)
    index = {label: number for number, label in enumerate(model.labels)}
    predicted = np.array([index[prediction.label] for prediction in predictions], dtype=np.int64)
    matrix = confusion(test.labels, predicted, len(model.labels)).tolist()
    return Measured(predictions, predicted, figures(test.labels, predicted, model.labels, positive), matrix, weights)


def figures(labels: "np.ndarray", predicted: "np.ndarray", names: list[str], positive: int) -> dict[str, float]:
    """Return accuracy, and precision, recall and F1 of the positive label, of each label, and their means."""
    from sklearn.metrics import precision_recall_fscore_support

    options = {"labels": range(len(names)), "zero_division": 0.0}
    precision, recall, f1, _ = precision_recall_fscore_support(labels, predicted, average=None, **options)
    found = {
        "accuracy": float((labels == predicted).mean()),
        "precision": float(precision[positive]),
        "recall": float(recall[positive]),
        "f1": float(f1[positive]),
        "macro_f1": float(f1.mean()),
    }
    for index, name in enumerate(names):
        found |= {
            f"precision.{name}": float(precision[index]),
            f"recall.{name}": float(recall[index]),
            f"f1.{name}": float(f1[index]),
        }
    return found


def _weights(files: dict[str, Artifact]) -> frozenset[str]:
    return frozenset(artifact.sha256 for name, artifact in files.items() if name.endswith(".safetensors"))
