"""What agents of users import: one door, and for one release the name that it had before."""

from pathlib import Path

import pytest

import agents
from agents import load_agent
from agents.base import agent, records

OLD_AGENT = """
from agents import Agent, Config, Output
from agents.base.contract import Artifact, Context, DeviceNeed, Input, Record, input_from, inputs_from


class OldConfig(Config):
    text: str


class OldOutput(Output):
    words: int


class OldAgent(Agent[OldConfig, OldOutput]):
    config_type = OldConfig
    output_type = OldOutput

    def run(self, config: OldConfig, context: Context) -> OldOutput:
        return OldOutput(words=len(config.text.split()))
"""


def test_one_import_has_all_that_an_agent_needs() -> None:
    assert (agents.Agent, agents.Context) == (agent.Agent, agent.Context)
    assert (agents.Config, agents.Output) == (records.Config, records.Output)


@pytest.mark.filterwarnings("error")
def test_an_agent_written_for_the_release_before_is_still_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "agent_of_before.py").write_text(OLD_AGENT)
    monkeypatch.syspath_prepend(tmp_path)

    found = load_agent("agent_of_before:OldAgent")

    assert issubclass(found, agents.Agent)
    assert found.config_type(text="two words").model_dump() == {"text": "two words"}
