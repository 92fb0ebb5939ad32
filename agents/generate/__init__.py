"""GenerateAgent: rows that are made, by a language model or a grammar; it stands where a dataset node would.

Every hundred rows are kept in the object store, so that a generation that was killed, paused or refused goes on.
"""

from collections.abc import Mapping
from typing import ClassVar

from agents.base.agent import Agent, Context
from agents.base.sources import Sources
from agents.dataset.types import DatasetOutput
from agents.generate.settings import EndpointSettings
from agents.generate.types import GenerateConfig


class GenerateAgent(Agent[GenerateConfig, DatasetOutput]):
    """Makes rows until there are enough, the money is spent, or nothing new comes."""

    config_type = GenerateConfig
    output_type = DatasetOutput
    stands_for: ClassVar[str | None] = "dataset"

    @classmethod
    def cost_usd_most(cls, config: GenerateConfig) -> float:
        return config.llm.maximum_cost_usd if config.llm else 0.0

    def cache_inputs(self, config: GenerateConfig, sources: Sources) -> Mapping[str, str]:
        if config.llm is None:
            return {}
        settings = EndpointSettings()
        return {"endpoint": settings.gen_base_url, "model": config.llm.model or settings.gen_model or ""}

    def run(self, config: GenerateConfig, context: Context) -> DatasetOutput:
        """Write the rows as an artifact.

        Raises:
            NotAllowed, InvalidSpec: the endpoint refuses the key or the request, or doesn't say what it costs.
            Unavailable: it doesn't answer; what was made is kept for the next attempt.
        """
        from agents.generate.made_rows import MadeRows
        from agents.generate.work import ask_model, fill_patterns, tell_what_is_missing, write_rows

        made = MadeRows(config, context)
        with made.kept_on_the_way():
            source = fill_patterns(config.grammar, made) if config.grammar else ask_model(made)
        tell_what_is_missing(made)
        return write_rows(config, context, made, source)


__all__ = ["GenerateAgent", "GenerateConfig"]
