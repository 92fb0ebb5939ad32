"""Preprocessing: rows are cleaned, freed from duplicates, split without leaks, and made token ids."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from agents.base.agent import Agent, Context
from agents.base.records import Config, Input
from agents.base.sources import Sources
from agents.preprocessing.types import PreprocessingConfig, PreprocessingOutput
from agents.tasks import task_faults


class PreprocessingAgent(Agent[PreprocessingConfig, PreprocessingOutput]):
    """Makes three splits of the rows of a dataset."""

    config_type = PreprocessingConfig
    output_type = PreprocessingOutput
    consumes: ClassVar[tuple[str, ...]] = ("dataset",)
    consumes_if_present: ClassVar[tuple[str, ...]] = ("validation",)
    consumes_one: ClassVar[tuple[str, ...]] = ("dataset", "validation")

    def cache_inputs(self, config: PreprocessingConfig, sources: Sources) -> Mapping[str, str]:
        return {"model": sources.fingerprint(config.model, "model")}

    def loads(self, config: PreprocessingConfig, inputs: Sequence[Input]) -> list[str]:
        return [config.known_task.preparation]

    @classmethod
    def check(cls, config: PreprocessingConfig, upstream: Mapping[str, Config]) -> list[str]:
        """Rows that are read or validated for another task."""
        return task_faults(config.task, upstream)

    def run(self, config: PreprocessingConfig, context: Context) -> PreprocessingOutput:
        """Write the three splits.

        Raises:
            InvalidData: too few different rows of a label, or of all.
            InvalidModel: the model has no tokenizer that can be used.
        """
        from agents.preprocessing.work import prepare

        return prepare(config, context)
