"""The work of Tuneline: stateless agents. `AGENTS` is the one table of them.

An agent of your own needs no more than what is exported here: `from agents import Agent, Config, Context, Output`.
"""

from typing import Any, NamedTuple

from agents.base.agent import Agent, Context
from agents.base.errors import InvalidSpec
from agents.base.loading import load_object
from agents.base.records import Config, Output


class AgentEntry(NamedTuple):
    """Where an agent is (`module:Class`, imported only when needed) and its default queue.

    `started_by`: the route that alone starts it, where no spec may name it.
    """

    path: str
    queue: str
    started_by: str | None = None


AGENTS: dict[str, AgentEntry] = {
    "dataset": AgentEntry("agents.dataset:DatasetAgent", "default"),
    "generate": AgentEntry("agents.generate:GenerateAgent", "default"),
    "validation": AgentEntry("agents.validation:ValidationAgent", "default"),
    "preprocessing": AgentEntry("agents.preprocessing:PreprocessingAgent", "default"),
    "training": AgentEntry("agents.training:TrainingAgent", "training"),
    "evaluation": AgentEntry("agents.evaluation:EvaluationAgent", "evaluation"),
    "comparison": AgentEntry("agents.comparison:ComparisonAgent", "evaluation"),
    "export": AgentEntry("agents.export:ExportAgent", "default"),
    "prediction": AgentEntry(
        "agents.prediction:PredictionAgent", "serving", started_by="POST /predict/{model}/batch/async"
    ),
}
QUEUES = ("default", "training", "evaluation", "serving")


def load_agent(path: str) -> type[Agent[Any, Any]]:
    """Import an agent's class. Cheap: the modules of work, which import heavy libraries, are imported when it runs.

    Raises:
        InvalidSpec: there is no such class here.
    """
    try:
        agent: type[Agent[Any, Any]] = load_object(path)
    except Exception as fault:
        raise InvalidSpec(
            f"The agent '{path}' can't be loaded ({type(fault).__name__}: {fault}).",
            cure="Check TUNELINE_AGENTS. Its module has to be installed, or to lie in a folder that PYTHONPATH names, "
            "here and for the workers; the folder where the command runs is not looked into.",
        ) from fault
    if not (isinstance(agent, type) and issubclass(agent, Agent)):
        raise InvalidSpec(f"'{path}' is not an agent's class.", cure="Check TUNELINE_AGENTS.")
    return agent


__all__ = ["AGENTS", "QUEUES", "Agent", "AgentEntry", "Config", "Context", "Output", "load_agent"]
