"""DatasetAgent: a source becomes rows of text and label, or conversations; what is dropped is counted by reason."""

from collections.abc import Mapping

from agents.base.agent import Agent, Context
from agents.base.sources import Sources
from agents.dataset.types import DatasetConfig, DatasetOutput


class DatasetAgent(Agent[DatasetConfig, DatasetOutput]):
    """Reads a source once, row by row."""

    config_type = DatasetConfig
    output_type = DatasetOutput

    def cache_inputs(self, config: DatasetConfig, sources: Sources) -> Mapping[str, str]:
        return {"source": sources.fingerprint(config.source, "rows")}

    def run(self, config: DatasetConfig, context: Context) -> DatasetOutput:
        """Write the rows as an artifact.

        Raises:
            InvalidData: no rows, no such column, one label only, or more than a few lines that can't be read.
        """
        from agents.dataset.work import open_source, write_rows

        return write_rows(open_source(config, context), config, context)


__all__ = ["DatasetAgent", "DatasetConfig"]
