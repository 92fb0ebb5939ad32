"""Bodies of `/jobs`."""

from typing import Any, Literal

from pydantic import Field

from app.schemas import Body, Fault, Moment, Progress, View
from pipelines.engine.state.job import JobStatus, NodeStatus

SPEC_EXAMPLE = {
    "name": "spam",
    "params": {"epochs": 3},
    "nodes": {
        "dataset": {"agent": "dataset", "config": {"source": "dataset://0123456789abcdef"}},
        "validation": {"agent": "validation", "needs": ["dataset"]},
    },
}


class SubmitBody(Body):
    """A spec with values for its parameters."""

    spec: dict[str, Any] | str = Field(
        description="The pipeline: an object, or YAML or JSON as text. Keys of nodes and configs are the agents' own.",
        examples=[SPEC_EXAMPLE],
    )
    params: dict[str, Any] = Field(
        {}, description="Parameter -> value; each spec has parameters of its own.", examples=[{"epochs": 4}]
    )


class RetryBody(Body):
    """What a retry is to do otherwise."""

    params: dict[str, Any] = Field(
        {}, description="Parameter -> value, over those of the first request.", examples=[{"text_column": "review"}]
    )
    spec: dict[str, Any] | str | None = Field(None, description="A spec in place of the first, as in a submit.")


class CacheLook(View):
    """The step cache's answer for a node."""

    hit: bool = Field(description="Whether an earlier output was taken.")
    reason: str = Field(description="Why, or why not.", examples=["first run of this node"])


class NodeView(View):
    """One node of a job."""

    status: NodeStatus = Field(description="The node's status.")
    agent: str = Field(description="The kind of work it does.", examples=["training"])
    queue: str = Field(description="The queue whose workers run it.", examples=["training"])
    needs: list[str] = Field(description="Nodes that must have ended before.", examples=[["preprocessing"]])
    attempt: int = Field(description="The newest attempt, from 1; 0: none was queued yet.", examples=[1])
    progress: Progress | None = Field(None, description="How far it is; null until it reports.")
    created_at: Moment | None = Field(None, description="Unused; always null.")
    ready_at: Moment | None = Field(None, description="When it was queued, in seconds since 1970.")
    started_at: Moment | None = Field(None, description="When its attempt began, in seconds since 1970.")
    ended_at: Moment | None = Field(None, description="When it ended, in seconds since 1970.")
    seconds: float | None = Field(None, description="How long it ran, or has run so far.", examples=[12.5])
    worker: str | None = Field(None, description="The worker that runs it or ran it.", examples=["gpu-1-4711"])
    cache: CacheLook | None = Field(None, description="The step cache's answer.")
    error: Fault | None = Field(None, description="What its newest failed attempt ended with.")
    waits_for: str | None = Field(
        None, description="What it waits for, for people.", examples=["a free worker on queue 'training'"]
    )
    config: dict[str, Any] = Field(
        description="Its agent's settings with every default; which there are depends on the agent.",
        examples=[{"epochs": 4, "method": "lora"}],
    )
    sources: dict[str, str] = Field(
        description="Dotted key of `config` -> where the value comes from: `spec`, `params.<name>`, `matrix`, "
        "`default` or `nodes.<name>`.",
        examples=[{"epochs": "params.epochs"}],
    )
    output: dict[str, Any] | None = Field(
        None, description="What it returned; which fields there are depends on the agent.", examples=[{"row_count": 90}]
    )


class JobSummary(View):
    """A job as a list shows it."""

    id: str = Field(description="The job's id.", examples=["job_01JY3Z9S2M"])
    name: str = Field(description="The spec's name.", examples=["spam"])
    status: JobStatus = Field(description="The job's status.")
    created_at: Moment = Field(description="When it was submitted, in seconds since 1970.")
    started_at: Moment | None = Field(None, description="When its first node began, in seconds since 1970.")
    ended_at: Moment | None = Field(None, description="When it ended, in seconds since 1970.")
    retry_of: str | None = Field(None, description="The job whose finished nodes it took over.", examples=[None])
    stop: Literal["cancel", "pause"] | None = Field(None, description="A cancel or a pause that is under way.")
    nodes_done: int = Field(description="Nodes that have ended.", examples=[3])
    nodes_total: int = Field(description="All nodes.", examples=[7])


class JobView(JobSummary):
    """A job with all its nodes."""

    description: str = Field(description="The spec's description.")
    params: dict[str, Any] = Field(
        description="Parameter -> value; each spec has parameters of its own.", examples=[{"epochs": 4}]
    )
    param_sources: dict[str, Literal["spec", "request"]] = Field(
        description="Parameter -> who gave its value.", examples=[{"epochs": "request"}]
    )
    nodes: dict[str, NodeView] = Field(description="Name -> node, each after those it needs.")


class JobPage(View):
    """Some of the jobs, newest first."""

    jobs: list[JobSummary] = Field(description="The jobs of this page.")
    total: int = Field(description="How many jobs match in all.", examples=[42])
