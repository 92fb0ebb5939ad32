"""`method: tfidf`: a linear model of words instead of a tuned one; it is judged, exported and served as any other."""

import time

import numpy as np

from agents.base.agent import Context, input_from
from agents.base.errors import InvalidData
from agents.base.folders import upload
from agents.metrics.classification import confusion, metric_value, positive_index, positive_label
from agents.models.classifiers.linear import LinearClassifier, save
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.classification.tfidf import INVERSE_REGULARISATION, fit_tfidf
from agents.tasks.splits import LabelledRows, read_labelled
from agents.training.types import TrainingConfig, TrainingOutput


def train_linear(config: TrainingConfig, context: Context) -> TrainingOutput:
    """Fit and return what came of it. Raises: as `TrainingAgent.run`."""
    data = input_from(context, "preprocessing", PreprocessingOutput)
    train, validation = (read_labelled(context, data, name) for name in ("train", "validation"))
    positive = positive_index(config.positive_label, data.labels)
    if len(set(train.labels.tolist())) < 2:
        raise InvalidData(
            f"There are {len(train.texts)} training rows with fewer than two labels to learn from.",
            cure="A classifier needs rows of two labels or more.",
        )
    context.log("training_started", method=config.method, device="cpu", rows=len(train.texts))
    started = time.perf_counter()
    model = fit_tfidf(train.texts, train.labels, data.labels, data.max_tokens, cure="Look at the texts of the rows.")
    seconds = round(time.perf_counter() - started, 6)
    metrics = {"train_s": seconds, "best_step": 1.0, **_figures(model, train, "train", None)}
    metrics |= _figures(model, validation, "validation", positive)
    save(model, context.work_dir / "model")
    files = upload(context.objects, context.work_dir / "model")
    parameters = model.weights.size + model.biases.size
    context.log("training_finished", steps=1, metrics=metrics)
    return TrainingOutput(
        files=files,
        method=config.method,
        task=config.task,
        base_model=config.model,
        base_model_fingerprint=context.sources.fingerprint(config.model, "model"),
        tokenizer_fingerprint=data.tokenizer_fingerprint,
        labels=data.labels,
        positive_label=positive_label(config.positive_label, data.labels),
        max_tokens=data.max_tokens,
        seed=config.seed,
        trainable_parameters=parameters,
        total_parameters=parameters,
        steps=1,
        metrics=metrics,
        curve=context.objects.put_json(
            [{"step": 1, **{name: value for name, value in metrics.items() if "_" in name}}]
        ),
        resolved={
            **{"task": config.task, "method": config.method, "metric": config.metric, "device": "cpu"},
            **{"inverse_regularisation": INVERSE_REGULARISATION, "terms": len(model.vocabulary)},
        },
    )


def _figures(model: LinearClassifier, rows: LabelledRows, split: str, positive: int | None) -> dict[str, float]:
    """Return `<split>_loss`, and of the validation split accuracy and F1; nothing of a split without rows."""
    if not rows.texts:
        return {}
    scores = np.array([list(found.scores.values()) for found in model.predict(rows.texts)])
    true = np.maximum(scores[np.arange(len(rows.labels)), rows.labels], 1e-12)
    found = {f"{split}_loss": float(-np.log(true).mean())}
    if split == "validation":
        matrix = confusion(rows.labels, scores.argmax(axis=1), len(model.labels))
        found |= {f"{split}_{name}": metric_value(matrix, name, positive) for name in ("accuracy", "f1")}
    return {name: round(value, 6) for name, value in found.items()}
