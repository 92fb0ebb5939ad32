"""The recipe of a batch prediction: fetch, load, predict."""

from typing import Any

from agents.base.agent import Context
from agents.base.folders import fetch
from agents.formats import FORMATS
from agents.models.base_cache import SharedBases
from agents.models.classifiers.base import Classifier, Prediction, calibrated
from agents.models.files import ModelFiles
from agents.prediction.types import BATCH_TEXTS, PredictionConfig, PredictionOutput

#: Predicted between two reports of progress, which are also when a cancel is looked for.
CHUNK_TEXTS = 256


def predict(config: PredictionConfig, context: Context) -> PredictionOutput:
    """Answer all texts. Raises: as `PredictionAgent.run`."""
    texts: list[str] = context.objects.get_json(config.texts)
    model = _load(config, context)
    context.log("model_loaded", model=config.model_name, version=config.version, format=config.format)
    answers: list[dict[str, Any]] = []
    for start in range(0, len(texts), CHUNK_TEXTS):
        context.progress(start, len(texts))
        answers += [_answer(config, one) for one in model.predict(texts[start : start + CHUNK_TEXTS], BATCH_TEXTS)]
    context.progress(len(texts), len(texts))
    return PredictionOutput(
        model_name=config.model_name,
        version=config.version,
        format=config.format,
        text_count=config.text_count,
        predictions=context.objects.put_json(answers),
    )


def _load(config: PredictionConfig, context: Context) -> Classifier:
    folder = fetch(context.objects, config.files, context.work_dir / "model")
    base = None
    if config.base_model is not None and config.base_model_fingerprint is not None:
        base = SharedBases(context.sources).get(config.base_model, config.base_model_fingerprint, "classifier")
    files = ModelFiles(folder, config.labels, config.max_tokens, None, context.sources.cache_dir, base, config.head)
    return calibrated(FORMATS[config.format].load("classifier", files), config.temperature)


def _answer(config: PredictionConfig, found: Prediction) -> dict[str, Any]:
    unsure = None if config.unsure_below is None else found.confidence < config.unsure_below
    return {**found.as_record(), "unsure": unsure}
