"""Batch prediction: one pinned version's files and many texts in, their answers out."""

from collections.abc import Sequence
from typing import ClassVar

from agents.base.agent import Agent, Context
from agents.base.records import DeviceNeed, Input
from agents.formats import FORMATS
from agents.prediction.types import BATCH_TEXTS, PredictionConfig, PredictionOutput


class PredictionAgent(Agent[PredictionConfig, PredictionOutput]):
    """Answers as serving does, by the same code, but from a queue."""

    config_type = PredictionConfig
    output_type = PredictionOutput
    consumes: ClassVar[tuple[str, ...]] = ()
    heavy = True

    def loads(self, config: PredictionConfig, inputs: Sequence[Input]) -> list[str]:
        return [FORMATS[config.format].loaders["classifier"]]

    def device_need(self, config: PredictionConfig, context: Context) -> DeviceNeed:
        """Formats that torch does not run are on the CPU; of a whole model its config and the size of its float32
        weights tell."""
        from agents.models.memory import Asked, ModelShape, answering_bytes, reserved_mib

        if not FORMATS[config.format].needs_torch:
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
        from agents.prediction.work import predict

        return predict(config, context)
