"""What a training needs of a device, told before torch is loaded."""

from agents.base.agent import Context, input_from
from agents.base.records import DeviceNeed
from agents.models.files import is_gguf
from agents.models.memory import ModelShape
from agents.preprocessing.types import PreprocessingOutput
from agents.training.estimate import device_mib
from agents.training.types import TrainingConfig


def device_need(config: TrainingConfig, context: Context) -> DeviceNeed:
    """Return the estimate for a whole batch of longest rows, on each of the processes' devices.

    Raises:
        InvalidModel: the base model's files can't be read.
    """
    path = context.sources.local(config.model, "model")
    if is_gguf(path):
        # Its weights have to be converted before they can be counted.
        return DeviceNeed(count=config.processes)
    data = input_from(context, "preprocessing", PreprocessingOutput)
    return DeviceNeed(mib=device_mib(ModelShape.read(path), config, data.max_tokens), count=config.processes)
