"""Batch prediction: one pinned version's files and many texts in, their answers out."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from agents.base.agent import Agent, Context
from agents.base.records import Artifact as Artifact
from agents.base.records import Config as Config
from agents.base.records import DeviceNeed
from agents.base.records import Output as Output
from agents.base.sources import Sources
from agents.prediction.types import PredictionConfig, PredictionOutput

if TYPE_CHECKING:
    from agents.models.classifiers.base import Classifier

#: Predicted between two words of progress, which are also when a cancel is looked for.
CHUNK_TEXTS = 256
#: Of them go through the model at once.
BATCH_TEXTS = 64


class PredictionAgent(Agent[PredictionConfig, PredictionOutput]):
    """Answers as serving does, by the same code, but from a queue."""

    config_type = PredictionConfig
    output_type = PredictionOutput
    consumes: ClassVar[tuple[str, ...]] = ()
    heavy = True

    def device_need(self, config: PredictionConfig, context: Context) -> DeviceNeed:
        """ONNX runs on the CPU; of a whole model its config and the size of its float32 weights tell."""
        from agents.models.memory import Asked, ModelShape, answering_bytes, reserved_mib

        if config.format.startswith("onnx"):
            return DeviceNeed(count=0)
        weights = sum(file.size_bytes for path, file in config.files.items() if path.endswith(".safetensors"))
        shape = ModelShape.of(context.objects.get_json(config.files["config.json"]), weights // 4)
        return DeviceNeed(mib=reserved_mib(answering_bytes(shape, Asked(BATCH_TEXTS, config.max_tokens))))

    def run(self, config: PredictionConfig, context: Context) -> PredictionOutput:
        """Fetch, load, predict.

        Raises:
            InvalidModel: the files can't be loaded, or an adapter's base can't be had on this machine.
            NotFound, CorruptArtifact: the store lacks a file, or holds other bytes.
        """
        from agents.base.folders import fetch

        texts: list[str] = context.objects.get_json(config.texts)
        folder = fetch(context.objects, config.files, context.work_dir / "model")
        model = _load(config, folder, context.sources)
        context.log("model_loaded", model=config.model_name, version=config.version, format=config.format)
        answers: list[dict[str, Any]] = []
        for start in range(0, len(texts), CHUNK_TEXTS):
            context.progress(start, len(texts))
            answers += [found._asdict() for found in model.predict(texts[start : start + CHUNK_TEXTS], BATCH_TEXTS)]
        context.progress(len(texts), len(texts))
        return PredictionOutput(
            model_name=config.model_name,
            version=config.version,
            format=config.format,
            text_count=config.text_count,
            predictions=context.objects.put_json(answers),
        )


def _load(config: PredictionConfig, folder: Path, sources: Sources) -> "Classifier":
    from agents.models.base_cache import SharedBases
    from agents.models.classifiers.exported import load_exported

    if config.base_model is None or config.base_model_fingerprint is None:
        return load_exported(folder, config.labels, config.max_tokens)
    base = SharedBases(sources).get(config.base_model, config.base_model_fingerprint, "classifier")
    return load_exported(folder, config.labels, config.max_tokens, base=base)
