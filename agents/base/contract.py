"""The former name of `agents.base.agent` and `agents.base.records`: for agents written before, for one release."""

from agents.base.agent import Agent, Context, input_from, inputs_from
from agents.base.records import Artifact, Config, DeviceNeed, Input, Output, Record

__all__ = [
    "Agent",
    "Artifact",
    "Config",
    "Context",
    "DeviceNeed",
    "Input",
    "Output",
    "Record",
    "input_from",
    "inputs_from",
]
