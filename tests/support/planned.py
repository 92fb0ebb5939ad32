"""A node as the plan has it, for tests that need one without a job."""

from pipelines.judge import judge
from tests.support.agents import TEST_AGENTS, spec

PLANNED_EXPORT = judge(spec({"export": {"agent": "version"}}), {}, TEST_AGENTS).nodes["export"]
