"""What trained models need of a device to answer, told before torch is loaded."""

from collections.abc import Iterable
from dataclasses import replace

from agents.base.agent import Context
from agents.base.records import DeviceNeed
from agents.models.files import is_gguf
from agents.models.memory import Asked, ModelShape, answering_bytes, reserved_mib
from agents.training.types import TrainingOutput


def answering_need(
    context: Context, trainings: Iterable[TrainingOutput], rows: int, *, models: int = 1, parameters_least: int = 0
) -> DeviceNeed:
    """Return what the largest of some trained models needs to answer `rows` rows at a time, by its base model's files.

    `models`: so many of them in memory at once. `parameters_least`: of another model that will stand in its place.

    Raises:
        InvalidModel: a base model's files can't be read.
    """
    tuned = [training for training in trainings if training.method != "tfidf"]
    if not tuned:
        return DeviceNeed(count=0)
    sizes = []
    for training in tuned:
        path = context.sources.local(training.base_model, "model")
        if is_gguf(path):
            # Its weights have to be converted before they can be counted.
            return DeviceNeed()
        shape = ModelShape.read(path)
        shape = replace(shape, parameters=models * max(shape.parameters, parameters_least))
        new_tokens = training.prompt.max_new_tokens if training.prompt else 0
        sizes.append(answering_bytes(shape, Asked(rows, training.max_tokens, new_tokens)))
    return DeviceNeed(mib=reserved_mib(max(sizes)))
